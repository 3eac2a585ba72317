//! The receive side: what moves `sk_rmem_alloc` (ss: r) and its limit `sk_rcvbuf` (ss: rb).

use super::{ALL, NOTHING, Words};

const ONE_SKB: &str = "By one skb: an empty receive queue takes what comes, and the fast path of \
    tcp_rcv_established tests sk_forward_alloc, not sk_rcvbuf.";
const SHRINKS: &str = "Never: it shrinks r.";
const LIMIT: &str = "It moves the limit, not r.";

/// What most pages of the receive side have in common.
macro_rules! words {
    ($brief:literal, $sentence:literal, $function:literal, $versions:expr, $effect:literal, $over:expr,
     $seen:literal, $demo:literal) => {
        Words {
            brief: $brief,
            because: "",
            part: $brief,
            sentence: $sentence,
            function: $function,
            versions: $versions,
            effect: $effect,
            over: $over,
            seen: $seen,
            demo: $demo,
            remedies: NOTHING,
            useless: NOTHING,
        }
    };
}

pub(super) const RECEIVED_BEFORE: Words = words!(
    "there before skmem saw the socket",
    "These bytes were in the receive buffer when skmem first saw the socket: when the trace began, \
     or when accept() returned it. Data that arrives before accept() is among them, that of TCP Fast Open, too, \
     which comes with the SYN.",
    "none: before skmem",
    ALL,
    "sk_rmem_alloc as skmem found it",
    ONE_SKB,
    "read from the socket when skmem first sees it",
    ""
);

pub(super) const UNATTRIBUTED: Words = words!(
    "NOT NAMED by any hook or field",
    "No hook saw what moved sk_rmem_alloc, and no field tells what it was: this kernel has a path \
     that skmem does not know, or a hook is missing.",
    "unknown",
    ALL,
    "what is left of a change of sk_rmem_alloc",
    "Unknown.",
    "the difference between two hooks that nothing explains",
    ""
);

pub(super) const IN_ORDER: Words = words!(
    "payload that arrived in sequence",
    "A segment continued the stream and joined the receive queue in an skb of its own. An MPTCP \
     socket's come from its subflows.",
    "tcp_queue_rcv; of an MPTCP socket __mptcp_move_skb",
    ALL,
    "adds the payload, a part of the skb's truesize",
    ONE_SKB,
    "tcp_queue_rcv, exit: it returned 0, and sk_rmem_alloc grew by the skb's truesize, which is \
     compared. Of an MPTCP socket __mptcp_move_skb, exit (up to 6.12: mptcp_set_owner_r). Inferred \
     from rcv_nxt where the call was not seen.",
    "skmem demo slow-reader"
);

pub(super) const IN_ORDER_OVERHEAD: Words = words!(
    "skb heads and unused room of those",
    "An skb is charged by its truesize: struct sk_buff, the head's room, and whole page fragments \
     or receive buffers of the driver, however little of them the payload fills.",
    "tcp_queue_rcv; of an MPTCP socket __mptcp_move_skb",
    ALL,
    "adds truesize less payload",
    ONE_SKB,
    "where in-order is seen: the skb's truesize less what rcv_nxt moved",
    "skmem demo slow-reader"
);

pub(super) const COALESCED: Words = words!(
    "payload merged into the last skb",
    "A segment continued the stream and was merged into the last skb of the receive queue; its \
     own head was freed. Such an skb grows to 100 kB and more, and is freed when its last byte \
     is read.",
    "tcp_try_coalesce in tcp_queue_rcv; of an MPTCP socket mptcp_try_coalesce",
    ALL,
    "adds the payload",
    ONE_SKB,
    "tcp_queue_rcv, or mptcp_try_coalesce, exit: it returned 1, and rcv_nxt moved",
    "skmem demo slow-reader"
);

pub(super) const COALESCED_OVERHEAD: Words = words!(
    "charged for merging beyond the payload",
    "Merging charges the pages that the segment brought, less its head; where the payload was \
     copied into room at the tail, it charges nothing, and this is minus the payload.",
    "skb_try_coalesce in tcp_try_coalesce or mptcp_try_coalesce",
    ALL,
    "what sk_rmem_alloc grew by, less the payload; may be negative",
    ONE_SKB,
    "tcp_queue_rcv, or mptcp_try_coalesce, exit: it returned 1",
    "skmem demo slow-reader"
);

