//! The steps from the value that the application gave to the limit.

use super::{ALL, NOTHING, Words};
use crate::explain::remedies::Remedy;

const SEEN: &str = "sk_setsockopt's argument (sock_setsockopt in 5.10), net.core.wmem_max and \
    sk_sndbuf";

pub(super) const CLAMPED_TO_WMEM_MAX: Words = Words {
    brief: "SO_SNDBUF cut to net.core.wmem_max",
    because: "",
    part: "",
    sentence: "SO_SNDBUF honours at most net.core.wmem_max; a negative value counts as a \
        huge one. SO_SNDBUFFORCE (CAP_NET_ADMIN) is not clamped.",
    function: "sk_setsockopt (sock_setsockopt in 5.10)",
    versions: "5.10 to 7.3 (wmem_max is 212,992 by default up to 6.12, 4 MiB in 7.2)",
    effect: "the value becomes wmem_max",
    over: "Never: the limit is lower than what was asked for.",
    seen: SEEN,
    demo: "skmem demo blocking-writer --sndbuf 8388608 --all",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const CLAMPED_TO_RANGE: Words = Words {
    brief: "value cut to 0 to INT_MAX / 2",
    because: "",
    part: "",
    sentence: "The kernel doubles at most INT_MAX / 2, 1,073,741,823 bytes, and takes a \
        negative SO_SNDBUFFORCE for 0. SO_SNDBUFFORCE obeys this, though not wmem_max.",
    function: "__sock_set_sndbuf (sock_setsockopt in 5.10)",
    versions: ALL,
    effect: "the value becomes 0 or INT_MAX / 2",
    over: "As any limit that was set.",
    seen: SEEN,
    demo: "",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const DOUBLED: Words = Words {
    brief: "SO_SNDBUF doubled",
    because: "",
    part: "",
    sentence: "The kernel doubles the value, to leave room for the overhead of skbs; \
        getsockopt returns the doubled one.",
    function: "sk_setsockopt (sock_setsockopt in 5.10)",
    versions: ALL,
    effect: "sk_sndbuf is twice the value",
    over: "Send-Q may come near to twice SO_SNDBUF within the limit.",
    seen: SEEN,
    demo: "skmem demo article",
    remedies: &[Remedy::Doubled],
    useless: NOTHING,
};

pub(super) const RAISED_TO_MINIMUM: Words = Words {
    brief: "limit raised to the kernel's minimum",
    because: "",
    part: "",
    sentence: "sk_sndbuf is at least SOCK_MIN_SNDBUF, room for two small skbs: a smaller \
        SO_SNDBUF, even 0, is raised to it.",
    function: "sk_setsockopt (sock_setsockopt in 5.10)",
    versions: ALL,
    effect: "sk_sndbuf becomes 4608 bytes on x86-64 and arm64",
    over: "Send-Q may be any multiple of so small an SO_SNDBUF.",
    seen: SEEN,
    demo: "skmem demo sndbuf-minimum",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const INHERITED_FROM_LISTENER: Words = Words {
    brief: "limit and lock of the listener",
    because: "",
    part: "",
    sentence: "A connection that is accepted has the limit of its listener and its lock: \
        SO_SNDBUF on a listener holds for all of its connections.",
    function: "sk_clone_lock, sk_clone",
    versions: ALL,
    effect: "sk_sndbuf is the listener's",
    over: "As any limit that was set.",
    seen: "a connection that comes out of SYN-RECV with SOCK_SNDBUF_LOCK set, before any \
        setsockopt of its own",
    demo: "skmem demo listener-inherit",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const MPTCP_SYNC: Words = Words {
    brief: "limit and lock of the MPTCP socket",
    because: "the limit of the MPTCP socket, which is lower, was passed on to this subflow",
    part: "",
    sentence: "MPTCP sets the limit and the lock of its subflows after those of the MPTCP \
        socket, on which SO_SNDBUF was set.",
    function: "sync_socket_options, mptcp_setsockopt_sol_socket_int",
    versions: "6.1 to 7.3",
    effect: "sk_sndbuf of the subflow is that of the MPTCP socket",
    over: "As any limit that was set; and MPTCP does not test it for what it appends \
        (mptcp-subflow).",
    seen: "a subflow (mptcp_sendmsg_frag has run on it) with SOCK_SNDBUF_LOCK set",
    demo: "skmem demo mptcp",
    remedies: NOTHING,
    useless: NOTHING,
};

pub(super) const SET_OTHERWISE: Words = Words {
    brief: "limit that SO_SNDBUF does not explain",
    because: "",
    part: "",
    sentence: "The limit is locked, but it is not what the value that was seen makes of it: \
        net.core.wmem_max has changed since, or something other than setsockopt set it (BPF, \
        or a kernel service).",
    function: "bpf_setsockopt, svc_sock_setbufsize",
    versions: ALL,
    effect: "sets sk_sndbuf",
    over: "As any limit that was set.",
    seen: SEEN,
    demo: "",
    remedies: NOTHING,
    useless: NOTHING,
};
