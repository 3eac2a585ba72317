//! `sk_forward_alloc`'s side of a verdict, and the receive side.

use skmem_common::{
    account::Account,
    record::{IDENT_MPTCP, IDENT_MPTCP_SOCKET},
};

use super::{
    VerdictContext,
    receive::{HeldBy, ReceiveAccount},
    verdict::{HookSet, Memory, Receive},
};

/// Data that waits unread this long, in ns, waits for the reader.
const LONG: u64 = 200_000_000;

impl HookSet {
    pub(super) fn of(account: &Account) -> Self {
        match account.scheduled.lean {
            0 => Self::All,
            _ => Self::Lean,
        }
    }
}

impl Memory {
    pub(super) fn of(account: &Account) -> Self {
        let s = &account.scheduled;
        Self {
            granted: (s.lean == 0).then_some(s.granted),
            granted_bytes: (s.lean == 0).then_some(s.bytes),
            granted_over_tcp_mem: s.granted_over_tcp_mem.into(),
            granted_over_memcg: s.granted_over_memcg.into(),
            refused: s.refused,
            refused_over_tcp_mem: s.refused_over_tcp_mem.into(),
            messages: account.messages.count.into(),
            largest_message: account.messages.largest.into(),
        }
    }

    /// The counts under the names of their pages, where they are not 0.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        use super::pages::Memory as Name;
        let all = [
            (Name::Granted, self.granted.unwrap_or(0)),
            (Name::GrantedOverTcpMem, self.granted_over_tcp_mem),
            (Name::GrantedOverMemcg, self.granted_over_memcg),
            (Name::Refused, self.refused),
            (Name::KtlsRecord, self.messages),
        ];
        let named = all.into_iter().map(|(name, n)| (name.name(), n));
        named.filter(|(_, n)| *n != 0).collect()
    }
}

impl Receive {
    /// Whether more than half of the receive buffer is the error queue.
    #[must_use]
    pub fn is_filled_by_errors(&self) -> bool {
        let account = self.account.as_ref();
        account.is_some_and(|account| account.error_queue.saturating_mul(2) > self.rcvbuf)
    }

    /// Whether its peer waits for its reader, or for its error queue to be collected.
    #[must_use]
    pub fn holds_peer_up(&self) -> bool {
        self.slow || self.is_filled_by_errors()
    }

    pub(super) fn of(account: &Account, setting: &VerdictContext<'_>) -> Option<Self> {
        let r = &account.receiving;
        let subflow = account.ident.flags & (IDENT_MPTCP | IDENT_MPTCP_SOCKET) == IDENT_MPTCP;
        if r.segments == 0 && r.reads == 0 && r.now.rmem_alloc == 0 {
            return None;
        }
        let since = |ns: u64| setting.now_ns.saturating_sub(ns);
        let unread_ns = if r.unread_since_ns == 0 {
            0
        } else {
            since(r.unread_since_ns)
        };
        let longest_unread_ns = r.longest_unread_ns.max(unread_ns);
        let account = ReceiveAccount::of(r, setting.now_ns);
        // An error queue that nobody collects shuts the window of a reader that keeps up.
        let shut = account.as_ref().and_then(|a| a.window_shut);
        let errors = shut.is_some_and(|shut| shut.held_by == HeldBy::ErrorQueue);
        // The error queue moves it without the lock, so that the account knows it better.
        let rmem_alloc = account
            .as_ref()
            .map_or(r.now.rmem_alloc.into(), |account| account.sum);
        // The fullest moment is looked for at calls, and there may have been none: a walk at the
        // end has read this.
        let (fullest_rmem_alloc, fullest, fullest_ns) = match r.fullest.rmem_alloc.into() {
            fullest if fullest < rmem_alloc => (rmem_alloc, &r.now, setting.now_ns),
            fullest => (fullest, &r.fullest, r.fullest_ns),
        };
        Some(Self {
            recv_q: r.now.recv_q().into(),
            rmem_alloc,
            rcvbuf: r.now.rcvbuf.into(),
            backlog: r.now.backlog.into(),
            window: r.now.window.into(),
            zero_windows: r.zero_windows.into(),
            fullest_rmem_alloc,
            fullest_rcvbuf: fullest.rcvbuf.into(),
            fullest_recv_q: fullest.recv_q().into(),
            fullest_ns,
            segments: r.segments,
            reads: r.reads,
            since_read_ns: (r.last_read_ns != 0).then(|| since(r.last_read_ns)),
            unread_ns,
            longest_unread_ns,
            granted: r.granted,
            granted_bytes: r.bytes,
            refused: r.refused,
            slow: !subflow
                && (longest_unread_ns >= LONG || r.refused != 0 || r.zero_windows != 0 && !errors),
            subflow,
            buffer: None,
            account,
        })
    }
}
