//! How the sender was held up (`sk_stream_wait_memory`), and the peer's
//! window, which is often the reason behind it.

use skmem_common::{
    account::{self, Account, WAIT_LIMIT, WAIT_LOWAT, WAIT_MEMORY},
    record::View,
};

use super::{
    Setting,
    fields::At,
    verdict::{Blocked, PeerWindow, Reasons},
};

/// States of the kernel's `tcp_states.h` without a window to speak of.
const TCP_SYN_SENT: u8 = 2;
const TCP_SYN_RECV: u8 = 3;
const TCP_CLOSE: u8 = 7;

impl Blocked {
    pub(super) fn of(account: &Account, setting: &Setting<'_>) -> Option<Self> {
        let seen = &account.blocked;
        if seen.waits == 0 && seen.refusals == 0 && seen.asleep == 0 {
            return None;
        }
        let (reasons, lowat_inferred) = reasons(seen, account, setting);
        let since_ns = (seen.asleep != 0).then_some(seen.since_ns);
        let asleep_ns = since_ns.map_or(0, |since| setting.now_ns.saturating_sub(since));
        Some(Self {
            on: reasons.most(),
            waits: seen.waits,
            asleep: u64::from(seen.asleep),
            refusals: seen.refusals,
            total_ns: seen.total_ns.saturating_add(asleep_ns),
            longest_ns: seen.longest_ns.max(asleep_ns),
            since_ns,
            asleep_ns,
            reasons,
            lowat_inferred,
        })
    }
}

/// The programs know the socket's own `TCP_NOTSENT_LOWAT` only: with the
/// sysctl in force, and no memory ever refused, "memory" was the sysctl.
fn reasons(seen: &account::Blocked, account: &Account, setting: &Setting<'_>) -> (Reasons, bool) {
    let by = |reason: u32| u64::from(seen.reasons[reason as usize]);
    let mut reasons = Reasons {
        limit: by(WAIT_LIMIT),
        memory: by(WAIT_MEMORY),
        notsent_lowat: by(WAIT_LOWAT),
    };
    let sysctl = setting.notsent_lowat_sysctl.is_some_and(|v| v < u32::MAX);
    let inferred = sysctl
        && account.last.notsent_lowat == 0
        && account.scheduled.refused == 0
        && reasons.memory > 0;
    if inferred {
        reasons.notsent_lowat += reasons.memory;
        reasons.memory = 0;
    }
    (reasons, inferred)
}

impl Reasons {
    fn most(self) -> &'static str {
        if self.limit >= self.memory && self.limit >= self.notsent_lowat {
            "limit"
        } else if self.memory >= self.notsent_lowat {
            "memory"
        } else {
            "notsent_lowat"
        }
    }
}

impl PeerWindow {
    pub(super) fn of(account: &Account, at: &At<'_>) -> Self {
        let last = &account.last;
        let room = i64::from(last.snd_wnd) - in_flight(last);
        let open = !matches!(last.state, TCP_SYN_SENT | TCP_SYN_RECV | TCP_CLOSE);
        let waiting = last.write_seq.wrapping_sub(last.snd_nxt).cast_signed() > 0;
        Self {
            bytes: i64::from(at.view.snd_wnd),
            in_flight: in_flight(&at.view),
            last_bytes: i64::from(last.snd_wnd),
            last_in_flight: in_flight(last),
            // An MPTCP socket has no segments: its window is shut or open.
            closed: open && waiting && room < i64::from(last.mss).max(1),
        }
    }
}

fn in_flight(view: &View) -> i64 {
    i64::from(view.snd_nxt.wrapping_sub(view.snd_una))
}
