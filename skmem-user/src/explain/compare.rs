//! A case without and with a fix, side by side: what the fix changed, and what
//! of its price was to be seen. Pure, and JSON as `docs/json.md` says.

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::{
    cause::Cause,
    record::{Event, FLAG_LOCKLESS},
};

use super::{
    named::maybe_by_name,
    verdict::{SCHEMA, Verdict},
};
use crate::model::timeline::WaitReason;

/// The most that a socket's records show, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    send_q: i64,
    wmem_queued: i64,
    excess: Option<i64>,
}

/// One run of a case, as far as it is compared. Integers are bytes unless they
/// are counts or end in `_ns`.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Run {
    /// The command that repeats it.
    pub command: String,
    /// The most of `write_seq - snd_una`.
    pub peak_send_q: i64,
    /// The most of `sk_wmem_queued`.
    pub peak_wmem_queued: i64,
    /// The most of `wmem_queued - sndbuf`; negative: never over the limit.
    pub peak_excess: i64,
    /// `sk_sndbuf` at the worst instant.
    pub sndbuf: i64,
    /// `size_goal` at the worst instant.
    pub size_goal: i64,
    /// `skb_overhead` at the worst instant.
    pub skb_overhead: i64,
    /// Payload that the kernel took from the application in all.
    pub taken: i64,
    /// How many skbs it made for that; None where no empty one was seen.
    pub skbs_made: Option<i64>,
    /// Segments with data that were sent; None where it is not known.
    pub segments: Option<u32>,
    /// What held the sender up: `limit`, `memory` or `notsent_lowat`.
    #[serde(serialize_with = "maybe_by_name")]
    #[schemars(with = "Option<String>")]
    pub blocked_on: Option<WaitReason>,
    /// From when skmem first saw the socket to its last record, in ns.
    pub took_ns: u64,
    /// The socket that was furthest over its limit.
    pub verdict: Verdict,
}

/// Both runs.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `uname -r`.
    pub kernel: String,
    /// The case.
    pub scenario: &'static str,
    /// The fix.
    pub fix: &'static str,
    /// What it does.
    pub does: String,
    /// Without the fix.
    pub without: Run,
    /// With it.
    pub with: Run,
    /// The difference: the run with the fix minus the run without.
    pub change: Change,
    /// Whether both runs were over the same limit: the excess is compared
    /// then, else `wmem_queued`.
    pub same_limit: bool,
    /// What follows.
    pub outcome: Outcome,
}

/// The run with the fix minus the run without, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Change {
    /// Of the peak Send-Q.
    pub peak_send_q: i64,
    /// Of the peak `sk_wmem_queued`.
    pub peak_wmem_queued: i64,
    /// Of the peak excess.
    pub peak_excess: i64,
}

/// What a fix did to the excess; to `wmem_queued`, where it moved the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The case does not go over its limit in the first place.
    NothingToFix,
    /// The socket stays within its limit.
    WithinLimit,
    /// It goes less far over it.
    Less,
    /// As far, to one part in ten.
    Same,
    /// Further.
    More,
}

impl Peak {
    /// Takes in a record.
    pub fn note(&mut self, event: &Event) {
        if event.header.flags & FLAG_LOCKLESS != 0 {
            return;
        }
        let view = &event.view;
        self.raise(
            i64::from(view.send_q().cast_signed()),
            i64::from(view.wmem_queued),
            i64::from(view.wmem_queued) - i64::from(view.sndbuf),
        );
    }

    fn raise(&mut self, send_q: i64, wmem_queued: i64, excess: i64) {
        self.send_q = self.send_q.max(send_q);
        self.wmem_queued = self.wmem_queued.max(wmem_queued);
        self.excess = Some(self.excess.map_or(excess, |e| e.max(excess)));
    }
}

impl Run {
    /// From the verdicts on the worst and on the last instant, and what the
    /// records showed. A record may be lost, so the verdicts count too.
    #[must_use]
    pub fn of(
        command: String,
        worst: Verdict,
        last: &Verdict,
        mut peak: Peak,
        segments: Option<u32>,
    ) -> Self {
        for v in [&worst, last] {
            peak.raise(v.send_q, v.wmem_queued, v.excess);
        }
        let made = Cause::ALL
            .iter()
            .filter(|c| c.is_whole_skbs() && !c.is_free());
        let skbs: i64 = made.map(|c| last.cause_total(*c)).sum();
        let one = last.skb_truesize.filter(|one| *one > 0);
        Self {
            command,
            peak_send_q: peak.send_q,
            peak_wmem_queued: peak.wmem_queued,
            peak_excess: peak.excess.unwrap_or(worst.excess),
            sndbuf: worst.sndbuf,
            size_goal: worst.size_goal,
            skb_overhead: worst.skb_overhead,
            taken: last.taken,
            skbs_made: one.map(|one| skbs / one),
            segments,
            blocked_on: last.blocked.map(|b| b.on),
            took_ns: last.at_ns.saturating_sub(last.socket.seen_ns),
            verdict: worst,
        }
    }
}

