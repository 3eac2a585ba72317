//! The lean set's programs on the functions that run most: see [`skmem_common::lean`]. All other
//! functions have the programs of the full set.

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use skmem_common::{
    account::{Account, PROBING_YES, SocketFields as _},
    hook::Hook,
    record::{Before, FLAG_ENTRY},
};

use crate::{
    accounts, calls, maps,
    output::{self, Call},
    send,
    socket::{KernelPtr, Sock, TcpSock, offset, truesize},
};

/// `___GFP_DIRECT_RECLAIM`, 5.10 to 7.2 (gfp_types.h, before 6.0 gfp.h): the allocation
/// may wait for memory.
const DIRECT_RECLAIM: u32 = 0x400;

/// `tcp_sendmsg_locked(sk, msg, size)`
#[fentry]
pub fn lean_sendmsg_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let size: i32 = ctx.arg(2);
    let Some(account) = accounts::account_for(sk) else {
        return 0;
    };
    let flags = send::frame_flags(account, KernelPtr(ctx.arg(1)));
    if !account.is_settled() {
        let Some(socket) = sk.as_tcp() else { return 0 };
        calls::enter_with(account, socket, Hook::SendmsgLocked, flags, size, false);
        account.note_tail(&socket);
        return 0;
    }
    // All of it: to clear the rest would take a loop.
    let mut before = account.last_seen();
    if maps::every_call() {
        // SAFETY: the offset and type are those of the kernel's BTF.
        before.forward_alloc = unsafe { sk.load(offset!(forward_alloc)) };
    }
    account.begin_send(flags, size, sk.tail(), before);
    0
}

/// `tcp_sendmsg_locked(sk, msg, size)`
#[fexit]
pub fn lean_sendmsg_exit(ctx: FExitContext) -> i32 {
    let Some((account, socket)) = calls::traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    let mut call = Call::of(Hook::SendmsgLocked);
    call.arg = ctx.arg(2);
    call.ret = ctx.arg(3);
    let plain = calls::change!(account, |a| {
        clear(a, socket, call.hook);
        // Which of the two is known when the program is loaded: the other is left out of it.
        let (booked_ns, wanted) = if maps::every_call() {
            (a.end_plain_send(&socket, true, calls::now), true)
        } else {
            let booked_ns = a.end_plain_send(&socket, false, calls::now);
            (booked_ns, a.ledger.view_wanted != 0)
        };
        if booked_ns != 0 && wanted {
            let before = a.frames[0].before;
            call.flags = FLAG_ENTRY;
            report(a, socket, call, booked_ns, &before);
        }
        booked_ns != 0
    });
    if !plain {
        calls::leave(account, socket, call, true);
    }
    0
}

/// `tcp_stream_alloc_skb(sk, gfp, force)`
#[fexit]
pub fn lean_alloc_exit(ctx: FExitContext) -> i32 {
    allocated(Sock::new(ctx.arg(0)), ctx.arg(1), ctx.arg(2), ctx.arg(3));
    0
}

/// `sk_stream_alloc_skb(sk, size, gfp, force)`, up to 5.16, and `tcp_stream_alloc_skb` with the
/// same arguments, up to 6.1
#[fexit]
pub fn lean_alloc_sized_exit(ctx: FExitContext) -> i32 {
    allocated(Sock::new(ctx.arg(0)), ctx.arg(2), ctx.arg(3), ctx.arg(4));
    0
}

/// One for a split must not fail, though the queue is not empty (`tso_fragment`); a send call
/// forces the first skb of an empty queue only, and queues at once what it gets. It may wait for
/// memory; an MTU probe, which forces nothing either, may not.
#[inline(always)]
fn allocated(sk: Sock, gfp: u32, force: u32, skb: *const u8) {
    if skb.is_null() {
        return;
    }
    let Some(account) = accounts::find(sk) else {
        return;
    };
    let size = truesize(skb);
    let top = account.top();
    if top == Hook::Fragment as u8 || top == Hook::Connect as u8 {
        if let Some(socket) = sk.as_tcp() {
            calls::change!(account, |a| {
                a.alloc(skb.addr() as u64, size, force & 1 != 0, &socket, calls::now);
                calls::note_worst(a, socket);
            });
        }
        return;
    }
    // SAFETY: offsets and types are those of the kernel's BTF.
    let (w, sndbuf): (i32, i32) =
        unsafe { (sk.load(offset!(wmem_queued)), sk.load(offset!(sndbuf))) };
    if force & 1 == 0 || w == 0 {
        if account.allocates_for_send(gfp & DIRECT_RECLAIM != 0) {
            queued(account, sk, skb, size, (w, sndbuf));
        } else if account.overhead == 0 {
            account.overhead = size;
        }
        return;
    }
    if let Some(socket) = sk.as_tcp()
        && account.goes_on(&socket)
    {
        calls::change!(account, |a| {
            // One transmission may split more skbs than a record has room for.
            clear(a, socket, Hook::AllocSkb);
            core::hint::black_box(a.book_so_far(&socket, calls::now));
            calls::note_worst(a, socket);
        });
    }
    account.lean_alloc(skb.addr() as u64, size);
}

