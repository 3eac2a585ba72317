//! The end of a trace: the accounts of all sockets, and what only the kernel
//! knew. A recording ends with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skmem_common::account::Account;

use super::places::Places;

/// The reason of an end that records are missing before: they could not be
/// written, for the disk was full.
pub const WRITE_FAILED: &str = "write-failed";

/// Closed sockets that are kept for the end, in a trace and by a reader alike;
/// of more, those with the worst excess.
pub const KEEP_CLOSED: usize = 1024;

/// An account at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedAccount {
    /// The account.
    pub account: Box<Account>,
    /// Replay of the records gave the same; None: not compared.
    pub stream_agrees: Option<bool>,
    /// Who slept for want of send memory where the account lies among the
    /// records: threads, and since when, in ns of `CLOCK_MONOTONIC`.
    pub sleepers: Vec<(u32, u64)>,
}

/// The accounts with the worst excess, of any number.
#[derive(Debug)]
pub struct TopAccounts {
    kept: Vec<SavedAccount>,
    most: usize,
    /// How many there were.
    pub count: u64,
}

/// The last block, with the accounts that came before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// The totals.
    pub totals: Totals,
    /// Accounts of the sockets that were open at the end.
    pub open: Vec<SavedAccount>,
    /// The last accounts of those that were closed; of many, those with the
    /// worst excess.
    pub closed: Vec<SavedAccount>,
}

/// What was counted, and the settings that a verdict needs: the JSON of the
/// last block.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// When the accounts were read, in ns of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// ns of `CLOCK_REALTIME` then.
    pub wall_ns: u64,
    /// Why the recording ended there: `asked`, `max-size`, `rotated`,
    /// `command-ended`, `triggered`, or [`WRITE_FAILED`].
    pub reason: String,
    /// Records made and lost, by hook.
    pub hooks: Vec<HookTotal>,
    /// Records in this file.
    pub records: u64,
    /// Sockets that matched but found no free slot.
    pub no_slot: u64,
    /// Program runs that the kernel skipped.
    pub skipped_runs: u64,
    /// Sockets seen, open and closed.
    pub sockets: u64,
    /// `net.core.wmem_max`, in bytes.
    pub wmem_max: Option<u32>,
    /// `net.ipv4.tcp_notsent_lowat`, in bytes.
    pub notsent_lowat: Option<u32>,
    /// Where the sockets live, by name.
    pub places: Places,
}

/// The records of a hook.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct HookTotal {
    /// Its name.
    pub hook: String,
    /// Records made.
    pub produced: u64,
    /// Those of them that found the ring full.
    pub lost: u64,
}

impl Totals {
    /// Records lost, of all hooks.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.hooks
            .iter()
            .fold(0, |sum, h| sum.saturating_add(h.lost))
    }
}

impl TopAccounts {
    /// Keeps at most `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            kept: Vec::new(),
            most,
            count: 0,
        }
    }

    /// Takes one in.
    pub fn push(&mut self, account: SavedAccount) {
        self.count += 1;
        self.kept.push(account);
        // Not at each one; in place, for thousands of copies would be felt.
        if self.kept.len() > self.most + self.most / 8 {
            sort(&mut self.kept);
            self.kept.truncate(self.most);
        }
    }

    /// How many there was no room for.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        self.count.saturating_sub(self.most as u64)
    }

    /// Those that were kept, the worst first; equals in the order in which
    /// they came.
    #[must_use]
    pub fn list(&self) -> Vec<SavedAccount> {
        let mut list = self.kept.clone();
        sort(&mut list);
        list.truncate(self.most);
        list
    }
}

/// The worst first. Stable: of equals, the earlier ones stay.
fn sort(kept: &mut [SavedAccount]) {
    kept.sort_by_key(|k| std::cmp::Reverse(k.account.ledger.worst_excess));
}
