//! Options and sysctls that set the limits.

use super::{Field, said};

pub(super) const FIELDS: &[Field] = &[
    Field {
        aliases: &["SO_SNDBUF", "SO_SNDBUFFORCE"],
        unit: "bytes",
        moved_by: "setsockopt(); SO_SNDBUFFORCE is not cut (CAP_NET_ADMIN)",
        traps: &[
            "It sets SOCK_SNDBUF_LOCK: the kernel does not change tb again.",
            "getsockopt() gives the doubled value.",
        ],
        ..said(
            "so_sndbuf_option",
            None,
            "sk_setsockopt (SO_SNDBUF)",
            "the option that sets tb: to twice the value, which is cut to net.core.wmem_max first, and to no less than 4,608",
        )
    },
    Field {
        aliases: &["SO_RCVBUF", "SO_RCVBUFFORCE"],
        unit: "bytes",
        moved_by: "setsockopt(); SO_RCVBUFFORCE is not cut (CAP_NET_ADMIN)",
        traps: &[
            "It sets SOCK_RCVBUF_LOCK: autotuning ends, and tcp_rmem[2] no longer counts.",
            "Set it before connect() or listen(): the window scale is chosen then.",
            "Lowered with data queued, it makes the kernel drop what the peer was allowed to send; from 6.12 on (measured) the window goes to 0 as well.",
        ],
        ..said(
            "so_rcvbuf_option",
            None,
            "__sock_set_rcvbuf",
            "the option that sets rb: to twice the value, which is cut to net.core.rmem_max first, and to no less than 2,304 (SOCK_MIN_RCVBUF)",
        )
    },
    Field {
        aliases: &[
            "TCP_NOTSENT_LOWAT",
            "tcp_notsent_lowat",
            "net.ipv4.tcp_notsent_lowat",
        ],
        unit: "bytes of payload",
        moved_by: "setsockopt(), the sysctl for all sockets of a namespace",
        traps: &[
            "Bounds the unsent part of w, not what is in flight.",
            "poll() says writable only when less than half of it is unsent.",
        ],
        ..said(
            "notsent_lowat",
            None,
            "tcp_notsent_lowat(tp), tested by __sk_stream_memory_free",
            "a second limit for a sender, on what was never sent: no new skb is begun while that much is unsent",
        )
    },
    Field {
        aliases: &["SO_RESERVE_MEM", "sk_reserved_mem"],
        unit: "bytes",
        moved_by: "setsockopt(); needs a memory cgroup",
        traps: &[
            "It is in f, and f falls as w and r use it: 1 MiB in f of an idle socket is this.",
        ],
        ..said(
            "so_reserve_mem",
            None,
            "sk_reserve_memory (5.16)",
            "memory that an application has charged to its socket in advance, so that it does not fail under pressure",
        )
    },
    Field {
        aliases: &["net.ipv4.tcp_rmem"],
        unit: "bytes",
        moved_by: "the administrator, for each network namespace",
        traps: &["Does not bound SO_RCVBUF: net.core.rmem_max does."],
        ..said(
            "tcp_rmem",
            None,
            "net->ipv4.sysctl_tcp_rmem[3]",
            "for rb: what is always granted, what it starts with, and how far autotuning raises it",
        )
    },
    Field {
        aliases: &["net.core.rmem_max"],
        unit: "bytes",
        moved_by: "the administrator",
        traps: &[
            "212,992 by default up to 6.x and 4 MiB in 7.2 (measured on Debian's kernels).",
            "Does not bound autotuning: tcp_rmem[2] does.",
        ],
        ..said(
            "rmem_max",
            None,
            "sysctl_rmem_max",
            "the largest value that SO_RCVBUF takes, before it is doubled",
        )
    },
    Field {
        aliases: &["net.core.wmem_max"],
        unit: "bytes",
        moved_by: "the administrator",
        traps: &[
            "212,992 by default up to 6.x and 4 MiB in 7.2 (measured on Debian's kernels).",
            "Does not bound autotuning: tcp_wmem[2] does.",
        ],
        ..said(
            "wmem_max",
            None,
            "sysctl_wmem_max",
            "the largest value that SO_SNDBUF takes, before it is doubled",
        )
    },
    Field {
        aliases: &["net.core.optmem_max"],
        unit: "bytes",
        moved_by: "the administrator",
        traps: &["20,480 up to 6.1, 131,072 later (measured on Debian's kernels)."],
        ..said(
            "optmem_limit",
            None,
            "sysctl_optmem_max",
            "the limit for o of one socket",
        )
    },
    Field {
        aliases: &["net.ipv4.tcp_max_orphans"],
        unit: "sockets",
        moved_by: "the administrator; at boot, by memory",
        traps: &[
            "Orphans that have been silent for long count two or four times (tcp_out_of_resources). Past the last mark of tcp_mem, orphans with more than 4,608 bytes in w are reset, too (TCPAbortOnMemory).",
        ],
        ..said(
            "tcp_max_orphans",
            None,
            "tcp_too_many_orphans",
            "how many orphans there may be: further ones are reset at close(), and their data is lost",
        )
    },
    Field {
        aliases: &["net.ipv4.tcp_orphan_retries"],
        unit: "count",
        moved_by: "the administrator",
        traps: &[
            "0, the default, stands for 8 as long as the timeout has not grown to 120 s, and for none after that.",
        ],
        ..said(
            "tcp_orphan_retries",
            None,
            "tcp_orphan_retries",
            "how often an orphan's data is sent again before the kernel gives up",
        )
    },
    Field {
        aliases: &["net.ipv4.tcp_retries2"],
        unit: "count",
        moved_by: "the administrator; TCP_USER_TIMEOUT for one socket",
        traps: &[
            "15 by default: about 15 minutes, at least.",
            "A shut window whose probes are answered never times out, unless TCP_USER_TIMEOUT is set.",
        ],
        ..said(
            "tcp_retries2",
            None,
            "retransmits_timed_out in tcp_write_timeout",
            "how long data is sent again without any ACK before the connection fails with ETIMEDOUT",
        )
    },
    Field {
        aliases: &["net.ipv4.tcp_limit_output_bytes"],
        unit: "bytes",
        moved_by: "the administrator",
        traps: &[
            "1 MiB, and 4 MiB in 7.2 (measured on Debian's kernels). The pacing rate usually bounds t earlier.",
        ],
        ..said(
            "tcp_limit_output_bytes",
            None,
            "tcp_small_queue_check",
            "the most that TCP small queues let into t of a socket that is not paced",
        )
    },
    Field {
        aliases: &["net.core.mem_pcpu_rsv"],
        unit: "pages",
        moved_by: "the administrator",
        traps: &[
            "1 MiB by default, which older kernels have fixed; before 6.0 there is none.",
            "So the total in sockstat may differ from the sum over sockets by that much for each CPU.",
        ],
        ..said(
            "mem_pcpu_rsv",
            None,
            "sysctl_mem_pcpu_rsv (sk_memory_allocated_add)",
            "how much of what sockets gave back each CPU may hold before it is taken off the total",
        )
    },
    Field {
        aliases: &["net.core.bypass_prot_mem", "SK_BPF_BYPASS_PROT_MEM"],
        unit: "flag",
        moved_by: "the administrator, for each network namespace; a cgroup's BPF program",
        traps: &[
            "Such sockets are missing from \"mem\" in /proc/net/sockstat, and limits of tcp_mem do not hold for them.",
        ],
        ..said(
            "bypass_prot_mem",
            None,
            "sk->sk_bypass_prot_mem (7.x)",
            "a setting by which new sockets are charged to their memory cgroup only, and not to tcp_mem",
        )
    },
    Field {
        aliases: &["net.core.somaxconn", "listen backlog"],
        unit: "connections",
        moved_by: "the administrator",
        traps: &["4,096 since 5.4; it bounds Send-Q of a listening socket."],
        ..said(
            "somaxconn",
            None,
            "sysctl_somaxconn",
            "the most that listen() may ask for as its accept queue",
        )
    },
];