pub(super) const OUT_OF_ORDER: Words = words!(
    "arrived beyond a hole",
    "A segment came whose predecessors are missing. It waits in the out-of-order queue until the \
     hole is filled, and fills the receive buffer meanwhile; Recv-Q does not count it.",
    "tcp_data_queue_ofo in tcp_data_queue; of an MPTCP socket, whose subflows may overtake one \
     another, mptcp_data_queue_ofo",
    ALL,
    "adds the truesize, or what merging charges",
    "By one skb.",
    "tcp_data_queue, exit: sk_rmem_alloc grew and rcv_nxt stood still; of an MPTCP socket the same \
     where in-order and coalesced are seen",
    "skmem demo loss --rx"
);

pub(super) const OUT_OF_ORDER_JOINED: Words = words!(
    "heads freed as a hole was filled",
    "The hole was filled, and the out-of-order queue joined the receive queue: skbs are merged \
     there, which frees their heads, and doubles are dropped.",
    "tcp_ofo_queue in tcp_data_queue; of an MPTCP socket __mptcp_ofo_queue",
    ALL,
    "frees the heads of merged skbs and the truesize of doubles",
    SHRINKS,
    "tcp_data_queue, exit: rcv_nxt moved beyond what tcp_queue_rcv took; __mptcp_ofo_queue, exit",
    "skmem demo loss --rx"
);

pub(super) const OUT_OF_ORDER_DROPPED: Words = words!(
    "out-of-order data dropped",
    "Data in the out-of-order queue was dropped: a later segment holds it as well, or the peer's \
     FIN came before it.",
    "tcp_data_queue_ofo, or tcp_fin in tcp_data_queue; of an MPTCP socket mptcp_data_queue_ofo",
    ALL,
    "frees the truesize",
    SHRINKS,
    "tcp_data_queue, exit: sk_rmem_alloc fell and rcv_nxt stood still; of an MPTCP socket: it grew \
     by less than the skb that came",
    ""
);

pub(super) const COLLAPSE: Words = words!(
    "skbs copied into tighter ones",
    "The buffer was full, so the kernel copied the data of several skbs into fewer, fuller ones: \
     many small segments, each with its own head, are most of it then (nstat: TCPRcvCollapsed).",
    "tcp_collapse in tcp_prune_queue",
    ALL,
    "adds the new skbs and frees the old ones; mostly less than 0 in sum",
    "By the new skbs, until the old ones are freed.",
    "tcp_collapse_one, exit",
    ""
);

pub(super) const PRUNE: Words = words!(
    "out-of-order data dropped for want of room",
    "The buffer was full and collapsing did not suffice, so out-of-order data was dropped: the \
     peer sends it again (nstat: OfoPruned, RcvPruned).",
    "tcp_prune_ofo_queue",
    ALL,
    "frees the truesize",
    SHRINKS,
    "tcp_prune_ofo_queue, exit",
    ""
);

pub(super) const FIN_RECEIVED: Words = words!(
    "the peer's FIN, in an skb of its own",
    "A FIN without data stays in the receive queue until a read returns 0: r is above 0 with \
     Recv-Q 0 or 1, and nothing is wrong.",
    "tcp_queue_rcv",
    ALL,
    "adds the truesize of an skb without payload",
    ONE_SKB,
    "tcp_queue_rcv, exit: an skb of length 0",
    ""
);

pub(super) const READ: Words = words!(
    "freed by reads",
    "A read took the last byte of an skb, which is freed as a whole then; until that, what was \
     read of it stays in r. Up to 6.12 an MPTCP socket's r falls when the reader looks for more, \
     or gives up the lock (rmem_released), which it does before it sleeps.",
    "tcp_eat_recv_skb in tcp_recvmsg_locked; 5.10: sk_eat_skb in tcp_recvmsg; of an MPTCP socket \
     mptcp_recvmsg",
    ALL,
    "frees the truesize",
    SHRINKS,
    "tcp_recvmsg_locked, exit (5.10: tcp_cleanup_rbuf), and before the reader sleeps. Inferred \
     from copied_seq where the call was not seen. Of an MPTCP socket mptcp_rcv_space_adjust (up to \
     6.12: __mptcp_update_rmem) and mptcp_release_cb, and what splice() takes counts here, too.",
    "skmem demo slow-reader"
);

