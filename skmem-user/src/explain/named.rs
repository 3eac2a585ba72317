//! What is published under a name: an enum in the code, its name in text and JSON.

use std::fmt::{self, Display, Formatter};

use serde::Serializer;
use skmem_common::{
    cause::{Cause, LimitCause},
    output::Holder,
    receive_cause::{RcvbufCause, ReceiveCause},
};

use super::chain::Step;
#[cfg(doc)]
use super::verdict::Blame;
use crate::model::timeline::WaitReason;

/// It has a name in output and docs.
pub(crate) trait Named {
    fn name(&self) -> &'static str;
}

/// Writes a name, for `serialize_with`.
pub(super) fn by_name<T: Named, S: Serializer>(of: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(of.name())
}

/// The same of what may not be there: null then.
#[expect(clippy::ref_option, reason = "serde hands over a reference")]
pub(super) fn maybe_by_name<T: Named, S: Serializer>(
    of: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match of {
        Some(of) => to.serialize_str(of.name()),
        None => to.serialize_none(),
    }
}

macro_rules! named {
    ($($ty:ty),* $(,)?) => { $(impl Named for $ty {
        fn name(&self) -> &'static str { <$ty>::name(*self) }
    })* };
}

named!(
    Cause,
    LimitCause,
    Step,
    Holder,
    WaitReason,
    AnyCause,
    BlameFrom,
    CaState,
    Pacing,
    ReceiveCause,
    RcvbufCause
);

impl Named for Option<LimitCause> {
    fn name(&self) -> &'static str {
        self.map_or("unknown", LimitCause::name)
    }
}

/// What a [`Blame`] follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlameFrom {
    /// The fields at the end, which will not change by themselves soon.
    Now,
    /// The kernel's clocks: half of the time or more.
    Clocks,
    /// Most of the sleeps and refusals.
    HoldUps,
    /// The fields at the worst instant.
    Worst,
    /// The fields at the last call.
    Last,
    /// The peer's window alone.
    Window,
}

impl BlameFrom {
    /// The name in output and docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Clocks => "clocks",
            Self::HoldUps => "hold-ups",
            Self::Worst => "worst",
            Self::Last => "last",
            Self::Window => "window",
        }
    }
}

/// `icsk_ca_state` (`enum tcp_ca_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaState {
    /// `TCP_CA_Open`
    Open,
    /// `TCP_CA_Disorder`
    Disorder,
    /// `TCP_CA_CWR`
    Cwr,
    /// `TCP_CA_Recovery`
    Recovery,
    /// `TCP_CA_Loss`
    Loss,
    /// Of a newer kernel.
    Unknown,
}

impl CaState {
    pub(super) const fn of(state: u8) -> Self {
        match state {
            0 => Self::Open,
            1 => Self::Disorder,
            2 => Self::Cwr,
            3 => Self::Recovery,
            4 => Self::Loss,
            _ => Self::Unknown,
        }
    }

    /// The name in output and docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Disorder => "disorder",
            Self::Cwr => "cwr",
            Self::Recovery => "recovery",
            Self::Loss => "loss",
            Self::Unknown => "unknown",
        }
    }
}

/// Who paces (`sk_pacing_status`, `enum sk_pacing`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// `SK_PACING_NONE`
    None,
    /// `SK_PACING_NEEDED`: TCP itself
    Tcp,
    /// `SK_PACING_FQ`: the queueing discipline `fq`
    Fq,
    /// Of a newer kernel.
    Unknown,
}

impl Pacing {
    pub(super) const fn of(status: u8) -> Self {
        match status {
            0 => Self::None,
            1 => Self::Tcp,
            2 => Self::Fq,
            _ => Self::Unknown,
        }
    }

    /// The name in output and docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tcp => "tcp",
            Self::Fq => "fq",
            Self::Unknown => "unknown",
        }
    }
}

/// A cause of any kind: what an explanation or an advice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnyCause {
    /// Why `sk_wmem_queued` changed.
    Queue(Cause),
    /// Why `sk_sndbuf` changed.
    Limit(LimitCause),
    /// `TCP_NOTSENT_LOWAT`.
    NotsentLowat,
}

impl AnyCause {
    /// The name in output and docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue(cause) => cause.name(),
            Self::Limit(cause) => cause.name(),
            Self::NotsentLowat => WaitReason::NotsentLowat.name(),
        }
    }
}

impl Display for AnyCause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
