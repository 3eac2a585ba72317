//! Who holds which socket: one pass over `/proc/*/fd`, for any number of sockets.
//!
//! What `ss -p` does, with one system call a descriptor: directories are read in large parts, links
//! relative to their directory. Names are read later, and only of processes that turn out to
//! matter.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    mem::{self, MaybeUninit},
    num::NonZero,
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt as _, net::UnixDatagram},
    },
    panic::resume_unwind,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::{
    fs::{Mode, OFlags, RawDir, readlinkat_raw},
    path::DecInt,
};

/// More than this are no faster: they meet in the same kernel locks.
const MOST_THREADS: usize = 4;
/// Descriptors of one process that a thread looks at before it asks for the next task.
const PART: usize = 512;

/// One descriptor that refers to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Descriptor {
    /// Process.
    pub pid: u32,
    /// Descriptor in that process.
    pub fd: i32,
}

/// Who holds which socket: what the pass over `/proc` found, or a walk of the kernel's.
#[derive(Debug, Default)]
pub struct Owners {
    /// By inode, then by process: sorted when all are there.
    held: Vec<(u32, Descriptor)>,
    namespaces: HashMap<u64, PathBuf>,
    /// Processes whose descriptors could be read in `/proc`.
    pub read: u32,
    /// Processes whose descriptors may not be looked at (`proc_fd_permission`).
    pub denied: u32,
}

impl Owners {
    /// Looks at every process, on a few CPUs at once. A process or descriptor that goes away
    /// meanwhile is left out.
    ///
    /// # Errors
    /// Where `/proc` itself cannot be read.
    pub fn read() -> io::Result<Self> {
        Ok(Self::among(processes()?))
    }

    /// What another walk has found: sockets by inode, each descriptor once or several times, and
    /// network namespaces as [`Owners::held_namespaces`] has them.
    #[must_use]
    pub fn of_walk(mut held: Vec<(u32, Descriptor)>, namespaces: HashMap<u64, PathBuf>) -> Self {
        // Sockets that one process opens one after the other have rising inodes: this sort finds
        // that, the unstable one does not.
        held.sort();
        held.dedup();
        Self {
            held,
            namespaces,
            ..Self::default()
        }
    }

    /// Each descriptor of each socket: by inode, then by process.
    #[must_use]
    pub fn all(&self) -> &[(u32, Descriptor)] {
        &self.held
    }

