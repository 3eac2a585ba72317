//! The states of TCP, as `ss` prints them.

use super::{Field, said};

pub(super) const FIELDS: &[Field] = &[
    Field {
        aliases: &["ESTABLISHED", "TCP_ESTABLISHED"],
        unit: "TCP state",
        moved_by: "the handshake's end",
        traps: &[
            "Says nothing of whether the peer lives: see lastack and the timer.",
            "Of UDP: connect() was called.",
        ],
        ..said(
            "established",
            Some("ESTAB"),
            "TCP_ESTABLISHED",
            "a connection that both sides hold open",
        )
    },
    Field {
        aliases: &["SYN_SENT", "TCP_SYN_SENT"],
        unit: "TCP state",
        moved_by: "connect(); the SYN is sent again after 1 s and on (tcp_syn_linear_timeouts, tcp_syn_retries)",
        traps: &[
            "Send-Q 1 is the SYN, no data.",
            "Sent again more than once: a filter drops it, the listener's accept queue is full, or nobody is at that address. A closed port answers at once (ECONNREFUSED).",
        ],
        ..said(
            "syn_sent",
            Some("SYN-SENT"),
            "TCP_SYN_SENT",
            "a connect() that has had no answer yet",
        )
    },
    Field {
        aliases: &["SYN_RECV", "TCP_SYN_RECV", "TCP_NEW_SYN_RECV", "half-open"],
        unit: "TCP state",
        moved_by: "a SYN on a listening socket; ends with the ACK, or after tcp_synack_retries",
        traps: &["It has no buffers yet: nothing of it is in r or w."],
        ..said(
            "syn_recv",
            Some("SYN-RECV"),
            "TCP_NEW_SYN_RECV (a request_sock)",
            "a connection whose SYN was answered and whose last ACK has not come",
        )
    },
    Field {
        aliases: &["FIN_WAIT1", "FIN_WAIT_1", "TCP_FIN_WAIT1"],
        unit: "TCP state",
        moved_by: "close() or shutdown()",
        traps: &[
            "Send-Q counts the FIN as one: 1 is not data.",
            "With data it may be an orphan that holds memory: see orphan and tcp_orphan_retries.",
        ],
        ..said(
            "fin_wait_1",
            Some("FIN-WAIT-1"),
            "TCP_FIN_WAIT1",
            "a connection that this side has closed, while its FIN, and perhaps data before it, is not acknowledged",
        )
    },
    Field {
        aliases: &["FIN_WAIT2", "FIN_WAIT_2", "TCP_FIN_WAIT2"],
        unit: "TCP state",
        moved_by: "the ACK of the FIN",
        traps: &[
            "An orphan leaves after tcp_fin_timeout (60 s); one that a process still holds (shutdown()) stays for as long as the peer likes.",
        ],
        ..said(
            "fin_wait_2",
            Some("FIN-WAIT-2"),
            "TCP_FIN_WAIT2",
            "a connection that this side has closed and whose FIN was acknowledged: the peer has not closed yet",
        )
    },
    Field {
        aliases: &["TIME_WAIT", "TCP_TIME_WAIT"],
        unit: "TCP state",
        moved_by: "the FIN of the peer",
        traps: &["It has no buffers: it costs a few hundred bytes of slab and is in no letter."],
        ..said(
            "time_wait",
            Some("TIME-WAIT"),
            "TCP_TIME_WAIT (struct tcp_timewait_sock)",
            "what is left of a closed connection for 60 s, so that late segments do no harm",
        )
    },
    Field {
        aliases: &["CLOSE_WAIT", "TCP_CLOSE_WAIT"],
        unit: "TCP state",
        moved_by: "the peer's FIN; ends with close()",
        traps: &[
            "It stays for as long as the application does not close it: many of them are a bug of the application (a leak of descriptors).",
            "Recv-Q 1 is the FIN, which the application has not read; no data.",
        ],
        ..said(
            "close_wait",
            Some("CLOSE-WAIT"),
            "TCP_CLOSE_WAIT",
            "a connection that the peer has closed and our application has not",
        )
    },
    Field {
        aliases: &["LAST_ACK", "TCP_LAST_ACK"],
        unit: "TCP state",
        moved_by: "close() in CLOSE-WAIT",
        traps: &["Send-Q counts the FIN as one."],
        ..said(
            "last_ack",
            Some("LAST-ACK"),
            "TCP_LAST_ACK",
            "a connection that both sides have closed, while our FIN is not acknowledged",
        )
    },
    Field {
        aliases: &["TCP_CLOSING"],
        unit: "TCP state",
        moved_by: "both FINs crossed",
        traps: &[],
        ..said(
            "closing",
            Some("CLOSING"),
            "TCP_CLOSING",
            "a connection that both sides closed at the same time",
        )
    },
    Field {
        aliases: &["TCP_LISTEN", "listening"],
        unit: "TCP state",
        moved_by: "listen()",
        traps: &[
            "Recv-Q and Send-Q count connections: those that wait for accept(), and how many may.",
            "Full is one more than Send-Q (sk_acceptq_is_full): from there on SYNs are dropped, and d and ListenOverflows grow.",
            "Its rb and tb are what accepted sockets begin with.",
        ],
        ..said(
            "listen",
            Some("LISTEN"),
            "TCP_LISTEN",
            "a socket that waits for connections",
        )
    },
    Field {
        aliases: &["CLOSED", "CLOSE", "TCP_CLOSE"],
        unit: "TCP state",
        moved_by: "socket(), or the end",
        traps: &["In `ss -u` and `ss -w` the usual state."],
        ..said(
            "closed",
            Some("UNCONN"),
            "TCP_CLOSE",
            "a socket without a connection",
        )
    },
    Field {
        aliases: &["BOUND_INACTIVE", "TCP_BOUND_INACTIVE"],
        unit: "TCP state",
        moved_by: "bind() without listen() or connect()",
        traps: &[
            "ss prints UNCONN for it. Listed only with -a, by iproute2 from 6.7 and kernels from 6.8 on.",
        ],
        ..said(
            "bound_inactive",
            Some("bound-inactive"),
            "TCP_BOUND_INACTIVE (a state of sock_diag only)",
            "a TCP socket that has a port and neither listens nor is connected",
        )
    },
];
