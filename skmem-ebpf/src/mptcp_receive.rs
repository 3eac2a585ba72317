//! The receive side of MPTCP sockets, for `--rx`: what their subflows hand up, and what is read.
//!
//! Up to 6.12 all that moves an MPTCP socket's `sk_rmem_alloc` does so under its spinlock, in
//! softirq even while a task owns the socket; on 7.2 the task that owns the socket does, or
//! softirq where none owns it. The functions that move it are noted ([`MskMoves`]), which touches
//! nothing that a hook of the owner's may be at work on. What is noted is booked in softirq where
//! nobody owns the socket, and by the owner in `mptcp_release_cb`, which holds both.
//!
//! [`MskMoves`]: skmem_common::msk_moves::MskMoves

use aya_ebpf::{
    helpers::{bpf_get_current_task, bpf_probe_read_kernel},
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use skmem_common::{
    account::Account,
    hook::Hook,
    layout::ABSENT,
    msk_moves::{Moved, MskMoves},
    receive::{ReceiveView, Shut},
    receive_cause::ReceiveCause,
};

use crate::{
    accounts, calls,
    maps::{self, MSK_MOVES},
    mptcp::Msk,
    output,
    socket::{SOCK_RCVBUF_LOCK, Sock, offset, truesize},
};

/// `TCP_ESTABLISHED` of include/net/tcp_states.h
const TCP_ESTABLISHED: u8 = 1;
/// `PF_KTHREAD` of include/linux/sched.h (5.10 to 7.2)
const PF_KTHREAD: u32 = 0x0020_0000;

/// `mptcp_recvmsg(sk, …)`: opens the account of an MPTCP socket that is read. The lock is not held.
#[fentry]
pub fn mptcp_recvmsg_entry(ctx: FEntryContext) -> i32 {
    if let Some(msk) = Msk::new(Sock::new(ctx.arg(0))) {
        accounts::open_mptcp(msk);
    }
    0
}

/// `__mptcp_move_skb(sk, skb)`: an skb of a subflow has come.
#[fexit]
pub fn mptcp_move_exit(ctx: FExitContext) -> i32 {
    let skb: *const u8 = ctx.arg(1);
    let Some((account, moves, msk)) = traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    // SAFETY: the offset is that of a sk_buff_head, which is `next`, `prev`; it is only compared.
    let last: u64 = unsafe { msk.load(offset!(receive_queue) + 8) };
    let (r, rcv_nxt) = seen(msk);
    let arrived = rcv_nxt != moves.rcv_nxt;
    // One that was merged is gone, and so is one that was dropped. One that came out of order may
    // have been merged, too: what it cost is what r grew by.
    let moved = if arrived && last != skb.addr() as u64 {
        Moved::Merged
    } else {
        Moved::Charged
    };
    let grown = r.wrapping_sub(moves.r);
    let size = if grown > 0 { grown } else { 0 };
    moves.note(moved, r, rcv_nxt, size);
    // 7.2 inlines __mptcp_ofo_queue, which would book it in softirq.
    if !msk.is_owned() {
        settle(account, msk, Hook::MptcpJoin, 0);
    }
    0
}

/// `mptcp_set_owner_r(skb, sk)`, up to 6.12: an skb is charged to an MPTCP socket.
#[fexit]
pub fn mptcp_set_owner_exit(ctx: FExitContext) -> i32 {
    // The size of one skb.
    let size = truesize(ctx.arg(0)) as i32;
    note(Sock::new(ctx.arg(1)), Moved::Charged, size);
    0
}

/// `mptcp_try_coalesce(sk, to, from)`: 1: `from` is merged into `to`.
#[fexit]
pub fn mptcp_merge_exit(ctx: FExitContext) -> i32 {
    let merged: u32 = ctx.arg(3);
    if merged & 1 != 0 {
        note(Sock::new(ctx.arg(0)), Moved::Merged, 0);
    }
    0
}

/// `__mptcp_ofo_queue(msk)`: ends what `mptcp_data_ready` does. Whether a task owns the socket does
/// not change here: the spinlock is held, or the task is this one.
#[fexit]
pub fn mptcp_join_exit(ctx: FExitContext) -> i32 {
    let Some((account, moves, msk)) = traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    let (r, rcv_nxt) = seen(msk);
    moves.note(Moved::Joined, r, rcv_nxt, 0);
    if !msk.is_owned() {
        settle(account, msk, Hook::MptcpJoin, 0);
    }
    0
}

/// `__mptcp_update_rmem(sk)`, up to 6.12: what was read (`rmem_released`) is taken off.
#[fexit]
pub fn mptcp_read_exit(ctx: FExitContext) -> i32 {
    note(Sock::new(ctx.arg(0)), Moved::Read, 0);
    0
}

/// `mptcp_rcv_space_adjust(msk, copied)`, 6.16 on: skbs that were read are freed.
#[fentry]
pub fn mptcp_read_entry(ctx: FEntryContext) -> i32 {
    note(Sock::new(ctx.arg(0)), Moved::Read, 0);
    0
}

/// `mptcp_disconnect(sk, flags)`
#[fexit]
pub fn mptcp_disconnect_exit(ctx: FExitContext) -> i32 {
    if let Some((account, _, msk)) = traced(Sock::new(ctx.arg(0))) {
        let cause = ReceiveCause::Disconnected as u8;
        settle(account, msk, Hook::Disconnect, cause);
    }
    0
}

#[inline(always)]
fn note(sk: Sock, moved: Moved, size: i32) {
    if let Some((_, moves, msk)) = traced(sk) {
        let (r, rcv_nxt) = seen(msk);
        moves.note(moved, r, rcv_nxt, size);
    }
}

/// The account of an MPTCP socket whose receive side is traced, and what was noted of it.
#[inline(always)]
fn traced(sk: Sock) -> Option<(&'static mut Account, &'static mut MskMoves, Msk)> {
    let msk = Msk::new(sk)?;
    let account = accounts::find(sk)?;
    let moves = moves_of(account)?;
    (account.receiving.ledger.started != 0).then_some((account, moves, msk))
}

#[inline(always)]
fn moves_of(account: &Account) -> Option<&'static mut MskMoves> {
    // SAFETY: the map outlives the programs, and the socket's spinlock guards the entry.
    MSK_MOVES
        .get_ptr_mut(account.slot)
        .map(|moves| unsafe { &mut *moves })
}

