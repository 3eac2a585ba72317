//! Which sockets the filter wants.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_ancestor_cgroup_id};
use skmem_common::{
    filter::{
        ANY_LEVEL, BY_CGROUP, BY_COMM, BY_DADDR, BY_DPORT, BY_NETNS, BY_PID, BY_SADDR, BY_SPORT,
        BY_TASK, MOST_LEVELS, words,
    },
    record::Ident,
};

use crate::{
    maps::{self, COMMS, INODES, PIDS},
    socket::{KernelPtr, Sock, offset},
};

/// What of the filter costs a load and a comparison, for the path that most
/// calls on a busy machine take: those on sockets that nobody asked for.
#[inline(always)]
pub fn may_pass(sk: Sock) -> bool {
    let filter = maps::filter();
    // SAFETY: the global is initialised and never changes.
    let flags = unsafe { (&raw const (*filter).flags).read_volatile() };
    if flags & BY_PID != 0 {
        let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
        // SAFETY: the entry is only tested for.
        if unsafe { PIDS.get(&pid) }.is_none() {
            return false;
        }
    }
    // SAFETY: as above; offsets and types are those of the kernel's BTF.
    unsafe {
        if flags & BY_SPORT != 0
            && sk.load::<u16>(offset!(num)) != (&raw const (*filter).sport).read_volatile()
        {
            return false;
        }
        // A socket that has not connected yet has no remote port.
        if flags & BY_DPORT != 0 {
            let port = u16::from_be(sk.load(offset!(dport)));
            if port != 0 && port != (&raw const (*filter).dport).read_volatile() {
                return false;
            }
        }
        if flags & BY_NETNS != 0 {
            let net: *const u8 = sk.load(offset!(net));
            let inum: u32 = KernelPtr(net).load(offset!(net_inum));
            return inum == (&raw const (*filter).netns).read_volatile();
        }
    }
    true
}

/// Whether the current task is in a cgroup, which lies at this level, or below
/// it.
#[inline(always)]
fn is_below(level: u32, cgroup: u64) -> bool {
    // SAFETY: the helper takes any level; of one that the task's cgroup does
    // not have, it gives 0.
    let is = |level: u32| unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) } == cgroup;
    if level != ANY_LEVEL {
        return is(level);
    }
    (0..MOST_LEVELS).any(is)
}

/// Whether the filter wants this socket, used by the current task; in a walk,
/// user space has put the inodes of the sockets that the filter's tasks hold into a map.
///
/// The filter is read part by part: as a whole it takes a quarter of the stack.
#[inline(always)]
pub fn passes(who: &Ident, walk: bool) -> bool {
    let filter = maps::filter();
    // SAFETY: the global is initialised and never changes.
    let flags = unsafe { (&raw const (*filter).flags).read_volatile() };
    if flags == 0 {
        return true;
    }
    if walk {
        // SAFETY: the entry is only tested for.
        if flags & BY_TASK != 0 && unsafe { INODES.get(&who.inode) }.is_none() {
            return false;
        }
    } else {
        // SAFETY: as above.
        if flags & BY_PID != 0 && unsafe { PIDS.get(&who.pid) }.is_none() {
            return false;
        }
        // SAFETY: as above.
        if flags & BY_COMM != 0 && unsafe { COMMS.get(&who.comm) }.is_none() {
            return false;
        }
        if flags & BY_CGROUP != 0 {
            // SAFETY: as above.
            let (level, wanted) = unsafe {
                (
                    (&raw const (*filter).cgroup_level).read_volatile(),
                    (&raw const (*filter).cgroup).read_volatile(),
                )
            };
            if !is_below(level, wanted) {
                return false;
            }
        }
    }
    // SAFETY: as above.
    unsafe {
        if flags & BY_NETNS != 0 && who.netns != (&raw const (*filter).netns).read_volatile()
            || flags & BY_SPORT != 0 && who.sport != (&raw const (*filter).sport).read_volatile()
            || flags & BY_DPORT != 0 && who.dport != (&raw const (*filter).dport).read_volatile()
        {
            return false;
        }
        if flags & BY_SADDR != 0 {
            let prefix = (&raw const (*filter).saddr).read_volatile();
            if !prefix.holds(who.family, &words(&who.saddr)) {
                return false;
            }
        }
        if flags & BY_DADDR != 0 {
            let prefix = (&raw const (*filter).daddr).read_volatile();
            return prefix.holds(who.family, &words(&who.daddr));
        }
    }
    true
}
