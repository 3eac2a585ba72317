//! What moves the limit. In `because`, `{bytes}` is how far it fell.

use super::{ALL, NOTHING, Words};
use crate::explain::remedies::Remedy;

const LOCKED: &str = "sk_sndbuf differs from what the last hook saw, and SOCK_SNDBUF_LOCK is set";
const UNLOCKED: &str =
    "sk_sndbuf differs from what the last hook saw, and SOCK_SNDBUF_LOCK is clear";

pub(super) const SET_BY_APPLICATION: Words = Words {
    brief: "limit set by the application",
    because: "the application lowered the limit by {bytes} bytes",
    part: "",
    sentence: "setsockopt(SO_SNDBUF) set sk_sndbuf to twice the value (the value at most \
        net.core.wmem_max, unless SO_SNDBUFFORCE; the result at least 4608 bytes) and \
        locked it: neither autotuning nor memory pressure moves it from then on.",
    function: "sk_setsockopt (sock_setsockopt in 5.10)",
    versions: ALL,
    effect: "sets sk_sndbuf, in bytes: max(2 × min(value, wmem_max), 4608)",
    over: "By how far it falls, where that is below what is queued (lowered-below-queue).",
    seen: LOCKED,
    demo: "skmem demo sndbuf-force --all",
    remedies: &[Remedy::Doubled],
    useless: NOTHING,
};

pub(super) const AUTOTUNED_UP: Words = Words {
    brief: "limit raised by autotuning",
    because: "the limit was tuned",
    part: "",
    sentence: "No SO_SNDBUF was set and the sender had run out of room: \
        tcp_sndbuf_expand raised sk_sndbuf after the congestion window, at most to \
        tcp_wmem[2]. That happens after an ACK, and while an skb is sent \
        (tcp_event_new_data_sent; 5.19 on, and 5.10.y).",
    function: "tcp_sndbuf_expand, by tcp_check_space",
    versions: ALL,
    effect: "raises sk_sndbuf: to about twice the congestion window in skbs of one segment",
    over: "Never: it makes room.",
    seen: UNLOCKED,
    demo: "skmem demo autotuned",
    remedies: &[Remedy::FixLimit, Remedy::LowerCeiling],
    useless: NOTHING,
};

pub(super) const SHRUNK_BY_MEMORY_PRESSURE: Words = Words {
    brief: "limit shrunk for want of memory",
    because: "the kernel, short of memory, lowered the limit by {bytes} bytes",
    part: "",
    sentence: "Memory was refused (tcp_mem, the cgroup's limit, or a failed allocation) \
        and no SO_SNDBUF was set: sk_stream_moderate_sndbuf took sk_sndbuf down to half of \
        what was queued, but not below 4608 bytes: an excess without a new byte.",
    function: "sk_stream_moderate_sndbuf",
    versions: ALL,
    effect: "lowers sk_sndbuf to max(min(sndbuf, wmem_queued / 2), 4608)",
    over: "By half of what is queued (less, where that is below 9216), with no byte added.",
    seen: "sk_sndbuf fell to half of sk_wmem_queued or to its minimum, and SOCK_SNDBUF_LOCK \
        is clear",
    demo: "skmem demo tcp-mem",
    remedies: &[Remedy::FindMemory, Remedy::LockLimit],
    useless: NOTHING,
};

pub(super) const LOWERED_BELOW_QUEUE: Words = Words {
    brief: "limit set below what was queued",
    because: "the application lowered the limit by {bytes} bytes, below what was queued \
        already",
    part: "",
    sentence: "setsockopt(SO_SNDBUF) set the limit below what was queued already. The \
        queue stays as it is until it is acknowledged; only new skbs are refused.",
    function: "sk_setsockopt (sock_setsockopt in 5.10)",
    versions: ALL,
    effect: "lowers sk_sndbuf",
    over: "By what is queued less the new limit, with no byte added.",
    seen: LOCKED,
    demo: "skmem demo sndbuf-lowered",
    remedies: &[Remedy::SetEarly, Remedy::Reader],
    useless: NOTHING,
};

pub(super) const AUTOTUNED_DOWN: Words = Words {
    brief: "limit lowered to a lowered tcp_wmem[2]",
    because: "autotuning lowered the limit by {bytes} bytes, to tcp_wmem[2]",
    part: "",
    sentence: "No SO_SNDBUF was set and tcp_wmem[2] had been lowered: tcp_sndbuf_expand \
        sets the smaller of what it wants and tcp_wmem[2], and so can lower sk_sndbuf.",
    function: "tcp_sndbuf_expand",
    versions: ALL,
    effect: "lowers sk_sndbuf",
    over: "By what is queued less tcp_wmem[2], with no byte added.",
    seen: UNLOCKED,
    demo: "skmem demo ceiling-lowered",
    remedies: &[Remedy::RaiseCeiling],
    useless: NOTHING,
};
