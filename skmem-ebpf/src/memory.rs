//! Memory for a socket's queues: `sk_forward_alloc` and who fills it.

use core::ptr;

use aya_ebpf::{
    helpers::bpf_probe_read_kernel,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use skmem_common::{
    account::{Account, SocketFields as _},
    hook::Hook,
    layout::{ABSENT, SHARED_REFUSED},
    memory::{Grant, pages_of},
    record::FLAG_ENTRY,
};

use crate::{
    accounts, calls,
    maps::{self, SHARED},
    mptcp::Msk,
    output::{self, Call},
    socket::{KernelPtr, Sock, Watched as _, offset},
};

/// `SK_MEM_SEND` and `SK_MEM_RECV` of `__sk_mem_schedule`'s kinds.
const SK_MEM_SEND: u32 = 0;

/// The third number of `net.ipv4.tcp_mem`, past two others.
const HARD_LIMIT: u64 = 16;

/// `__sk_mem_schedule(sk, size, kind)`: adds whole pages for `size` to
/// `sk_forward_alloc`, or nothing.
#[fexit]
pub fn mem_schedule_exit(ctx: FExitContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let size: i32 = ctx.arg(1);
    let kind: u32 = ctx.arg(2);
    let granted: u32 = ctx.arg(3);
    if kind != SK_MEM_SEND && !maps::rx() {
        return 0;
    }
    let Some(account) = accounts::find(sk) else {
        return 0;
    };
    if let Some(msk) = Msk::new(sk) {
        if kind == SK_MEM_SEND {
            scheduled_mptcp(account, msk, granted & 1 != 0, size);
        }
        return 0;
    }
    let granted = granted & 1 != 0;
    let bytes = whole_pages(size);
    // SAFETY: the offset and type are those of the kernel's BTF.
    let sndbuf: i32 = unsafe { sk.load(offset!(sndbuf)) };
    let cut = sndbuf < account.ledger.now.sndbuf;
    let rare = kind == SK_MEM_SEND && (cut || !granted || account.mem_refused != 0);
    let answer = calls::change!(account, |a| {
        if kind == SK_MEM_SEND {
            let grant = grant(sk, granted, size, cut);
            a.scheduled.count(grant, bytes);
            grant as i32
        } else {
            a.receiving.scheduled(granted, bytes);
            i32::from(granted)
        }
    });
    if !rare && !maps::every_hook() {
        return 0;
    }
    let Some(socket) = sk.as_tcp() else { return 0 };
    let mut call = Call::of(Hook::MemSchedule);
    call.flags = FLAG_ENTRY;
    call.arg = size;
    call.ret = answer;
    call.kind = kind;
    call.softirq = kind != SK_MEM_SEND;
    calls::change!(account, |a| {
        let mut before = a.last_seen();
        before.forward_alloc = socket.forward_alloc();
        if granted {
            before.forward_alloc = before.forward_alloc.wrapping_sub(bytes);
        }
        if rare {
            a.schedule(granted, &socket, calls::now);
            calls::note_worst(a, socket);
        }
        if maps::every_hook() {
            output::unbooked_event(a, &call, &before, socket);
        } else {
            calls::flush(a, socket, Hook::MemSchedule, call.softirq);
        }
    });
    0
}

/// `__sk_mem_schedule(sk, size, kind)`, in the lean set: what is refused, what is granted after
/// that, and what is granted over other limits to a sender at its own; for an MPTCP socket it is
/// the test against the limit.
#[fexit]
pub fn lean_mem_schedule_exit(ctx: FExitContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let size: i32 = ctx.arg(1);
    let kind: u32 = ctx.arg(2);
    let granted: u32 = ctx.arg(3);
    let granted = granted & 1 != 0;
    if kind != SK_MEM_SEND {
        if maps::rx()
            && let Some(account) = accounts::find(sk)
        {
            let bytes = whole_pages(size);
            calls::change!(account, |a| a.receiving.scheduled(granted, bytes));
        }
        return 0;
    }
    if let Some(msk) = Msk::new(sk) {
        if let Some(account) = accounts::find(sk) {
            scheduled_mptcp(account, msk, granted, size);
        }
        return 0;
    }
    // SAFETY: offsets and types are those of the kernel's BTF.
    let (w, sndbuf): (i32, i32) =
        unsafe { (sk.load(offset!(wmem_queued)), sk.load(offset!(sndbuf))) };
    // The kernel lets a sender through in spite of other limits where it is at its own.
    let at_limit = w.wrapping_add(size) >= sndbuf;
    if granted && !at_limit && SHARED.get(SHARED_REFUSED).is_none_or(|r| *r == 0) {
        return 0;
    }
    let Some((account, socket)) = calls::traced(sk) else {
        return 0;
    };
    let cut = sndbuf < account.ledger.now.sndbuf;
    let grant = grant(sk, granted, size, cut);
    if grant as u8 == Grant::Granted as u8 && account.mem_refused == 0 {
        return 0;
    }
    if !granted && let Some(refused) = SHARED.get_ptr_mut(SHARED_REFUSED) {
        // SAFETY: the map outlives the program; a word is written whole.
        unsafe { ptr::write_volatile(refused, 1) };
    }
    calls::change!(account, |a| {
        if grant as u8 != Grant::Granted as u8 {
            a.scheduled.count(grant, whole_pages(size));
        }
        a.schedule(granted, &socket, calls::now);
        calls::note_worst(a, socket);
        calls::flush(a, socket, Hook::MemSchedule, false);
    });
    0
}

/// What `__sk_mem_schedule` takes for `size` bytes, in bytes.
#[inline(always)]
fn whole_pages(size: i32) -> i32 {
    let shift = maps::page_shift();
    pages_of(size, shift) << shift
}

/// Within `mptcp_sendmsg`, before a part of a page fragment is filled.
#[inline(always)]
fn scheduled_mptcp(account: &mut Account, msk: Msk, granted: bool, size: i32) {
    let bytes = whole_pages(size);
    // SAFETY: the offset and type are those of the kernel's BTF.
    let sndbuf: i32 = unsafe { msk.load(offset!(sndbuf)) };
    calls::change!(account, |a| {
        let cut = sndbuf < a.ledger.now.sndbuf;
        let grant = grant(msk.sock(), granted, size, cut);
        a.scheduled.count(grant, bytes);
        a.schedule_mptcp(granted, &msk, calls::now);
        calls::note_worst(a, msk);
        calls::flush(a, msk, Hook::MemSchedule, false);
    });
}

/// How a call that asked for `size` bytes ended
/// (`__sk_mem_raise_allocated`).
#[inline(always)]
fn grant(sk: Sock, granted: bool, size: i32, cut: bool) -> Grant {
    let over = over_tcp_mem(sk, if granted { 0 } else { size });
    match (granted, over) {
        (false, true) => Grant::RefusedOverTcpMem,
        (false, false) => Grant::Refused,
        (true, true) => Grant::GrantedOverTcpMem,
        // Only the suppress branch moderates the limit.
        (true, false) if cut => Grant::GrantedOverMemcg,
        (true, false) => Grant::Granted,
    }
}

/// Whether the memory of all TCP sockets is over `tcp_mem[2]`, `undone` bytes
/// included that were taken back. It cannot be while there is no pressure,
/// which is one look.
#[inline(always)]
fn over_tcp_mem(sk: Sock, undone: i32) -> bool {
    if offset!(prot) == ABSENT
        || offset!(memory_allocated) == ABSENT
        || offset!(memory_pressure) == ABSENT
        || offset!(sysctl_mem) == ABSENT
    {
        return false;
    }
    // SAFETY: a pointer to a struct proto, and pointers in it.
    let (pressure, allocated, limits) = unsafe {
        let prot = KernelPtr(sk.load(offset!(prot)));
        (
            prot.load::<u64>(offset!(memory_pressure)),
            prot.load::<u64>(offset!(memory_allocated)),
            prot.load::<u64>(offset!(sysctl_mem)),
        )
    };
    // SAFETY: the helper checks the address.
    if unsafe { bpf_probe_read_kernel(pressure as *const u64) }.unwrap_or(0) == 0 {
        return false;
    }
    // SAFETY: as above.
    let allocated = unsafe { bpf_probe_read_kernel(allocated as *const i64) }.unwrap_or(0);
    // SAFETY: as above.
    let limit =
        unsafe { bpf_probe_read_kernel((limits + HARD_LIMIT) as *const i64) }.unwrap_or(i64::MAX);
    let pages = i64::from(pages_of(undone, maps::page_shift()));
    allocated.wrapping_add(pages) > limit
}

/// `sk_forced_mem_schedule(sk, size)`: for traces. What it lets in is known
/// from the refusal before it.
#[fentry]
pub fn forced_schedule_entry(ctx: FEntryContext) -> i32 {
    let sk = Sock::new(ctx.arg(0));
    let size: i32 = ctx.arg(1);
    let Some((account, socket)) = calls::traced(sk) else {
        return 0;
    };
    if size <= socket.forward_alloc() {
        return 0;
    }
    let mut call = Call::of(Hook::ForcedSchedule);
    call.arg = size;
    call.softirq = true;
    calls::change!(account, |a| {
        let before = a.last_seen();
        output::unbooked_event(a, &call, &before, socket);
    });
    0
}

/// `sk_msg_alloc(sk, msg, len, elem_first_coalesce)`: a kTLS record is charged
/// to `sk_forward_alloc` long before it is in the write queue.
#[fexit]
pub fn msg_alloc_exit(ctx: FExitContext) -> i32 {
    if offset!(msg_size) == ABSENT {
        return 0;
    }
    let Some(account) = accounts::find(Sock::new(ctx.arg(0))) else {
        return 0;
    };
    // SAFETY: the offset and type are those of the kernel's BTF.
    let size: u32 = unsafe { KernelPtr(ctx.arg(1)).load(offset!(msg_size)) };
    account.messages.count += 1;
    if size > account.messages.largest {
        account.messages.largest = size;
    }
    0
}
