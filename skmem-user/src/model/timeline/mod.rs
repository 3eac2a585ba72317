//! One socket over time, from its records alone.
//!
//! * [`track`]: records to marks: samples, admissions, limit moves, sleeps
//! * [`stack`]: which cause queued each byte that is queued *now*
//! * [`waits`]: when senders were held up
//! * [`life`]: how long an admitted skb's bytes stayed queued
//! * [`receive`]: the receive side
//! * [`receive_stack`]: which cause put each byte there that is in the receive buffer *now*
//! * [`thin`]: samples within bounded memory, extremes kept
//!
//! [`Timeline`] puts them together for a plot.

mod gather;
pub mod life;
pub mod receive;
pub mod receive_stack;
pub mod stack;
#[cfg(test)]
pub(crate) mod tests;
pub mod thin;
pub mod track;
pub mod waits;

pub use gather::{Span, Tick, Timeline};
pub use life::Life;
pub use stack::Stack;
pub use track::{LimitMove, Mark, Sample, Track};
pub use waits::{Refusal, Sleep, WaitReason};
