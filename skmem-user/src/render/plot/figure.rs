//! What every picture shows, and the words around it.

use skmem_common::cause::{CAUSES, Cause, LimitCause};

use super::palette::{self, BandStyle};
use crate::{
    explain::{Verdict, numbers::grouped},
    model::timeline::{Sample, Timeline},
    render::{
        escape::escaped,
        headline, identity,
        units::{counted, signed, span},
    },
};

/// More bands than this cannot be distinguished: the smallest become one.
const BANDS: usize = 9;

/// A queue that never takes more than one part in this many of its limit is
/// drawn without it.
const FAR: i64 = 8;

/// From the bottom of the stack to its top: what was there before, the skbs,
/// what the send path put into them, what the transmit path made of them.
const ORDER: &[Cause] = &[
    Cause::PreExisting,
    Cause::NewSkb,
    Cause::SkbOverhead,
    Cause::FirstFill,
    Cause::TailAppend,
    Cause::TailRefill,
    Cause::Forced,
    Cause::Splice,
    Cause::ZerocopyPageRounding,
    Cause::MptcpSubflow,
    Cause::MptcpFragHeader,
    Cause::MptcpData,
];

/// A picture to be drawn.
#[derive(Debug)]
pub struct Figure<'a> {
    /// The socket over time.
    pub timeline: &'a Timeline,
    /// What the picture is about; None where the recording does not hold the
    /// socket's account.
    pub verdict: Option<&'a Verdict>,
    /// What the time axis counts from, in ns of `CLOCK_MONOTONIC`: the start
    /// of the recording.
    pub zero_ns: u64,
    /// That instant as a date and time, UTC.
    pub began: String,
    /// That instant, in ns since 1970, UTC.
    pub zero_wall_ns: u64,
    /// The machine's name.
    pub host: String,
    /// It shows all of the recording, not a part.
    pub whole: bool,
    /// What the reader should know besides, a sentence each.
    pub notes: Vec<String>,
}

/// One or more causes, drawn as one.
#[derive(Debug, Clone)]
pub(super) struct Band {
    pub name: String,
    pub look: BandStyle,
    causes: Vec<Cause>,
}

impl Band {
    /// Its bytes in `sample`.
    pub fn of(&self, sample: &Sample) -> i64 {
        let bytes = |cause: &Cause| i64::from(sample.by_cause[*cause as usize % CAUSES]);
        self.causes.iter().map(bytes).sum()
    }
}

