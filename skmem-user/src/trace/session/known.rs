//! What a session knows of its sockets: accounts, verdicts, the end of a recording.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::Result;
use skmem_common::{
    account::{Account, Blocked},
    hook::Hook,
    record::{IDENT_MPTCP, IDENT_MPTCP_SOCKET},
};

use super::{Compared, Session, closed::mark_destroyed, pods};
use crate::{
    diag::{self, cgroups, netns},
    explain::{Source, Verdict, held_up_since},
    kernel::system,
    model::{
        end::{End, HookTotal, SavedAccount, Totals},
        places::{Places, cgroup_id},
        replay,
    },
};

/// A socket whose sender is held up, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldUp {
    /// Its number.
    pub socket: u64,
    /// Since when it has been, in ns of `CLOCK_MONOTONIC`; None: not now, or not for that long.
    pub since_ns: Option<u64>,
    /// The longest sleep that has ended, in ns.
    pub longest_ns: u64,
}

impl Session {
    /// Whether a traced sender has been held up for at least `long`: asleep, or
    /// turned away while `poll()` would not report room.
    #[must_use]
    pub fn blocked_for(&self, long: Duration) -> bool {
        self.any_held_up(long, |_| 0)
    }

    /// Whether a wait that is on, or the time that `also` returns in ns, is as long.
    fn any_held_up(&self, long: Duration, also: impl Fn(&Account) -> u64) -> bool {
        let now = system::monotonic_ns();
        let long = u64::try_from(long.as_nanos()).unwrap_or(u64::MAX);
        let mut accounts = self.tracer.table().accounts();
        accounts.any(|mut a| {
            let waited = held_up_since(&a).map_or(0, |since| now.saturating_sub(since));
            if waited.max(also(&a)) < long {
                return false;
            }
            if a.blocked.older == 0 {
                return true;
            }
            // Rare, and /proc is asked: whether it sleeps still.
            self.sleepers.correct(&mut a);
            let waited = held_up_since(&a).map_or(0, |since| now.saturating_sub(since));
            waited.max(also(&a)) >= long
        })
    }

    /// Whether a traced sender has ever been asleep, or is held up now, for at
    /// least `long`.
    #[must_use]
    pub fn was_blocked_for(&self, long: Duration) -> bool {
        self.any_held_up(long, |a| a.blocked.longest_ns)
    }

    /// Sockets whose sender has been asleep, or is held up now, for at least `long`. Cheap where
    /// there are none: it is asked of all sockets, all the time.
    #[must_use]
    pub fn held_up_for(&self, long: Duration) -> Vec<HeldUp> {
        let now = system::monotonic_ns();
        let long = u64::try_from(long.as_nanos()).unwrap_or(u64::MAX);
        let may_be = |blocked: &Blocked| {
            blocked.longest_ns >= long
                || blocked.asleep != 0
                || blocked.refused_ns != 0
                || blocked.nospace != 0
        };
        let table = self.tracer.table();
        let senders = table.senders().filter(|sender| may_be(&sender.blocked));
        let held_up = senders.filter_map(|sender| {
            let mut account = table.read(sender.slot).filter(|a| !a.ident.measures())?;
            self.sleepers.correct(&mut account);
            let since = held_up_since(&account);
            let since_ns = since.filter(|since| now.saturating_sub(*since) >= long);
            let longest_ns = account.blocked.longest_ns;
            (since_ns.is_some() || longest_ns >= long).then_some(HeldUp {
                socket: account.ident.id,
                since_ns,
                longest_ns,
            })
        });
        held_up.collect()
    }

    /// The verdicts on all sockets, worst first; `all` also those that never
    /// went over their limit.
    #[must_use]
    pub fn verdicts(&self, all: bool, at_end: bool) -> Vec<Verdict> {
        self.judge(&self.gather(), all, at_end)
    }

