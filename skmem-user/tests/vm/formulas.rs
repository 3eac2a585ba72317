//! Bytes per cause, computed from sizes that were observed: the overhead of an skb (O), the size goal (G), the MSS.
//! `kernel-semantics.md` has the formulas.

use skmem::diag::{TcpState, Truth};
use skmem_common::{account::Account, cause::Cause, record::IDENT_OLDER};

use crate::{check::Check, sums};

/// Causes that come in whole empty skbs.
const WHOLE_SKBS: &[Cause] = &[
    Cause::NewSkb,
    Cause::SkbOverhead,
    Cause::TsoSplit,
    Cause::RetransmitFragment,
    Cause::SackSplit,
    Cause::ProbeSplit,
    Cause::TailMerge,
    Cause::RetransmitCollapse,
    Cause::SackShift,
    Cause::UnusedSkb,
];

/// Causes that are payload, byte for byte.
const PAYLOAD: &[Cause] = &[
    Cause::FirstFill,
    Cause::TailAppend,
    Cause::TailRefill,
    Cause::Splice,
];

/// Causes that only ever free.
const FREES: &[Cause] = &[
    Cause::Ack,
    Cause::PartialAckTrim,
    Cause::TailMerge,
    Cause::RetransmitCollapse,
    Cause::SackShift,
    Cause::UnusedSkb,
    Cause::Purge,
    Cause::Reset,
];

/// What holds of every socket.
pub fn every_socket(check: &mut Check, account: &Account) {
    let name = sums::name(account);
    let one = i64::from(account.overhead);
    let total = |cause: Cause| account.ledger.now.total[cause as usize];
    check.that(one > 0 || account.ledger.now.w == 0, || {
        format!("{name}: the overhead of an skb was never seen")
    });
    for cause in WHOLE_SKBS {
        let bytes = total(*cause).bytes;
        check.that(one == 0 || bytes % one == 0, || {
            format!("{name}: {} {bytes} is no multiple of O = {one}", cause.name())
        });
    }
    for cause in Cause::ALL {
        let bytes = total(*cause).bytes;
        let free = FREES.contains(cause);
        let either = matches!(
            cause,
            Cause::MtuProbe | Cause::SynAck | Cause::ZerocopyPageRounding | Cause::MptcpSubflow
        );
        check.that(either || (bytes <= 0) == free || bytes == 0, || {
            format!("{name}: {} {bytes} has the wrong sign", cause.name())
        });
    }
}

/// What holds of a socket at rest, by the kernel's own counts.
pub fn at_rest(check: &mut Check, account: &Account, truth: &Truth) {
    let name = sums::name(account);
    let total = |cause: Cause| account.ledger.now.total[cause as usize];
    let older = account.ident.flags & IDENT_OLDER != 0 || total(Cause::PreExisting).count > 0;
    let other = [Cause::SynData, Cause::MptcpSubflow, Cause::Unattributed]
        .iter()
        .any(|cause| total(*cause).count > 0);
    let Some(acked) = truth.tcp.as_ref().and_then(|tcp| tcp.bytes_acked) else {
        return;
    };
    if older || other {
        return;
    }
    // A connecting socket's first acknowledgement is that of its SYN (tcp_snd_una_update).
    let syn = i64::from(total(Cause::Syn).count > 0);
    let fin = i64::from(matches!(
        truth.tcp.as_ref().map(|tcp| tcp.state),
        Some(TcpState::FinWait1 | TcpState::LastAck | TcpState::Closing)
    ));
    let written = i64::try_from(acked).unwrap_or(i64::MAX) - syn + i64::from(truth.queues.outq) - fin;
    let booked: i64 = PAYLOAD.iter().map(|cause| total(*cause).bytes).sum();
    check.equal(
        format_args!("{name}: payload booked, and what TCP_INFO and SIOCOUTQ say was written"),
        booked,
        written,
    );
}
