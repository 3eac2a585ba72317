//! A socket's account: how a hook finds it, and which sockets get one.
//!
//! Accounts are made on rare paths only: `tcp_connect`, the first
//! `tcp_sendmsg_locked` under skmem's eyes, or the first allocation by a call
//! that was already under way. The filter is asked there, once. Everywhere
//! else "has it an account?" is the whole test.

use core::ptr;

use aya_ebpf::helpers::generated::bpf_sk_storage_get;
use skmem_common::{
    account::{Account, Look as _},
    layout::{ABSENT, SHARED_ENABLED, SHARED_OVERHEAD},
    record::{IDENT_CLOSED, IDENT_OLDER, Ident},
};

use crate::{
    calls,
    filter::{may_pass, passes},
    identity::{addresses, identify},
    known::Known,
    maps::{self, ACCOUNTS, ASKED, FREE_SLOTS, SHARED, SLOT_HASH, SLOT_STORAGE},
    output,
    socket::{Kernel, Locked, Sock, offset},
    tell,
};

const IPPROTO_TCP: u16 = 6;
const BPF_SK_STORAGE_GET_F_CREATE: u64 = 1;
const BPF_NOEXIST: u64 = 1;

/// The socket's account, where it has one.
#[inline(always)]
pub fn find(sk: Sock) -> Option<&'static mut Account> {
    if maps::empty() {
        return None;
    }
    let mut storage = 0;
    if maps::use_storage() && offset!(bpf_storage) != ABSENT {
        // SAFETY: a pointer field; it is only compared.
        let address = unsafe { sk.load::<u64>(offset!(bpf_storage)) };
        if address == 0 {
            return None;
        }
        storage = maps::number(address);
    }
    let known = Known::of(sk, storage);
    if let Some(slot) = known.slot() {
        return at(slot);
    }
    let slot = if maps::use_storage() {
        let slot = storage_get(sk, ptr::null_mut(), 0);
        if slot.is_null() {
            return None;
        }
        // SAFETY: not null, and the map's value is a u32.
        unsafe { *slot }
    } else {
        // SAFETY: the entry is a u32 that is written once.
        unsafe { *SLOT_HASH.get(&sk.address())? }
    };
    let account = at(slot)?;
    if account.ident.flags & IDENT_CLOSED == 0 {
        known.keep(slot);
    }
    Some(account)
}

/// The account of the socket at an address that is a mere number, where
/// accounts are found by address.
#[inline(always)]
pub fn find_at(address: u64) -> Option<&'static mut Account> {
    // SAFETY: the entry is a u32 that is written once.
    at(unsafe { *SLOT_HASH.get(&address)? })
}

/// The socket's account for a call by the current task: a new one where the
/// socket has none and the filter wants it.
#[inline(always)]
pub fn find_or_open(socket: Locked) -> Option<&'static mut Account> {
    let Locked { sk, tp } = socket;
    match find(sk) {
        Some(account) => Some(account),
        None => {
            if maps::empty() || SHARED.get(SHARED_ENABLED).is_none_or(|e| *e == 0) {
                return None;
            }
            if !may_pass(sk) || open(sk, tp, First::Call as u32) == 0 {
                return None;
            }
            find(sk)
        }
    }
}

/// Fills in the addresses of a socket that had none when it was first seen: a
/// Fast Open sender connects within its first send.
#[inline(always)]
pub fn complete(sk: Sock, account: &mut Account) {
    if account.ident.dport != 0 {
        return;
    }
    addresses(sk, &mut account.ident);
    output::opened(account);
}

/// The socket is gone: its address may be another's soon.
#[inline(always)]
pub fn forget(sk: Sock, account: &mut Account) {
    account.ident.flags |= IDENT_CLOSED;
    Known::of(sk, 0).clear();
    if !maps::use_storage() {
        let _ = SLOT_HASH.remove(&sk.address());
    }
}

