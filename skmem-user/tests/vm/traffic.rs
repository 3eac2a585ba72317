//! Traffic that goes on while something else happens, and whose bytes are compared at their end:
//! each connection carries numbered bytes, and both sides sum them up.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crc32fast::Hasher;
use libtest_mimic::Failed;

use crate::check::Check;

/// Writes of one connection.
const WRITES: u32 = 100;
/// Bytes of a write: more than an skb takes.
const WRITE: usize = 96 << 10;
/// Between two writes: an emulated machine has others to serve.
const PAUSE: Duration = Duration::from_millis(5);
/// How long it may take to move at all.
const PATIENCE: Duration = Duration::from_secs(120);

/// The traffic.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicU64>,
    thread: JoinHandle<io::Result<Vec<String>>>,
}

impl Traffic {
    pub fn start() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let writes = Arc::new(AtomicU64::new(0));
        let thread = {
            let (stop, writes) = (Arc::clone(&stop), Arc::clone(&writes));
            thread::Builder::new()
                .name("traffic".into())
                .spawn(move || send(&stop, &writes))?
        };
        Ok(Self {
            stop,
            writes,
            thread,
        })
    }

    /// Waits until `writes` more are done.
    pub fn moves_on(&self, writes: u64) -> Result<(), Failed> {
        let mut moved = Instant::now();
        let mut done = self.writes.load(Relaxed);
        let until = done + writes;
        while done < until {
            if moved.elapsed() > PATIENCE || self.thread.is_finished() {
                return Err("the traffic stands still".into());
            }
            thread::sleep(Duration::from_millis(10));
            let now = self.writes.load(Relaxed);
            if now > done {
                (done, moved) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Ends it: all bytes that were sent have arrived as they were.
    pub fn end(self, check: &mut Check) {
        self.stop.store(true, SeqCst);
        match self.thread.join() {
            Ok(Ok(wrong)) => wrong.into_iter().for_each(|line| check.fails(line)),
            Ok(Err(error)) => check.fails(format!("the traffic failed: {error}")),
            Err(_) => check.fails("the traffic panicked".into()),
        }
    }
}

/// One connection after the other; says which of them came out wrong.
fn send(stop: &AtomicBool, writes: &AtomicU64) -> io::Result<Vec<String>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut wrong = Vec::new();
    let mut block = vec![0; WRITE];
    let mut state = 1_u64;
    while !stop.load(SeqCst) {
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        let reader = thread::spawn(move || read(server));
        let (mut sum, mut bytes) = (Hasher::new(), 0);
        for _ in 0..WRITES {
            for byte in &mut block {
                // A linear congruential generator: no two blocks are alike.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
            client.write_all(&block)?;
            sum.update(&block);
            bytes += block.len() as u64;
            writes.fetch_add(1, Relaxed);
            if stop.load(SeqCst) {
                break;
            }
            thread::sleep(PAUSE);
        }
        client.shutdown(Shutdown::Write)?;
        let sent = (bytes, sum.finalize());
        let arrived = reader.join().map_err(|_| io::Error::other("a panic"))??;
        if sent != arrived {
            wrong.push(format!(
                "bytes and checksum sent: {sent:?}, arrived: {arrived:?}"
            ));
        }
    }
    Ok(wrong)
}

/// Reads to the end.
fn read(mut from: TcpStream) -> io::Result<(u64, u32)> {
    let (mut sum, mut bytes) = (Hasher::new(), 0);
    let mut room = vec![0; 64 << 10];
    loop {
        let n = from.read(&mut room)?;
        if n == 0 {
            return Ok((bytes, sum.finalize()));
        }
        sum.update(&room[..n]);
        bytes += n as u64;
    }
}
