//! What makes the queue shrink.

use super::{ALL, NOTHING, Words};

pub(super) const ACK: Words = Words {
    brief: "freed by acknowledgements",
    because: "acknowledgements changed it by {bytes} bytes",
    sentence: "An acknowledgement covered whole skbs, and they were freed.",
    function: "tcp_clean_rtx_queue in tcp_ack",
    versions: ALL,
    remedies: NOTHING,
};

pub(super) const PARTIAL_ACK_TRIM: Words = Words {
    brief: "acknowledged bytes cut off the first skb",
    because: "acknowledged bytes cut off the first skb changed it by {bytes}",
    sentence: "An acknowledgement ended inside an skb of several segments, and the \
        acknowledged segments were cut off; an acknowledged part of one segment stays.",
    function: "tcp_trim_head",
    versions: ALL,
    remedies: NOTHING,
};

pub(super) const TAIL_MERGE: Words = Words {
    brief: "skb emptied into the one before it",
    because: "skbs merged before sending changed it by {bytes} bytes",
    sentence: "Before sending, an skb's payload was moved into the one before it and \
        the emptied skb was freed; the merged one may hold more than size_goal.",
    function: "tcp_grow_skb in tcp_write_xmit",
    versions: "6.12 to 7.3 (absent in 6.1)",
    remedies: NOTHING,
};

pub(super) const RETRANSMIT_COLLAPSE: Words = Words {
    brief: "skbs merged for a retransmission",
    because: "skbs merged for a retransmission changed it by {bytes} bytes",
    sentence: "For a retransmission, an skb's payload was moved into the one before it \
        and the emptied skb was freed.",
    function: "tcp_collapse_retrans in __tcp_retransmit_skb",
    versions: ALL,
    remedies: NOTHING,
};

pub(super) const SACK_SHIFT: Words = Words {
    brief: "SACKed skb emptied into its neighbour",
    because: "SACKed skbs merged with their neighbours changed it by {bytes} bytes",
    sentence: "A SACKed skb's payload was moved into its SACKed neighbour and the \
        emptied skb was freed.",
    function: "tcp_shifted_skb in tcp_ack",
    versions: ALL,
    remedies: NOTHING,
};

pub(super) const UNUSED_SKB: Words = Words {
    brief: "skb taken away again unused",
    because: "skbs that were taken away unused changed it by {bytes} bytes",
    sentence: "An skb was queued, no payload got into it (no memory, or a bad address), \
        and it was taken away again.",
    function: "tcp_remove_empty_skb",
    versions: ALL,
    remedies: NOTHING,
};

pub(super) const PURGE: Words = Words {
    brief: "queues emptied at the end",
    because: "emptying the queues changed it by {bytes} bytes",
    sentence: "The connection is over, and all that was still queued was freed.",
    function: "tcp_write_queue_purge",
    versions: ALL,
    remedies: NOTHING,
};

pub(super) const RESET: Words = Words {
    brief: "queues emptied by the peer's reset",
    because: "the peer's reset changed it by {bytes} bytes",
    sentence: "The peer reset the connection, and all that was still queued was freed.",
    function: "tcp_write_queue_purge in tcp_reset",
    versions: ALL,
    remedies: NOTHING,
};
