//! Threads that write until they are stopped.

use std::{
    fs, io,
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use socket2::Socket;

use super::sender::Sender;
use crate::diag::TcpInfo;

/// One thread in one loop of blocking writes.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What the thread shows of itself.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Set around each write: what sleeps then, sleeps in the kernel's send path.
    writing: AtomicBool,
    tid: AtomicU32,
}

/// How much to write, and how fast.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Pause between writes. A writer that pauses also lets the first zero-window probe come
    /// before it has filled what waits for it: see [`PROBED`].
    pub interval: Duration,
    /// Bytes after which to stop; `None`: until blocked or stopped.
    pub bytes: Option<u64>,
}

/// Unsent bytes with which a slow writer waits for a zero-window probe: the last skb still has room
/// then. When the probe comes depends on the machine; a CPU that stood still for half a second
/// makes the retransmission timeout two seconds.
const PROBED: u32 = 8 << 10;
/// Pause between two looks whether it has come.
const LOOK: Duration = Duration::from_millis(5);

impl Writer {
    /// Starts a thread that calls `write` again and again; `write` does one write and returns its
    /// length.
    pub fn spawn(
        name: &str,
        sender: &Sender,
        pace: Pace,
        mut write: impl FnMut(&Socket) -> io::Result<usize> + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let socket = Arc::clone(&sender.socket);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let tid = rustix::thread::gettid().as_raw_pid();
                seen.tid.store(tid.cast_unsigned(), SeqCst);
                let mut written = 0;
                while !seen.stop.load(SeqCst) && pace.bytes.is_none_or(|all| written < all) {
                    seen.writing.store(true, SeqCst);
                    let outcome = write(&socket);
                    seen.writing.store(false, SeqCst);
                    match outcome {
                        Ok(n) => written += n as u64,
                        // The closing phase ends the connection under a sleeping writer.
                        Err(_) if seen.stop.load(SeqCst) => return Ok(()),
                        Err(error) => return Err(error),
                    }
                    if !pace.interval.is_zero() {
                        thread::sleep(pace.interval);
                        while awaits_probe(&socket) && !seen.stop.load(SeqCst) {
                            thread::sleep(LOOK);
                        }
                    }
                }
                Ok(())
            })
            .context("cannot start a writer thread")?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// True once the thread has left its loop.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// True while the thread sleeps inside a write.
    pub fn is_asleep(&self) -> bool {
        let writing = || self.shared.writing.load(SeqCst);
        writing() && task_state(self.shared.tid.load(SeqCst)) == Some('S') && writing()
    }

    /// Fails if the thread ended by an error.
    pub fn check(&mut self) -> Result<()> {
        if self.is_finished() {
            self.join()?;
        }
        Ok(())
    }

    /// From now on no new write begins.
    pub fn stop(&self) {
        self.shared.stop.store(true, SeqCst);
    }

    /// Waits for the thread's end.
    pub fn join(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread
            .join()
            .map_err(|_| anyhow!("a writer thread panicked"))?
            .context("cannot write to the socket")
    }
}

/// Whether much is unsent, and the first probe is still to come.
fn awaits_probe(socket: &Socket) -> bool {
    TcpInfo::read(socket.as_fd())
        .is_ok_and(|info| info.notsent_bytes >= Some(PROBED) && info.awaits_probe())
}

/// The one-letter state of a thread of this process (`/proc/PID/stat`, field 3).
fn task_state(tid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/self/task/{tid}/stat")).ok()?;
    state_of(&stat)
}

/// The name in field 2 may hold blanks and brackets, so the state is sought behind the last one.
fn state_of(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_stands_behind_the_name() {
        assert_eq!(state_of("12 (a) b) S 1 2"), Some('S'));
        assert_eq!(state_of("12 (writer) R 1 2"), Some('R'));
        assert_eq!(state_of("nonsense"), None);
    }
}
