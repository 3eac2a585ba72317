//! Senders that wait in `poll()` for room without having been turned away, as
//! programs do that ask `select()` before each write: no call shows it, a walk
//! over the sockets does.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use skmem_common::account::Account;

use super::pace::Pace;
use crate::{
    explain::may_wait_unseen,
    kernel::{system, table::Table},
};

/// After this time without a call, in ns, a sender may be waiting in `poll()`.
const QUIET: u64 = 250_000_000;

/// Walks for one socket that is left alone: one that finds the wait, one that
/// finds it still there.
const LOOKS: u8 = 2;

/// What was looked for so far.
#[derive(Debug)]
pub struct Waiters {
    /// Sockets' numbers: when the last call was seen, and walks since.
    looked: HashMap<u64, (u64, u8)>,
    pace: Pace,
}

impl Default for Waiters {
    fn default() -> Self {
        Self {
            looked: HashMap::new(),
            pace: Pace::new(Duration::ZERO),
        }
    }
}

impl Waiters {
    /// Whether a walk is due: it may find a sender that waits, and the last one
    /// is long enough ago. Counts on its being made.
    pub fn are_due(&mut self, table: &Table) -> bool {
        if !self.pace.is_due() {
            return false;
        }
        let begun = Instant::now();
        let due = self.may_be_there(table);
        self.pace.looked(begun);
        due
    }

    /// Whether a walk may find a sender that waits. Counts on one being made.
    fn may_be_there(&mut self, table: &Table) -> bool {
        let now = system::monotonic_ns();
        let waits =
            |a: &Account| may_wait_unseen(a) && now.saturating_sub(a.blocked.wrote_ns) > QUIET;
        let mut looked = HashMap::new();
        let mut due = false;
        // Nothing is withheld from a sender that has nothing queued, which most have: the others'
        // accounts are looked at whole.
        let senders = table.senders().filter(|sender| sender.queued > 0);
        let accounts = senders.filter_map(|sender| table.read(sender.slot));
        for account in accounts.filter(|a| waits(a)) {
            let id = account.ident.id;
            let wrote = account.blocked.wrote_ns;
            let known = self.looked.get(&id).filter(|(at, _)| *at == wrote);
            let looks = known.map_or(0, |(_, looks)| *looks);
            due |= looks < LOOKS;
            looked.insert(id, (wrote, looks.saturating_add(1).min(LOOKS)));
        }
        self.looked = looked;
        due
    }

    /// A look that began at `begun` has ended, and the walk that it was for.
    pub fn walked(&mut self, begun: Instant) {
        self.pace.looked(begun);
    }
}
