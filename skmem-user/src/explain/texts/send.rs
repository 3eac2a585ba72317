//! What the send path adds (`tcp_sendmsg_locked` and its like), and what was
//! there before.

use super::{ALL, NOTHING, Words};
use crate::explain::remedies::Remedy;

const ONE_SKB: &[Remedy] = &[
    Remedy::Reader,
    Remedy::NoBigTcp,
    Remedy::SmallerGoal,
    Remedy::SmallerWindow,
    Remedy::FixLimit,
    Remedy::BoundUnsent,
    Remedy::Doubled,
];
const TAIL: &[Remedy] = &[
    Remedy::Reader,
    Remedy::Eor,
    Remedy::NoBigTcp,
    Remedy::SmallerGoal,
    Remedy::SmallerWindow,
    Remedy::FixLimit,
    Remedy::BoundUnsent,
    Remedy::Doubled,
];

/// What is often said to help against a last skb that is filled past the limit.
const WITHOUT_EFFECT: &[Remedy] = &[
    Remedy::GsoOff,
    Remedy::SmallerLimit,
    Remedy::Unset,
    Remedy::LowatOneSkb,
];

pub(super) const PRE_EXISTING: Words = Words {
    brief: "queued before skmem saw the socket",
    because: "{bytes} bytes were queued before skmem first saw the socket",
    part: "from before",
    sentence: "These bytes were in the queue when skmem first saw the socket; which code \
        path queued them is not known.",
    function: "none: before skmem",
    versions: ALL,
    effect: "sk_wmem_queued as skmem found it",
    over: "They may be over the limit already, and the test lets them: copied payload alone \
        reaches sk_sndbuf - 1, one empty skb and size_goal, and more after splits (see \
        tail-refill).",
    seen: "read from the socket when skmem first sees it: at its first call of tcp_connect or \
        tcp_sendmsg_locked after skmem has started, or when skmem starts.",
    demo: "skmem demo older-than-tracer",
    remedies: &[Remedy::Reader, Remedy::StartEarlier],
    useless: NOTHING,
};

pub(super) const UNATTRIBUTED: Words = Words {
    brief: "NOT NAMED by any hook or field",
    because: "{bytes} bytes were queued by a path that skmem does not know",
    part: "without a name",
    sentence: "No hook saw these bytes and no field shows what they are: this kernel has \
        a path that skmem does not know, or a hook that it needs is missing.",
    function: "unknown",
    versions: ALL,
    effect: "bytes of sk_wmem_queued, of either sign",
    over: "not known",
    seen: "what is left of a change when neither the open call nor write_seq, snd_una, the \
        tail of the write queue and the size of an empty skb explain it.",
    demo: "",
    remedies: &[Remedy::Report],
    useless: NOTHING,
};

pub(super) const NEW_SKB: Words = Words {
    brief: "empty skb, queued after the test passed",
    because: "the limit is tested only before a new skb, and an empty one, of {bytes} \
        bytes, was queued below it",
    part: "skb overhead",
    sentence: "tcp_sendmsg_locked found sk_wmem_queued below sk_sndbuf \
        (sk_stream_memory_free) and queued an empty skb, charged at its truesize before \
        any payload is in it.",
    function: "tcp_skb_entail (skb_entail in 5.10)",
    versions: ALL,
    effect: "adds the truesize of an empty skb for each",
    over: "By less than one empty skb: the test is `wmem_queued < sndbuf`, whatever the skb \
        will be charged. What is then put into it is not tested (first-fill, tail-append).",
    seen: "tcp_stream_alloc_skb (sk_stream_alloc_skb in 5.10) in the send path, where the \
        fields at its entry are those that the test saw; then tcp_skb_entail.",
    demo: "skmem demo small-writes-nodelay",
    remedies: &[
        Remedy::Reader,
        Remedy::LargerWrites,
        Remedy::FixLimit,
        Remedy::Doubled,
    ],
    useless: NOTHING,
};

pub(super) const SKB_OVERHEAD: Words = Words {
    brief: "empty skb, queued without the test",
    because: "{bytes} bytes of empty skbs were queued without a test of the limit",
    part: "empty skbs",
    sentence: "An empty skb joined the queue and no hook saw the limit tested for it: \
        either the path does not test (MPTCP queues on a subflow so), or skmem missed \
        the start of the call.",
    function: "tcp_skb_entail (skb_entail in 5.10)",
    versions: ALL,
    effect: "adds the truesize of an empty skb for each",
    over: "By the truesize of an empty skb for each of them.",
    seen: "tcp_skb_entail without an allocation before it that was tested. Inferred where \
        sk_wmem_queued grew by whole empty skbs and no hook saw them queued.",
    demo: "",
    remedies: &[Remedy::Reader, Remedy::LargerWrites],
    useless: NOTHING,
};

pub(super) const FIRST_FILL: Words = Words {
    brief: "payload of the call that queued the skb",
    because: "the limit is tested only before a new skb, and the call that queued the \
        last one went on to put {bytes} bytes into it",
    part: "by the write that queued it",
    sentence: "The call that queued the skb copied this payload into it. Until the skb \
        holds size_goal, the limit is not tested again.",
    function: "tcp_sendmsg_locked",
    versions: ALL,
    effect: "adds the payload, byte for byte",
    over: "By up to size_goal (64 KiB at most, 512 KiB with BIG TCP, gso_max_size): the skb is let in \
        while `wmem_queued < sndbuf`, and takes that much. So `wmem_queued <= sndbuf - 1 + one empty skb + size_goal` as long as \
        nothing is split.",
    seen: "tcp_sendmsg_locked, entry and exit: write_seq says how much payload, and the \
        tail of the write queue is the skb that this call has queued. Inferred from both \
        where the call was not seen.",
    demo: "skmem demo one-large-write",
    remedies: ONE_SKB,
    useless: WITHOUT_EFFECT,
};

