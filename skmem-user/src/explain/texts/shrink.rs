//! What makes the queue shrink.

use super::{ALL, NOTHING, Words};

const NEVER: &str = "Never: it shrinks the queue.";
const FREES_ONE: &str = "frees the truesize of an empty skb for each; the payload only moves";

pub(super) const ACK: Words = Words {
    brief: "freed by acknowledgements",
    because: "",
    part: "acknowledged",
    sentence: "An acknowledgement covered whole skbs, and they were freed.",
    function: "tcp_clean_rtx_queue in tcp_ack",
    versions: ALL,
    effect: "frees the truesize of each skb that is covered: its payload and its empty skb",
    over: NEVER,
    seen: "tcp_ack, entry and exit: snd_una moved and sk_wmem_queued fell. Inferred from both \
        where the call was not seen.",
    demo: "skmem demo autotuned",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const PARTIAL_ACK_TRIM: Words = Words {
    brief: "acknowledged bytes cut off the first skb",
    because: "",
    part: "acknowledged",
    sentence: "An acknowledgement ended inside an skb of several segments, and the \
        acknowledged segments were cut off; an acknowledged part of one segment stays.",
    function: "tcp_trim_head",
    versions: ALL,
    effect: "frees the payload that was cut off",
    over: "Never: it shrinks the queue. But what stays of one segment keeps sk_wmem_queued up \
        to an MSS above Send-Q and overhead.",
    seen: "tcp_trim_head, entry and exit.",
    demo: "skmem demo loss",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const TAIL_MERGE: Words = Words {
    brief: "skb emptied into the one before it",
    because: "",
    part: "freed by merging",
    sentence: "Before sending, an skb's payload was moved into the one before it and \
        the emptied skb was freed; the merged one may hold more than size_goal.",
    function: "tcp_grow_skb in tcp_write_xmit",
    versions: "6.12 to 7.3 (absent in 6.1)",
    effect: FREES_ONE,
    over: "Never: it shrinks the queue, and so lets one more skb pass the test.",
    seen: "tcp_write_xmit, entry and exit: sk_wmem_queued fell by whole empty skbs while \
        Send-Q stood still. Inferred from that where the call was not seen.",
    demo: "skmem demo tcp-mem --at-end",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const RETRANSMIT_COLLAPSE: Words = Words {
    brief: "skbs merged for a retransmission",
    because: "",
    part: "freed by merging",
    sentence: "For a retransmission, an skb's payload was moved into the one before it \
        and the emptied skb was freed.",
    function: "tcp_collapse_retrans in __tcp_retransmit_skb",
    versions: ALL,
    effect: FREES_ONE,
    over: NEVER,
    seen: "__tcp_retransmit_skb (tcp_retransmit_skb in 6.1), entry and exit.",
    demo: "skmem demo data-blackholed --at-end",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const SACK_SHIFT: Words = Words {
    brief: "SACKed skb emptied into its neighbour",
    because: "",
    part: "freed by merging",
    sentence: "A SACKed skb's payload was moved into its SACKed neighbour and the \
        emptied skb was freed.",
    function: "tcp_shifted_skb in tcp_ack",
    versions: ALL,
    effect: FREES_ONE,
    over: NEVER,
    seen: "tcp_ack, entry and exit: snd_una stood still and sk_wmem_queued fell by whole \
        empty skbs. A merge in a call that also frees is counted under ack.",
    demo: "skmem demo loss",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const UNUSED_SKB: Words = Words {
    brief: "skb taken away again unused",
    because: "",
    part: "taken away unused",
    sentence: "An skb was queued, no payload got into it (a bad address, no memory; on an MPTCP \
        subflow, no room in the peer's window), and it was taken away again.",
    function: "tcp_remove_empty_skb",
    versions: ALL,
    effect: "frees the truesize of an empty skb",
    over: NEVER,
    seen: "tcp_remove_empty_skb, entry and exit.",
    demo: "skmem demo bad-address --at-end",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const PURGE: Words = Words {
    brief: "queues emptied at the end",
    because: "",
    part: "freed at the end",
    sentence: "The connection is over, and all that was still queued was freed.",
    function: "tcp_write_queue_purge",
    versions: ALL,
    effect: "frees all: sk_wmem_queued is 0 after it",
    over: NEVER,
    seen: "tcp_write_queue_purge, entry and exit. Inferred where the queue was found empty or \
        the socket closed.",
    demo: "skmem demo rst-full-queue --at-end",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const RESET: Words = Words {
    brief: "queues emptied by the peer's reset",
    because: "",
    part: "freed by the reset",
    sentence: "The peer reset the connection, and all that was still queued was freed.",
    function: "tcp_write_queue_purge in tcp_reset",
    versions: ALL,
    effect: "frees all: sk_wmem_queued is 0 after it",
    over: NEVER,
    seen: "tcp_write_queue_purge inside tcp_reset.",
    demo: "skmem demo rst-full-queue --at-end",
    remedies: NOTHING,
    useless: NOTHING,
};
