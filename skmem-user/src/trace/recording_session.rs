//! A session that is being recorded: its records, its accounts from time to
//! time, and its end.

use std::{
    collections::HashMap,
    io,
    sync::atomic::Ordering::{Acquire, Relaxed},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    session::Session,
    writer_thread::{Message, Recorder, Sink, Stats},
};
use crate::{
    kernel::system,
    model::{
        end::{End, SavedAccount},
        record::Record,
        replay::Replay,
    },
    recording::{Meta, Role},
};

/// What the writing thread says of a segment is of the last one for a while after another began.
const ROOM: Duration = Duration::from_millis(50);

/// Accounts that are handed over at once: those of a busy machine are as large as all that is kept.
const PIECE: usize = 64;

/// A recording under way.
pub struct RecordingSession {
    recorder: Recorder,
    meta: Meta,
    checkpointed: Instant,
    every: Duration,
    /// What changed since a checkpoint only, or all accounts each time.
    changed_only: bool,
    /// Versions of the accounts at the last checkpoint, by socket.
    versions: HashMap<u64, u64>,
    /// Files that were asked for after the first.
    nexts: u64,
}

impl RecordingSession {
    /// Starts to record into `sink`; accounts go there `every` so often.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn start(
        session: &mut Session,
        sink: Box<dyn Sink>,
        meta: Meta,
        every: Duration,
        changed_only: bool,
    ) -> io::Result<Self> {
        session.keep_closed();
        let mut tape = Self {
            recorder: Recorder::start(sink)?,
            meta,
            checkpointed: Instant::now(),
            every,
            changed_only,
            versions: HashMap::new(),
            nexts: 0,
        };
        tape.checkpoint(session);
        Ok(tape)
    }

    /// A step of the session, recorded.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    pub async fn step(
        &mut self,
        session: &mut Session,
        each: impl FnMut(&Record, &Replay),
    ) -> Result<()> {
        self.step_telling(session, each, |_| {}).await
    }

    /// The same; `gone` hears of the accounts of sockets that have ended.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    pub async fn step_telling(
        &mut self,
        session: &mut Session,
        mut each: impl FnMut(&Record, &Replay),
        gone: impl FnMut(&SavedAccount),
    ) -> Result<()> {
        let recorder = &mut self.recorder;
        session
            .step(|record, replay| {
                recorder.record(record);
                each(record, replay);
            })
            .await?;
        self.recorder.hand_over();
        self.closed(session, gone);
        if self.checkpointed.elapsed() >= self.every {
            self.checkpoint(session);
        }
        Ok(())
    }

    /// Takes in what still lies in the ring, once nothing more is traced.
    pub fn finish(&mut self, session: &mut Session, mut each: impl FnMut(&Record, &Replay)) {
        let recorder = &mut self.recorder;
        session.finish(|record, replay| {
            recorder.record(record);
            each(record, replay);
        });
        self.recorder.hand_over();
        self.closed(session, |_| {});
    }

    /// The accounts as they are now. They go before the records that are still
    /// in the ring: all records before them are in them.
    pub fn checkpoint(&mut self, session: &Session) {
        self.checkpointed = Instant::now();
        let now = system::monotonic_ns();
        let changed_only = self.changed_only;
        let mut versions = HashMap::new();
        let mut piece = Vec::new();
        // A segment begins, whether there are accounts or not.
        let mut begun = changed_only;
        for kept in session.saved() {
            let (id, version) = (kept.account.ident.id, kept.account.version);
            if changed_only {
                versions.insert(id, version);
                if self.versions.get(&id) == Some(&version) {
                    continue;
                }
            }
            piece.push(kept);
            if piece.len() >= PIECE {
                let piece = std::mem::take(&mut piece);
                self.recorder
                    .send(Message::Accounts(Role::Checkpoint, now, piece));
                begun = true;
            }
        }
        self.versions = versions;
        if !piece.is_empty() || !begun {
            self.recorder
                .send(Message::Accounts(Role::Checkpoint, now, piece));
        }
    }

    /// Has a black box begin a segment where one alone is too large, so that older ones can go.
    pub fn make_room(&mut self, session: &Session) {
        if self.stats().full.load(Relaxed) && self.checkpointed.elapsed() >= ROOM {
            self.checkpoint(session);
        }
    }

    /// Ends this file and begins another one; or writes a black box, because
    /// of `trigger`.
    ///
    /// # Errors
    /// Where the kernel refuses its counters.
    pub fn next(&mut self, session: &Session, reason: &str, trigger: Option<String>) -> Result<()> {
        let end = session.end(reason)?;
        self.next_with(end, trigger);
        Ok(())
    }

    /// The same with what is known at its end.
    pub fn next_with(&mut self, end: End, trigger: Option<String>) {
        self.recorder.hand_over();
        let meta = Meta {
            trigger,
            ..self.meta.clone()
        };
        self.recorder
            .send(Message::Next(Box::new(meta), Box::new(end)));
        self.nexts += 1;
        self.versions.clear();
    }

    /// Ends the recording; says how many bytes it has.
    ///
    /// # Errors
    /// Where it could not be written.
    pub fn end(self, end: End, trigger: Option<String>) -> io::Result<u64> {
        let meta = Meta {
            trigger,
            ..self.meta
        };
        self.recorder.finish(Box::new(meta), Box::new(end))
    }

    /// Whether the file that is being written has `bytes`. One that has been
    /// asked for, and is not begun yet, has none.
    #[must_use]
    pub fn has(&self, bytes: u64) -> bool {
        let stats = self.stats();
        stats.nexts.load(Acquire) == self.nexts && stats.bytes_of_file.load(Relaxed) >= bytes
    }

    /// What the writing thread reports.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.recorder.stats
    }

    /// Whether nothing is recorded any more.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.recorder.has_failed()
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.stats().bytes.load(Relaxed)
    }

    fn closed(&mut self, session: &mut Session, gone: impl FnMut(&SavedAccount)) {
        let closed = session.take_closed();
        closed.iter().for_each(gone);
        if !closed.is_empty() {
            let now = system::monotonic_ns();
            self.recorder
                .send(Message::Accounts(Role::Closed, now, closed));
        }
    }
}
