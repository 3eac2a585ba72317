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
    sink::{Message, Recorder, Sink, Stats},
};
use crate::{
    kernel::system,
    model::{end::End, record::Record, replay::Replay},
    recording::{Meta, Role},
};

/// What the writing thread says of a segment is of the last one for a while after another began.
const ROOM: Duration = Duration::from_millis(50);

/// A recording under way.
pub struct Tape {
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

impl Tape {
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
        mut each: impl FnMut(&Record, &Replay),
    ) -> Result<()> {
        let recorder = &mut self.recorder;
        session
            .step(|record, replay| {
                recorder.record(record);
                each(record, replay);
            })
            .await?;
        self.recorder.hand_over();
        self.closed(session);
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
        self.closed(session);
    }

    /// The accounts as they are now. They go before the records that are still
    /// in the ring: all records before them are in them.
    pub fn checkpoint(&mut self, session: &Session) {
        self.checkpointed = Instant::now();
        let mut accounts = session.accounts();
        let now = system::monotonic_ns();
        if self.changed_only {
            let versions = &mut self.versions;
            let ids: std::collections::HashSet<u64> =
                accounts.iter().map(|k| k.account.ident.id).collect();
            versions.retain(|id, _| ids.contains(id));
            accounts.retain(|k| {
                let version = k.account.version;
                versions.insert(k.account.ident.id, version) != Some(version)
            });
        }
        if !accounts.is_empty() || !self.changed_only {
            self.recorder
                .send(Message::Accounts(Role::Checkpoint, now, accounts));
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
        self.recorder.hand_over();
        let meta = Meta {
            trigger,
            ..self.meta.clone()
        };
        let end = Box::new(session.end(reason)?);
        self.recorder.send(Message::Next(Box::new(meta), end));
        self.nexts += 1;
        self.versions.clear();
        Ok(())
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

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.stats().bytes.load(Relaxed)
    }

    fn closed(&mut self, session: &mut Session) {
        let closed = session.take_closed();
        if !closed.is_empty() {
            let now = system::monotonic_ns();
            self.recorder
                .send(Message::Accounts(Role::Closed, now, closed));
        }
    }
}
