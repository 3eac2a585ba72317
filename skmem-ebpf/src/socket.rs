//! A `struct sock` and the fields of it that the programs read: direct loads
//! at offsets that user space took from the running kernel's BTF.

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated::bpf_skc_to_tcp_sock};
use skmem_common::{
    account::{Account, PROBING_NO, PROBING_UNKNOWN, PROBING_YES, SocketFields},
    hook::Hook,
    layout::ABSENT,
    receive::ReceiveView,
    record::{Before, IDENT_MPTCP, View},
};

use crate::{
    calls, maps,
    output::{self, Call},
    receive,
};

/// The offset of a field, a constant to the verifier.
macro_rules! offset {
    ($field:ident) => {
        $crate::maps::offset_at(core::mem::offset_of!(skmem_common::layout::Offsets, $field))
    };
}
pub(crate) use offset;

/// `sk_userlocks`: the application set `SO_SNDBUF`.
pub const SOCK_SNDBUF_LOCK: u8 = 1;
/// `sk_userlocks`: the application set `SO_RCVBUF`.
pub const SOCK_RCVBUF_LOCK: u8 = 2;

/// `IPPROTO_TCP` of include/uapi/linux/in.h
const IPPROTO_TCP: u16 = 6;

/// `TCP_CLOSE` of include/net/tcp_states.h.
pub const TCP_CLOSE: u8 = 7;

/// The bit of `sk_flags` that is `SOCK_DEAD`, the first of `enum sock_flags`
/// (include/net/sock.h, all versions).
const SOCK_DEAD: u64 = 1;

/// The bit of `socket.flags` that is `SOCK_NOSPACE` (include/linux/net.h, all
/// versions).
const SOCK_NOSPACE: u64 = 2;

/// Levels of the retransmit queue's tree that are walked for its first skb:
/// enough for any number of skbs a socket can hold.
const RTX_LEVELS: usize = 24;

/// `rb_left` in `struct rb_node`, in bytes: two pointers come before it
/// (include/linux/rbtree_types.h, all versions).
const RB_LEFT: usize = 16;

/// A kernel pointer that the verifier knows the type of.
#[derive(Clone, Copy)]
pub struct KernelPtr(pub *const u8);

impl KernelPtr {
    /// Reads a field.
    ///
    /// # Safety
    /// `offset` must be that of a field of type `T` in what this points to;
    /// the verifier refuses the program otherwise. A stale pointer reads as 0
    /// (such loads are fault-tolerant).
    #[inline(always)]
    pub unsafe fn load<T: Copy>(self, offset: u32) -> T {
        // SAFETY: as above.
        unsafe { self.0.add(offset as usize).cast::<T>().read() }
    }
}

/// A `struct sock`, as a hook's argument gave it.
#[derive(Clone, Copy)]
pub struct Sock(pub KernelPtr);

impl Sock {
    /// From a hook's argument.
    #[inline(always)]
    pub fn new(sk: *const u8) -> Self {
        Self(KernelPtr(sk))
    }

    /// Its address, to tell sockets apart where there is nothing better.
    #[inline(always)]
    pub fn address(self) -> u64 {
        self.0.0.addr() as u64
    }

    /// A field of `struct sock`.
    ///
    /// # Safety
    /// As for [`KernelPtr::load`].
    #[inline(always)]
    pub unsafe fn load<T: Copy>(self, offset: u32) -> T {
        // SAFETY: the caller's promise.
        unsafe { self.0.load(offset) }
    }

    /// The same socket as hooks read it; None where it is not a TCP socket. Does not look whether
    /// the lock is held.
    #[inline(always)]
    pub fn as_tcp(self) -> Option<TcpSock> {
        Some(TcpSock {
            sk: self,
            tp: self.tcp()?,
        })
    }

