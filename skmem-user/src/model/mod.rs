//! What happened, rebuilt from the records alone: no kernel, no clock, no
//! I/O. The same ledger as in the kernel, fed with the operations that the
//! records carry.
//!
//! * [`replay`]: ledgers from records
//! * `calls`: what else an account holds: held-up senders, the last fields
//! * [`survey`]: which sockets there are
//! * [`timeline`]: one socket over time

mod calls;
pub mod replay;
pub mod survey;
pub mod timeline;
