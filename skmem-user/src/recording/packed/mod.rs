//! Records as a block of format 3 holds them. A record is made into a **row**: hook, flags,
//! operations, and what its fields miss of their predictions. Traffic repeats itself: most rows of
//! a block are equal to one that came before in it, and are named by its number. What is left of
//! such a record are three numbers, each packed into bits beside its like.
//!
//! * [`row`]: records into rows and back, by one walk that goes both ways
//! * [`context`]: what is known of a socket, which predictions are made from
//! * [`bits`]: numbers packed into bits
//! * [`literals`]: rows that came first, field by field in columns of varints
//! * [`encode`], [`decode`]: a block, there and back
//!
//! Each block can be read alone: the first record of a socket in it is written in full.

pub(super) mod bits;
mod context;
pub(super) mod decode;
pub(super) mod encode;
mod literals;
mod row;
#[cfg(test)]
mod tests;

pub(super) use decode::{Decoder, flat};
pub(super) use encode::Encoder;

/// Rows of a block that have a number; those that come later are written in full each time.
const ROWS: usize = 2048;
