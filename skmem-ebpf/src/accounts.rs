//! A socket's account: how a hook finds it, and which sockets get one.
//!
//! Accounts are made on rare paths only: `tcp_connect`, the first
//! `tcp_sendmsg_locked` that skmem sees, or the first allocation by a call
//! that was already under way. The filter is asked there, once. Everywhere
//! else the only test is whether the socket has an account.

use core::ptr;

use aya_ebpf::helpers::generated::{bpf_sk_storage_delete, bpf_sk_storage_get};
use skmem_common::{
    account::{Account, NOSPACE_AT_FIRST, NOSPACE_NOW, SocketFields as _},
    hook::Hook,
    layout::{
        ABSENT, SHARED_OVERHEAD, SHARED_TRIPS, SLOTS_IN_HASH, SLOTS_IN_STORAGE, SLOTS_NOWHERE,
    },
    record::{IDENT_CLOSED, IDENT_OLDER, Ident},
};

use crate::{
    calls,
    filter::{may_pass, passes},
    identity::{addresses, identify, place_and_task},
    known::SlotCache,
    maps::{self, ACCOUNTS, ASKED, FREE_SLOTS, SHARED, SLOT_HASH, SLOT_STORAGE},
    mptcp::Msk,
    mptcp_receive, outlet, output,
    socket::{KernelPtr, Sock, TcpSock, Watched, offset},
    tell, wait,
};

/// No slot: the table is never that large.
const NO_SLOT: u32 = u32::MAX;
const BPF_SK_STORAGE_GET_F_CREATE: u64 = 1;
const BPF_NOEXIST: u64 = 1;

/// The socket's account, where it has one.
#[inline(always)]
pub fn find(sk: Sock) -> Option<&'static mut Account> {
    at(slot_of(sk)?)
}

/// The slot of a socket that has one. Most sockets have none: one read of a global and one of the
/// socket show that, and whether the programs are to do nothing.
#[inline(always)]
fn slot_of(sk: Sock) -> Option<u32> {
    let kept = maps::slots_in();
    if kept == SLOTS_NOWHERE {
        return None;
    }
    let mut storage = 0;
    if kept != SLOTS_IN_HASH && kept != SLOTS_IN_STORAGE {
        // SAFETY: it is the offset of a pointer field, which is only compared.
        let address = unsafe { sk.load::<u64>(kept) };
        if address == 0 {
            return None;
        }
        storage = maps::number(address);
    }
    let known = SlotCache::of(sk, storage);
    known.slot().or_else(|| some(look_up(sk, known)))
}

/// Looks a slot up; [`NO_SLOT`] where there is none.
#[inline(never)]
fn look_up(sk: Sock, known: SlotCache) -> u32 {
    let slot = if maps::slots_in() != SLOTS_IN_HASH {
        let slot = storage_get(sk, ptr::null_mut(), 0);
        if slot.is_null() {
            return NO_SLOT;
        }
        // SAFETY: not null, and the map's value is a u32.
        unsafe { *slot }
    } else {
        // SAFETY: the entry is a u32 that is written once.
        match unsafe { SLOT_HASH.get(&sk.address()) } {
            Some(slot) => *slot,
            None => return NO_SLOT,
        }
    };
    if let Some(account) = at(slot)
        && account.ident.flags & IDENT_CLOSED == 0
    {
        known.keep(slot);
    }
    slot
}

#[inline(always)]
fn some(slot: u32) -> Option<u32> {
    (slot != NO_SLOT).then_some(slot)
}

/// The account of the socket at an address that is a mere number, where
/// accounts are found by address.
#[inline(always)]
pub fn find_at(address: u64) -> Option<&'static mut Account> {
    // SAFETY: the entry is a u32 that is written once.
    at(unsafe { *SLOT_HASH.get(&address)? })
}

/// The socket's account for a call by the current task, and the socket under
/// its lock: a new account where it has none and the filter wants it.
#[inline(always)]
pub fn find_or_open(sk: Sock) -> Option<(&'static mut Account, TcpSock)> {
    Some((account_for(sk)?, sk.as_tcp()?))
}

/// The same without the socket.
#[inline(always)]
pub fn account_for(sk: Sock) -> Option<&'static mut Account> {
    at(slot_of(sk).or_else(|| slot_opened(sk))?)
}