pub(super) const TAIL_APPEND: Words = Words {
    brief: "appended to the last skb, no test",
    because: "the limit is tested only before a new skb, and {bytes} bytes were then \
        appended to the last one",
    part: "appended by later writes",
    sentence: "A later call appended this payload to the skb at the tail of the write \
        queue. While that skb holds less than size_goal, tcp_sendmsg_locked appends to \
        it without testing sk_sndbuf.",
    function: "tcp_sendmsg_locked",
    versions: ALL,
    effect: "adds the payload, byte for byte",
    over: "By up to size_goal less what the skb held already: with its first fill it comes \
        to size_goal, which may be several times sk_sndbuf.",
    seen: "tcp_sendmsg_locked, entry and exit: write_seq says how much payload, and the \
        tail of the write queue is an older skb that was not split. Inferred from both \
        where the call was not seen.",
    demo: "skmem demo article",
    remedies: TAIL,
    useless: WITHOUT_EFFECT,
};

pub(super) const TAIL_REFILL: Words = Words {
    brief: "refill of the last skb after a split, no test",
    because: "the front of the last skb was cut off and sent, and its rest was filled up \
        again with {bytes} bytes, for which the limit is not tested",
    part: "refilled after splits",
    sentence: "The front of the tail skb was cut off and sent (tso_fragment, or \
        tcp_fragment for a probe). The rest is shorter than size_goal, so it is filled up \
        again without a test, as often as the congestion window and the peer's window let \
        another front leave.",
    function: "tcp_sendmsg_locked, after tso_fragment in tcp_write_xmit or tcp_fragment in \
        tcp_write_wakeup",
    versions: ALL,
    effect: "adds the payload, byte for byte",
    over: "By what was cut off the tail, sent and not acknowledged yet: at most the \
        congestion window or the peer's window, and one empty skb for each cut. So \
        `sndbuf - 1 + one empty skb + size_goal` is not an upper bound (measured on 6.18, no \
        ACK coming back: 58,484 where that sum is 42,328).",
    seen: "tcp_sendmsg_locked, entry and exit: the tail of the write queue is the rest of \
        an skb that an allocation in tcp_write_xmit or tcp_fragment has split. Inferred from \
        write_seq and that tail where the call was not seen.",
    demo: "skmem demo acks-blackholed",
    remedies: TAIL,
    useless: WITHOUT_EFFECT,
};

pub(super) const SPLICE: Words = Words {
    brief: "sendfile or splice, by reference",
    because: "the limit is tested only before a new skb, and sendfile or splice then \
        added {bytes} bytes to it",
    part: "by sendfile or splice",
    sentence: "sendfile or splice put these bytes into the queue by reference. They \
        count byte for byte, not page by page, under the rules for copied payload.",
    function: "tcp_sendmsg_locked with MSG_SPLICE_PAGES (do_tcp_sendpages in 5.10, 6.1)",
    versions: ALL,
    effect: "adds the payload, byte for byte",
    over: "As copied payload: by up to size_goal (first-fill, tail-append), and by what is \
        refilled after splits.",
    seen: "tcp_sendmsg_locked with MSG_SPLICE_PAGES, or do_tcp_sendpages: write_seq says how \
        much.",
    demo: "skmem demo sendfile",
    remedies: ONE_SKB,
    useless: WITHOUT_EFFECT,
};

pub(super) const FORCED: Words = Words {
    brief: "payload let in by force, memory being refused",
    because: "memory was refused, and {bytes} bytes were let in by force so that the sender \
        makes progress",
    part: "by force",
    sentence: "__sk_mem_schedule refused memory for this payload (TCP over tcp_mem[2], or the \
        cgroup over its limit). A socket that has less than tcp_wmem[0] queued must not \
        starve: what it had been granted before may be used up, and memory is taken by force \
        for what is missing up to tcp_wmem[0].",
    function: "tcp_wmem_schedule, which calls sk_forced_mem_schedule",
    versions: "6.1 to 7.3",
    effect: "adds the payload, byte for byte",
    over: "Of tcp_mem and of the cgroup's limit by up to tcp_wmem[0] (4,096 by default) a \
        socket; of sk_sndbuf only where that is smaller.",
    seen: "__sk_mem_schedule returned 0 within tcp_sendmsg_locked, and write_seq moved on after \
        that, before it granted anything. Memory is also forced for skbs that must not fail \
        (the second half of one that is cut, SYN, FIN, the first one of an empty queue); those \
        have their own names.",
    demo: "skmem demo tcp-mem-fresh --all",
    remedies: &[Remedy::FindMemory],
    useless: NOTHING,
};

pub(super) const ZEROCOPY_PAGE_ROUNDING: Words = Words {
    brief: "MSG_ZEROCOPY charges whole pages",
    because: "MSG_ZEROCOPY charges whole pages, {bytes} bytes beyond the payload",
    part: "page rounding of MSG_ZEROCOPY",
    sentence: "MSG_ZEROCOPY charges every page it pins in full, while Send-Q counts the \
        bytes sent from it: less than two pages too much for each send call, and the \
        tail skb takes them without a test.",
    function: "__zerocopy_sg_from_iter",
    versions: ALL,
    effect: "adds what the pages hold beyond the payload; falls when payload follows into \
        pages that are charged already",
    over: "By less than two pages for each send call that the tail skb takes: many times \
        the payload where the buffers are small.",
    seen: "tcp_sendmsg_locked with MSG_ZEROCOPY: what sk_wmem_queued grew beyond write_seq \
        and new skbs.",
    demo: "skmem demo zerocopy-small",
    remedies: &[Remedy::CopySmall, Remedy::Reader],
    useless: NOTHING,
};
