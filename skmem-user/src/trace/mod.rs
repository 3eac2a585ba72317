//! A trace under way, and recording it. Nothing here writes to a terminal.
//!
//! * [`Session`]: programs attached, records read, accounts at hand
//! * [`ring`]: reads the ring as it fills
//! * `attach`: loads and attaches, and says how far that is
//! * `holders`, `sleepers`: whose the sockets are that are older than the trace, and who sleeps on
//!   them; `waiters`: who may wait in `poll()`
//! * [`pace`]: when a look at all accounts is due again
//! * `rights`: what a trace still needs; the rest is given up
//! * `select`: what a trace needs of a selection of sockets
//! * [`recording_session`]: a session whose records go into a recording
//! * [`writer_thread`]: the thread that writes it
//! * [`flight`]: a recording of the last minutes, in memory until something asks for it
//! * [`about`]: what it says of itself
//! * [`trigger`]: the conditions of a black box
//! * [`alarms`]: which sockets meet them, each time anew

pub mod about;
pub mod alarms;
mod attach;
pub mod flight;
mod holders;
pub mod pace;
pub mod recording_session;
mod rights;
pub mod ring;
mod select;
mod session;
mod sleepers;
pub mod trigger;
mod waiters;
pub mod writer_thread;

pub use attach::Attaching;
pub use select::{Older, accounts_alone, cgroup_note, older, options, options_of_none, take_all};
pub use session::{Compared, HeldUp, Session};