    /// The same socket as a `struct tcp_sock`; None where it is not one.
    #[inline(always)]
    pub fn tcp(self) -> Option<KernelPtr> {
        // SAFETY: the helper takes any socket pointer and checks it.
        let tp = unsafe { bpf_skc_to_tcp_sock(self.0.0.cast_mut().cast()) };
        if tp.is_null() {
            None
        } else {
            Some(KernelPtr(tp.cast::<u8>()))
        }
    }

    /// `sk_userlocks`: a bit-field up to 6.1.
    #[inline(always)]
    pub fn userlocks(self) -> u8 {
        // SAFETY: the offset is that of the byte that holds the field.
        let byte: u8 = unsafe { self.load(offset!(userlocks)) };
        (byte >> (offset!(userlocks_shift) & 7)) & offset!(userlocks_mask) as u8
    }

    /// `SOCK_DEAD`: no process holds it any more, and once it is closed it
    /// is destroyed. One that waits to be accepted has no holder either, but is
    /// not destroyed.
    #[inline(always)]
    pub fn is_dead(self) -> bool {
        if offset!(flags) == ABSENT {
            return false;
        }
        // SAFETY: an unsigned long.
        let flags: u64 = unsafe { self.load(offset!(flags)) };
        flags & SOCK_DEAD != 0
    }

    /// Whether it is closed, too: its queues are purged for good.
    #[inline(always)]
    pub fn is_destroyed(self) -> bool {
        // SAFETY: the field is a byte.
        let state: u8 = unsafe { self.load(offset!(state)) };
        state == TCP_CLOSE && self.is_dead()
    }

