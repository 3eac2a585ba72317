//! The tables at the end: kernel × scenario, and what passed and failed.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::tally::{Scenario, Tally, one_line};

/// One line of the table at the end.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) tally: Tally,
    pub(super) took: Duration,
}

impl Row {
    pub(super) fn of(name: String, run: impl FnOnce() -> Result<Tally>) -> Self {
        let started = Instant::now();
        let tally = run().unwrap_or_else(|failure| Tally {
            broken: Some(format!("{failure:#}")),
            ..Tally::default()
        });
        Self {
            name,
            tally,
            took: started.elapsed(),
        }
    }
}

/// Lines of what failed tests said that are repeated at the end, for each kernel.
const FAILURE_LINES: usize = 60;

/// All scenarios in the order in which they ran, by the first kernel that has them.
fn names(table: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for scenario in table.iter().flat_map(|row| &row.tally.scenarios) {
        if !names.contains(&scenario.scenario.as_str()) {
            names.push(&scenario.scenario);
        }
    }
    names
}

/// Scenarios that no kernel could run: nobody knows whether they still work.
pub(super) fn unplayed(table: &[Row]) -> Vec<String> {
    let skipped = |name: &&str| {
        table
            .iter()
            .flat_map(|row| &row.tally.scenarios)
            .filter(|scenario| scenario.scenario == *name)
            .all(|scenario| scenario.outcome == "skipped")
    };
    let names = names(table).into_iter().filter(skipped);
    names.map(str::to_owned).collect()
}

/// The table scenario × kernel, and why what was skipped was.
pub(super) fn scenarios(table: &[Row]) -> String {
    let kernels: Vec<&Row> = table
        .iter()
        .filter(|row| !row.tally.scenarios.is_empty())
        .collect();
    if kernels.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\nworst excess that is explained, in bytes; then bytes unattributed / inferred, records lost, runs skipped\n{:<26}",
        ""
    );
    for row in &kernels {
        _ = write!(text, " {:>26}", row.name);
    }
    text.push('\n');
    let mut reasons = Vec::new();
    for name in names(table) {
        _ = write!(text, "{name:<26}");
        for row in &kernels {
            let found = row.tally.scenarios.iter().find(|s| s.scenario == name);
            if let Some(why) = found.and_then(|scenario| scenario.why.as_ref()) {
                reasons.push(format!("{name}, {}: skipped: {why}\n", row.name));
            }
            if let Some(inferred) = found.filter(|s| !s.inferred_causes.is_empty()) {
                reasons.push(format!(
                    "{name}, {}: inferred: {}\n",
                    row.name,
                    inferred.inferred_causes.join(", ")
                ));
            }
            _ = write!(text, " {:>26}", found.map_or(String::new(), Scenario::cell));
        }
        text.push('\n');
    }
    text + &reasons.concat()
}

