//! The end of a recording: what only the kernel knew.

use serde::{Deserialize, Serialize};

use super::{account::Kept, meta::tame, places::Places};

/// The reason of an end that records are missing before: they could not be
/// written, for the disk was full.
pub const WRITE_FAILED: &str = "write-failed";

/// What that means to a reader.
pub(super) const RECORDS_MISSING: &str = "could not be written whole (was the disk full?): its last \
    records are missing, the kernel's accounts at its end are there";

/// The last block, with the accounts that came before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// The totals.
    pub totals: Totals,
    /// Accounts of the sockets that were open at the end.
    pub open: Vec<Kept>,
    /// The last accounts of those that were closed; of many, those with the
    /// worst excess.
    pub closed: Vec<Kept>,
}

/// What was counted, and the settings that a verdict needs: the JSON of the
/// last block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// With all of its texts made safe for a terminal.
    pub(super) fn tamed(mut self) -> Self {
        self.reason = tame(&self.reason);
        self.places = self.places.tamed();
        for hook in &mut self.hooks {
            hook.hook = tame(&hook.hook);
        }
        self
    }

    /// Records lost, of all hooks.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.hooks
            .iter()
            .fold(0, |sum, h| sum.saturating_add(h.lost))
    }
}
