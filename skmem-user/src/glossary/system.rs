//! The whole machine's TCP memory: `/proc/net/sockstat` and the limits.

use super::Field;

pub(super) const FIELDS: &[Field] = &[
    Field {
        name: "charged",
        ss: None,
        aliases: &["account"],
        kernel: "w + r + f",
        unit: "bytes, whole pages on a quiet socket",
        brief: "",
        meaning: "what one socket is charged with against tcp_mem and its memory cgroup",
        moved_by: "__sk_mem_schedule, __sk_mem_reclaim",
        traps: &[
            "t is not added: these packets are in w already. o and bl are not charged.",
            "Zero-copy data is in w but not charged on newer kernels (6.1, not 5.10); kTLS and sockmap may hold charged memory \
             that is in none of the three.",
        ],
    },
    Field {
        name: "sockstat_mem",
        ss: None,
        aliases: &[
            "mem",
            "TCP mem",
            "sockstat",
            "memory_allocated",
            "tcp_memory_allocated",
        ],
        kernel: "tcp_memory_allocated (\"TCP: … mem N\" in /proc/net/sockstat)",
        unit: "pages",
        brief: "",
        meaning: "what all TCP sockets of the machine are charged with, in every namespace, IPv4, IPv6 and \
                  MPTCP together",
        moved_by: "__sk_mem_raise_allocated, __sk_mem_reduce_allocated",
        traps: &[
            "Pages, and of the whole machine, though `inuse` on the same line is of one namespace.",
            "From 6.0 on each CPU may hold back up to net.core.mem_pcpu_rsv (1 MiB): 0 does not mean none.",
        ],
    },
    Field {
        name: "tcp_mem",
        ss: None,
        aliases: &["net.ipv4.tcp_mem", "pressure"],
        kernel: "sysctl_tcp_mem[3]",
        unit: "pages",
        brief: "",
        meaning: "three marks for sockstat_mem: where pressure ends, where it begins, and where nothing more is \
                  given",
        moved_by: "the administrator; at boot, a share of the machine's memory",
        traps: &[
            "Pages, where tcp_rmem and tcp_wmem are bytes.",
            "Under pressure autotuning stops and limits (tb, rb) shrink; above the last mark packets are \
             dropped and send() waits (\"TCP: out of memory\" in the log).",
        ],
    },
    Field {
        name: "tcp_wmem",
        ss: None,
        aliases: &["net.ipv4.tcp_wmem"],
        kernel: "net->ipv4.sysctl_tcp_wmem[3]",
        unit: "bytes",
        brief: "",
        meaning: "for tb: what is always granted, what it starts with, and how far autotuning raises it",
        moved_by: "the administrator, for each network namespace",
        traps: &["Does not bound SO_SNDBUF: net.core.wmem_max does."],
    },
    Field {
        name: "memcg_sock",
        ss: None,
        aliases: &["memory.stat sock", "sock"],
        kernel: "MEMCG_SOCK (mem_cgroup_charge_skmem)",
        unit: "bytes",
        brief: "",
        meaning: "socket memory that memory cgroups are charged with: `sock` in memory.stat",
        moved_by: "as sockstat_mem, in batches",
        traps: &[
            "Counts against the container's memory limit, although no process shows it.",
            "Sockets made in the root cgroup are charged to none.",
        ],
    },
    Field {
        name: "res",
        ss: None,
        aliases: &["RES", "RSS", "buff/cache", "free"],
        kernel: "mm_struct rss; nr_file_pages",
        unit: "bytes",
        brief: "",
        meaning: "not where socket buffers are: they belong to the kernel, not to a process (RES), and are not \
                  page cache (buff/cache)",
        moved_by: "-",
        traps: &[
            "`free` shows them as used. The heads of packets are slab (SUnreclaim), the payload is plain pages \
             that no line of /proc/meminfo names.",
        ],
    },
];
