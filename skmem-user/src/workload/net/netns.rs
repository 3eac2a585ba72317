//! Network namespaces that only this process knows.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::MetadataExt,
    },
    thread,
};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace, kept alive by a file descriptor.
pub(crate) struct Netns {
    handle: File,
    inode: u64,
}

impl Netns {
    /// Makes an empty namespace (`unshare(CLONE_NEWNET)` in a thread that lives for just that: the
    /// rest of the process stays where it is).
    pub fn new() -> Result<Self> {
        let handle = in_thread(|| {
            // SAFETY: unshare takes no pointer; only the calling thread changes namespace.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                let error = io::Error::last_os_error();
                return Err(if error.raw_os_error() == Some(libc::EPERM) {
                    anyhow!(
                        "cannot create a network namespace: this needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN)"
                    )
                } else {
                    anyhow!(error).context("cannot create a network namespace")
                });
            }
            Self::current()
        })?;
        Ok(handle)
    }

    /// The calling thread's own namespace.
    fn current() -> Result<Self> {
        let path = "/proc/thread-self/ns/net";
        let handle =
            File::open(path).with_context(|| format!("cannot open {path} (is /proc mounted?)"))?;
        let inode = handle
            .metadata()
            .context("cannot read a namespace's inode")?
            .ino();
        Ok(Self { handle, inode })
    }

    /// The number that `lsns` and `readlink /proc/PID/ns/net` show.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// The descriptor, for `IFLA_NET_NS_FD`.
    pub fn as_raw_fd(&self) -> i32 {
        self.handle.as_raw_fd()
    }

    /// Runs `work` inside the namespace and returns its result. A socket made inside belongs to it
    /// for life, whichever thread uses it later; so does a process started inside.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        in_thread(|| {
            // Only the calling thread changes namespace.
            move_into_link_name_space(self.handle.as_fd(), Some(LinkNameSpaceType::Network))
                .context("cannot enter a network namespace of our own")?;
            work()
        })
    }
}

/// Runs `work` in a thread of its own, to the end.
fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("skmem-netns".into())
            .spawn_scoped(scope, work)
            .context("cannot start a thread")?
            .join()
            .unwrap_or_else(|_| Err(anyhow!("a thread inside a network namespace panicked")))
    })
}
