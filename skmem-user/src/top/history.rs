//! The last minutes of each socket that queues something, a point for each sample.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use skmem_common::cause::Cause;

use super::sample::{Booked, Causes, MachineSample};
use crate::{model::timeline::Stack, snapshot::Row};

/// Samples that are kept of a socket: five minutes, at one a second.
const MOST: usize = 300;
/// Fewest, however many sockets there are.
const LEAST: usize = 40;
/// Samples of all sockets together, about.
const ALL: usize = 1_000_000;

/// A socket at one sample. Bytes.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// `sk_wmem_queued`
    pub w: u32,
    /// `sk_sndbuf`
    pub sndbuf: u32,
    /// Sent and not acknowledged.
    pub in_flight: u32,
    /// Written and never sent.
    pub unsent: u32,
    /// `w` by the cause that put it there; empty where that is not known.
    pub causes: Box<[(Cause, i32)]>,
}

/// One socket, over the last samples.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The number of the machine's sample that the first one here is of.
    first: u64,
    samples: VecDeque<Sample>,
    stack: Stack,
    booked: Vec<(Cause, i64)>,
    changes: u64,
    /// `w` and the count of changes before the last sample.
    before: (u32, u64),
}

impl History {
    /// The samples, the latest last.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = &Sample> + ExactSizeIterator {
        self.samples.iter()
    }

    /// `w` at sample number `sample`; 0 before the first.
    fn w_at(&self, sample: u64) -> u32 {
        let at = sample.checked_sub(self.first);
        let at = at.and_then(|at| self.samples.get(usize::try_from(at).ok()?));
        at.map_or(0, |sample| sample.w)
    }

    fn push(&mut self, row: &Row, booked: Option<&Booked>, most: usize) {
        let bytes = |n: i64| u32::try_from(n).unwrap_or(0);
        // An account is of another moment than the row: the causes add up to what it says.
        let w = match booked {
            Some(booked) => bytes(booked.by_cause.iter().map(|(_, bytes)| bytes).sum()),
            None => bytes(row.bytes(|m| m.wmem_queued)),
        };
        self.before = (self.samples.back().map_or(0, |s| s.w), self.changes);
        if let Some(booked) = booked {
            self.book(booked);
        }
        self.samples.push_back(Sample {
            w,
            sndbuf: bytes(row.bytes(|m| m.sndbuf)),
            in_flight: row.in_flight.unwrap_or(0),
            unsent: row.unsent.unwrap_or(0),
            causes: match booked {
                Some(_) => self.causes(),
                None => Box::default(),
            },
        });
        while self.samples.len() > most {
            self.samples.pop_front();
            self.first += 1;
        }
    }

    /// Books what has changed since the sample before. The order within that time is not known:
    /// what came is booked first, so that the height is right, and what came and went meanwhile is
    /// gone.
    fn book(&mut self, booked: &Booked) {
        self.changes = booked.changes;
        let mut moved = Vec::new();
        for (cause, bytes) in &booked.by_cause {
            let before = self.booked.iter().find(|(known, _)| known == cause);
            let change = bytes - before.map_or(0, |(_, bytes)| *bytes);
            if change != 0 {
                moved.push((*cause, i32::try_from(change).unwrap_or(i32::MAX)));
            }
        }
        self.booked.clone_from(&booked.by_cause);
        moved.sort_by_key(|(_, bytes)| *bytes < 0);
        for (cause, bytes) in moved {
            self.stack.book(cause, bytes);
        }
    }

    fn causes(&self) -> Box<[(Cause, i32)]> {
        let by_cause = self.stack.by_cause();
        let all = Cause::ALL.iter();
        all.map(|cause| (*cause, by_cause[*cause as usize]))
            .filter(|(_, bytes)| *bytes != 0)
            .collect()
    }

    /// Nothing was queued in all of its samples, nor is it now.
    fn is_idle(&self) -> bool {
        self.samples.len() >= LEAST && self.samples.iter().all(|sample| sample.w == 0)
    }
}

