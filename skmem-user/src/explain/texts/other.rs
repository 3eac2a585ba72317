//! Growth outside the send path: skbs cut in two, probes, SYN and FIN, MPTCP.

use super::{ALL, NOTHING, Words};
use crate::explain::remedies::Remedy;

pub(super) const TSO_SPLIT: Words = Words {
    brief: "skb cut in two to send its front",
    because: "skbs were cut in two to be sent, and the {bytes} bytes of new empty skbs \
        are charged without a test",
    sentence: "tcp_write_xmit sent a part of an skb, as much as the windows allow, and \
        tso_fragment cut it in two for that: one more empty skb, not tested against \
        the limit; the payload only moves.",
    function: "tso_fragment in tcp_write_xmit",
    versions: ALL,
    remedies: &[Remedy::Reader],
};

pub(super) const RETRANSMIT_FRAGMENT: Words = Words {
    brief: "skb cut in two for a retransmission",
    because: "skbs were cut in two for retransmission, and the {bytes} bytes of new \
        empty skbs are charged without a test",
    sentence: "A retransmission needed a part of an skb: tcp_fragment cut it in two and \
        charged one more empty skb.",
    function: "tcp_fragment in __tcp_retransmit_skb",
    versions: ALL,
    remedies: &[Remedy::Loss],
};

pub(super) const SACK_SPLIT: Words = Words {
    brief: "skb cut in two at a SACK or loss mark",
    because: "skbs were cut in two where SACK blocks or loss marks end, and the {bytes} \
        bytes of new empty skbs are charged without a test",
    sentence: "A SACK block, or the mark of a loss, ended inside an skb: tcp_fragment \
        cut it in two and charged one more empty skb.",
    function: "tcp_fragment in tcp_ack",
    versions: ALL,
    remedies: &[Remedy::Loss],
};

pub(super) const PROBE_SPLIT: Words = Words {
    brief: "skb cut in two for a probe",
    because: "skbs were cut in two for probes, and the {bytes} bytes of new empty skbs \
        are charged without a test",
    sentence: "A tail loss probe or a window probe sent a part of an skb: tcp_fragment \
        cut it in two and charged one more empty skb.",
    function: "tcp_fragment in tcp_send_loss_probe or tcp_write_wakeup",
    versions: ALL,
    remedies: &[Remedy::Reader],
};

pub(super) const MTU_PROBE: Words = Words {
    brief: "skb of a path MTU probe",
    because: "a path MTU probe holds {bytes} bytes more than the skbs it was made from",
    sentence: "tcp_mtu_probe built one large skb from the front of the queue and freed \
        those it emptied; an skb taken over in part stays charged in full until it is \
        acknowledged.",
    function: "tcp_mtu_probe in tcp_write_xmit",
    versions: "5.10 to 7.3, with net.ipv4.tcp_mtu_probing",
    remedies: NOTHING,
};

pub(super) const SYN: Words = Words {
    brief: "the SYN",
    because: "the SYN's skb of {bytes} bytes was queued",
    sentence: "The SYN waits in the queue for its acknowledgement: one empty skb, one \
        sequence number.",
    function: "tcp_connect",
    versions: ALL,
    remedies: NOTHING,
};

pub(super) const SYN_DATA: Words = Words {
    brief: "the SYN and its data (TCP Fast Open)",
    because: "the SYN and its data, {bytes} bytes, are queued without a test",
    sentence: "TCP Fast Open queued the SYN and an skb with its data; the limit is not \
        tested for them.",
    function: "tcp_send_syn_data in tcp_connect",
    versions: ALL,
    remedies: NOTHING,
};

pub(super) const SYN_ACK: Words = Words {
    brief: "copy of a crossed SYN-ACK",
    because: "the copy of a crossed SYN-ACK differs by {bytes} bytes",
    sentence: "Both ends sent a SYN at once; the queued SYN was replaced by a copy that \
        could be turned into a SYN-ACK.",
    function: "tcp_send_synack",
    versions: ALL,
    remedies: NOTHING,
};

pub(super) const FIN: Words = Words {
    brief: "the FIN, with an skb of its own",
    because: "the FIN's skb of {bytes} bytes was queued",
    sentence: "No unsent skb could carry the FIN, so it got an empty one of its own: one \
        sequence number, no payload, no test.",
    function: "tcp_send_fin",
    versions: ALL,
    remedies: NOTHING,
};

pub(super) const MPTCP_SUBFLOW: Words = Words {
    brief: "queued by MPTCP on this subflow",
    because: "MPTCP put {bytes} bytes on this subflow without a test of its limit",
    sentence: "MPTCP put these bytes on the subflow. It appends to the subflow's tail up \
        to size_goal without testing the subflow's limit, and the same data counts \
        again in the MPTCP socket.",
    function: "mptcp_sendmsg_frag",
    versions: "6.1 to 7.3 (through do_tcp_sendpages in 5.10)",
    remedies: &[Remedy::Reader],
};
