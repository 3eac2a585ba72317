//! Checks that go on after a failure, so that one run tells all that is wrong.

use std::fmt::{Debug, Display};

use libtest_mimic::Failed;

/// More failures than this of one trial say nothing new.
const MOST: usize = 30;

/// What went wrong so far.
#[derive(Debug, Default)]
pub struct Check {
    lines: Vec<String>,
    more: usize,
}

impl Check {
    /// `got` must be `want`.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: impl Display, got: T, want: T) -> bool {
        let good = got == want;
        self.that(good, || format!("{what}: {got:?}, not {want:?}"));
        good
    }

    /// `good` must hold.
    pub fn that(&mut self, good: bool, what: impl FnOnce() -> String) {
        if !good {
            self.fails(what());
        }
    }

    /// Something is wrong.
    pub fn fails(&mut self, what: String) {
        if self.lines.len() < MOST {
            self.lines.push(what);
        } else {
            self.more += 1;
        }
    }

    /// All of it as a trial's failure.
    pub fn done(self) -> Result<(), Failed> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut text = self.lines.join("\n");
        if self.more > 0 {
            text.push_str(&format!("\n… and {} more", self.more));
        }
        Err(text.into())
    }
}
