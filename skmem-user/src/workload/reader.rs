//! Threads that read and throw away.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, anyhow};
use socket2::Socket;

/// Room for one read.
const CHUNK: usize = 64 << 10;

/// One thread that reads one socket.
pub(crate) struct Reader {
    thread: JoinHandle<io::Result<()>>,
    read: Arc<AtomicU64>,
}

impl Reader {
    /// Reads `socket` to its end, or until `limit` bytes are read.
    pub fn spawn(socket: &Arc<Socket>, limit: Option<u64>) -> Result<Self> {
        let socket = Arc::clone(socket);
        let read = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&read);
        let thread = thread::Builder::new()
            .name("skmem-reader".into())
            .spawn(move || drain(&socket, limit, &seen))
            .context("cannot start a reader thread")?;
        Ok(Self { thread, read })
    }

    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        self.read.load(SeqCst)
    }

    /// Waits for the thread's end.
    pub fn join(self) -> Result<()> {
        self.thread
            .join()
            .map_err(|_| anyhow!("a reader thread panicked"))?
            .context("cannot read from the socket")
    }
}

fn drain(socket: &Socket, limit: Option<u64>, seen: &AtomicU64) -> io::Result<()> {
    let mut socket = socket;
    let mut chunk = vec![0; CHUNK];
    loop {
        let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(seen.load(SeqCst)));
        let room = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        if room == 0 {
            return Ok(());
        }
        match socket.read(&mut chunk[..room]) {
            Ok(0) => return Ok(()),
            Ok(n) => seen.fetch_add(n as u64, SeqCst),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
    }
}
