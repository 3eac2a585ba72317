//! How the sender was held up (`sk_stream_wait_memory`), and the peer's
//! window, which is often the reason behind it.

use skmem_common::{
    account::{
        Account, NOSPACE_AGAIN, NOSPACE_AT_FIRST, NOSPACE_WALKED, WAIT_LIMIT, WAIT_LOWAT,
        WAIT_MEMORY,
    },
    record::{IDENT_MPTCP_SOCKET, View},
};

use super::{
    VerdictContext,
    fields::AccountAt,
    verdict::{Blocked, HeldNow, PeerWindow, Reasons, SinceIs, Withheld},
};
use crate::model::timeline::WaitReason;

/// States of the kernel's `tcp_states.h` without a window to speak of.
const TCP_SYN_SENT: u8 = 2;
const TCP_SYN_RECV: u8 = 3;
const TCP_CLOSE: u8 = 7;

impl Blocked {
    pub(super) fn of(account: &Account, setting: &VerdictContext<'_>) -> Option<Self> {
        let seen = &account.blocked;
        let now = HeldNow::of(account, setting);
        if seen.waits == 0
            && seen.refusals == 0
            && seen.short_writes == 0
            && seen.asleep == 0
            && now.is_none()
        {
            return None;
        }
        let correction = Correction::of(account, setting);
        let reasons = correction.reasons(seen.reasons.map(u64::from));
        let by_reason = seen
            .reason_ns
            .iter()
            .fold(0_u64, |sum, ns| sum.saturating_add(*ns));
        let since_ns = (seen.asleep != 0).then_some(seen.since_ns);
        let asleep_ns = since_ns.map_or(0, |since| setting.now_ns.saturating_sub(since));
        Some(Self {
            on: reasons.most(),
            waits: seen.waits,
            asleep: u64::from(seen.asleep),
            refusals: seen.refusals,
            short_writes: seen.short_writes,
            total_ns: seen.total_ns.saturating_add(asleep_ns),
            longest_ns: seen.longest_ns.max(asleep_ns),
            since_ns,
            asleep_ns,
            now,
            reasons,
            reasons_ns: (by_reason == seen.total_ns)
                .then(|| correction.reasons(seen.reason_ns_until(setting.now_ns))),
            lowat_by_sysctl: account.last.notsent_lowat == 0,
            lowat_inferred: correction.sysctl,
        })
    }
}

impl HeldNow {
    fn of(account: &Account, setting: &VerdictContext<'_>) -> Option<Self> {
        let (since_ns, since_is) = since(account)?;
        let now = &account.ledger.now;
        Some(Self {
            asleep: account.blocked.asleep != 0,
            since_ns,
            since_is,
            for_ns: setting.now_ns.saturating_sub(since_ns),
            withheld: withheld(account),
            wmem_queued: i64::from(now.w),
            sndbuf: i64::from(now.sndbuf),
            wakes_at: wakes_at(now.sndbuf),
        })
    }
}

/// Since when a sender is held up at least, in ns of `CLOCK_MONOTONIC`: asleep,
/// or turned away while `poll()` would not report room. None where none is, or
/// where it may have begun later.
pub(crate) fn held_up_since(account: &Account) -> Option<u64> {
    since(account)
        .filter(|(_, is)| *is != SinceIs::AtMost)
        .map(|(since, _)| since)
}

fn since(account: &Account) -> Option<(u64, SinceIs)> {
    let seen = &account.blocked;
    let first = account.ident.seen_ns;
    if seen.asleep != 0 {
        let is = match seen.older {
            0 => SinceIs::Exact,
            _ => SinceIs::AtLeast,
        };
        return Some((seen.since_ns, is));
    }
    withheld(account)?;
    if seen.refused_ns != 0 && seen.nospace & NOSPACE_WALKED == 0 {
        Some((seen.refused_ns, SinceIs::Exact))
    } else if seen.nospace & NOSPACE_AGAIN != 0 {
        Some((seen.refused_ns, SinceIs::AtLeast))
    } else if seen.nospace & NOSPACE_AT_FIRST != 0 {
        Some((first, SinceIs::AtLeast))
    } else if seen.nospace != 0 {
        Some((seen.wrote_ns.max(first), SinceIs::AtMost))
    } else {
        None
    }
}

