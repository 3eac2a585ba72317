//! Who holds which socket: one pass over `/proc/*/fd`, for any number of sockets.
//!
//! What `ss -p` does, with one system call a descriptor: directories are read in large parts, links
//! relative to their directory. Names are read later, and only of processes that turn out to matter.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    mem::MaybeUninit,
    num::NonZero,
    panic::resume_unwind,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use rustix::fs::{Mode, OFlags, RawDir, readlinkat_raw};

/// More than this are no faster: they meet in the same kernel locks.
const MOST_THREADS: usize = 4;

/// One descriptor that refers to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Descriptor {
    /// Process.
    pub pid: u32,
    /// Descriptor in that process.
    pub fd: i32,
}

/// What the pass over `/proc` found.
#[derive(Debug, Default)]
pub struct Owners {
    /// By inode, then by process: sorted when all are there.
    held: Vec<(u32, Descriptor)>,
    namespaces: HashMap<u64, PathBuf>,
    /// Processes whose descriptors could be read.
    pub read: u32,
    /// Processes whose descriptors may not be looked at (`proc_fd_permission`).
    pub denied: u32,
}

impl Owners {
    /// Looks at every process, on a few CPUs at once. A process or descriptor that goes away meanwhile is
    /// left out.
    ///
    /// # Errors
    /// Where `/proc` itself cannot be read.
    pub fn read() -> io::Result<Self> {
        let pids: Vec<u32> = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        let next = AtomicUsize::new(0);
        let threads = thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(MOST_THREADS);
        let parts: Vec<Self> = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| Self::some(&pids, &next)))
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        let mut owners = Self::default();
        for part in parts {
            owners.held.extend(part.held);
            owners.namespaces.extend(part.namespaces);
            owners.read += part.read;
            owners.denied += part.denied;
        }
        owners.held.sort_unstable();
        Ok(owners)
    }

    /// Looks at processes until none is left that no other thread has taken.
    fn some(pids: &[u32], next: &AtomicUsize) -> Self {
        let mut owners = Self::default();
        let mut room = vec![MaybeUninit::uninit(); 32 << 10];
        while let Some(pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
            match owners.process(*pid, &mut room) {
                Ok(()) => owners.read += 1,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => owners.denied += 1,
                // Gone meanwhile.
                Err(_) => {}
            }
        }
        owners
    }

    /// The descriptors of a socket, lowest pid first.
    pub fn of(&self, inode: u32) -> impl Iterator<Item = Descriptor> {
        let first = self.held.partition_point(|(held, _)| *held < inode);
        self.held[first..]
            .iter()
            .take_while(move |(held, _)| *held == inode)
            .map(|(_, descriptor)| *descriptor)
    }

    /// Every socket that a process holds, of any kind, with one of its descriptors.
    pub fn sockets(&self) -> impl Iterator<Item = (u32, Descriptor)> {
        let firsts = self.held.chunk_by(|a, b| a.0 == b.0);
        firsts.filter_map(|same| same.first().copied())
    }

    /// Network namespaces that processes hold open, by inode, with a path that opens them.
    #[must_use]
    pub fn held_namespaces(&self) -> &HashMap<u64, PathBuf> {
        &self.namespaces
    }

    fn process(&mut self, pid: u32, room: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let directory = rustix::fs::open(
            format!("/proc/{pid}/fd"),
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut entries = RawDir::new(&directory, room);
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            let Some(fd) = name.to_str().ok().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // Longer links are files.
            let mut link = [MaybeUninit::uninit(); 40];
            let Ok((link, _)) = readlinkat_raw(&directory, name, &mut link) else {
                continue;
            };
            self.descriptor(Descriptor { pid, fd }, link);
        }
        Ok(())
    }

    fn descriptor(&mut self, held: Descriptor, link: &[u8]) {
        if let Some(inode) = number(link, b"socket:[") {
            // sock_diag reports the low half.
            self.held.push((inode as u32, held));
        } else if let Some(inode) = number(link, b"net:[") {
            self.namespaces
                .entry(inode)
                .or_insert_with(|| format!("/proc/{}/fd/{}", held.pid, held.fd).into());
        }
    }
}

/// `N` of `kind:[N]` (`sockfs_dname`, `ns_dname`).
fn number(link: &[u8], kind: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(kind)?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether a descriptor is a TCP socket, without touching it (`sockfs_xattr_get`).
#[must_use]
pub fn is_tcp(held: Descriptor) -> bool {
    let mut name = [0; 16];
    let path = format!("/proc/{}/fd/{}", held.pid, held.fd);
    rustix::fs::getxattr(path, c"system.sockprotoname", &mut name)
        .is_ok_and(|len| matches!(name[..len].trim_ascii_end(), b"TCP\0" | b"TCPv6\0"))
}

/// The command name of a process (`/proc/PID/comm`); empty where it is gone.
#[must_use]
pub fn command_name(pid: u32) -> Box<str> {
    fs::read(format!("/proc/{pid}/comm"))
        .map(|name| String::from_utf8_lossy(name.trim_ascii_end()).into())
        .unwrap_or_default()
}

/// Whether a socket of another process can be looked at through a descriptor of our own
/// (`pidfd_getfd`, 5.6; needs the right to trace the process).
///
/// # Errors
/// Where it may not, or the descriptor is gone.
pub fn borrow(held: Descriptor) -> io::Result<File> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let pid = i32::try_from(held.pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .ok_or_else(gone)?;
    let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    let flags = rustix::process::PidfdGetfdFlags::empty();
    Ok(rustix::process::pidfd_getfd(process, held.fd, flags)?.into())
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    fn our_own_socket_is_found_under_its_inode() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = listener.as_raw_fd();
        let twin = listener.try_clone().unwrap();
        let inode = fs::metadata(format!("/proc/self/fd/{fd}")).unwrap().ino();
        let owners = Owners::read().unwrap();
        let pid = std::process::id();
        let held: Vec<_> = owners.of(inode as u32).collect();
        assert!(held.contains(&Descriptor { pid, fd }), "{held:?}");
        assert!(held.contains(&Descriptor {
            pid,
            fd: twin.as_raw_fd()
        }));
        assert_eq!(owners.of(0).count(), 0);
        assert!(owners.sockets().any(|(held, _)| held == inode as u32));
        assert!(is_tcp(Descriptor { pid, fd }));
        assert!(!is_tcp(Descriptor { pid, fd: 0 }));
        assert!(!command_name(pid).is_empty());
    }

    #[test]
    fn a_socket_can_be_borrowed_from_ourselves() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let held = Descriptor {
            pid: std::process::id(),
            fd: listener.as_raw_fd(),
        };
        match borrow(held) {
            Ok(twin) => assert_ne!(twin.as_raw_fd(), held.fd),
            // Seccomp in a container, or an older kernel.
            Err(error) => assert!(error.raw_os_error().is_some()),
        }
        assert!(borrow(Descriptor { pid: 0, fd: 0 }).is_err());
    }

    #[test]
    fn links_that_are_no_socket_are_passed_over() {
        assert_eq!(number(b"socket:[123]", b"socket:["), Some(123));
        for other in [
            &b"socket:[]"[..],
            b"socket:[12",
            b"socket:[-1]",
            b"anon_inode:[eventfd]",
            b"/etc/socket:[1]",
        ] {
            assert_eq!(number(other, b"socket:["), None);
        }
    }
}
