//! Which advice fits a verdict, and in what order: what frees the sender
//! first, then what answers the causes, the largest first.

use skmem_common::{
    cause::{Cause, LimitCause},
    output::Holder,
};

use super::{
    numbers::grouped,
    remedies::Remedy,
    texts,
    verdict::{Advice, AnyCause, LimitChange, Verdict, Why},
};
use crate::model::timeline::WaitReason;

/// A cause matters where it is at least one part in this many of the growth
/// since the admission.
const SHARE: i64 = 20;

/// `SOCK_MIN_SNDBUF`, in bytes.
pub(crate) const MINIMUM: i64 = 4608;

/// `GSO_LEGACY_MAX_SIZE` of linux/netdevice.h: more in one skb is BIG TCP.
const GSO_LEGACY_MAX_SIZE: i64 = 65_536;

/// What the causes that matter are.
pub(super) fn explanation(verdict: &Verdict) -> Vec<Why> {
    if verdict.excess <= 0 {
        return Vec::new();
    }
    let matter = matter(verdict).into_iter();
    let why = |cause: AnyCause| {
        texts::named(cause).map(|words| Why {
            cause,
            sentence: words.sentence,
            function: words.function,
            versions: words.versions,
        })
    };
    matter.filter_map(|(cause, _)| why(cause)).collect()
}

/// What can be done.
pub(super) fn useful(verdict: &Verdict) -> Vec<Advice> {
    let mut list = List::default();
    let growth = growth(verdict);
    if let Some((cause, _)) = growth.first()
        && verdict.peer_window.closed
    {
        list.add(verdict, *cause, Remedy::Reader);
    }
    if verdict.excess > 0 {
        for (cause, _) in matter(verdict) {
            let remedies = texts::named(cause).map_or(&[][..], |words| words.remedies);
            for remedy in remedies.iter().filter(|r| fits(verdict, **r)) {
                list.add(verdict, cause, *remedy);
            }
        }
    }
    let limit = limit_cause(verdict);
    if fits(verdict, Remedy::Doubled) {
        list.add(verdict, limit, Remedy::Doubled);
    }
    if verdict.unattributed_count != 0 {
        list.add(
            verdict,
            AnyCause::Queue(Cause::Unattributed),
            Remedy::Report,
        );
    }
    match verdict.blocked.map(|b| b.on) {
        Some(WaitReason::Limit) if !verdict.peer_window.closed && may_be_limit(verdict) => {
            list.add(verdict, limit, Remedy::RaiseLimit);
        }
        Some(WaitReason::Memory) => {
            list.add(
                verdict,
                AnyCause::Limit(LimitCause::ShrunkByMemoryPressure),
                Remedy::FindMemory,
            );
        }
        Some(WaitReason::NotsentLowat) => {
            list.add(verdict, AnyCause::NotsentLowat, Remedy::RaiseLowat);
        }
        _ => {}
    }
    list.0.into_iter().map(|(_, advice)| advice).collect()
}

/// What is often said to help, and why it does not here.
pub(super) fn useless(verdict: &Verdict) -> Vec<Advice> {
    let growth = growth(verdict);
    let useless = |cause: AnyCause| texts::named(cause).map_or(&[][..], |words| words.useless);
    let main = growth.iter().find(|(cause, _)| !useless(*cause).is_empty());
    let mut list = List::default();
    if let Some((cause, _)) = main
        && verdict.excess > 0
        && verdict.size_goal > verdict.mss
    {
        for remedy in useless(*cause).iter().filter(|r| fits(verdict, **r)) {
            list.add(verdict, *cause, *remedy);
        }
    }
    list.0.into_iter().map(|(_, advice)| advice).collect()
}

/// What pushed the excess up since the admission, largest first.
pub(crate) fn growth(verdict: &Verdict) -> Vec<(AnyCause, i64)> {
    let mut growth: Vec<_> = verdict
        .causes
        .iter()
        .map(|c| (AnyCause::Queue(c.cause), c.bytes))
        .filter(|(_, bytes)| *bytes > 0)
        .collect();
    let fallen = verdict.limit_moved();
    if fallen > 0 {
        growth.push((limit_cause(verdict), fallen));
    }
    // What was over the limit when skmem first saw the socket has no other name.
    let before = verdict.cause_total(Cause::PreExisting);
    if verdict.admission.count == 0 && before > 0 {
        growth.push((AnyCause::Queue(Cause::PreExisting), before));
    }
    growth.sort_by_key(|(_, bytes)| -bytes);
    growth
}

/// The part of it that is not negligible.
fn matter(verdict: &Verdict) -> Vec<(AnyCause, i64)> {
    let mut growth = growth(verdict);
    let sum: i64 = growth.iter().map(|(_, bytes)| bytes).sum();
    growth.retain(|(_, bytes)| bytes.saturating_mul(SHARE) >= sum);
    growth
}

