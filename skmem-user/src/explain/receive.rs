//! The account of receive memory (`--rx`): what came into `sk_rmem_alloc` and left it, by cause,
//! and how long data and readers waited.

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::{
    receive::{
        CLOCK_DATA_WAITS, CLOCK_IDLE, CLOCK_READER_INSIDE, CLOCK_READER_WAITS, CLOCKS, Receiving,
        Shut,
    },
    receive_cause::{RcvbufCause, ReceiveCause},
};

use super::named::by_name;

/// What one cause did to `sk_rmem_alloc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ReceivePart {
    /// Its name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: ReceiveCause,
    /// Sum, in bytes of truesize; what is freed is negative.
    pub bytes: i64,
    /// The part of it that was inferred from the fields: the function that did it was not seen.
    pub inferred: i64,
    /// How many times.
    pub count: u64,
}

/// Moves of `sk_rcvbuf` under one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct RcvbufMoves {
    /// Its name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: RcvbufCause,
    /// Their sum, in bytes.
    pub bytes: i64,
    /// How many times.
    pub count: u64,
}

/// What filled the receive buffer when the window offered to the peer last fell to 0, in bytes:
/// `rmem_alloc` is the sum of `unread`, `held`, `errors` and `rest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct WindowShut {
    /// When a hook first saw it, in ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// `sk_rmem_alloc`
    pub rmem_alloc: i64,
    /// `sk_rcvbuf`
    pub rcvbuf: i64,
    /// `rcv_nxt - copied_seq`
    pub unread: i64,
    /// Read already, in an skb that is freed when its last byte is read.
    pub held: i64,
    /// On the error queue, as far as it came there during the trace.
    pub errors: i64,
    /// Heads of skbs, room in pages that data does not fill, and data out of order; below 0 where
    /// several segments share a page that is charged once.
    pub rest: i64,
    /// The largest of the four.
    pub held_by: HeldBy,
}

/// What filled most of a receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldBy {
    /// Data that nobody has read.
    Unread,
    /// Data that was read, in an skb whose last byte was not.
    Held,
    /// The error queue.
    ErrorQueue,
    /// Heads of skbs, room in pages that data does not fill, data out of order.
    Overhead,
}

/// The account of receive memory since skmem first saw the socket: the parts add up to
/// `rmem_alloc`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ReceiveAccount {
    /// By cause, those that occurred, in a fixed order.
    pub causes: Vec<ReceivePart>,
    /// The sum of them, in bytes: `rmem_alloc` where the account closes.
    pub sum: i64,
    /// Whether it is.
    pub closes: bool,
    /// Bytes without a name, in both directions.
    pub unattributed: i64,
    /// How often there were any.
    pub unattributed_count: u64,
    /// Payload that arrived in sequence, bytes.
    pub payload: i64,
    /// What the error queue holds, as far as it came there during the trace, bytes.
    pub error_queue: i64,
    /// Skbs whose truesize was not what `sk_rmem_alloc` grew by, a count; the difference is named
    /// by the fields.
    pub unequal: u64,
    /// `sk_rcvbuf` when skmem first saw the socket, bytes
    pub rcvbuf_first: i64,
    /// What moved it since; empty: nothing.
    pub rcvbuf_moves: Vec<RcvbufMoves>,
    /// How long all was read and a reader slept in `recv` or `splice` (`sk_wait_data`), in ns.
    pub reader_waits_ns: u64,
    /// How long all was read and no reader slept there, in ns; it may have waited in `poll`, or
    /// for a record of kTLS.
    pub idle_ns: u64,
    /// How long data, or the peer's FIN, waited to be read, or was being read, in ns.
    pub data_waits_ns: u64,
    /// The part of it in which a reader was inside `recv` (`tcp_recvmsg_locked`) and did not sleep
    /// in `sk_wait_data`, in ns; null where it is not known: on 5.10, of replayed records, and
    /// where data was not only read by `recv`.
    pub reader_inside_ns: Option<u64>,
    /// How long the window offered to the peer was 0, in ns, as far as hooks saw it.
    pub window_zero_ns: u64,
    /// The last time that it fell to 0; null: it did not.
    pub window_shut: Option<WindowShut>,
}

/// What readers did for most of the time in which there was data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// They read: one was inside `recv` and did not wait for more.
    Inside,
    /// None was at it: they were elsewhere, or were woken and did not run yet.
    Elsewhere,
}

