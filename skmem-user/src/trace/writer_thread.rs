//! The thread that writes a recording. The ring's reader hands batches over
//! through a bounded channel and goes on; when the disk is slower than the
//! events come, the channel fills, then the ring, and what finds the ring full
//! is counted there by the kernel.

use std::{
    io,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, Release},
        },
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    model::{
        end::{End, SavedAccount},
        record::Record,
    },
    recording::{Meta, Role},
};

/// Records handed over at once.
const BATCH: usize = 4096;

/// Batches that wait to be written, of about 850 KB each.
const WAITING: usize = 16;

/// Longest time that a record is only in memory while the disk has time: what
/// a SIGKILL costs.
const FLUSH: Duration = Duration::from_secs(1);

/// What a recorder sends to its thread.
pub(super) enum Message {
    Records(Vec<Record>),
    /// Accounts: role, when, which.
    Accounts(Role, u64, Vec<SavedAccount>),
    /// Ends this file and begins another one; or writes a black box.
    Next(Box<Meta>, Box<End>),
    End(Box<Meta>, Box<End>),
}

/// Where records go: one file, several, or memory.
pub trait Sink: Send {
    /// Takes a record in.
    ///
    /// # Errors
    /// Of this and of all others: where it cannot be written.
    fn record(&mut self, record: &Record) -> io::Result<()>;
    /// Takes accounts in, as they were at `now_ns` of `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    /// As above.
    fn accounts(&mut self, role: Role, now_ns: u64, accounts: &[SavedAccount]) -> io::Result<()>;
    /// Writes what is only in memory.
    ///
    /// # Errors
    /// As above.
    fn flush(&mut self) -> io::Result<()>;
    /// Ends this file and begins another one; or writes a black box.
    ///
    /// # Errors
    /// As above.
    fn next(&mut self, meta: &Meta, end: &End) -> io::Result<()>;
    /// Ends the recording.
    ///
    /// # Errors
    /// As above.
    fn end(&mut self, meta: &Meta, end: &End) -> io::Result<()>;
    /// Bytes on disk (or in memory), and those of this file.
    fn bytes(&self) -> (u64, u64);
    /// What was asked for is full.
    fn is_full(&self) -> bool;
}

/// What the thread reports while it runs.
#[derive(Debug, Default)]
pub struct Stats {
    /// Bytes on disk, or in memory.
    pub bytes: AtomicU64,
    /// Those of this file.
    pub bytes_of_file: AtomicU64,
    /// Files that were begun (or black boxes written) after the first.
    pub nexts: AtomicU64,
    /// What was asked for is full.
    pub full: AtomicBool,
    /// Writing failed.
    pub failed: AtomicBool,
}

/// The other end of the thread.
pub(super) struct Recorder {
    batch: Vec<Record>,
    to: SyncSender<Message>,
    thread: JoinHandle<io::Result<()>>,
    pub stats: Arc<Stats>,
}

impl Recorder {
    pub fn start(sink: Box<dyn Sink>) -> io::Result<Self> {
        let (to, from) = sync_channel(WAITING);
        let stats = Arc::new(Stats::default());
        let shared = Arc::clone(&stats);
        let thread = std::thread::Builder::new()
            .name("skmem-writer".into())
            .spawn(move || work(sink, &from, &shared))?;
        Ok(Self {
            batch: Vec::with_capacity(BATCH),
            to,
            thread,
            stats,
        })
    }

    pub fn record(&mut self, record: &Record) {
        self.batch.push(*record);
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
    }

    /// Hands over what was collected.
    pub fn hand_over(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
            self.send(Message::Records(batch));
        }
    }

    /// Waits where the thread is behind. A thread that has ended has failed:
    /// [`Recorder::finish`] returns its error.
    pub fn send(&mut self, message: Message) {
        let _ = self.to.send(message);
    }

    /// Whether the thread writes, or keeps, nothing any more.
    pub fn has_failed(&self) -> bool {
        // One that panics reports nothing.
        self.stats.failed.load(Relaxed) || self.thread.is_finished()
    }

    /// Ends the recording; says how many bytes it has.
    pub fn finish(mut self, meta: Box<Meta>, end: Box<End>) -> io::Result<u64> {
        self.hand_over();
        self.send(Message::End(meta, end));
        drop(self.to);
        match self.thread.join() {
            Ok(result) => result?,
            Err(_) => return Err(io::Error::other("the writing thread panicked")),
        }
        Ok(self.stats.bytes.load(Relaxed))
    }
}

/// Works until the end. After a failure it goes on to take messages, so that the ring's reader
/// does not wait for it, and writes the end; records are removed to make room for that.
fn work(mut sink: Box<dyn Sink>, from: &Receiver<Message>, stats: &Stats) -> io::Result<()> {
    let mut failure = None;
    let mut flushed = Instant::now();
    loop {
        let wait = FLUSH.saturating_sub(flushed.elapsed());
        let message = from.recv_timeout(wait);
        let over = matches!(
            message,
            Ok(Message::End(..)) | Err(RecvTimeoutError::Disconnected)
        );
        let next = matches!(message, Ok(Message::Next(..)));
        let mut result = match message {
            Ok(Message::End(meta, end)) => sink.end(&meta, &end),
            Err(_) => Ok(()),
            Ok(_) if failure.is_some() => Ok(()),
            Ok(Message::Records(batch)) => batch.iter().try_for_each(|r| sink.record(r)),
            Ok(Message::Accounts(role, now, accounts)) => sink.accounts(role, now, &accounts),
            Ok(Message::Next(meta, end)) => sink.next(&meta, &end),
        };
        if result.is_ok() && !over && failure.is_none() && flushed.elapsed() >= FLUSH {
            result = sink.flush();
        }
        if flushed.elapsed() >= FLUSH {
            flushed = Instant::now();
        }
        let (all, this) = sink.bytes();
        stats.bytes.store(all, Relaxed);
        stats.bytes_of_file.store(this, Relaxed);
        stats.full.store(sink.is_full(), Relaxed);
        // After the numbers that it changes.
        stats.nexts.fetch_add(u64::from(next), Release);
        if let Err(e) = result {
            stats.failed.store(true, Relaxed);
            failure.get_or_insert(e);
        }
        if over {
            return failure.map_or(Ok(()), Err);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what comes, or fails at the first accounts, one way or the other.
    enum Broken {
        No,
        Error,
        Panic,
    }

    impl Sink for Broken {
        fn record(&mut self, _: &Record) -> io::Result<()> {
            Ok(())
        }

        fn accounts(&mut self, _: Role, _: u64, _: &[SavedAccount]) -> io::Result<()> {
            match self {
                Self::No => Ok(()),
                Self::Error => Err(io::Error::other("full")),
                Self::Panic => panic!("a bug"),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn next(&mut self, _: &Meta, _: &End) -> io::Result<()> {
            Ok(())
        }

        fn end(&mut self, _: &Meta, _: &End) -> io::Result<()> {
            Ok(())
        }

        fn bytes(&self) -> (u64, u64) {
            (0, 0)
        }

        fn is_full(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_thread_that_failed_is_known_without_its_end() {
        for (sink, fails) in [
            (Broken::No, false),
            (Broken::Error, true),
            (Broken::Panic, true),
        ] {
            let mut recorder = Recorder::start(Box::new(sink)).unwrap();
            recorder.send(Message::Accounts(Role::Checkpoint, 1, Vec::new()));
            let begun = Instant::now();
            while !recorder.has_failed() && (fails || begun.elapsed().as_millis() < 50) {
                assert!(begun.elapsed().as_secs() < 10);
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(recorder.has_failed(), fails);
        }
    }
}
