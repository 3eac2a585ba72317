//! What a short trace found in the send and receive queues that hold most, joined with the
//! snapshot. Pure.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skmem_common::cause::Cause;

use super::Row;
use crate::{
    diag::Protocol,
    explain::{
        Verdict, texts,
        verdict::{self, Receive},
    },
};

/// What `--probe` found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Probe {
    /// How long was traced, ns
    pub traced_ns: u64,
    /// Why nothing was traced; null where it was
    pub failed: Option<String>,
    /// Truesize of an empty packet of TCP's on this kernel, bytes; null: could not be measured
    pub skb_truesize: Option<i64>,
    /// Sockets whose send queues hold most, in the snapshot's order
    pub sockets: Vec<Probed>,
    /// Sockets whose receive queues hold most, those first
    pub receivers: Vec<ProbedReceiver>,
}

/// Which socket it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Which")]
pub struct ProbedSocket {
    /// `SO_COOKIE`
    pub cookie: u64,
    /// Network namespace, by inode
    pub netns: u64,
    /// Local address
    pub src: IpAddr,
    /// Local port
    pub sport: u16,
    /// Remote address
    pub dst: IpAddr,
    /// Remote port
    pub dport: u16,
}

/// One of the sockets whose send queues hold most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probed {
    /// Which socket it is
    #[serde(flatten)]
    pub which: ProbedSocket,
    /// `wmem_queued` in the snapshot, which was taken right after the trace, bytes
    pub wmem_queued: i64,
    /// What was traced; null: its queue was empty when the trace began, or it was not there
    pub traced: Option<Traced>,
}

/// One of the sockets whose receive queues hold most.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ProbedReceiver {
    /// Which socket it is
    #[serde(flatten)]
    pub which: ProbedSocket,
    /// `rmem_alloc` in the snapshot, which was taken right after the trace, bytes
    pub rmem_alloc: i64,
    /// Its receive side at the end of the trace, as `skmem explain` has it; null: its queue
    /// was empty when the trace began, or it was not there
    pub receive: Option<Receive>,
}

/// A socket's account at the end of the trace. Bytes, but for counts and times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Traced {
    /// `sk_wmem_queued`: the sum of `ledger`
    pub wmem_queued: i64,
    /// `sk_sndbuf`
    pub sndbuf: i64,
    /// `SOCK_SNDBUF_LOCK`: the application set the limit
    pub limit_locked: bool,
    /// It is an MPTCP socket: `skb_overhead` is that of its data fragments' headers, and it holds
    /// no packets
    #[serde(default)]
    pub mptcp: bool,
    /// Application data in `wmem_queued`
    pub payload: i64,
    /// `wmem_queued` less `payload`
    pub skb_overhead: i64,
    /// How many packets `skb_overhead` is; null where it is not a whole number of them. A count
    pub skbs: Option<i64>,
    /// What put `wmem_queued` there and what took from it, by cause, since the trace began
    pub ledger: Vec<Part>,
    /// What was queued before the trace began: which calls queued it is not known
    pub pre_existing: i64,
    /// The part of `pre_existing` that is still queued: inferred, since acknowledgements free the
    /// oldest bytes
    pub pre_existing_left: i64,
    /// No call has changed the queue during the trace
    pub untouched: bool,
    /// Bytes of `ledger` that were named from the fields, no hook having seen them
    pub inferred: i64,
    /// Bytes of `ledger` that nothing names
    pub unattributed: i64,
    /// How its sender was held up during the trace; null: it was not
    pub held_up: Option<HeldUp>,
    /// The peer's window had no room for another segment
    pub peer_window_closed: bool,
    /// It was closed during the trace
    pub closed: bool,
    /// The sum of `ledger` is `wmem_queued`, to the byte
    pub closes: bool,
}

/// One cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Its name (`skmem causes NAME`)
    pub cause: String,
    /// What it did to `wmem_queued`, bytes; frees are negative
    pub bytes: i64,
    /// How many times
    pub count: u64,
    /// The part of `bytes` that was inferred from the fields
    pub inferred: i64,
    /// What it is, in words
    pub text: String,
}

