//! What both builds take on this machine: recordings and lines of events, and commands over the
//! recording of some bulk traffic, which the older one makes in a VM. valgrind counts instructions;
//! where it is not there, CPU time is what is compared.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};
use skmem_vm_init::Job;

use super::{
    Against, Build, Options, Part, Setup, THEN, Wanted,
    rows::{Goal, Row},
};
use crate::{
    paths,
    process::{self, Captured},
    progress::Step,
    vm,
};

/// Two senders that write some MiB as fast as they can, 16 KiB at a time and 1 KiB, and who reads
/// it: with an input that does not end, which would have it close its side, and the sender end.
const BULK: &str = r#"
sleep 1h | nc -l -p 5001 >/dev/null &
sleep 1h | nc -l -p 5002 >/dev/null &
sleep 1
$1 record -o "$OUT/$2" -- sh -c '
    dd if=/dev/zero bs=16k count=$(($0 * 64)) | nc 127.0.0.1 5001 &
    dd if=/dev/zero bs=1k count=$(($0 * 1024)) | nc 127.0.0.1 5002
    wait' $3 >&2
"#;

/// The recording's name.
const FILE: &str = "bulk.skm";

/// Steps as the bench names them, in the table, and what they are to come to.
const STEPS: [(&str, &str, Option<f64>); 6] = [
    ("decode", "decode", None),
    ("ledger", "ledger", None),
    ("record", "into a recording", Some(0.35)),
    ("read", "out of a recording", Some(0.4)),
    ("line of JSON", "line of JSON", Some(0.2)),
    ("line of text", "line of text", Some(0.4)),
];

/// Commands, and what they are to come to.
const COMMANDS: [(&[&str], f64); 2] = [(&["report"], 0.5), (&["plot", "--text"], 0.5)];

pub(super) fn measure(
    against: &Against,
    setup: &Setup,
    options: &Options,
    wanted: &Wanted,
) -> Result<Vec<Row>> {
    if !options.arch.is_host() {
        bail!("programs for {} do not run on this machine", options.arch);
    }
    let bulk = record(against, setup, options, wanted)?;
    let (now, then) = (&against.now, &against.then);
    let counted = is_counted();
    if !counted {
        eprintln!(
            "bench: no valgrind here (apt install valgrind): CPU time in place of instructions"
        );
    }
    let (each, whole) = match counted {
        true => ("instructions an event", "million instructions"),
        false => ("ns an event", "ms of CPU"),
    };
    let steps = |build: &Build, which: &str| {
        let bench = build.recording.as_deref();
        bench.map_or(Ok(None), |bench| run_steps(bench, &bulk, counted, which))
    };
    let commit = &against.commit;
    let mut rows = compared(
        &steps(now, "now")?.context("the bench of recordings has no such steps")?,
        steps(then, commit)?.as_deref(),
        each,
    );
    // As each would have recorded it.
    let own = rewritten(now, &bulk)?;
    for (words, most) in COMMANDS {
        let cost = |build: &Build, file: &Path, which: &str| {
            run_command(build, words, file, counted, which)
        };
        let what = format!("`{}`", words.join(" "));
        let now = cost(now, &own, "now")?.with_context(|| format!("{what} failed, see above"))?;
        rows.push(
            Row::new(Part::Host, what, whole, now)
                .then(cost(then, &bulk, commit)?)
                .goal(Some(Goal::Ratio(most))),
        );
    }
    Ok(rows)
}

/// Records the traffic in a VM: by the older build, in a format that both read; by the newer one
/// where that fails.
fn record(against: &Against, setup: &Setup, options: &Options, wanted: &Wanted) -> Result<PathBuf> {
    let mebibytes = if options.quick { "16" } else { "64" };
    let directory = paths::root().join("target/bench");
    let vm = against.vm(setup, options, wanted, |machine| machine, None)?;
    for skmem in [THEN, "skmem"] {
        let step = Step::start("recording", "bulk traffic in a VM, a minute or two");
        let job = Job {
            argv: ["sh", "-c", BULK, "sh", skmem, FILE, mebibytes]
                .map(str::to_owned)
                .to_vec(),
            env: Vec::new(),
            send_out: true,
            terminal: None,
        };
        let status = vm::run_here(&vm, &job, Some(&directory))?.status;
        step.done("made");
        if status == 0 {
            return Ok(directory.join(FILE));
        }
    }
    bail!("bulk traffic could not be recorded, see above")
}

/// The same records in the format that this build writes.
fn rewritten(build: &Build, file: &Path) -> Result<PathBuf> {
    let rewritten = file.with_file_name("bulk-now.skm");
    let mut command = Command::new(&build.skmem);
    command.args(["export", "--format=skm", "--force", "-o"]);
    process::succeed(command.arg(&rewritten).arg(file), None)?;
    Ok(rewritten)
}

