//! What a socket's receive window depends on, read at one moment: under the
//! socket's lock where the kernel's walk holds it (5.15 on).

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Both queues were walked to their ends.
pub const WALKED_ALL: u8 = 1;
/// The receive queue has a first skb: `head_seq` and `head_end` are its.
pub const HAS_HEAD: u8 = 2;
/// The out-of-order queue is not empty.
pub const HAS_OUT_OF_ORDER: u8 = 4;
/// Read under the socket's lock.
pub const LOCKED: u8 = 8;
/// A subflow of MPTCP: its window is the connection's (`mptcp_space`).
pub const SUBFLOW: u8 = 16;

/// One socket. What this kernel has no field for is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct Receiver {
    /// `skc_cookie`; 0: nobody asked for it yet.
    pub cookie: u64,
    /// `sk_backlog.rmem_alloc`, bytes of truesize
    pub rmem_alloc: i32,
    /// `sk_rcvbuf`, bytes
    pub rcvbuf: i32,
    /// `sk_backlog.len`, bytes of truesize
    pub backlog: i32,
    /// Truesize of the skbs in `sk_receive_queue`, bytes
    pub queued: u32,
    /// How many they are.
    pub queued_skbs: u32,
    /// Truesize of the skbs in `sk_error_queue`, bytes
    pub errors: u32,
    /// How many they are.
    pub errors_skbs: u32,
    /// `tcp_skb_cb.seq` of the first skb of the receive queue
    pub head_seq: u32,
    /// `tcp_skb_cb.end_seq` of the same
    pub head_end: u32,
    /// `tcp_sock.rcv_nxt`
    pub rcv_nxt: u32,
    /// `tcp_sock.copied_seq`
    pub copied_seq: u32,
    /// `tcp_sock.rcv_wup`
    pub rcv_wup: u32,
    /// `tcp_sock.rcv_wnd`, bytes
    pub rcv_wnd: u32,
    /// `tcp_sock.rcv_ssthresh`, bytes
    pub rcv_ssthresh: u32,
    /// `tcp_sock.window_clamp`, bytes
    pub window_clamp: u32,
    /// `icsk_ack.rcv_mss`, bytes
    pub rcv_mss: u16,
    /// `rx_opt.rcv_wscale`, bits
    pub rcv_wscale: u8,
    /// `scaling_ratio`, 256ths (6.6 on; 0: this kernel goes by
    /// `tcp_adv_win_scale`)
    pub scaling_ratio: u8,
    /// `net.ipv4.tcp_adv_win_scale` of its namespace
    pub adv_win_scale: i8,
    /// `net.ipv4.tcp_shrink_window` of its namespace (6.5 on)
    pub shrink_window: u8,
    /// `skc_state`
    pub state: u8,
    /// [`WALKED_ALL`] and the others.
    pub flags: u8,
    /// Nothing.
    pub padding: u32,
}

/// Bytes of [`Receiver`].
pub const BYTES: usize = size_of::<Receiver>();
