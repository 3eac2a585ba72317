//! The nine values of `skmem:(…)` (`sk_get_meminfo`), in the order in which `ss` prints them.

use super::Field;

pub(super) const FIELDS: &[Field] = &[
    Field {
        name: "rmem_alloc",
        ss: Some("r"),
        aliases: &["sk_rmem_alloc", "rmem"],
        kernel: "sk->sk_backlog.rmem_alloc (SK_MEMINFO_RMEM_ALLOC)",
        unit: "bytes of truesize",
        brief: "received, held",
        meaning: "memory of packets that were received and are held: not read yet, read in part, out of order, \
                  messages on the error queue",
        moved_by: "up: a packet is queued (skb_set_owner_r); down: its last byte is read (sock_rfree)",
        traps: &[
            "Truesize, not payload: a packet with one byte of data may count for hundreds or thousands; \
             Recv-Q has the payload.",
            "Not the same as unread: a packet counts whole until its last byte is read, and packets are merged as \
             they arrive. Seen: r 124,448 of which 11,264 were unread.",
            "r above 0 with Recv-Q 0: out-of-order data that waits for a hole to be filled, unread messages on \
             the error queue (timestamps, ICMP errors), a FIN that was not read, or data that a BPF program \
             redirected here (sockmap, 6.12 and 7.2), which recv() gives and Recv-Q does not count. \
             Zero-copy completions are in o.",
            "Of UDP what is not read; of an AF_UNIX socket 0: there the sender's t holds it.",
        ],
    },
    Field {
        name: "rcvbuf",
        ss: Some("rb"),
        aliases: &["sk_rcvbuf", "so_rcvbuf"],
        kernel: "sk->sk_rcvbuf (SK_MEMINFO_RCVBUF)",
        unit: "bytes of truesize",
        brief: "limit of r",
        meaning: "the limit for r",
        moved_by: "SO_RCVBUF sets twice the value asked for (at most 2 × net.core.rmem_max, at least 2,304) and ends \
                   autotuning; else the kernel raises it while the application reads (tcp_rcv_space_adjust), and \
                   without a read, to r, when packets find it full (tcp_clamp_window), up to tcp_rmem[2]",
        traps: &[
            "A limit, not memory: nothing of it is allocated until data arrives.",
            "getsockopt(SO_RCVBUF) gives this number, the doubled one.",
            "r at rb does not prove that the window is shut: with small packets rb grows with r (seen: 29-fold \
             without a read).",
            "The window is less: up to 6.1 half of it (tcp_adv_win_scale), later a share that follows the packets' \
             overhead, and never more than rcv_ssthresh.",
        ],
    },
    Field {
        name: "wmem_alloc",
        ss: Some("t"),
        aliases: &["sk_wmem_alloc", "tmem"],
        kernel: "sk->sk_wmem_alloc - 1 (SK_MEMINFO_WMEM_ALLOC)",
        unit: "bytes of truesize",
        brief: "below TCP: qdisc, card",
        meaning: "memory of packets that have left TCP and that the queueing discipline or the network card \
                  still holds",
        moved_by: "up: a segment is handed down (__tcp_transmit_skb); down: the card has sent it (tcp_wfree)",
        traps: &[
            "Not the send buffer: that is w. For TCP these are clones that share their payload with packets \
             counted in w, so do not add t to w.",
            "Data waiting for an ACK is not in t but in w.",
            "TCP itself keeps t small (TCP small queues, tcp_limit_output_bytes); a large t says that the \
             queueing discipline or the card is slow.",
            "A small t does not say the opposite: netem and tunnels take packets out of it (skb_orphan) and may hold \
             megabytes; `tc -s qdisc` shows them.",
            "Of UDP it is all that is not sent yet, and tb limits it. Of an AF_UNIX sender it is what the peer has \
             not read.",
        ],
    },
    Field {
        name: "sndbuf",
        ss: Some("tb"),
        aliases: &["sk_sndbuf", "so_sndbuf", "S"],
        kernel: "sk->sk_sndbuf (SK_MEMINFO_SNDBUF)",
        unit: "bytes of truesize",
        brief: "limit of w",
        meaning: "the limit for w",
        moved_by: "SO_SNDBUF sets twice the value asked for (at most 2 × net.core.wmem_max, at least 4,608) and \
                   ends autotuning; else the kernel raises it with the congestion window \
                   (tcp_sndbuf_expand), up to tcp_wmem[2], and shrinks it under memory pressure",
        traps: &[
            "Of TCP it limits w, not t, in spite of its letter; of UDP and AF_UNIX it limits t.",
            "send() goes on as soon as w is below tb; poll() says writable, and a sender that sleeps wakes up, only \
             at two thirds of it.",
            "Tested in one place only: before send() begins a new packet. Adding to the last packet, splitting \
             and retransmitting do not test it, so w may pass it.",
            "A socket whose application set SO_SNDBUF never grows again (SOCK_SNDBUF_LOCK). ss and sock_diag \
             do not tell; SO_BUF_LOCK does (5.14), and `skmem snapshot --locks` asks it.",
        ],
    },
    Field {
        name: "forward_alloc",
        ss: Some("f"),
        aliases: &["sk_forward_alloc", "fwd_alloc", "fmem"],
        kernel: "sk->sk_forward_alloc (SK_MEMINFO_FWD_ALLOC)",
        unit: "bytes, signed",
        brief: "charged, unused",
        meaning: "memory that is already charged to the socket and not used yet",
        moved_by: "up: whole pages are charged (__sk_mem_schedule), memory of packets comes free; down: packets \
                   use it, whole pages are given back (__sk_mem_reclaim)",
        traps: &[
            "Shared by both directions.",
            "From 6.1 on less than a page stays here, but for SO_RESERVE_MEM (all that was reserved) and kernel TLS; \
             on 5.10 up to 2 MiB may, and then w + r falls far short of what the socket is charged.",
            "Negative: for a moment while data moves; for as long as kernel TLS holds an open record (seen: \
             -7,837); after the packets of a full receive buffer were copied together (tcp_collapse, \
             TcpExtTCPRcvCollapsed), until they are read (seen on 6.18: -11,776); on 5.10 while zero-copy data is \
             queued.",
            "ss prints it unsigned: 4294963200 is -4,096.",
        ],
    },
    Field {
        name: "wmem_queued",
        ss: Some("w"),
        aliases: &["sk_wmem_queued", "wmem"],
        kernel: "sk->sk_wmem_queued (SK_MEMINFO_WMEM_QUEUED)",
        unit: "bytes of truesize",
        brief: "in TCP's queues",
        meaning: "memory of everything in TCP's write queue and retransmit queue: not sent yet, and sent but \
                  not acknowledged",
        moved_by: "up: send() adds packets and data; down: ACKs free them (tcp_clean_rtx_queue)",
        traps: &[
            "ss(8) calls it memory \"which has not been sent to layer 3\". It also holds data that was sent \
             and waits for its ACK; often that is all there is.",
            "Not the same as wmem_alloc (t), which is below TCP.",
            "Truesize: payload (see Send-Q) plus an empty packet's size for each packet; zero-copy sends \
             count whole pages of the application's memory.",
        ],
    },
    Field {
        name: "optmem",
        ss: Some("o"),
        aliases: &["sk_omem_alloc", "optmem_max"],
        kernel: "sk->sk_omem_alloc (SK_MEMINFO_OPTMEM)",
        unit: "bytes",
        brief: "options",
        meaning: "memory for the socket's options: BPF storage and filters, MD5 and AO keys, zero-copy \
                  notifications not read yet",
        moved_by: "setsockopt(), BPF programs, sends with MSG_ZEROCOPY",
        traps: &[
            "Limited by net.core.optmem_max, not by rb or tb, and not part of TCP's mem in sockstat.",
            "A zero-copy notification is 768 bytes (5.10, 6.1) or 896 (6.12, 7.2), an MD5 key 136: less than 768 is \
             never a notification. While skmem traces a socket, its own storage counts here (some 250 bytes, from \
             6.1 on).",
        ],
    },
    Field {
        name: "backlog",
        ss: Some("bl"),
        aliases: &["sk_backlog", "backlog_len"],
        kernel: "sk->sk_backlog.len (SK_MEMINFO_BACKLOG)",
        unit: "bytes of truesize",
        brief: "waiting for the lock",
        meaning: "packets that arrived while the application was inside a call on the socket, and that are \
                  handled when it leaves",
        moved_by: "up: sk_add_backlog; down: __release_sock",
        traps: &[
            "Nothing to do with listen()'s backlog: of a listening socket that is Send-Q.",
            "Not charged to TCP's memory; limited by rb + tb and some more.",
            "Not printed by ss before 3.6.",
        ],
    },
    Field {
        name: "drops",
        ss: Some("d"),
        aliases: &["sk_drops"],
        kernel: "sk->sk_drops (SK_MEMINFO_DROPS)",
        unit: "packets",
        brief: "packets dropped",
        meaning: "how many packets that arrived for the socket were thrown away since it was made",
        moved_by: "tcp_drop: duplicates, packets outside the window, checksum errors, no room; of a listener \
                   also connections that found its queue full",
        traps: &[
            "A count of packets, not bytes, and it never goes down.",
            "On an idle or blocked connection it grows without loss: each keepalive and each probe of a shut window that the peer \
             sends is answered and counted (tcp_validate_incoming, Linux 6.12: findings/keepalives-count-as-drops.sh).",
            "On TCP a drop is rarely lost data: the sender sends it again. On UDP it is lost for good.",
            "Not printed by ss before 4.7.",
        ],
    },
];
