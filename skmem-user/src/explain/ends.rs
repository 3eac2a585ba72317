//! Verdicts on what a trace ended with: the same code for a live one and for a
//! recording of it.

use std::{cmp::Reverse, collections::HashMap};

use skmem_common::{
    account::Account,
    record::{IDENT_MPTCP_SOCKET, Ident},
};

use super::{
    Source, Subflow, Verdict, VerdictContext, blame_subflows, held_up_since, verdict::Socket,
};
use crate::model::{
    end::{End, SavedAccount, Totals},
    places::{Places, container, unit},
};

/// A sender that has been held up this long is a verdict by itself, in ns.
const HELD_UP: u64 = 500_000_000;

impl End {
    /// The verdicts on the sockets that went over their limit, whose sender is
    /// held up or whose reader is slow, worst first; `all` also on the others;
    /// `at_end` on the last instant instead of the
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
        let mut kept: Vec<(&SavedAccount, Source<'_>)> = self
            .open
            .iter()
            .map(|k| (k, open))
            .chain(closed)
            .filter(|(k, _)| !k.account.ident.measures())
            .filter(|(k, _)| {
                all || k.account.ledger.worst_excess > 0
                    || k.account.receiving.now_ns != 0
                    || held_up_since(&k.account).is_some()
            })
            .collect();
        // Senders over their limits, then those held up below, then what receives.
        kept.sort_by_key(|(k, _)| {
            let account = &k.account;
            let excess = account.ledger.worst_excess;
            let fullest = account.receiving.fullest.rmem_alloc;
            let held = held_up_since(account).is_some();
            Reverse((excess.max(0), held, fullest, excess))
        });
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
            .map(|(k, source)| {
                let mut verdict = self.totals.verdict(k, kernel, at_end, source);
                if verdict.is_mptcp() {
                    let beneath = self.beneath(&k.account);
                    let judge = |sub: &SavedAccount| self.totals.verdict(sub, kernel, true, source);
                    let subflows: Vec<Subflow<'_>> =
                        beneath.map(|sub| (&*sub.account, judge(sub))).collect();
                    blame_subflows(&mut verdict, &subflows);
                }
                verdict
            })
            .filter(|v| {
                all || v.over_limit || v.held_by_reader().is_some() || v.held_up_for(HELD_UP)
            })
            .collect()
    }
}

impl End {
    /// The open subflows of an MPTCP socket.
    fn beneath(&self, above: &Account) -> impl Iterator<Item = &SavedAccount> {
        let id = above.ident.id;
        self.open.iter().filter(move |kept| {
            let account = &kept.account;
            account.mptcp == id && account.ident.flags & IDENT_MPTCP_SOCKET == 0
        })
    }
}

impl Totals {
    /// The verdict on one account.
    #[must_use]
    pub fn verdict(
        &self,
        kept: &SavedAccount,
        kernel: &str,
        at_end: bool,
        source: Source<'_>,
    ) -> Verdict {
        let mut verdict = Verdict::of(
            &kept.account,
            &VerdictContext {
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
        );
        lives(&mut verdict.socket, &self.places, &kept.account.ident);
        verdict
    }
}

/// Says of a verdict's socket where it lives.
fn lives(socket: &mut Socket, places: &Places, ident: &Ident) {
    socket.cgroup = places.cgroup(ident).map(str::to_owned);
    socket.netns_name = places.namespace(ident).map(str::to_owned);
    if let Some(path) = &socket.cgroup {
        socket.container = container(path);
        socket.unit = unit(path).filter(|_| socket.container.is_none());
    }
}