/// Of all sockets.
#[derive(Debug, Default)]
pub struct Histories {
    by_cookie: HashMap<u64, History>,
    /// Samples taken in.
    samples_taken: u64,
    /// When the last ones were, in ns of `CLOCK_MONOTONIC`.
    times: VecDeque<u64>,
}

impl Histories {
    /// Takes in a sample; `keep` is kept though it may be gone.
    pub fn take(&mut self, sample: &MachineSample, keep: Option<u64>) {
        self.times.push_back(sample.at_ns);
        if self.times.len() > MOST {
            self.times.pop_front();
        }
        let most = (ALL / self.by_cookie.len().max(1)).clamp(LEAST, MOST);
        let nobody = HashMap::new();
        let books = match &sample.causes {
            Causes::Kept(books) => &books.sockets,
            Causes::Unknown(_) => &nobody,
        };
        let mut seen = HashSet::with_capacity(self.by_cookie.len());
        for row in &sample.captured.rows {
            let booked = books.get(&row.cookie);
            let queues = row.bytes(|m| m.wmem_queued) > 0;
            let moves = booked.is_some_and(|booked| booked.changes > 0);
            if !queues && !moves && !self.by_cookie.contains_key(&row.cookie) {
                continue;
            }
            seen.insert(row.cookie);
            let history = self.by_cookie.entry(row.cookie).or_insert_with(|| History {
                first: self.samples_taken,
                ..History::default()
            });
            history.push(row, booked, most);
        }
        self.by_cookie.retain(|cookie, history| {
            keep == Some(*cookie) || seen.contains(cookie) && !history.is_idle()
        });
        self.samples_taken += 1;
    }

    /// One socket's.
    #[must_use]
    pub fn of(&self, cookie: u64) -> Option<&History> {
        self.by_cookie.get(&cookie)
    }

    /// How `w` changed since the sample before, bytes a second; None: there was none.
    #[must_use]
    pub fn w_rate(&self, cookie: u64) -> Option<i64> {
        let between = self.between_ns()?;
        let change = self.of(cookie).map_or(0, |history| {
            let now = history.samples.back().map_or(0, |sample| sample.w);
            i64::from(now) - i64::from(history.before.0)
        });
        Some(a_second(change, between))
    }

    /// How often it was changed, times a second; None: there was no sample before.
    #[must_use]
    pub fn change_rate(&self, cookie: u64) -> Option<i64> {
        let between = self.between_ns()?;
        let changes = self.of(cookie).map_or(0, |history| {
            i64::try_from(history.changes.saturating_sub(history.before.1)).unwrap_or(i64::MAX)
        });
        Some(a_second(changes, between))
    }

    /// `w` of these sockets together at the last `count` samples, the latest last.
    #[must_use]
    pub fn trend(&self, cookies: &[u64], count: usize) -> Vec<u64> {
        let histories: Vec<&History> = cookies.iter().filter_map(|c| self.of(*c)).collect();
        let from = self.samples_taken.saturating_sub(count as u64);
        (from..self.samples_taken)
            .map(|sample| histories.iter().map(|h| u64::from(h.w_at(sample))).sum())
            .collect()
    }

    /// ns between the last two samples; None: there was one.
    fn between_ns(&self) -> Option<u64> {
        let mut times = self.times.iter().rev();
        let (last, before) = (times.next()?, times.next()?);
        last.checked_sub(*before).filter(|between| *between > 0)
    }

    /// How long ago the first of the last `samples` samples was, at the last one, ns.
    #[must_use]
    pub fn ago_ns(&self, samples: usize) -> u64 {
        let first = self.times.len().saturating_sub(samples.max(1));
        let first = self.times.get(first);
        let last = self.times.back();
        last.zip(first)
            .map_or(0, |(last, first)| last.saturating_sub(*first))
    }
}

fn a_second(change: i64, between_ns: u64) -> i64 {
    let rate = i128::from(change) * 1_000_000_000 / i128::from(between_ns);
    i64::try_from(rate).unwrap_or(i64::MAX)
}
