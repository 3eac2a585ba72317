//! The receive side of an account as a recording keeps it: causes by their names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skmem_common::{
    ledger::Total,
    receive::{CLOCK_READER_INSIDE, CLOCKS, ReceiveView, Receiving, Shut},
    receive_cause::{RcvbufCause, ReceiveCause},
    receive_ledger::{RcvbufTotal, ReceiveLedger},
};

use super::{
    account::{LARGEST_SUM, mirror},
    error::FormatError,
};

/// A socket's receive side. What older versions did not write is 0.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ReceivingForm {
    now: ViewForm,
    fullest: ViewForm,
    now_ns: u64,
    fullest_ns: u64,
    segments: u64,
    reads: u64,
    last_read_ns: u64,
    unread_since_ns: u64,
    longest_unread_ns: u64,
    granted: u64,
    refused: u64,
    bytes: u64,
    zero_windows: u32,
    /// None: bytes were not accounted for.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<LedgerForm>,
}

mirror!(
    #[derive(Default)]
    #[serde(default)]
    ViewForm of ReceiveView {
        rmem_alloc: i32, rcvbuf: i32, backlog: i32, forward_alloc: i32, rcv_nxt: u32,
        copied_seq: u32, window: u32, state: u32,
    }
);

mirror!(
    #[derive(Default)]
    #[serde(default)]
    ShutForm of Shut {
        at_ns: u64, rmem_alloc: i32, rcvbuf: i32, unread: i32, held: i32, errors: i32,
    } zero reserved
);

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct LedgerForm {
    r: i32,
    rcvbuf: i32,
    first_rcvbuf: i32,
    rcv_nxt: u32,
    copied_seq: u32,
    unequal: u32,
    /// By cause: bytes, the part of them that was inferred, count.
    total: BTreeMap<String, (i64, i64, u64)>,
    /// By cause: bytes, count.
    rcvbuf_moves: BTreeMap<String, (i64, u64)>,
    errors_in: u64,
    errors_out: u64,
    errors_in_count: u64,
    errors_out_count: u64,
    /// The time that data waits holds [`CLOCK_READER_INSIDE`], too, as it did before that was kept.
    clocks: [u64; CLOCKS],
    clocks_ns: u64,
    /// Here the two are one.
    clock: u32,
    waiting: u32,
    /// None: when readers come in was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    inside: Option<u32>,
    shut_ns: u64,
    shut_since_ns: u64,
    shut: ShutForm,
}

impl ReceivingForm {
    pub(super) fn of(r: &Receiving) -> Self {
        Self {
            now: r.now.into(),
            fullest: r.fullest.into(),
            now_ns: r.now_ns,
            fullest_ns: r.fullest_ns,
            segments: r.segments,
            reads: r.reads,
            last_read_ns: r.last_read_ns,
            unread_since_ns: r.unread_since_ns,
            longest_unread_ns: r.longest_unread_ns,
            granted: r.granted,
            refused: r.refused,
            bytes: r.bytes,
            zero_windows: r.zero_windows,
            account: (r.ledger.started != 0).then(|| LedgerForm::of(r)),
        }
    }

    pub(super) fn fill(self, to: &mut Receiving) -> Result<(), FormatError> {
        *to = Receiving {
            now: self.now.into(),
            fullest: self.fullest.into(),
            now_ns: self.now_ns,
            fullest_ns: self.fullest_ns,
            segments: self.segments,
            reads: self.reads,
            last_read_ns: self.last_read_ns,
            unread_since_ns: self.unread_since_ns,
            longest_unread_ns: self.longest_unread_ns,
            granted: self.granted,
            refused: self.refused,
            bytes: self.bytes,
            zero_windows: self.zero_windows,
            ..Receiving::default()
        };
        match self.account {
            Some(account) => account.fill(to),
            None => Ok(()),
        }
    }
}

