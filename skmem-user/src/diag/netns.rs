//! The machine's network namespaces: finding them, and asking a question inside one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::owners::Owners;

/// Where `ip netns` keeps names.
const NAMED: &str = "/run/netns";

/// A network namespace, and a way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its inode (`ns.inum`), as in `/proc/PID/ns/net`.
    pub inode: u64,
    /// A path that opens it.
    pub path: PathBuf,
    /// The name that `ip netns` gave it, or the process through which it was found.
    pub name: String,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    /// Each once, our own first.
    pub all: Vec<Namespace>,
    /// Processes whose namespace may not be looked at.
    pub denied: u32,
}

/// The calling thread's namespace.
///
/// # Errors
/// Where `/proc` is not mounted.
pub fn own() -> io::Result<Namespace> {
    let path = PathBuf::from("/proc/thread-self/ns/net");
    let inode = fs::metadata(&path)?.ino();
    Ok(Namespace {
        inode,
        path,
        name: "this one".into(),
    })
}

/// The names that `ip netns` gave, by the namespaces' inodes.
#[must_use]
pub fn names() -> BTreeMap<u32, String> {
    let entries = fs::read_dir(NAMED).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let inode = fs::metadata(entry.path()).ok()?.ino();
        let name = entry.file_name().to_string_lossy().into_owned();
        Some((u32::try_from(inode).ok()?, name))
    });
    named.collect()
}

/// Namespaces in which processes live, those that are mounted (`ip netns`, containers), and those
/// that processes hold open (`held`, by inode).
///
/// A namespace that only a socket keeps alive is in none of these lists.
///
/// # Errors
/// Where `/proc` is not mounted.
pub fn find(held: &HashMap<u64, PathBuf>) -> io::Result<Namespaces> {
    let own = own()?;
    let mut denied = 0;
    let mut found = BTreeMap::new();
    let mut add = |path: PathBuf, name: &dyn Fn() -> String| match fs::metadata(&path) {
        Ok(meta) => {
            let inode = meta.ino();
            found.entry(inode).or_insert_with(|| Namespace {
                inode,
                path,
                name: name(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied += 1,
        Err(_) => {}
    };
    // A file that is not a namespace may lie among the names; its device differs.
    let nsfs = fs::metadata(&own.path)?.dev();
    for path in mounted() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if fs::metadata(&path).is_ok_and(|meta| meta.dev() == nsfs) {
            add(path.clone(), &|| name.to_string());
        }
    }
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        if let Some(pid) = name
            .to_str()
            .filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
        {
            add(format!("/proc/{pid}/ns/net").into(), &|| {
                format!("pid {pid}")
            });
        }
    }
    for path in held.values() {
        add(path.clone(), &|| "held open".into());
    }
    found.remove(&own.inode);
    let mut all = vec![own];
    all.extend(found.into_values());
    Ok(Namespaces { all, denied })
}

/// Ways into namespaces, each once: those in which these processes live, those that are mounted,
/// and those that `owners` (which may know of these processes only) found open.
#[must_use]
pub fn of(pids: &[u32], owners: &Owners) -> Vec<PathBuf> {
    let lived = pids
        .iter()
        .map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net")));
    let open = owners.held_namespaces().values().cloned();
    let nsfs = own()
        .and_then(|own| fs::metadata(own.path))
        .map(|meta| meta.dev());
    let mut seen = HashSet::new();
    lived
        .chain(mounted())
        .chain(open)
        .filter(|path| {
            fs::metadata(path).is_ok_and(|meta| {
                nsfs.as_ref().is_ok_and(|nsfs| meta.dev() == *nsfs) && seen.insert(meta.ino())
            })
        })
        .collect()
}

/// Namespaces that are mounted somewhere in our mount namespace.
fn mounted() -> Vec<PathBuf> {
    let named = fs::read_dir(NAMED).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    paths.extend(table.lines().filter_map(mounted_at));
    paths
}

/// The mount point of a network namespace in a line of `mountinfo`.
fn mounted_at(line: &str) -> Option<PathBuf> {
    let mut words = line.split(' ');
    let root = words.nth(3)?;
    let at = words.next()?;
    (root.starts_with("net:[") && !at.contains('\\')).then(|| PathBuf::from(at))
}

/// Runs `ask` in a thread of its own inside the namespace at `path` (`setns`; needs
/// `CAP_SYS_ADMIN`).
///
/// # Errors
/// Where the namespace is gone or may not be entered.
pub fn inside<T: Send>(path: &Path, ask: impl FnOnce() -> T + Send) -> io::Result<T> {
    let namespace = File::open(path)?;
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind)?;
            Ok(ask())
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_namespace_comes_first_and_only_once() {
        let found = find(&HashMap::new()).unwrap().all;
        let own = own().unwrap();
        assert_eq!(found[0].inode, own.inode);
        assert_eq!(found.iter().filter(|n| n.inode == own.inode).count(), 1);
    }

    #[test]
    fn two_processes_of_one_namespace_are_one_way_in() {
        let own = own().unwrap().inode;
        let me = std::process::id();
        let ways = of(&[me, me], &Owners::among(vec![me]));
        let ours = |path: &&PathBuf| fs::metadata(path).is_ok_and(|meta| meta.ino() == own);
        assert_eq!(ways.iter().filter(ours).count(), 1);
        assert!(
            of(&[u32::MAX], &Owners::default())
                .iter()
                .all(|path| path.exists())
        );
    }

    #[test]
    fn mounts_of_namespaces_are_told_from_others() {
        let line = "90 23 0:4 net:[4026532201] /run/docker/netns/x rw shared:9 - nsfs nsfs rw";
        assert_eq!(mounted_at(line), Some("/run/docker/netns/x".into()));
        let other = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw";
        assert_eq!(mounted_at(other), None);
        assert_eq!(mounted_at(""), None);
    }

    #[test]
    fn what_is_no_namespace_cannot_be_entered() {
        assert!(inside(Path::new("/proc/self/ns/none"), || ()).is_err());
        assert!(inside(Path::new("/proc/self/comm"), || ()).is_err());
    }
}
