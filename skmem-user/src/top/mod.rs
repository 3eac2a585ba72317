//! `skmem top` without terminal and kernel: pure, so that a frame is the same for the same samples
//! and keys.
//!
//! * [`sample`]: what one sample of the machine found
//! * [`history`]: the last minutes of each socket
//! * [`mod@line`]: a row of the table, a socket or several together
//! * [`columns`]: what a row shows, and what rows are sorted by
//! * [`held`]: what holds a sender up, in a word or two
//! * [`model`]: samples and keys in, rows out
//! * [`keys`]: what each key does
//! * [`export`]: what is chosen, and how it can be recorded
//! * [`view`]: draws the model

pub mod columns;
pub mod export;
pub mod held;
pub mod history;
pub mod keys;
pub mod line;
pub mod model;
pub mod sample;
#[cfg(test)]
mod tests;
pub mod view;

pub use export::Chosen;
pub use model::{Message, Model};
pub use sample::{Booked, Books, Causes, MachineSample};