/// Books what has been noted, and what `cause` has freed besides, a number of a [`ReceiveCause`];
/// 0: none has. Nobody else may be at the account.
#[inline(always)]
pub fn settle(account: &mut Account, msk: Msk, hook: Hook, cause: u8) {
    core::hint::black_box(settle_now(account, msk.0, hook as u32, cause));
}

/// Books what the owner of an MPTCP socket has read or was given, as it gives up the lock.
#[inline(always)]
pub fn released(account: &mut Account, msk: Msk) {
    settle(account, msk, Hook::MptcpRead, ReceiveCause::Read as u8);
}

/// A subprogram of all that book.
#[inline(never)]
fn settle_now(account: &mut Account, sk: Sock, hook: u32, cause: u8) -> u32 {
    let msk = Msk(sk);
    let Some(moves) = moves_of(account) else {
        return 0;
    };
    if account.receiving.ledger.started == 0 || is_as_before(account, moves, msk) {
        return 0;
    }
    let hook = match hook {
        n if n == Hook::MptcpJoin as u32 => Hook::MptcpJoin,
        n if n == Hook::Disconnect as u32 => Hook::Disconnect,
        n if n == Hook::MptcpDestroy as u32 => Hook::Close,
        _ => Hook::MptcpRead,
    };
    calls::change!(account, |a| {
        let now = calls::now();
        observe(a, msk);
        if a.receiving.take_moves(moves, 0, now) != 0 {
            output::receive(a, hook, 0);
        }
        if a.receiving.take_moves(moves, 1, now) != 0 {
            output::receive(a, hook, 0);
        }
        moves.start(a.receiving.now.rmem_alloc, a.receiving.now.rcv_nxt);
        let locked = msk.userlocks() & SOCK_RCVBUF_LOCK != 0;
        if a.receiving.settle_msk(cause, locked, now) != 0 {
            output::receive(a, hook, 0);
        }
    });
    0
}