impl Figure<'_> {
    /// The verdict in a sentence.
    pub(super) fn title(&self) -> String {
        match self.verdict {
            Some(verdict) => headline::sentence(verdict),
            None => match self.timeline.worst() {
                Some(worst) if worst.excess() > 0 => format!(
                    "wmem_queued went {} bytes over its limit of {}.",
                    grouped(worst.excess()),
                    grouped(worst.sndbuf.into())
                ),
                Some(_) => "The socket never went over its limit.".to_owned(),
                None => "Nothing happened to the socket in this time.".to_owned(),
            },
        }
    }

    /// The verdict in two parts: the fact, and why. The second is empty where
    /// the sentence has one part only.
    pub(super) fn headline(&self) -> (String, String) {
        let title = self.title();
        match title.split_once(": ") {
            Some((fact, why)) => {
                let mut why = why.to_owned();
                if let Some(first) = why.get_mut(..1) {
                    first.make_ascii_uppercase();
                }
                (format!("{fact}."), why)
            }
            None => (title, String::new()),
        }
    }

    /// Whether the queue stays so far below the limit that both on one axis
    /// would leave nothing of it to see.
    pub(super) fn limit_is_far(samples: &[Sample]) -> bool {
        let most = |of: fn(&Sample) -> i64| samples.iter().map(of).max().unwrap_or(0);
        let queued = most(|s| i64::from(s.wmem_queued).max(s.send_q.into()));
        queued > 0 && queued.saturating_mul(FAR) < most(|s| s.sndbuf.into())
    }

    /// Which socket and where, the most telling first.
    pub(super) fn subtitle(&self) -> Vec<String> {
        let mut parts = Vec::new();
        if let Some(v) = self.verdict {
            if v.socket.pid != 0 {
                parts.push(format!(
                    "{} (pid {})",
                    escaped(&v.socket.comm),
                    v.socket.pid
                ));
            }
            parts.push(identity::ends(&v.socket));
            parts.push(identity::name(&v.socket));
            parts.push(format!("kernel {}", escaped(&v.kernel)));
        }
        if !self.host.is_empty() {
            parts.push(format!("host {}", escaped(&self.host)));
        }
        parts
    }

    /// How many sleeps for want of send memory there were, and how long they
    /// took together, in ns: of the whole recording what the account says, as in
    /// the report; of a part of it what the picture shows.
    pub(super) fn slept(&self) -> (u64, u64) {
        match self.verdict.and_then(|v| v.blocked) {
            Some(b) if self.whole => (b.waits.saturating_add(b.asleep), b.total_ns),
            _ => self.timeline.slept(),
        }
    }

    /// What the picture leaves out or adds, a sentence each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let t = self.timeline;
        let mut all = Vec::new();
        let (slept, slept_ns) = self.slept();
        let part = if self.whole { "" } else { " in this part" };
        if slept != 0 {
            all.push(format!(
                "{} for want of send memory{part}, {} together.",
                counted(signed(slept), "sleep"),
                span(slept_ns)
            ));
        }
        let refused: u64 = t.refusals().map(|r| r.count).sum();
        if refused != 0 {
            all.push(format!(
                "{} answered EAGAIN or cut short.",
                counted(signed(refused), "write")
            ));
        }
        let missed: u64 = t.gaps().map(|g| g.count).sum();
        if missed != 0 {
            all.push(format!(
                "{} missing (the ring was full): what they would have named is unattributed.",
                counted(signed(missed), "record")
            ));
        }
        if let Some(v) = self.verdict {
            all.extend(
                v.incomplete_because
                    .iter()
                    .map(|why| format!("Incomplete: {why}.")),
            );
        }
        if let (count, true) = t.thinned() {
            all.push(format!(
                "Drawn from {} samples: where the queue went up and down within a column, the pale part \
                 reaches from the least to the most.",
                grouped(signed(count))
            ));
        }
        all.extend(self.notes.iter().cloned());
        all
    }

    /// The bands of the stack, from the bottom up: of all causes that these
    /// samples hold.
    pub(super) fn bands(samples: &[Sample]) -> Vec<Band> {
        let most = |cause: &Cause| {
            let of = |s: &Sample| i64::from(s.by_cause[*cause as usize % CAUSES]).abs();
            samples.iter().map(of).max().unwrap_or(0)
        };
        let rest = Cause::ALL
            .iter()
            .filter(|c| !ORDER.contains(c) && **c != Cause::Unattributed);
        let order: Vec<Cause> = ORDER
            .iter()
            .chain(rest)
            .chain(&[Cause::Unattributed])
            .copied()
            .filter(|cause| most(cause) != 0)
            .collect();
        let mut by_size = order.clone();
        by_size.sort_by_key(|cause| std::cmp::Reverse(most(cause)));
        // What has no name is never hidden among others.
        let own = |cause: &Cause| {
            order.len() <= BANDS
                || *cause == Cause::Unattributed
                || by_size[..BANDS - 1].contains(cause)
        };
        let mut bands: Vec<Band> = order
            .iter()
            .filter(|cause| own(cause))
            .map(|cause| Band {
                name: cause.name().to_owned(),
                look: palette::of(*cause),
                causes: vec![*cause],
            })
            .collect();
        let others: Vec<Cause> = order.iter().filter(|c| !own(c)).copied().collect();
        if !others.is_empty() {
            bands.push(Band {
                name: format!("{} others", others.len()),
                look: palette::OTHER,
                causes: others,
            });
        }
        bands
    }

    /// What the limit's move is called next to its mark.
    pub(super) fn move_label(cause: LimitCause) -> &'static str {
        match cause {
            LimitCause::SetByApplication => "set by the application",
            LimitCause::AutotunedUp => "autotuned up",
            LimitCause::ShrunkByMemoryPressure => "shrunk by memory pressure",
            LimitCause::LoweredBelowQueue => "lowered below the queue",
            LimitCause::AutotunedDown => "autotuned down",
            LimitCause::MptcpSync => "that of the MPTCP socket",
            LimitCause::MptcpSubflows => "from the limits of the subflows",
        }
    }

    /// Seconds since the zero of the time axis, as a person would write them.
    pub(super) fn since_zero(&self, at_ns: u64) -> String {
        match at_ns.checked_sub(self.zero_ns) {
            Some(ns) => format!("+{}", span(ns)),
            None => format!("-{}", span(self.zero_ns - at_ns)),
        }
    }

    /// The worst instant, in words; None where the limit was kept.
    pub(super) fn worst_label(&self) -> Option<String> {
        let worst = self.timeline.worst().filter(|w| w.excess() > 0)?;
        Some(format!(
            "worst: {} bytes over at {}",
            grouped(worst.excess()),
            self.since_zero(worst.time_ns)
        ))
    }
}

/// The legend's remark on the stack.
pub(super) const STACK_NOTE: &str = "wmem_queued, stacked by the cause that put the bytes there. \
    Acknowledgements are taken to free the oldest bytes first; the height is exact.";
