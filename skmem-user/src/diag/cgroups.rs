//! Names of cgroups by the id that sock_diag reports (`INET_DIAG_CGROUP_ID`).

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::account_sources::cgroup2_root;

/// The paths of these cgroups, relative to the hierarchy's root (`/` is the root itself). One walk over the
/// tree, which ends when all are found; an id without a path belongs to a cgroup that is gone.
#[must_use]
pub fn paths(ids: &HashSet<u64>) -> HashMap<u64, String> {
    let mut found = HashMap::new();
    if let (Some(root), false) = (cgroup2_root(), ids.is_empty()) {
        walk(&root, &root, ids, &mut found);
    }
    found
}

/// The id of the cgroup that a process is in now: the inode of its directory.
#[must_use]
pub fn of_process(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let meta = fs::metadata(cgroup2_root()?.join(path)).ok()?;
    Some(meta.ino())
}

fn walk(root: &Path, at: &Path, ids: &HashSet<u64>, found: &mut HashMap<u64, String>) {
    // On 64-bit kernels the inode is the id (kernfs_ino).
    if let Ok(meta) = fs::symlink_metadata(at)
        && ids.contains(&meta.ino())
    {
        let below = at.strip_prefix(root).unwrap_or(at).display();
        found.insert(meta.ino(), format!("/{below}"));
    }
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        if found.len() == ids.len() {
            return;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(root, &entry.path(), ids, found);
        }
    }
}
