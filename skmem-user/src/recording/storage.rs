//! What a recording is written to. When that is full, the last blocks of records are removed to
//! make room for the end.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Seek as _, SeekFrom, Write},
};

use super::writer::EncodedBlock;

/// Most bytes of blocks that can be removed for the end.
const MOST: u64 = 1 << 20;

/// What can be written to, and shortened.
pub trait Storage: Write {
    /// Keeps the first `length` bytes; writing goes on behind them.
    ///
    /// # Errors
    /// Where that cannot be done.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(|_| ())
    }
}

/// Where a recording goes.
#[derive(Debug)]
pub enum Medium {
    /// A file of its own.
    File(File),
    /// A device, a pipe, or what stdout is: nothing of it can be taken back.
    Stream(File),
}

impl Medium {
    /// Waits until the disk has it.
    ///
    /// # Errors
    /// Where it never will.
    pub fn sync(&self) -> io::Result<()> {
        match self {
            Self::File(file) => file.sync_all(),
            Self::Stream(_) => Ok(()),
        }
    }
}

impl Write for Medium {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (Self::File(file) | Self::Stream(file)) = self;
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let (Self::File(file) | Self::Stream(file)) = self;
        file.flush()
    }
}

impl Storage for Medium {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.cut(length),
            // It may be a file that had something in it before.
            Self::Stream(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// What nothing can be taken back of, and need not be: of a file that could not be written whole,
/// nothing is kept.
#[derive(Debug)]
pub struct Plain<W>(pub W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Storage for Plain<W> {
    fn cut(&mut self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Storage for Vec<u8> {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }
}

/// Whether less would have found room.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The last blocks that were written.
#[derive(Debug, Default)]
pub(super) struct Tail {
    blocks: VecDeque<Last>,
    bytes: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Last {
    pub bytes: u64,
    pub records: u64,
    /// The block, where it may be moved but not lost: no later one says the same.
    pub keep: Option<EncodedBlock>,
}

impl Tail {
    pub fn push(&mut self, last: Last) {
        self.bytes += last.bytes;
        self.blocks.push_back(last);
        while self.bytes > MOST
            && let Some(first) = self.blocks.pop_front()
        {
            self.bytes -= first.bytes;
        }
    }

    pub fn pop(&mut self) -> Option<Last> {
        let last = self.blocks.pop_back()?;
        self.bytes -= last.bytes;
        Some(last)
    }
}