    /// Inode of the socket that processes hold, low half; 0 where none does.
    #[inline(always)]
    pub fn inode(self) -> u32 {
        if offset!(sk_socket) == ABSENT || offset!(inode) == ABSENT {
            return 0;
        }
        // SAFETY: a pointer field.
        let socket: u64 = unsafe { self.load(offset!(sk_socket)) };
        if socket == 0 {
            return 0;
        }
        // struct socket_alloc starts with the struct socket.
        let inode = (socket + u64::from(offset!(inode))) as *const u64;
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_kernel(inode) }.unwrap_or(0) as u32
    }

    /// Whether `SOCK_NOSPACE` is set, 0 or 1: a sender was turned away
    /// (`sk_stream_wait_memory`) or polled for `POLLOUT` in vain (`tcp_poll`),
    /// and `sk_stream_write_space` has not woken it since.
    #[inline(always)]
    pub fn nospace(self) -> u32 {
        if offset!(sk_socket) == ABSENT || offset!(socket_flags) == ABSENT {
            return 0;
        }
        // SAFETY: a pointer field.
        let socket: u64 = unsafe { self.load(offset!(sk_socket)) };
        if socket == 0 {
            return 0;
        }
        let flags = (socket + u64::from(offset!(socket_flags))) as *const u64;
        // SAFETY: the helper checks the address.
        let flags = unsafe { bpf_probe_read_kernel(flags) }.unwrap_or(0);
        (flags >> SOCK_NOSPACE) as u32 & 1
    }

    /// `icsk_mtup.probe_size`, as `PROBING_…`. It is the low 31 bits of a word
    /// that also holds `enabled`.
    #[inline(always)]
    pub fn probing(self, tp: KernelPtr) -> u8 {
        if offset!(probe_size) == ABSENT {
            return PROBING_UNKNOWN;
        }
        // SAFETY: struct tcp_sock starts with its inet_connection_sock.
        let size: u32 = unsafe { tp.load(offset!(probe_size)) };
        if size & 0x7fff_ffff == 0 {
            PROBING_NO
        } else {
            PROBING_YES
        }
    }

    /// The socket's fields in a record; written in place, to spare the
    /// stack.
    #[inline(always)]
    pub fn view_into(self, tp: KernelPtr, to: &mut View) {
        TcpSock { sk: self, tp }.glance_into(to);
        self.rest_into(tp, to);
    }

    /// The rest of it.
    #[inline(always)]
    pub fn rest_into(self, tp: KernelPtr, to: &mut View) {
        // SAFETY: offsets and types are those of the kernel's BTF.
        unsafe {
            to.forward_alloc = self.load(offset!(forward_alloc));
            to.wmem_alloc = self.load::<i32>(offset!(wmem_alloc)).wrapping_sub(1);
            to.snd_nxt = tp.load(offset!(snd_nxt));
            to.snd_wnd = tp.load(offset!(snd_wnd));
            to.mss = tp.load(offset!(mss_cache));
            to.untrimmed = 0;
            to.gso_segs = tp.load(offset!(gso_segs));
            to.userlocks = self.userlocks();
            to.state = self.load(offset!(state));
            if offset!(notsent_lowat) != ABSENT {
                to.notsent_lowat = tp.load(offset!(notsent_lowat));
            }
        }
    }

    /// Brings up to date what a call without a record may have changed: an ACK
    /// can open the window and free nothing, whole skbs can leave, a FIN can
    /// ride on the tail.
    #[inline(always)]
    pub fn refresh(self, tp: KernelPtr, to: &mut View) {
        // SAFETY: offsets and types are those of the kernel's BTF.
        unsafe {
            to.forward_alloc = self.load(offset!(forward_alloc));
            to.write_seq = tp.load(offset!(write_seq));
            to.snd_una = tp.load(offset!(snd_una));
            to.snd_nxt = tp.load(offset!(snd_nxt));
            to.snd_wnd = tp.load(offset!(snd_wnd));
            to.state = self.load(offset!(state));
        }
    }

    /// What is left of the window offered to the peer, in bytes
    /// (`tcp_receive_window`).
    #[inline(always)]
    pub fn window(self, tp: KernelPtr) -> u32 {
        if offset!(rcv_wup) == ABSENT || offset!(rcv_wnd) == ABSENT || offset!(rcv_nxt) == ABSENT {
            return 0;
        }
        // SAFETY: offsets and types are those of the kernel's BTF.
        let left = unsafe {
            tp.load::<u32>(offset!(rcv_wup))
                .wrapping_add(tp.load(offset!(rcv_wnd)))
                .wrapping_sub(tp.load(offset!(rcv_nxt)))
        };
        if (left as i32) < 0 { 0 } else { left }
    }

    /// The receive side, but for the window.
    #[inline(always)]
    pub fn receive_into(self, tp: KernelPtr, to: &mut ReceiveView) {
        if offset!(rmem_alloc) == ABSENT
            || offset!(rcvbuf) == ABSENT
            || offset!(backlog_len) == ABSENT
            || offset!(rcv_nxt) == ABSENT
            || offset!(copied_seq) == ABSENT
        {
            return;
        }
        // SAFETY: offsets and types are those of the kernel's BTF.
        unsafe {
            to.rmem_alloc = self.load(offset!(rmem_alloc));
            to.rcvbuf = self.load(offset!(rcvbuf));
            to.backlog = self.load(offset!(backlog_len));
            to.forward_alloc = self.load(offset!(forward_alloc));
            to.rcv_nxt = tp.load(offset!(rcv_nxt));
            to.copied_seq = tp.load(offset!(copied_seq));
            to.state = u32::from(self.load::<u8>(offset!(state)));
        }
    }

    /// Address of the last skb of the write queue, or of the queue where it is empty.
    #[inline(always)]
    pub fn tail(self) -> u64 {
        // SAFETY: the offset is that of a sk_buff_head, which is `next`, `prev`.
        unsafe { self.load(offset!(write_queue) + 8) }
    }

    /// Whether messages are on the error queue.
    #[inline(always)]
    pub fn has_errors(self) -> bool {
        if offset!(error_queue) == ABSENT {
            return false;
        }
        // SAFETY: sk_buff_head's first field is a pointer to its first skb, or to itself.
        let first: u64 = unsafe { self.load(offset!(error_queue)) };
        first != 0 && first != self.address() + u64::from(offset!(error_queue))
    }

    /// Whether it is a subflow of an MPTCP connection.
    #[inline(always)]
    pub fn is_mptcp(self, tp: KernelPtr) -> bool {
        // SAFETY: the offset is that of a bool.
        offset!(is_mptcp) != ABSENT && unsafe { tp.load::<u8>(offset!(is_mptcp)) } & 1 != 0
    }

    /// Whether a sockmap holds it: `SK_USER_DATA_PSOCK` in `sk_user_data`, 6.0 on.
    #[inline(always)]
    pub fn has_psock(self) -> bool {
        // SAFETY: a pointer field of sock, whose low bits are flags.
        offset!(user_data) != ABSENT && unsafe { self.load::<u64>(offset!(user_data)) } & 4 != 0
    }

    /// Whether a protocol sits on top that charges memory for itself: kTLS,
    /// MPTCP (`icsk_ulp_ops`).
    #[inline(always)]
    pub fn has_ulp(self, tp: KernelPtr) -> bool {
        if offset!(ulp_ops) == ABSENT {
            return false;
        }
        // SAFETY: a pointer field of inet_connection_sock, which tcp_sock
        // starts with; it is only compared.
        unsafe { tp.load::<u64>(offset!(ulp_ops)) != 0 }
    }

    /// Acknowledged bytes that the first skb of the retransmit queue still
    /// holds: an ACK inside one segment frees nothing (`tcp_clean_rtx_queue`).
    #[inline(never)]
    pub fn untrimmed(self, snd_una: u32) -> u32 {
        if offset!(rtx_queue) == ABSENT {
            return 0;
        }
        // SAFETY: rb_root's first field is a pointer to its root node.
        let mut node: u64 = unsafe { self.load(offset!(rtx_queue)) };
        if node == 0 {
            return 0;
        }
        for _ in 0..RTX_LEVELS {
            // SAFETY: the helper checks the address.
            let left = unsafe { bpf_probe_read_kernel((node as usize + RB_LEFT) as *const u64) };
            match left {
                Ok(left) if left != 0 => node = left,
                _ => break,
            }
        }
        // An skb starts with its tree node; tcp_skb_cb.seq starts its cb.
        let seq = (node + u64::from(offset!(skb_cb))) as *const u32;
        // SAFETY: the helper checks the address.
        match unsafe { bpf_probe_read_kernel(seq) } {
            Ok(seq) if (snd_una.wrapping_sub(seq) as i32) > 0 => snd_una.wrapping_sub(seq),
            _ => 0,
        }
    }
}

