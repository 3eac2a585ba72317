//! A socket's account: how a hook finds it, and which sockets get one.
//!
//! Accounts are made on rare paths only: `tcp_connect`, the first
//! `tcp_sendmsg_locked` under skmem's eyes, or the first allocation by a call
//! that was already under way. The filter is asked there, once. Everywhere
//! else "has it an account?" is the whole test.

use core::ptr;

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns,
    generated::{
        bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_get_socket_cookie,
        bpf_sk_storage_get,
    },
};
use skmem_common::{
    account::Account,
    filter::{BY_CGROUP, BY_COMM, BY_PID, BY_TASK, Filter},
    layout::ABSENT,
    record::{IDENT_CLOSED, IDENT_COOKIE, IDENT_OLDER, Ident},
};

use crate::{
    calls,
    maps::{
        self, ACCOUNTS, ASKED, ENABLED, FREE_SLOTS, INODES, OVERHEAD, PIDS, SHARED, SLOT_HASH,
        SLOT_STORAGE,
    },
    output,
    socket::{Kernel, Sock, offset},
    tell,
};

const IPPROTO_TCP: u16 = 6;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const BPF_SK_STORAGE_GET_F_CREATE: u64 = 1;
const BPF_NOEXIST: u64 = 1;
/// Marks ids that are not the kernel's cookies.
const OWN_ID: u64 = 1 << 63;

/// The socket's account, where it has one.
#[inline(always)]
pub fn find(sk: Sock) -> Option<&'static mut Account> {
    if maps::empty() {
        return None;
    }
    let slot = if maps::use_storage() {
        if offset!(bpf_storage) != ABSENT {
            // SAFETY: a pointer field; it is only compared.
            let storage: u64 = unsafe { sk.load(offset!(bpf_storage)) };
            if storage == 0 {
                return None;
            }
        }
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
    at(slot)
}

