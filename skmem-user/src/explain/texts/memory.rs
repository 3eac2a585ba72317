//! The memory side: what `sk_forward_alloc` has to do with it. None of it is a
//! byte of `sk_wmem_queued`.

use super::{ALL, NOTHING, Words};
use crate::explain::remedies::Remedy;

const NONE: &str = "no byte of sk_wmem_queued; sk_forward_alloc, in pages";

pub(super) const FORCED: Words = Words {
    brief: "memory granted whatever the limits say",
    because: "",
    part: "",
    sentence: "The kernel grants memory unconditionally where it must make progress: for the \
        first skb of an empty queue, for the second half of an skb that is cut in two, for \
        SYN and FIN, and from 6.1 on for up to tcp_wmem[0] bytes of a socket that has less \
        than that.",
    function: "sk_forced_mem_schedule",
    versions: ALL,
    effect: NONE,
    over: "Of tcp_mem and of the cgroup's limit, not of sk_sndbuf: the test against that \
        comes before.",
    seen: "tcp_stream_alloc_skb (sk_stream_alloc_skb in 5.10) with its force argument set",
    demo: "skmem demo acks-blackholed",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const REFUSED: Words = Words {
    brief: "memory refused below the limit",
    because: "",
    part: "",
    sentence: "TCP is over tcp_mem[2], or the cgroup over its limit, and this socket is below \
        its own: it is the one whose request fails, and its sender waits for memory. Where \
        SO_SNDBUF was not set, the limit is lowered to half of the queue first, which lets \
        the request pass (shrunk-by-memory-pressure); over its limit, a socket is granted \
        memory too. So the tracepoint sock_exceed_buf_limit means refused, not over \
        sk_sndbuf.",
    function: "__sk_mem_raise_allocated in __sk_mem_schedule",
    versions: ALL,
    effect: NONE,
    over: "Never.",
    seen: "__sk_mem_schedule returned 0, or sk_stream_wait_memory began below the limit",
    demo: "skmem demo tcp-mem-locked --all",
    remedies: &[Remedy::FindMemory],
    useless: NOTHING,
};

pub(super) const KTLS_RECORD: Words = Words {
    brief: "open TLS record, not queued yet",
    because: "",
    part: "",
    sentence: "TLS in the kernel collects a record before TCP sees it. Meanwhile its bytes are \
        charged to sk_forward_alloc, but are no part of sk_wmem_queued; the limit is tested \
        once for each record.",
    function: "tls_sw_sendmsg, sk_msg_alloc",
    versions: ALL,
    effect: NONE,
    over: "By one record, up to 16 KiB and its header, once it is queued.",
    seen: "sk_forward_alloc falls and sk_wmem_queued does not rise",
    demo: "skmem demo ktls",
    remedies: NOTHING,
    useless: NOTHING,
};
