//! What goes through the ring buffer: fixed sizes, 8-byte aligned, no holes
//! (a hole would carry kernel bytes to user space), all in host byte order.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::receive::ReceiveView;

/// Version of the records' layout.
pub const VERSION: u8 = 1;

/// Most operations that one record carries.
pub const OPS: usize = 8;

/// Operations in a record of the short form, which ends after them: nearly
/// all records need no more.
pub const SHORT_OPS: usize = 2;

/// Most operations that a [`Receive`] carries: no hook books more.
pub const RECEIVE_OPS: usize = 4;

/// Length of an [`Event`] in the short form, in bytes.
pub const SHORT_EVENT: usize = size_of::<Event>() - (OPS - SHORT_OPS) * size_of::<Op>();

/// [`Header::flags`]: the task fields say who called; clear in softirq.
pub const FLAG_TASK: u8 = 1;
/// [`Header::flags`]: the entry of the call was seen, so `before` is true;
/// where it is clear, `before` repeats what the last hook saw.
pub const FLAG_ENTRY: u8 = 2;
/// [`Header::flags`]: no call ended: operations that found no room in a later
/// record.
pub const FLAG_STEP: u8 = 4;
/// [`Header::flags`]: read without the socket lock.
pub const FLAG_LOCKLESS: u8 = 8;
/// [`Header::flags`] of a [`Receive`]: it carries what was booked. Clear in recordings of format 1.
pub const FLAG_BOOKED: u8 = 16;

/// [`Ident::flags`]: `id` is the kernel's socket cookie.
pub const IDENT_COOKIE: u32 = 1;
/// [`Ident::flags`]: the socket was in use before skmem first saw it: its
/// queue, limit or history may hold what skmem has not seen.
pub const IDENT_OLDER: u32 = 2;
/// [`Ident::flags`]: `so_sndbuf` was seen in `setsockopt`.
pub const IDENT_V_SEEN: u32 = 4;
/// [`Ident::flags`]: it was set with `SO_SNDBUFFORCE`.
pub const IDENT_V_FORCED: u32 = 8;
/// [`Ident::flags`]: the kernel destroyed the socket.
pub const IDENT_CLOSED: u32 = 16;
/// [`Ident::flags`]: the limit and its lock are those of the listener that the
/// connection was accepted from (`sk_clone_lock` copies both).
pub const IDENT_INHERITED: u32 = 32;
/// [`Ident::flags`]: an MPTCP subflow; the MPTCP socket sets its limit and its
/// lock (`sync_socket_options`).
pub const IDENT_MPTCP: u32 = 64;
/// [`Ident::flags`]: an MPTCP socket: what the application holds, above its
/// subflows. Sequence numbers are the low halves of the connection's.
pub const IDENT_MPTCP_SOCKET: u32 = 128;

/// Both ends of the connections that skmem makes to itself to measure this
/// kernel: an address of the loopback that nothing else uses, so that no skmem
/// shows another's.
pub const OWN_ADDRESS: [u8; 4] = [127, 115, 107, 109];

impl Ident {
    /// Whether it is a connection that a skmem made to measure this kernel.
    #[must_use]
    pub fn measures(&self) -> bool {
        self.saddr.starts_with(&OWN_ADDRESS) && self.daddr.starts_with(&OWN_ADDRESS)
    }
}

/// What every record starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct Header {
    /// Length of the record in bytes, this header included.
    pub len: u16,
    /// [`VERSION`].
    pub version: u8,
    /// A [`crate::hook::Hook`]; says also which record this is.
    pub hook: u8,
    /// CPU that the hook ran on.
    pub cpu: u16,
    /// `FLAG_…`.
    pub flags: u8,
    /// How many of [`Event::ops`] are used.
    pub ops: u8,
}

