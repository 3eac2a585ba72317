//! A server that accepts whoever comes and reads whatever they send, in one thread.

use std::{
    collections::HashMap,
    io::{self, Read},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result};
use socket2::Socket;

use super::sockets::Listener;

/// Room for one read.
const CHUNK: usize = 64 << 10;
/// Events taken at a time.
const EVENTS: usize = 64;

/// Starts the thread, which lives as long as the process.
#[expect(clippy::print_stderr, reason = "nobody waits for the thread")]
pub(crate) fn spawn(listener: Listener) -> Result<()> {
    let epoll = Epoll::new().context("cannot make an epoll")?;
    epoll
        .add(listener.as_raw_fd())
        .context("cannot watch the listener")?;
    thread::Builder::new()
        .name("demo-receiver".into())
        .spawn(move || {
            // Ahead of all senders, so that what they send does not pile up unread: hundreds of
            // full receive queues would bring tcp_mem into a scenario that is not about
            // it. SAFETY: setpriority takes no pointer; 0 is the calling thread.
            // Refusal changes nothing.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
            // The senders see no more than a reset, or data that nobody takes.
            if let Err(error) = serve(&listener, &epoll) {
                eprintln!("the receiver gave up: {error:#}");
            }
        })
        .context("cannot start a thread")?;
    Ok(())
}

fn serve(listener: &Listener, epoll: &Epoll) -> Result<()> {
    let mut connections: HashMap<RawFd, Arc<Socket>> = HashMap::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        for fd in epoll.wait()? {
            if fd == listener.as_raw_fd() {
                let connection = listener.accept()?;
                epoll.add(connection.as_raw_fd())?;
                connections.insert(connection.as_raw_fd(), connection);
                continue;
            }
            let Some(connection) = connections.get(&fd) else {
                continue;
            };
            // Readable, so this does not block; at the end, or after a reset, the socket is done
            // with.
            let done = match (&**connection).read(&mut chunk) {
                Ok(read) => read == 0,
                Err(error) => error.kind() != io::ErrorKind::Interrupted,
            };
            if done {
                connections.remove(&fd);
            }
        }
    }
}

struct Epoll(OwnedFd);

impl Epoll {
    fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes no pointer.
        let raw = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` was opened just now and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// Watches `fd` for input until it is closed.
    fn add(&self, fd: RawFd) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: u64::from(fd.cast_unsigned()),
        };
        // SAFETY: `event` is live; both descriptors are open.
        let rc =
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        if rc == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Descriptors with something to read.
    fn wait(&self) -> io::Result<Vec<RawFd>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        loop {
            // SAFETY: `events` is live and of the length given.
            let got = unsafe {
                libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, -1)
            };
            if let Ok(got) = usize::try_from(got) {
                // The descriptor that `add` put there.
                return Ok(events[..got]
                    .iter()
                    .map(|event| event.u64 as RawFd)
                    .collect());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}
