//! The send path: `tcp_sendmsg`, what it allocates and what it queues.

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use skmem_common::{
    account::{FRAME_SPLICE, FRAME_ZEROCOPY},
    hook::Hook,
    layout::ABSENT,
    record::{Before, FLAG_ENTRY, FLAG_LOCKLESS},
};

use crate::{
    accounts, calls,
    maps::{OVERHEAD, SHARED},
    output::{self, Call},
    socket::{Kernel, Sock, offset, truesize},
};

/// include/linux/socket.h
const MSG_ZEROCOPY: u32 = 0x400_0000;
/// include/linux/socket.h, 6.5 on; an unused bit before
const MSG_SPLICE_PAGES: u32 = 0x800_0000;

/// `SK_MEM_SEND` of `__sk_mem_schedule`'s kinds.
const SK_MEM_SEND: u32 = 0;

/// `tcp_sendmsg(sk, msg, size)`: what the application sees of it. The lock is
/// not held, so this only observes.
#[fexit]
pub fn sendmsg_exit(ctx: FExitContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some(account) = accounts::find(sk) else {
        return 0;
    };
    let Some(tp) = sk.tcp() else { return 0 };
    let mut call = Call::of(Hook::Sendmsg);
    call.flags = FLAG_LOCKLESS;
    call.arg = ctx.arg(2);
    call.ret = ctx.arg(3);
    output::observation(account, &call, sk, tp);
    0
}

/// `tcp_sendmsg_locked(sk, msg, size)`
#[fentry]
pub fn sendmsg_locked_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let msg = Kernel(ctx.arg(1));
    let size: i32 = ctx.arg(2);
    let Some(tp) = sk.tcp() else { return 0 };
    let Some(account) = accounts::find_or_open(sk, tp) else {
        return 0;
    };
    let mut flags = 0;
    if offset!(msg_flags) != ABSENT {
        // SAFETY: the offset and type are those of the kernel's BTF.
        let asked: u32 = unsafe { msg.load(offset!(msg_flags)) };
        if asked & MSG_ZEROCOPY != 0 {
            flags |= FRAME_ZEROCOPY;
        }
        if asked & MSG_SPLICE_PAGES != 0 {
            flags |= FRAME_SPLICE;
        }
    }
    calls::enter_with(account, sk, tp, Hook::SendmsgLocked, flags, size, false);
    0
}

/// `tcp_sendmsg_locked(sk, msg, size)`
#[fexit]
pub fn sendmsg_locked_exit(ctx: FExitContext) -> i32 {
    let mut call = Call::of(Hook::SendmsgLocked);
    call.arg = ctx.arg(2);
    call.ret = ctx.arg(3);
    calls::leave(Sock::new(ctx.arg(0)), call, true);
    0
}

/// `do_tcp_sendpages(sk, page, offset, size, flags)`, up to 6.4
#[fentry]
pub fn sendpages_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let size: i32 = ctx.arg(3);
    let Some(tp) = sk.tcp() else { return 0 };
    if let Some(account) = accounts::find_or_open(sk, tp) {
        calls::enter_with(account, sk, tp, Hook::Sendpages, FRAME_SPLICE, size, false);
    }
    0
}

/// `do_tcp_sendpages(sk, page, offset, size, flags)`, up to 6.4
#[fexit]
pub fn sendpages_exit(ctx: FExitContext) -> i32 {
    let mut call = Call::of(Hook::Sendpages);
    call.arg = ctx.arg(3);
    call.ret = ctx.arg(5);
    calls::leave(Sock::new(ctx.arg(0)), call, true);
    0
}

/// `tcp_stream_alloc_skb(sk, …)`: where the send path calls it, it has just
/// found the queue under the limit.
#[fentry]
pub fn alloc_skb_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some(account) = accounts::find(sk) else {
        return 0;
    };
    let Some(tp) = sk.tcp() else { return 0 };
    let mut seen = sk.seen(tp);
    seen.probing = sk.probing(tp);
    calls::change(account, |a| {
        a.alloc_begin(&seen, calls::now);
        calls::note_worst(a, sk, tp);
    });
    0
}

/// `sk_stream_alloc_skb(sk, size, gfp, force)`, up to 5.16, and
/// `tcp_stream_alloc_skb` likewise up to 6.1
#[fexit]
pub fn alloc_skb_sized_exit(ctx: FExitContext) -> i32 {
    allocated(Sock::new(ctx.arg(0)), ctx.arg(1), ctx.arg(3), ctx.arg(4));
    0
}

/// `tcp_stream_alloc_skb(sk, gfp, force)`
#[fexit]
pub fn alloc_skb_exit(ctx: FExitContext) -> i32 {
    allocated(Sock::new(ctx.arg(0)), 0, ctx.arg(2), ctx.arg(3));
    0
}