    /// Looks at these processes only.
    #[must_use]
    pub fn among(pids: Vec<u32>) -> Self {
        let work = Work::new(pids);
        let threads = thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(MOST_THREADS);
        let parts: Vec<Self> = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| Self::some(&work)))
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
        owners
    }

    /// Does what no other thread has taken, until nothing is left.
    fn some(work: &Work) -> Self {
        let mut owners = Self::default();
        let mut room = vec![MaybeUninit::uninit(); 32 << 10];
        while let Some(task) = work.take() {
            match task {
                Task::Part(part) => owners.part(&part),
                Task::Process(pid, _reading) => match owners.process(pid, &mut room, work) {
                    Ok(()) => owners.read += 1,
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        owners.denied += 1;
                    }
                    // Gone meanwhile.
                    Err(_) => {}
                },
            }
        }
        owners
    }

    /// The descriptors of a socket, lowest pid first.
    pub fn of(&self, inode: u32) -> impl ExactSizeIterator<Item = Descriptor> {
        let first = self.held.partition_point(|(held, _)| *held < inode);
        let from = &self.held[first..];
        let others = from.iter().position(|(held, _)| *held != inode);
        // How many they are is known, so that a list of them takes no more than they need.
        let same = &from[..others.unwrap_or(from.len())];
        same.iter().map(|(_, descriptor)| *descriptor)
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

    /// Lists a process's descriptors; the links of the first few are read at once, those of others
    /// by any thread that has time.
    fn process(&mut self, pid: u32, room: &mut [MaybeUninit<u8>], work: &Work) -> io::Result<()> {
        let directory = Arc::new(rustix::fs::open(
            format!("/proc/{pid}/fd"),
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
        let mut fds = Vec::new();
        let mut entries = RawDir::new(&*directory, room);
        let part = |fds| Part {
            pid,
            directory: Arc::clone(&directory),
            fds,
        };
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else { break };
            let name = entry.file_name().to_str().ok();
            let Some(fd) = name.and_then(|name| name.parse().ok()) else {
                continue;
            };
            fds.push(fd);
            if fds.len() == PART {
                work.put(part(mem::take(&mut fds)));
            }
        }
        self.part(&part(fds));
        Ok(())
    }

    fn part(&mut self, part: &Part) {
        for fd in &part.fds {
            // Longer links are files.
            let mut link = [MaybeUninit::uninit(); 40];
            let name = DecInt::new(*fd);
            let Ok((link, _)) = readlinkat_raw(&*part.directory, name.as_c_str(), &mut link) else {
                continue;
            };
            let held = Descriptor {
                pid: part.pid,
                fd: *fd,
            };
            self.descriptor(held, link);
        }
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

/// Some descriptors of a process.
struct Part {
    pid: u32,
    directory: Arc<OwnedFd>,
    fds: Vec<i32>,
}

/// What a thread does next.
enum Task<'a> {
    Process(u32, Reading<'a>),
    Part(Part),
}

/// What is left to do. One process may hold nearly all descriptors of a machine, so its descriptors
/// are shared out, too.
struct Work {
    left: Mutex<Remaining>,
    more: Condvar,
}

struct Remaining {
    pids: Vec<u32>,
    parts: Vec<Part>,
    /// Processes that are being listed: more parts may come of them.
    listing: usize,
}

impl Work {
    fn new(pids: Vec<u32>) -> Self {
        let left = Remaining {
            pids,
            parts: Vec::new(),
            listing: 0,
        };
        Self {
            left: Mutex::new(left),
            more: Condvar::new(),
        }
    }

    fn left(&self) -> MutexGuard<'_, Remaining> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next task; waits where other threads may still find some.
    fn take(&self) -> Option<Task<'_>> {
        let mut left = self.left();
        loop {
            if let Some(part) = left.parts.pop() {
                return Some(Task::Part(part));
            }
            if let Some(pid) = left.pids.pop() {
                left.listing += 1;
                return Some(Task::Process(pid, Reading(self)));
            }
            if left.listing == 0 {
                return None;
            }
            left = self.more.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put(&self, part: Part) {
        self.left().parts.push(part);
        self.more.notify_one();
    }
}

/// A process is being listed, while this lives.
struct Reading<'a>(&'a Work);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut left = self.0.left();
        left.listing -= 1;
        if left.listing == 0 {
            self.0.more.notify_all();
        }
    }
}

/// Which sockets are new: those that were opened after this was made, and few others.
///
/// Inodes of sockets count up; each CPU takes 1,024 of them at a time (`get_next_ino`).
#[derive(Debug, Clone, Copy)]
pub struct Since {
    first: Option<u32>,
    cpus: i64,
}

impl Since {
    /// From now on.
    #[must_use]
    pub fn now() -> Self {
        let inode = UnixDatagram::unbound()
            .and_then(|socket| File::from(OwnedFd::from(socket)).metadata())
            .map(|meta| meta.ino() as u32);
        // More than there are do no harm.
        let cpus = thread::available_parallelism().map_or(64, |n| n.get().max(64));
        Self {
            first: inode.ok(),
            cpus: cpus as i64,
        }
    }

    /// Whether the socket with this inode may have been opened since.
    #[must_use]
    pub fn may_have(self, inode: u32) -> bool {
        self.first.is_none_or(|first| {
            let behind = first.wrapping_sub(inode).cast_signed();
            i64::from(behind) < 1024 * self.cpus
        })
    }
}

/// All processes that can be seen.
///
/// # Errors
/// Where `/proc` cannot be read.
pub fn processes() -> io::Result<Vec<u32>> {
    let pids =
        fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.collect())
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
    use std::{net::TcpListener, os::fd::AsRawFd};

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
    fn sockets_opened_later_are_new_and_the_first_of_all_is_not() {
        let since = Since::now();
        let later = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = fs::metadata(format!("/proc/self/fd/{}", later.as_raw_fd())).unwrap();
        assert!(since.may_have(inode.ino() as u32));
        let old = Since {
            first: Some(1_000_000),
            cpus: 2,
        };
        assert!(!old.may_have(1_000_000 - 2048) && old.may_have(1_000_000 - 2047));
        let wrapped = Since {
            first: Some(5),
            cpus: 2,
        };
        assert!(wrapped.may_have(u32::MAX) && !wrapped.may_have(u32::MAX - 4096));
    }

    #[test]
    fn descriptors_of_one_process_are_found_however_many_there_are() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let twins: Vec<_> = (0..PART * 3 / 2)
            .map(|_| listener.try_clone().unwrap())
            .collect();
        let path = format!("/proc/self/fd/{}", listener.as_raw_fd());
        let inode = fs::metadata(path).unwrap().ino() as u32;
        let owners = Owners::read().unwrap();
        assert_eq!(owners.of(inode).count(), twins.len() + 1);
        let me = Owners::among(vec![std::process::id()]);
        assert_eq!(me.of(inode).count(), twins.len() + 1);
        assert_eq!((me.read, me.denied), (1, 0));
        assert_eq!(Owners::among(vec![u32::MAX]).read, 0);
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
