//! A server that accepts every connection and reads all that arrives, in one thread.

use std::{
    collections::HashMap,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, Event, EventData, EventFlags},
    io::retry_on_intr,
    process::setpriority_process,
};
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
        .add(listener.as_fd())
        .context("cannot watch the listener")?;
    thread::Builder::new()
        .name("demo-receiver".into())
        .spawn(move || {
            // Ahead of all senders, so that what they send does not pile up unread: hundreds of
            // full receive queues would bring tcp_mem into a scenario that is not about
            // it. None is the calling thread; where it is refused, the scenario goes on.
            let _ = setpriority_process(None, -20);
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
                epoll.add(connection.as_fd())?;
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
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Watches `source` for input until it is closed.
    fn add(&self, source: BorrowedFd<'_>) -> io::Result<()> {
        let data = EventData::new_u64(u64::from(source.as_raw_fd().cast_unsigned()));
        Ok(epoll::add(&self.0, source, data, EventFlags::IN)?)
    }

    /// Descriptors with something to read.
    fn wait(&self) -> io::Result<Vec<RawFd>> {
        let mut events = Vec::with_capacity(EVENTS);
        retry_on_intr(|| epoll::wait(&self.0, spare_capacity(&mut events), None))?;
        // The descriptor that `add` put there.
        let descriptor = |event: &Event| event.data.u64() as RawFd;
        Ok(events.iter().map(descriptor).collect())
    }
}