/// Whether nothing is to be booked: so it is at most calls of an MPTCP socket that sends.
#[inline(always)]
fn is_as_before(account: &Account, moves: &MskMoves, msk: Msk) -> bool {
    let ledger = &account.receiving.ledger;
    let now = &account.receiving.now;
    // SAFETY: the offset and type are those of the kernel's BTF.
    let rcvbuf: i32 = unsafe { msk.load(offset!(rcvbuf)) };
    let (r, rcv_nxt) = seen(msk);
    let mut moved = r ^ ledger.r | rcvbuf ^ ledger.rcvbuf;
    moved |= (rcv_nxt ^ ledger.rcv_nxt
        | copied_seq(msk, rcv_nxt) ^ ledger.copied_seq
        | msk.window() ^ now.window)
        .cast_signed();
    let mut n = 0;
    while n < moves.bytes.len() {
        moved |= moves.bytes[n];
        n += 1;
    }
    moved | ledger.loose.cast_signed() == 0
}

/// `sk_rmem_alloc`, and how far data has come in sequence.
#[inline(always)]
fn seen(msk: Msk) -> (i32, u32) {
    // SAFETY: the offset and type are those of the kernel's BTF.
    let r = unsafe { msk.load(offset!(rmem_alloc)) };
    (r, msk.received())
}

/// How far the application has read.
#[inline(always)]
fn copied_seq(msk: Msk, rcv_nxt: u32) -> u32 {
    if offset!(msk_bytes_consumed) != ABSENT && offset!(msk_bytes_received) != ABSENT {
        return msk.low(offset!(msk_bytes_consumed));
    }
    let head = head(msk);
    if head == 0 {
        return rcv_nxt;
    }
    // mptcp_skb_cb.map_seq starts an skb's cb, and moves on as it is read.
    word(head + u64::from(offset!(skb_cb)))
}

/// The first skb that is to be read; 0: there is none. Up to 6.12 a reader has a queue of its own.
#[inline(always)]
fn head(msk: Msk) -> u64 {
    let queue = offset!(receive_queue);
    // SAFETY: sk_buff_head's first field is a pointer to its first skb, or to itself.
    let shared: u64 = unsafe { msk.load(queue) };
    let shared = if shared == msk.address() + u64::from(queue) {
        0
    } else {
        shared
    };
    let own = offset!(msk_receive_queue);
    if own == ABSENT {
        return shared;
    }
    let list = msk.address() + u64::from(own);
    let first = long(list);
    if first == 0 || first == list {
        shared
    } else {
        first
    }
}

#[inline(always)]
fn word(address: u64) -> u32 {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(address as *const u32) }.unwrap_or(0)
}

#[inline(always)]
fn long(address: u64) -> u64 {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(address as *const u64) }.unwrap_or(0)
}

impl Msk {
    /// Bytes that have come in sequence, the low half of the count; before 6.11 the sequence number
    /// after them.
    #[inline(always)]
    fn received(self) -> u32 {
        if offset!(msk_bytes_consumed) != ABSENT && offset!(msk_bytes_received) != ABSENT {
            self.low(offset!(msk_bytes_received))
        } else {
            self.low(offset!(msk_ack_seq))
        }
    }

    /// What the peer may still send, in bytes.
    #[inline(always)]
    fn window(self) -> u32 {
        let promised = self.low(offset!(msk_rcv_wnd_sent));
        let left = promised.wrapping_sub(self.low(offset!(msk_ack_seq))) as i32;
        if left > 0 {
            return left as u32;
        }
        // Before the first promise, and after a fallback to TCP, the subflow's window counts.
        if offset!(msk_first) == ABSENT || offset!(rcv_wup) == ABSENT || offset!(rcv_wnd) == ABSENT
        {
            return 0;
        }
        let first = long(self.address() + u64::from(offset!(msk_first)));
        if first == 0 {
            return 0;
        }
        let left = word(first + u64::from(offset!(rcv_wup)))
            .wrapping_add(word(first + u64::from(offset!(rcv_wnd))))
            .wrapping_sub(word(first + u64::from(offset!(rcv_nxt)))) as i32;
        if left > 0 { left as u32 } else { 0 }
    }

