//! Growth outside the send path: skbs cut in two, probes, SYN and FIN, MPTCP.

use super::{ALL, NOTHING, Words};
use crate::explain::remedies::Remedy;

const ONE_SKB: &str = "adds the truesize of an empty skb for each cut; the payload only moves";
const EACH: &str = "By the truesize of an empty skb for each cut, none of them tested";

pub(super) const TSO_SPLIT: Words = Words {
    brief: "skb cut in two to send its front",
    because: "skbs were cut in two to be sent, and the {bytes} bytes of new empty skbs \
        are charged without a test",
    part: "empty skbs of splits",
    sentence: "tcp_write_xmit sent a part of an skb, as much as the windows allow, and \
        tso_fragment cut it in two for that: one more empty skb, not tested against \
        the limit; the payload only moves.",
    function: "tso_fragment in tcp_write_xmit",
    versions: ALL,
    effect: ONE_SKB,
    over: "By the truesize of an empty skb for each cut, none of them tested; and the rest \
        may be filled up again (tail-refill).",
    seen: "an allocation inside tcp_write_xmit, and growth by its truesize.",
    demo: "skmem demo acks-blackholed",
    remedies: &[Remedy::Reader],
    useless: NOTHING,
};

pub(super) const RETRANSMIT_FRAGMENT: Words = Words {
    brief: "skb cut in two for a retransmission",
    because: "skbs were cut in two for retransmission, and the {bytes} bytes of new \
        empty skbs are charged without a test",
    part: "empty skbs of splits for retransmission",
    sentence: "A retransmission needed a part of an skb: tcp_fragment cut it in two and \
        charged one more empty skb.",
    function: "tcp_fragment in __tcp_retransmit_skb",
    versions: ALL,
    effect: ONE_SKB,
    over: "By the truesize of an empty skb for each cut. tcp_fragment refuses only when half \
        of wmem_queued is more than sndbuf and the truesize of two skbs of 64 KiB, and \
        never at the head or the tail of the retransmit queue.",
    seen: "tcp_fragment inside __tcp_retransmit_skb (tcp_retransmit_skb in 6.1, where the \
        other is inlined).",
    demo: "skmem demo loss",
    remedies: &[Remedy::Loss],
    useless: NOTHING,
};

pub(super) const SACK_SPLIT: Words = Words {
    brief: "skb cut in two at a SACK or loss mark",
    because: "skbs were cut in two where SACK blocks or loss marks end, and the {bytes} \
        bytes of new empty skbs are charged without a test",
    part: "empty skbs of splits at SACK or loss marks",
    sentence: "A SACK block, or the mark of a loss, ended inside an skb: tcp_fragment \
        cut it in two and charged one more empty skb.",
    function: "tcp_fragment in tcp_ack",
    versions: ALL,
    effect: ONE_SKB,
    over: EACH,
    seen: "tcp_fragment inside tcp_ack.",
    demo: "skmem demo loss",
    remedies: &[Remedy::Loss],
    useless: NOTHING,
};

pub(super) const PROBE_SPLIT: Words = Words {
    brief: "skb cut in two for a probe",
    because: "skbs were cut in two for probes, and the {bytes} bytes of new empty skbs \
        are charged without a test",
    part: "empty skbs of splits by probes",
    sentence: "A tail loss probe or a window probe sent a part of an skb: tcp_fragment \
        cut it in two and charged one more empty skb.",
    function: "tcp_fragment in tcp_send_loss_probe or tcp_write_wakeup",
    versions: ALL,
    effect: ONE_SKB,
    over: "By the truesize of an empty skb for each cut, none of them tested; and the rest \
        may be filled up again (tail-refill).",
    seen: "tcp_fragment inside tcp_send_loss_probe or tcp_write_wakeup.",
    demo: "skmem demo loopback",
    remedies: &[Remedy::Reader],
    useless: NOTHING,
};

