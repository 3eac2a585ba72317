//! The words for each cause: their one source, for output and docs. Conditions
//! and versions are those of `kernel-semantics.md`, read in 5.10, 6.1, 6.12,
//! 7.2 and 7.3.

use skmem_common::{
    cause::{Cause, LimitCause},
    receive_cause::{RcvbufCause, ReceiveCause},
};

use super::{chain::Step, pages::Memory, remedies::Remedy, verdict::AnyCause};

mod chain;
mod limit;
mod memory;
mod mptcp;
mod other;
mod receive;
mod send;
mod shrink;

/// All that is said of one cause.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// For the line of a table.
    pub brief: &'static str,
    /// Ends the sentence "Send-Q is …, because"; `{bytes}` stands for its
    /// bytes. Empty for a cause that alone never makes an excess.
    pub because: &'static str,
    /// Follows its bytes in a list of what went into the queue.
    pub part: &'static str,
    /// What happens in the kernel, in a sentence or two.
    pub sentence: &'static str,
    /// The kernel function that does it.
    pub function: &'static str,
    /// On which kernels.
    pub versions: &'static str,
    /// What it does to which field, with sign and unit.
    pub effect: &'static str,
    /// When it can exceed the limit, and by how much.
    pub over: &'static str,
    /// How skmem sees it; when it is inferred.
    pub seen: &'static str,
    /// The command that brings it about; empty where there is none.
    pub demo: &'static str,
    /// What can be done where this cause matters, most useful first.
    pub remedies: &'static [Remedy],
    /// What is often said to help and does not.
    pub useless: &'static [Remedy],
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
        Cause::Forced => send::FORCED,
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
        Cause::MptcpSubflow => mptcp::SUBFLOW,
        Cause::MptcpData => mptcp::DATA,
        Cause::MptcpFragHeader => mptcp::FRAG_HEADER,
        Cause::MptcpAck => mptcp::ACK,
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
        LimitCause::MptcpSync => chain::MPTCP_SYNC,
        LimitCause::MptcpSubflows => mptcp::FROM_SUBFLOWS,
    }
}

/// The words for a change of `sk_rmem_alloc`.
#[must_use]
pub const fn of_receive(cause: ReceiveCause) -> Words {
    match cause {
        ReceiveCause::ReceivedBefore => receive::RECEIVED_BEFORE,
        ReceiveCause::Unattributed => receive::UNATTRIBUTED,
        ReceiveCause::InOrder => receive::IN_ORDER,
        ReceiveCause::InOrderOverhead => receive::IN_ORDER_OVERHEAD,
        ReceiveCause::Coalesced => receive::COALESCED,
        ReceiveCause::CoalescedOverhead => receive::COALESCED_OVERHEAD,
        ReceiveCause::OutOfOrder => receive::OUT_OF_ORDER,
        ReceiveCause::OutOfOrderJoined => receive::OUT_OF_ORDER_JOINED,
        ReceiveCause::OutOfOrderDropped => receive::OUT_OF_ORDER_DROPPED,
        ReceiveCause::Collapse => receive::COLLAPSE,
        ReceiveCause::Prune => receive::PRUNE,
        ReceiveCause::FinReceived => receive::FIN_RECEIVED,
        ReceiveCause::Read => receive::READ,
        ReceiveCause::ReadSpliced => receive::READ_SPLICED,
        ReceiveCause::ReadKtls => receive::READ_KTLS,
        ReceiveCause::ReadZerocopy => receive::READ_ZEROCOPY,
        ReceiveCause::SockmapTaken => receive::SOCKMAP_TAKEN,
        ReceiveCause::SockmapQueued => receive::SOCKMAP_QUEUED,
        ReceiveCause::SockmapRead => receive::SOCKMAP_READ,
        ReceiveCause::MptcpTaken => receive::MPTCP_TAKEN,
        ReceiveCause::ErrorQueued => receive::ERROR_QUEUED,
        ReceiveCause::ErrorTaken => receive::ERROR_TAKEN,
        ReceiveCause::ThrownAway => receive::THROWN_AWAY,
        ReceiveCause::Disconnected => receive::DISCONNECTED,
    }
}

/// The words for a move of `sk_rcvbuf`.
#[must_use]
pub const fn of_rcvbuf(cause: RcvbufCause) -> Words {
    match cause {
        RcvbufCause::SetByApplication => receive::RCVBUF_SET,
        RcvbufCause::RaisedByReading => receive::RCVBUF_READING,
        RcvbufCause::RaisedByArrival => receive::RCVBUF_ARRIVAL,
        RcvbufCause::Otherwise => receive::RCVBUF_OTHERWISE,
        RcvbufCause::RaisedForLowat => receive::RCVBUF_LOWAT,
    }
}

/// The words for a step from `SO_SNDBUF` to the limit.
#[must_use]
pub const fn of_step(step: Step) -> Words {
    match step {
        Step::ClampedToWmemMax => chain::CLAMPED_TO_WMEM_MAX,
        Step::ClampedToRange => chain::CLAMPED_TO_RANGE,
        Step::Doubled => chain::DOUBLED,
        Step::RaisedToMinimum => chain::RAISED_TO_MINIMUM,
        Step::InheritedFromListener => chain::INHERITED_FROM_LISTENER,
        Step::MptcpSync => chain::MPTCP_SYNC,
        Step::SetOtherwise => chain::SET_OTHERWISE,
    }
}

/// The words for what concerns memory, but no byte of `sk_wmem_queued`.
#[must_use]
pub const fn of_memory(memory: Memory) -> Words {
    match memory {
        Memory::Granted => memory::GRANTED,
        Memory::GrantedOverTcpMem => memory::GRANTED_OVER_TCP_MEM,
        Memory::GrantedOverMemcg => memory::GRANTED_OVER_MEMCG,
        Memory::Reserved => memory::RESERVED,
        Memory::Refused => memory::REFUSED,
        Memory::KtlsRecord => memory::KTLS_RECORD,
    }
}

/// The words for a change of `sk_wmem_queued` or a move of `sk_sndbuf`.
#[must_use]
pub(crate) fn named(cause: AnyCause) -> Option<Words> {
    match cause {
        AnyCause::Queue(cause) => Some(of(cause)),
        AnyCause::Limit(cause) => Some(of_limit(cause)),
        AnyCause::NotsentLowat => None,
    }
}