    /// The verdicts on what was known at `end`.
    #[must_use]
    pub fn judge(&self, end: &End, all: bool, at_end: bool) -> Vec<Verdict> {
        let mut verdicts = end.verdicts(&self.release, all, at_end, Source::Kernel);
        let known = self.windows.as_ref();
        for verdict in &mut verdicts {
            let cookie = verdict.socket.cookie;
            let window = known.and_then(|known| known.get(&cookie?).copied());
            if let Some(receive) = &mut verdict.receive {
                receive.buffer = window;
            }
        }
        pods::name(&mut verdicts, &self.host_root);
        verdicts
    }

    /// The verdict on one open socket, at its worst instant; None: it is not traced.
    #[must_use]
    pub fn verdict_on(&self, id: u64) -> Option<Verdict> {
        self.verdict_at(id, false)
    }

    /// The same; `now` instead of at the worst instant.
    #[must_use]
    pub fn verdict_at(&self, id: u64, now: bool) -> Option<Verdict> {
        // The verdict on an MPTCP socket also depends on its subflows.
        let mut family: Vec<_> = self.open().collect();
        link_subflows(&mut family);
        family.retain(|account| account.ident.id == id || account.mptcp == id);
        let end = self.gather_of(family, Vec::new());
        let verdicts = self.judge(&end, true, now);
        verdicts.into_iter().find(|verdict| verdict.socket.id == id)
    }

    /// What `of` makes of each open socket's account as it is now.
    pub fn each_account<T>(&self, mut of: impl FnMut(&Account) -> T) -> Vec<T> {
        self.open()
            .map(|mut account| {
                self.sleepers.correct(&mut account);
                of(&account)
            })
            .collect()
    }

    /// The account in this slot as it is now; None: it is that of no socket.
    #[must_use]
    pub fn account_in(&self, slot: u32) -> Option<Box<Account>> {
        let mut account = self.tracer.table().read(slot)?;
        self.sleepers.correct(&mut account);
        Some(account)
    }

    /// All that is known now, but for the hooks' counters.
    fn gather(&self) -> End {
        self.gather_of(self.open().collect(), self.closed.list())
    }

    /// The same of these sockets alone.
    fn gather_of(&self, mut open: Vec<Box<Account>>, closed: Vec<SavedAccount>) -> End {
        self.holders.name(&mut open);
        link_subflows(&mut open);
        for account in &mut open {
            self.sleepers.correct(account);
        }
        let open = open.into_iter().map(|mut account| {
            let stream_agrees = self.agrees(&account);
            if account.closing != 0 {
                mark_destroyed(&mut account);
            }
            SavedAccount {
                sleepers: self.sleepers(&account),
                account,
                stream_agrees,
            }
        });
        let open: Vec<SavedAccount> = open.collect();
        let places = places(open.iter().chain(&closed));
        End {
            totals: Totals {
                now_ns: system::monotonic_ns(),
                wall_ns: system::wall_ns(),
                skipped_runs: self.tracer.skipped_runs(),
                sockets: open.len() as u64 + self.closed.count,
                wmem_max: limit(diag::wmem_max()),
                notsent_lowat: limit(diag::notsent_lowat()),
                places,
                ..Totals::default()
            },
            open,
            closed,
        }
    }

    /// All that is known now, for the end of a recording.
    ///
    /// # Errors
    /// Where the kernel refuses its counters.
    pub fn end(&self, reason: &str) -> Result<End> {
        self.ended(reason, self.gather())
    }

    /// The same, where only these sockets are wanted, by their numbers: of closed ones nothing, and
    /// the MPTCP sockets besides, which say whose the subflows are.
    ///
    /// # Errors
    /// Where the kernel refuses its counters.
    pub fn end_of(&self, reason: &str, sockets: &HashSet<u64>) -> Result<End> {
        let is_wanted = |account: &Account| {
            let ident = &account.ident;
            sockets.contains(&ident.id) || ident.flags & IDENT_MPTCP_SOCKET != 0
        };
        let open = self.open().filter(|account| is_wanted(account)).collect();
        self.ended(reason, self.gather_of(open, Vec::new()))
    }