/// A socket that gets an account: a TCP socket or an MPTCP socket. What is large
/// is a subprogram of each.
pub trait Watched: SocketFields {
    /// Its `sk_protocol`, in the bits that all kernels have.
    const IPPROTO: u16;

    /// The `struct sock`.
    fn sock(self) -> Sock;
    /// `IDENT_…` that tell what kind it is.
    fn known_flags(self) -> u32;
    /// [`Account::token`]
    fn token(self) -> u32;
    /// The fields of a record that hooks do not read at each call.
    fn rest_into(self, to: &mut View);
    /// See [`Sock::untrimmed`].
    fn untrimmed(self, snd_una: u32) -> u32;
    /// See [`output::send`].
    fn send(self, account: &mut Account, call: &Call, before: &Before);
    /// See [`calls::step`].
    fn step(self, account: &mut Account, hook: Hook, softirq: bool);
    /// See [`calls::look_at_worst`].
    fn worst(self, account: &mut Account);
    /// As a TCP socket; None for an MPTCP socket, whose bytes its subflows send.
    fn tcp(self) -> Option<TcpSock>;
    /// Begins the account of its receive side.
    fn start_receiving(self, account: &mut Account);

    /// See [`Sock::nospace`]. A subflow has the `struct socket` of its MPTCP
    /// socket, and who waits there waits for that.
    #[inline(always)]
    fn nospace(self) -> u32 {
        if self.known_flags() & IDENT_MPTCP != 0 {
            0
        } else {
            self.sock().nospace()
        }
    }

