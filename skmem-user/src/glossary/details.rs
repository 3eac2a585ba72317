//! What else `ss` prints behind a socket: `-e`, `-o`, `--tos`, `--cgroup`, TLS and MPTCP.

use super::{Field, said};

pub(super) const FIELDS: &[Field] = &[
    Field {
        aliases: &["on", "off", "delack", "timewait", "unknown"],
        unit: "name,time left,count",
        moved_by: "on: data in flight (RTO, tail loss probe); persist: the window; timewait: the end; delack: an ACK that waits for data to go with (7.x)",
        traps: &[
            "`on` is also the timer of a tail loss probe and of RACK: it says that data is in flight, not that any was lost. Its count is timeouts in a row.",
            "An older ss prints `unknown` for the delayed ACK's timer of a newer kernel.",
        ],
        ..said(
            "timer_names",
            None,
            "idiag_timer (inet_sk_diag_fill)",
            "the name of the timer that runs, in `timer:(…)`",
        )
    },
    Field {
        aliases: &["cgroup v2"],
        unit: "path",
        moved_by: "",
        traps: &[
            "The cgroup in which the socket was made, not that of who uses it now. `unreachable:ID` is one that is gone or out of sight.",
        ],
        ..said(
            "cgroup",
            Some("cgroup"),
            "INET_DIAG_CGROUP_ID (cgroup v2; 5.8)",
            "the cgroup that the socket's memory is charged to",
        )
    },
    Field {
        aliases: &["<->", "-->", "<--", "---"],
        unit: "two arrows",
        moved_by: "shutdown(), the peer's FIN",
        traps: &[
            "`<` is missing where nothing more is received (RCV_SHUTDOWN), `>` where nothing more is sent (SEND_SHUTDOWN).",
        ],
        ..said(
            "shutdown",
            None,
            "sk_shutdown (INET_DIAG_SHUTDOWN)",
            "which directions of the connection are still open, as `ss -e` draws it",
        )
    },
    Field {
        aliases: &["tclass", "class_id", "priority", "fwmark", "v6only"],
        unit: "-",
        moved_by: "setsockopt(): IP_TOS, SO_PRIORITY, SO_MARK, IPV6_V6ONLY; net_cls for class_id",
        traps: &[
            "None of it changes what a socket holds; priority and fwmark may choose its queueing discipline's class.",
        ],
        ..said(
            "tos",
            Some("tos"),
            "INET_DIAG_TOS, _TCLASS, _CLASS_ID, _MARK, _SKV6ONLY, _SOCKOPT",
            "marks of the socket's packets: `ss --tos`, `-e`",
        )
    },
    Field {
        aliases: &[
            "recverr",
            "recverr_rfc4884",
            "is_icsk",
            "freebind",
            "hdrincl",
            "mc_loop",
            "mc_all",
            "transparent",
            "nodefrag",
            "bind_addr_no_port",
            "defer_connect",
        ],
        unit: "flags",
        moved_by: "setsockopt(SOL_IP, …)",
        traps: &[
            "recverr (IP_RECVERR): ICMP errors wait on the error queue, and count in r until the application reads them (MSG_ERRQUEUE).",
            "defer_connect (TCP_FASTOPEN_CONNECT): connect() has returned, and the SYN waits for the first data.",
            "is_icsk: a socket that makes connections (TCP); it is not an option.",
        ],
        ..said(
            "inet_sockopt",
            Some("inet-sockopt"),
            "struct inet_diag_sockopt (INET_DIAG_SOCKOPT, 5.10)",
            "options of IP that are set on the socket (`ss --inet-sockopt`)",
        )
    },
    Field {
        aliases: &["bidir"],
        unit: "count",
        moved_by: "-",
        traps: &["Printed only where ss reads /proc/net/tcp instead of sock_diag."],
        ..said(
            "qack",
            Some("qack"),
            "icsk_ack.quick, pingpong (get_tcp4_sock)",
            "how many ACKs are sent at once rather than delayed",
        )
    },
    Field {
        aliases: &["usec_ts"],
        unit: "flag",
        moved_by: "the route's feature tcp_usec_ts, on both ends",
        traps: &["rtt is as exact without it on most kernels: it changes what the packets carry."],
        ..said(
            "usec_timestamps",
            None,
            "TCPI_OPT_USEC_TS (6.7)",
            "that timestamps in packets count microseconds",
        )
    },
    Field {
        aliases: &["md5keys", "ao"],
        unit: "address/length=key",
        moved_by: "TCP_MD5SIG",
        traps: &[
            "Each key is in o (136 bytes measured), of the listener and of each connection from it again. Only root is shown keys: take them out before you paste.",
        ],
        ..said(
            "md5_keys",
            None,
            "INET_DIAG_MD5SIG",
            "keys by which each segment is signed (RFC 2385)",
        )
    },
    Field {
        aliases: &["version", "cipher", "txconf", "zc_ro_tx", "no_pad_rx"],
        unit: "names",
        moved_by: "setsockopt(SOL_TLS)",
        traps: &[
            "`sw`: this machine encrypts in software; `hw`: the card does. In software each byte is in memory twice while a record is open.",
        ],
        ..said(
            "rxconf",
            Some("rxconf"),
            "tls_get_info (INET_ULP_INFO_TLS)",
            "what kernel TLS does in each direction",
        )
    },
    Field {
        aliases: &["sfseq", "ssnoff", "maplen", "seq"],
        unit: "-",
        moved_by: "each mapping that arrives (mptcp_incoming_options)",
        traps: &["They tell how the subflow's bytes lie in the connection, and nothing of memory."],
        ..said(
            "subflow_mapping",
            None,
            "subflow_get_info (MPTCP_SUBFLOW_ATTR_MAP_SEQ, …)",
            "the last mapping of a subflow: its place in the connection's stream, in the subflow's, and its length",
        )
    },
    Field {
        aliases: &["flags"],
        unit: "letters",
        moved_by: "MPTCP's handshakes, MP_PRIO",
        traps: &[
            "M/m MP_CAPABLE remote/local, J/j MP_JOIN, B/b backup, e fully established, c connected, v mapping valid.",
        ],
        ..said(
            "subflow_flags",
            None,
            "subflow_get_info (MPTCP_SUBFLOW_ATTR_FLAGS)",
            "how a subflow came about and what state it is in; of an MPTCP socket, whether it fell back to TCP",
        )
    },
    Field {
        aliases: &["remote_key"],
        unit: "hexadecimal",
        moved_by: "the handshake",
        traps: &[
            "By it subflows and their MPTCP socket are known to belong together; `ip mptcp` and `skmem snapshot` print it, too.",
        ],
        ..said(
            "token",
            Some("token"),
            "mptcpi_token (mptcp_diag_fill_info); of a subflow remote(id)/local(id)",
            "the number of an MPTCP connection on this machine",
        )
    },
    Field {
        aliases: &[
            "subflows",
            "subflows_max",
            "subflows_total",
            "add_addr_signal",
            "add_addr_accepted",
            "add_addr_signal_max",
            "add_addr_accepted_max",
            "local_addr_used",
            "local_addr_max",
            "csum_enabled",
            "fallback",
            "retransmits",
            "endp_laminar_max",
            "server_side",
        ],
        unit: "counts",
        moved_by: "the path manager (`ip mptcp limits`, `ip mptcp endpoint`)",
        traps: &[
            "`subflows` counts those beside the first one, `subflows_total` (6.9) all.",
            "`fallback`: the connection has gone back to plain TCP. `retransmits`: timeouts in a row of MPTCP itself.",
        ],
        ..said(
            "mptcp_paths",
            None,
            "struct mptcp_info (mptcp_diag_fill_info)",
            "how many subflows and addresses an MPTCP connection has, and may have",
        )
    },
    Field {
        aliases: &["write_seq", "snd_una", "rcv_nxt"],
        unit: "64-bit sequence numbers",
        moved_by: "write_seq: send(); snd_una: the peer's DATA_ACK; rcv_nxt: data in order",
        traps: &[
            "write_seq - snd_una is what MPTCP's Send-Q should be; ss prints sk_wmem_alloc there, which is 0 nearly always.",
        ],
        ..said(
            "mptcp_sequence",
            None,
            "mptcpi_write_seq, mptcpi_snd_una, mptcpi_rcv_nxt",
            "how far an MPTCP connection is, by its own sequence numbers",
        )
    },
];
