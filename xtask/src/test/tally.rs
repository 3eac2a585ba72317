//! What tests came to, read from what they print.

use serde::Deserialize;

use super::times::{Ended, Outcome};

/// What a line for the table begins with; see `skmem-user/tests/vm/report.rs`.
pub(super) const ROW: &str = "@row ";

/// What a scenario came to on one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Scenario {
    pub(super) scenario: String,
    pub(super) outcome: String,
    pub(super) why: Option<String>,
    pub(super) excess: i64,
    pub(super) explained: i64,
    pub(super) unattributed: i64,
    pub(super) inferred: i64,
    pub(super) inferred_causes: Vec<String>,
    pub(super) lost: u64,
    pub(super) skipped_runs: u64,
}

impl Scenario {
    pub(super) fn cell(&self) -> String {
        if self.outcome == "skipped" {
            return "skipped".to_owned();
        }
        let mark = if self.outcome == "ok" { "" } else { "! " };
        let excess = if self.explained == self.excess {
            self.excess.to_string()
        } else {
            format!("{} of {}", self.explained, self.excess)
        };
        format!(
            "{mark}{excess} {}/{}/{}/{}",
            self.unattributed, self.inferred, self.lost, self.skipped_runs
        )
    }
}

/// What the tests of one row came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    /// Why there is no (whole) count.
    pub(super) broken: Option<String>,
    /// What the scenarios came to, one by one.
    pub(super) scenarios: Vec<Scenario>,
    /// The trials of a machine, in the order in which they ended.
    pub(super) ended: Vec<Ended>,
    /// The trial of a machine that has begun and not ended.
    pub(super) under_way: Option<String>,
    /// What the failed tests said, as their harness prints it: it is printed again at the end of
    /// our output, which may be all that is read.
    pub(super) failures: Vec<String>,
    /// We are inside such a part of the output.
    pub(super) in_failures: bool,
}

impl Tally {
    /// Takes in a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; …`.
    pub(super) fn read(&mut self, line: &str) {
        // What failed tests said comes between two lines `failures:`, their names after the second.
        if line == "failures:" {
            self.in_failures = !self.in_failures;
            return;
        }
        if self.in_failures && !line.is_empty() {
            self.failures.push(line.to_owned());
        }
        if let Some(row) = line.strip_prefix(ROW) {
            match serde_json::from_str(row) {
                Ok(scenario) => self.scenarios.push(scenario),
                Err(error) => self.broken = Some(format!("the tests' {line:?}: {error}")),
            }
            return;
        }
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let Some((Ok(number), kind)) = count
                .split_once(' ')
                .map(|(number, kind)| (number.parse::<u64>(), kind))
            else {
                continue;
            };
            match kind.trim() {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.failed == 0 && self.broken.is_none()
    }

    /// Something went wrong that no test was blamed for.
    pub(super) fn breaks(&mut self, why: String) {
        if self.failed == 0 {
            self.broken = Some(why);
        }
    }

    /// A machine ended badly: what was printed until then counts.
    pub(super) fn cut_short(&mut self, why: &str) {
        let whole = self.passed + self.failed + self.skipped > 0;
        if !whole {
            let count = |outcome| {
                let ended = self.ended.iter().filter(|ended| ended.outcome == outcome);
                ended.count() as u64
            };
            (self.passed, self.failed, self.skipped) = (
                count(Outcome::Passed),
                count(Outcome::Failed),
                count(Outcome::Skipped),
            );
        }
        let during = self.under_way.as_ref();
        let during = during.map_or(String::new(), |trial| format!(" during {trial}"));
        self.broken = Some(format!("{why}{during}"));
    }

    /// What failed, in a few words: trials by name, and why there is no whole count.
    pub(super) fn failed_names(&self) -> Vec<String> {
        let names = self.failures.iter().filter_map(|line| {
            let name = line.strip_prefix("---- ")?.strip_suffix(" ----")?;
            // The host's harness says which stream it repeats.
            Some(name.trim_end_matches(" stdout").to_owned())
        });
        let mut names: Vec<String> = names.collect();
        if names.is_empty() {
            let failed = self.ended.iter().filter(|e| e.outcome == Outcome::Failed);
            names.extend(failed.map(|ended| ended.name.clone()));
        }
        names.extend(self.broken.iter().map(|why| one_line(why)));
        names
    }
}

/// A text with its white space as single spaces.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::test::times::Watch;

    #[test]
    fn a_machine_that_ends_early_keeps_what_it_printed_and_names_the_trial() {
        let (mut tally, mut watch) = (Tally::default(), Watch::new());
        for line in [
            "running 4 tests",
            "test a::one   ... ok",
            "test a::two   ... FAILED",
            "test a::three ... ignored",
            "test a::four  ... ",
        ] {
            tally.read(line);
            let ended = watch.read(line, Instant::now() + Duration::from_secs(1));
            tally.ended.extend(ended);
        }
        tally.under_way = watch.under_way().map(str::to_owned);
        tally.cut_short("stopped after 9 s");
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 1, 1));
        assert_eq!(
            tally.failed_names(),
            ["a::two", "stopped after 9 s during a::four"]
        );
        assert!(!tally.is_good());
    }

    #[test]
    fn results_of_several_test_programs_add_up() {
        let mut tally = Tally::default();
        tally.read("running 3 tests");
        tally.read("test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.read("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.20s");
        assert_eq!(
            tally,
            Tally {
                passed: 3,
                failed: 2,
                skipped: 1,
                ..Tally::default()
            }
        );
        assert!(!tally.is_good());
    }
}