/// The cause of the limit as it stands: that of the last move, or of no move
/// at all.
fn limit_cause(verdict: &Verdict) -> AnyCause {
    let since = |m: &&LimitChange| m.since_admission || m.to == verdict.sndbuf;
    let last = verdict.limit_moves.iter().rev().find(since);
    let by_lock = match verdict.limit_locked {
        true => LimitCause::SetByApplication,
        false => LimitCause::AutotunedUp,
    };
    AnyCause::Limit(last.and_then(|m| m.cause).unwrap_or(by_lock))
}

/// Whether a larger limit might let the sender go faster.
fn may_be_limit(verdict: &Verdict) -> bool {
    verdict
        .blame
        .as_ref()
        .is_none_or(|b| b.holder == Holder::Limit)
}

/// Payload that came since the admission, in bytes.
fn payload_since(verdict: &Verdict) -> i64 {
    let payload = verdict.causes.iter().filter(|c| c.cause.is_payload());
    payload.map(|c| c.bytes).sum()
}

fn bounds_unsent(verdict: &Verdict) -> bool {
    verdict.unsent > verdict.size_goal
}

/// Whether a remedy for a cause does something for this socket.
fn fits(verdict: &Verdict, remedy: Remedy) -> bool {
    match remedy {
        Remedy::Reader => verdict.peer_window.closed,
        Remedy::NoBigTcp => verdict.size_goal > GSO_LEGACY_MAX_SIZE,
        // No skb takes less than a segment.
        Remedy::SmallerGoal => verdict.gso_segs > 1 && payload_since(verdict) > verdict.mss,
        // With a smaller size_goal more skbs pass the test: it helps where one
        // alone goes far past the limit, and may do harm where it does not.
        Remedy::SmallerWindow => verdict.size_goal >= 2 * verdict.sndbuf,
        Remedy::BoundUnsent => bounds_unsent(verdict),
        Remedy::Doubled => verdict
            .so_sndbuf
            .is_some_and(|asked| verdict.send_q > asked && asked > 0),
        Remedy::FixLimit | Remedy::LockLimit => !verdict.limit_locked,
        Remedy::SmallerLimit => verdict.size_goal >= verdict.sndbuf,
        Remedy::Unset => verdict.limit_locked && verdict.size_goal >= verdict.sndbuf,
        Remedy::LowatOneSkb => !bounds_unsent(verdict),
        // Copied, the tail skb takes up to size_goal without a test. Where one
        // call's pages are over the limit by themselves (pages of 16 KiB, small
        // limits), that is further.
        Remedy::CopySmall => verdict.excess > verdict.size_goal,
        Remedy::LargerWrites => {
            verdict.skbs.is_some_and(|n| n > 2) && verdict.skb_overhead * 4 > verdict.payload
        }
        _ => true,
    }
}

#[derive(Default)]
struct List(Vec<(Remedy, Advice)>);

impl List {
    fn add(&mut self, verdict: &Verdict, cause: AnyCause, remedy: Remedy) {
        if self.0.iter().any(|(had, _)| *had == remedy) {
            return;
        }
        let words = remedy.words();
        let mut advice = words.advice.to_owned();
        if let Some(here) = here(verdict, remedy) {
            advice.push(' ');
            advice.push_str(&here);
        }
        self.0.push((
            remedy,
            Advice {
                cause,
                advice,
                price: words.price.to_owned(),
                evidence: words.evidence.to_string(),
                reproduce: (!words.reproduce.is_empty()).then_some(words.reproduce),
            },
        ));
    }
}

/// What a remedy means in this socket's numbers.
fn here(verdict: &Verdict, remedy: Remedy) -> Option<String> {
    let goal = grouped(verdict.size_goal);
    let mss = grouped(verdict.mss);
    match remedy {
        Remedy::NoBigTcp => Some(format!("Here size_goal is {goal} bytes.")),
        Remedy::SmallerGoal if verdict.gso_segs > 10 => Some(format!(
            "Here size_goal is {goal} bytes ({} × {mss}); N = 10 makes it {}.",
            verdict.gso_segs,
            grouped(10 * verdict.mss)
        )),
        Remedy::SmallerGoal => Some(format!(
            "Here size_goal is {goal} bytes ({} × {mss}) already; each segment less takes off \
             {mss}.",
            verdict.gso_segs
        )),
        Remedy::Doubled if verdict.size_goal < verdict.sndbuf => {
            let half = verdict.so_sndbuf? / 2;
            let above_minimum = 2 * half >= MINIMUM;
            above_minimum.then(|| {
                let limit = grouped(2 * half);
                format!("For a limit of {limit}, pass {}.", grouped(half))
            })
        }
        Remedy::Reader => Some(format!(
            "The window is {} bytes, {} of them in flight.",
            grouped(verdict.peer_window.last_bytes),
            grouped(verdict.peer_window.last_in_flight)
        )),
        _ => None,
    }
}