/// What reads in another way than by `tcp_recvmsg_locked`.
const OTHER_READS: [ReceiveCause; 6] = [
    ReceiveCause::ReadSpliced,
    ReceiveCause::ReadKtls,
    ReceiveCause::ReadZerocopy,
    ReceiveCause::SockmapTaken,
    ReceiveCause::SockmapRead,
    ReceiveCause::MptcpTaken,
];

impl ReceiveAccount {
    /// What readers did while there was data, where there was for half of the time or longer; None
    /// also where they did either for a quarter of it at least.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        let (data, inside) = (self.data_waits_ns, self.reader_inside_ns?);
        let empty = self.reader_waits_ns.saturating_add(self.idle_ns);
        let share = u128::from(inside) * 4;
        match u128::from(data) {
            0 => None,
            _ if data < empty => None,
            data if share > data * 3 => Some(Reading::Inside),
            data if share < data => Some(Reading::Elsewhere),
            _ => None,
        }
    }

    /// What was booked under a cause, in bytes; 0 where nothing was.
    #[must_use]
    pub fn of_cause(&self, cause: ReceiveCause) -> i64 {
        let part = self.causes.iter().find(|part| part.cause == cause);
        part.map_or(0, |part| part.bytes)
    }

    /// None where bytes were not accounted for: an old recording. `now_ns` is when the account was
    /// read.
    pub(super) fn of(r: &Receiving, now_ns: u64) -> Option<Self> {
        if r.ledger.started == 0 {
            return None;
        }
        let mut causes = Vec::new();
        let (mut sum, mut payload) = (0_i64, 0_i64);
        for cause in ReceiveCause::ALL {
            let total = r.total(*cause);
            if total.count == 0 && total.bytes == 0 {
                continue;
            }
            sum = sum.saturating_add(total.bytes);
            if cause.is_payload() {
                payload = payload.saturating_add(total.bytes);
            }
            causes.push(ReceivePart {
                cause: *cause,
                bytes: total.bytes,
                inferred: total.inferred,
                count: total.count,
            });
        }
        let moves = RcvbufCause::ALL.iter().map(|cause| {
            let moved = r.ledger.rcvbuf_moved(*cause);
            RcvbufMoves {
                cause: *cause,
                bytes: moved.bytes,
                count: moved.count,
            }
        });
        let unnamed = r.total(ReceiveCause::Unattributed);
        let mut clocks = r.clocks;
        let place = r.clock as usize % CLOCKS;
        clocks[place] = clocks[place].saturating_add(now_ns.saturating_sub(r.clocks_ns));
        let inside = clocks[CLOCK_READER_INSIDE];
        let other_reads = OTHER_READS.iter().any(|cause| r.total(*cause).count != 0);
        let shut_now = match r.shut_since_ns {
            0 => 0,
            since => now_ns.saturating_sub(since),
        };
        Some(Self {
            causes,
            sum,
            // What is not booked yet is that of a hook to come: the sum is of the last one.
            closes: sum == i64::from(r.ledger.r).saturating_add(i64::from(r.errors_queued())),
            unattributed: unnamed.bytes,
            unattributed_count: unnamed.count,
            payload,
            error_queue: r.errors_queued().into(),
            unequal: r.ledger.unequal.into(),
            rcvbuf_first: r.ledger.first_rcvbuf.into(),
            rcvbuf_moves: moves.filter(|m| m.count != 0).collect(),
            reader_waits_ns: clocks[CLOCK_READER_WAITS],
            idle_ns: clocks[CLOCK_IDLE],
            data_waits_ns: clocks[CLOCK_DATA_WAITS].saturating_add(inside),
            reader_inside_ns: (r.inside_kept != 0 && !other_reads).then_some(inside),
            window_zero_ns: r.shut_ns.saturating_add(shut_now),
            window_shut: WindowShut::of(&r.shut),
        })
    }
}

impl WindowShut {
    fn of(shut: &Shut) -> Option<Self> {
        let [rmem_alloc, unread, held, errors] =
            [shut.rmem_alloc, shut.unread, shut.held, shut.errors].map(i64::from);
        let rest = rmem_alloc - unread - held - errors;
        let parts = [
            (unread, HeldBy::Unread),
            (held, HeldBy::Held),
            (errors, HeldBy::ErrorQueue),
            (rest, HeldBy::Overhead),
        ];
        // The first of equals: the reader.
        let most = parts.iter().rev().max_by_key(|(bytes, _)| *bytes);
        (shut.at_ns != 0).then_some(Self {
            at_ns: shut.at_ns,
            rmem_alloc,
            rcvbuf: shut.rcvbuf.into(),
            unread,
            held,
            errors,
            rest,
            held_by: most.map_or(HeldBy::Unread, |(_, by)| *by),
        })
    }
}