/// A send call queues a new skb (`tcp_skb_entail`); `limits` are `w` and `sndbuf` before.
#[inline(always)]
fn queued(account: &mut Account, sk: Sock, skb: *const u8, size: u32, limits: (i32, i32)) {
    let records = maps::every_call();
    let skb = skb.addr() as u64;
    let plain = calls::change!(account, |a| a.entail_plain(
        skb,
        size,
        limits,
        records,
        calls::now
    ));
    if plain && !records {
        return;
    }
    let Some(socket) = sk.as_tcp() else { return };
    calls::change!(account, |a| {
        if !plain {
            a.entail(skb, size, &socket, calls::now);
            calls::note_worst(a, socket);
        }
        // A long send may queue more skbs than a record has room for.
        calls::flush(a, socket, Hook::AllocSkb, false);
    });
}

/// `tcp_write_xmit(sk, mss_now, nonagle, push_one, gfp)`
#[fexit]
pub fn lean_write_xmit_exit(ctx: FExitContext) -> i32 {
    let Some((account, socket)) = calls::traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    if !account.is_only_sent(&socket) {
        ended(account, socket, Hook::WriteXmit);
    }
    0
}

/// `tcp_ack(sk, skb, flag)`
#[fexit]
pub fn lean_ack_exit(ctx: FExitContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some(account) = accounts::find(sk) else {
        return 0;
    };
    // SAFETY: offsets and types are those of the kernel's BTF.
    let (w, sndbuf): (i32, i32) =
        unsafe { (sk.load(offset!(wmem_queued)), sk.load(offset!(sndbuf))) };
    let same = w == account.ledger.now.w
        && sndbuf == account.ledger.now.sndbuf
        && account.depth == 0
        && account.probing != u32::from(PROBING_YES);
    // Nothing is queued, so all that was written is acknowledged.
    if same && w == 0 {
        account.snd_una = account.write_seq;
        account.acked = account.write_seq;
        return 0;
    }
    let Some(socket) = sk.as_tcp() else { return 0 };
    if same {
        let (.., snd_una) = socket.key_fields();
        account.snd_una = snd_una;
        account.acked = snd_una;
        return 0;
    }
    let plain = calls::change!(account, |a| {
        clear(a, socket, Hook::Ack);
        if maps::every_call() {
            let before = a.last_seen();
            let plain = a.end_plain_ack(&socket, true, calls::now);
            if plain {
                let mut call = Call::of(Hook::Ack);
                call.softirq = true;
                output::event(a, &call, &before, socket);
            }
            plain
        } else {
            a.end_plain_ack(&socket, false, calls::now)
        }
    });
    if !plain {
        ended(account, socket, Hook::Ack);
    }
    0
}

/// The end of a call that was not seen to begin.
#[inline(always)]
fn ended(account: &mut Account, socket: TcpSock, hook: Hook) {
    let mut call = Call::of(hook);
    call.softirq = true;
    calls::change!(account, |a| {
        clear(a, socket, hook);
        let before = a.last_seen();
        let ops = a.op_count;
        let booked_ns = a.ended(hook, &socket, calls::now);
        if maps::every_call() {
            let wanted = calls::note_worst(a, socket);
            // What an outer call did is in its own record.
            let outer = if a.depth != 0 { ops } else { 0 };
            if !wanted && a.op_count <= outer {
                return;
            }
            if booked_ns != 0 {
                a.last_ns = booked_ns;
                call.timed = true;
            }
            output::event(a, &call, &before, socket);
        } else {
            report(a, socket, call, booked_ns, &before);
        }
    });
}

/// Makes room for the operations of one hook.
#[inline(always)]
fn clear(account: &mut Account, socket: TcpSock, hook: Hook) {
    if maps::every_call() {
        calls::flush(account, socket, hook, true);
    } else {
        account.op_count = 0;
    }
}

/// Makes a record of a call: where only transitions are reported, of one that may be one.
#[inline(always)]
fn report(account: &mut Account, socket: TcpSock, mut call: Call, booked_ns: u64, before: &Before) {
    calls::note_worst(account, socket);
    if booked_ns != 0 {
        account.last_ns = booked_ns;
        call.timed = true;
    }
    if !maps::every_call() && !account.may_be_transition() {
        return;
    }
    output::event(account, &call, before, socket);
}

/// The entry or the exit of a call that only names what the calls within it do: nothing awaits to
/// be booked before it, and each of those books its own.
#[inline(always)]
pub fn around(sk: Sock, hook: Hook, begins: bool) {
    let Some(account) = accounts::find(sk) else {
        return;
    };
    if begins {
        account.begin_around(hook);
    } else {
        account.end_around(hook);
    }
}

/// `__release_sock(sk)`: books what the send call that gives up the lock has queued.
#[inline(always)]
pub fn released(sk: Sock) {
    let Some(account) = accounts::find(sk) else {
        return;
    };
    if account.depth == 0 {
        return;
    }
    let Some(socket) = sk.as_tcp() else { return };
    calls::change!(account, |a| {
        a.book_pending(&socket, calls::now);
        calls::note_worst(a, socket);
        calls::flush(a, socket, Hook::SendmsgLocked, false);
    });
}
