//! Threads that read and throw away.

use std::{
    io::{self, Read},
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, anyhow};
use socket2::Socket;

/// Room for one read.
const CHUNK: usize = 64 << 10;

/// One thread that reads one socket.
pub(crate) struct Reader(JoinHandle<io::Result<()>>);

impl Reader {
    /// Reads `socket` to its end, or until `limit` bytes are read.
    pub fn spawn(socket: &Arc<Socket>, limit: Option<u64>) -> Result<Self> {
        let socket = Arc::clone(socket);
        thread::Builder::new()
            .name("demo-receiver".into())
            .spawn(move || drain(&socket, limit))
            .map(Self)
            .context("cannot start a reader thread")
    }

    /// Waits for the thread's end.
    pub fn join(self) -> Result<()> {
        self.0
            .join()
            .map_err(|_| anyhow!("a reader thread panicked"))?
            .context("cannot read from the socket")
    }
}

fn drain(mut socket: &Socket, limit: Option<u64>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut left = limit.unwrap_or(u64::MAX);
    loop {
        let room = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        if room == 0 {
            return Ok(());
        }
        match socket.read(&mut chunk[..room]) {
            Ok(0) => return Ok(()),
            Ok(n) => left -= n as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
