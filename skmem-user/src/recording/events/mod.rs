//! Records as a block of formats 1 and 2 holds them: a column for each field, so that
//! like lies beside like, and in it only what the field's prediction misses.
//! [`super::packed`] writes format 3; this one is written by tests alone.
//!
//! * [`fields`]: the columns, and one walk over a record's fields that both writes and reads them:
//!   the two cannot come to differ
//! * [`context`]: what is known of a socket, which predictions are made from
//! * [`encode`], [`decode`]: a block, there and back
//!
//! Each block can be read alone: the first record of a socket in it is written in full.

mod context;
pub(super) mod decode;
#[cfg(test)]
pub(super) mod encode;
pub(super) mod fields;
#[cfg(test)]
pub(super) mod tests;

pub(super) use decode::Decoder;
#[cfg(test)]
pub(super) use encode::Encoder;

use super::varint;

/// Most records in a block that is written.
pub(super) const FULL: u32 = 16 << 10;

/// Most records that a reader takes from one: each may bring a socket, and
/// thus a context.
pub(super) const MOST: u64 = 64 << 10;

/// How many records a block holds, whose payload begins so; None where that takes more of it, or is
/// more than a block may hold.
pub(super) fn count(mut payload: &[u8]) -> Option<u64> {
    varint::take(&mut payload).filter(|records| *records <= MOST)
}
