//! What moves the limit. In `because`, `{bytes}` is how far it fell.

use super::{ALL, Words};
use crate::explain::remedies::Remedy;

pub(super) const SET_BY_APPLICATION: Words = Words {
    brief: "limit set by the application",
    because: "the application then set the limit {bytes} bytes lower",
    sentence: "setsockopt(SO_SNDBUF) set sk_sndbuf to twice the value (the value at most \
        net.core.wmem_max, unless SO_SNDBUFFORCE; the result at least 4608 bytes) and \
        locked it: neither autotuning nor memory pressure moves it from then on.",
    function: "sk_setsockopt (sock_setsockopt in 5.10)",
    versions: ALL,
    remedies: &[Remedy::Doubled],
};

pub(super) const AUTOTUNED_UP: Words = Words {
    brief: "limit raised by autotuning",
    because: "the limit was tuned",
    sentence: "No SO_SNDBUF was set and the sender had run out of room: \
        tcp_sndbuf_expand raised sk_sndbuf after the congestion window, at most to \
        tcp_wmem[2].",
    function: "tcp_sndbuf_expand",
    versions: ALL,
    remedies: &[Remedy::FixLimit, Remedy::LowerCeiling],
};

pub(super) const SHRUNK_BY_MEMORY_PRESSURE: Words = Words {
    brief: "limit shrunk for want of memory",
    because: "the kernel, short of memory, then took the limit down by {bytes} bytes",
    sentence: "Memory was refused (tcp_mem, the cgroup's limit, or a failed allocation) \
        and no SO_SNDBUF was set: sk_stream_moderate_sndbuf took sk_sndbuf down to half of \
        what was queued, but not below 4608 bytes: an excess without a new byte.",
    function: "sk_stream_moderate_sndbuf",
    versions: ALL,
    remedies: &[Remedy::FindMemory, Remedy::LockLimit],
};

pub(super) const LOWERED_BELOW_QUEUE: Words = Words {
    brief: "limit set below what was queued",
    because: "the application then set the limit {bytes} bytes lower, below what was \
        queued already",
    sentence: "setsockopt(SO_SNDBUF) set the limit below what was queued already. The \
        queue stays as it is until it is acknowledged; only new skbs are refused.",
    function: "sk_setsockopt (sock_setsockopt in 5.10)",
    versions: ALL,
    remedies: &[Remedy::SetEarly, Remedy::Reader],
};

pub(super) const AUTOTUNED_DOWN: Words = Words {
    brief: "limit lowered to a lowered tcp_wmem[2]",
    because: "autotuning then took the limit down by {bytes} bytes, to tcp_wmem[2]",
    sentence: "No SO_SNDBUF was set and tcp_wmem[2] had been lowered: tcp_sndbuf_expand \
        sets the smaller of what it wants and tcp_wmem[2], and so can lower sk_sndbuf.",
    function: "tcp_sndbuf_expand",
    versions: ALL,
    remedies: &[Remedy::RaiseCeiling],
};
