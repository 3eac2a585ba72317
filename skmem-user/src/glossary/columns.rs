//! The columns of `ss`, and the kinds of sockets in them.

use super::{Field, said};

pub(super) const FIELDS: &[Field] = &[
    Field {
        aliases: &["Proto"],
        unit: "name",
        moved_by: "socket()",
        traps: &[
            "ss leaves the column out where one kind was asked for (`ss -t`, `ss -u`): the rows of both look alike then.",
        ],
        ..said(
            "netid",
            Some("Netid"),
            "proto_name, unix_netid_name (misc/ss.c)",
            "the kind of the socket: tcp, udp, mptcp, u_str, nl, …",
        )
    },
    Field {
        aliases: &[],
        unit: "name",
        moved_by: "connect(), listen(), shutdown(), close(), the peer",
        traps: &[
            "`ss` without -a and -l shows connections only; `ss state NAME` leaves the column out.",
        ],
        ..said(
            "state",
            Some("State"),
            "sk->sk_state (idiag_state)",
            "where the connection stands: each state has its own page",
        )
    },
    Field {
        aliases: &[
            "Local",
            "Peer",
            "Peer Address:Port",
            "Address:Port",
            "Local Address",
            "Peer Address",
        ],
        unit: "address:port",
        moved_by: "bind(), connect(), accept()",
        traps: &[
            "`*` is any address or port. Without -n a port may be the name of a service, which another machine may read otherwise.",
            "`%eth0` behind an address is the link that the socket is bound to, or that a link-local address belongs to; ss prints it on the local side only.",
            "An IPv4 connection of an IPv6 socket shows as [::ffff:192.0.2.1].",
        ],
        ..said(
            "local_address",
            Some("Local Address:Port"),
            "idiag_src, idiag_dst, idiag_sport, idiag_dport",
            "the two ends of a connection, in the columns Local and Peer",
        )
    },
    Field {
        aliases: &["SK_MEMINFO", "INET_DIAG_SKMEMINFO"],
        unit: "bytes; d packets",
        moved_by: "",
        traps: &[
            "All are truesize, what memory costs, and not lengths of data: those are Recv-Q and Send-Q.",
            "ss prints the kernel's signed numbers unsigned: f 4294959459 is -7837.",
            "`mem:(r,w,f,t)` is the older form (before iproute2 3.x), where w is the write queue, too.",
        ],
        ..said(
            "skmem",
            Some("skmem"),
            "sk_get_meminfo (INET_DIAG_SKMEMINFO)",
            "the socket's memory in nine letters, each with its own page: r, rb, t, tb, f, w, o, bl, d",
        )
    },
    Field {
        aliases: &["IPPROTO_TCP", "SOCK_STREAM"],
        unit: "kind",
        moved_by: "socket()",
        traps: &["Subflows of MPTCP are rows of TCP, too (tcp-ulp-mptcp)."],
        ..said(
            "tcp",
            None,
            "IPPROTO_TCP",
            "a TCP socket: w and Send-Q are the sending side, r and Recv-Q the receiving one; w + r + f is what tcp_mem limits",
        )
    },
    Field {
        aliases: &[
            "nl", "netlink", "p_raw", "p_dgr", "packet", "raw", "icmp6", "sctp", "dccp", "tipc",
            "ti_st", "ti_dg", "vsock", "v_str", "v_dgr", "xdp", "???",
        ],
        unit: "kind",
        moved_by: "socket()",
        traps: &[
            "r, rb, t, tb and d mean what they mean for UDP: rb limits r, tb limits t, and what is dropped is lost. `skmem decode` counts such rows and passes them over.",
            "r and d of a packet socket (tcpdump) with a ring do not show what waits in the ring.",
        ],
        ..said(
            "other_kinds",
            None,
            "proto_name (misc/ss.c)",
            "netlink (nl), packet (p_raw, p_dgr), raw IP, SCTP, DCCP, TIPC, vsock, XDP: sockets that have no part in TCP's memory",
        )
    },
];
