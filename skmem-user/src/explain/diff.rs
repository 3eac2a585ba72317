//! Two recordings side by side: what a change between them did to the excess,
//! to its causes and to blocked senders. Pure, and JSON as `docs/json.md` says.

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::{cause::Cause, receive_cause::ReceiveCause};

use super::{
    compare::{Change, Outcome, Run},
    named::by_name,
    verdict::{SCHEMA, Verdict},
};

/// Two recordings, `after` less `before`.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Difference {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The first recording.
    pub before: Side,
    /// The second.
    pub after: Side,
    /// Of the sockets that are compared.
    pub change: Change,
    /// Whether both were over the same limit: the excess is compared then,
    /// else `wmem_queued`.
    pub same_limit: bool,
    /// What follows.
    pub outcome: Outcome,
    /// Bytes since the last admission at the worst instants, by cause.
    pub causes: Vec<CauseChange>,
    /// Bytes of receive memory, in and out, of all sockets; empty without `--rx`.
    pub receive_causes: Vec<ReceiveCauseChange>,
}

/// One recording. Integers are bytes unless they are counts or end in `_ns`.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Side {
    /// Its file.
    pub file: String,
    /// The machine's name.
    pub host: String,
    /// `uname -r`.
    pub kernel: String,
    /// How long it is.
    pub recorded_ns: u64,
    /// Records in it.
    pub events: u64,
    /// Records that found the ring full; None where it has no end.
    pub lost: Option<u64>,
    /// Sockets, those never over their limit included.
    pub sockets: u64,
    /// Of those, how many went over it.
    pub over_limit: u64,
    /// Payload that the kernel took, of all sockets.
    pub taken: i64,
    /// How long senders slept, of all sockets.
    pub blocked_ns: u64,
    /// The receive sides of all sockets together; None without `--rx`.
    pub receive: Option<ReceiveSide>,
    /// The socket that is compared.
    pub run: Run,
}

/// A cause's bytes in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct CauseChange {
    /// Its name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: Cause,
    /// In the first recording.
    pub before: i64,
    /// In the second.
    pub after: i64,
    /// The second less the first.
    pub change: i64,
}

/// The receive sides of all sockets of a recording, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ReceiveSide {
    /// Payload that arrived in sequence.
    pub payload: i64,
    /// Times that applications took data.
    pub reads: u64,
    /// Times that a window fell to 0.
    pub zero_windows: u64,
    /// How long windows were 0.
    pub window_zero_ns: u64,
    /// How long data waited to be read, or was being read.
    pub data_waits_ns: u64,
    /// The part of it in which a reader was inside `recv` and did not wait for more; None where it
    /// is not known of each socket.
    pub reader_inside_ns: Option<u64>,
    /// How long all was read and a reader slept in `recv`.
    pub reader_waits_ns: u64,
    /// Bytes of `rmem_alloc` by cause, in the order of [`ReceiveCause::ALL`].
    #[serde(skip)]
    causes: Vec<i64>,
}

/// A cause's bytes of receive memory in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ReceiveCauseChange {
    /// Its name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: ReceiveCause,
    /// In the first recording.
    pub before: i64,
    /// In the second.
    pub after: i64,
    /// The second less the first.
    pub change: i64,
}

impl ReceiveSide {
    fn of(verdicts: &[Verdict]) -> Option<Self> {
        let accounts = verdicts
            .iter()
            .filter_map(|v| v.receive.as_ref())
            .filter_map(|r| Some((r, r.account.as_ref()?)));
        let mut sum: Option<Self> = None;
        for (receive, account) in accounts {
            let sum = sum.get_or_insert_with(|| Self {
                causes: vec![0; ReceiveCause::ALL.len()],
                reader_inside_ns: Some(0),
                ..Self::default()
            });
            sum.payload = sum.payload.saturating_add(account.payload);
            let add = |to: &mut u64, n: u64| *to = to.saturating_add(n);
            add(&mut sum.reads, receive.reads);
            add(&mut sum.zero_windows, receive.zero_windows);
            add(&mut sum.window_zero_ns, account.window_zero_ns);
            add(&mut sum.data_waits_ns, account.data_waits_ns);
            let inside = sum.reader_inside_ns.zip(account.reader_inside_ns);
            sum.reader_inside_ns = inside.map(|(sum, n)| sum.saturating_add(n));
            add(&mut sum.reader_waits_ns, account.reader_waits_ns);
            for (to, cause) in sum.causes.iter_mut().zip(ReceiveCause::ALL) {
                *to = to.saturating_add(account.of_cause(*cause));
            }
        }
        sum
    }
}

/// Those of either, what changed most first.
fn receive_causes(
    before: Option<&ReceiveSide>,
    after: Option<&ReceiveSide>,
) -> Vec<ReceiveCauseChange> {
    let of = |side: Option<&ReceiveSide>, n: usize| {
        side.and_then(|side| side.causes.get(n).copied())
            .unwrap_or(0)
    };
    let mut causes: Vec<ReceiveCauseChange> = ReceiveCause::ALL
        .iter()
        .enumerate()
        .map(|(n, cause)| ReceiveCauseChange {
            cause: *cause,
            before: of(before, n),
            after: of(after, n),
            change: of(after, n).saturating_sub(of(before, n)),
        })
        .filter(|c| (c.before, c.after) != (0, 0))
        .collect();
    causes.sort_by_key(|c| std::cmp::Reverse(c.change.unsigned_abs()));
    causes
}

