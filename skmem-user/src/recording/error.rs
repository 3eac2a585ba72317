//! What is wrong with a recording.

use std::{fmt, io};

use super::{FORMAT, meta::tame};

/// Why a recording cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not start as one.
    #[error("not an skmem recording (`skmem record -o FILE` makes one)")]
    NoRecording,
    /// A later skmem wrote it.
    #[error("it has format {0}; this skmem reads formats up to {FORMAT}: use a newer skmem")]
    Future(u32),
    /// Not even its first block is whole.
    #[error("nothing of it can be read: {0}")]
    Damaged(Damage),
}

/// Where reading had to stop, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Offset in the file of the block that is damaged.
    pub at: u64,
    /// What is wrong with it.
    pub why: FormatError,
    /// Records before it.
    pub records: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, why, records } = self;
        let s = if *records == 1 { "" } else { "s" };
        write!(f, "stops at byte {at}: {why}; {records} event{s} before it")
    }
}

/// What is wrong with a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The file ends within it.
    #[error("the file ends within a block")]
    Short,
    /// The file cannot be read further.
    #[error("cannot read: {0}")]
    Io(String),
    /// Its bytes are not those that were written.
    #[error("checksum wrong")]
    Checksum,
    /// Longer than any block is.
    #[error("a block of {0} bytes, more than a block may have")]
    Length(u64),
    /// Of no kind that this format has.
    #[error("a block of unknown kind {0}")]
    Kind(u8),
    /// Compressed in no way that this format has.
    #[error("a block with unknown compression {0}")]
    Codec(u8),
    /// Does not decompress to what it claims.
    #[error("a block that does not decompress")]
    Decompress,
    /// What is in it contradicts itself.
    #[error("{0}")]
    Content(&'static str),
    /// Not JSON, or JSON of another form than its kind's.
    #[error("{0}: {1}")]
    Json(&'static str, String),
}

impl FormatError {
    /// `block` says which one. The error may quote the file.
    pub(super) fn json(block: &'static str, error: &serde_json::Error) -> Self {
        Self::Json(block, tame(&error.to_string()))
    }
}
