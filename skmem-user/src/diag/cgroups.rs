//! Cgroups (v2): where they are mounted, and their paths by the ids that `sock_diag` reports
//! (`INET_DIAG_CGROUP_ID`).
//!
//! A path here is what `/proc/PID/cgroup` shows after `0::`, below the root that this process sees:
//! that of its cgroup namespace. A directory of the mount has the same path where the mount shows
//! the whole of it; a container that has only its own part mounted (the root field of
//! `/proc/self/mountinfo`) is counted in.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use skmem_common::filter::ANY_LEVEL;

/// Inode of the cgroup namespace that the kernel starts with (`PROC_CGROUP_INIT_INO`).
const FIRST_NAMESPACE: u64 = 0xefff_fffb;

/// Where cgroup v2 is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup2 {
    /// The directory.
    pub at: PathBuf,
    /// The path of the cgroup that lies there; `/` where all of the hierarchy does.
    root: String,
}

static PLACE: OnceLock<Option<Cgroup2>> = OnceLock::new();

/// Where cgroup v2 is: where [`use_root`] said, else what `/proc/self/mountinfo` says. Looked up
/// once.
#[must_use]
pub fn cgroup2() -> Option<&'static Cgroup2> {
    PLACE.get_or_init(|| best(mounts())).as_ref()
}

/// Takes `dir` as the place of cgroup v2 instead of looking for it: before anything asks for it.
///
/// # Errors
/// What is wrong with it.
pub fn use_root(dir: &Path) -> Result<(), String> {
    let at = fs::canonicalize(dir).map_err(|e| e.to_string())?;
    // Version 1 has no such file.
    if !at.join("cgroup.controllers").exists() {
        return Err("it is not a cgroup (v2): it has no cgroup.controllers".to_owned());
    }
    let known = mounts().into_iter().rev().find(|mount| mount.at == at);
    let root = known.map_or_else(|| "/".to_owned(), |mount| mount.root);
    // Who looked before has the other one: a caller's mistake that harms nobody.
    let _ = PLACE.set(Some(Cgroup2 { at, root }));
    Ok(())
}

fn mounts() -> Vec<Cgroup2> {
    mounts_in(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// The mounts of cgroup v2 in a text such as `/proc/self/mountinfo`: `ID PARENT DEV ROOT AT OPTIONS
/// … - TYPE …`.
fn mounts_in(mountinfo: &str) -> Vec<Cgroup2> {
    let mount = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut words = mount.split(' ').skip(3);
        let (root, at) = (words.next()?, words.next()?);
        (kind.split(' ').next()? == "cgroup2").then(|| Cgroup2 {
            at: PathBuf::from(unescaped(at)),
            root: unescaped(root),
        })
    };
    mountinfo.lines().filter_map(mount).collect()
}

/// Of several: the one that shows all of the hierarchy; of those the one at the usual place, alone
/// or beside version 1 (hybrid). The last of equals lies on top of the others.
fn best(mounts: Vec<Cgroup2>) -> Option<Cgroup2> {
    let worth = |mount: &Cgroup2| {
        let usual = match mount.at.to_str() {
            Some("/sys/fs/cgroup") => 2,
            Some("/sys/fs/cgroup/unified") => 1,
            _ => 0,
        };
        (mount.root == "/", usual)
    };
    mounts.into_iter().max_by_key(worth)
}

/// `\040` and the like, as the kernel writes blanks in `/proc/self/mountinfo` (`mangle`).
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match after
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok())
        {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out + rest
}

impl Cgroup2 {
    /// One that shows all of the hierarchy.
    #[must_use]
    pub fn whole(at: &Path) -> Self {
        Self {
            at: at.to_path_buf(),
            root: "/".to_owned(),
        }
    }

    /// The path of a cgroup by its directory; None where that is not below the mount.
    #[must_use]
    pub fn path_of(&self, dir: &Path) -> Option<String> {
        let below = dir.strip_prefix(&self.at).ok()?;
        let root = self.root.trim_end_matches('/');
        Some(match below.as_os_str().is_empty() {
            true if root.is_empty() => "/".to_owned(),
            true => root.to_owned(),
            false => format!("{root}/{}", below.display()),
        })
    }

    /// The directory of a cgroup by its path; None where the mount does not show it.
    #[must_use]
    pub fn dir_of(&self, path: &str) -> Option<PathBuf> {
        let below = path.strip_prefix(self.root.trim_end_matches('/'))?;
        let inside = below.is_empty() || below.starts_with('/');
        inside.then(|| self.at.join(below.trim_start_matches('/')))
    }

