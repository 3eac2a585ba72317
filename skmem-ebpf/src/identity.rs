//! Who a socket is: addresses, namespace, cookie, the task that uses it.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns,
    generated::{bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_socket_cookie},
};
use skmem_common::{
    layout::ABSENT,
    record::{IDENT_COOKIE, Ident},
};

use crate::{
    maps,
    socket::{KernelPtr, Sock, offset},
};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// Marks ids that are not the kernel's cookies.
const OWN_ID: u64 = 1 << 63;

/// Fills in what filters ask for beside addresses: the namespace, the inode,
/// and, but in a walk, the current task.
#[inline(always)]
pub fn place_and_task(sk: Sock, who: &mut Ident, walk: bool) {
    // SAFETY: offsets and types are those of the kernel's BTF.
    unsafe {
        let net: *const u8 = sk.load(offset!(net));
        who.netns = KernelPtr(net).load(offset!(net_inum));
    }
    who.inode = sk.inode();
    if !walk {
        let ids = bpf_get_current_pid_tgid();
        who.pid = (ids >> 32) as u32;
        who.tid = ids as u32;
        // SAFETY: the helper writes those 16 bytes.
        unsafe { bpf_get_current_comm((&raw mut who.comm).cast(), 16) };
    }
}

/// Fills in the rest.
#[inline(always)]
pub fn identify(sk: Sock, who: &mut Ident, walk: bool) {
    if !walk {
        // SAFETY: the helper takes nothing.
        let cgroup = unsafe { bpf_get_current_cgroup_id() };
        who.cgroup_lo = cgroup as u32;
        who.cgroup_hi = (cgroup >> 32) as u32;
    }
    // SAFETY: the helper takes nothing.
    who.seen_ns = unsafe { bpf_ktime_get_ns() };
    let id = cookie(sk);
    if id == 0 {
        // SAFETY: the helper takes nothing.
        let cpu = u64::from(unsafe { bpf_get_smp_processor_id() });
        who.id = OWN_ID | (cpu << 48) | (who.seen_ns & 0xffff_ffff_ffff);
    } else {
        who.id = id;
        who.flags |= IDENT_COOKIE;
    }
}

/// Fills in family, addresses and ports; false where it is not an internet socket.
#[inline(always)]
pub fn addresses(sk: Sock, who: &mut Ident) -> bool {
    // SAFETY: offsets and types are those of the kernel's BTF.
    unsafe {
        who.family = sk.load(offset!(family));
        who.sport = sk.load(offset!(num));
        who.dport = u16::from_be(sk.load(offset!(dport)));
        if who.family == AF_INET {
            put(&mut who.saddr, 0, sk.load(offset!(rcv_saddr)));
            put(&mut who.daddr, 0, sk.load(offset!(daddr)));
        } else if who.family == AF_INET6 {
            if offset!(v6_rcv_saddr) != ABSENT {
                put(&mut who.saddr, 0, sk.load(offset!(v6_rcv_saddr)));
                put(&mut who.saddr, 4, sk.load(offset!(v6_rcv_saddr) + 4));
                put(&mut who.saddr, 8, sk.load(offset!(v6_rcv_saddr) + 8));
                put(&mut who.saddr, 12, sk.load(offset!(v6_rcv_saddr) + 12));
            }
            if offset!(v6_daddr) != ABSENT {
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