    /// The fields of a record that hooks read at each call.
    #[inline(always)]
    fn glance_into(self, to: &mut View) {
        let (w, sndbuf, write_seq, snd_una) = self.key_fields();
        to.wmem_queued = w;
        to.sndbuf = sndbuf;
        to.write_seq = write_seq;
        to.snd_una = snd_una;
    }

    /// Brings up to date what a call without a record may have changed: an ACK
    /// can open the window and free nothing, a FIN can ride on the tail.
    #[inline(always)]
    fn refresh(self, to: &mut View) {
        self.glance_into(to);
        self.rest_into(to);
    }
}

/// A TCP socket as hooks read it. Most hooks run under its lock; those that do not say so.
/// Having one of these does not prove that the lock is held.
#[derive(Clone, Copy)]
pub struct TcpSock {
    /// The socket,
    pub sk: Sock,
    /// and the same as a `struct tcp_sock`.
    pub tp: KernelPtr,
}

impl SocketFields for TcpSock {
    #[inline(always)]
    fn key_fields(&self) -> (i32, i32, u32, u32) {
        // SAFETY: offsets and types are those of the kernel's BTF.
        unsafe {
            (
                self.sk.load(offset!(wmem_queued)),
                self.sk.load(offset!(sndbuf)),
                self.tp.load(offset!(write_seq)),
                self.tp.load(offset!(snd_una)),
            )
        }
    }

    #[inline(always)]
    fn forward_alloc(&self) -> i32 {
        // SAFETY: as above.
        unsafe { self.sk.load(offset!(forward_alloc)) }
    }

    #[inline(always)]
    fn probing(&self) -> u8 {
        self.sk.probing(self.tp)
    }

    #[inline(always)]
    fn sndbuf_locked(&self) -> u8 {
        self.sk.userlocks() & SOCK_SNDBUF_LOCK
    }

    #[inline(always)]
    fn state(&self) -> u8 {
        // SAFETY: as above.
        unsafe { self.sk.load(offset!(state)) }
    }

    #[inline(always)]
    fn tail(&self) -> u64 {
        self.sk.tail()
    }

    #[inline(always)]
    fn lean(&self) -> bool {
        maps::lean()
    }
}

impl Watched for TcpSock {
    const IPPROTO: u16 = IPPROTO_TCP;

    #[inline(always)]
    fn sock(self) -> Sock {
        self.sk
    }

    #[inline(always)]
    fn known_flags(self) -> u32 {
        if self.sk.is_mptcp(self.tp) {
            IDENT_MPTCP
        } else {
            0
        }
    }

    #[inline(always)]
    fn token(self) -> u32 {
        0
    }

    #[inline(always)]
    fn rest_into(self, to: &mut View) {
        self.sk.rest_into(self.tp, to);
    }

    #[inline(always)]
    fn refresh(self, to: &mut View) {
        self.sk.refresh(self.tp, to);
    }

    #[inline(always)]
    fn untrimmed(self, snd_una: u32) -> u32 {
        self.sk.untrimmed(snd_una)
    }

    #[inline(always)]
    fn send(self, account: &mut Account, call: &Call, before: &Before) {
        core::hint::black_box(output::send_event(account, call, before, self.sk, self.tp));
    }

    #[inline(always)]
    fn step(self, account: &mut Account, hook: Hook, softirq: bool) {
        core::hint::black_box(calls::send_step(account, hook, softirq, self.sk, self.tp));
    }

    #[inline(always)]
    fn worst(self, account: &mut Account) {
        core::hint::black_box(calls::view_worst(account, self.sk, self.tp));
    }

    #[inline(always)]
    fn tcp(self) -> Option<TcpSock> {
        Some(self)
    }

    #[inline(always)]
    fn start_receiving(self, account: &mut Account) {
        receive::start(account, self);
    }
}

/// The address's `truesize`, where `skb` is an skb that the verifier knows.
#[inline(always)]
pub fn truesize(skb: *const u8) -> u32 {
    // SAFETY: the offset and type are those of the kernel's BTF.
    unsafe { KernelPtr(skb).load(offset!(skb_truesize)) }
}
