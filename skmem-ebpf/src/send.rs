//! The send path: `tcp_sendmsg`, what it allocates and what it queues.

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use skmem_common::{
    account::{Account, FRAME_SPLICE, FRAME_ZEROCOPY},
    hook::Hook,
    layout::ABSENT,
    record::{FLAG_ENTRY, FLAG_LOCKLESS},
};

use crate::{
    accounts, calls, maps,
    output::{self, Call},
    socket::{KernelPtr, Sock, offset, truesize},
};

/// include/linux/socket.h
const MSG_ZEROCOPY: u32 = 0x400_0000;
/// include/linux/socket.h, 6.5 on; an unused bit before
const MSG_SPLICE_PAGES: u32 = 0x800_0000;

/// `tcp_sendmsg(sk, msg, size)`: what the application sees of it. The lock is
/// not held, so this only observes.
#[fexit]
pub fn sendmsg_exit(ctx: FExitContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some((account, socket)) = calls::traced(sk) else {
        return 0;
    };
    let mut call = Call::of(Hook::Sendmsg);
    call.flags = FLAG_LOCKLESS;
    call.arg = ctx.arg(2);
    call.ret = ctx.arg(3);
    output::observation(account, &call, socket);
    0
}

/// `tcp_sendmsg_locked(sk, msg, size)`
#[fentry]
pub fn sendmsg_locked_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let msg = KernelPtr(ctx.arg(1));
    let size: i32 = ctx.arg(2);
    let Some((account, socket)) = accounts::find_or_open(sk) else {
        return 0;
    };
    let flags = frame_flags(account, msg);
    calls::enter_with(account, socket, Hook::SendmsgLocked, flags, size, false);
    0
}

/// What a send call is asked for, as `FRAME_…`.
#[inline(always)]
pub fn frame_flags(account: &mut Account, msg: KernelPtr) -> u8 {
    let mut flags = 0;
    if offset!(msg_flags) != ABSENT {
        // SAFETY: the offset and type are those of the kernel's BTF.
        let asked: u32 = unsafe { msg.load(offset!(msg_flags)) };
        if asked & MSG_ZEROCOPY != 0 {
            flags |= FRAME_ZEROCOPY;
            account.pages.exempt = 1;
        }
        if asked & MSG_SPLICE_PAGES != 0 {
            flags |= FRAME_SPLICE;
        }
    }
    flags
}

/// `tcp_sendmsg_locked(sk, msg, size)`
#[fexit]
pub fn sendmsg_locked_exit(ctx: FExitContext) -> i32 {
    let Some((account, socket)) = calls::traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    let mut call = Call::of(Hook::SendmsgLocked);
    call.arg = ctx.arg(2);
    call.ret = ctx.arg(3);
    calls::leave(account, socket, call, true);
    0
}

/// `tcp_sendmsg_locked(sk, msg, size)`: looks whether the socket meets the tripwire, and does no
/// more.
#[fexit]
pub fn tripwire_exit(ctx: FExitContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    if accounts::is_full(sk)
        && let Some((account, socket)) = accounts::trip(sk)
    {
        calls::note_worst(account, socket);
    }
    0
}

/// `do_tcp_sendpages(sk, page, offset, size, flags)`, up to 6.4
#[fentry]
pub fn sendpages_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let size: i32 = ctx.arg(3);
    if let Some((account, socket)) = accounts::find_or_open(sk) {
        calls::enter_with(account, socket, Hook::Sendpages, FRAME_SPLICE, size, false);
    }
    0
}

/// `do_tcp_sendpages(sk, page, offset, size, flags)`, up to 6.4
#[fexit]
pub fn sendpages_exit(ctx: FExitContext) -> i32 {
    let Some((account, socket)) = calls::traced(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    let mut call = Call::of(Hook::Sendpages);
    call.arg = ctx.arg(3);
    call.ret = ctx.arg(5);
    calls::leave(account, socket, call, true);
    0
}

/// `sk_stream_alloc_skb(sk, size, gfp, force)`, up to 5.16, and
/// `tcp_stream_alloc_skb` with the same arguments, up to 6.1
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
    let Some((account, socket)) = calls::traced(sk) else {
        return;
    };
    let size_of_it = if skb.is_null() { 0 } else { truesize(skb) };
    calls::change!(account, |a| {
        let forced = force & 1 != 0;
        a.alloc(skb.addr() as u64, size_of_it, forced, &socket, calls::now);
        calls::note_worst(a, socket);
        if maps::every_hook() {
            let mut call = Call::of(Hook::AllocSkb);
            call.flags = FLAG_ENTRY;
            call.arg = size;
            call.ret = i32::from(!skb.is_null());
            call.kind = force & 1;
            call.truesize = size_of_it;
            let before = a.last_seen();
            output::unbooked_event(a, &call, &before, socket);
        } else {
            calls::flush(a, socket, Hook::AllocSkb, false);
        }
    });
}

/// `tcp_skb_entail(sk, skb)`
#[fentry]
pub fn entail_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let skb: *const u8 = ctx.arg(1);
    let Some((account, socket)) = calls::traced(sk) else {
        return 0;
    };
    calls::change!(account, |a| {
        a.entail(skb.addr() as u64, truesize(skb), &socket, calls::now);
        calls::note_worst(a, socket);
        // A long send may queue more skbs than a record has room for.
        calls::flush(a, socket, Hook::Entail, false);
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
    let Some((account, socket)) = calls::traced(sk) else {
        return;
    };
    calls::change!(account, |a| {
        let before = a.last_seen();
        a.zerocopy(&socket, calls::now);
        calls::note_worst(a, socket);
        if maps::every_hook() {
            let mut call = Call::of(Hook::Zerocopy);
            call.truesize = truesize(skb);
            output::event(a, &call, &before, socket);
        } else {
            calls::flush(a, socket, Hook::Zerocopy, false);
        }
    });
}
