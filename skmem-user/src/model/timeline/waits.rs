//! When senders were held up: the records of `sk_stream_wait_memory`.
//!
//! A sleep makes two records, one at its start (kind [`WAIT_BEGINS`]) and one at
//! its end; a non-blocking sender that gets `EAGAIN` or a short write instead
//! makes only the latter.

use std::collections::HashMap;

use skmem_common::{
    account::{self, Account, WAIT_BEGINS, WAIT_OTHER},
    hook::Hook,
    record::Event,
};

/// Most sleepers of a socket that are followed: a file may claim any number.
const MOST: usize = 4096;

/// What held a sender up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitReason {
    /// `sk_wmem_queued` had reached `sk_sndbuf`.
    Limit,
    /// Under the limit, but memory was refused.
    Memory,
    /// Under the limit, but unsent bytes had reached `TCP_NOTSENT_LOWAT`.
    NotsentLowat,
    /// Of a newer skmem.
    Unknown,
}

impl WaitReason {
    /// The name in output and docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Memory => "memory",
            Self::NotsentLowat => "notsent_lowat",
            Self::Unknown => "unknown",
        }
    }

    fn of(arg: i32) -> Self {
        match u32::try_from(arg) {
            Ok(account::WAIT_LIMIT) => Self::Limit,
            Ok(account::WAIT_MEMORY) => Self::Memory,
            Ok(account::WAIT_LOWAT) => Self::NotsentLowat,
            _ => Self::Unknown,
        }
    }
}

/// A thread asleep for want of send memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sleep {
    /// Start, in ns of `CLOCK_MONOTONIC`.
    pub from_ns: u64,
    /// End, in ns of `CLOCK_MONOTONIC`.
    pub to_ns: u64,
    /// The thread.
    pub tid: u32,
    /// What held it up.
    pub reason: WaitReason,
    /// It was still asleep when the records ended.
    pub open: bool,
}

/// A non-blocking sender was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// When, in ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// The thread.
    pub tid: u32,
    /// What held it up.
    pub reason: WaitReason,
    /// A part of its data was taken: a short write. Else it got `EAGAIN`.
    pub short: bool,
}

/// What an event says of sleeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A thread woke up.
    Slept(Sleep),
    /// A thread got `EAGAIN` or a short write.
    Refused(Refusal),
}

/// Threads asleep.
#[derive(Debug, Clone, Default)]
pub struct Waits {
    /// Since when, and why, where a record said so.
    asleep: HashMap<u32, (u64, Option<WaitReason>)>,
    /// Since when the one thread sleeps that an account counts and does not name.
    unnamed: Option<u64>,
}

impl Waits {
    /// Takes in the next event of the socket.
    pub fn feed(&mut self, event: &Event) -> Option<Wait> {
        if event.header.hook != Hook::WaitMemory as u8 {
            return None;
        }
        let reason = WaitReason::of(event.arg);
        let unnamed = self.unnamed.take().map(|since| (since, None));
        if event.kind & WAIT_BEGINS != 0 {
            let tid = match event.kind & WAIT_OTHER {
                0 => event.tid,
                // It slept before skmem saw the socket; another thread made the
                // record.
                _ => event.ret.cast_unsigned(),
            };
            if self.asleep.len() < MOST {
                self.asleep.insert(tid, (event.time_ns, Some(reason)));
            }
            return None;
        }
        Some(match self.asleep.remove(&event.tid).or(unnamed) {
            Some((from_ns, why)) => Wait::Slept(Sleep {
                from_ns: from_ns.min(event.time_ns),
                to_ns: event.time_ns,
                tid: event.tid,
                reason: why.unwrap_or(reason),
                open: false,
            }),
            None => Wait::Refused(Refusal {
                at_ns: event.time_ns,
                tid: event.tid,
                reason,
                short: event.kind & WAIT_OTHER != 0,
            }),
        })
    }

    /// Takes in an account that lies among the records, with the sleepers that it
    /// names: a sleep may have begun in an earlier file, or its record be lost.
    pub fn account(&mut self, account: &Account, sleepers: &[(u32, u64)]) {
        for (tid, since_ns) in sleepers {
            if self.asleep.len() < MOST {
                self.asleep.entry(*tid).or_insert((*since_ns, None));
            }
        }
        // Older recordings name none.
        let one = account.blocked.asleep == 1 && self.asleep.is_empty();
        self.unnamed = one.then_some(account.blocked.since_ns);
    }

    /// The sleeps that have not ended by `end_ns`.
    pub fn unfinished(&self, end_ns: u64) -> impl Iterator<Item = Sleep> + '_ {
        self.asleep
            .iter()
            .map(move |(tid, (from_ns, reason))| Sleep {
                from_ns: *from_ns,
                to_ns: end_ns.max(*from_ns),
                tid: *tid,
                reason: reason.unwrap_or(WaitReason::Unknown),
                open: true,
            })
    }
}
