//! What tests came to, read from what they print.

use std::time::Duration;

use serde::Deserialize;

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
    /// How long each trial of a machine took, in the order in which they ended.
    pub(super) times: Vec<(String, Duration)>,
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
