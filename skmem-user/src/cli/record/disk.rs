//! A recording on disk: one file, or one after the other.

use std::{collections::VecDeque, fs, io, path::PathBuf};

use super::files::Files;
use crate::{
    model::{
        end::{End, SavedAccount},
        record::Record,
    },
    recording::{Medium, Meta, Role, Writer},
    trace::writer_thread::Sink,
};

/// Files that are written one after the other.
pub(super) struct Disk {
    files: Files,
    part: u32,
    /// None after a failure to begin a file, and at the end.
    writer: Option<Writer<Medium>>,
    /// Finished files that are still there, and their bytes.
    earlier: VecDeque<(PathBuf, u64)>,
    limits: Limits,
}

/// What `--rotate` and `--max-size` ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Begin another file when one has reached this size, in bytes.
    pub rotate: Option<u64>,
    /// Most bytes in all files.
    pub most: Option<u64>,
}

impl Disk {
    pub fn create(mut files: Files, meta: &Meta, limits: Limits) -> io::Result<Self> {
        let writer = files.begin(1, meta)?;
        Ok(Self {
            files,
            part: 1,
            writer: Some(writer),
            earlier: VecDeque::new(),
            limits,
        })
    }

    fn with(&mut self, work: impl FnOnce(&mut Writer<Medium>) -> io::Result<()>) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), work)
    }

    /// Ends the file. After an error the file may still have its end.
    fn finish(&mut self, end: &End) -> io::Result<()> {
        let Some(mut writer) = self.writer.take() else {
            return Ok(());
        };
        let ended = writer.end(&end.open, &end.totals);
        let path = self.files.path(self.part);
        self.earlier.push_back((path, writer.bytes()));
        ended.and(writer.get_mut().sync())
    }

    /// Takes away the oldest files until there is room for one more.
    fn make_room(&mut self) -> io::Result<()> {
        let (Some(most), Some(rotate)) = (self.limits.most, self.limits.rotate) else {
            return Ok(());
        };
        while self.earlier.iter().map(|(_, n)| n).sum::<u64>() + rotate > most
            && let Some((path, _)) = self.earlier.pop_front()
        {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

impl Sink for Disk {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        if self.is_full() {
            return Ok(());
        }
        self.with(|w| w.record(record))
    }

    fn accounts(&mut self, role: Role, now_ns: u64, accounts: &[SavedAccount]) -> io::Result<()> {
        self.with(|w| w.accounts(role, now_ns, accounts))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(Writer::flush)
    }

    fn next(&mut self, meta: &Meta, end: &End) -> io::Result<()> {
        self.finish(end)?;
        self.make_room()?;
        self.part += 1;
        let meta = Meta {
            part: self.part,
            ..meta.clone()
        };
        self.writer = Some(self.files.begin(self.part, &meta)?);
        // Where the part before ended, this one begins.
        self.accounts(Role::Checkpoint, end.totals.now_ns, &end.open)
    }

    fn end(&mut self, _meta: &Meta, end: &End) -> io::Result<()> {
        self.finish(end)
    }

    fn bytes(&self) -> (u64, u64) {
        let earlier: u64 = self.earlier.iter().map(|(_, n)| n).sum();
        let this = self.writer.as_ref().map_or(0, Writer::bytes);
        (earlier + this, this)
    }

    fn is_full(&self) -> bool {
        self.limits.rotate.is_none() && self.limits.most.is_some_and(|most| self.bytes().0 >= most)
    }
}
