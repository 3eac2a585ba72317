//! What `decode` and `snapshot` find, by the tags that they print.

use super::{Field, said};

pub(super) const FIELDS: &[Field] = &[
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "A fast sender is at 100 % and a little more most of the time: look at what it waits *for*.",
            "`skmem explain` names each byte over tb.",
        ],
        ..said(
            "over-limit",
            None,
            "w >= tb",
            "a finding: w has reached tb or passed it: send() waits or gives EAGAIN",
        )
    },
    Field {
        aliases: &["peer window"],
        unit: "finding",
        moved_by: "",
        traps: &[
            "Look at the peer: r and Recv-Q near rb there say that its application does not read.",
            "A larger send buffer only queues more.",
        ],
        ..said(
            "waits-for-peer-window",
            None,
            "timer persist, snd_wnd, rwnd_limited",
            "a finding: data waits since the peer's window has no room",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &["retrans, lost, rtt against minrtt tell why the window is small."],
        ..said(
            "waits-for-cwnd",
            None,
            "unacked >= cwnd",
            "a finding: data waits since the congestion window is full: the network's pace",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "The memory stays in w until the ACK comes: on a long path that is a round trip's worth.",
        ],
        ..said(
            "waits-for-acks",
            None,
            "notsent 0",
            "a finding: all data was sent and waits to be acknowledged",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "Late TX completions, interrupt coalescing, an overloaded CPU, a queueing discipline that paces. See tsq.",
        ],
        ..said(
            "waits-for-completions",
            None,
            "t > pacing_rate / 1,024",
            "a finding: no window is full, and t is as large as TCP small queues allow: the sender waits until the card says that it has sent",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &["`ss -tmi` shows notsent, cwnd, snd_wnd and the clocks, which say more."],
        ..said(
            "waits-in-tcp",
            None,
            "w large, t small",
            "a finding: data waits in TCP, and the values shown do not say for what",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "Look at the route (`ip route get`), packet filters (OUTPUT), a full queueing discipline (`tc -s qdisc`), then at the path.",
        ],
        ..said(
            "cannot-send",
            None,
            "timer persist with snd_wnd >= mss, or rwnd_limited that stands still",
            "a finding: the window-probe timer runs although the peer's window has room: what is sent does not leave this machine, or does not arrive",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "`tc -s qdisc`, `ethtool -S`. netem and tunnels take packets out of t, so a small t does not say that nothing waits there.",
        ],
        ..said(
            "below-tcp",
            None,
            "t",
            "a finding: much of the data has left TCP and waits in the queueing discipline or the card",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &["After tcp_retries2 of them the connection fails with ETIMEDOUT."],
        ..said(
            "probes-unanswered",
            None,
            "timer:(persist,…,N), N >= 2",
            "a finding: window probes, or keepalive probes, have had no answer: the peer or the path is gone",
        )
    },
    Field {
        aliases: &["timeout"],
        unit: "finding",
        moved_by: "",
        traps: &[
            "The peer or the path is gone, or the peer drops what arrives (its d grows; SO_RCVBUF lowered under data does it).",
            "Ends with ETIMEDOUT after tcp_retries2.",
        ],
        ..said(
            "timeouts",
            None,
            "timer:(on,…,N), N >= 2",
            "a finding: the same data was sent again and again without an ACK",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &["See syn_sent."],
        ..said(
            "syn-unanswered",
            None,
            "SYN-SENT",
            "a finding: connect() has had no answer",
        )
    },
    Field {
        aliases: &["loss"],
        unit: "finding",
        moved_by: "",
        traps: &["One reading says little: compare `retrans` of two."],
        ..said(
            "losses",
            None,
            "lost, retrans",
            "a finding: segments are lost or being sent again at this moment",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &["A connection whose timers were stopped, by a bug or by a half-done kill."],
        ..said(
            "stuck-close",
            None,
            "FIN-WAIT-1, CLOSING, LAST-ACK with lastsnd above an hour",
            "a finding: a FIN waits for its ACK and nothing sends it again",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "Leave SO_SNDBUF unset so that the kernel raises tb, or set it larger; where rwnd_limited is large, too, that helps only as far as the window allows.",
        ],
        ..said(
            "sndbuf-limited",
            None,
            "sndbuf_limited / busy",
            "a finding: the send buffer was what kept the sender from going faster",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &["Since the connection began, not now."],
        ..said(
            "peer-limited",
            None,
            "rwnd_limited / busy",
            "a finding: for most of the time with data to send, the peer's window stopped it",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "r of an application that waits for the network is near 0.",
            "With small packets r may be at an rb that grows, and the window open: see small-packets.",
        ],
        ..said(
            "slow-reader",
            None,
            "r >= 0.8 rb",
            "a finding: what was received is not read as fast as it comes",
        )
    },
    Field {
        aliases: &[
            "read but held",
            "reserve",
            "cap",
            "rule",
            "unannounced",
            "promised before",
        ],
        unit: "finding",
        moved_by: "each packet that arrives, each read, and each ACK that announces a window",
        traps: &[
            "read but held: an skb stays in r until its last byte is read, so r is not unread data.",
            "reserve: what the kernel keeps back of free memory for overhead (scaling_ratio, before 6.6 tcp_adv_win_scale).",
            "cap: free, and beyond rcv_ssthresh or window_clamp. rule: free, but less than a sixteenth of the whole or than a segment, so nothing is offered.",
            "unannounced: free, and the peer does not know yet. promised before: the window is larger than what is free; it is not taken back.",
        ],
        ..said(
            "receive-window",
            None,
            "skmem snapshot --window",
            "a finding: what fills the receive buffer, and why the window is what it is: rb = unread + read but held + overhead + out of order + error queue + backlog + reserve + cap + rule + rounding + unannounced + window",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "`rcv_ooopack` and the peer's `retrans` speak for a hole; SO_TIMESTAMPING and IP_RECVERR for the error queue.",
        ],
        ..said(
            "held-not-readable",
            None,
            "r without Recv-Q",
            "a finding: memory is held that recv() does not give in order: packets beyond a hole, unread messages on the error queue, data that a BPF program put there (sockmap)",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "Each packet counts hundreds of bytes. The kernel raises rb of a socket without SO_RCVBUF for it, up to tcp_rmem[2].",
        ],
        ..said(
            "small-packets",
            None,
            "r / Recv-Q",
            "a finding: much memory for little data: it came in small packets",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "The kernel cuts it when packets find the buffer full, or memory is short; it grows again as data arrives.",
        ],
        ..said(
            "window-cut",
            None,
            "rcv_ssthresh against rb",
            "a finding: the window that we offer is a few segments although the buffer has room",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "From 6.12 on the window goes to 0 when a packet finds the receive buffer over a lowered SO_RCVBUF; before, such packets are dropped silently, which looks like timeouts.",
        ],
        ..said(
            "window-withdrawn",
            None,
            "snd_wnd 0 with data in flight",
            "a finding of snapshot: the peer has taken back a window that it had offered, and is alive",
        )
    },
    Field {
        aliases: &["TCP_REPAIR"],
        unit: "finding",
        moved_by: "",
        traps: &[
            "No message of sock_diag has it, so `ss` cannot print it: `skmem snapshot --locks` asks the socket.",
            "1 KiB writes do not share packets there: each goes to the retransmit queue by itself, and costs an skb.",
        ],
        ..said(
            "repair",
            None,
            "tcp_sock.repair",
            "a finding of snapshot --locks: a program (CRIU) fills the socket's queues by hand, and nothing is sent",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "Look at `skmem snapshot --by process`: the cause is the sum, not the socket that waits.",
        ],
        ..said(
            "tcp-mem",
            None,
            "tcp_memory_allocated against net.ipv4.tcp_mem[2]",
            "a finding of snapshot: the memory of all TCP sockets is past the hard limit, so a writer sleeps though w is below tb",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "netem takes what it delays out of t (skb_orphan_partial), so t near 0 does not say that nothing waits below TCP. Its backlog is that of all sockets together.",
        ],
        ..said(
            "netem",
            None,
            "rtnetlink: the device of the route, and its queueing disciplines",
            "a finding of snapshot: netem is on the device that packets to the peer leave by",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &["Its backlog is that of all sockets together; t is this socket's."],
        ..said(
            "qdisc-backlog",
            None,
            "rtnetlink: the device of the route, and its queueing disciplines",
            "a finding of snapshot: a queueing discipline of that device holds packets",
        )
    },
    Field {
        aliases: &["accept-queue", "accept queue"],
        unit: "finding",
        moved_by: "",
        traps: &[
            "The application is too slow with accept(), or its listen() asked for too few (somaxconn bounds it).",
        ],
        ..said(
            "accept-queue-full",
            None,
            "Recv-Q > Send-Q of a listening socket",
            "a finding: connections wait for accept(), and no more are let in",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &["Of UDP tb limits t: see udp."],
        ..said(
            "udp-send-limit",
            None,
            "t >= tb of UDP",
            "a finding: a UDP sender waits for the queueing discipline or the card",
        )
    },
    Field {
        aliases: &[],
        unit: "finding",
        moved_by: "",
        traps: &[
            "Zero-copy notifications that nobody reads (768 to 896 bytes each), BPF socket storage, keys, filters.",
        ],
        ..said(
            "option-memory",
            None,
            "o >= 4,096",
            "a finding: the socket's options hold much memory",
        )
    },
    Field {
        aliases: &["locked", "autotuned", "SOCK_SNDBUF_LOCK"],
        unit: "finding",
        moved_by: "",
        traps: &[
            "Sure is what `skmem snapshot --locks` asks the socket (SO_BUF_LOCK, 5.14); a value alone proves it only above tcp_wmem[2].",
            "tb below tcp_wmem[1]: the application set it, or the kernel shrank it under memory pressure. rb below tcp_rmem[1]: the application set it, for the kernel never lowers rb; `skmem decode` says so of pastes.",
        ],
        ..said(
            "limit",
            None,
            "tb against tcp_wmem and net.core.wmem_max; rb against tcp_rmem[1] and net.core.rmem_max",
            "a finding: tb or rb looks as if the application had set SO_SNDBUF or SO_RCVBUF, which ends autotuning",
        )
    },
];
