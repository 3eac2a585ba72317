//! What every program does at the entry and the exit of a hooked call.

#[cfg(bpf_target_arch = "x86_64")]
use core::{
    ptr,
    sync::atomic::{Ordering, compiler_fence},
};

use aya_ebpf::helpers::bpf_ktime_get_ns;
use skmem_common::{
    account::{Account, SocketFields as _},
    hook::Hook,
    layout::ABSENT,
    record::{FLAG_ENTRY, FLAG_STEP, OPS},
};

use crate::{
    accounts, maps, outlet,
    output::{self, Call},
    socket::{KernelPtr, Sock, TcpSock, Watched, offset},
};

/// Operations that one hook may add; an entry that leaves less room sends
/// what there is.
const OPS_PER_HOOK: u32 = 4;
/// The same of the lean set, whose hooks also add what the call around them has done.
const OPS_PER_LEAN_HOOK: u32 = 6;

/// The clock of all records.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_ktime_get_ns() }
}

/// An account with its version odd, so that a reader in user space sees
/// that it is being changed; even again when this is dropped.
pub struct Changing<'a>(&'a mut Account);

impl<'a> Changing<'a> {
    #[inline(always)]
    pub fn new(account: &'a mut Account) -> Self {
        let changing = Self(account);
        changing.count();
        changing
    }

    /// The account.
    #[inline(always)]
    pub fn account(&mut self) -> &mut Account {
        self.0
    }

    /// Adds 1, after all that was written before and before all that is written
    /// after, as [`skmem_common::version`] asks.
    #[inline(always)]
    fn count(&self) {
        let version = (&raw const self.0.version).cast_mut();
        // x86 keeps the order of stores, so that only the compiler has to. The
        // verifier of 5.10 knows no atomic that returns something.
        #[cfg(bpf_target_arch = "x86_64")]
        {
            compiler_fence(Ordering::SeqCst);
            // SAFETY: the account is alive; only this hook writes it now.
            unsafe { ptr::write_volatile(version, (*version).wrapping_add(1)) };
            compiler_fence(Ordering::SeqCst);
        }
        // BPF has no barrier, but an atomic that returns the old value is fully
        // ordered on every architecture (Documentation/atomic_t.txt): arm64 makes
        // `ldaddal` of it. In assembly, for AtomicU64 has no fetch_add on this
        // target.
        #[cfg(not(bpf_target_arch = "x86_64"))]
        // SAFETY: the account is alive, and its version begins it, 8 bytes aligned.
        unsafe {
            core::arch::asm!(
                "{one} = atomic_fetch_add((u64 *)({version} + 0), {one})",
                one = inout(reg) 1_u64 => _,
                version = in(reg) version,
                options(nostack),
            );
        }
    }
}

impl Drop for Changing<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.count();
    }
}

/// Works on an account as [`Changing`]. A macro and no function, because LLVM
/// may make a subprogram of a closure, and what that leaves as its result is
/// not always something that the verifier lets it return.
macro_rules! change {
    ($account:expr, |$a:ident| $body:expr) => {{
        let mut changing = $crate::calls::Changing::new($account);
        let $a = changing.account();
        $body
    }};
}
pub(crate) use change;

/// The entry of a call on a socket that has an account already.
#[inline(always)]
pub fn enter(sk: Sock, hook: Hook, softirq: bool) {
    let Some((account, socket)) = traced(sk) else {
        return;
    };
    enter_with(account, socket, hook, 0, 0, softirq);
}

/// The entry of a call.
#[inline(always)]
pub fn enter_with(
    account: &mut Account,
    socket: impl Watched,
    hook: Hook,
    flags: u8,
    arg: i32,
    softirq: bool,
) {
    change!(account, |a| {
        a.enter(hook, flags, arg, &socket, now);
        note_worst(a, socket);
        flush(a, socket, hook, softirq);
    });
}

/// Sends the operations that await a record, where another hook's might find no
/// room.
#[inline(always)]
pub fn flush(account: &mut Account, socket: impl Watched, hook: Hook, softirq: bool) {
    let added = if socket.lean() {
        OPS_PER_LEAN_HOOK
    } else {
        OPS_PER_HOOK
    };
    if account.op_count > OPS as u32 - added {
        socket.step(account, hook, softirq);
    }
}