pub(super) const READ_SPLICED: Words = words!(
    "freed by splice or a reader in the kernel",
    "splice() or sendfile() from the socket, or a reader in the kernel (RPC, iSCSI), took the \
     last byte of an skb.",
    "tcp_read_sock",
    ALL,
    "frees the truesize; the pages may live on in the pipe",
    SHRINKS,
    "__tcp_read_sock, exit (5.10: tcp_read_sock, entry and exit)",
    ""
);

pub(super) const READ_KTLS: Words = words!(
    "taken by TLS in the kernel",
    "TLS in the kernel took a whole record out of the receive queue; it keeps what it decrypted \
     in memory that no field of the socket counts.",
    "tcp_read_done",
    "6.1 to 7.3",
    "frees the truesize",
    SHRINKS,
    "tcp_read_done, exit",
    "skmem demo ktls --rx"
);

pub(super) const READ_ZEROCOPY: Words = words!(
    "freed by TCP_ZEROCOPY_RECEIVE",
    "Received pages were mapped into the application instead of being copied. An skb of which only some \
     pages could be mapped stays until the rest of it is read.",
    "tcp_zerocopy_receive",
    ALL,
    "frees the truesize; the pages live on in the mapping",
    SHRINKS,
    "tcp_zerocopy_receive, entry and exit",
    ""
);

pub(super) const SOCKMAP_TAKEN: Words = words!(
    "taken by a sockmap",
    "A BPF program on a sockmap took skbs out of the receive queue, to pass, redirect or drop them.",
    "tcp_read_skb",
    "6.1 to 7.3",
    "what r fell by meanwhile; skbs that the program passes on to the reader leave it later",
    SHRINKS,
    "tcp_read_skb, entry and exit",
    ""
);

pub(super) const SOCKMAP_QUEUED: Words = words!(
    "put there by a sockmap",
    "A BPF program on a sockmap put data into this socket for its reader: redirected from another socket \
     (bpf_msg_redirect_map, bpf_sk_redirect_map), or taken from this one before and passed on. It counts in r, and \
     in no Recv-Q. Messages that a sender redirects count in r from 6.13 on, and where that came back to 6.12; before, \
     in f.",
    "sk_psock_skb_ingress, bpf_tcp_ingress",
    ALL,
    "adds the truesize of the skb, or the size of the message",
    "Packets by one skb: r is tested before each (sk_psock_create_ingress_msg). Messages by any amount: they are \
     tested against tcp_mem, not against rb (bpf_tcp_ingress).",
    "inferred: sk_rmem_alloc grew, and nothing had arrived, on a socket that a sockmap holds",
    ""
);

pub(super) const SOCKMAP_READ: Words = words!(
    "freed by a read of what a sockmap put there",
    "The application read data that a BPF program on a sockmap had put into this socket.",
    "__sk_msg_recvmsg",
    "5.10 to 7.3 (5.10: __tcp_bpf_recvmsg; before __sk_msg_recvmsg came: sk_msg_recvmsg)",
    "frees the truesize of the skb, or the size of the message, when its last byte is read",
    SHRINKS,
    "__sk_msg_recvmsg, entry and exit",
    ""
);

pub(super) const MPTCP_TAKEN: Words = words!(
    "handed to the MPTCP socket",
    "The MPTCP socket above took the data of this subflow: it counts in that socket's r from then on.",
    "__mptcp_move_skb",
    "5.10 to 7.3, with MPTCP",
    "frees the truesize on the subflow",
    SHRINKS,
    "inferred: sk_rmem_alloc of a subflow fell, which only its MPTCP socket does",
    "skmem demo mptcp --rx"
);

pub(super) const ERROR_QUEUED: Words = words!(
    "messages put on the error queue",
    "A timestamp (SO_TIMESTAMPING) or an ICMP error (IP_RECVERR) was put on the error queue. It \
     is charged to the receive buffer, and takes room from the window; Recv-Q does not count it. \
     Completions of MSG_ZEROCOPY are charged elsewhere (ss: o).",
    "sock_queue_err_skb",
    ALL,
    "adds the truesize of the message, which holds the packet's data unless \
     SOF_TIMESTAMPING_OPT_TSONLY is set",
    "Never: a message that does not fit is lost without a sign.",
    "sock_queue_err_skb, exit: it returned 0",
    "skmem demo error-queue"
);

