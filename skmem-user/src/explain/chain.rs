//! From the value that the application gave to the limit, step by step:
//! `max(2 * min(value, wmem_max), minimum)`.

use skmem_common::record::{IDENT_INHERITED, IDENT_MPTCP};

use super::verdict::{ChainStep, Doubling};

/// A step on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `SO_SNDBUF` honours at most `net.core.wmem_max`.
    ClampedToWmemMax,
    /// `SO_SNDBUFFORCE` honours 0 to `INT_MAX / 2`.
    ClampedToRange,
    /// The kernel doubles the value.
    Doubled,
    /// `SOCK_MIN_SNDBUF`.
    RaisedToMinimum,
    /// An accepted connection has its listener's limit.
    InheritedFromListener,
    /// A subflow has its MPTCP socket's limit.
    MptcpSync,
    /// Neither of those.
    SetOtherwise,
}

impl Step {
    /// All of them, in the order in which they may happen.
    pub const ALL: &'static [Self] = &[
        Self::ClampedToWmemMax,
        Self::ClampedToRange,
        Self::Doubled,
        Self::RaisedToMinimum,
        Self::InheritedFromListener,
        Self::MptcpSync,
        Self::SetOtherwise,
    ];

    /// The name in output and docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClampedToWmemMax => "clamped-to-wmem_max",
            Self::ClampedToRange => "clamped-to-range",
            Self::Doubled => "doubled",
            Self::RaisedToMinimum => "raised-to-minimum",
            Self::InheritedFromListener => "inherited-from-listener",
            Self::MptcpSync => "mptcp-sync",
            Self::SetOtherwise => "set-otherwise",
        }
    }
}

/// The steps from `asked` to `sndbuf`; each begins where the one before ends.
/// A limit that was taken over from another socket ends with a step that says
/// so and changes no number.
pub(super) fn chain(asked: i64, doubling: &Doubling, sndbuf: i64, flags: u32) -> Vec<ChainStep> {
    let mut chain = Chain {
        steps: Vec::new(),
        at: asked,
    };
    if doubling.clamped {
        chain.to(Step::ClampedToWmemMax, doubling.honoured);
    } else if doubling.honoured != asked {
        chain.to(Step::ClampedToRange, doubling.honoured);
    }
    chain.to(Step::Doubled, 2 * doubling.honoured);
    if doubling.raised != 0 {
        chain.to(
            Step::RaisedToMinimum,
            2 * doubling.honoured + doubling.raised,
        );
    }
    if chain.at != sndbuf {
        chain.to(Step::SetOtherwise, sndbuf);
    }
    if flags & IDENT_INHERITED != 0 {
        chain.to(Step::InheritedFromListener, sndbuf);
    } else if flags & IDENT_MPTCP != 0 {
        chain.to(Step::MptcpSync, sndbuf);
    }
    chain.steps
}

struct Chain {
    steps: Vec<ChainStep>,
    at: i64,
}

impl Chain {
    fn to(&mut self, step: Step, to: i64) {
        self.steps.push(ChainStep {
            cause: step,
            from: self.at,
            to,
        });
        self.at = to;
    }
}
