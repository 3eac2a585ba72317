//! Whose each socket is: descriptors, names, cgroups.

use std::collections::{HashMap, HashSet};

use super::{
    capture::processes,
    row::{Holder, Owner, Row},
};
use crate::{
    diag::{
        cgroups,
        owners::{Owners, Since, command_name},
    },
    explain::numbers::grouped,
};

/// Tells each row its holders. A socket that may have been opened while `/proc` was read is
/// looked for once more.
pub(super) fn give(rows: &mut [Row], owners: &Owners, since: Since, notes: &mut Vec<String>) {
    let mut names = HashMap::new();
    assign(rows, owners, &mut names);
    let denied = owners.denied > 0;
    if !denied
        && rows
            .iter()
            .any(|row| row.owner == Owner::NotFound && since.may_have(row.inode))
        && let Ok(again) = Owners::read()
    {
        assign(rows, &again, &mut names);
    }
    let unknown = rows
        .iter()
        .filter(|row| row.owner == Owner::NotPermitted)
        .count();
    if unknown > 0 {
        let unknown = grouped(unknown as i64);
        notes.push(format!(
            "the owners of {unknown} sockets: {} may not be looked at (run as root, or with CAP_SYS_PTRACE)",
            processes(u64::from(owners.denied))
        ));
    }
}

fn assign(rows: &mut [Row], owners: &Owners, names: &mut HashMap<u32, Box<str>>) {
    let denied = owners.denied > 0;
    for row in rows.iter_mut().filter(|row| row.owner != Owner::Process) {
        if row.inode != 0 {
            row.holders = owners
                .of(row.inode)
                .map(|held| Holder {
                    pid: held.pid,
                    comm: names
                        .entry(held.pid)
                        .or_insert_with(|| command_name(held.pid))
                        .clone(),
                    fd: held.fd,
                })
                .collect();
        }
        row.owner = match row.holders.is_empty() {
            true => row.without_holder(denied),
            false => Owner::Process,
        };
    }
}

/// Tells each row the path of its cgroup.
pub(super) fn give_cgroups(rows: &mut [Row]) {
    let ids: HashSet<u64> = rows.iter().filter_map(|row| row.cgroup_id).collect();
    let paths = cgroups::paths(&ids);
    for row in rows {
        row.cgroup = row.cgroup_id.and_then(|id| paths.get(&id).cloned());
    }
}
