//! skmem: every byte of a TCP socket's memory has a name.
//!
//! Arrows point one way: the commands, in `cli/` of the program, use everything; [`render`] shows
//! what [`explain`] says of accounts; [`model`] rebuilds accounts from records;
//! [`recording`] keeps both in files; [`kernel`] alone knows how the programs
//! are loaded; [`trace`] is a trace under way: programs attached, records
//! read, accounts at hand. [`diag`] asks the kernel without eBPF;
//! [`workload`] makes traffic whose memory is worth explaining. [`snapshot`] is
//! what [`diag`] reads of all sockets at once; [`decode`] reads `ss`,
//! [`glossary`] has the words for both. [`selection`] says which sockets are
//! meant, in all of them. [`top`] shows sockets live, from samples and keys;
//! `serve` makes metrics of them.
//!
//! What callers need is exported here, and in the modules that are listed below; the others are for
//! skmem's own program and trials, are left out of this documentation, and may change in any
//! version. `examples/explain_pid.rs` is this as a program:
//!
//! ```no_run
//! use skmem::{Selection, Session, Style, render};
//!
//! # async fn explain(pid: u32) -> anyhow::Result<()> {
//! // The sockets of a process, those included that it has already; needs root, or CAP_BPF and
//! // CAP_PERFMON.
//! let mut session = Session::of(&Selection::of_processes([pid])).await?;
//! session.run_for(std::time::Duration::from_secs(10)).await?;
//! for verdict in session.verdicts(true, false) {
//!     println!("{}", render::text(&verdict, &Style::PLAIN));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Recordings are read on any machine, without rights: [`Recording::open`], [`outcome`], and
//! [`Choice`] for a part of one.

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[doc(hidden)]
pub mod decode;
#[doc(hidden)]
pub mod diag;
pub mod explain;
#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod glossary;
#[doc(hidden)]
pub mod kernel;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod quantity;
pub mod recording;
pub mod render;
pub mod selection;
#[cfg(feature = "serve")]
#[doc(hidden)]
pub mod serve;
#[doc(hidden)]
pub mod snapshot;
#[cfg(test)]
mod testing;
#[doc(hidden)]
pub mod top;
pub mod trace;
#[doc(hidden)]
pub mod workload;

pub use diag::{DiagSocket, MemInfo, TcpState};
pub use explain::{Source, Verdict};
pub use kernel::{KernelError, tracer::Options as TraceOptions};
pub use model::{
    end::{End, SavedAccount, Totals},
    record::Record,
    replay::Replay,
};
pub use recording::{
    Accounts, Item, Meta, Outcome, Recording, RecordingError, Writer,
    choice::{Choice, Window},
    outcome,
};
pub use render::Style;
pub use selection::{Cgroup, Net, Netns, Port, Selection, Subject};
pub use skmem_common::{account::Account, cause::Cause};
pub use snapshot::{Row, capture::capture};
pub use trace::Session;