/// How a sender was held up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeldUp {
    /// What held it up most often: `limit`, `memory` or `notsent_lowat`
    pub on: String,
    /// Threads asleep now
    pub asleep: u64,
    /// How long they have been, ns; of a sleep that began before the trace, what lies in it
    pub asleep_ns: u64,
    /// Sleeps that ended
    pub waits: u64,
    /// Times that a non-blocking sender got EAGAIN
    pub refusals: u64,
    /// Times that it got a short write: part of its data was taken
    #[serde(default)]
    pub short_writes: u64,
}

/// Whether a socket's send queue holds anything that a trace could explain.
#[must_use]
pub fn is_candidate(row: &Row) -> bool {
    row.protocol != Protocol::Udp && row.memory.is_some_and(|memory| memory.wmem_queued > 0)
}

/// Whether a socket's receive queue holds anything that a trace could explain.
#[must_use]
pub fn is_receiver(row: &Row) -> bool {
    row.protocol != Protocol::Udp && row.memory.is_some_and(|memory| memory.rmem_alloc > 0)
}

/// The first `most` sockets whose receive queues hold most.
#[must_use]
pub fn receivers(rows: &[Row], most: usize) -> Vec<&Row> {
    let mut rows: Vec<&Row> = rows.iter().filter(|row| is_receiver(row)).collect();
    rows.sort_by_key(|row| Reverse(row.bytes(|memory| memory.rmem_alloc)));
    rows.truncate(most);
    rows
}

/// The verdict on a row's socket.
#[must_use]
pub fn verdict_on<'a>(row: &Row, verdicts: &'a [Verdict]) -> Option<&'a Verdict> {
    let by_cookie = verdicts
        .iter()
        .find(|v| v.socket.cookie == Some(row.cookie));
    by_cookie.or_else(|| {
        // Where the kernel gives tracing programs no cookies.
        let mut others = verdicts.iter().filter(|v| v.socket.cookie.is_none());
        others.find(|verdict| is_of(&verdict.socket, row))
    })
}

impl Probe {
    /// The first `most` candidates of the snapshot's rows, of both sides, each with its verdict
    /// (`--at-end`).
    #[must_use]
    pub fn new(
        rows: &[Row],
        verdicts: &[Verdict],
        most: usize,
        traced_ns: u64,
        skb_truesize: Option<i64>,
    ) -> Self {
        let by_cookie: HashMap<u64, &Verdict> = verdicts
            .iter()
            .filter_map(|verdict| Some((verdict.socket.cookie?, verdict)))
            .collect();
        let found = |row: &Row| {
            by_cookie.get(&row.cookie).copied().or_else(|| {
                // Where the kernel gives tracing programs no cookies.
                let mut others = verdicts.iter().filter(|v| v.socket.cookie.is_none());
                others.find(|verdict| is_of(&verdict.socket, row))
            })
        };
        let sockets = rows
            .iter()
            .filter(|row| is_candidate(row))
            .take(most)
            .map(|row| Probed {
                which: ProbedSocket::from(row),
                wmem_queued: row.bytes(|memory| memory.wmem_queued),
                traced: found(row).map(|verdict| Traced::new(verdict, skb_truesize)),
            })
            .collect();
        let receivers = receivers(rows, most).into_iter().map(|row| ProbedReceiver {
            which: ProbedSocket::from(row),
            rmem_alloc: row.bytes(|memory| memory.rmem_alloc),
            receive: found(row).and_then(|verdict| verdict.receive.clone()),
        });
        Self {
            traced_ns,
            failed: None,
            skb_truesize,
            sockets,
            receivers: receivers.collect(),
        }
    }

    /// There is no trace.
    #[must_use]
    pub fn failed(why: String) -> Self {
        Self {
            failed: Some(why),
            ..Self::default()
        }
    }
}

