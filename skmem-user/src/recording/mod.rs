//! Recordings: everything a trace saw, in a file, to be looked at any number
//! of times. `docs/recording.md` has the format, byte for byte; the two change
//! together.
//!
//! * [`writer`], [`reader`]: a recording as a stream of records and accounts
//! * [`block`]: its blocks, each with length and checksum
//! * [`events`]: records as an events block holds them
//! * [`account`], [`meta`], [`end`]: what the other blocks hold
//! * [`explain`]: what one comes to, with an end or without
//! * `verdicts`: verdicts on that
//! * [`parts`]: the files of one
//! * [`storage`]: what it is written to, and what gives way where that is full
//! * [`error`]: what can be wrong with one
//!
//! The reader is a pure function of bytes: it never panics, and its memory is
//! bounded by the largest block and by [`MOST_ACCOUNTS`].

pub mod account;
pub(crate) mod block;
pub mod end;
pub mod error;
mod events;
pub mod explain;
pub mod meta;
pub mod parts;
pub mod places;
pub mod reader;
pub mod storage;
#[cfg(test)]
mod tests;
mod varint;
mod verdicts;
pub mod writer;

pub use account::{Accounts, Kept, Role};
pub use end::{End, HookTotal, Totals, WRITE_FAILED};
pub use error::{Damage, Flaw, RecordingError};
pub use explain::{Outcome, Player, outcome};
pub use meta::{Clock, HookFound, Meta};
pub use places::Places;
pub use reader::{Item, Recording, Worst};
pub use storage::Medium;
pub use writer::{Packer, Sealed, Writer};

/// Version of the format.
pub const FORMAT: u32 = 1;

/// What every recording starts with. Like PNG's: no text file starts so, and a
/// transfer that changes line ends or cuts the eighth bit is found out.
pub(crate) const MAGIC: [u8; 8] = *b"\x89skm\r\n\x1a\n";

/// Most accounts of open sockets that a reader keeps at the end, and of closed
/// ones: of more, those with the worst excess.
pub const MOST_ACCOUNTS: usize = 16 << 10;

/// Closed sockets that are kept for the end, in a trace and by a reader alike;
/// of more, those with the worst excess.
pub const KEEP_CLOSED: usize = 1024;