pub(super) const ERROR_TAKEN: Words = words!(
    "messages taken off the error queue",
    "The application collected a message with recvmsg(MSG_ERRQUEUE). The window is not announced \
     anew for that: the peer learns of the room with its next probe or segment.",
    "sock_rmem_free",
    ALL,
    "frees the truesize of the message",
    SHRINKS,
    "sock_rmem_free, entry",
    "skmem demo error-queue"
);

pub(super) const THROWN_AWAY: Words = words!(
    "unread data thrown away by close()",
    "close() found unread data and threw it away. Where the connection was still open, the peer \
     gets a RST and cannot know what was read.",
    "__tcp_close; of an MPTCP socket mptcp_destroy",
    ALL,
    "frees the truesize of the receive queue",
    SHRINKS,
    "__tcp_close, entry, and __release_sock in it; mptcp_destroy, exit",
    ""
);

pub(super) const DISCONNECTED: Words = words!(
    "thrown away by a disconnect",
    "connect() with AF_UNSPEC, or an abort, gave the connection up and emptied the receive queue; \
     the socket stays.",
    "tcp_disconnect; of an MPTCP socket mptcp_disconnect",
    ALL,
    "frees the truesize of the receive queue",
    SHRINKS,
    "tcp_disconnect, or mptcp_disconnect, exit",
    ""
);

pub(super) const RCVBUF_SET: Words = words!(
    "SO_RCVBUF was set",
    "The application set SO_RCVBUF (or SO_RCVBUFFORCE): the kernel doubles the value, and tunes \
     this buffer no more. In 7.2 window_clamp and rcv_ssthresh follow, in 6.12 they do not.",
    "__sock_set_rcvbuf",
    ALL,
    "sk_rcvbuf becomes twice the value, at least SOCK_MIN_RCVBUF",
    "Where it is lowered under load: what the window promised before may still come.",
    "SOCK_RCVBUF_LOCK is set, and sk_rcvbuf moved",
    ""
);

pub(super) const RCVBUF_READING: Words = words!(
    "raised because the reader keeps up",
    "A reader that takes a window's worth in one round trip gets more: sk_rcvbuf grows, up to \
     net.ipv4.tcp_rmem[2]. A reader that does not read keeps it small.",
    "tcp_rcv_space_adjust; of an MPTCP socket mptcp_rcv_space_adjust",
    ALL,
    "sk_rcvbuf grows",
    LIMIT,
    "sk_rcvbuf moved within a read",
    "skmem demo autotuned --rx"
);

pub(super) const RCVBUF_ARRIVAL: Words = words!(
    "raised as data arrived",
    "Data came that did not fit, and there was memory for it: sk_rcvbuf became what r was. In 7.2 \
     data out of order raises it, too.",
    "tcp_clamp_window in tcp_prune_queue; 7.2: also tcp_rcvbuf_grow in tcp_data_queue_ofo",
    ALL,
    "sk_rcvbuf grows, up to net.ipv4.tcp_rmem[2]",
    LIMIT,
    "sk_rcvbuf moved, unlocked, as data arrived",
    ""
);

pub(super) const RCVBUF_OTHERWISE: Words = words!(
    "moved otherwise",
    "sk_rcvbuf moved and was not locked. On an MPTCP subflow: MPTCP raises it as its own reader keeps \
     up, or passes on what the application set. On an MPTCP socket, up to 6.12: it becomes that of a \
     subflow which has more. Elsewhere no hook saw what moved it.",
    "mptcp_rcv_space_adjust, sync_socket_options; __mptcp_move_skbs_from_subflow",
    ALL,
    "sk_rcvbuf moves",
    LIMIT,
    "sk_rcvbuf differs on a subflow, or at a hook that neither reads nor queues",
    ""
);

pub(super) const RCVBUF_LOWAT: Words = words!(
    "raised for SO_RCVLOWAT",
    "SO_RCVLOWAT asked for more bytes than the buffer would have held: sk_rcvbuf became what they take, \
     so that the reader is woken at all. Where SO_RCVBUF was set, it stays, and the value is cut to half of it.",
    "tcp_set_rcvlowat",
    ALL,
    "sk_rcvbuf becomes tcp_space_from_win(SO_RCVLOWAT), where that is more",
    LIMIT,
    "tcp_set_rcvlowat, exit",
    ""
);