/// The socket's account for a call by the current task: a new one where the
/// socket has none and the filter wants it.
#[inline(always)]
pub fn find_or_open(sk: Sock, tp: Kernel) -> Option<&'static mut Account> {
    match find(sk) {
        Some(account) => Some(account),
        None => {
            if maps::empty() || SHARED.get(ENABLED).is_none_or(|e| *e == 0) {
                return None;
            }
            if open(sk, tp, First::Call as u32) == 0 {
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
pub fn open_existing(sk: Sock, tp: Kernel) {
    let seen = sk.seen(tp);
    // SAFETY: the global is initialised and never changes.
    let filtered = unsafe { (&raw const (*maps::filter()).flags).read_volatile() } != 0;
    if seen.w > 0
        && (filtered || seen.w > seen.sndbuf)
        && find(sk).is_none()
        && open(sk, tp, First::Walk as u32) != 0
        && let Some(account) = find(sk)
    {
        account.unanchored = 1;
        calls::note_worst(account, sk, tp);
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
    if protocol & 0xff != IPPROTO_TCP || !identify(sk, &mut who, walk) || !passes(&who, walk) {
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
    let seen = sk.seen(tp);
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
    account.overhead = SHARED.get(OVERHEAD).copied().unwrap_or(0);
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

/// Fills in who the socket is; false where it is no internet socket.
#[inline(always)]
fn identify(sk: Sock, who: &mut Ident, walk: bool) -> bool {
    if !addresses(sk, who) {
        return false;
    }
    // SAFETY: offsets and types are those of the kernel's BTF.
    unsafe {
        let net: *const u8 = sk.load(offset!(net));
        who.netns = Kernel(net).load(offset!(net_inum));
    }
    who.inode = sk.inode();
    if !walk {
        let ids = bpf_get_current_pid_tgid();
        who.pid = (ids >> 32) as u32;
        who.tid = ids as u32;
        who.comm = bpf_get_current_comm().unwrap_or_default();
        // SAFETY: the helper takes nothing.
        let cgroup = unsafe { bpf_get_current_cgroup_id() };
        who.cgroup_lo = cgroup as u32;
        who.cgroup_hi = (cgroup >> 32) as u32;
    }
    // SAFETY: the helper takes nothing.
    who.seen_ns = unsafe { bpf_ktime_get_ns() };
    who.id = cookie(sk);
    if who.id == 0 {
        // SAFETY: the helper takes nothing.
        let cpu = u64::from(unsafe { bpf_get_smp_processor_id() });
        who.id = OWN_ID | (cpu << 48) | (who.seen_ns & 0xffff_ffff_ffff);
    } else {
        who.flags |= IDENT_COOKIE;
    }
    true
}

/// Fills in family, addresses and ports; false where it is no internet socket.
#[inline(always)]
fn addresses(sk: Sock, who: &mut Ident) -> bool {
    // SAFETY: offsets and types are those of the kernel's BTF.
    unsafe {
        who.family = sk.load(offset!(family));
        who.sport = sk.load(offset!(num));
        who.dport = u16::from_be(sk.load(offset!(dport)));
        if who.family == AF_INET {
            put(&mut who.saddr, 0, sk.load(offset!(rcv_saddr)));
            put(&mut who.daddr, 0, sk.load(offset!(daddr)));
        } else if who.family == AF_INET6 {
            if offset!(v6_daddr) != ABSENT {
                put(&mut who.saddr, 0, sk.load(offset!(v6_rcv_saddr)));
                put(&mut who.saddr, 4, sk.load(offset!(v6_rcv_saddr) + 4));
                put(&mut who.saddr, 8, sk.load(offset!(v6_rcv_saddr) + 8));
                put(&mut who.saddr, 12, sk.load(offset!(v6_rcv_saddr) + 12));
                put(&mut who.daddr, 0, sk.load(offset!(v6_daddr)));
                put(&mut who.daddr, 4, sk.load(offset!(v6_daddr) + 4));
                put(&mut who.daddr, 8, sk.load(offset!(v6_daddr) + 8));
                put(&mut who.daddr, 12, sk.load(offset!(v6_daddr) + 12));
            }
        } else {
            return false;
        }
    }
    true
}

/// The socket's cookie; 0 where it has none yet and the kernel gives none.
#[inline(always)]
fn cookie(sk: Sock) -> u64 {
    if maps::use_cookie() {
        // SAFETY: the helper takes a socket pointer and checks it.
        return unsafe { bpf_get_socket_cookie(sk.0.0.cast_mut().cast()) };
    }
    if offset!(cookie) == ABSENT {
        return 0;
    }
    // SAFETY: the offset and type are those of the kernel's BTF.
    unsafe { sk.load(offset!(cookie)) }
}

#[inline(always)]
fn put(to: &mut [u8; 16], at: usize, word: u32) {
    let bytes = word.to_ne_bytes();
    to[at] = bytes[0];
    to[at + 1] = bytes[1];
    to[at + 2] = bytes[2];
    to[at + 3] = bytes[3];
}

/// Whether the filter wants this socket, used by the current task; in a walk,
/// user space has told which sockets the filter's tasks hold.
#[inline(always)]
fn passes(who: &Ident, walk: bool) -> bool {
    let filter = maps::filter();
    // SAFETY: the global is initialised and never changes.
    let flags = unsafe { (&raw const (*filter).flags).read_volatile() };
    if flags == 0 {
        return true;
    }
    // SAFETY: as above.
    let filter: Filter = unsafe { filter.read_volatile() };
    if walk {
        // SAFETY: the entry is only tested for.
        let held = unsafe { INODES.get(&who.inode) }.is_some();
        return (flags & BY_TASK == 0 || held) && filter.socket_passes(who);
    }
    // SAFETY: the entry is only tested for.
    if flags & BY_PID != 0 && unsafe { PIDS.get(&who.pid) }.is_none() {
        return false;
    }
    if flags & BY_COMM != 0 && who.comm != filter.comm {
        return false;
    }
    if flags & BY_CGROUP != 0 {
        // SAFETY: the helper takes a level.
        let id = unsafe { bpf_get_current_ancestor_cgroup_id(filter.cgroup_level as i32) };
        if id != filter.cgroup {
            return false;
        }
    }
    filter.socket_passes(who)
}
