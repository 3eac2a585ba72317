//! tb: who set it? The lock itself (`SOCK_SNDBUF_LOCK`) is in no netlink message.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Finding, Limits, Reading, bytes, note};
use crate::{diag::TcpState, explain::numbers::grouped};

/// Who governs a send limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LimitState {
    /// The application set `SO_SNDBUF`; the kernel leaves it alone for good.
    Locked,
    /// The kernel moves it.
    Autotuned,
    /// Below what every socket begins with: set by the application, or shrunk under memory
    /// pressure.
    LockedOrShrunk,
    /// The values do not tell.
    Unknown,
}

/// Who governs a send limit, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Origin {
    /// Who
    pub state: LimitState,
    /// How it is known, or what the number hints at
    pub evidence: String,
}

/// What a limit's value proves (`tcp_init_sock`, `tcp_sndbuf_expand`, `sk_stream_moderate_sndbuf`,
/// `sk_setsockopt`).
#[must_use]
pub fn origin(sndbuf: i64, limits: &Limits) -> Origin {
    let of = |state, evidence: String| Origin { state, evidence };
    let default = if limits.read { "" } else { "the default " };
    if sndbuf > limits.wmem_max {
        let max = grouped(limits.wmem_max);
        return if limits.read {
            of(
                LimitState::Locked,
                format!("above tcp_wmem[2] ({max}), which autotuning never passes"),
            )
        } else {
            of(
                LimitState::Unknown,
                format!(
                    "above the default tcp_wmem[2] ({max}): set by the application, or that was raised"
                ),
            )
        };
    }
    if sndbuf % 2 != 0 {
        return of(
            LimitState::Autotuned,
            "an odd number, which SO_SNDBUF never gives: the kernel shrank it under memory pressure".into(),
        );
    }
    if sndbuf < limits.wmem_default {
        return of(
            LimitState::LockedOrShrunk,
            format!(
                "below {default}tcp_wmem[1] ({}), with which every socket begins: the application set it, or \
                 the kernel shrank it under memory pressure",
                grouped(limits.wmem_default)
            ),
        );
    }
    if sndbuf == limits.core_wmem_max.saturating_mul(2) {
        return of(
            LimitState::Unknown,
            format!(
                "twice {default}net.core.wmem_max ({}) to the byte: what SO_SNDBUF gives to all who ask for \
                 that or more",
                grouped(limits.core_wmem_max)
            ),
        );
    }
    of(
        LimitState::Unknown,
        "sock_diag does not tell, and the number does not either".into(),
    )
}

/// `tcp_rmem[1]`: rcvbuf of a new socket, bytes (`tcp_init`, from 4.20 on).
const RMEM_DEFAULT: i64 = 131_072;
/// The same before 4.20, bytes.
const RMEM_DEFAULT_OLD: i64 = 87_380;
/// `net.core.rmem_max` of 5.10 to 6.12, bytes; later 4 MiB.
const CORE_RMEM_MAX: i64 = 212_992;

/// Who set rb, where its value shows it: the kernel raises it (`tcp_rcvbuf_grow`) and never lowers
/// it.
pub(super) fn receive(reading: &Reading, limits: &Limits) -> Option<Finding> {
    let rcvbuf = reading.memory.rcvbuf?;
    let counts = reading.is_tcp() && reading.is_connection() && !reading.is_mptcp();
    // Sysctls of the machine itself, and the lock (--locks), tell more.
    if limits.read || !counts || reading.state == Some(TcpState::Close) {
        return None;
    }
    let text = if rcvbuf < RMEM_DEFAULT && rcvbuf != RMEM_DEFAULT_OLD {
        format!(
            "rb ({}) is below the default tcp_rmem[1] ({}), with which a socket begins, and the kernel never lowers it: \
             the application set SO_RCVBUF, here or on the listener, or that sysctl was lowered. Where the application \
             set it, the kernel does not raise it.",
            bytes(rcvbuf),
            grouped(RMEM_DEFAULT)
        )
    } else if rcvbuf == CORE_RMEM_MAX * 2 {
        format!(
            "rb may be locked by SO_RCVBUF, which ends autotuning ({} is twice the older default of net.core.rmem_max ({}) to the \
             byte: what SO_RCVBUF gives to all who ask for that or more).",
            bytes(rcvbuf),
            grouped(CORE_RMEM_MAX)
        )
    } else {
        return None;
    };
    note("limit", "rb", text)
}

pub(super) fn small_or_locked(reading: &Reading, limits: &Limits) -> Option<Finding> {
    let sndbuf = reading.memory.sndbuf?;
    // A listener's limit is only what its children begin with; that of an MPTCP socket is the sum
    // of its subflows' (`__mptcp_sync_sndbuf`), which autotuning takes past tcp_wmem[2].
    if !reading.is_connection() || reading.is_mptcp() || reading.state == Some(TcpState::Close) {
        return None;
    }
    let origin = origin(sndbuf, limits);
    let text = match origin.state {
        LimitState::Locked => format!(
            "tb is locked: the application set SO_SNDBUF, so the kernel never raises it ({} is {}).",
            bytes(sndbuf),
            origin.evidence
        ),
        LimitState::LockedOrShrunk => format!(
            "tb ({}) is {}. Where the application set it, the kernel does not raise it.",
            bytes(sndbuf),
            origin.evidence
        ),
        LimitState::Autotuned => format!(
            "tb is the kernel's own ({} is {}).",
            bytes(sndbuf),
            origin.evidence
        ),
        LimitState::Unknown if origin.evidence.starts_with("sock_diag") => return None,
        LimitState::Unknown => format!(
            "tb may be locked by SO_SNDBUF, which ends autotuning ({} is {}).",
            bytes(sndbuf),
            origin.evidence
        ),
    };
    note("limit", "tb", text)
}
