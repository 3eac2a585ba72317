//! Verdicts on what a trace ended with: the same code for a live one and for a
//! recording of it.

use std::{cmp::Reverse, collections::HashMap};

use skmem_common::{account::Account, record::IDENT_MPTCP_SOCKET};

use super::{End, Kept, Totals};
use crate::explain::{Setting, Source, Verdict};

impl End {
    /// The verdicts on all sockets, worst first; `all` also those that never
    /// went over their limit; `at_end` on the last instant instead of the
    /// worst. `open` says where the accounts of open sockets come from; those of
    /// closed ones are always the kernel's.
    #[must_use]
    pub fn verdicts(
        &self,
        kernel: &str,
        all: bool,
        at_end: bool,
        open: Source<'_>,
    ) -> Vec<Verdict> {
        let closed = self.closed.iter().map(|k| (k, Source::Kernel));
        let mut kept: Vec<(&Kept, Source<'_>)> = self
            .open
            .iter()
            .map(|k| (k, open))
            .chain(closed)
            .filter(|(k, _)| {
                all || k.account.ledger.worst_excess > 0
                    || k.account.receiving.now_ns != 0
                    || is_held_up(&k.account)
            })
            .collect();
        kept.sort_by_key(|(k, _)| Reverse(k.account.ledger.worst_excess));
        // Subflows behind their MPTCP socket, where that is among them.
        let above: HashMap<u64, usize> = kept
            .iter()
            .enumerate()
            .map(|(at, (k, _))| (&k.account.ident, at))
            .filter(|(ident, _)| ident.flags & IDENT_MPTCP_SOCKET != 0)
            .map(|(ident, at)| (ident.id, at))
            .collect();
        let mut at = 0;
        kept.sort_by_cached_key(|(k, _)| {
            let place = above.get(&k.account.mptcp).copied().unwrap_or(at);
            let beneath = k.account.ident.flags & IDENT_MPTCP_SOCKET == 0;
            at += 1;
            (place, beneath, at)
        });
        kept.into_iter()
            .map(|(k, source)| self.totals.verdict(k, kernel, at_end, source))
            .filter(|v| {
                let slow = v.receive.is_some_and(|r| r.slow);
                all || v.over_limit || slow || (v.is_mptcp() && v.blocked.is_some())
            })
            .collect()
    }
}

/// Whether a sender is, or was, held up on an MPTCP socket: that goes over its limit less often than TCP sockets
/// do, and its subflows hold next to nothing.
fn is_held_up(account: &Account) -> bool {
    let b = &account.blocked;
    account.ident.flags & IDENT_MPTCP_SOCKET != 0
        && (b.waits | b.refusals | u64::from(b.asleep)) != 0
}

impl Totals {
    /// The verdict on one account.
    #[must_use]
    pub fn verdict(&self, kept: &Kept, kernel: &str, at_end: bool, source: Source<'_>) -> Verdict {
        Verdict::of(
            &kept.account,
            &Setting {
                kernel,
                now_ns: self.now_ns,
                wall_ns: self.wall_ns,
                at_end,
                skipped_runs: self.skipped_runs,
                wmem_max: self.wmem_max,
                notsent_lowat_sysctl: self.notsent_lowat,
                stream_agrees: kept.stream_agrees,
                source,
            },
        )
    }
}
