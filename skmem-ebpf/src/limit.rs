//! What the application asked of `SO_SNDBUF`. The kernel keeps only the
//! doubled value; these programs see the one that was passed. The lock is
//! given up before the exit of `setsockopt`, so nothing is booked there: the
//! new limit is found in `sk_stream_write_space`, which `setsockopt` calls with
//! the lock held. And the moment before autotuning raises the limit.

use aya_ebpf::{
    helpers::{bpf_probe_read_kernel, bpf_probe_read_user},
    macros::{fentry, fexit, kprobe},
    programs::{FEntryContext, FExitContext, ProbeContext},
};
use skmem_common::{
    hook::Hook,
    layout::SLOTS_IN_HASH,
    record::{FLAG_LOCKLESS, IDENT_INHERITED, IDENT_V_FORCED, IDENT_V_SEEN},
};

use crate::{
    accounts, calls,
    maps::{self, ASKED, RequestedSndbuf},
    output::{self, Call},
    socket::{Sock, offset},
};

/// include/uapi/asm-generic/socket.h, as on x86-64 and arm64
const SOL_SOCKET: i32 = 1;
const SO_SNDBUF: i32 = 7;
const SO_SNDBUFFORCE: i32 = 32;

/// `sk_setsockopt(sk, level, optname, optval, optlen)`, 6.1 on; `optval` is
/// two words: the address, and whether it is the kernel's.
#[fexit]
pub fn setsockopt_exit(ctx: FExitContext) -> i32 {
    let ret: i32 = ctx.arg(6);
    if ret != 0 {
        return 0;
    }
    let sk = Sock::new(ctx.arg(0));
    let Some(asked) = asked(ctx.arg(1), ctx.arg(2), ctx.arg(3), ctx.arg(4)) else {
        return 0;
    };
    if let Some(account) = accounts::find(sk) {
        account.ident.so_sndbuf = asked.value;
        account.ident.flags &= !(IDENT_V_FORCED | IDENT_INHERITED);
        account.ident.flags |= asked.flags;
        if let Some(socket) = sk.as_tcp() {
            let mut call = Call::of(Hook::Setsockopt);
            call.flags = FLAG_LOCKLESS;
            call.arg = asked.value;
            call.kind = u32::from(asked.flags & IDENT_V_FORCED != 0);
            output::observation(account, &call, socket);
        }
    } else {
        let _ = ASKED.insert(&sk.address(), &asked, 0);
    }
    0
}

/// `sock_setsockopt(sock, level, optname, optval, optlen)`, before 6.1: the
/// trampolines of those kernels refuse `optval`, which is a struct.
#[kprobe]
pub fn setsockopt_probe(ctx: ProbeContext) -> u32 {
    let (Some(socket), Some(level), Some(name), Some(value), Some(kernel)) = (
        ctx.arg::<u64>(0),
        ctx.arg::<i32>(1),
        ctx.arg::<i32>(2),
        ctx.arg::<u64>(3),
        ctx.arg::<u64>(4),
    ) else {
        return 0;
    };
    let Some(asked) = asked(level, name, value, kernel) else {
        return 0;
    };
    let sk = (socket + u64::from(offset!(socket_sk))) as *const u64;
    // SAFETY: the helper checks the address.
    let Ok(sk) = (unsafe { bpf_probe_read_kernel(sk) }) else {
        return 0;
    };
    let _ = ASKED.insert(&sk, &asked, 0);
    // Without socket storage the account is found by address, too.
    if maps::slots_in() == SLOTS_IN_HASH
        && let Some(account) = accounts::find_at(sk)
    {
        account.ident.so_sndbuf = asked.value;
        account.ident.flags &= !(IDENT_V_FORCED | IDENT_INHERITED);
        account.ident.flags |= asked.flags;
    }
    0
}

/// `sk_stream_write_space(sk)`: from `setsockopt`. Within another call it is called by
/// `tcp_new_space`, half-way through that call: its end books what has changed.
#[fentry]
pub fn write_space_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some(account) = accounts::find(sk) else {
        return 0;
    };
    if account.depth != 0 {
        return 0;
    }
    let Some(socket) = sk.as_tcp() else { return 0 };
    // In the lean set some calls are not seen to begin; setsockopt leaves the queue as it is.
    if maps::lean() && !account.queue_is_booked(&socket) {
        return 0;
    }
    let mut call = Call::of(Hook::WriteSpace);
    call.softirq = true;
    calls::change!(account, |a| {
        let before = a.last_seen();
        a.book_pending(&socket, calls::now);
        calls::note_worst(a, socket);
        if a.op_count != 0 {
            output::event(a, &call, &before, socket);
        }
    });
    0
}

/// `tcp_sndbuf_expand(sk)`: within `tcp_write_xmit`, too, which calls `tcp_check_space` for each
/// skb that it sends (`tcp_event_new_data_sent`, 5.19 on and in 5.10.y). All hooks have booked then
/// what the send call around it has queued, the lean set has not.
#[fentry]
pub fn sndbuf_expand_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let Some((account, socket)) = calls::traced(sk) else {
        return 0;
    };
    calls::change!(account, |a| {
        core::hint::black_box(a.book_put(&socket, calls::now));
        calls::note_worst(a, socket);
        calls::flush(a, socket, Hook::SndbufExpand, true);
    });
    0
}

#[inline(always)]
fn asked(level: i32, name: i32, value: u64, kernel: u64) -> Option<RequestedSndbuf> {
    if level != SOL_SOCKET || (name != SO_SNDBUF && name != SO_SNDBUFFORCE) {
        return None;
    }
    let value = value as *const i32;
    let value = if kernel & 1 != 0 {
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_kernel(value) }
    } else {
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_user(value) }
    };
    Some(RequestedSndbuf {
        value: value.ok()?,
        flags: IDENT_V_SEEN
            | if name == SO_SNDBUFFORCE {
                IDENT_V_FORCED
            } else {
                0
            },
    })
}
