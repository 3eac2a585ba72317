//! From the start of `skmem explain` to the first call that it traces, and from its answer to the
//! prompt: what loading programs takes, and letting go of them.

use anyhow::{Context, Result};

use super::{
    Against, Options, Part, Setup, THEN, Wanted, job,
    rows::{Goal, Row},
};

/// Takes turns, and prints a line a run: which build, and the guest's clock and for how long its
/// processor was idle at its start, when the command runs that it watches, when it answers, when it
/// has ended. `/proc/uptime` is read by the shell itself.
const SCRIPT: &str = r#"
up() { read -r up </proc/uptime; printf ' %s' "$up"; }
for turn in 1 2; do
    for build in now then; do
        skmem=skmem
        [ $build = now ] || skmem=$1
        printf $build
        up
        $skmem explain --json -- echo ready |
            { read -r _ && up; read -r _ && up; cat >/dev/null; }
        up
        echo
    done
done
"#;

/// Seconds of the guest's clock.
#[derive(Debug, Clone, Copy)]
struct Span {
    all: f64,
    /// Of these its processor had nothing to do: the kernel waits for something.
    idle: f64,
}

impl Span {
    /// Between two times, each of which is the clock and how long it was idle.
    fn between(from: [f64; 2], to: [f64; 2]) -> Self {
        // The clock has hundredths.
        let past = |at: usize| ((to[at] - from[at]) * 100.0).round() / 100.0;
        Self {
            all: past(0),
            idle: past(1),
        }
    }

    fn shorter(self, other: Self) -> Self {
        if other.all < self.all { other } else { self }
    }
}

pub(super) fn measure(
    against: &Against,
    setup: &Setup,
    options: &Options,
    wanted: &Wanted,
) -> Result<Vec<Row>> {
    let vm = against.vm(setup, options, wanted, |machine| machine, None)?;
    let says = ("start and end", "both builds twice in a VM, some minutes");
    let argv = ["sh", "-c", SCRIPT, "sh", THEN].map(str::to_owned);
    let printed = job(&vm, says, argv.to_vec(), &mut true)?;
    rows(&printed)
}

fn rows(printed: &str) -> Result<Vec<Row>> {
    let now = shortest(printed, "now").context("skmem explain did not run in the VM")?;
    let then = shortest(printed, "then");
    let names = ["start to the first traced call", "answer to the prompt"];
    let mut rows = Vec::new();
    for (at, (what, most)) in names.into_iter().zip([0.6, 0.5]).enumerate() {
        let (now, then) = (now[at], then.map(|then| then[at]));
        let row = |what, now| Row::new(Part::Start, what, "s of the guest's clock", now);
        let goal = Some(Goal::Ratio(most));
        rows.push(
            row(what.to_owned(), now.all)
                .then(then.map(|then| then.all))
                .goal(goal),
        );
        let waits = format!("{what}: of that it waits");
        rows.push(row(waits, now.idle).then(then.map(|then| then.idle)));
    }
    Ok(rows)
}

/// A build's shortest start and end; None: none of its runs came to its end.
fn shortest(printed: &str, build: &str) -> Option<[Span; 2]> {
    let runs = printed.lines().filter_map(|line| {
        let (name, times) = line.split_once(' ')?;
        let times: Vec<f64> = times
            .split(' ')
            .map_while(|time| time.parse().ok())
            .collect();
        match *times.as_chunks().0 {
            [started, traced, answered, ended] if name == build => Some([
                Span::between(started, traced),
                Span::between(answered, ended),
            ]),
            _ => None,
        }
    });
    runs.reduce(|a, b| [a[0].shorter(b[0]), a[1].shorter(b[1])])
}

#[cfg(test)]
mod tests {
    use super::{super::rows::markdown, *};

    #[test]
    fn the_shortest_of_each_builds_runs() {
        let printed = "now 10.00 1.00 13.00 1.50 13.50 1.50 15.50 3.00\n\
                       then 16.00 3.00 22.00 4.00 22.10 4.00 26.10 7.00\n\
                       now 30.00 7.00 32.00 7.25 32.10 7.25 34.60 9.00\n\
                       then 40.00 9.00 46.50 9.00 46.60 9.00 50.60 9.00\n";
        let text = markdown("abc", "6.12.1", &rows(printed).unwrap());
        let unit = "s of the guest's clock";
        for row in [
            "start to the first traced call | UNIT | 2.000 | 6.000 | 0.33 × | 0.6 × |",
            "start to the first traced call: of that it waits | UNIT | 0.250 | 1.000 | 0.25 × |  |",
            "answer to the prompt | UNIT | 2.000 | 4.000 | 0.50 × | 0.5 × |",
            "answer to the prompt: of that it waits | UNIT | 1.500 | 3.000 | 0.50 × |  |",
        ] {
            let row = row.replace("UNIT", unit);
            assert!(text.contains(&row), "{row}: {text}");
        }
    }

    #[test]
    fn a_build_that_does_not_answer_is_left_out() {
        let printed =
            "now 10.00 1.00 13.00 1.50 13.50 1.50 15.50 3.00\nthen 16.00 3.00 16.10 3.00\n";
        let text = markdown("abc", "6.12.1", &rows(printed).unwrap());
        assert_eq!(text.matches("not in abc").count(), 4, "{text}");
        assert!(rows("then 16.00 3.00 22.00 4.00 22.10 4.00 26.10 7.00\n").is_err());
    }
}
