//! Two recordings side by side: what a change between them did to the excess,
//! to its causes and to blocked senders. Pure, and JSON as `docs/json.md` says.

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::cause::Cause;

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

impl Side {
    /// Adds up what concerns all sockets. `verdicts` are on all of them.
    #[must_use]
    pub fn over_all(mut self, verdicts: &[Verdict]) -> Self {
        self.over_limit = verdicts.iter().filter(|v| v.over_limit).count() as u64;
        self.taken = verdicts.iter().map(|v| v.taken).sum();
        let slept = verdicts.iter().filter_map(|v| v.blocked);
        self.blocked_ns = slept.fold(0, |sum, b| sum.saturating_add(b.total_ns));
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
    use crate::explain::{
        compare::Peak,
        tests::socket::{Socket, article},
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

    #[test]
    fn a_socket_within_its_limit_has_no_causes() {
        let mut calm = Socket::with_sndbuf(65_536, 896);
        calm.write(1024);
        let d = Difference::of(side("a", &article(896)), side("b", &calm));
        assert!(d.causes.iter().all(|c| c.after == 0));
        assert_eq!(d.after.over_limit, 0);
    }
}