impl Comparison {
    /// Compares.
    #[must_use]
    pub fn of(
        scenario: &'static str,
        fix: &'static str,
        does: String,
        without: Run,
        with: Run,
    ) -> Self {
        Self {
            schema: SCHEMA,
            kernel: with.verdict.kernel.clone(),
            scenario,
            fix,
            does,
            change: Change::of(&without, &with),
            same_limit: without.sndbuf == with.sndbuf,
            outcome: Outcome::of(&without, &with),
            without,
            with,
        }
    }
}

impl Change {
    pub(super) fn of(without: &Run, with: &Run) -> Self {
        Self {
            peak_send_q: with.peak_send_q - without.peak_send_q,
            peak_wmem_queued: with.peak_wmem_queued - without.peak_wmem_queued,
            peak_excess: with.peak_excess - without.peak_excess,
        }
    }
}

impl Outcome {
    pub(super) fn of(without: &Run, with: &Run) -> Self {
        if without.peak_excess <= 0 && with.peak_excess <= 0 {
            return Self::NothingToFix;
        }
        let (before, after) = if without.sndbuf == with.sndbuf {
            (without.peak_excess, with.peak_excess)
        } else {
            (without.peak_wmem_queued, with.peak_wmem_queued)
        };
        let change = after - before;
        if change.saturating_abs().saturating_mul(10) <= before.max(1) {
            Self::Same
        } else if change > 0 {
            Self::More
        } else if with.peak_excess <= 0 {
            Self::WithinLimit
        } else {
            Self::Less
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        explain::VerdictContext,
        testing::socket::{SETTING, Socket, article},
    };

    fn run(socket: &Socket) -> Run {
        let at_end = VerdictContext {
            at_end: true,
            ..SETTING
        };
        Run::of(
            "skmem demo article".into(),
            socket.verdict(),
            &socket.verdict_in(&at_end),
            Peak::default(),
            Some(20),
        )
    }

    #[test]
    fn a_run_is_its_peaks_and_its_price() {
        let run = run(&article(896));
        assert_eq!((run.peak_send_q, run.peak_wmem_queued), (14_480, 15_376));
        assert_eq!(
            (run.peak_excess, run.sndbuf, run.size_goal),
            (7184, 8192, 14_480)
        );
        assert_eq!((run.taken, run.skbs_made), (43 * 1024 - 880, Some(29)));
        assert_eq!(
            (run.blocked_on, run.skb_overhead),
            (Some(WaitReason::Limit), 896)
        );
    }

    #[test]
    fn records_show_peaks_below_the_limit_and_lockless_ones_do_not_count() {
        let mut socket = Socket::with_sndbuf(65_536, 896);
        socket.write(10_000);
        let mut peak = Peak::default();
        let mut event = Event::default();
        event.view.wmem_queued = 12_000;
        event.view.sndbuf = 131_072;
        event.view.write_seq = 11_000;
        peak.note(&event);
        event.view.wmem_queued = 90_000;
        event.header.flags = FLAG_LOCKLESS;
        peak.note(&event);
        let v = socket.verdict();
        let run = Run::of(String::new(), v.clone(), &v, peak, None);
        assert_eq!((run.peak_send_q, run.peak_wmem_queued), (11_000, 12_000));
        assert_eq!(run.peak_excess, 12_000 - 131_072);
    }

    #[test]
    fn what_a_fix_did() {
        let of = |limit: i64, excess: i64| {
            let mut run = run(&article(896));
            (run.sndbuf, run.peak_excess) = (limit, excess);
            run.peak_wmem_queued = limit + excess;
            run
        };
        let all = [
            (7184, -100, Outcome::WithinLimit),
            (7184, 1408, Outcome::Less),
            (7184, 7184, Outcome::Same),
            (7184, 7800, Outcome::Same),
            (7184, 26_008, Outcome::More),
            (-5, -7, Outcome::NothingToFix),
            (-5, 7, Outcome::More),
        ];
        for (without, with, outcome) in all {
            let (without, with) = (of(8192, without), of(8192, with));
            assert_eq!(
                Outcome::of(&without, &with),
                outcome,
                "{without:?} {with:?}"
            );
        }
        // Half the limit and the same queue is no help, nor harm.
        assert_eq!(
            Outcome::of(&of(8192, 7184), &of(4608, 10_768)),
            Outcome::Same
        );
        assert_eq!(Outcome::of(&of(8192, 7184), &of(46_080, 48)), Outcome::More);
        assert_eq!(
            Outcome::of(&of(8192, 7184), &of(4608, -10)),
            Outcome::WithinLimit
        );
        let fixed = Comparison::of(
            "article",
            "eor",
            String::new(),
            run(&article(896)),
            run(&article(1280)),
        );
        assert_eq!((fixed.change.peak_excess, fixed.same_limit), (384, true));
        assert_eq!(fixed.outcome, Outcome::Same);
    }
}