/// Whether valgrind is there.
fn is_counted() -> bool {
    process::capture(Command::new("valgrind").arg("--version"), None)
        .is_ok_and(|done| done.status.success())
}

/// The bench's steps and figures; None: it fails, or does not count instructions.
fn run_steps(
    bench: &Path,
    file: &Path,
    counted: bool,
    which: &str,
) -> Result<Option<Vec<(String, f64)>>> {
    let hint = format!("events of {}, by {which}, some minutes", paths::shown(file));
    let step = Step::start("recordings and lines", &hint);
    let mut command = Command::new(bench);
    if counted {
        command.arg("--instructions");
    }
    let done = process::capture(command.arg(file), Some(&step))?;
    step.done("measured");
    if !done.status.success() {
        eprint!("{}", done.tail());
        return Ok(None);
    }
    Ok(steps(&done.stdout, counted))
}

/// What the bench printed: a step in sixteen columns, and its figure.
fn steps(printed: &str, counted: bool) -> Option<Vec<(String, f64)>> {
    let mut lines = printed.lines();
    if lines.next()?.contains("instructions") != counted {
        return None;
    }
    let step = |line: &str| {
        let (name, rest) = line.split_at_checked(16)?;
        let figure = rest.split_whitespace().next()?.parse().ok()?;
        Some((name.trim().to_owned(), figure))
    };
    Some(lines.filter_map(step).collect())
}

/// Both builds' steps side by side.
fn compared(now: &[(String, f64)], then: Option<&[(String, f64)]>, unit: &'static str) -> Vec<Row> {
    let figure = |steps: &[(String, f64)], step: &str| {
        let mut found = steps.iter().filter(|(name, _)| name == step);
        found.next().map(|(_, figure)| *figure)
    };
    let rows = STEPS.iter().filter_map(|(step, shown, most)| {
        let row = Row::new(Part::Host, *shown, unit, figure(now, step)?);
        let then = then.and_then(|then| figure(then, step));
        Some(row.then(then).goal(most.map(Goal::Ratio)))
    });
    rows.collect()
}

/// What a command over a recording takes: millions of instructions, or ms of CPU. None: it fails.
fn run_command(
    build: &Build,
    words: &[&str],
    file: &Path,
    counted: bool,
    which: &str,
) -> Result<Option<f64>> {
    let words = words.join(" ");
    let step = Step::start(&words, &format!("by {which}, a minute"));
    let mut command = if counted {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg(&build.skmem);
        command
    } else {
        Command::new(&build.skmem)
    };
    command.args(words.split(' ')).arg(file);
    let before = cpu_ms()?;
    let done = process::capture(&mut command, None)?;
    let cpu = cpu_ms()? - before;
    step.done("measured");
    if !done.status.success() {
        eprint!("{}", done.tail());
        return Ok(None);
    }
    match counted {
        true => Ok(Some(collected(&done)? / 1e6)),
        false => Ok(Some(cpu)),
    }
}

/// How many instructions callgrind says that it has seen.
fn collected(done: &Captured) -> Result<f64> {
    let rest = done.stderr.split_once("Collected : ");
    let number = rest.and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("valgrind did not say how many:\n{}", done.tail()))
}

/// CPU time of all programs that ran to their end, in ms.
fn cpu_ms() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot read the CPU time")?;
    let spent = usage.user_time() + usage.system_time();
    Ok(spent.num_microseconds() as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::{super::rows::markdown, *};

    const COUNTED: &str = "\
step              instructions  in another build, ratio to it
decode                     221
record                     447
line of text              1759
";

    const TIMED: &str = "\
step              ns/event       million events/s
decode                22.5                   44.4
a recording has 4.1 bytes an event
";

    #[test]
    fn steps_that_the_older_bench_lacks_are_not_in_it() {
        let now = steps(COUNTED, true).unwrap();
        let then = [("record".to_owned(), 894.0)];
        let text = markdown(
            "abc",
            "6.12.1",
            &compared(&now, Some(&then), "instructions an event"),
        );
        for row in [
            "| into a recording | instructions an event | 447 | 894 | 0.50 × | 0.35 × |",
            "| line of text | instructions an event | 1,759 | not in abc | – | 0.4 × |",
            "| decode | instructions an event | 221 | not in abc | – |  |",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
        let text = markdown(
            "abc",
            "6.12.1",
            &compared(&now, None, "instructions an event"),
        );
        assert_eq!(text.matches("not in abc").count(), 3, "{text}");
    }

    #[test]
    fn a_bench_that_measures_something_else_is_not_compared() {
        assert_eq!(steps(TIMED, true), None);
        assert_eq!(steps(COUNTED, false), None);
        let timed = steps(TIMED, false).unwrap();
        assert_eq!(compared(&timed, None, "ns an event").len(), 1);
        assert_eq!(steps("", true), None);
    }
}