/// A socket's fields at one instant, under kernel names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct View {
    /// `sk_wmem_queued`, in bytes.
    pub wmem_queued: i32,
    /// `sk_sndbuf`, in bytes.
    pub sndbuf: i32,
    /// `sk_forward_alloc`, in bytes.
    pub forward_alloc: i32,
    /// `sk_wmem_alloc` less its bias of 1, in bytes.
    pub wmem_alloc: i32,
    /// `tcp_sock.write_seq`.
    pub write_seq: u32,
    /// `tcp_sock.snd_una`.
    pub snd_una: u32,
    /// `tcp_sock.snd_nxt`.
    pub snd_nxt: u32,
    /// `tcp_sock.snd_wnd`: the peer's window, in bytes.
    pub snd_wnd: u32,
    /// `tcp_sock.mss_cache`, in bytes.
    pub mss: u32,
    /// Acknowledged bytes that the skb at the head still holds: `snd_una` less
    /// that skb's first sequence number. Read only where a new worst excess is
    /// noted; 0 elsewhere.
    pub untrimmed: u32,
    /// `tcp_sock.gso_segs`: `size_goal` is this times `mss`.
    pub gso_segs: u16,
    /// `sk_userlocks`; bit 0 is `SOCK_SNDBUF_LOCK`.
    pub userlocks: u8,
    /// `skc_state`.
    pub state: u8,
    /// `tcp_sock.notsent_lowat`, in bytes; 0: the netns's sysctl rules.
    pub notsent_lowat: u32,
}

impl View {
    /// Send-Q as `ss` and `SIOCOUTQ` have it: `write_seq - snd_una`.
    #[must_use]
    pub const fn send_q(&self) -> u32 {
        self.write_seq.wrapping_sub(self.snd_una)
    }

    /// Most payload one skb may take, in bytes (`tcp_xmit_size_goal`).
    #[must_use]
    pub const fn size_goal(&self) -> u32 {
        let goal = self.mss.wrapping_mul(self.gso_segs as u32);
        if goal > self.mss { goal } else { self.mss }
    }
}

/// The fields that matter at the entry of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct Before {
    /// `sk_wmem_queued`, in bytes.
    pub wmem_queued: i32,
    /// `sk_sndbuf`, in bytes.
    pub sndbuf: i32,
    /// `sk_forward_alloc`, in bytes.
    pub forward_alloc: i32,
    /// `tcp_sock.write_seq`.
    pub write_seq: u32,
    /// `tcp_sock.snd_una`.
    pub snd_una: u32,
    /// Always 0.
    pub reserved: u32,
}

/// [`Op::kind`]: `value` bytes booked under cause `cause`: in a [`Receive`] a
/// [`crate::receive_cause::ReceiveCause`].
pub const OP_BOOK: u8 = 0;
/// [`Op::kind`]: an skb was admitted, tested against a limit of `value` bytes.
pub const OP_ADMIT: u8 = 1;
/// [`Op::kind`]: the limit moved to `value` bytes, for limit cause `cause`: in a [`Receive`] a
/// [`crate::receive_cause::RcvbufCause`].
pub const OP_LIMIT: u8 = 2;

/// One operation on a ledger: replaying all of them gives the same account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct Op {
    /// `OP_…`.
    pub kind: u8,
    /// A [`crate::cause::Cause`] or [`crate::cause::LimitCause`].
    pub cause: u8,
    /// A [`crate::cause::Tier`].
    pub tier: u8,
    /// Always 0.
    pub reserved: u8,
    /// Bytes; what of is said by `kind`.
    pub value: i32,
}

/// One call of a hooked function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct Event {
    /// Size, hook, CPU.
    pub header: Header,
    /// When the call ended, in ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// [`Ident::id`] of the socket.
    pub socket: u64,
    /// Counts the socket's events, the lost ones too.
    pub event_no: u32,
    /// The socket's place in the table of accounts.
    pub slot: u32,
    /// Process id; 0 in softirq.
    pub pid: u32,
    /// Thread id; 0 in softirq.
    pub tid: u32,
    /// At the entry of the call.
    pub before: Before,
    /// At the end of the call.
    pub view: View,
    /// Truesize of the skb that the call returned or took, in bytes.
    pub truesize: u32,
    /// The call's size argument: bytes to send, to fragment at, to schedule.
    pub arg: i32,
    /// The call's return value; 1 or 0 where it returns a pointer; a
    /// [`crate::memory::Grant`] for `__sk_mem_schedule`.
    pub ret: i32,
    /// `__sk_mem_schedule`: 0 send, 1 receive; alloc: 1 where forced.
    pub kind: u32,
    /// The ledger's operations since the socket's record before this one.
    pub ops: [Op; OPS],
}