pub(super) const MTU_PROBE: Words = Words {
    brief: "skb of a path MTU probe",
    because: "a path MTU probe holds {bytes} bytes more than the skbs it was made from",
    part: "for a path MTU probe",
    sentence: "tcp_mtu_probe built one large skb from the front of the queue and freed \
        those it emptied; an skb taken over in part stays charged in full until it is \
        acknowledged.",
    function: "tcp_mtu_probe in tcp_write_xmit",
    versions: "5.10 to 7.3, with net.ipv4.tcp_mtu_probing",
    effect: "adds an empty skb and the probe's payload, less the skbs that it emptied: of \
        either sign",
    over: "By an empty skb and the size of the probe, until it is acknowledged.",
    seen: "icsk_mtup.probe_size was 0 at the entry of tcp_write_xmit and is not after.",
    demo: "skmem demo mtu-probing",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const SYN: Words = Words {
    brief: "the SYN",
    because: "the SYN's skb of {bytes} bytes was queued",
    part: "for the SYN",
    sentence: "The SYN waits in the queue for its acknowledgement: one empty skb, one \
        sequence number.",
    function: "tcp_connect",
    versions: ALL,
    effect: "adds the truesize of an empty skb",
    over: "Never alone: the queue is empty then, and the smallest limit, 4608 bytes, is \
        larger.",
    seen: "tcp_connect, entry and exit. Inferred where write_seq moved by 1 in SYN-SENT.",
    demo: "skmem demo article --all",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const SYN_DATA: Words = Words {
    brief: "the SYN and its data (TCP Fast Open)",
    because: "the SYN and its data, {bytes} bytes, are queued without a test",
    part: "for the SYN and its data",
    sentence: "TCP Fast Open queued the SYN and an skb with its data; the limit is not \
        tested for them.",
    function: "tcp_send_syn_data in tcp_connect",
    versions: ALL,
    effect: "adds two empty skbs and the data",
    over: "By two empty skbs and one MSS, in a queue that is empty: past the smallest limits \
        only.",
    seen: "tcp_connect, entry and exit, with more than one allocation in between.",
    demo: "skmem demo tfo",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const SYN_ACK: Words = Words {
    brief: "copy of a crossed SYN-ACK",
    because: "the copy of a crossed SYN-ACK differs by {bytes} bytes",
    part: "for a copied SYN-ACK",
    sentence: "Both ends sent a SYN at once; the queued SYN was replaced by a copy that \
        could be turned into a SYN-ACK.",
    function: "tcp_send_synack",
    versions: ALL,
    effect: "the truesize of the copy less that of the SYN: 0 or nearly so",
    over: "Never: the queue holds nothing else.",
    seen: "tcp_send_synack, entry and exit.",
    demo: "",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const FIN: Words = Words {
    brief: "the FIN, with an skb of its own",
    because: "the FIN's skb of {bytes} bytes was queued",
    part: "for the FIN",
    sentence: "No unsent skb could carry the FIN, so it got an empty one of its own: one \
        sequence number, no payload, no test.",
    function: "tcp_send_fin",
    versions: ALL,
    effect: "adds the truesize of an empty skb, and 1 to Send-Q; a FIN that rides on the \
        last skb adds 1 to Send-Q alone",
    over: "By one empty skb.",
    seen: "tcp_send_fin, entry and exit. Inferred where write_seq moved by 1 with one empty \
        skb.",
    demo: "skmem demo article --at-end",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const MPTCP_SUBFLOW: Words = Words {
    brief: "queued by MPTCP on this subflow",
    because: "MPTCP puts data on a subflow without testing the subflow's limit: {bytes} bytes",
    part: "by MPTCP",
    sentence: "MPTCP put these bytes on the subflow. It appends to the subflow's tail up \
        to size_goal without testing the subflow's limit, and the same data counts \
        again in the MPTCP socket.",
    function: "mptcp_sendmsg_frag",
    versions: "6.1 to 7.3 (through do_tcp_sendpages in 5.10)",
    effect: "adds payload, byte for byte; its empty skbs are booked as new-skb or skb-overhead",
    over: "By one empty skb and size_goal: a subflow is chosen while it is below its limit, \
        and then takes that much.",
    seen: "mptcp_sendmsg_frag, entry and exit, on the subflow.",
    demo: "skmem demo mptcp",
    remedies: &[Remedy::Reader],
    useless: NOTHING,
};
