//! How a sender was held up, and by whom.

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::output::Holder;

use super::{BlameFrom, by_name};
use crate::model::timeline::WaitReason;

/// How the sender was held up, until skmem read the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Blocked {
    /// What held it up most often: `limit`, `memory` or `notsent_lowat`.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub on: WaitReason,
    /// Sleeps that have ended.
    pub waits: u64,
    /// Threads asleep now.
    pub asleep: u64,
    /// Times that a non-blocking sender got `EAGAIN`.
    pub refusals: u64,
    /// Times that it got a short write: part of its data was taken.
    pub short_writes: u64,
    /// Time slept, the present sleep included, in ns.
    pub total_ns: u64,
    /// The longest sleep, the present one included, in ns.
    pub longest_ns: u64,
    /// Start of the present sleep; None where nobody sleeps.
    pub since_ns: Option<u64>,
    /// How long the present sleep has lasted, in ns; 0 where nobody sleeps.
    pub asleep_ns: u64,
    /// The sender is held up now; None: it is not, or nothing shows it.
    pub now: Option<HeldNow>,
    /// Times by reason.
    pub reasons: Reasons,
    /// `total_ns` by reason, in ns; None: a recording of before skmem kept it.
    pub reasons_ns: Option<Reasons>,
    /// The socket has no `TCP_NOTSENT_LOWAT` of its own: the sysctl rules.
    pub lowat_by_sysctl: bool,
    /// `notsent_lowat` is inferred, not `memory`: from the sysctl, and since no memory was
    /// refused.
    pub lowat_inferred: bool,
}

impl Blocked {
    /// What unsent bytes had reached where `on` is `notsent_lowat`: the socket's option, or the
    /// sysctl.
    pub(crate) fn lowat(&self) -> &'static str {
        match self.lowat_by_sysctl {
            true => "net.ipv4.tcp_notsent_lowat",
            false => "TCP_NOTSENT_LOWAT",
        }
    }
}

/// A sender that is held up now: asleep in `send()`, or turned away and waiting
/// in `poll()` for `POLLOUT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct HeldNow {
    /// It sleeps in `send()`; else it waits for `POLLOUT`.
    pub asleep: bool,
    /// Since when, in ns of `CLOCK_MONOTONIC`.
    pub since_ns: u64,
    /// How sure that is.
    pub since_is: SinceIs,
    /// How long that is, in ns.
    pub for_ns: u64,
    /// What the kernel withholds from it.
    pub withheld: Option<Withheld>,
    /// `sk_wmem_queued` now.
    pub wmem_queued: i64,
    /// `sk_sndbuf` now.
    pub sndbuf: i64,
    /// The most `wmem_queued` with which the kernel wakes it and reports
    /// `POLLOUT`: about two thirds of `sndbuf`.
    pub wakes_at: i64,
}

/// How sure the start of a wait is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinceIs {
    /// It was seen.
    Exact,
    /// It waited already when skmem first saw the socket.
    AtLeast,
    /// It began to wait some time after this, its last write.
    AtMost,
}

/// What the kernel withholds from a sender that is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Withheld {
    /// `send()` would not take a byte.
    Send,
    /// `send()` would take bytes (`wmem_queued` is below `sndbuf`), but a sleeping
    /// sender is not woken, and `poll()` does not report `POLLOUT`.
    WakeUp,
}

/// By reason: how often a sender slept or was turned away, or how long it slept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Reasons {
    /// `wmem_queued` had reached `sndbuf`.
    pub limit: u64,
    /// Under the limit, but memory was refused.
    pub memory: u64,
    /// Under the limit, but unsent bytes had reached `TCP_NOTSENT_LOWAT`.
    pub notsent_lowat: u64,
}

/// Sleeps and refusals by who held the sender up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Held {
    /// A [`skmem_common::output::Holder`]'s name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub holder: Holder,
    /// How often.
    pub count: u64,
}

/// Who held the sender up.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Blame {
    /// A [`skmem_common::output::Holder`]'s name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub holder: Holder,
    /// What it follows from: `now` (the fields at the end, which will not
    /// change by themselves soon), `clocks` (half of the time or more),
    /// `hold-ups` (most of them), `worst` or `last` (the fields at that
    /// instant), `window` (the peer's window alone).
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub from: BlameFrom,
    /// In words.
    pub sentence: String,
}

/// The kernel's own clocks (`chrono_stat` of `struct tcp_sock`), since skmem first saw the
/// socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Clocks {
    /// Time with data to send or to be acknowledged, in ns.
    pub busy_ns: u64,
    /// The part of `busy_ns` that the peer's window limited, in ns.
    pub rwnd_limited_ns: u64,
    /// The part of `busy_ns` that the send buffer limited, in ns.
    pub sndbuf_limited_ns: u64,
}