    /// The depth of the cgroup with this path below the root of the hierarchy, as the kernel counts
    /// it (`cgroup->level`); [`ANY_LEVEL`] in a cgroup namespace, which hides what is above it.
    #[must_use]
    pub fn level_of(&self, path: &str) -> u32 {
        let own = fs::metadata("/proc/self/ns/cgroup").map(|meta| meta.ino());
        match own {
            Ok(FIRST_NAMESPACE) => {
                let parts = path.split('/').filter(|part| !part.is_empty());
                u32::try_from(parts.count()).unwrap_or(ANY_LEVEL)
            }
            _ => ANY_LEVEL,
        }
    }
}

/// The paths of these cgroups. One walk over the tree, which ends when all are found; an id without
/// a path belongs to a cgroup that is gone.
#[must_use]
pub fn paths(ids: &HashSet<u64>) -> HashMap<u64, String> {
    let mut found = HashMap::new();
    if let (Some(place), false) = (cgroup2(), ids.is_empty()) {
        walk(place, &place.at, ids, &mut found);
    }
    found
}

/// The path of the cgroup that a process is in now.
#[must_use]
pub fn path_of_process(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    // A directory that was removed with a zombie in it.
    Some(path.trim_end_matches(" (deleted)").to_owned())
}

/// The id of the cgroup that a process is in now: the inode of its directory.
#[must_use]
pub fn of_process(pid: u32) -> Option<u64> {
    let dir = cgroup2()?.dir_of(&path_of_process(pid)?)?;
    fs::metadata(dir).ok().map(|meta| meta.ino())
}

fn walk(place: &Cgroup2, at: &Path, ids: &HashSet<u64>, found: &mut HashMap<u64, String>) {
    // On 64-bit kernels the inode is the id (kernfs_ino).
    if let Ok(meta) = fs::symlink_metadata(at)
        && ids.contains(&meta.ino())
        && let Some(path) = place.path_of(at)
    {
        found.insert(meta.ino(), path);
    }
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        if found.len() == ids.len() {
            return;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(place, &entry.path(), ids, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/proc/self/mountinfo` of machines.
    fn place(mountinfo: &str) -> Option<(String, String)> {
        let best = best(mounts_in(mountinfo))?;
        Some((best.at.display().to_string(), best.root))
    }

    #[test]
    fn the_hierarchy_is_found_on_machines_of_all_kinds() {
        let line = |root: &str, at: &str, kind: &str| {
            format!("31 23 0:27 {root} {at} rw,nosuid shared:9 - {kind} none rw\n")
        };
        let v2 = |root: &str, at: &str| line(root, at, "cgroup2");
        let found = |at: &str, root: &str| Some((at.to_owned(), root.to_owned()));
        assert_eq!(
            place(&v2("/", "/sys/fs/cgroup")),
            found("/sys/fs/cgroup", "/")
        );
        // Hybrid: version 1 beside it.
        let hybrid =
            line("/", "/sys/fs/cgroup/memory", "cgroup") + &v2("/", "/sys/fs/cgroup/unified");
        assert_eq!(place(&hybrid), found("/sys/fs/cgroup/unified", "/"));
        // A container without a cgroup namespace, which has its own part mounted.
        let part = v2("/docker/abc", "/sys/fs/cgroup");
        assert_eq!(place(&part), found("/sys/fs/cgroup", "/docker/abc"));
        // The same with the machine's mounted beside it.
        let both = v2("/", "/host/cgroup") + &part;
        assert_eq!(place(&both), found("/host/cgroup", "/"));
        assert_eq!(place(&v2("/", r"/a\040b")), found("/a b", "/"));
        assert_eq!(place(&line("/", "/sys/fs/cgroup/cpu", "cgroup")), None);
        assert_eq!(place("x - cgroup2\n\n - \n"), None);
    }

    #[test]
    fn directories_have_the_paths_of_proc() {
        let mount = |root: &str| Cgroup2 {
            at: "/sys/fs/cgroup".into(),
            root: root.into(),
        };
        for (root, dir, path) in [
            ("/", "/sys/fs/cgroup", "/"),
            ("/", "/sys/fs/cgroup/a/b", "/a/b"),
            ("/docker/x", "/sys/fs/cgroup", "/docker/x"),
            ("/docker/x", "/sys/fs/cgroup/a", "/docker/x/a"),
            ("/..", "/sys/fs/cgroup/a", "/../a"),
        ] {
            let mount = mount(root);
            assert_eq!(mount.path_of(Path::new(dir)).as_deref(), Some(path));
            assert_eq!(
                mount.dir_of(path).as_deref(),
                Some(Path::new(dir)),
                "{path}"
            );
        }
        assert_eq!(mount("/").path_of(Path::new("/sys")), None);
        assert_eq!(mount("/docker/x").dir_of("/docker/xy"), None);
        assert_eq!(mount("/docker/x").dir_of("/system.slice"), None);
    }

    #[test]
    fn a_root_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(use_root(dir.path()).unwrap_err().contains("no cgroup"));
        assert!(use_root(Path::new("/no/such/dir")).is_err());
    }
}