/// Whether a sender may wait in `poll()` without having been turned away: only
/// `SOCK_NOSPACE` shows it, which a walk reads.
pub(crate) fn may_wait_unseen(account: &Account) -> bool {
    let seen = &account.blocked;
    seen.asleep == 0
        && seen.nospace & (NOSPACE_AGAIN | NOSPACE_AT_FIRST) == 0
        && (seen.refused_ns == 0 || seen.nospace & NOSPACE_WALKED != 0)
        && withheld(account).is_some()
}

/// What the kernel withholds from a sender now; None where it would wake it.
fn withheld(account: &Account) -> Option<Withheld> {
    let now = &account.ledger.now;
    let lowat = match account.last.notsent_lowat {
        0 => account.blocked.sysctl_lowat,
        own => own,
    };
    let unsent = account.write_seq.wrapping_sub(account.last.snd_nxt);
    if now.w >= now.sndbuf || (lowat != 0 && unsent >= lowat) {
        Some(Withheld::Send)
    } else if i64::from(now.w) > wakes_at(now.sndbuf) {
        Some(Withheld::WakeUp)
    } else {
        None
    }
}

/// The most `sk_wmem_queued` with which the kernel wakes a sender and reports
/// `POLLOUT` (`sk_stream_is_writeable`: `sndbuf - w >= w / 2`), in bytes.
fn wakes_at(sndbuf: i32) -> i64 {
    let sndbuf = i64::from(sndbuf.max(0));
    let third = sndbuf / 3;
    2 * third + i64::from(sndbuf % 3 != 0)
}

/// What the reasons of an account are that its numbers do not say.
#[derive(Clone, Copy)]
struct Correction {
    /// "memory" was the sysctl: older programs knew the socket's own `TCP_NOTSENT_LOWAT` only, and
    /// no memory was ever refused.
    sysctl: bool,
    /// "memory" was the limit: between its test of the limit and the wait, `mptcp_sendmsg` pushes
    /// what is queued, and what is acknowledged meanwhile is freed. Older programs then saw a queue
    /// below the limit, and no memory was refused.
    mptcp: bool,
}

impl Correction {
    fn of(account: &Account, setting: &VerdictContext<'_>) -> Self {
        let memory =
            account.scheduled.refused == 0 && account.blocked.reasons[WAIT_MEMORY as usize] > 0;
        let sysctl = setting.notsent_lowat_sysctl.is_some_and(|v| v < u32::MAX);
        Self {
            sysctl: memory && sysctl && account.last.notsent_lowat == 0,
            mptcp: memory && account.ident.flags & IDENT_MPTCP_SOCKET != 0,
        }
    }

    fn reasons(self, by: [u64; 3]) -> Reasons {
        let by = |reason: u32| by[reason as usize];
        let mut reasons = Reasons {
            limit: by(WAIT_LIMIT),
            memory: by(WAIT_MEMORY),
            notsent_lowat: by(WAIT_LOWAT),
        };
        if self.sysctl {
            reasons.notsent_lowat = reasons.notsent_lowat.saturating_add(reasons.memory);
            reasons.memory = 0;
        }
        if self.mptcp {
            reasons.limit = reasons.limit.saturating_add(reasons.memory);
            reasons.memory = 0;
        }
        reasons
    }
}

impl Reasons {
    fn most(self) -> WaitReason {
        if self.limit >= self.memory && self.limit >= self.notsent_lowat {
            WaitReason::Limit
        } else if self.memory >= self.notsent_lowat {
            WaitReason::Memory
        } else {
            WaitReason::NotsentLowat
        }
    }
}

impl PeerWindow {
    pub(super) fn of(account: &Account, at: &AccountAt<'_>) -> Self {
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

#[cfg(test)]
mod tests {
    use super::wakes_at;

    #[test]
    fn the_mark_is_that_of_sk_stream_is_writeable() {
        for sndbuf in [4608, 8192, 16_384, 87_040, 131_072, 131_073, 131_074] {
            let at = wakes_at(sndbuf);
            let writeable = |w: i64| i64::from(sndbuf) - w >= w >> 1;
            assert!(writeable(at) && !writeable(at + 1), "{sndbuf}: {at}");
        }
    }
}