/// The table, what broke, and the closing line.
pub(super) fn summary(table: &[Row]) -> String {
    let mut text = format!(
        "\n{:<22} {:>8} {:>8} {:>8} {:>8}\n",
        "", "passed", "failed", "skipped", "seconds"
    );
    let mut total = Tally::default();
    let mut said = String::new();
    let mut names = Vec::new();
    for Row { name, tally, took } in table {
        let Tally {
            passed,
            failed,
            skipped,
            broken,
            failures,
            ..
        } = tally;
        // What broke counts as one more, so that the closing line never looks good
        // by accident.
        let failed = failed + u64::from(broken.is_some());
        _ = writeln!(
            text,
            "{name:<22} {passed:>8} {failed:>8} {skipped:>8} {:>8.1}",
            took.as_secs_f64()
        );
        if let Some(why) = broken {
            _ = writeln!(text, "  {}", one_line(why));
        }
        if !failures.is_empty() {
            _ = writeln!(said, "\n{name}, what failed:");
        }
        for line in failures.iter().take(FAILURE_LINES) {
            _ = writeln!(said, "  {line}");
        }
        if let Some(more) = failures.len().checked_sub(FAILURE_LINES).filter(|&n| n > 0) {
            _ = writeln!(said, "  … and {more} lines more, see above");
        }
        names.extend(
            tally
                .failed_names()
                .iter()
                .map(|what| format!("{name}: {what}")),
        );
        total.passed += passed;
        total.failed += failed;
        total.skipped += skipped;
    }
    text += &said;
    _ = write!(
        text,
        "\n{} passed, {} failed, {} skipped",
        total.passed, total.failed, total.skipped
    );
    // In the same line: it may be all that is read.
    match names.is_empty() {
        true => text + "\n",
        false => text + " (" + &names.join("; ") + ")\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_make_one_table_and_one_that_never_ran_is_named() {
        let row = |kernel: &str, lines: &[&str]| {
            let mut tally = Tally::default();
            lines.iter().for_each(|line| tally.read(line));
            Row {
                name: kernel.to_owned(),
                tally,
                took: Duration::ZERO,
            }
        };
        let good = r#"@row {"scenario":"article","outcome":"ok","why":null,"excess":7184,"explained":7184,"unattributed":0,"inferred":7,"inferred_causes":["ack"],"lost":0,"skipped_runs":2}"#;
        let bad = r#"@row {"scenario":"article","outcome":"failed","why":null,"excess":100,"explained":90,"unattributed":10,"inferred":0,"inferred_causes":[],"lost":1,"skipped_runs":0}"#;
        let skipped = r#"@row {"scenario":"ktls","outcome":"skipped","why":"no TLS","excess":0,"explained":0,"unattributed":0,"inferred":0,"inferred_causes":[],"lost":0,"skipped_runs":0}"#;
        let table = [
            row("kernel A", &[good, skipped]),
            row("kernel B", &[bad, skipped]),
        ];
        let text = scenarios(&table);
        assert!(text.contains("7184 0/7/0/2"), "{text}");
        assert!(
            text.contains("article, kernel A: inferred: ack\n"),
            "{text}"
        );
        assert!(text.contains("! 90 of 100 10/0/1/0"), "{text}");
        assert!(text.contains("ktls, kernel B: skipped: no TLS"), "{text}");
        assert_eq!(unplayed(&table), ["ktls"]);
        assert_eq!(scenarios(&[row("this machine", &[])]), "");
        let mut tally = Tally::default();
        tally.read("@row nonsense");
        assert!(!tally.is_good());
    }

    #[test]
    fn what_failed_is_said_again_at_the_end() {
        let mut tally = Tally::default();
        for line in [
            "test a ... FAILED",
            "",
            "failures:",
            "",
            "---- a ----",
            "left: 1, right: 2",
            "",
            "failures:",
            "    a",
            "",
            "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            tally.read(line);
        }
        let text = summary(&[Row {
            name: "kernel A".to_owned(),
            tally,
            took: Duration::ZERO,
        }]);
        assert!(
            text.ends_with(
                "\nkernel A, what failed:\n  ---- a ----\n  left: 1, right: 2\n\n\
                 0 passed, 1 failed, 0 skipped (kernel A: a)\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_kernel_that_did_not_boot_is_a_failure_in_the_closing_line() {
        let broken = Tally {
            broken: Some("no\nboot".into()),
            ..Tally::default()
        };
        let good = Tally {
            passed: 5,
            ..Tally::default()
        };
        let row = |name: &str, tally| Row {
            name: name.to_owned(),
            tally,
            took: Duration::from_millis(1500),
        };
        let text = summary(&[row("this machine", good), row("kernel 5.10", broken)]);
        assert!(text.contains("  no boot\n"), "{text}");
        assert!(
            text.ends_with("\n5 passed, 1 failed, 0 skipped (kernel 5.10: no boot)\n"),
            "{text}"
        );
    }
}
