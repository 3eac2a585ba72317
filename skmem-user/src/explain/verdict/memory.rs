//! Memory that was granted, and the receive side.

use schemars::JsonSchema;
use serde::Serialize;

use crate::explain::{receive::ReceiveAccount, window::Window};

/// The hooks that an account was kept by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HookSet {
    /// All, at entries and exits.
    #[default]
    All,
    /// Those that keep the same account at the least price: memory that is granted within the
    /// limits is not counted.
    Lean,
}

/// `sk_forward_alloc`'s side: memory that the socket was granted, which is no
/// byte of `wmem_queued` by itself. Counts since skmem saw the socket, up to
/// when the account was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Memory {
    /// Calls of `__sk_mem_schedule(SK_MEM_SEND)` that were granted; None where they were not
    /// counted ([`HookSet::Lean`]).
    pub granted: Option<u64>,
    /// What they added to `sk_forward_alloc`; None where they were not counted.
    pub granted_bytes: Option<u64>,
    /// Of those, granted over `tcp_mem[2]` (the suppress branch).
    pub granted_over_tcp_mem: u64,
    /// Of those, granted though the memory cgroup had refused.
    pub granted_over_memcg: u64,
    /// Calls that were refused (`sock_exceed_buf_limit`).
    pub refused: u64,
    /// Of those, over `tcp_mem[2]`; the others by the memory cgroup or as more
    /// than the socket's share under pressure.
    pub refused_over_tcp_mem: u64,
    /// Messages of a layer above TCP that were charged before they are in
    /// `wmem_queued` (`sk_msg_alloc`: kTLS records, sockmap).
    pub messages: u64,
    /// The largest of them.
    pub largest_message: u64,
}

/// The receive side of the socket (`--rx`), when the account was read.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Receive {
    /// `rcv_nxt - copied_seq`: received and not read.
    pub recv_q: i64,
    /// `sk_rmem_alloc`, truesize: unread data, skbs read in part, out-of-order
    /// data, the error queue; `r` in `ss -m`.
    pub rmem_alloc: i64,
    /// `sk_rcvbuf`: its limit; `rb`.
    pub rcvbuf: i64,
    /// `sk_backlog.len`: truesize of packets that wait for the socket's owner;
    /// `bl`.
    pub backlog: i64,
    /// What is left of the window offered to the peer.
    pub window: i64,
    /// Times that it fell to 0.
    pub zero_windows: u64,
    /// The largest `rmem_alloc`.
    pub fullest_rmem_alloc: i64,
    /// `sk_rcvbuf` then.
    pub fullest_rcvbuf: i64,
    /// Recv-Q then.
    pub fullest_recv_q: i64,
    /// When that was, in ns of `CLOCK_MONOTONIC`.
    pub fullest_ns: u64,
    /// Segments that arrived (`tcp_queue_rcv`).
    pub segments: u64,
    /// Times that the application took data: calls, and parts of calls between which it waited.
    pub reads: u64,
    /// Since the last one, in ns; None where there was none.
    pub since_read_ns: Option<u64>,
    /// How long what is unread has waited without any read, in ns; 0 where
    /// nothing waits.
    pub unread_ns: u64,
    /// The longest such time, the present one included, in ns.
    pub longest_unread_ns: u64,
    /// `__sk_mem_schedule(SK_MEM_RECV)`: calls granted.
    pub granted: u64,
    /// What they added to `sk_forward_alloc`.
    pub granted_bytes: u64,
    /// Calls refused: what arrived was dropped.
    pub refused: u64,
    /// The peer is held up by this reader: what arrived has waited long, or
    /// the window has been shut.
    pub slow: bool,
    /// It is a subflow of MPTCP: the MPTCP socket above takes its data, which `reads` counts, and
    /// has a reader; the window is that socket's, too.
    pub subflow: bool,
    /// Where the limit of the receive buffer went at the end of the trace; None
    /// where it was not read: of a recording, of a closed socket, of one that has
    /// no cookie (5.10).
    pub buffer: Option<Window>,
    /// Every byte of `rmem_alloc` by cause; None in recordings of older versions.
    pub account: Option<ReceiveAccount>,
}