#[inline(always)]
fn slot_opened(sk: Sock) -> Option<u32> {
    if maps::slots_in() == SLOTS_NOWHERE || !may_pass(sk) || !is_due(sk) || !maps::enabled() {
        return None;
    }
    some(open(sk, sk.tcp()?, First::Call as u32))
}

/// Whether a socket is to have an account now: with a tripwire, one whose queue has reached its
/// limit.
#[inline(always)]
fn is_due(sk: Sock) -> bool {
    !maps::tripwire() || is_full(sk)
}

/// Whether a socket's queue has reached its limit.
#[inline(always)]
pub fn is_full(sk: Sock) -> bool {
    // SAFETY: offsets and types are those of the kernel's BTF.
    let (w, sndbuf): (i32, i32) =
        unsafe { (sk.load(offset!(wmem_queued)), sk.load(offset!(sndbuf))) };
    w >= sndbuf
}

/// A socket meets the tripwire, under its lock: from now on it has an account, where accounts are
/// kept now and the filter wants it. Gives a new one.
#[inline(always)]
pub fn trip(sk: Sock) -> Option<(&'static mut Account, TcpSock)> {
    if !may_pass(sk) {
        return None;
    }
    if let Some(trips) = SHARED.get_ptr_mut(SHARED_TRIPS) {
        // SAFETY: the map outlives the program; a word is written whole. That two CPUs count one
        // is enough.
        unsafe { ptr::write_volatile(trips, (*trips).wrapping_add(1)) };
    }
    if !maps::enabled() || maps::slots_in() == SLOTS_NOWHERE || find(sk).is_some() {
        return None;
    }
    let socket = sk.as_tcp()?;
    let account = at(some(open(sk, socket.tp, First::Call as u32))?)?;
    Some((account, socket))
}

/// Gives an MPTCP socket that the current task sends on an account where it has
/// none and the filter wants it. The lock is not held: the first hook under it
/// corrects what was read.
#[inline(always)]
pub fn open_mptcp(msk: Msk) {
    let sk = msk.sock();
    if let Some(slot) = slot_of(sk) {
        if let Some(account) = at(slot) {
            complete(sk, account);
        }
        return;
    }
    if maps::slots_in() == SLOTS_NOWHERE || !may_pass(sk) || !is_due(sk) {
        return;
    }
    if maps::enabled()
        && let Some(account) = some(open_unlocked(sk, First::Call as u32)).and_then(at)
    {
        // From an empty queue on, all that comes is seen.
        account.opened_lockless = u32::from(account.ledger.now.w != 0);
    }
}

/// The account of an MPTCP socket under its lock. One that is older than the
/// trace gets it here, where the filter wants it and no walk has met it; with the
/// receive side, so does a new one.
#[inline(always)]
pub fn find_or_adopt(msk: Msk) -> Option<&'static mut Account> {
    if let Some(slot) = slot_of(msk.sock()) {
        return at(slot);
    }
    if mptcp_receive::is_worth_opening(msk) {
        open_mptcp(msk);
        if let Some(slot) = slot_of(msk.sock()) {
            return at(slot);
        }
    }
    adopt(msk)
}

/// What a walk does with an MPTCP socket, without its lock: one that is older
/// than the trace gets an account where the filter wants it, that of another is
/// brought up to date.
#[inline(always)]
pub fn visit_mptcp(msk: Msk) {
    let nospace = msk.nospace();
    if let Some(account) = slot_of(msk.sock()).and_then(at) {
        if is_over() {
            release(msk.sock(), account);
            return;
        }
        account.blocked.walked(nospace, calls::now());
        wait::find_sleeper(account, msk);
    } else if let Some(account) = adopt(msk) {
        account.opened_lockless = 1;
    } else if msk.key_fields().0 > 0
        && let Some(counters) = maps::counters()
    {
        counters.left_out += 1;
    }
}

