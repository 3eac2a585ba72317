//! What `skmem bench` says of both builds: what modes add to a send, what a filter miss takes, what
//! reading a record takes, what the verifier walks.

use anyhow::{Result, bail};

use super::{
    super::table::{Cost, Results, grouped},
    Against, Options, Part, Setup, Wanted,
    rows::{Goal, Row},
};
use crate::process;

/// Modes that took the place of others: what a command did by default before is what it is held
/// against.
const INSTEAD: [(&str, &[&str]); 7] = [
    (
        "accounts, lean set",
        &["accounts, all hooks", "accounts without records"],
    ),
    (
        "accounts of both sides, lean set",
        &[
            "accounts of both sides, all hooks",
            "accounts of both sides without records",
        ],
    ),
    ("accounts, all hooks", &["accounts without records"]),
    (
        "accounts of both sides, all hooks",
        &["accounts of both sides without records"],
    ),
    (RECORDS, &["records of all hooks, replayed"]),
    (
        "records of three hooks",
        &["records of three hooks, replayed"],
    ),
    ("records of all hooks", &["records of all hooks, replayed"]),
];

const RECORDS: &str = "records of each call, lean set";
const EMPTY: &str = "empty programs on the same functions";
const MISS: &str = "attached, the filter misses";

/// What modes are to come to.
const GOALS: [(&str, f64); 2] = [("accounts, lean set", 0.5), (RECORDS, 0.6)];

const SEND: &str = "instructions a send";

/// Measures what was, beside what is.
pub(super) fn measure(
    against: &Against,
    setup: &Setup,
    options: &Options,
    wanted: &Wanted,
    now: &Results,
) -> Result<Vec<Row>> {
    let then = super::super::measure(setup, options, wanted, Some(&against.then.skmem), true);
    let then = match then {
        Ok((then, _)) => Some(then),
        // It does not have what is asked of it.
        Err(error) => {
            process::check_interrupted()?;
            eprintln!("bench: skmem of {}: {error:#}", against.commit);
            None
        }
    };
    rows(now, then.as_ref())
}

/// The rows; `then` is None where nothing of it could be measured.
pub(super) fn rows(now: &Results, then: Option<&Results>) -> Result<Vec<Row>> {
    let kernel_then = then.and_then(Results::kernel).or(now.kernel());
    if kernel_then != now.kernel() {
        bail!("measured on {:?} and {kernel_then:?}", now.kernel());
    }
    let row = |what: String, unit, figure| Row::new(Part::Accounts, what, unit, figure);
    let mut rows = Vec::new();
    for cost in now.costs().filter(|cost| cost.added_ns != 0) {
        let old = then.and_then(|then| same(then, cost));
        let size = grouped(cost.write_size);
        let name = format!("{}; {}, {size} bytes", cost.mode, cost.load);
        let other = old.filter(|old| old.mode != cost.mode);
        let goal = GOALS.iter().find(|(mode, _)| is_gate(cost, mode));
        rows.push(
            row(name, SEND, cost.added_ns as f64)
                .instead_of(other.map(|old| old.mode.clone()))
                .then(old.map(|old| old.added_ns as f64))
                .goal(goal.map(|(_, most)| Goal::Ratio(*most))),
        );
        if is_gate(cost, RECORDS) {
            rows.push(
                row(
                    format!("{RECORDS}: of that the reader"),
                    SEND,
                    cost.reader_ns_per_send as f64,
                )
                .then(old.map(|old| old.reader_ns_per_send as f64)),
            );
        }
    }
    for (what, unit, figure, most) in [
        (
            "filter miss, a program over an empty one, mean",
            "instructions",
            a_miss as fn(&Results) -> Option<f64>,
            15.0,
        ),
        (
            "filter miss, everything attached, to the floor",
            "×",
            to_floor,
            1.005,
        ),
    ] {
        if let Some(now) = figure(now) {
            let goal = Some(Goal::Most(most));
            rows.push(
                row(what.into(), unit, now)
                    .then(then.and_then(figure))
                    .goal(goal),
            );
        }
    }
    for (step, ns) in now.steps() {
        let old = then.and_then(|then| then.steps().find(|(name, _)| *name == step));
        let old = old.map(|(_, ns)| ns);
        rows.push(row(format!("{step}, in the VM"), "instructions an event", ns).then(old));
    }
    if let Some((programs, walked)) = now.walked() {
        let name = format!("verifier, {programs} programs of all hooks");
        let old = then.and_then(Results::walked);
        let other = old.filter(|(of, _)| *of != programs);
        rows.push(
            row(name, "instructions walked", walked as f64)
                .instead_of(other.map(|(of, _)| format!("{of} programs")))
                .then(old.map(|(_, walked)| walked as f64)),
        );
    }
    Ok(rows)
}

/// What `cost` is held against.
fn same<'a>(then: &'a Results, cost: &Cost) -> Option<&'a Cost> {
    let instead = INSTEAD.iter().find(|(name, _)| *name == cost.mode);
    let instead = instead.map_or(&[][..], |(_, names)| names);
    [cost.mode.as_str()]
        .iter()
        .chain(instead)
        .find_map(|name| find(then, &cost.load, cost.write_size, name))
}

fn find<'a>(results: &'a Results, load: &str, size: u64, mode: &str) -> Option<&'a Cost> {
    results
        .costs()
        .find(|cost| cost.load == load && cost.write_size == size && cost.mode == mode)
}

