//! Checks that go on after a failure, so that one run shows all that is wrong.

use std::{
    collections::HashMap,
    fmt::{Debug, Display},
};

use libtest_mimic::Failed;

/// More failures than this of one kind say nothing new: thousands of sockets may fail alike.
const MOST: usize = 5;

/// What went wrong so far.
#[derive(Debug, Default)]
pub struct Check {
    lines: Vec<String>,
    kinds: HashMap<String, usize>,
}

impl Check {
    /// `got` must be `want`.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: impl Display, got: T, want: T) {
        if got != want {
            self.fails(format!("{what}: {got:?}, not {want:?}"));
        }
    }

    /// `good` must hold.
    pub fn that(&mut self, good: bool, what: impl FnOnce() -> String) {
        if !good {
            self.fails(what());
        }
    }

    /// Something is wrong.
    pub fn fails(&mut self, what: String) {
        let count = self.kinds.entry(kind(&what)).or_default();
        *count += 1;
        if *count <= MOST {
            self.lines.push(what);
        }
    }

    /// All that is wrong by another one is wrong.
    pub fn also(&mut self, other: Self) {
        for what in other.lines {
            self.fails(what);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.lines.is_empty()
    }

    /// All of it as a trial's failure.
    pub fn done(mut self) -> Result<(), Failed> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let more: usize = self.kinds.values().map(|n| n.saturating_sub(MOST)).sum();
        if more > 0 {
            self.lines.push(format!("… and {more} more of these"));
        }
        Err(self.lines.join("\n").into())
    }
}

/// A message less its numbers.
fn kind(what: &str) -> String {
    what.split([' ', ':', '(', ','])
        .filter(|word| !word.contains(|c: char| c.is_ascii_digit()))
        .collect()
}
