//! `skmem snapshot` of both builds beside `ss`, of the same sockets: the bench `snapshot` in a VM.

use anyhow::{Context, Result};

use super::{
    Against, Options, Part, Setup, THEN, Wanted, job,
    rows::{Goal, Row},
};
use crate::vm::{Extra, MachineOptions};

/// Where the bench is in the guest.
const BENCH: &str = "/bench/snapshot";

/// What goals are about; it looks for no owners.
const SS: &str = "ss -tam";

/// Commands as the bench names them, and in the table.
const COMMANDS: [(&str, &str); 3] = [
    ("skmem snapshot", "`skmem snapshot`"),
    ("skmem snapshot --no-owners", "`skmem snapshot --no-owners`"),
    (
        "unshare -p -f skmem snapshot",
        "`skmem snapshot`, owners from `/proc`",
    ),
];

pub(super) fn measure(
    against: &Against,
    setup: &Setup,
    options: &Options,
    wanted: &Wanted,
) -> Result<Vec<Row>> {
    let bench = Extra {
        guest: BENCH.to_owned(),
        source: against.snapshot.clone(),
    };
    let sockets = options.sockets;
    // What is 100,000 sockets takes 6 GiB, and loading programs something besides.
    let memory = 2048 + sockets / 16;
    let machine = |machine: MachineOptions| machine.with_more(&["ss", "ip"]).sized(memory);
    let vm = against.vm(setup, options, wanted, machine, Some(bench))?;
    let hint = format!("{sockets} sockets and two runs of each command in a VM, some minutes");
    let command = format!("ulimit -Hn 300000; exec {BENCH} {sockets} --quick {THEN}");
    let argv = ["sh", "-c", &command].map(str::to_owned);
    let printed = job(&vm, ("snapshot", &hint), argv.to_vec(), &mut true)?;
    rows(&printed)
}

/// The bench's table as rows. Its ms are millions of instructions.
fn rows(printed: &str) -> Result<Vec<Row>> {
    let ss = time(printed, SS).context("the bench did not say what ss takes")?;
    let row = |what: String, unit, now, then| Row::new(Part::Snapshot, what, unit, now).then(then);
    let mut rows = Vec::new();
    for (command, shown) in COMMANDS {
        let Some(now) = time(printed, command) else {
            continue;
        };
        let then = time(printed, &command.replace("skmem", THEN));
        rows.push(row(shown.to_owned(), "million instructions", now, then));
        if rows.len() == 1 {
            let what = format!("{shown} to `{SS}` ({ss} million)");
            let then = then.map(|then| then / ss);
            rows.push(row(what, "×", now / ss, then).goal(Some(Goal::Most(1.0))));
        }
    }
    Ok(rows)
}

/// A command's time in ms: a line has the sockets, the command, and three figures with their units,
/// of which time is the first.
fn time(printed: &str, command: &str) -> Option<f64> {
    printed.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (shown, [time, "ms", ..]) = words.get(1..)?.split_last_chunk::<6>()? else {
            return None;
        };
        (shown.join(" ") == command).then(|| time.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::{super::rows::markdown, *};

    const PRINTED: &str = "\
 sockets  command                               time       CPU    memory
   10000  ss -tam                           282.0 ms  280.0 ms    3.5 MB
   10000  ss -tamp                          548.2 ms  540.0 ms   13.5 MB
   10000  skmem snapshot                    141.0 ms  140.0 ms    9.5 MB
   10000  /then/skmem snapshot              564.0 ms  560.0 ms    9.5 MB
   10000  unshare -p -f skmem snapshot      214.0 ms  210.0 ms    9.5 MB
   10000  skmem : ss = 0.50 in time, 0.50 in CPU time (memory of all sockets)
";

    #[test]
    fn both_builds_are_held_against_ss() {
        let text = markdown("abc", "6.12.1", &rows(PRINTED).unwrap());
        for row in [
            "| `skmem snapshot` | million instructions | 141 | 564 | 0.25 × |  |",
            "| `skmem snapshot` to `ss -tam` (282 million) | × | 0.500 | 2.000 | 0.25 × | ≤ 1 |",
            "| `skmem snapshot`, owners from `/proc` | million instructions | 214 | not in abc | – |  |",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
        assert!(!text.contains("--no-owners"), "{text}");
    }

    #[test]
    fn without_ss_there_is_no_table() {
        assert!(rows("").is_err());
    }
}
