//! The words that `ss -i`, `-o` and `-e` print beside those of memory, from `struct tcp_info`.

use super::{Field, said};

pub(super) const FIELDS: &[Field] = &[
    Field {
        aliases: &["tcpi_rto", "icsk_rto"],
        unit: "ms",
        moved_by: "round-trip times (tcp_rtt_estimator); each timeout doubles it, up to 120 s; an ACK of new data sets it back",
        traps: &[
            "At least 200 ms, unless the route (rto_min) or net.ipv4.tcp_rto_min_us says otherwise.",
            "Window probes do not double it: their period is rto times 2 to the power of `backoff`, 120 s at most.",
        ],
        ..said(
            "rto",
            Some("rto"),
            "icsk->icsk_rto (tcp_get_info)",
            "how long the retransmission timer waits for an ACK",
        )
    },
    Field {
        aliases: &["tcpi_backoff", "icsk_backoff"],
        unit: "count",
        moved_by: "up: a timeout (tcp_retransmit_timer), a window probe (tcp_send_probe0); back to 0: an ACK of new data, a window that opens",
        traps: &[
            "Window probes raise it although the peer answers each of them. How many probes had no answer is the third value of `timer:(persist,…)`; above 1, the peer or the path may be gone.",
            "With `unacked` above 0 it counts retransmission timeouts; with nothing in flight, window probes.",
            "ss leaves it out when it is 0.",
        ],
        ..said(
            "backoff",
            Some("backoff"),
            "icsk->icsk_backoff (tcp_get_info)",
            "how often the period of the running timer was doubled: after timeouts without an ACK, or after window probes",
        )
    },
    Field {
        aliases: &["srtt", "tcpi_rtt", "rttvar", "tcpi_rttvar", "mdev"],
        unit: "ms / ms",
        moved_by: "ACKs of segments that were sent once (tcp_ack_update_rtt)",
        traps: &[
            "Includes what the peer waits before it acknowledges (up to 40 ms and more with delayed ACKs) and our own queueing discipline.",
            "The last known value: on an idle connection it is old.",
        ],
        ..said(
            "rtt",
            Some("rtt"),
            "tp->srtt_us / 8, tp->mdev_us / 4 (tcp_get_info)",
            "the smoothed round-trip time, and how much it varies",
        )
    },
    Field {
        aliases: &["min_rtt", "tcpi_min_rtt"],
        unit: "ms",
        moved_by: "ACKs (tcp_update_rtt_min)",
        traps: &["rtt far above minrtt: packets wait in a queue, on the path or in this machine."],
        ..said(
            "minrtt",
            Some("minrtt"),
            "tcp_min_rtt(tp) (tcp_get_info, 4.6)",
            "the smallest round-trip time of the last five minutes (tcp_min_rtt_wlen)",
        )
    },
    Field {
        aliases: &["tcpi_ato"],
        unit: "ms",
        moved_by: "data that arrives (tcp_event_data_recv)",
        traps: &["Says nothing of the peer's delayed ACKs."],
        ..said(
            "ato",
            Some("ato"),
            "icsk->icsk_ack.ato (tcp_get_info)",
            "how long this side would wait before it sends an ACK alone",
        )
    },
    Field {
        aliases: &["last_data_sent", "tcpi_last_data_sent", "lsndtime"],
        unit: "ms",
        moved_by: "tcp_event_data_sent",
        traps: &[
            "Probes of a shut window carry no data and leave it as it is.",
            "In SYN-SENT it is about the time since boot.",
        ],
        ..said(
            "lastsnd",
            Some("lastsnd"),
            "now - tp->lsndtime (tcp_get_info)",
            "how long ago data was last sent, retransmissions included",
        )
    },
    Field {
        aliases: &["last_data_recv", "tcpi_last_data_recv", "lrcvtime"],
        unit: "ms",
        moved_by: "tcp_event_data_recv",
        traps: &[
            "ACKs alone do not count: these are `lastack`.",
            "Where data never arrived it may be about the time since boot.",
        ],
        ..said(
            "lastrcv",
            Some("lastrcv"),
            "now - icsk->icsk_ack.lrcvtime (tcp_get_info)",
            "how long ago data last arrived",
        )
    },
    Field {
        aliases: &["last_ack_recv", "tcpi_last_ack_recv", "rcv_tstamp"],
        unit: "ms",
        moved_by: "tcp_ack",
        traps: &[
            "The peer's sign of life: answers to window probes and to keepalives count.",
            "With data in flight and lastack far above rto, nothing comes back: lost, or the peer is gone.",
            "In SYN-SENT it is about the time since boot.",
        ],
        ..said(
            "lastack",
            Some("lastack"),
            "now - tp->rcv_tstamp (tcp_get_info)",
            "how long ago the last segment with an ACK arrived",
        )
    },
    Field {
        aliases: &[
            "tcpi_retrans",
            "tcpi_total_retrans",
            "retrans_out",
            "total_retrans",
        ],
        unit: "segments / segments",
        moved_by: "tcp_retransmit_skb; ACKs lower the first",
        traps: &[
            "The second never goes down: compare two readings, or divide by segs_out, before calling a path bad.",
            "Retransmitted is not the same as lost: `dsack_dups` counts those that the peer had already.",
        ],
        ..said(
            "retrans",
            Some("retrans"),
            "tp->retrans_out / tp->total_retrans (tcp_get_info)",
            "segments that are retransmitted and in flight now, and all that were retransmitted since the connection began",
        )
    },
    Field {
        aliases: &["tcpi_lost", "lost_out"],
        unit: "segments",
        moved_by: "loss detection (tcp_mark_skb_lost), a timeout; ACKs lower it",
        traps: &["An estimate of the sender, of now, and not a count of losses so far."],
        ..said(
            "lost",
            Some("lost"),
            "tp->lost_out (tcp_get_info)",
            "segments in flight that TCP holds for lost and sends again",
        )
    },
    Field {
        aliases: &["tcpi_sacked", "sacked_out"],
        unit: "segments",
        moved_by: "SACK blocks (tcp_sacktag_write_queue); ACKs lower it",
        traps: &[
            "Their memory stays in w until the hole is filled: SACKed data may still be dropped by the peer.",
        ],
        ..said(
            "sacked",
            Some("sacked"),
            "tp->sacked_out (tcp_get_info); of a listening socket the limit of its accept queue",
            "segments that the peer has beyond a hole (SACK)",
        )
    },
    Field {
        aliases: &["tcpi_dsack_dups"],
        unit: "count",
        moved_by: "DSACK blocks (tcp_check_dsack)",
        traps: &["Close to the second number of `retrans`: most retransmissions were needless."],
        ..said(
            "dsack_dups",
            Some("dsack_dups"),
            "tp->dsack_dups (tcp_get_info, 4.19)",
            "how often the peer said that it got a segment twice",
        )
    },
    Field {
        aliases: &["tcpi_reordering", "reord_seen", "fackets"],
        unit: "segments",
        moved_by: "tcp_check_sack_reordering",
        traps: &["ss prints it where it is not 3."],
        ..said(
            "reordering",
            Some("reordering"),
            "tp->reordering (tcp_get_info)",
            "how far out of order segments may arrive before TCP holds one for lost; `reord_seen` counts how often it was seen",
        )
    },
    Field {
        aliases: &["snd_ssthresh", "tcpi_snd_ssthresh"],
        unit: "segments",
        moved_by: "the congestion control, at losses",
        traps: &["ss leaves it out while it is still without bound: no loss was seen yet."],
        ..said(
            "ssthresh",
            Some("ssthresh"),
            "tcp_current_ssthresh(sk) (tcp_get_info)",
            "the congestion window below which slow start goes on",
        )
    },
    Field {
        aliases: &["tcpi_pmtu"],
        unit: "bytes",
        moved_by: "ICMP, MTU probing",
        traps: &["mss is about this less 40 (IPv4) or 60 (IPv6) and the options."],
        ..said(
            "pmtu",
            Some("pmtu"),
            "icsk->icsk_pmtu_cookie (tcp_get_info)",
            "the path's MTU as TCP knows it",
        )
    },
    Field {
        aliases: &["tcpi_rcv_mss"],
        unit: "bytes",
        moved_by: "tcp_measure_rcv_mss",
        traps: &["Not mss, which is for sending. With GRO it may be many times the peer's mss."],
        ..said(
            "rcvmss",
            Some("rcvmss"),
            "icsk->icsk_ack.rcv_mss (tcp_get_info)",
            "an estimate of the size of the segments that the peer sends",
        )
    },
    Field {
        aliases: &["tcpi_advmss"],
        unit: "bytes",
        moved_by: "the handshake: the device's MTU and the route",
        traps: &[],
        ..said(
            "advmss",
            Some("advmss"),
            "tp->advmss (tcp_get_info)",
            "the largest segment that we have asked the peer to send",
        )
    },
    Field {
        aliases: &["sk_pacing_rate", "tcpi_pacing_rate"],
        unit: "bits a second in ss",
        moved_by: "tcp_update_pacing_rate (2 × cwnd / rtt in slow start, then 1.2 ×), BBR; SO_MAX_PACING_RATE caps it",
        traps: &[
            "Kept to only with the fq queueing discipline or where TCP paces itself (BBR); with cubic without fq it still sets how much TCP small queues let into t: about 1/1,024 of a second's worth.",
            "Second number with a slash: the cap that SO_MAX_PACING_RATE set.",
        ],
        ..said(
            "pacing_rate",
            Some("pacing_rate"),
            "sk->sk_pacing_rate (tcp_get_info)",
            "how fast TCP may hand segments to the queueing discipline",
        )
    },
    Field {
        aliases: &["tcpi_delivery_rate", "delivered", "delivered_ce"],
        unit: "bits a second in ss",
        moved_by: "ACKs (tcp_rate_gen)",
        traps: &[
            "With `app_limited` the application had no more to send: the path could do better.",
        ],
        ..said(
            "delivery_rate",
            Some("delivery_rate"),
            "tcp_compute_delivery_rate (4.9)",
            "the rate at which the peer acknowledged data, of the best recent sample; `delivered` counts the segments",
        )
    },
    Field {
        aliases: &["tcpi_delivery_rate_app_limited"],
        unit: "flag",
        moved_by: "tcp_rate_check_app_limited",
        traps: &["Of the last sample, not of the whole connection."],
        ..said(
            "app_limited",
            Some("app_limited"),
            "tp->rate_app_limited (tcp_get_info, 4.9)",
            "a mark that the last rate sample was held down by the application, which had nothing to send",
        )
    },
    Field {
        aliases: &["send rate"],
        unit: "bits a second",
        moved_by: "-",
        traps: &["Not measured: ss computes it. See delivery_rate and pacing_rate."],
        ..said(
            "send_rate",
            Some("send"),
            "cwnd × mss / rtt, computed by ss",
            "what the connection could send at most by its congestion window",
        )
    },
    Field {
        aliases: &["tcpi_bytes_sent"],
        unit: "bytes of payload",
        moved_by: "__tcp_transmit_skb",
        traps: &[
            "Less bytes_retrans and bytes_acked it gives what is in flight, but for the SYN's one.",
        ],
        ..said(
            "bytes_sent",
            Some("bytes_sent"),
            "tp->bytes_sent (tcp_get_info, 4.19)",
            "data sent since the connection began, retransmissions included",
        )
    },
    Field {
        aliases: &["tcpi_bytes_retrans"],
        unit: "bytes of payload",
        moved_by: "__tcp_retransmit_skb",
        traps: &[],
        ..said(
            "bytes_retrans",
            Some("bytes_retrans"),
            "tp->bytes_retrans (tcp_get_info, 4.19)",
            "data sent again since the connection began",
        )
    },
    Field {
        aliases: &["tcpi_bytes_acked"],
        unit: "bytes",
        moved_by: "tcp_snd_una_update",
        traps: &[
            "A SYN that we sent counts one, and so does a FIN.",
            "Does not move between two readings and Send-Q is above 0: nothing gets through.",
        ],
        ..said(
            "bytes_acked",
            Some("bytes_acked"),
            "tp->bytes_acked (tcp_get_info, 4.1)",
            "what the peer has acknowledged since the connection began",
        )
    },
    Field {
        aliases: &["tcpi_bytes_received"],
        unit: "bytes",
        moved_by: "tcp_rcv_nxt_update",
        traps: &["Arrived, not read: the application may not have read the last Recv-Q of it."],
        ..said(
            "bytes_received",
            Some("bytes_received"),
            "tp->bytes_received (tcp_get_info, 4.1)",
            "what has arrived in order since the connection began",
        )
    },
    Field {
        aliases: &["segs_in", "data_segs_out", "data_segs_in", "tcpi_segs_out"],
        unit: "segments",
        moved_by: "__tcp_transmit_skb, tcp_segs_in",
        traps: &["What GSO and GRO merge counts as the segments that it is on the wire."],
        ..said(
            "segs_out",
            Some("segs_out"),
            "tp->segs_out and its like (tcp_get_info, 4.2; data_segs 4.6)",
            "segments sent since the connection began, ACKs alone included; `segs_in` those received, `data_segs_…` those with data",
        )
    },
    Field {
        aliases: &["tcpi_rcv_rtt"],
        unit: "ms",
        moved_by: "tcp_rcv_rtt_measure",
        traps: &[
            "Without timestamps it is the time in which one window arrives, and may be far too long.",
        ],
        ..said(
            "rcv_rtt",
            Some("rcv_rtt"),
            "tp->rcv_rtt_est.rtt_us / 8 (tcp_get_info)",
            "the receiver's own estimate of the round-trip time, for the autotuning of rb",
        )
    },
    Field {
        aliases: &["tcpi_rcv_space", "rcvq_space"],
        unit: "bytes of payload",
        moved_by: "tcp_rcv_space_adjust",
        traps: &["Not the window and not the room that is left."],
        ..said(
            "rcv_space",
            Some("rcv_space"),
            "tp->rcvq_space.space (tcp_get_info)",
            "how much the application read in one round trip, the most so far: what autotuning makes rb from",
        )
    },
    Field {
        aliases: &["tcpi_rcv_ssthresh"],
        unit: "bytes of payload",
        moved_by: "up: tcp_grow_window; down to a few segments: tcp_clamp_window when packets find the buffer full, or memory pressure",
        traps: &["The window may be small with r at 0: then this is why, and not rb."],
        ..said(
            "rcv_ssthresh",
            Some("rcv_ssthresh"),
            "tp->rcv_ssthresh (tcp_get_info)",
            "the largest window that we offer so far: it begins small and grows as data arrives in large packets",
        )
    },
    Field {
        aliases: &["tcpi_rcv_wnd"],
        unit: "bytes of payload",
        moved_by: "__tcp_select_window, with each ACK that we send",
        traps: &["The peer's snd_wnd is this, a moment later."],
        ..said(
            "rcv_wnd",
            Some("rcv_wnd"),
            "tp->rcv_wnd (tcp_get_info, 6.2)",
            "the window that we have offered to the peer",
        )
    },
    Field {
        aliases: &["tcpi_rcv_ooopack"],
        unit: "segments",
        moved_by: "tcp_data_queue_ofo",
        traps: &["Their memory is in r, and not in Recv-Q, until the hole is filled."],
        ..said(
            "rcv_ooopack",
            Some("rcv_ooopack"),
            "tp->rcv_ooopack (tcp_get_info, 5.4)",
            "segments that arrived out of order since the connection began",
        )
    },
    Field {
        aliases: &["tcpi_rehash"],
        unit: "count",
        moved_by: "a timeout, or protective load balancing (tcp_plb_check_rehash): the connection is to take another path",
        traps: &["Printed where it is not 0, by kernels from 6.2 on."],
        ..said(
            "rehash",
            Some("rehash"),
            "tp->plb_rehash + tp->timeout_rehash (tcp_get_info)",
            "how often the connection has changed the hash by which switches choose its path",
        )
    },
    Field {
        aliases: &[
            "bbr",
            "reno",
            "dctcp",
            "congestion control",
            "ca_name",
            "TCP_CONGESTION",
        ],
        unit: "name",
        moved_by: "net.ipv4.tcp_congestion_control, TCP_CONGESTION, the route",
        traps: &[
            "It moves cwnd and, with BBR, the pacing rate; the limits tb and rb are not its business, but autotuning of tb follows cwnd (BBR asks for 3 × instead of 2 ×).",
        ],
        ..said(
            "congestion_control",
            Some("cubic"),
            "icsk->icsk_ca_ops->name (INET_DIAG_CONG)",
            "the congestion control, by its name",
        )
    },
    Field {
        aliases: &[
            "sack",
            "ecn",
            "ecnseen",
            "accecn",
            "wscale",
            "fastopen",
            "timestamps",
        ],
        unit: "flags; wscale: theirs,ours",
        moved_by: "the handshake",
        traps: &["Without wscale no window is larger than 65,535 bytes, whatever rb is."],
        ..said(
            "tcp_options",
            Some("ts"),
            "tp->rx_opt (tcp_get_info)",
            "what both sides agreed on in the handshake: timestamps, selective ACKs, ECN (accecn: Accurate ECN, RFC 9768), window scaling",
        )
    },
    Field {
        aliases: &["sock_i_ino", "uid", "sk"],
        unit: "number",
        moved_by: "-",
        traps: &[
            "0: no file refers to the socket. Its application has closed it (an orphan), or has not accepted it yet.",
        ],
        ..said(
            "inode",
            Some("ino"),
            "sock_i_ino(sk) (inet_diag_msg_common_fill)",
            "the socket's inode, by which /proc/PID/fd names it; `sk` is the socket's cookie, which never comes back",
        )
    },
    Field {
        aliases: &["comm", "pid", "fd", "Process", "tid", "proc_ctx"],
        unit: "name, pid, fd",
        moved_by: "open(), fork(), SCM_RIGHTS, close()",
        traps: &[
            "ss without root sees its own user's processes only: no users is not the same as an orphan.",
            "The memory is in none of these processes' RES.",
        ],
        ..said(
            "users",
            Some("users"),
            "/proc/PID/fd (ss -p)",
            "the processes that hold the socket open",
        )
    },
];