/// Who a socket is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct Ident {
    /// The socket's cookie, or on a kernel that gives tracing programs no cookies
    /// (before 5.12) a number of skmem's own. 0: the slot is free.
    pub id: u64,
    /// When skmem first saw it, in ns of `CLOCK_MONOTONIC`.
    pub seen_ns: u64,
    /// Inode of the network namespace.
    pub netns: u32,
    /// `IDENT_…`.
    pub flags: u32,
    /// Process whose call on the socket skmem saw first; 0: no call was seen.
    pub pid: u32,
    /// Its thread.
    pub tid: u32,
    /// Its command name, NUL-padded.
    pub comm: [u8; 16],
    /// Local address; an IPv4 one in the first four bytes.
    pub saddr: [u8; 16],
    /// Remote address; an IPv4 one in the first four bytes.
    pub daddr: [u8; 16],
    /// Local port.
    pub sport: u16,
    /// Remote port.
    pub dport: u16,
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub family: u16,
    /// Always 0.
    pub reserved: u16,
    /// The value that the application gave to `SO_SNDBUF`, in bytes; valid
    /// with [`IDENT_V_SEEN`].
    pub so_sndbuf: i32,
    /// `cgroup` id of the first user, low half; see `cgroup_hi`.
    pub cgroup_lo: u32,
    /// High half.
    pub cgroup_hi: u32,
    /// Inode of the socket, low half, by which its owners are found; 0: none
    /// (no process holds it).
    pub inode: u32,
}

/// Hook `Open`: a socket seen for the first time, or its identity completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct Open {
    /// Size, hook, CPU.
    pub header: Header,
    /// ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Counts with the socket's events.
    pub event_no: u32,
    /// The socket's place in the table of accounts.
    pub slot: u32,
    /// Who.
    pub ident: Ident,
    /// Its fields when skmem first saw it.
    pub view: View,
}

/// Hook `Task`: a thread that has not used this socket before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct Task {
    /// Size, hook, CPU.
    pub header: Header,
    /// ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// [`Ident::id`] of the socket.
    pub socket: u64,
    /// Counts with the socket's events.
    pub event_no: u32,
    /// The socket's place in the table of accounts.
    pub slot: u32,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Command name, NUL-padded.
    pub comm: [u8; 16],
}

/// Hooks of the receive side: a change of what it holds, of its window to or from 0, or of who
/// waits for data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct Receive {
    /// Size, hook, CPU.
    pub header: Header,
    /// ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// [`Ident::id`] of the socket.
    pub socket: u64,
    /// Counts with the socket's events.
    pub event_no: u32,
    /// The socket's place in the table of accounts.
    pub slot: u32,
    /// Process id of the reader; 0 in softirq.
    pub pid: u32,
    /// Its thread id.
    pub tid: u32,
    /// Truesize of the skb that was queued, in bytes; 0: none was.
    pub truesize: u32,
    /// Threads that sleep in `sk_wait_data`.
    pub waiting: u32,
    /// The receive side at the end of the call.
    pub view: ReceiveView,
    /// What was booked since the socket's `Receive` before this one.
    pub ops: [Op; RECEIVE_OPS],
}

const _: () = {
    assert!(size_of::<Receive>().is_multiple_of(8));
    assert!(size_of::<Event>() == 192 && SHORT_EVENT.is_multiple_of(8));
    assert!(size_of::<Open>().is_multiple_of(8) && size_of::<Task>().is_multiple_of(8));
};
