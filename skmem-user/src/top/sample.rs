//! What one look at the machine found.

use hashbrown::HashMap;
use skmem_common::{account::Account, cause::Cause, output::Holder};

use crate::{explain::held_up_since, snapshot::capture::Captured};

/// One sample of the machine.
#[derive(Debug)]
pub struct MachineSample {
    /// When, in ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// All sockets, and the machine's account.
    pub captured: Captured,
    /// What put the bytes there.
    pub causes: Causes,
}

/// Whether it is known what put the bytes there.
#[derive(Debug)]
pub enum Causes {
    /// The programs in the kernel keep an account of each socket.
    Kept(Books),
    /// They do not: why, and what to do, in a line.
    Unknown(String),
}

/// The accounts of all traced sockets.
#[derive(Debug, Default)]
pub struct Books {
    /// By `SO_COOKIE`.
    pub sockets: HashMap<u64, Booked>,
    /// Records that found the ring full.
    pub lost: u64,
    /// Program runs that the kernel skipped.
    pub skipped: u64,
    /// Sockets that found no room in the table.
    pub no_slot: u64,
    /// Bytes of records that are in memory, to be exported; None: none are kept.
    pub kept: Option<u64>,
}

/// What of an account is shown in a row. Bytes, ns, and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// Changes of `sk_wmem_queued` that were booked so far.
    pub changes: u64,
    /// How long senders have slept for want of send memory, the present sleep included, ns.
    pub blocked_ns: u64,
    /// How long a sender has been held up now: asleep, or turned away; ns. None: none is.
    pub held_ns: Option<u64>,
    /// Who holds it up, by the fields at the last call.
    pub holder: Holder,
    /// The sums of the ledger, which add up to `sk_wmem_queued`: those that are not 0.
    pub by_cause: Vec<(Cause, i64)>,
}

impl Booked {
    /// Of an account that was read at `now_ns` of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn of(account: &Account, now_ns: u64) -> Self {
        let now = &account.ledger.now;
        let totals = Cause::ALL.iter().map(|cause| (*cause, now.total(*cause)));
        let mut changes = 0;
        let mut by_cause = Vec::new();
        for (cause, total) in totals.filter(|(_, total)| total.count != 0) {
            changes += total.count;
            by_cause.push((cause, total.bytes));
        }
        let blocked = &account.blocked;
        let asleep_ns = match blocked.asleep {
            0 => 0,
            _ => now_ns.saturating_sub(blocked.since_ns),
        };
        let last = &account.outputs.last;
        Self {
            changes,
            blocked_ns: blocked.total_ns.saturating_add(asleep_ns),
            held_ns: held_up_since(account).map(|since| now_ns.saturating_sub(since)),
            holder: match last.known() {
                true => last.stopped_by(),
                false => Holder::Nobody,
            },
            by_cause,
        }
    }
}