#[inline(always)]
fn allocated(sk: Sock, size: i32, force: u32, skb: *const u8) {
    let Some(account) = accounts::find(sk) else {
        return;
    };
    let Some(tp) = sk.tcp() else { return };
    let seen = sk.seen(tp);
    let mut call = Call::of(Hook::AllocSkb);
    call.flags = FLAG_ENTRY;
    call.arg = size;
    call.ret = i32::from(!skb.is_null());
    call.kind = force & 1;
    if !skb.is_null() {
        call.truesize = truesize(skb);
    }
    calls::change(account, |a| {
        if call.ret != 0 {
            let known = a.overhead;
            a.alloc_end(skb.addr() as u64, call.truesize);
            if a.overhead != known
                && let Some(shared) = SHARED.get_ptr_mut(OVERHEAD)
            {
                // SAFETY: the map outlives the program; all writers write the
                // same value.
                unsafe { *shared = a.overhead };
            }
        }
        let before = Before {
            wmem_queued: seen.w,
            sndbuf: a.test_sndbuf,
            forward_alloc: seen.forward_alloc,
            write_seq: seen.write_seq,
            snd_una: seen.snd_una,
            reserved: 0,
        };
        output::event(a, &call, &before, sk, tp);
    });
}

/// `tcp_skb_entail(sk, skb)`
#[fentry]
pub fn entail_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let skb: *const u8 = ctx.arg(1);
    let Some(account) = accounts::find(sk) else {
        return 0;
    };
    let Some(tp) = sk.tcp() else { return 0 };
    let seen = sk.seen(tp);
    calls::change(account, |a| {
        a.entail(skb.addr() as u64, truesize(skb), &seen, calls::now);
        calls::note_worst(a, sk, tp);
    });
    0
}

/// `__sk_mem_schedule(sk, size, kind)`
#[fentry]
pub fn mem_schedule_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let kind: u32 = ctx.arg(2);
    if kind != SK_MEM_SEND {
        return 0;
    }
    if let Some(account) = accounts::find(sk) {
        // SAFETY: the offset and type are those of the kernel's BTF.
        account.schedule_before = unsafe { sk.load(offset!(forward_alloc)) };
    }
    0
}

/// `__sk_mem_schedule(sk, size, kind)`
#[fexit]
pub fn mem_schedule_exit(ctx: FExitContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let size: i32 = ctx.arg(1);
    let kind: u32 = ctx.arg(2);
    let granted: u32 = ctx.arg(3);
    if kind != SK_MEM_SEND {
        return 0;
    }
    let Some(account) = accounts::find(sk) else {
        return 0;
    };
    let Some(tp) = sk.tcp() else { return 0 };
    let seen = sk.seen(tp);
    let mut call = Call::of(Hook::MemSchedule);
    call.flags = FLAG_ENTRY;
    call.arg = size;
    call.ret = (granted & 1) as i32;
    call.kind = kind;
    calls::change(account, |a| {
        a.settle(&seen, calls::now);
        calls::note_worst(a, sk, tp);
        if call.ret != 0 {
            a.scheduled.granted += 1;
            let grown = seen.forward_alloc.wrapping_sub(a.schedule_before);
            if grown > 0 {
                a.scheduled.bytes += grown as u64;
            }
        } else {
            a.scheduled.refused += 1;
        }
        let before = Before {
            wmem_queued: seen.w,
            sndbuf: seen.sndbuf,
            forward_alloc: a.schedule_before,
            write_seq: seen.write_seq,
            snd_una: seen.snd_una,
            reserved: 0,
        };
        output::event(a, &call, &before, sk, tp);
    });
    0
}

macro_rules! zerocopy {
    ($($(#[$doc:meta])* $name:ident: sk = $sk:literal, skb = $skb:literal;)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub fn $name(ctx: FExitContext) -> i32 {
            zerocopied(Sock::new(ctx.arg($sk)), ctx.arg($skb));
            0
        }
    )*};
}

zerocopy! {
    /// `__zerocopy_sg_from_iter(sk, skb, from, length)`, up to 5.18
    zerocopy_old_exit: sk = 0, skb = 1;
    /// `__zerocopy_sg_from_iter(msg, sk, skb, from, length, …)`
    zerocopy_exit: sk = 1, skb = 2;
}

#[inline(always)]
fn zerocopied(sk: Sock, skb: *const u8) {
    // The caller may pass no socket: a receiver of another protocol.
    if sk.0.0.is_null() {
        return;
    }
    let Some(account) = accounts::find(sk) else {
        return;
    };
    let Some(tp) = sk.tcp() else { return };
    let seen = sk.seen(tp);
    let mut call = Call::of(Hook::Zerocopy);
    call.truesize = truesize(skb);
    calls::change(account, |a| {
        let before = Before {
            wmem_queued: a.ledger.now.w,
            sndbuf: a.ledger.now.sndbuf,
            forward_alloc: seen.forward_alloc,
            write_seq: a.write_seq,
            snd_una: a.snd_una,
            reserved: 0,
        };
        a.settle(&seen, calls::now);
        calls::note_worst(a, sk, tp);
        output::event(a, &call, &before, sk, tp);
    });
}
