//! Whose the sockets are that nobody has used since they were adopted.

use std::collections::HashMap;

use skmem_common::account::Account;

use crate::{
    diag::{cgroups, owners::command_name},
    kernel::descriptors,
    model::places,
};

/// Holders of such sockets as they were when all processes could still be looked at, by inode.
#[derive(Debug, Default)]
pub struct Holders(HashMap<u32, Holder>);

#[derive(Debug, Clone, Copy)]
struct Holder {
    pid: u32,
    comm: [u8; 16],
    cgroup: u64,
}

impl Holders {
    /// Looks who holds the sockets of these accounts.
    pub fn learn(accounts: &[Box<Account>]) -> Self {
        let inodes: Vec<u32> = accounts
            .iter()
            .filter(|account| is_unknown(account))
            .map(|account| account.ident.inode)
            .collect();
        if inodes.is_empty() {
            return Self::default();
        }
        let owners = descriptors::owners().unwrap_or_default();
        let held = inodes.into_iter().filter_map(|inode| {
            let pid = owners.of(inode).next()?.pid;
            let mut comm = [0; 16];
            let name = command_name(pid);
            let name = &name.as_bytes()[..name.len().min(15)];
            comm[..name.len()].copy_from_slice(name);
            let cgroup = cgroups::of_process(pid).unwrap_or(0);
            Some((inode, Holder { pid, comm, cgroup }))
        });
        Self(held.collect())
    }

    /// Fills them in: what can be seen now, else what was seen then.
    pub fn name(&self, accounts: &mut [Box<Account>]) {
        let now = Self::learn(accounts);
        for account in accounts.iter_mut().filter(|account| is_unknown(account)) {
            let inode = account.ident.inode;
            if let Some(holder) = now.0.get(&inode).or_else(|| self.0.get(&inode)) {
                account.ident.pid = holder.pid;
                account.ident.comm = holder.comm;
                if places::cgroup_id(&account.ident) == 0 {
                    account.ident.cgroup_lo = holder.cgroup as u32;
                    account.ident.cgroup_hi = (holder.cgroup >> 32) as u32;
                }
            }
        }
    }
}

fn is_unknown(account: &Account) -> bool {
    account.ident.pid == 0 && account.ident.inode != 0
}
