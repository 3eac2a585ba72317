//! All that a plot of one socket needs, within bounded memory.

use super::{
    thin::{Thin, column},
    track::{LimitMove, Mark, Sample, Track},
    waits::{Sleep, WaitReason},
};
use crate::model::record::Record;

/// Limit moves that are kept; of more, one a column.
const MOVES: usize = 1_000;

/// A stretch of time in which at least one thread slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Start, in ns of `CLOCK_MONOTONIC`.
    pub from_ns: u64,
    /// End, in ns of `CLOCK_MONOTONIC`.
    pub to_ns: u64,
    /// What held the first of them up.
    pub reason: WaitReason,
    /// How many sleeps are in it.
    pub sleeps: u64,
}

/// Things that happened within one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The first of them, in ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// How many.
    pub count: u64,
}

/// One socket between two instants.
#[derive(Debug, Clone)]
pub struct Timeline {
    from_ns: u64,
    to_ns: u64,
    columns: usize,
    track: Track,
    thin: Thin,
    /// The last sample before `from_ns`: what the picture starts with.
    before: Option<Sample>,
    worst: Option<Sample>,
    admissions: Vec<Option<Tick>>,
    refusals: Vec<Option<Tick>>,
    gaps: Vec<Option<Tick>>,
    moves: Vec<LimitMove>,
    move_count: u64,
    sleeps: Vec<Span>,
    sleep_count: u64,
    slept_ns: u64,
}

impl Timeline {
    /// Between these instants, in ns of `CLOCK_MONOTONIC`, in `columns`
    /// columns; up to `exact` samples are kept as they are.
    #[must_use]
    pub fn new(from_ns: u64, to_ns: u64, columns: usize, exact: usize) -> Self {
        let columns = columns.max(1);
        Self {
            from_ns,
            to_ns: to_ns.max(from_ns),
            columns,
            track: Track::default(),
            thin: Thin::new(from_ns, to_ns, columns, exact),
            before: None,
            worst: None,
            admissions: vec![None; columns],
            refusals: vec![None; columns],
            gaps: vec![None; columns],
            moves: Vec::new(),
            move_count: 0,
            sleeps: Vec::new(),
            sleep_count: 0,
            slept_ns: 0,
        }
    }

    /// Takes in the socket's next record.
    pub fn feed(&mut self, record: &Record) {
        let mut track = std::mem::take(&mut self.track);
        track.feed(record, |mark| self.mark(mark));
        self.track = track;
    }

    /// The end of the records.
    pub fn finish(&mut self) {
        let track = std::mem::take(&mut self.track);
        track.finish(self.to_ns, |mark| self.mark(mark));
        self.track = track;
        self.sleeps.sort_by_key(|s| s.from_ns);
        self.join(0);
    }