impl From<&Row> for ProbedSocket {
    fn from(row: &Row) -> Self {
        Self {
            cookie: row.cookie,
            netns: row.netns,
            src: row.src,
            sport: row.sport,
            dst: row.dst,
            dport: row.dport,
        }
    }
}

fn is_of(socket: &verdict::Socket, row: &Row) -> bool {
    !socket.closed
        && u64::from(socket.netns) == row.netns
        && (socket.sport, socket.dport) == (row.sport, row.dport)
        && socket.src.parse() == Ok(row.src)
        && socket.dst.parse() == Ok(row.dst)
}

impl Traced {
    fn new(verdict: &Verdict, skb_truesize: Option<i64>) -> Self {
        let before = Cause::PreExisting;
        let pre_existing = verdict.cause_total(before);
        let freed: i64 = verdict.ledger.iter().map(|part| part.bytes.min(0)).sum();
        // An MPTCP socket holds no packets.
        let one = verdict
            .skb_truesize
            .or(skb_truesize)
            .filter(|one| *one > 0 && !verdict.is_mptcp());
        let skbs = verdict.skbs.or_else(|| {
            let one = one?;
            (verdict.skb_overhead >= 0 && verdict.skb_overhead % one == 0)
                .then(|| verdict.skb_overhead / one)
        });
        Self {
            wmem_queued: verdict.wmem_queued,
            sndbuf: verdict.sndbuf,
            limit_locked: verdict.limit_locked,
            mptcp: verdict.is_mptcp(),
            payload: verdict.payload,
            skb_overhead: verdict.skb_overhead,
            skbs,
            ledger: verdict.ledger.iter().map(Part::from).collect(),
            pre_existing,
            pre_existing_left: (pre_existing + freed).clamp(0, verdict.wmem_queued.max(0)),
            untouched: verdict.ledger.iter().all(|part| part.cause == before),
            inferred: verdict.inferred,
            unattributed: verdict.unattributed,
            held_up: verdict.blocked.as_ref().map(HeldUp::from),
            peer_window_closed: verdict.peer_window.closed,
            closed: verdict.socket.closed,
            closes: verdict.self_check.ledger_closes,
        }
    }
}

impl From<&verdict::CauseTotal> for Part {
    fn from(total: &verdict::CauseTotal) -> Self {
        Self {
            cause: total.cause.name().to_owned(),
            bytes: total.bytes,
            count: total.count,
            inferred: total.inferred,
            text: texts::of(total.cause).brief.to_owned(),
        }
    }
}

impl From<&verdict::Blocked> for HeldUp {
    fn from(blocked: &verdict::Blocked) -> Self {
        Self {
            on: blocked.on.name().to_owned(),
            asleep: blocked.asleep,
            asleep_ns: blocked.asleep_ns,
            waits: blocked.waits,
            refusals: blocked.refusals,
            short_writes: blocked.short_writes,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        diag::{DiagSocket, TcpState},
        explain::VerdictContext,
        testing::{
            rows::{mem, socket},
            socket as account,
        },
    };

    const AT_END: VerdictContext<'static> = VerdictContext {
        at_end: true,
        ..account::SETTING
    };

    fn row_of(verdict: &Verdict) -> Row {
        let w = i32::try_from(verdict.wmem_queued).unwrap();
        let (src, dst) = (verdict.socket.src.parse(), verdict.socket.dst.parse());
        let one = DiagSocket {
            cookie: verdict.socket.cookie.unwrap_or(99),
            src: src.unwrap(),
            sport: verdict.socket.sport,
            dst: dst.unwrap(),
            dport: verdict.socket.dport,
            send_q: u32::try_from(verdict.send_q).unwrap(),
            ..socket(TcpState::Established, mem(w, 0, 0, 8192))
        };
        Row::new(&one, verdict.socket.netns.into())
    }

