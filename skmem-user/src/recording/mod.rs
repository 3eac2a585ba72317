//! Recordings: everything a trace saw, in a file, to be looked at any number
//! of times. `docs/recording.md` has the format, byte for byte; the two change
//! together.
//!
//! * [`writer`], [`reader`]: a recording as a stream of records and accounts
//! * `block`: its blocks, each with length and checksum
//! * `packed`: records as a block of format 3 holds them; `events`: as those of formats 1 and 2 do
//! * [`account`], [`meta`]: what the other blocks hold; the last one, the [`crate::model::end`]
//! * [`playback`]: the result of one, with an end or without
//! * [`parts`]: the files of one
//! * [`choice`]: a part of one: some of its sockets, some of its time
//! * `copy`: a part of one as a recording of its own
//! * [`storage`]: what it is written to, and what is removed when that is full
//! * [`error`]: what can be wrong with one
//!
//! The reader is a pure function of bytes: it never panics, and its memory is
//! bounded by the largest block and by [`MOST_ACCOUNTS`].

pub mod account;
pub(crate) mod block;
pub mod choice;
mod copy;
pub mod error;
mod events;
pub mod meta;
mod packed;
pub mod parts;
pub mod playback;
pub mod reader;
mod receiving;
pub mod storage;
#[cfg(test)]
mod tests;
mod varint;
pub mod writer;

pub use account::{Accounts, Role};
pub use copy::copy;
pub use error::{Damage, FormatError, RecordingError};
pub use meta::{Clock, HookFound, Meta, Selected};
pub use playback::{Outcome, Playback, outcome};
pub use reader::{Item, Recording};
pub use storage::Medium;
pub use writer::{BlockEncoder, EncodedBlock, Writer};

/// The newest version of the format.
pub const FORMAT: u32 = 3;

/// What every recording starts with. Like PNG's: no text file starts so, and a
/// transfer that changes line ends or cuts the eighth bit is found out.
pub(crate) const MAGIC: [u8; 8] = *b"\x89skm\r\n\x1a\n";

/// Most accounts of open sockets that a reader keeps at the end, and of closed
/// ones: of more, those with the worst excess.
pub const MOST_ACCOUNTS: usize = 16 << 10;
