//! MPTCP: what goes into the socket that the application holds, and onto its
//! subflows. Read in 6.1, 6.12 and 7.2; Debian builds no MPTCP into 5.10.

use super::{NOTHING, Words};
use crate::explain::remedies::Remedy;

const SINCE: &str = "6.1 to 7.3";
const SEEN: &str = "sk_wmem_queued and write_seq of the MPTCP socket under its lock: at \
    mptcp_release_cb, __sk_mem_schedule, sk_stream_wait_memory, __mptcp_clean_una.";

pub(super) const SUBFLOW: Words = Words {
    brief: "queued by MPTCP on this subflow",
    because: "MPTCP puts data on a subflow without testing the subflow's limit: {bytes} bytes",
    part: "by MPTCP",
    sentence: "MPTCP put these bytes on the subflow. It appends to the subflow's tail up \
        to size_goal without testing the subflow's limit, and the same data counts \
        again in the MPTCP socket (mptcp-data).",
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

pub(super) const DATA: Words = Words {
    brief: "payload in an MPTCP socket's fragments",
    because: "mptcp_sendmsg tests the limit and then takes up to the rest of a page fragment: \
        {bytes} bytes of payload",
    part: "of payload",
    sentence: "mptcp_sendmsg copied these bytes into data fragments of the MPTCP socket. Where \
        it finds sk_wmem_queued below sk_sndbuf, it takes as much of the write as the page \
        fragment has room for. They stay until the peer's MPTCP acknowledges them; a subflow \
        that carries them is charged with them, too (mptcp-subflow).",
    function: "mptcp_sendmsg",
    versions: SINCE,
    effect: "adds payload, byte for byte, to sk_wmem_queued of the MPTCP socket",
    over: "By less than a page fragment (32 KiB; a page where no larger ones are free), its \
        header included. 6.12 and 7.2 test before each part of one, 6.1 before each new \
        header only.",
    seen: SEEN,
    demo: "skmem demo mptcp",
    remedies: &[Remedy::Reader, Remedy::SmallerWrites, Remedy::Doubled],
    useless: NOTHING,
};

pub(super) const FRAG_HEADER: Words = Words {
    brief: "headers of an MPTCP socket's fragments",
    because: "headers of data fragments, {bytes} bytes, are charged with them",
    part: "of fragment headers",
    sentence: "Each data fragment of an MPTCP socket begins with a struct mptcp_data_frag in \
        the same page, which is charged like payload, with the bytes that align it.",
    function: "mptcp_carve_data_frag in mptcp_sendmsg",
    versions: SINCE,
    effect: "adds the header and its alignment for each new fragment",
    over: "By a header, with the payload behind it (mptcp-data).",
    seen: "what sk_wmem_queued of the MPTCP socket grew by beyond write_seq.",
    demo: "skmem demo mptcp",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const ACK: Words = Words {
    brief: "acknowledged by the peer's MPTCP",
    because: "",
    part: "acknowledged",
    sentence: "The peer's MPTCP acknowledged fragments, or the front of one, and they were \
        freed. ACKs of a subflow alone free nothing here, except after a fallback to plain \
        TCP, where what the subflow has taken counts as acknowledged.",
    function: "__mptcp_clean_una",
    versions: SINCE,
    effect: "frees the payload that is covered, and the headers of whole fragments",
    over: "Never: it shrinks the queue.",
    seen: "__mptcp_clean_una or __mptcp_data_acked, and mptcp_release_cb, entry and exit. \
        Inferred where the call was not seen: nothing else takes bytes off an MPTCP socket \
        that is open.",
    demo: "skmem demo mptcp --at-end",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const FROM_SUBFLOWS: Words = Words {
    brief: "MPTCP socket's limit, from its subflows",
    because: "the limit that an MPTCP socket has from its subflows fell by {bytes} bytes",
    part: "",
    sentence: "No SO_SNDBUF was set on the MPTCP socket, so its limit follows those of its \
        subflows, which the kernel tunes. 6.12 and 7.2: tcp_wmem[0] and the sum of the \
        subflows' sk_sndbuf. 6.1: the largest of them so far.",
    function: "__mptcp_sync_sndbuf (6.1: mptcp_propagate_sndbuf)",
    versions: SINCE,
    effect: "sets sk_sndbuf of the MPTCP socket",
    over: "By how far it falls: a subflow was closed, or its limit shrank.",
    seen: "sk_sndbuf of an MPTCP socket differs from what the last hook saw, and \
        SOCK_SNDBUF_LOCK is clear",
    demo: "skmem demo mptcp --no-sndbuf --all",
    remedies: NOTHING,
    useless: NOTHING,
};