#[inline(always)]
fn adopt(msk: Msk) -> Option<&'static mut Account> {
    if maps::slots_in() == SLOTS_NOWHERE || !maps::enabled() || !adopts(msk) {
        return None;
    }
    let nospace = msk.nospace();
    let account = at(some(open_unlocked(msk.sock(), First::Walk as u32))?)?;
    account.blocked.nospace = nospace * (NOSPACE_NOW | NOSPACE_AT_FIRST);
    wait::find_sleeper(account, msk);
    calls::note_worst(account, msk);
    Some(account)
}

/// Gives a subflow of a traced MPTCP socket an account, whatever task runs
/// this, and says which socket it belongs to.
#[inline(always)]
pub fn open_subflow(socket: TcpSock, msk: &Account) -> Option<&'static mut Account> {
    let slot =
        slot_of(socket.sk).or_else(|| some(open(socket.sk, socket.tp, First::Subflow as u32)))?;
    let account = at(slot)?;
    if account.mptcp == 0 {
        account.mptcp = msk.ident.id;
        if account.ident.pid == 0 {
            account.ident.pid = msk.ident.pid;
            account.ident.tid = msk.ident.tid;
            account.ident.comm = msk.ident.comm;
        }
    }
    Some(account)
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
    SlotCache::of(sk, 0).clear();
    if maps::slots_in() == SLOTS_IN_HASH {
        let _ = SLOT_HASH.remove(&sk.address());
    }
}

/// Whether no account is kept any more: no socket has met the tripwire for a while.
#[inline(always)]
pub fn is_over() -> bool {
    maps::tripwire() && !maps::enabled()
}

/// Takes a socket's account away from it: user space finds it as that of a closed one.
#[inline(always)]
pub fn release(sk: Sock, account: &mut Account) {
    forget(sk, account);
    if maps::slots_in() != SLOTS_IN_HASH {
        // SAFETY: the map and the socket are what the helper wants; the verifier checks both.
        unsafe {
            bpf_sk_storage_delete(
                (&raw const SLOT_STORAGE).cast_mut().cast(),
                sk.0.0.cast_mut().cast(),
            )
        };
    }
}

#[inline(always)]
fn at(slot: u32) -> Option<&'static mut Account> {
    // SAFETY: the table outlives the programs. A socket's hooks run under its
    // lock, so no two programs hold the same account; but for accept's, which
    // leaves alone what another may be in the middle of.
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
    /// Beneath an MPTCP socket that is traced; the current task is anyone.
    Subflow = 2,
}

/// Gives an account to a socket that is older than the trace, if it holds
/// anything and the filter wants it: without a filter, only those over their
/// limit and those whose sender waits for room, so that a busy machine's sockets
/// do not fill the table; the others are counted.
///
/// Kernels before 5.19 walk without the socket's lock; the first hook under
/// the lock corrects what was read.
#[inline(always)]
pub fn open_existing(socket: TcpSock) {
    let TcpSock { sk, tp } = socket;
    let nospace = socket.nospace();
    if !adopts(socket) {
        if socket.key_fields().0 > 0
            && find(sk).is_none()
            && let Some(counters) = maps::counters()
        {
            counters.left_out += 1;
        }
        return;
    }
    if let Some(account) = some(open(sk, tp, First::Walk as u32)).and_then(at) {
        account.opened_lockless = 1;
        // Both bits, or none.
        account.blocked.nospace = nospace * (NOSPACE_NOW | NOSPACE_AT_FIRST);
        calls::note_worst(account, socket);
    }
}

/// Whether a socket that is older than the trace is to get an account.
#[inline(always)]
fn adopts(socket: impl Watched) -> bool {
    let (w, sndbuf, ..) = socket.key_fields();
    // SAFETY: the global is initialised and never changes.
    let filtered = unsafe { (&raw const (*maps::filter()).flags).read_volatile() } != 0;
    let sends = if maps::tripwire() {
        w > 0 && (w >= sndbuf || socket.nospace() != 0)
    } else {
        w > 0 && (filtered || w > sndbuf || socket.nospace() != 0)
    };
    (sends || maps::rx() && receives(socket.sock(), filtered)) && find(socket.sock()).is_none()
}

