//! skmem: every byte of a TCP socket's send memory has a name.
//!
//! Arrows point one way: [`cli`] uses everything; [`render`] shows what
//! [`explain`] says of accounts; [`model`] rebuilds accounts from records;
//! [`recording`] keeps both in files; [`kernel`] alone knows how the programs
//! are loaded; [`trace`] is a trace under way: programs attached, records
//! read, accounts at hand. [`diag`] asks the kernel without eBPF;
//! [`workload`] makes traffic whose memory is worth explaining. [`snapshot`] is
//! what [`diag`] tells of all sockets at once; [`decode`] reads `ss`,
//! [`glossary`] has the words for both. [`selection`] says which sockets are
//! meant, in all of them. [`top`] shows sockets live, out of looks and keys.

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[expect(
    clippy::print_stderr,
    reason = "it is the program; the rooms below return what they have to say"
)]
pub mod cli;
pub mod decode;
pub mod diag;
pub mod explain;
#[doc(hidden)]
pub mod fuzz;
pub mod glossary;
pub mod kernel;
pub mod model;
mod quantity;
pub mod recording;
pub mod render;
pub mod selection;
pub mod snapshot;
pub mod top;
pub mod trace;
pub mod workload;
