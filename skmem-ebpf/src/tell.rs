//! Diagnostics of rare paths, through aya-log, with `--verbose`. Each is a
//! subprogram: a log line takes much of the stack. Without `--verbose` the
//! verifier knows that the level is off, and drops the lines.

use aya_log_ebpf::{debug, warn};
use skmem_common::record::Ident;

/// A socket got its account.
#[inline(never)]
pub fn opened(who: &Ident, slot: u32) -> u32 {
    debug!(
        (),
        "slot {}: pid {} port {} to {}", slot, who.pid, who.sport, who.dport
    );
    0
}

/// A socket matched, but the table of accounts is full.
#[inline(never)]
pub fn no_slot(who: &Ident) -> u32 {
    warn!(
        (),
        "no free slot for pid {} port {} to {}", who.pid, who.sport, who.dport
    );
    0
}
