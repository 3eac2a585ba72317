//! Reading `ss -m` output back, whichever version printed it, and saying what it means.
//!
//! [`parse`] turns text into [`Reading`]s and keeps what it could not read, with line numbers;
//! [`findings()`] says what stands out. `skmem snapshot` makes [`Reading`]s of what it asks the
//! kernel itself, so both say the same of the same socket.

mod choose;
mod clean;
mod command;
mod details;
pub mod findings;
mod head;
mod input;
mod join;
mod kind;
mod lines;
mod other;
mod parted;
mod prefix;
pub mod reading;
pub mod several;
mod vocabulary;
mod words;

pub use findings::{Finding, LimitState, Limits, Origin, Weight, findings, origin};
pub use input::text;
pub use reading::Reading;
use schemars::JsonSchema;
use serde::Serialize;

/// What was read of a text.
#[derive(Debug, Default, PartialEq)]
pub struct Decoded {
    /// TCP, MPTCP and UDP sockets, in their order.
    pub sockets: Vec<Reading>,
    /// Sockets of other kinds (unix, netlink, …), which have no such memory and are passed over.
    pub others: usize,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// What is not part of a socket, or another program's.
    pub passed: Vec<Passed>,
}

/// Lines that were passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Passed {
    /// The first of them, from 1.
    pub line: usize,
    /// How many.
    pub lines: usize,
    /// Whose they are: "conntrack", "no output of ss".
    pub what: &'static str,
}

/// A piece of input that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unread {
    /// Line, from 1.
    pub line: usize,
    /// The piece, shortened.
    pub text: String,
    /// What was expected.
    pub why: &'static str,
}

impl Unread {
    fn new(line: usize, text: &str, why: &'static str) -> Self {
        let text = text.trim().chars().take(60).collect();
        Self { line, text, why }
    }
}

/// A whole number. Larger ones than any kernel prints are refused, which keeps sums of a few of
/// them in range.
fn number(digits: &str) -> Option<i64> {
    digits
        .parse()
        .ok()
        .filter(|n: &i64| n.unsigned_abs() <= 1 << 50)
}

/// Reads the output of `ss`, of any version and with any options; of `netstat` and `/proc/net/tcp`
/// what they hold.
#[must_use]
pub fn parse(text: &str) -> Decoded {
    lines::parse(text)
}

/// The words by which a line of `ss` is known.
#[cfg(test)]
pub(crate) fn words_of_ss() -> impl Iterator<Item = &'static str> {
    vocabulary::words()
}

#[cfg(test)]
mod tests;
