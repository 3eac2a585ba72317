//! The names that changes of receive memory (`sk_rmem_alloc`) and of its limit are booked under.

use crate::cause::causes;

/// Number of [`ReceiveCause`] slots; a power of two.
pub const RECEIVE_CAUSES: usize = 32;

/// Number of [`RcvbufCause`] slots; a power of two.
pub const RCVBUF_CAUSES: usize = 8;

causes! {
    /// Why `sk_rmem_alloc` changed. No name is that of a [`crate::cause::Cause`]. For an MPTCP
    /// socket the functions are those of MPTCP that do the same.
    pub enum ReceiveCause {
        /// In the receive buffer before skmem saw the socket: before the trace, or before
        /// `accept()`.
        ReceivedBefore = 0 => "received-before",
        /// No hook and no field names these bytes.
        Unattributed = 1 => "receive-unattributed",
        /// Payload that arrived in sequence, in an skb of its own (`tcp_queue_rcv`).
        InOrder = 2 => "in-order",
        /// What those skbs take beyond their payload: `truesize` less payload.
        InOrderOverhead = 3 => "in-order-overhead",
        /// Payload that arrived in sequence and was merged into the last skb of the queue
        /// (`tcp_try_coalesce`).
        Coalesced = 4 => "coalesced",
        /// What that charged beyond the payload; negative where the payload went into room that
        /// was charged before.
        CoalescedOverhead = 5 => "coalesced-overhead",
        /// Arrived beyond a hole in the sequence (`tcp_data_queue_ofo`).
        OutOfOrder = 6 => "out-of-order",
        /// Freed when the hole was filled: heads of skbs that were merged, and doubles
        /// (`tcp_ofo_queue`).
        OutOfOrderJoined = 7 => "out-of-order-joined",
        /// Freed from the out-of-order queue otherwise: data that a later segment holds, too, and
        /// what came after a FIN.
        OutOfOrderDropped = 8 => "out-of-order-dropped",
        /// Skbs copied into fewer, tighter ones because the buffer was full (`tcp_collapse`).
        Collapse = 9 => "receive-collapse",
        /// Out-of-order data dropped because the buffer was full (`tcp_prune_ofo_queue`).
        Prune = 10 => "receive-prune",
        /// The peer's FIN in an skb of its own: it stays until a read returns 0.
        FinReceived = 11 => "fin-received",
        /// Freed by a read (`tcp_recvmsg_locked`): an skb whose last byte was read.
        Read = 12 => "read",
        /// Freed by `splice` and `sendfile`, or by a reader in the kernel (`tcp_read_sock`).
        ReadSpliced = 13 => "read-spliced",
        /// Freed by TLS in the kernel (`tcp_read_done`).
        ReadKtls = 14 => "read-ktls",
        /// Freed by `TCP_ZEROCOPY_RECEIVE`, which maps pages instead of copying them.
        ReadZerocopy = 15 => "read-zerocopy",
        /// Taken by a BPF verdict on a sockmap (`tcp_read_skb`).
        SockmapTaken = 16 => "sockmap-taken",
        /// Handed to the MPTCP socket above.
        MptcpTaken = 17 => "mptcp-taken",
        /// A message joined the error queue: a timestamp, an ICMP error (`sock_queue_err_skb`).
        ErrorQueued = 18 => "error-queued",
        /// A message left it: `recvmsg(MSG_ERRQUEUE)`, or the socket's end (`sock_rmem_free`).
        ErrorTaken = 19 => "error-taken",
        /// Thrown away unread by `close()`.
        ThrownAway = 20 => "thrown-away",
        /// Thrown away by `tcp_disconnect`: `connect(AF_UNSPEC)`, or an abort.
        Disconnected = 21 => "disconnected",
        /// A sockmap's program put data there for the reader: redirected from another socket, or
        /// what it took from this one before (`sk_psock_skb_ingress`, `bpf_tcp_ingress`).
        SockmapQueued = 22 => "sockmap-queued",
        /// Freed by a read of what a sockmap put there (`__sk_msg_recvmsg`).
        SockmapRead = 23 => "sockmap-read",
    }
}

causes! {
    /// Why `sk_rcvbuf` changed.
    pub enum RcvbufCause {
        /// `setsockopt(SO_RCVBUF)` or `SO_RCVBUFFORCE`.
        SetByApplication = 0 => "rcvbuf-set-by-application",
        /// `tcp_rcv_space_adjust`: a reader keeps up, so that more may arrive.
        RaisedByReading = 1 => "rcvbuf-raised-by-reading",
        /// Raised as data arrived (`tcp_clamp_window`; 7.2: also `tcp_rcvbuf_grow` for data out of
        /// order).
        RaisedByArrival = 2 => "rcvbuf-raised-by-arrival",
        /// Moved otherwise, and not locked: on a subflow, which MPTCP sets from above
        /// (`mptcp_rcv_space_adjust`), on an MPTCP socket, which follows a subflow, or where no
        /// hook saw it.
        Otherwise = 3 => "rcvbuf-moved-otherwise",
        /// `SO_RCVLOWAT` asks for more than the buffer would hold (`tcp_set_rcvlowat`).
        RaisedForLowat = 4 => "rcvbuf-raised-for-rcvlowat",
    }
}

impl ReceiveCause {
    /// Whether its bytes are payload, each counted once, when it arrived.
    #[must_use]
    pub const fn is_payload(self) -> bool {
        matches!(self, Self::InOrder | Self::Coalesced)
    }

    /// Whether it frees: its sum is never above 0.
    #[must_use]
    pub const fn is_free(self) -> bool {
        match self {
            Self::OutOfOrderJoined
            | Self::OutOfOrderDropped
            | Self::Prune
            | Self::Read
            | Self::ReadSpliced
            | Self::ReadKtls
            | Self::ReadZerocopy
            | Self::SockmapTaken
            | Self::MptcpTaken
            | Self::ErrorTaken
            | Self::ThrownAway
            | Self::Disconnected
            | Self::SockmapRead => true,
            Self::ReceivedBefore
            | Self::Unattributed
            | Self::InOrder
            | Self::InOrderOverhead
            | Self::Coalesced
            | Self::CoalescedOverhead
            | Self::OutOfOrder
            | Self::Collapse
            | Self::FinReceived
            | Self::ErrorQueued
            | Self::SockmapQueued => false,
        }
    }
}
