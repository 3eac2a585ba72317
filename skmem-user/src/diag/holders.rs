//! Who holds a socket: descriptors in `/proc/PID/fd`, by inode.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its pid.
    pub pid: u32,
    /// Its command name, from `/proc/PID/comm`.
    pub comm: String,
}

/// All processes that can be seen.
pub fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The command name of a process; empty where it is gone.
#[must_use]
pub fn comm(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .map(|text| text.trim_end().to_string())
        .unwrap_or_default()
}

/// Inodes, low halves, of the sockets that a process holds; none where it is
/// gone or may not be looked at.
#[must_use]
pub fn sockets_of(pid: u32) -> Vec<u32> {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|fd| inode_in(fs::read_link(fd.path()).ok()?.to_str()?))
        .collect()
}

/// The holders of these sockets, in one pass over `/proc`; the first found of
/// each.
#[must_use]
pub fn of(inodes: &HashSet<u32>) -> HashMap<u32, Holder> {
    let mut found = HashMap::new();
    for pid in processes() {
        if found.len() == inodes.len() {
            break;
        }
        for inode in sockets_of(pid) {
            if inodes.contains(&inode) {
                found.entry(inode).or_insert_with(|| Holder {
                    pid,
                    comm: comm(pid),
                });
            }
        }
    }
    found
}

/// Network namespaces, each once, as paths that `setns` can open: those that
/// these processes live in, those that `ip netns` named, and with `held` those
/// that the processes merely hold open.
#[must_use]
pub fn namespaces(pids: &[u32], held: bool) -> Vec<PathBuf> {
    let lived = pids
        .iter()
        .map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net")));
    let named = paths_in("/run/netns");
    let open = pids
        .iter()
        .filter(|_| held)
        .flat_map(|pid| paths_in(&format!("/proc/{pid}/fd")))
        .filter(|path| {
            fs::read_link(path).is_ok_and(|link| link.to_string_lossy().starts_with("net:["))
        });
    let mut seen = HashSet::new();
    lived
        .chain(named)
        .chain(open)
        .filter(|path| fs::metadata(path).is_ok_and(|meta| seen.insert(meta.ino())))
        .collect()
}

fn paths_in(directory: &str) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}

/// `socket:[12345]`.
fn inode_in(link: &str) -> Option<u32> {
    let number = link.strip_prefix("socket:[")?.strip_suffix(']')?;
    number.parse::<u64>().ok().map(|n| n as u32)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd};

    use super::*;

    #[test]
    fn reads_links() {
        assert_eq!(inode_in("socket:[77]"), Some(77));
        for other in [
            "pipe:[77]",
            "socket:[]",
            "socket:[x]",
            "socket:[7",
            "/dev/null",
            "",
        ] {
            assert_eq!(inode_in(other), None, "{other}");
        }
    }

    #[test]
    fn finds_this_process_by_its_socket() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let inode = inode_in(link.to_str().unwrap()).unwrap();
        let me = std::process::id();
        assert!(sockets_of(me).contains(&inode));
        assert_eq!(of(&HashSet::from([inode]))[&inode].pid, me);
        assert!(!namespaces(&[me, me], true).is_empty());
    }
}