    fn ended(&self, reason: &str, mut end: End) -> Result<End> {
        let counted = self.totals()?;
        reason.clone_into(&mut end.totals.reason);
        end.totals.no_slot = counted.no_slot;
        end.totals.hooks = Hook::ALL
            .iter()
            .map(|hook| HookTotal {
                hook: hook.name().to_owned(),
                produced: counted.produced[*hook as usize],
                lost: counted.lost[*hook as usize],
            })
            .filter(|h| h.produced != 0)
            .collect();
        Ok(end)
    }

    /// The accounts of open sockets as they are now.
    #[must_use]
    pub fn accounts(&self) -> Vec<SavedAccount> {
        self.saved().collect()
    }

    /// The same, one after the other.
    pub fn saved(&self) -> impl Iterator<Item = SavedAccount> + '_ {
        self.open().map(|account| SavedAccount {
            sleepers: self.sleepers(&account),
            account,
            stream_agrees: None,
        })
    }

    /// The accounts of open sockets, but those that a skmem measures by.
    pub(super) fn open(&self) -> impl Iterator<Item = Box<Account>> + '_ {
        let accounts = self.tracer.table().accounts();
        accounts.filter(|account| !account.ident.measures())
    }

    /// Who slept on the socket by the records that were handed on.
    fn sleepers(&self, account: &Account) -> Vec<(u32, u64)> {
        let socket = self.replay.socket(account.ident.id);
        socket.map(replay::Socket::sleepers).unwrap_or_default()
    }

    /// What comes of replaying the records that were taken in, of open and of closed sockets: all
    /// unknown after [`Self::keep_sleepers_only`].
    #[must_use]
    pub fn compared(&self) -> Compared {
        let mut compared = self.compared;
        for account in self.open() {
            compared.count(self.agrees(&account));
        }
        compared
    }

    /// See [`replay::Replay::agrees`].
    pub(super) fn agrees(&self, account: &Account) -> Option<bool> {
        self.faithful.then(|| self.replay.agrees(account)).flatten()
    }
}

/// Says of subflows that are older than the trace, or were accepted, which MPTCP socket they belong
/// to: the one whose `struct socket` they have (`mptcp_sock_graft`), or whose ends, which are those
/// of its first subflow (`mptcp_copy_inaddrs`).
fn link_subflows(accounts: &mut [Box<Account>]) {
    let is_above = |account: &Account| account.ident.flags & IDENT_MPTCP_SOCKET != 0;
    let above: HashMap<u32, u64> = accounts
        .iter()
        .filter(|account| is_above(account) && account.ident.inode != 0)
        .map(|account| (account.ident.inode, account.ident.id))
        .collect();
    let ends = |account: &Account| {
        let i = &account.ident;
        (i.netns, i.saddr, i.sport, i.daddr, i.dport)
    };
    let by_ends: HashMap<_, u64> = accounts
        .iter()
        .filter(|account| is_above(account) && account.ident.dport != 0)
        .map(|account| (ends(account), account.ident.id))
        .collect();
    let beneath = |account: &Account| {
        account.mptcp == 0 && account.ident.flags & IDENT_MPTCP != 0 && !is_above(account)
    };
    for account in accounts.iter_mut().filter(|account| beneath(account)) {
        let above = above.get(&account.ident.inode);
        let above = above.or_else(|| by_ends.get(&ends(account)));
        account.mptcp = above.copied().unwrap_or(0);
    }
}

/// The names of the cgroups and namespaces of these sockets.
fn places<'a>(accounts: impl Iterator<Item = &'a SavedAccount>) -> Places {
    let ids: HashSet<u64> = accounts
        .map(|kept| cgroup_id(&kept.account.ident))
        .filter(|id| *id != 0)
        .collect();
    Places {
        cgroups: cgroups::paths(&ids).into_iter().collect(),
        namespaces: netns::names(),
    }
}

/// A sysctl's number, where it can be read.
pub(in crate::trace) fn limit(read: diag::Result<u64>) -> Option<u32> {
    u32::try_from(read.ok()?).ok()
}
