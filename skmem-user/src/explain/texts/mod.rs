//! The words for each cause: their one source, for output and docs. Conditions
//! and versions are those of `kernel-semantics.md`, read in 5.10, 6.1, 6.12,
//! 7.2 and 7.3.

use skmem_common::cause::{Cause, LimitCause};

use super::remedies::Remedy;

mod limit;
mod other;
mod send;
mod shrink;

/// All that is said of one cause.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// For the line of a table.
    pub brief: &'static str,
    /// Ends the sentence "Send-Q is …, because"; `{bytes}` stands for its
    /// bytes.
    pub because: &'static str,
    /// What happens in the kernel, in a sentence or two.
    pub sentence: &'static str,
    /// The kernel function that does it.
    pub function: &'static str,
    /// On which kernels.
    pub versions: &'static str,
    /// What can be done where this cause matters, most useful first.
    pub remedies: &'static [Remedy],
}

const ALL: &str = "5.10 to 7.3";
const NOTHING: &[Remedy] = &[];

/// The words for a change of `sk_wmem_queued`.
#[must_use]
pub const fn of(cause: Cause) -> Words {
    match cause {
        Cause::PreExisting => send::PRE_EXISTING,
        Cause::Unattributed => send::UNATTRIBUTED,
        Cause::NewSkb => send::NEW_SKB,
        Cause::SkbOverhead => send::SKB_OVERHEAD,
        Cause::FirstFill => send::FIRST_FILL,
        Cause::TailAppend => send::TAIL_APPEND,
        Cause::TailRefill => send::TAIL_REFILL,
        Cause::Splice => send::SPLICE,
        Cause::ZerocopyPageRounding => send::ZEROCOPY_PAGE_ROUNDING,
        Cause::TsoSplit => other::TSO_SPLIT,
        Cause::RetransmitFragment => other::RETRANSMIT_FRAGMENT,
        Cause::SackSplit => other::SACK_SPLIT,
        Cause::ProbeSplit => other::PROBE_SPLIT,
        Cause::MtuProbe => other::MTU_PROBE,
        Cause::Syn => other::SYN,
        Cause::SynData => other::SYN_DATA,
        Cause::SynAck => other::SYN_ACK,
        Cause::Fin => other::FIN,
        Cause::MptcpSubflow => other::MPTCP_SUBFLOW,
        Cause::Ack => shrink::ACK,
        Cause::PartialAckTrim => shrink::PARTIAL_ACK_TRIM,
        Cause::TailMerge => shrink::TAIL_MERGE,
        Cause::RetransmitCollapse => shrink::RETRANSMIT_COLLAPSE,
        Cause::SackShift => shrink::SACK_SHIFT,
        Cause::UnusedSkb => shrink::UNUSED_SKB,
        Cause::Purge => shrink::PURGE,
        Cause::Reset => shrink::RESET,
    }
}

/// The words for a move of `sk_sndbuf`.
#[must_use]
pub const fn of_limit(cause: LimitCause) -> Words {
    match cause {
        LimitCause::SetByApplication => limit::SET_BY_APPLICATION,
        LimitCause::AutotunedUp => limit::AUTOTUNED_UP,
        LimitCause::ShrunkByMemoryPressure => limit::SHRUNK_BY_MEMORY_PRESSURE,
        LimitCause::LoweredBelowQueue => limit::LOWERED_BELOW_QUEUE,
        LimitCause::AutotunedDown => limit::AUTOTUNED_DOWN,
    }
}

/// The words for the cause of this name, of either kind.
#[must_use]
pub fn named(name: &str) -> Option<Words> {
    let limit = || LimitCause::from_name(name).map(of_limit);
    Cause::from_name(name).map(of).or_else(limit)
}
