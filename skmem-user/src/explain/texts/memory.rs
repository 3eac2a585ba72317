//! The memory side: what `sk_forward_alloc` has to do with it. None of it is a
//! byte of `sk_wmem_queued`.

use super::{ALL, NOTHING, Words};
use crate::explain::remedies::Remedy;

const NONE: &str = "no byte of sk_wmem_queued; sk_forward_alloc, in pages";

pub(super) const GRANTED: Words = Words {
    brief: "memory granted",
    because: "",
    part: "",
    sentence: "A queue that grows takes memory from what the socket was granted ahead \
        (sk_forward_alloc). Where that does not suffice, __sk_mem_schedule grants whole pages: \
        it compares the memory of all TCP sockets with net.ipv4.tcp_mem and asks the memory \
        cgroup; the socket's own limit is not part of that, so it lets a queue grow past \
        sk_sndbuf and does not make it.",
    function: "__sk_mem_raise_allocated in __sk_mem_schedule",
    versions: ALL,
    effect: NONE,
    over: "Never: it adds nothing to sk_wmem_queued.",
    seen: "__sk_mem_schedule returned 1",
    demo: "skmem demo article",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const GRANTED_OVER_TCP_MEM: Words = Words {
    brief: "memory granted over tcp_mem",
    because: "",
    part: "",
    sentence: "TCP was over tcp_mem[2], and the request was granted all the same: a sender that \
        is at its limit will have to wait there anyway (the suppress branch: \
        `wmem_queued + size >= sndbuf`). Where SO_SNDBUF was not set, the limit has just been \
        lowered to half of the queue, which makes that true.",
    function: "__sk_mem_raise_allocated in __sk_mem_schedule",
    versions: ALL,
    effect: NONE,
    over: "By no more than one skb's payload: the next one is tested against sk_sndbuf.",
    seen: "__sk_mem_schedule returned 1 while sk_prot->memory_allocated was over \
        sk_prot->sysctl_mem[2]; no tracepoint shows it",
    demo: "skmem demo tcp-mem",
    remedies: &[Remedy::FindMemory],
    useless: NOTHING,
};

pub(super) const GRANTED_OVER_MEMCG: Words = Words {
    brief: "memory granted over the cgroup's limit",
    because: "",
    part: "",
    sentence: "The memory cgroup refused, the limit of the socket was lowered to half of its \
        queue, and with that the request was granted, since the sender is at its limit now \
        (the suppress branch). From 6.1 on the cgroup is then charged beyond its limit \
        (__GFP_NOFAIL).",
    function: "__sk_mem_raise_allocated in __sk_mem_schedule",
    versions: ALL,
    effect: NONE,
    over: "By no more than one skb's payload: the next one is tested against sk_sndbuf.",
    seen: "__sk_mem_schedule returned 1 and sk_sndbuf fell within the call, TCP being under \
        tcp_mem[2]. A socket with a locked limit shows as granted: nothing of it moves.",
    demo: "skmem demo memcg-limit",
    remedies: &[Remedy::FindMemory],
    useless: NOTHING,
};

pub(super) const RESERVED: Words = Words {
    brief: "memory reserved with SO_RESERVE_MEM",
    because: "",
    part: "",
    sentence: "SO_RESERVE_MEM grants memory ahead, for a socket in a memory cgroup. It stays in \
        sk_forward_alloc, and memory pressure lowers sk_sndbuf no further than to what of it \
        is unused.",
    function: "sock_reserve_memory, sk_stream_moderate_sndbuf",
    versions: "6.1 to 7.3",
    effect: NONE,
    over: "Never.",
    seen: "sk_forward_alloc is large while little is queued",
    demo: "",
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
    seen: "__sk_mem_schedule returned 0: over tcp_mem[2] when memory_allocated was, else by the \
        cgroup or, under pressure, as more than the socket's share",
    demo: "skmem demo tcp-mem-locked --all",
    remedies: &[Remedy::FindMemory],
    useless: NOTHING,
};

pub(super) const KTLS_RECORD: Words = Words {
    brief: "open TLS record, not queued yet",
    because: "",
    part: "",
    sentence: "TLS in the kernel collects a record before TCP sees it. Meanwhile its bytes are \
        charged to sk_forward_alloc, but are not part of sk_wmem_queued; the limit is tested \
        once for each record.",
    function: "tls_sw_sendmsg, sk_msg_alloc",
    versions: ALL,
    effect: "no byte of sk_wmem_queued; sk_forward_alloc falls by 2p + the cipher's overhead for a record of p bytes: plaintext \
             and ciphertext are both charged, pages are scheduled for the ciphertext only, so it can be below 0 for as long \
             as the record is open",
    over: "By one record, up to 16 KiB and its header, once it is queued.",
    seen: "sk_msg_alloc: how often, and the largest message",
    demo: "skmem demo ktls",
    remedies: NOTHING,
    useless: NOTHING,
};
