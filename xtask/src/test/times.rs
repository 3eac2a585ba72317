//! Where the time of a machine's trials went: they run one after the other, so each took the time
//! since the one before.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::table::Row;

/// Lines of each of the two lists.
const SHOWN: usize = 16;

/// What a trial came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// A trial that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// Takes the time of trials by the lines that their harness prints: `test NAME ... ok`, or the same
/// in two lines where the trial prints something in between.
#[derive(Debug)]
pub(super) struct Watch {
    since: Instant,
    name: Option<String>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            name: None,
        }
    }

    /// The trial that has begun and not ended.
    pub(super) fn under_way(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The trial that a line ends.
    pub(super) fn read(&mut self, line: &str, now: Instant) -> Option<Ended> {
        let mut outcome = line;
        let begun = line
            .strip_prefix("test ")
            .and_then(|l| l.split_once(" ... "));
        if let Some((name, rest)) = begun {
            self.name = Some(name.trim_end().to_owned());
            outcome = rest;
        } else if line.starts_with("running ") {
            // Booting is nobody's.
            self.since = now;
        }
        let outcome = match outcome.trim() {
            "ok" => Outcome::Passed,
            "FAILED" => Outcome::Failed,
            other if other.starts_with("ignored") => Outcome::Skipped,
            _ => return None,
        };
        let name = self.name.take()?;
        let took = now.duration_since(self.since);
        self.since = now;
        Some(Ended {
            name,
            outcome,
            took,
        })
    }
}

/// The rooms and the trials that took longest: seconds on each kernel.
pub(super) fn times(table: &[Row]) -> String {
    let kernels: Vec<&Row> = table
        .iter()
        .filter(|row| !row.tally.ended.is_empty())
        .collect();
    if kernels.is_empty() {
        return String::new();
    }
    let room = |name: &str| name.split("::").next().unwrap_or(name).to_owned();
    let (rooms, trials) = (sums(&kernels, room), sums(&kernels, str::to_owned));
    let mut text = String::new();
    for (title, lines) in [("rooms", rooms), ("trials", trials)] {
        _ = write!(
            text,
            "\n{:<58}",
            format!("{title} that took longest, in seconds")
        );
        for row in &kernels {
            _ = write!(text, " {:>26}", row.name);
        }
        text.push('\n');
        for (name, seconds) in lines.iter().take(SHOWN) {
            _ = write!(text, "{name:<58}");
            for one in seconds {
                _ = write!(text, " {one:>26.1}");
            }
            text.push('\n');
        }
    }
    text
}

/// Seconds on each kernel by what `of` makes of a trial's name, the longest first.
fn sums(kernels: &[&Row], of: impl Fn(&str) -> String) -> Vec<(String, Vec<f64>)> {
    let mut sums: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (n, row) in kernels.iter().enumerate() {
        for Ended { name, took, .. } in &row.tally.ended {
            let seconds = sums
                .entry(of(name))
                .or_insert_with(|| vec![0.0; kernels.len()]);
            seconds[n] += took.as_secs_f64();
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    let total = |seconds: &[f64]| seconds.iter().sum::<f64>();
    sums.sort_by(|a, b| total(&b.1).total_cmp(&total(&a.1)));
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_takes_the_time_since_the_one_before() {
        let mut watch = Watch::new();
        let start = Instant::now();
        let mut read = |line: &str, seconds: u64| {
            let ended = watch.read(line, start + Duration::from_secs(seconds));
            ended.map(|ended| (ended.name, ended.outcome, ended.took.as_secs()))
        };
        assert_eq!(read("running 3 tests", 5), None);
        assert_eq!(
            read("test a::one   ... ok", 7),
            Some(("a::one".into(), Outcome::Passed, 2))
        );
        // One that prints while it runs.
        assert_eq!(read("test a::two   ... soak: 3 slots", 8), None);
        assert_eq!(read("soak: ok", 9), None);
        assert_eq!(
            read("FAILED", 11),
            Some(("a::two".into(), Outcome::Failed, 4))
        );
        // Said again at the end.
        assert_eq!(read("ok", 12), None);
    }
}
