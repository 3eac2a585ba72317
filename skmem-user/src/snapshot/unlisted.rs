//! TCP sockets that exist and are in no list: who holds them?
//!
//! A socket that the peer has reset leaves the kernel's tables at once (`tcp_done`), but its unread
//! data stays charged until the application closes it. Only its descriptor is left to be found by.

use std::collections::{HashMap, HashSet};

use super::account::UnlistedHolder;
use crate::diag::owners::{Owners, command_name, is_tcp};

/// Descriptors that are asked at most what they are: one system call each.
const MOST: usize = 100_000;

/// The processes that hold them, the most first. `listed` are the inodes of sockets that are in a
/// list.
pub(super) fn find(owners: &Owners, listed: &HashSet<u32>) -> Vec<UnlistedHolder> {
    let mut held: HashMap<u32, u64> = HashMap::new();
    let others = owners
        .sockets()
        .filter(|(inode, _)| !listed.contains(inode));
    for (_, descriptor) in others.take(MOST) {
        if is_tcp(descriptor) {
            *held.entry(descriptor.pid).or_default() += 1;
        }
    }
    let mut unlisted: Vec<UnlistedHolder> = held
        .into_iter()
        .map(|(pid, sockets)| UnlistedHolder {
            pid,
            comm: command_name(pid),
            sockets,
        })
        .collect();
    unlisted.sort_unstable_by_key(|holder| (std::cmp::Reverse(holder.sockets), holder.pid));
    unlisted
}