#[inline(always)]
fn at(slot: u32) -> Option<&'static mut Account> {
    // SAFETY: the table outlives the programs. A socket's hooks run under its
    // lock, so no two programs hold the same account.
    ACCOUNTS.get_ptr_mut(slot).map(|a| unsafe { &mut *a })
}

#[inline(always)]
fn storage_get(sk: Sock, value: *mut u32, flags: u64) -> *mut u32 {
    // SAFETY: the map and the socket are what the helper wants; the verifier
    // checks both.
    unsafe {
        bpf_sk_storage_get(
            (&raw const SLOT_STORAGE).cast_mut().cast(),
            sk.0.0.cast_mut().cast(),
            value.cast(),
            flags,
        )
    }
    .cast()
}

/// How a socket is first seen.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum First {
    /// In a call by the current task.
    Call = 0,
    /// In a walk over all sockets; the current task is skmem.
    Walk = 1,
}

/// Gives an account to a socket that is older than the trace, if it holds
/// anything and the filter wants it: without a filter, only those over their
/// limit, so that a busy machine's sockets do not fill the table.
///
/// Kernels before 5.19 walk without the socket's lock; the first hook under
/// the lock corrects what was read.
#[inline(always)]
pub fn open_existing(socket: Locked) {
    let (w, sndbuf, ..) = socket.glance();
    let Locked { sk, tp } = socket;
    // SAFETY: the global is initialised and never changes.
    let filtered = unsafe { (&raw const (*maps::filter()).flags).read_volatile() } != 0;
    if w > 0
        && (filtered || w > sndbuf)
        && find(sk).is_none()
        && open(sk, tp, First::Walk as u32) != 0
        && let Some(account) = find(sk)
    {
        account.unanchored = 1;
        calls::note_worst(account, socket);
    }
}

/// Gives the socket an account if it is a TCP socket that the filter wants.
/// 1 where it did; a number, since subprograms return and take those only.
#[inline(never)]
fn open(sk: Sock, tp: Kernel, first: u32) -> u32 {
    let walk = first == First::Walk as u32;
    let mut who = Ident::default();
    // SAFETY: offsets and types are those of the kernel's BTF.
    let protocol: u16 = unsafe { sk.load(offset!(protocol)) };
    if protocol & 0xff != IPPROTO_TCP || !identify(sk, tp, &mut who, walk) || !passes(&who, walk) {
        return 0;
    }
    let Ok(Some(slot)) = FREE_SLOTS.pop() else {
        if let Some(c) = maps::counters() {
            c.no_slot += 1;
        }
        core::hint::black_box(tell::no_slot(&who));
        return 0;
    };
    let Some(account) = at(slot) else { return 0 };
    let seen = Locked { sk, tp }.seen();
    let asked = sk.address();
    // SAFETY: the entry is copied at once; it is written by setsockopt of the
    // same socket only.
    if let Some(asked) = unsafe { ASKED.get(&asked) }
        && seen.locked != 0
    {
        who.so_sndbuf = asked.value;
        who.flags |= asked.flags;
    }
    if seen.w != 0 {
        who.flags |= IDENT_OLDER;
    }
    account.ident = who;
    account.slot = slot;
    account.open(&seen, who.seen_ns);
    account.overhead = SHARED.get(SHARED_OVERHEAD).copied().unwrap_or(0);
    let mut value = slot;
    // Another CPU may be quicker: the first one's slot stays.
    let kept = if maps::use_storage() {
        let place = storage_get(sk, &raw mut value, BPF_SK_STORAGE_GET_F_CREATE);
        // SAFETY: the map's value is a u32.
        !place.is_null() && unsafe { *place } == slot
    } else {
        SLOT_HASH.insert(&sk.address(), &value, BPF_NOEXIST).is_ok()
    };
    if !kept {
        account.ident.id = 0;
        let _ = FREE_SLOTS.push(&slot, 0);
        return 0;
    }
    sk.view_into(tp, &mut account.last);
    account.last_ns = who.seen_ns;
    output::opened(account);
    tell::opened(&account.ident, slot);
    1
}