    /// Start, in ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn from_ns(&self) -> u64 {
        self.from_ns
    }

    /// End, in ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn to_ns(&self) -> u64 {
        self.to_ns
    }

    /// The samples that were kept (see [`super::thin`]), oldest first. The
    /// first one is at or before the start where anything is known of it.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        let opening = self.before.map(|s| Sample {
            time_ns: self.from_ns,
            ..s
        });
        opening.into_iter().chain(self.thin.samples()).collect()
    }

    /// How many samples there were, and whether some were left out.
    #[must_use]
    pub fn thinned(&self) -> (u64, bool) {
        (self.thin.arrived(), self.thin.is_thinned())
    }

    /// The sample with the worst excess in the picture; where it never went
    /// over its limit, the one with most queued.
    #[must_use]
    pub fn worst(&self) -> Option<&Sample> {
        self.worst.as_ref()
    }

    /// Admissions, by column.
    pub fn admissions(&self) -> impl Iterator<Item = Tick> + '_ {
        self.admissions.iter().flatten().copied()
    }

    /// `EAGAIN`s, by column.
    pub fn refusals(&self) -> impl Iterator<Item = Tick> + '_ {
        self.refusals.iter().flatten().copied()
    }

    /// Missing records, by column.
    pub fn gaps(&self) -> impl Iterator<Item = Tick> + '_ {
        self.gaps.iter().flatten().copied()
    }

    /// Limit moves, oldest first, and how many there were.
    #[must_use]
    pub fn moves(&self) -> (&[LimitMove], u64) {
        (&self.moves, self.move_count)
    }

    /// Times in which at least one thread slept, oldest first.
    #[must_use]
    pub fn sleeps(&self) -> &[Span] {
        &self.sleeps
    }

    /// How many sleeps there were, and how long they took together, in ns.
    #[must_use]
    pub fn slept(&self) -> (u64, u64) {
        (self.sleep_count, self.slept_ns)
    }

    fn mark(&mut self, mark: Mark) {
        match mark {
            Mark::Sample(sample) => self.sample(sample),
            Mark::Admission { at_ns, .. } => self.tick(|t| &mut t.admissions, at_ns, 1),
            Mark::Refusal(r) => self.tick(|t| &mut t.refusals, r.at_ns, 1),
            Mark::Gap { at_ns, missed } => self.tick(|t| &mut t.gaps, at_ns, missed),
            Mark::Limit(change) => self.moved(change),
            Mark::Sleep(sleep) => self.slept_for(&sleep),
            Mark::Life(_) => {}
        }
    }

    fn inside(&self, at_ns: u64) -> bool {
        (self.from_ns..=self.to_ns).contains(&at_ns)
    }

    fn sample(&mut self, sample: Sample) {
        if sample.time_ns < self.from_ns {
            self.before = Some(sample);
        } else if sample.time_ns <= self.to_ns {
            if self.worst.is_none_or(|w| sample.weight() > w.weight()) {
                self.worst = Some(sample);
            }
            self.thin.add(sample);
        }
    }

    fn tick(
        &mut self,
        which: impl Fn(&mut Self) -> &mut Vec<Option<Tick>>,
        at_ns: u64,
        count: u64,
    ) {
        if !self.inside(at_ns) {
            return;
        }
        let n = column(at_ns, self.from_ns, self.to_ns, self.columns);
        if let Some(slot) = which(self).get_mut(n) {
            slot.get_or_insert(Tick { at_ns, count: 0 }).count += count;
        }
    }

    fn moved(&mut self, change: LimitMove) {
        if !self.inside(change.at_ns) {
            return;
        }
        self.move_count += 1;
        let at = |m: &LimitMove| column(m.at_ns, self.from_ns, self.to_ns, self.columns);
        if self.moves.len() >= MOVES {
            // One a column: the widest, which is the one to look at.
            if let Some(last) = self.moves.last_mut()
                && at(last) == at(&change)
            {
                if change.to.abs_diff(change.from) > last.to.abs_diff(last.from) {
                    *last = change;
                }
                return;
            }
        }
        if self.moves.len() < MOVES + self.columns {
            self.moves.push(change);
        }
    }

    fn slept_for(&mut self, sleep: &Sleep) {
        let from_ns = sleep.from_ns.max(self.from_ns);
        let to_ns = sleep.to_ns.min(self.to_ns);
        if from_ns > to_ns {
            return;
        }
        self.sleep_count += 1;
        self.slept_ns = self.slept_ns.saturating_add(to_ns - from_ns);
        self.sleeps.push(Span {
            from_ns,
            to_ns,
            reason: sleep.reason,
            sleeps: 1,
        });
        if self.sleeps.len() > 4 * self.columns {
            self.sleeps.sort_by_key(|s| s.from_ns);
            self.join((self.to_ns - self.from_ns) / (2 * self.columns as u64));
        }
    }

    /// Joins spans that overlap, or lie no further apart than `gap` ns.
    fn join(&mut self, gap: u64) {
        self.sleeps.dedup_by(|next, span| {
            let joined = next.from_ns <= span.to_ns.saturating_add(gap);
            if joined {
                span.to_ns = span.to_ns.max(next.to_ns);
                span.sleeps += next.sleeps;
            }
            joined
        });
    }
}