/// The load that goals are about.
const GATE: (&str, u64) = ("lockstep", 1024);

fn is_gate(cost: &Cost, mode: &str) -> bool {
    (cost.load.as_str(), cost.write_size) == GATE && cost.mode == mode
}

/// A send that the filter misses, to one with empty programs.
fn to_floor(results: &Results) -> Option<f64> {
    let [miss, empty] = [MISS, EMPTY].map(|mode| find(results, GATE.0, GATE.1, mode));
    Some(miss?.ns_per_send as f64 / empty?.ns_per_send as f64)
}

/// What a program takes where the filter misses, over an empty one: the mean of all that run.
fn a_miss(results: &Results) -> Option<f64> {
    let empty = |program| {
        let mut empty = results.runs(EMPTY);
        empty.find_map(|(name, ns)| (name == program).then_some(ns))
    };
    let over = results.runs(MISS);
    let over = over.filter_map(|(program, ns)| Some(ns as f64 - empty(program)? as f64));
    let over: Vec<f64> = over.collect();
    (!over.is_empty()).then(|| over.iter().sum::<f64>() / over.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::{super::rows::markdown, *};

    fn results(lines: &[&str]) -> Results {
        let head = r#"{"kind":"machine","kernel":"6.12.1","cpus":1,"rounds":1,"sends":1000}"#;
        let mut text = format!("{head}\n");
        for line in lines {
            text += line;
            text.push('\n');
        }
        Results::read(text).unwrap()
    }

    fn cost(mode: &str, added: i64) -> String {
        format!(
            r#"{{"kind":"cost","load":"lockstep","write_size":1024,"mode":"{mode}","ns_per_send":{},"range_ns":[1,1],"added_ns":{added},"ratio":1.0,"bytes_per_s":1,"events_per_send":0.0,"lost":0,"reader_ns_per_send":7}}"#,
            18_000 + added
        )
    }

    fn run(mode: &str, program: &str, ns: u64) -> String {
        format!(
            r#"{{"kind":"program","mode":"{mode}","program":"{program}","function":"f","runs_per_send":1.0,"ns_per_run":{ns}}}"#
        )
    }

    const STEP: &str = r#"{"kind":"event","step":"decode","ns_per_event":229.0}"#;

    #[test]
    fn modes_are_held_against_those_whose_place_they_took() {
        let nothing = cost("nothing attached", 0);
        let old = [
            nothing.as_str(),
            &cost("accounts without records", 5_000),
            STEP,
            r#"{"kind":"verifier","program":"ack_exit","instructions":1000}"#,
            r#"{"kind":"verifier","program":"ack_entry","instructions":1000}"#,
        ];
        let new = [
            nothing.as_str(),
            &cost("accounts, lean set", 2_500),
            &cost(RECORDS, 4_000),
            &cost("a tripwire that no socket meets", 200),
            STEP,
            r#"{"kind":"verifier","program":"ack_exit","instructions":1000}"#,
        ];
        let (old, new) = (results(&old), results(&new));
        let text = markdown("abc", "6.12.1", &rows(&new, Some(&old)).unwrap());
        for row in [
            "| accounts, lean set; lockstep, 1,024 bytes; then: accounts without records | instructions a send | 2,500 | 5,000 | 0.50 × | 0.5 × |",
            "| a tripwire that no socket meets; lockstep, 1,024 bytes | instructions a send | 200 | not in abc | – |  |",
            "| records of each call, lean set: of that the reader | instructions a send | 7.000 | not in abc | – |  |",
            "| decode, in the VM | instructions an event | 229 | 229 | 1.00 × |  |",
            "| verifier, 1 programs of all hooks; then: 2 programs | instructions walked | 1,000 | 2,000 | 0.50 × |  |",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
        assert!(!text.contains("nothing attached"), "{text}");
        // None of that time could be measured.
        let text = markdown("abc", "6.12.1", &rows(&new, None).unwrap());
        assert_eq!(text.matches("not in abc").count(), 6, "{text}");
    }

    #[test]
    fn a_filter_miss_is_held_against_empty_programs() {
        let lines = [
            cost(EMPTY, 2_000),
            cost(MISS, 2_200),
            run(EMPTY, "ack_exit", 80),
            run(EMPTY, "ack_entry", 81),
            run(MISS, "ack_exit", 100),
            run(MISS, "ack_entry", 91),
            run(MISS, "destroy", 500),
        ];
        let now = results(&lines.each_ref().map(String::as_str));
        assert_eq!(a_miss(&now), Some(15.0));
        assert_eq!(to_floor(&now), Some(1.01));
        let text = markdown("abc", "6.12.1", &rows(&now, None).unwrap());
        assert!(
            text.contains("| × | 1.010 | not in abc | – | ≤ 1.005 |"),
            "{text}"
        );
        assert_eq!(a_miss(&results(&[])), None);
        assert_eq!(to_floor(&results(&[])), None);
    }

    #[test]
    fn other_kernels_are_not_compared() {
        let other = r#"{"kind":"machine","kernel":"7.2.1","cpus":1,"rounds":1,"sends":1000}"#;
        let other = Results::read(format!("{other}\n")).unwrap();
        assert!(rows(&results(&[]), Some(&other)).is_err());
    }
}