impl LedgerForm {
    fn of(r: &Receiving) -> Self {
        let ledger = &r.ledger;
        let total = ReceiveCause::ALL.iter().filter_map(|cause| {
            let t = ledger.total(*cause);
            let named = (cause.name().to_owned(), (t.bytes, t.inferred, t.count));
            (*t != Total::default()).then_some(named)
        });
        let moves = RcvbufCause::ALL.iter().filter_map(|cause| {
            let m = ledger.rcvbuf_moved(*cause);
            let named = (cause.name().to_owned(), (m.bytes, m.count));
            (*m != RcvbufTotal::default()).then_some(named)
        });
        let inside = r.clocks[CLOCK_READER_INSIDE];
        let mut together = *r;
        together.forget_inside();
        if r.inside_kept != 0 {
            together.clocks[CLOCK_READER_INSIDE] = inside;
        }
        Self {
            r: ledger.r,
            rcvbuf: ledger.rcvbuf,
            first_rcvbuf: ledger.first_rcvbuf,
            rcv_nxt: ledger.rcv_nxt,
            copied_seq: ledger.copied_seq,
            unequal: ledger.unequal,
            total: total.collect(),
            rcvbuf_moves: moves.collect(),
            errors_in: r.errors_in,
            errors_out: r.errors_out,
            errors_in_count: r.errors_in_count,
            errors_out_count: r.errors_out_count,
            clocks: together.clocks,
            clocks_ns: r.clocks_ns,
            clock: together.clock,
            waiting: r.waiting,
            inside: (r.inside_kept != 0).then_some(r.inside),
            shut_ns: r.shut_ns,
            shut_since_ns: r.shut_since_ns,
            shut: r.shut.into(),
        }
    }

    fn fill(self, to: &mut Receiving) -> Result<(), FormatError> {
        let sums = self.total.values();
        let sums = sums.flat_map(|(b, i, c)| [b.unsigned_abs(), i.unsigned_abs(), *c]);
        let moves = self.rcvbuf_moves.values();
        let moves = moves.flat_map(|(b, c)| [b.unsigned_abs(), *c]);
        if sums
            .chain(moves)
            .chain(self.clocks)
            .chain([self.errors_in, self.errors_out, self.shut_ns])
            .any(|n| n > LARGEST_SUM)
        {
            return Err(FormatError::Content(
                "an account with sums that no socket has",
            ));
        }
        let unknown = FormatError::Content("an account with an unknown cause");
        let mut ledger = ReceiveLedger {
            r: self.r,
            rcvbuf: self.rcvbuf,
            first_rcvbuf: self.first_rcvbuf,
            rcv_nxt: self.rcv_nxt,
            copied_seq: self.copied_seq,
            unequal: self.unequal,
            started: 1,
            ..ReceiveLedger::default()
        };
        for (name, (bytes, inferred, count)) in &self.total {
            let Some(cause) = ReceiveCause::from_name(name) else {
                return Err(unknown);
            };
            ledger.total[cause as usize] = Total {
                bytes: *bytes,
                inferred: *inferred,
                count: *count,
            };
        }
        for (name, (bytes, count)) in &self.rcvbuf_moves {
            let Some(cause) = RcvbufCause::from_name(name) else {
                return Err(unknown);
            };
            ledger.rcvbuf_moves[cause as usize] = RcvbufTotal {
                bytes: *bytes,
                count: *count,
            };
        }
        to.ledger = ledger;
        to.errors_in = self.errors_in;
        to.errors_out = self.errors_out;
        to.errors_in_count = self.errors_in_count;
        to.errors_out_count = self.errors_out_count;
        to.clocks = self.clocks;
        to.clocks_ns = self.clocks_ns;
        to.clock = self.clock;
        to.waiting = self.waiting;
        if let Some(inside) = self.inside {
            to.tell_inside(inside);
        }
        to.shut_ns = self.shut_ns;
        to.shut_since_ns = self.shut_since_ns;
        to.shut = self.shut.into();
        Ok(())
    }
}