    /// A full queue older than the trace, as it is or with a write and an ACK meanwhile.
    pub(crate) fn probed(moved: bool) -> (Row, Probe) {
        let mut older = account::Socket::older(4096, 896, 15_376, 14_480);
        if moved {
            older.view.snd_wnd = 29_200;
            older.ack(1448, 0);
        }
        let verdict = older.verdict_in(&AT_END);
        let row = row_of(&verdict);
        let probe = Probe::new(
            std::slice::from_ref(&row),
            &[verdict],
            5,
            2_000_000_000,
            Some(896),
        );
        (row, probe)
    }

    #[test]
    fn what_was_there_before_is_called_so_and_counted_by_the_fields() {
        let (row, probe) = probed(false);
        assert_eq!(probe.sockets.len(), 1);
        assert_eq!(
            (probe.sockets[0].which.cookie, probe.sockets[0].wmem_queued),
            (row.cookie, 15_376)
        );
        let traced = probe.sockets[0].traced.as_ref().unwrap();
        assert!(traced.untouched && traced.closes && !traced.closed);
        assert_eq!(
            (traced.pre_existing, traced.pre_existing_left),
            (15_376, 15_376)
        );
        assert_eq!(
            (traced.payload, traced.skb_overhead, traced.skbs),
            (14_480, 896, Some(1))
        );
        assert_eq!(traced.ledger.len(), 1);
        assert_eq!(traced.ledger[0].cause, "pre-existing");
    }

    #[test]
    fn what_was_freed_meanwhile_was_of_the_oldest() {
        let (_, probe) = probed(true);
        let traced = probe.sockets[0].traced.as_ref().unwrap();
        assert!(!traced.untouched);
        let sum: i64 = traced.ledger.iter().map(|part| part.bytes).sum();
        assert_eq!(sum, traced.wmem_queued);
        assert_eq!(traced.pre_existing, 15_376);
        assert_eq!(traced.pre_existing_left, traced.wmem_queued);
        assert!(traced.wmem_queued < 15_376);
    }

    #[test]
    fn a_socket_is_found_without_a_cookie_and_not_by_another_port() {
        let mut verdict = account::article(896).verdict_in(&AT_END);
        let row = row_of(&verdict);
        let traced = |verdicts: &[Verdict], row: &Row| {
            Probe::new(std::slice::from_ref(row), verdicts, 1, 1, None).sockets[0]
                .traced
                .clone()
        };
        verdict.socket.cookie = None;
        assert!(traced(&[verdict.clone()], &row).is_some());
        verdict.socket.sport += 1;
        assert!(traced(&[verdict.clone()], &row).is_none());
        verdict.socket.sport -= 1;
        verdict.socket.closed = true;
        assert!(traced(&[verdict], &row).is_none());
    }

    #[test]
    fn receivers_are_those_that_hold_most_in_r_first() {
        let with = |state, r| Row::new(&socket(state, mem(0, r, 0, 8192)), 1);
        let rows = [
            with(TcpState::Established, 10),
            with(TcpState::Established, 0),
            Row {
                protocol: Protocol::Mptcp,
                ..with(TcpState::CloseWait, 4000)
            },
        ];
        let held = |most| {
            let found = receivers(&rows, most).into_iter();
            let held = found.map(|row| row.bytes(|memory| memory.rmem_alloc));
            held.collect::<Vec<_>>()
        };
        assert_eq!(held(5), [4000, 10]);
        assert_eq!(held(1), [4000]);
        let probe = Probe::new(&rows, &[], 1, 1, None);
        assert!(probe.sockets.is_empty());
        assert_eq!(probe.receivers.len(), 1);
        assert!(probe.receivers[0].receive.is_none());
    }

    #[test]
    fn only_send_queues_that_hold_something_are_probed() {
        let with = |state, w| Row::new(&socket(state, mem(w, 5000, 0, 8192)), 1);
        let rows = [
            with(TcpState::Established, 0),
            with(TcpState::Established, 1),
        ];
        assert!(!is_candidate(&rows[0]) && is_candidate(&rows[1]));
        let probe = Probe::new(&rows, &[], 5, 1, None);
        assert_eq!(probe.sockets.len(), 1);
        assert!(probe.sockets[0].traced.is_none());
    }
}
