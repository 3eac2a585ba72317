//! The words of skmem and of those who speak of socket memory.

use super::{Field, said};

pub(super) const FIELDS: &[Field] = &[
    Field {
        aliases: &["true size"],
        unit: "bytes",
        moved_by: "skb_set_owner_w, skb_set_owner_r; copying more data into it",
        traps: &[
            "Not the length of the data: one byte counts for 832 bytes and more when sent, for hundreds to thousands when received, by kernel and driver.",
            "tb and rb limit truesize, so twice the data's size is a fair rule for large packets, and far too little for small ones.",
        ],
        ..said(
            "truesize",
            None,
            "skb->truesize",
            "what one packet counts for in r, t and w: its head (struct sk_buff and the place for headers), its buffers as they were allocated, and whole pages where it holds pages",
        )
    },
    Field {
        aliases: &["sk_buff", "packet"],
        unit: "-",
        moved_by: "-",
        traps: &["One skb in TCP's queues may be dozens of segments on the wire (TSO, GSO)."],
        ..said(
            "skb",
            None,
            "struct sk_buff",
            "the kernel's packet: up to 64 KiB of data for TCP (more with BIG TCP), with a head that is counted too",
        )
    },
    Field {
        aliases: &["stream_memory_free", "sk_stream_memory_free"],
        unit: "-",
        moved_by: "-",
        traps: &[
            "Made before a new skb, not while the last one is filled, split or sent again: so w may pass tb.",
            "poll() and the wake-up of a sleeper ask for more: that w is at most two thirds of tb (sk_stream_is_writeable).",
        ],
        ..said(
            "admission",
            None,
            "sk_stream_memory_free in tcp_sendmsg_locked",
            "the one test of the limit in send(): a new skb is begun only while w is below tb (and, with TCP_NOTSENT_LOWAT, while less than that is unsent)",
        )
    },
    Field {
        aliases: &["size goal", "tcp_send_mss", "xmit_size_goal"],
        unit: "bytes of payload",
        moved_by: "MTU, gso_max_size, gso_max_segs, the peer's window",
        traps: &[
            "Usually about 64 KiB; with BIG TCP it was measured at 198,376 bytes (7.2): one admission lets in as much.",
            "gso_max_segs, gso_max_size and gso_ipv4_max_size of the link bound it (`ip link set`).",
        ],
        ..said(
            "size_goal",
            None,
            "tcp_xmit_size_goal",
            "how far TCP fills one skb before it begins the next: as many whole segments as GSO takes, and at most half of the largest window that the peer has offered",
        )
    },
    Field {
        aliases: &["over limit", "over the limit"],
        unit: "bytes of truesize",
        moved_by: "all that adds to w without the admission test; a limit that was lowered",
        traps: &["`skmem explain` gives each byte of it a cause; `skmem causes` lists the causes."],
        ..said("excess", None, "w - tb", "by how much w is above tb")
    },
    Field {
        aliases: &["orphans", "SOCK_DEAD", "orphaned"],
        unit: "sockets",
        moved_by: "up: close() with data unsent or a FIN not acknowledged (tcp_close); down: its end, tcp_orphan_retries, tcp_max_orphans",
        traps: &[
            "Its memory belongs to no process: ss shows no users and `ino:0`.",
            "skb_orphan() is another matter: the packet is taken out of its socket's t (netem, tunnels, some devices do it), and then t does not show that it waits below.",
        ],
        ..said(
            "orphan",
            None,
            "SOCK_DEAD; tcp_orphan_count (\"orphan N\" in /proc/net/sockstat)",
            "a socket that its application has closed and that the kernel keeps until its data is acknowledged or it gives up",
        )
    },
    Field {
        aliases: &[
            "TCP small queues",
            "tcp_small_queue_check",
            "limit_output_bytes",
        ],
        unit: "bytes of truesize",
        moved_by: "-",
        traps: &[
            "Sending goes on when the card says that it has sent (TX completion, tcp_wfree): cards or drivers that say so late slow the sender down with no window full.",
        ],
        ..said(
            "tsq",
            None,
            "tcp_small_queue_check",
            "the rule that keeps t small: no further segment is handed down while t is above about 1/1,024 of a second's worth of the pacing rate, at least two packets, without pacing at most tcp_limit_output_bytes",
        )
    },
    Field {
        aliases: &["zero window", "window probe", "probe0", "persist timer"],
        unit: "-",
        moved_by: "the peer: r at rb, held packets or a full error queue on its side",
        traps: &[
            "As a rule the peer's application does not read; its r, rb and Recv-Q tell (`ss -tmi` there).",
            "The same timer runs when segments cannot leave this machine (no route, a filter): then snd_wnd has room and rwnd_limited stands still.",
        ],
        ..said(
            "zero_window",
            None,
            "tcp_send_probe0, ICSK_TIME_PROBE0",
            "a window of the peer in which no segment fits: the sender stops and probes from time to time whether it has opened",
        )
    },
    Field {
        aliases: &["unix", "unix socket", "AF_UNIX", "u_str", "u_dgr", "u_seq"],
        unit: "-",
        moved_by: "t: up with send(), down when the peer reads a whole packet",
        traps: &[
            "tb limits t there: a sender waits when its peer does not read, and nothing of it shows at the reader.",
            "A packet is freed when its last byte is read: a reader that took 1,000 bytes of a 32 KiB packet frees nothing.",
        ],
        ..said(
            "af_unix",
            None,
            "unix_stream_sendmsg, unix_write_space",
            "a local socket, whose letters in `ss -xm` mean something else: t of the *sender* is what the peer has not read, and r and w stay 0",
        )
    },
    Field {
        aliases: &["UDP", "udplite", "UDP-Lite", "udp_mem"],
        unit: "-",
        moved_by: "-",
        traps: &[
            "tb limits t: send() waits or gives EAGAIN while t is at tb.",
            "rb limits r: what arrives then is dropped, counted in d and lost for good. There is no window and no autotuning.",
            "ss shows ESTAB for a connected socket and UNCONN for others; without a Netid column (`ss -u`) the rows look like TCP's.",
        ],
        ..said(
            "udp",
            None,
            "udp_rmem_release, sock_alloc_send_pskb",
            "a datagram socket: r is what is not read, t what the queueing discipline and the card still hold, w stays 0; Recv-Q and Send-Q are truesize too (about r, and t), not data",
        )
    },
    Field {
        aliases: &["mptcp", "MPTCP", "subflow", "tcp-ulp-mptcp"],
        unit: "-",
        moved_by: "-",
        traps: &[
            "A subflow's w of 897 bytes is a window probe; look at the MPTCP socket for what waits.",
        ],
        ..said(
            "mptcp_socket",
            None,
            "struct mptcp_sock",
            "an MPTCP connection: its own socket (`ss -M`) holds the data, and its subflows are TCP sockets that hold next to none",
        )
    },
    Field {
        aliases: &[
            "tcp-ulp",
            "tcp-ulp-espintcp",
            "tcp-ulp-smc",
            "TCP_ULP",
            "ULP",
        ],
        unit: "name",
        moved_by: "setsockopt(TCP_ULP); the kernel itself for MPTCP's subflows",
        traps: &["What it holds back (an open TLS record) is in none of r, w, t."],
        ..said(
            "upper_layer",
            None,
            "icsk->icsk_ulp_ops->name (INET_DIAG_ULP_INFO)",
            "the protocol that the kernel puts between the application and TCP, printed as tcp-ulp-NAME: tls, mptcp, espintcp, smc",
        )
    },
    Field {
        aliases: &["kernel TLS", "tcp-ulp-tls", "tls", "kTLS"],
        unit: "-",
        moved_by: "-",
        traps: &[
            "Charged memory is then in none of r, w, t: up to 16 KiB of data twice for each open record.",
        ],
        ..said(
            "ktls",
            None,
            "tls_sw_sendmsg",
            "encryption in the kernel: a record that is still open is charged to f, which goes negative for as long as it is open",
        )
    },
    Field {
        aliases: &["tcp_memory_pressure", "under pressure"],
        unit: "-",
        moved_by: "sk_stream_moderate_sndbuf lowers tb of sockets that did not set SO_SNDBUF",
        traps: &["A tb that is small and odd was shrunk by this."],
        ..said(
            "memory_pressure",
            None,
            "tcp_enter_memory_pressure",
            "the state in which all TCP sockets together hold more than the second mark of tcp_mem (or a memory cgroup its limit): limits shrink and no longer grow",
        )
    },
];