/// Rare, so it is a subprogram, which keeps all programs short.
#[inline(never)]
pub fn send_step(account: &mut Account, hook: Hook, softirq: bool, sk: Sock, tp: KernelPtr) -> u32 {
    step(account, hook, softirq, TcpSock { sk, tp })
}

/// Sends the operations that await a record, of a call that goes on.
#[inline(always)]
pub fn step(account: &mut Account, hook: Hook, softirq: bool, socket: impl Watched) -> u32 {
    let mut call = Call::of(hook);
    call.flags = FLAG_STEP;
    call.softirq = softirq;
    let before = account.last_seen();
    output::event(account, &call, &before, socket);
    0
}

/// The account of a socket that has one, and the socket under its lock. Asked
/// before anything else is made: most sockets have none, and a call on them
/// must cost nothing.
#[inline(always)]
pub fn traced(sk: Sock) -> Option<(&'static mut Account, TcpSock)> {
    let account = accounts::find(sk)?;
    Some((account, sk.as_tcp()?))
}

/// The exit of a call. A call that changed nothing makes no record, unless
/// `always`.
#[inline(always)]
pub fn leave(account: &mut Account, socket: impl Watched, mut call: Call, always: bool) {
    change!(account, |a| {
        let left = a.leave(call.hook, &socket, now);
        let wanted = note_worst(a, socket);
        if a.depth != 0 {
            // What an outer call did is in its own record.
            if !always && !wanted && a.op_count <= u32::from(left.frame.ops_before) {
                return;
            }
        } else if !always && !wanted && a.op_count == 0 {
            socket.refresh(&mut a.last);
            return;
        }
        if left.entered {
            call.flags |= FLAG_ENTRY;
        }
        if left.booked_ns != 0 {
            a.last_ns = left.booked_ns;
            call.timed = true;
        }
        output::event(a, &call, &left.frame.before, socket);
    });
}

/// Looks whether what is charged to the socket adds up.
#[inline(always)]
pub fn check_pages(account: &mut Account, socket: TcpSock) {
    if offset!(rmem_alloc) == ABSENT {
        return;
    }
    if socket.sk.has_ulp(socket.tp) {
        account.pages.exempt = 1;
    }
    // What is on the error queue is in sk_rmem_alloc, and was never taken from what was granted
    // (sock_queue_err_skb).
    if socket.sk.has_errors() {
        return;
    }
    // SAFETY: offsets and types are those of the kernel's BTF.
    let (w, rmem_alloc) = unsafe {
        (
            socket.sk.load(offset!(wmem_queued)),
            socket.sk.load(offset!(rmem_alloc)),
        )
    };
    account
        .pages
        .observe(w, rmem_alloc, socket.forward_alloc(), maps::page_shift());
}

/// Keeps the fields of a new worst excess.
#[inline(always)]
pub fn note_worst(account: &mut Account, socket: impl Watched) -> bool {
    if account.ledger.view_wanted == 0 {
        return false;
    }
    account.ledger.view_wanted = 0;
    socket.worst(account);
    true
}

/// As [`send_step`].
#[inline(never)]
pub fn view_worst(account: &mut Account, sk: Sock, tp: KernelPtr) -> u32 {
    look_at_worst(account, TcpSock { sk, tp })
}

/// Keeps the fields at the worst excess.
#[inline(always)]
pub fn look_at_worst(account: &mut Account, socket: impl Watched) -> u32 {
    let view = &mut account.ledger.worst_view;
    socket.glance_into(view);
    socket.rest_into(view);
    if socket.lean() && account.ledger.at_peak == 0 {
        // What was freed since in the same call is in sk_forward_alloc.
        let freed = account.ledger.worst.w.wrapping_sub(view.wmem_queued);
        view.wmem_queued = account.ledger.worst.w;
        view.forward_alloc = view.forward_alloc.wrapping_sub(freed);
    }
    view.untrimmed = socket.untrimmed(view.snd_una);
    outlet::worst(account, socket);
    account.ledger.worst_view.untrimmed
}