/// Whether a socket's receive buffer holds anything; without a filter: whether it is full.
#[inline(always)]
fn receives(sk: Sock, filtered: bool) -> bool {
    if offset!(rmem_alloc) == ABSENT || offset!(rcvbuf) == ABSENT {
        return false;
    }
    // SAFETY: offsets and types are those of the kernel's BTF.
    let (r, rcvbuf): (i32, i32) =
        unsafe { (sk.load(offset!(rmem_alloc)), sk.load(offset!(rcvbuf))) };
    r > 0 && (filtered || r >= rcvbuf)
}

/// Gives the socket an account if it is a TCP socket that the filter wants, and
/// returns its slot; [`NO_SLOT`] otherwise.
#[inline(never)]
fn open(sk: Sock, tp: KernelPtr, first: u32) -> u32 {
    open_as(TcpSock { sk, tp }, first)
}

/// The same for an MPTCP socket, without its lock.
#[inline(never)]
fn open_unlocked(sk: Sock, first: u32) -> u32 {
    open_as(Msk(sk), first)
}

/// Fields are stored in the account as early as possible: the verifier
/// follows each value that a flag on the stack may have, but none in a map.
#[inline(always)]
fn open_as<S: Watched>(socket: S, first: u32) -> u32 {
    let sk = socket.sock();
    let walk = first != First::Call as u32;
    let mut who = Ident::default();
    // SAFETY: offsets and types are those of the kernel's BTF.
    let protocol: u16 = unsafe { sk.load(offset!(protocol)) };
    // Above the low byte there is something else before 5.6.
    let wide = if S::IPPROTO > 0xff { 0xffff } else { 0xff };
    if protocol & wide != S::IPPROTO || !addresses(sk, &mut who) {
        return NO_SLOT;
    }
    place_and_task(sk, &mut who, walk);
    if first != First::Subflow as u32 && !passes(&who, walk) {
        return NO_SLOT;
    }
    let Ok(Some(slot)) = FREE_SLOTS.pop() else {
        if let Some(c) = maps::counters() {
            c.no_slot += 1;
        }
        core::hint::black_box(tell::no_slot(&who));
        return NO_SLOT;
    };
    let Some(account) = at(slot) else {
        return NO_SLOT;
    };
    // Until other hooks can find it nobody else counts the version.
    calls::change!(account, |a| {
        a.ident = who;
        a.slot = slot;
        a.scheduled.lean = u32::from(maps::lean());
        a.ident.flags |= socket.known_flags();
        identify(sk, &mut a.ident, walk);
        if S::MPTCP {
            a.mptcp = a.ident.id;
            a.token = socket.token();
            // Of what is charged, a part may be kept elsewhere.
            a.pages.exempt = 1;
        }
        let asked = sk.address();
        // SAFETY: the entry is copied at once; it is written by setsockopt of
        // the same socket only.
        if let Some(asked) = unsafe { ASKED.get(&asked) }
            && socket.sndbuf_locked() != 0
        {
            a.ident.so_sndbuf = asked.value;
            a.ident.flags |= asked.flags;
        }
        a.open(&socket, a.ident.seen_ns);
        if a.ledger.now.w != 0 {
            a.ident.flags |= IDENT_OLDER;
        }
        if !S::MPTCP {
            a.overhead = SHARED.get(SHARED_OVERHEAD).copied().unwrap_or(0);
        }
        socket.glance_into(&mut a.last);
        socket.rest_into(&mut a.last);
        a.last_ns = a.ident.seen_ns;
        outlet::first(a, socket);
        if maps::rx() {
            socket.start_receiving(a);
        }
    });
    let mut value = slot;
    // Another CPU may be quicker: the first one's slot stays.
    let kept = if maps::slots_in() != SLOTS_IN_HASH {
        let place = storage_get(sk, &raw mut value, BPF_SK_STORAGE_GET_F_CREATE);
        // SAFETY: the map's value is a u32.
        !place.is_null() && unsafe { *place } == slot
    } else {
        SLOT_HASH.insert(&sk.address(), &value, BPF_NOEXIST).is_ok()
    };
    if !kept {
        account.ident.id = 0;
        let _ = FREE_SLOTS.push(&slot, 0);
        return NO_SLOT;
    }
    output::opened(account);
    if maps::rx() {
        output::receive(account, Hook::ReceiveSeen, 0);
    }
    core::hint::black_box(tell::opened(&account.ident, slot));
    slot
}
