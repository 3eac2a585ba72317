//! Text and JSON: of a verdict, for people and programs; of trace events, a
//! line each.
//!
//! Names from the kernel (comm) are escaped, numbers are grouped, but for event
//! lines that a program reads, every line keeps to [`Style::width`] where its
//! words allow.

use std::io;

use skmem_common::record::Ident;

use crate::explain::{Verdict, verdict::SCHEMA};

mod account;
mod brief;
mod compare;
mod date;
mod diff;
mod digits;
mod doctor;
mod escape;
mod event_columns;
mod event_json;
mod event_line;
pub mod export;
mod headline;
mod identity;
mod layout;
mod line_buffer;
mod listing;
pub mod man;
mod memory;
mod network;
mod ops;
mod overview;
mod pages;
mod pair;
mod parts;
pub mod plot;
mod put;
mod receive;
mod receive_account;
pub mod schemas;
pub mod snapshot;
mod stuck;
mod style;
#[cfg(test)]
mod tests;
mod units;

pub use brief::{brief, brief_of_many};
pub use compare::{comparison, comparison_answer, comparison_brief, comparison_json};
pub use date::utc;
pub use diff::{difference, difference_json};
pub use doctor::{Place, doctor};
pub use escape::sanitized;
pub use event_columns::{Column, EventLines, Times};
pub use event_json::{event_json, event_json_line, put_event_json};
pub use event_line::{Names, event_header, event_line, event_task};
pub use identity::Named;
pub use layout::{definitions, wrapped};
pub use line_buffer::LineBuffer;
pub use listing::{Listed, listing, listing_json};
pub use overview::overview;
pub use pages::{cause_list, cause_page, causes_markdown};
pub use pair::{pair, pair_line};
pub use receive::put_receive_json;
pub use style::Style;

/// A verdict as text: the answer first, the account that proves it, and what
/// can be done. Ends with a newline.
#[must_use]
pub fn text(verdict: &Verdict, style: &Style) -> String {
    let mut out = String::new();
    headline::write(&mut out, verdict, style);
    parts::who(&mut out, verdict, style);
    if verdict.only_receives() {
        memory::receive(&mut out, verdict, style);
        memory::nothing_sent(&mut out, verdict, style);
        return out;
    }
    parts::chain(&mut out, verdict, style);
    account::write(&mut out, verdict, style);
    stuck::write(&mut out, verdict, style);
    parts::explanation(&mut out, verdict, style);
    parts::holdup(&mut out, verdict, style);
    parts::held(&mut out, verdict, style);
    network::write(&mut out, verdict, style);
    memory::granted(&mut out, verdict, style);
    memory::receive(&mut out, verdict, style);
    parts::advice(&mut out, verdict, style);
    out
}

/// The answer alone: who holds the sender up, and how the queue came about.
/// Ends with a newline.
#[must_use]
pub fn answer(verdict: &Verdict, style: &Style) -> String {
    let mut out = String::new();
    headline::write(&mut out, verdict, style);
    out
}

/// A verdict as one line of JSON, fields in the contract's order. Without a
/// newline.
///
/// # Errors
/// None in practice: a verdict holds nothing that JSON cannot.
pub fn json(verdict: &Verdict) -> io::Result<String> {
    serde_json::to_string(verdict).map_err(io::Error::from)
}

/// The line of JSON of a run that has no socket to explain: none went over its
/// limit. `sockets` were seen. Without a newline.
///
/// # Errors
/// None in practice, as for [`json`].
pub fn no_verdicts_json(kernel: &str, sockets: u64) -> io::Result<String> {
    let line = schemas::NoVerdicts {
        kernel,
        schema: SCHEMA,
        sockets,
        verdicts: [],
    };
    serde_json::to_string(&line).map_err(io::Error::from)
}

/// Both ends of a socket as one word: `10.0.0.1:4000>10.0.0.2:5001`.
#[must_use]
pub fn ends(ident: &Ident) -> String {
    identity::short(ident)
}

/// Both ends and the owner of a socket, in a line.
#[must_use]
pub fn whose(ident: &Ident) -> String {
    identity::whose(ident)
}

/// The same of a verdict's socket.
#[must_use]
pub fn whose_socket(socket: &crate::explain::verdict::Socket) -> String {
    identity::whose_socket(socket)
}

/// A time in ns, in a unit that leaves it readable.
#[must_use]
pub fn time_span(ns: u64) -> String {
    units::span(ns)
}

/// A command name, NUL-padded as the kernel has it.
#[must_use]
pub fn comm(comm: &[u8; 16]) -> String {
    identity::comm(comm)
}
