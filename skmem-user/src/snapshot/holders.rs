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
    kernel::descriptors,
};

/// When it was read who holds what.
#[derive(Debug, Clone, Copy)]
pub(super) enum When<'a> {
    /// For this look; when that began.
    Now(Since),
    /// For an earlier one. These had no holder then; any other without a holder may be newer.
    Before(&'a HashSet<u32>),
}

/// Sets the holders of each row. A socket that may have been opened while `/proc` was read is
/// looked for once more.
pub(super) fn set(rows: &mut [Row], owners: &Owners, when: When<'_>, notes: &mut Vec<String>) {
    let mut names = HashMap::new();
    assign(rows, owners, &mut names);
    let denied = owners.denied > 0;
    match when {
        When::Before(unheld) => {
            let unknown = |row: &&mut Row| {
                matches!(row.owner, Owner::NotFound | Owner::NotPermitted)
                    && !unheld.contains(&row.inode)
            };
            for row in rows.iter_mut().filter(unknown) {
                row.owner = Owner::NotAsked;
            }
        }
        When::Now(since) => {
            let missing = |row: &Row| row.owner == Owner::NotFound && since.may_have(row.inode);
            if !denied
                && rows.iter().any(missing)
                && let Ok(again) = descriptors::owners()
            {
                assign(rows, &again, &mut names);
            }
        }
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

/// Sets the path of each row's cgroup. `known` are those looked up before: a cgroup's id is never
/// used again.
pub(super) fn set_cgroups(rows: &mut [Row], known: &mut HashMap<u64, Option<String>>) {
    let ids = rows.iter().filter_map(|row| row.cgroup_id);
    let new: HashSet<u64> = ids.filter(|id| !known.contains_key(id)).collect();
    let mut paths = cgroups::paths(&new);
    known.extend(new.iter().map(|id| (*id, paths.remove(id))));
    for row in rows {
        let path = row.cgroup_id.and_then(|id| known.get(&id));
        row.cgroup = path.cloned().flatten();
    }
}