    /// The receive side, but for the window.
    #[inline(always)]
    fn receive_into(self, to: &mut ReceiveView) {
        // SAFETY: offsets and types are those of the kernel's BTF.
        unsafe {
            to.rcvbuf = self.load(offset!(rcvbuf));
            to.backlog = self.load(offset!(backlog_len));
            to.forward_alloc = self.load(offset!(forward_alloc));
            to.state = u32::from(self.load::<u8>(offset!(state)));
        }
        (to.rmem_alloc, to.rcv_nxt) = seen(self);
        to.copied_seq = copied_seq(self, to.rcv_nxt);
    }
}

/// Whether the fields are there that the receive side of MPTCP sockets goes by.
#[inline(always)]
fn is_known() -> bool {
    offset!(rmem_alloc) != ABSENT
        && offset!(rcvbuf) != ABSENT
        && offset!(backlog_len) != ABSENT
        && offset!(receive_queue) != ABSENT
        && offset!(rcv_nxt) != ABSENT
        && offset!(msk_ack_seq) != ABSENT
        && offset!(msk_rcv_wnd_sent) != ABSENT
}

/// Begins the receive account of an MPTCP socket that gets an account now.
#[inline(always)]
pub fn start(account: &mut Account, msk: Msk) {
    if is_known() {
        core::hint::black_box(start_now(account, msk.0));
    }
}

#[inline(never)]
fn start_now(account: &mut Account, sk: Sock) -> u32 {
    observe(account, Msk(sk));
    let now = account.ident.seen_ns;
    account.receiving.start(true, now);
    if let Some(moves) = moves_of(account) {
        let r = &account.receiving.now;
        moves.start(r.rmem_alloc, r.rcv_nxt);
    }
    account.receiving.clock
}

#[inline(always)]
fn observe(account: &mut Account, msk: Msk) {
    let window = msk.window();
    let r = &mut account.receiving;
    let shut = window == 0 && r.now.window != 0;
    r.window_moved(window);
    msk.receive_into(&mut r.now);
    if shut {
        note_shut(account, msk);
    }
}

/// Keeps what fills the buffer as the window shuts.
#[inline(always)]
fn note_shut(account: &mut Account, msk: Msk) {
    let r = &mut account.receiving;
    let head = head(msk);
    let held = if head == 0 {
        0
    } else {
        // mptcp_skb_cb: map_seq and end_seq of 8 bytes each, then offset.
        word(head + u64::from(offset!(skb_cb)) + 16) as i32
    };
    r.shut = Shut {
        at_ns: calls::now(),
        rmem_alloc: r.now.rmem_alloc,
        rcvbuf: r.now.rcvbuf,
        unread: r.now.rcv_nxt.wrapping_sub(r.now.copied_seq) as i32,
        held: if held > 0 { held } else { 0 },
        errors: 0,
        reserved: 0,
    };
}

/// A reader of an MPTCP socket sleeps in `sk_wait_data` (1), or is awake again (-1): it owns the
/// socket at both times.
#[inline(always)]
pub fn reader_sleeps(sk: Sock, more: i32) {
    if let Some((account, ..)) = traced(sk) {
        calls::change!(account, |a| a.receiving.reader_sleeps(more, calls::now()));
    }
}

/// Whether an MPTCP socket that has no account is to get one as its lock is given up: one that was
/// accepted or connected, by the task that did that. Kernel threads work for all.
#[inline(always)]
pub fn is_worth_opening(msk: Msk) -> bool {
    if !maps::rx() || offset!(task_flags) == ABSENT {
        return false;
    }
    // SAFETY: the offset and type are those of the kernel's BTF.
    let state: u8 = unsafe { msk.load(offset!(state)) };
    if state != TCP_ESTABLISHED {
        return false;
    }
    // SAFETY: the helper takes nothing.
    let task = unsafe { bpf_get_current_task() };
    word(task + u64::from(offset!(task_flags))) & PF_KTHREAD == 0
}
