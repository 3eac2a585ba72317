//! The hooked kernel functions, under the names of the newest kernel; the
//! probe plan in user space knows what older kernels call them.

macro_rules! hooks {
    ($($(#[$vm:meta])* $v:ident = $n:literal => $name:literal,)*) => {
        /// A hooked kernel function, or another source of records.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Hook { $($(#[$vm])* $v = $n,)* }

        impl Hook {
            /// All of them, in order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$v,)*];

            /// The kernel function (or tracepoint).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$v => $name,)* }
            }

            /// The one with this number, if there is one.
            #[must_use]
            pub const fn from_u8(n: u8) -> Option<Self> {
                match n { $($n => Some(Self::$v),)* _ => None }
            }
        }
    };
}

/// Number of slots for per-hook counters; a power of two.
pub const HOOKS: usize = 64;

hooks! {
    /// None: an empty context.
    None = 0 => "none",
    /// The system call's entry; not under the socket lock, so it only observes.
    Sendmsg = 1 => "tcp_sendmsg",
    /// The send path, under the lock.
    SendmsgLocked = 2 => "tcp_sendmsg_locked",
    /// `sendfile` and `splice` up to 6.4.
    Sendpages = 3 => "do_tcp_sendpages",
    /// Allocation of an skb for the write queue (`sk_stream_alloc_skb` up to
    /// 5.16).
    AllocSkb = 4 => "tcp_stream_alloc_skb",
    /// The new skb joins the write queue (`skb_entail` up to 5.16).
    Entail = 5 => "tcp_skb_entail",
    /// More memory for the socket: `sk_forward_alloc` grows.
    MemSchedule = 6 => "__sk_mem_schedule",
    /// An acknowledgement is processed.
    Ack = 7 => "tcp_ack",
    /// The write queue is sent from.
    WriteXmit = 8 => "tcp_write_xmit",
    /// An skb is cut in two.
    Fragment = 9 => "tcp_fragment",
    /// A retransmission.
    Retransmit = 10 => "__tcp_retransmit_skb",
    /// The FIN.
    SendFin = 11 => "tcp_send_fin",
    /// The SYN.
    Connect = 12 => "tcp_connect",
    /// The SYN-ACK of crossed SYNs.
    SendSynack = 13 => "tcp_send_synack",
    /// The queues are emptied.
    Purge = 14 => "tcp_write_queue_purge",
    /// User pages are attached to an skb.
    Zerocopy = 15 => "__zerocopy_sg_from_iter",
    /// The sender sleeps (or gets `EAGAIN`) for want of memory.
    WaitMemory = 16 => "sk_stream_wait_memory",
    /// The sender sleeps until the connection is made.
    WaitConnect = 17 => "sk_stream_wait_connect",
    /// `setsockopt` at level `SOL_SOCKET` (`sock_setsockopt` before 6.1).
    Setsockopt = 18 => "sk_setsockopt",
    /// Acknowledged bytes are cut off the head.
    TrimHead = 19 => "tcp_trim_head",
    /// An unused skb is taken off the tail.
    RemoveEmpty = 20 => "tcp_remove_empty_skb",
    /// A tail loss probe.
    LossProbe = 21 => "tcp_send_loss_probe",
    /// A window probe.
    WriteWakeup = 22 => "tcp_write_wakeup",
    /// The peer's RST.
    Reset = 23 => "tcp_reset",
    /// MPTCP queues on a subflow.
    MptcpFrag = 24 => "mptcp_sendmsg_frag",
    /// Tracepoint: the connection's state changes.
    SetState = 25 => "inet_sock_set_state",
    /// Tracepoint: the socket is about to be destroyed.
    Destroy = 26 => "tcp_destroy_sock",
    /// Not a kernel function: skmem saw the socket for the first time.
    Open = 27 => "socket-seen",
    /// Not a kernel function: another thread uses the socket.
    Task = 28 => "task-seen",
    /// Not a kernel function: skmem walked all sockets, and found something
    /// that no hook had seen.
    Walk = 29 => "socket-walk",
    /// `setsockopt` has set the limit (or an ACK made room), and the lock is
    /// still held.
    WriteSpace = 30 => "sk_stream_write_space",
    /// More memory for the socket, whatever the limits say.
    ForcedSchedule = 31 => "sk_forced_mem_schedule",
    /// Memory for a message that a layer above TCP keeps: a kTLS record.
    MsgAlloc = 32 => "sk_msg_alloc",
    /// A connection is accepted.
    Accept = 33 => "inet_csk_accept",
    /// Received data joins the receive queue.
    QueueRcv = 34 => "tcp_queue_rcv",
    /// Tracepoint: the application has taken received data. In recordings of format 1 only: the
    /// hooks of reads tell as much.
    Read = 35 => "tcp_rcv_space_adjust",
    /// The system call's entry on an MPTCP socket; not under the socket lock,
    /// so it only observes.
    MptcpSendmsg = 36 => "mptcp_sendmsg",
    /// The lock of an MPTCP socket is about to be given up: what waited for it
    /// is done.
    MptcpRelease = 37 => "mptcp_release_cb",
    /// What the peer's MPTCP has acknowledged is freed.
    MptcpCleanUna = 38 => "__mptcp_clean_una",
    /// An MPTCP socket's queues are emptied for good.
    MptcpDestroy = 39 => "mptcp_destroy",
    /// Received data is queued, in sequence or not.
    DataQueue = 40 => "tcp_data_queue",
    /// A read, under the lock (5.10: `tcp_cleanup_rbuf`, which ends one).
    Recvmsg = 41 => "tcp_recvmsg_locked",
    /// A read by `splice` or by a reader in the kernel (5.10: `tcp_read_sock`).
    ReadSock = 42 => "__tcp_read_sock",
    /// TLS in the kernel is done with what it read.
    ReadDone = 43 => "tcp_read_done",
    /// Received pages are mapped.
    ReadZerocopy = 44 => "tcp_zerocopy_receive",
    /// A sockmap takes received skbs.
    ReadSkb = 45 => "tcp_read_skb",
    /// The application closes the socket.
    Close = 46 => "__tcp_close",
    /// The connection is given up, and the socket stays.
    Disconnect = 47 => "tcp_disconnect",
    /// A reader sleeps until data arrives.
    WaitData = 48 => "sk_wait_data",
    /// What arrived while the lock was held is processed.
    ReleaseSock = 49 => "__release_sock",
    /// Received skbs are copied into tighter ones.
    CollapseOne = 50 => "tcp_collapse_one",
    /// Out-of-order data is dropped for want of room.
    PruneOfo = 51 => "tcp_prune_ofo_queue",
    /// A message joins the error queue.
    ErrorQueue = 52 => "sock_queue_err_skb",
    /// A message of the error queue is freed.
    ErrorFree = 53 => "sock_rmem_free",
    /// Not a kernel function: skmem saw the socket's receive side for the first time.
    ReceiveSeen = 54 => "receive-seen",
    /// Not a kernel function: a walk over all sockets found what no hook had seen.
    ReceiveWalk = 55 => "receive-walk",
    /// `SO_RCVLOWAT`: the receive buffer is made large enough for it.
    SetRcvlowat = 56 => "tcp_set_rcvlowat",
    /// A read of what a sockmap put there, under the lock (5.10: `__tcp_bpf_recvmsg`).
    SockmapRecvmsg = 57 => "__sk_msg_recvmsg",
    /// The limit is about to be raised by autotuning.
    SndbufExpand = 58 => "tcp_sndbuf_expand",
    /// An skb comes from a subflow to its MPTCP socket, in sequence or not (up to 6.12
    /// `mptcp_set_owner_r`).
    MptcpMove = 59 => "__mptcp_move_skb",
    /// There it is merged into another one.
    MptcpMerge = 60 => "mptcp_try_coalesce",
    /// What came out of order joins what came in order there.
    MptcpJoin = 61 => "__mptcp_ofo_queue",
    /// What was read of an MPTCP socket is freed (up to 6.12 `__mptcp_update_rmem`).
    MptcpRead = 62 => "mptcp_rcv_space_adjust",
    /// The system call's entry on an MPTCP socket; not under the socket lock,
    /// so it only observes.
    MptcpRecvmsg = 63 => "mptcp_recvmsg",
}

impl Hook {
    /// Whether its records are of the receive side ([`crate::record::Receive`]).
    #[must_use]
    pub const fn is_receive(self) -> bool {
        match self {
            Self::QueueRcv | Self::Read => true,
            Self::SndbufExpand => false,
            _ => self as u8 >= Self::DataQueue as u8,
        }
    }
}
