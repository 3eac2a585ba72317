//! What every program does at the entry and the exit of a hooked call.

use core::ptr;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use skmem_common::{
    account::{Account, Seen},
    hook::Hook,
    record::{Before, FLAG_ENTRY, FLAG_STEP, OPS},
};

use crate::{
    accounts,
    output::{self, Call},
    socket::{Kernel, Sock},
};

/// Operations that one hook may add; an entry that leaves less room sends
/// what there is.
const OPS_PER_HOOK: u32 = 4;

/// The clock of all records.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_ktime_get_ns() }
}

/// Runs `work` on the account with its version odd, so that a reader in user
/// space can tell that it is being changed.
#[inline(always)]
pub fn change<R>(account: &mut Account, work: impl FnOnce(&mut Account) -> R) -> R {
    let version = &raw mut account.version;
    // SAFETY: the account is alive; only this hook writes it now.
    unsafe { ptr::write_volatile(version, (*version).wrapping_add(1)) };
    let result = work(account);
    // SAFETY: as above.
    unsafe { ptr::write_volatile(version, (*version).wrapping_add(1)) };
    result
}

/// What `hook` reads of the socket.
#[inline(always)]
pub fn see(sk: Sock, tp: Kernel, hook: Hook) -> Seen {
    let mut seen = sk.seen(tp);
    if hook as u8 == Hook::WriteXmit as u8 {
        seen.probing = sk.probing(tp);
    }
    seen
}

/// The entry of a call on a socket that has an account already.
#[inline(always)]
pub fn enter(sk: Sock, hook: Hook, softirq: bool) {
    let Some(account) = accounts::find(sk) else {
        return;
    };
    let Some(tp) = sk.tcp() else { return };
    enter_with(account, sk, tp, hook, 0, 0, softirq);
}

/// The entry of a call.
#[inline(always)]
pub fn enter_with(
    account: &mut Account,
    sk: Sock,
    tp: Kernel,
    hook: Hook,
    flags: u8,
    arg: i32,
    softirq: bool,
) {
    let seen = see(sk, tp, hook);
    change(account, |a| {
        a.enter(hook, flags, arg, &seen, now);
        note_worst(a, sk, tp);
        if a.op_count > OPS as u32 - OPS_PER_HOOK {
            let mut call = Call::of(hook);
            call.flags = FLAG_STEP;
            let before = Before {
                wmem_queued: seen.w,
                sndbuf: seen.sndbuf,
                forward_alloc: seen.forward_alloc,
                write_seq: seen.write_seq,
                snd_una: seen.snd_una,
                reserved: 0,
            };
            call.softirq = softirq;
            output::event(a, &call, &before, sk, tp);
        }
    });
}

/// The exit of a call. A call that changed nothing makes no record, unless
/// `always`.
#[inline(always)]
pub fn leave(sk: Sock, mut call: Call, always: bool) {
    let Some(account) = accounts::find(sk) else {
        return;
    };
    let Some(tp) = sk.tcp() else { return };
    let seen = see(sk, tp, call.hook);
    change(account, |a| {
        let (frame, entered) = a.leave(call.hook, &seen, now);
        let wanted = note_worst(a, sk, tp);
        // What an outer call did is told by its own record; where there is no
        // outer call, nobody else would tell.
        let mine = if a.depth == 0 {
            0
        } else {
            u32::from(frame.ops_before)
        };
        if !always && !wanted && a.op_count <= mine {
            sk.refresh(tp, &mut a.last);
            return;
        }
        if entered {
            call.flags |= FLAG_ENTRY;
        }
        output::event(a, &call, &frame.before, sk, tp);
    });
}

/// Keeps the fields of a new worst excess.
#[inline(always)]
pub fn note_worst(account: &mut Account, sk: Sock, tp: Kernel) -> bool {
    if account.ledger.view_wanted == 0 {
        return false;
    }
    account.ledger.view_wanted = 0;
    let view = &mut account.ledger.worst_view;
    sk.view_into(tp, view);
    view.untrimmed = sk.untrimmed(view.snd_una);
    true
}