impl Side {
    /// Adds up what concerns all sockets. `verdicts` are on all of them.
    #[must_use]
    pub fn over_all(mut self, verdicts: &[Verdict]) -> Self {
        self.over_limit = verdicts.iter().filter(|v| v.over_limit).count() as u64;
        self.taken = verdicts.iter().map(|v| v.taken).sum();
        let slept = verdicts.iter().filter_map(|v| v.blocked);
        self.blocked_ns = slept.fold(0, |sum, b| sum.saturating_add(b.total_ns));
        self.receive = ReceiveSide::of(verdicts);
        self
    }
}

impl Difference {
    /// Compares.
    #[must_use]
    pub fn of(before: Side, after: Side) -> Self {
        let (a, b) = (&before.run, &after.run);
        Self {
            schema: SCHEMA,
            change: Change::of(a, b),
            same_limit: a.sndbuf == b.sndbuf,
            outcome: Outcome::of(a, b),
            causes: causes(&a.verdict, &b.verdict),
            receive_causes: receive_causes(before.receive.as_ref(), after.receive.as_ref()),
            before,
            after,
        }
    }
}

/// Those of either, what changed most first.
fn causes(before: &Verdict, after: &Verdict) -> Vec<CauseChange> {
    let of = |v: &Verdict, cause: Cause| if v.over_limit { v.cause(cause) } else { 0 };
    let mut causes: Vec<CauseChange> = Cause::ALL
        .iter()
        .map(|cause| {
            let (before, after) = (of(before, *cause), of(after, *cause));
            CauseChange {
                cause: *cause,
                before,
                after,
                change: after - before,
            }
        })
        .filter(|c| (c.before, c.after) != (0, 0))
        .collect();
    causes.sort_by_key(|c| std::cmp::Reverse(c.change.abs()));
    causes
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use skmem_common::{receive::CLOCK_READER_INSIDE, receive_ledger::End};

    use crate::{
        explain::compare::Peak,
        testing::socket::{Socket, article},
    };

    pub(crate) fn side(file: &str, socket: &Socket) -> Side {
        let v = socket.verdict();
        Side {
            file: file.into(),
            host: "here".into(),
            kernel: v.kernel.clone(),
            recorded_ns: 30_000_000_000,
            events: 1_234_567,
            lost: Some(0),
            sockets: 1,
            over_limit: 0,
            taken: 0,
            blocked_ns: 0,
            receive: None,
            run: Run::of("./sender".into(), v.clone(), &v, Peak::default(), None),
        }
        .over_all(&[v])
    }

    /// The article's socket with smaller skbs.
    pub(crate) fn smaller() -> Socket {
        let mut small = Socket::with_sndbuf(4096, 896);
        small.view.gso_segs = 4;
        while small.write(1024) {}
        small
    }

    #[test]
    fn what_changed_most_comes_first() {
        let d = Difference::of(side("a", &article(896)), side("b", &smaller()));
        assert_eq!((d.change.peak_excess, d.same_limit), (-2000, true));
        assert_eq!(d.outcome, Outcome::Less);
        assert_eq!((d.before.over_limit, d.after.taken), (1, 11_584));
        assert!(d.causes.is_sorted_by_key(|c| -c.change.abs()));
        for c in &d.causes {
            assert_eq!(c.change, c.after - c.before);
        }
        let sum: i64 = d.causes.iter().map(|c| c.after).sum();
        let v = &d.after.run.verdict;
        assert_eq!(sum, v.causes.iter().map(|c| c.bytes).sum::<i64>());
    }

    /// The article's socket, which also received.
    pub(crate) fn receiving(payload: u32) -> Socket {
        let mut socket = article(896);
        let r = &mut socket.account.receiving;
        r.start(false, 0);
        r.now.rcv_nxt = payload;
        r.now.rmem_alloc = 896 + payload.cast_signed();
        r.ended(End::queued(false, 896 + payload, payload), 5_000);
        socket
    }

    #[test]
    fn receive_sides_are_added_up() {
        let d = Difference::of(side("a", &receiving(1_000)), side("b", &receiving(5_000)));
        let side = |s: &Side| s.receive.as_ref().map(|r| (r.payload, r.reads));
        assert_eq!(side(&d.before), Some((1_000, 0)));
        assert_eq!(side(&d.after), Some((5_000, 0)));
        let of = |n: usize| (d.receive_causes[n].cause, d.receive_causes[n].change);
        assert_eq!(of(0), (ReceiveCause::InOrder, 4_000));
        assert_eq!(of(1), (ReceiveCause::InOrderOverhead, 0));
        assert_eq!(d.receive_causes.len(), 2);
    }

    #[test]
    fn time_inside_recv_is_added_up_where_it_is_known_of_each_socket() {
        let unknown = receiving(1_000).verdict();
        let mut socket = receiving(1_000);
        let r = &mut socket.account.receiving;
        r.inside_kept = 1;
        r.clocks[CLOCK_READER_INSIDE] = 7;
        let known = socket.verdict();
        let sum = |verdicts: &[Verdict]| {
            let side = ReceiveSide::of(verdicts).unwrap();
            side.reader_inside_ns
        };
        assert_eq!(sum(&[known.clone(), known.clone()]), Some(14));
        assert_eq!(sum(&[known.clone(), unknown.clone()]), None);
        assert_eq!(sum(&[unknown, known]), None);
    }

    #[test]
    fn a_socket_within_its_limit_has_no_causes() {
        let mut calm = Socket::with_sndbuf(65_536, 896);
        calm.write(1024);
        let d = Difference::of(side("a", &article(896)), side("b", &calm));
        assert!(d.causes.iter().all(|c| c.after == 0));
        assert_eq!(d.after.over_limit, 0);
    }
}
