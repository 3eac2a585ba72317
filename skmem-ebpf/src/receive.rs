//! The receive side, for `--rx`: what moves `sk_rmem_alloc`, at the exits of the functions that do,
//! and how long data and readers wait.

use aya_ebpf::{
    helpers::bpf_probe_read_kernel,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use skmem_common::{
    account::Account,
    hook::Hook,
    layout::ABSENT,
    receive::ReceiveView,
    receive_cause::ReceiveCause,
    receive_ledger::{End, Step},
    record::{IDENT_CLOSED, IDENT_COOKIE},
};

use crate::{
    accounts, calls, lean, maps, mptcp_receive, output,
    socket::{KernelPtr, SOCK_RCVBUF_LOCK, Sock, TcpSock, offset, truesize},
};

/// `tcp_queue_rcv(sk, skb, fragstolen)`: data joins the receive queue; 1: it was merged into the
/// last skb.
#[fexit]
pub fn queue_rcv_exit(ctx: FExitContext) -> i32 {
    let Some((account, socket)) = traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    let skb: *const u8 = ctx.arg(1);
    let size = truesize(skb);
    // SAFETY: the offset and type are those of the kernel's BTF; without the field the receive side
    // is not traced.
    let len: u32 = unsafe { KernelPtr(skb).load(offset!(skb_len)) };
    let merged: i32 = ctx.arg(3);
    calls::change!(account, |a| {
        observe(a, socket);
        let end = End::queued(merged != 0, size, len);
        if book(a, socket, end) != 0 {
            output::receive(a, Hook::QueueRcv, size);
        }
    });
    0
}

macro_rules! ends {
    ($($(#[$doc:meta])* $exit:ident: $hook:ident, $end:expr;)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub fn $exit(ctx: FExitContext) -> i32 {
            may_have_ended(traced(Sock::new(ctx.arg(0))), Hook::$hook, $end)
        }
    )*};
}

ends! {
    /// `tcp_data_queue(sk, skb)`: what it did besides `tcp_queue_rcv`.
    data_queue_exit: DataQueue, End::of(Step::DataQueue);
    /// `tcp_collapse_one(sk, skb, list, root)`
    collapse_exit: CollapseOne, End::of(Step::Collapse);
    /// `tcp_prune_ofo_queue(sk, in_skb)`
    prune_exit: PruneOfo, End::of(Step::Prune);
    /// `tcp_set_rcvlowat(sk, val)`
    set_rcvlowat_exit: SetRcvlowat, End::of(Step::Lowat);
    /// `tcp_disconnect(sk, flags)`
    disconnect_exit: Disconnect, End::frees(ReceiveCause::Disconnected);
}

macro_rules! begins {
    ($($(#[$doc:meta])* $entry:ident: $hook:ident;)*) => {$(
        $(#[$doc])*
        #[fentry]
        pub fn $entry(ctx: FEntryContext) -> i32 {
            begun(Sock::new(ctx.arg(0)), Hook::$hook)
        }
    )*};
}

// What has changed by the time one of these begins was no work of its own. The account takes for
// granted that nothing has; tests attach them to see whether it is so. None for `tcp_collapse_one`:
// its caller, `tcp_collapse`, charges the new skb before, and both are one cause.
begins! {
    /// `tcp_queue_rcv(sk, skb, fragstolen)`
    queue_rcv_entry: QueueRcv;
    /// `tcp_data_queue(sk, skb)`
    data_queue_entry: DataQueue;
    /// `tcp_read_done(sk, len)`
    read_done_entry: ReadDone;
    /// `tcp_disconnect(sk, flags)`
    disconnect_entry: Disconnect;
    /// `tcp_prune_ofo_queue(sk, in_skb)`
    prune_entry: PruneOfo;
    /// `tcp_set_rcvlowat(sk, val)`
    set_rcvlowat_entry: SetRcvlowat;
}

/// `tcp_recvmsg_locked(sk, …)`: the same, and what [`recvmsg_begin`] does.
#[fentry]
pub fn recvmsg_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    core::hint::black_box(begun(sk, Hook::Recvmsg));
    reader_enters(sk)
}

/// One subprogram for all of them.
#[inline(never)]
fn begun(sk: Sock, hook: Hook) -> i32 {
    may_have_ended(traced(sk), hook, End::of(Step::Outside))
}

macro_rules! reads {
    ($($(#[$doc:meta])* $exit:ident: $hook:ident, $cause:ident;)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub fn $exit(ctx: FExitContext) -> i32 {
            let found = accounts::find_or_open(Sock::new(ctx.arg(0)));
            ended(found, Hook::$hook, End::frees(ReceiveCause::$cause))
        }
    )*};
}

/// `tcp_recvmsg_locked(sk, …)`: a reader comes in. Each read runs it, so that it reads nothing of
/// the socket, makes no record, and looks at the clock only where data has waited.
#[fentry]
pub fn recvmsg_begin(ctx: FEntryContext) -> i32 {
    reader_enters(Sock::new(ctx.arg(0)))
}

#[inline(always)]
fn reader_enters(sk: Sock) -> i32 {
    let Some(account) = accounts::find(sk) else {
        return 0;
    };
    if account.receiving.reader_enters() {
        let now = calls::now();
        calls::change!(account, |a| a.receiving.reading_begins(now));
    }
    0
}

/// `tcp_recvmsg_locked(sk, …)`; on 5.10 `tcp_cleanup_rbuf(sk, copied)`, which ends each part of a
/// read.
#[fexit]
pub fn recvmsg_exit(ctx: FExitContext) -> i32 {
    // A socket that only reads is first seen here.
    let found = accounts::find_or_open(Sock::new(ctx.arg(0)));
    let found = found.map(|(account, socket)| {
        account.receiving.reader_leaves();
        (account, socket)
    });
    ended(found, Hook::Recvmsg, End::frees(ReceiveCause::Read))
}

reads! {
    /// `tcp_read_done(sk, len)`
    read_done_exit: ReadDone, ReadKtls;
}

macro_rules! within {
    ($($(#[$doc:meta])* $entry:ident, $exit:ident: $hook:ident, $cause:ident;)*) => {$(
        $(#[$doc])*
        #[fentry]
        pub fn $entry(ctx: FEntryContext) -> i32 {
            begins(Sock::new(ctx.arg(0)), Hook::$hook, ReceiveCause::$cause)
        }

        $(#[$doc])*
        #[fexit]
        pub fn $exit(ctx: FExitContext) -> i32 {
            let found = accounts::find_or_open(Sock::new(ctx.arg(0)));
            turns(found, Hook::$hook, End::frees(ReceiveCause::$cause), 0)
        }
    )*};
}

within! {
    /// `tcp_read_sock(sk, desc, recv_actor)` of 5.10; later `__tcp_read_sock`, whose entry says
    /// nothing that its exit does not.
    read_sock_entry, read_sock_exit: ReadSock, ReadSpliced;
    /// `tcp_zerocopy_receive(sk, zc, …)`
    read_zerocopy_entry, read_zerocopy_exit: ReadZerocopy, ReadZerocopy;
    /// `tcp_read_skb(sk, recv_actor)`
    read_skb_entry, read_skb_exit: ReadSkb, SockmapTaken;
}

/// `__sk_msg_recvmsg(sk, psock, msg, len, flags, copied_from_self)`: what has come since the hook
/// before is what a sockmap put there.
#[fentry]
pub fn sockmap_recvmsg_entry(ctx: FEntryContext) -> i32 {
    let found = traced(Sock::new(ctx.arg(0)));
    let found = found.map(|(account, socket)| {
        account.receiving.ledger.psock = 1;
        (account, socket)
    });
    let cause = ReceiveCause::SockmapRead as u32;
    turns(found, Hook::SockmapRecvmsg, End::of(Step::Outside), cause)
}

/// `__sk_msg_recvmsg(sk, …)`
#[fexit]
pub fn sockmap_recvmsg_exit(ctx: FExitContext) -> i32 {
    let found = accounts::find_or_open(Sock::new(ctx.arg(0)));
    turns(
        found,
        Hook::SockmapRecvmsg,
        End::frees(ReceiveCause::SockmapRead),
        0,
    )
}

/// `__tcp_close(sk, timeout)`: empties the receive queue before it works off the backlog.
#[fentry]
pub fn close_entry(ctx: FEntryContext) -> i32 {
    begins(Sock::new(ctx.arg(0)), Hook::Close, ReceiveCause::ThrownAway)
}

/// `__release_sock(sk)`: what arrives from here on is no part of the call that held the lock.
///
/// In the lean set also what a send call has queued until here is booked, which goes on once that
/// is processed: an ACK among it would book it, but at a time when the queue has shrunk.
#[fentry]
pub fn release_sock_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    if maps::lean() {
        lean::released(sk);
    }
    if !maps::rx() {
        return 0;
    }
    may_have_ended(
        traced(sk),
        Hook::ReleaseSock,
        End::frees(ReceiveCause::Read),
    )
}

/// `sk_wait_data(sk, timeo, skb)`: the reader has read what there was, and sleeps.
#[fentry]
pub fn wait_data_entry(ctx: FEntryContext) -> i32 {
    waits(Sock::new(ctx.arg(0)), true)
}

/// `sk_wait_data(sk, timeo, skb)`: it has the lock again.
#[fexit]
pub fn wait_data_exit(ctx: FExitContext) -> i32 {
    waits(Sock::new(ctx.arg(0)), false)
}

#[inline(always)]
fn waits(sk: Sock, begins: bool) -> i32 {
    mptcp_receive::reader_sleeps(sk, if begins { 1 } else { -1 });
    let Some((account, socket)) = traced(sk) else {
        return 0;
    };
    calls::change!(account, |a| {
        let r = &mut a.receiving;
        r.waiting = if begins {
            r.waiting.wrapping_add(1)
        } else {
            r.waiting.saturating_sub(1)
        };
        observe(a, socket);
        core::hint::black_box(book(a, socket, End::frees(ReceiveCause::Read)));
        output::receive(a, Hook::WaitData, 0);
    });
    0
}

/// `sock_queue_err_skb(sk, skb)`: a timestamp or an ICMP error joins the error queue, without the
/// socket's lock.
#[fentry]
pub fn error_queue_entry(ctx: FEntryContext) -> i32 {
    if let Some((account, _)) = traced(Sock::new(ctx.arg(0))) {
        in_flight(account, 1);
    }
    0
}

/// `sock_queue_err_skb(sk, skb)`; 0: it has joined.
#[fexit]
pub fn error_queue_exit(ctx: FExitContext) -> i32 {
    let refused: i32 = ctx.arg(2);
    let Some((account, socket)) = traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    if refused != 0 {
        in_flight(account, -1);
        return 0;
    }
    let size = truesize(ctx.arg(1));
    let r = &raw mut account.receiving;
    // SAFETY: the account outlives the program.
    unsafe {
        add(&raw mut (*r).errors_in, u64::from(size));
        add(&raw mut (*r).errors_in_count, 1);
    }
    in_flight(account, -1);
    output::error(account, Hook::ErrorQueue, size, socket);
    0
}

/// `sock_rmem_free(skb)`: a message of an error queue is freed, by its reader or with the socket.
#[fentry]
pub fn error_free_entry(ctx: FEntryContext) -> i32 {
    let skb: *const u8 = ctx.arg(0);
    let Some((account, socket)) = owner(skb) else {
        return 0;
    };
    in_flight(account, 1);
    let size = truesize(skb);
    let r = &raw mut account.receiving;
    // SAFETY: the account outlives the program.
    unsafe {
        add(&raw mut (*r).errors_out, u64::from(size));
        add(&raw mut (*r).errors_out_count, 1);
    }
    output::error(account, Hook::ErrorFree, size, socket);
    0
}

/// `sock_rmem_free(skb)`
#[fexit]
pub fn error_free_exit(ctx: FExitContext) -> i32 {
    if let Some((account, _)) = owner(ctx.arg(0)) {
        in_flight(account, -1);
    }
    0
}

/// The account of the socket that an skb belongs to.
#[inline(always)]
fn owner(skb: *const u8) -> Option<(&'static mut Account, TcpSock)> {
    if offset!(skb_sk) == ABSENT {
        return None;
    }
    // SAFETY: the offset is that of a pointer to a socket.
    let sk: *const u8 = unsafe { KernelPtr(skb).load(offset!(skb_sk)) };
    if sk.is_null() {
        return None;
    }
    traced(Sock::new(sk))
}

/// A message is on its way to the error queue or from it (1), or has arrived (-1).
#[inline(always)]
fn in_flight(account: &mut Account, more: i32) {
    let calls = &raw mut account.receiving.in_flight;
    // SAFETY: the account outlives the program; the number is 4 bytes aligned, and other CPUs add
    // to it as well.
    unsafe {
        core::arch::asm!(
            "lock *(u32 *)({to} + 0) += {n}",
            to = in(reg) calls,
            n = in(reg) i64::from(more),
            options(nostack),
        );
    }
}

/// Adds to a number that other CPUs add to as well.
///
/// # Safety
/// `to` must be valid, and 8 bytes aligned.
#[inline(always)]
unsafe fn add(to: *mut u64, n: u64) {
    // In assembly, for AtomicU64 has no fetch_add on this target.
    // SAFETY: the caller's promise.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({to} + 0) += {n}",
            to = in(reg) to,
            n = in(reg) n,
            options(nostack),
        );
    }
}

/// `inet_csk_accept(sk, arg)`, 6.10 on: opens the account of a connection that
/// was accepted.
#[fexit]
pub fn accept_exit(ctx: FExitContext) -> i32 {
    accepted(Sock::new(ctx.arg(2)))
}

/// `inet_csk_accept(sk, flags, err, kern)`, up to 6.9
#[fexit]
pub fn accept_old_exit(ctx: FExitContext) -> i32 {
    accepted(Sock::new(ctx.arg(4)))
}

#[inline(always)]
fn accepted(sk: Sock) -> i32 {
    if sk.0.0.is_null() {
        return 0;
    }
    // Where that opens the account, it looks at the socket, too. Nothing but single numbers may be
    // written here: nobody holds the lock, and a hook on another CPU may be at the account.
    if let Some((account, _)) = accounts::find_or_open(sk) {
        // Data may have arrived before the connection was accepted.
        if account.receiving.now.recv_q() != 0 && account.receiving.segments == 0 {
            account.receiving.arrived(calls::now());
        }
    }
    0
}

/// The account of a socket that has one and is not destroyed: a socket's error queue outlives its
/// account, whose slot may be another's by then.
#[inline(always)]
fn traced(sk: Sock) -> Option<(&'static mut Account, TcpSock)> {
    let account = accounts::find(sk)?;
    let flags = account.ident.flags;
    if flags & IDENT_CLOSED != 0 {
        return None;
    }
    if flags & IDENT_COOKIE != 0 && offset!(cookie) != ABSENT {
        // SAFETY: the offset and type are those of the kernel's BTF.
        let cookie: u64 = unsafe { sk.load(offset!(cookie)) };
        if cookie != account.ident.id {
            return None;
        }
    }
    Some((account, sk.as_tcp()?))
}

/// A function has ended that may have changed the receive buffer.
#[inline(always)]
fn ended(found: Option<(&'static mut Account, TcpSock)>, hook: Hook, end: End) -> i32 {
    let Some((account, socket)) = found else {
        return 0;
    };
    calls::change!(account, |a| {
        observe(a, socket);
        if book(a, socket, end) != 0 {
            output::receive(a, hook, 0);
        }
    });
    0
}

/// The same of one that seldom has changed it.
#[inline(always)]
fn may_have_ended(found: Option<(&'static mut Account, TcpSock)>, hook: Hook, end: End) -> i32 {
    match found {
        Some((account, socket)) if !is_as_before(account, socket) => {
            ended(Some((account, socket)), hook, end)
        }
        _ => 0,
    }
}

/// Whether nothing is to be booked: most runs of `tcp_data_queue` come after `tcp_queue_rcv`, which
/// did it all.
#[inline(always)]
fn is_as_before(account: &Account, socket: TcpSock) -> bool {
    let r = &account.receiving;
    let ledger = &r.ledger;
    let mut now = ReceiveView::default();
    socket.sk.receive_into(socket.tp, &mut now);
    let moved = now.rmem_alloc.wrapping_sub(r.errors_queued()) ^ ledger.r
        | now.rcvbuf ^ ledger.rcvbuf
        | (now.rcv_nxt ^ ledger.rcv_nxt | now.copied_seq ^ ledger.copied_seq).cast_signed();
    // One number, for each branch would double what the verifier walks.
    moved | ledger.loose.cast_signed() | (ledger.started ^ 1).cast_signed() == 0
}

/// A function begins within which frees have this cause.
#[inline(always)]
fn begins(sk: Sock, hook: Hook, cause: ReceiveCause) -> i32 {
    turns(traced(sk), hook, End::of(Step::Outside), cause as u32)
}

/// The same where frees have another cause from here on.
#[inline(always)]
fn turns(
    found: Option<(&'static mut Account, TcpSock)>,
    hook: Hook,
    end: End,
    context: u32,
) -> i32 {
    let Some((account, socket)) = found else {
        return 0;
    };
    calls::change!(account, |a| {
        observe(a, socket);
        if book(a, socket, end) != 0 {
            output::receive(a, hook, 0);
        }
        a.receiving.ledger.context = context;
    });
    0
}

/// Books what has changed since the hook before; the fields were looked at. Returns a number that
/// is not 0 where a record is worth making.
#[inline(always)]
fn book(account: &mut Account, socket: TcpSock, end: End) -> u32 {
    let subflow = socket.sk.is_mptcp(socket.tp);
    let locked = socket.sk.userlocks() & SOCK_RCVBUF_LOCK != 0;
    let end = end.on(subflow, locked);
    account.receiving.ended(end, calls::now())
}

/// Begins the receive account of a socket that gets an account now.
#[inline(always)]
pub fn start(account: &mut Account, socket: TcpSock) {
    observe(account, socket);
    account.receiving.inside_kept = u32::from(maps::reads_begin());
    let now = account.ident.seen_ns;
    account.receiving.start(true, now);
}

/// What a walk that holds the socket's lock does.
#[inline(always)]
pub fn walked(account: &mut Account, socket: TcpSock) {
    observe(account, socket);
    if socket.sk.has_psock() {
        account.receiving.ledger.psock = 1;
    }
    if book(account, socket, End::of(Step::Outside)) != 0 {
        output::receive(account, Hook::ReceiveWalk, 0);
    }
}

#[inline(always)]
fn observe(account: &mut Account, socket: TcpSock) {
    let window = socket.sk.window(socket.tp);
    let shut = window == 0 && account.receiving.now.window != 0;
    account.receiving.window_moved(window);
    account.receiving.before_reading();
    socket
        .sk
        .receive_into(socket.tp, &mut account.receiving.now);
    if shut {
        core::hint::black_box(note_shut(account, socket.sk));
    }
}

/// Keeps what fills the buffer as the window shuts; rare, so it is a subprogram.
#[inline(never)]
fn note_shut(account: &mut Account, sk: Sock) -> u32 {
    let r = &mut account.receiving;
    r.shut.at_ns = calls::now();
    r.shut.rmem_alloc = r.now.rmem_alloc;
    r.shut.rcvbuf = r.now.rcvbuf;
    r.shut.unread = r.now.rcv_nxt.wrapping_sub(r.now.copied_seq) as i32;
    r.shut.errors = r.errors_queued();
    r.shut.held = 0;
    if offset!(receive_queue) == ABSENT {
        return 0;
    }
    // SAFETY: sk_buff_head's first field is a pointer to its first skb, or to itself.
    let head: u64 = unsafe { sk.load(offset!(receive_queue)) };
    if head == 0 || head == sk.address() + u64::from(offset!(receive_queue)) {
        return 0;
    }
    let seq = (head + u64::from(offset!(skb_cb))) as *const u32;
    // SAFETY: the helper checks the address; tcp_skb_cb.seq starts an skb's cb.
    let seq = unsafe { bpf_probe_read_kernel(seq) }.unwrap_or(r.now.copied_seq);
    let held = r.now.copied_seq.wrapping_sub(seq) as i32;
    r.shut.held = if held > 0 { held } else { 0 };
    0
}
