//! What the send path adds (`tcp_sendmsg_locked` and its like), and what was
//! there before.

use super::{ALL, Words};
use crate::explain::remedies::Remedy;

const ONE_SKB: &[Remedy] = &[
    Remedy::Reader,
    Remedy::SmallerGoal,
    Remedy::SmallerWindow,
    Remedy::FixLimit,
    Remedy::BoundUnsent,
    Remedy::Doubled,
];
const TAIL: &[Remedy] = &[
    Remedy::Reader,
    Remedy::SmallerGoal,
    Remedy::SmallerWindow,
    Remedy::Eor,
    Remedy::FixLimit,
    Remedy::BoundUnsent,
    Remedy::Doubled,
];
const REFILL: &[Remedy] = &[
    Remedy::Reader,
    Remedy::SmallerWindow,
    Remedy::SmallerGoal,
    Remedy::Eor,
    Remedy::FixLimit,
    Remedy::BoundUnsent,
    Remedy::Doubled,
];

pub(super) const PRE_EXISTING: Words = Words {
    brief: "queued before skmem saw the socket",
    because: "{bytes} bytes were queued before skmem first saw the socket",
    sentence: "These bytes were in the queue when skmem first saw the socket; which code \
        path queued them cannot be told any more.",
    function: "none: before skmem",
    versions: ALL,
    remedies: &[Remedy::Reader, Remedy::StartEarlier],
};

pub(super) const UNATTRIBUTED: Words = Words {
    brief: "NOT NAMED by any hook or field",
    because: "{bytes} bytes were queued by a path that skmem does not know",
    sentence: "No hook saw these bytes and no field tells what they are: this kernel has \
        a path that skmem does not know, or a hook that it needs is missing.",
    function: "unknown",
    versions: ALL,
    remedies: &[Remedy::Report],
};

pub(super) const NEW_SKB: Words = Words {
    brief: "empty skb, queued after the test passed",
    because: "the limit is tested only before a new skb, and an empty one, of {bytes} \
        bytes, was queued below it",
    sentence: "tcp_sendmsg_locked found sk_wmem_queued below sk_sndbuf \
        (sk_stream_memory_free) and queued an empty skb, charged at its truesize before \
        any payload is in it.",
    function: "tcp_skb_entail (skb_entail in 5.10)",
    versions: ALL,
    remedies: &[
        Remedy::Reader,
        Remedy::LargerWrites,
        Remedy::FixLimit,
        Remedy::Doubled,
    ],
};

pub(super) const SKB_OVERHEAD: Words = Words {
    brief: "empty skb, queued without the test",
    because: "{bytes} bytes of empty skbs were queued without a test of the limit",
    sentence: "An empty skb joined the queue and no hook saw the limit tested for it: \
        either the path does not test (MPTCP queues on a subflow so), or skmem missed \
        the start of the call.",
    function: "tcp_skb_entail (skb_entail in 5.10)",
    versions: ALL,
    remedies: &[Remedy::Reader, Remedy::LargerWrites],
};

pub(super) const FIRST_FILL: Words = Words {
    brief: "payload of the call that queued the skb",
    because: "the limit is tested only before a new skb, and the call that queued the \
        last one went on to put {bytes} bytes into it",
    sentence: "The call that queued the skb copied this payload into it. Until the skb \
        holds size_goal, the limit is not tested again.",
    function: "tcp_sendmsg_locked",
    versions: ALL,
    remedies: ONE_SKB,
};

pub(super) const TAIL_APPEND: Words = Words {
    brief: "appended to the last skb, no test",
    because: "the limit is tested only before a new skb, and {bytes} bytes were then \
        appended to the last one",
    sentence: "A later call appended this payload to the skb at the tail of the write \
        queue. While that skb holds less than size_goal, tcp_sendmsg_locked appends to \
        it without testing sk_sndbuf.",
    function: "tcp_sendmsg_locked",
    versions: ALL,
    remedies: TAIL,
};

pub(super) const TAIL_REFILL: Words = Words {
    brief: "refill of the last skb after a split, no test",
    because: "the front of the last skb was cut off and sent, and its rest was filled up \
        again with {bytes} bytes, for which the limit is not tested",
    sentence: "tso_fragment cut off the front of the tail skb and sent it. The rest is \
        shorter than size_goal, so it is filled up again without a test, as often as \
        the congestion window and the peer's window let another front leave.",
    function: "tcp_sendmsg_locked, after tso_fragment in tcp_write_xmit",
    versions: ALL,
    remedies: REFILL,
};

pub(super) const SPLICE: Words = Words {
    brief: "sendfile or splice, by reference",
    because: "the limit is tested only before a new skb, and sendfile or splice then \
        added {bytes} bytes to it",
    sentence: "sendfile or splice put these bytes into the queue by reference. They \
        count byte for byte, not page by page, under the rules for copied payload.",
    function: "tcp_sendmsg_locked with MSG_SPLICE_PAGES (do_tcp_sendpages in 5.10, 6.1)",
    versions: ALL,
    remedies: ONE_SKB,
};

pub(super) const ZEROCOPY_PAGE_ROUNDING: Words = Words {
    brief: "MSG_ZEROCOPY charges whole pages",
    because: "MSG_ZEROCOPY charges whole pages, {bytes} bytes beyond the payload",
    sentence: "MSG_ZEROCOPY charges every page it pins in full, while Send-Q counts the \
        bytes sent from it: less than two pages too much for each send call, and the \
        tail skb takes them without a test.",
    function: "__zerocopy_sg_from_iter",
    versions: ALL,
    remedies: &[Remedy::CopySmall, Remedy::Reader],
};
