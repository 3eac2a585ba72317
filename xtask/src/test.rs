//! `cargo xtask test`: the tests on this machine, and those that need a kernel of their own in VMs.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Deserialize;
use skmem_vm_init::Job;

use crate::guest::{self, Tests};
use crate::setup::Setup;
use crate::vm::{Extra, MachineOptions, Streams, Vm};
use crate::{process, rust};

/// The kernels that the VM tests run on where none is named.
const KERNELS: &[&str] = &["5.10", "6.1", "6.12", "7.2"];

/// Machines at a time. An emulated one keeps one of our CPUs busy while it loads programs, and waits for most of the
/// rest.
const MACHINES: usize = 4;

/// Where the tests are in the guest.
pub(crate) const IN_GUEST: &str = "/usr/local/bin/skmem-vm-tests";

/// Tests of what skmem writes with the programs that read it: DuckDB, and a browser.
const OUTSIDE: &str = "skmem-user/outside-tests";

/// How the trials are told of `--rounds`.
const ROUNDS: &str = "SKMEM_TEST_ROUNDS";

/// Options of `cargo xtask test`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run the tests that need no VM (both kinds run when neither is named)
    #[arg(long)]
    host: bool,
    /// Run the tests that need a VM
    #[arg(long)]
    vm: bool,
    /// A kernel for the VM tests; give it again for more
    #[arg(long, value_name = "KERNEL")]
    kernel: Vec<String>,
    /// Stop a kernel's tests after this long
    #[arg(long, value_name = "SECONDS", default_value_t = 3000)]
    timeout: u64,
    /// Attach and detach so often in the trials of doing no harm, and leave out each hook and each field in turn
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Run only tests whose names contain this
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

/// Lines of what failed tests said that are repeated at the end, for each kernel.
const FAILURE_LINES: usize = 60;

/// One line of the table at the end.
struct Row {
    name: String,
    tally: Tally,
    took: Duration,
}

impl Row {
    fn of(name: String, run: impl FnOnce() -> Result<Tally>) -> Self {
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

/// What a line for the table begins with; see `skmem-user/tests/vm/report.rs`.
const ROW: &str = "@row ";

/// What a scenario came to on one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Scenario {
    scenario: String,
    outcome: String,
    why: Option<String>,
    excess: i64,
    explained: i64,
    unattributed: i64,
    inferred: i64,
    inferred_causes: Vec<String>,
    lost: u64,
    skipped_runs: u64,
}

impl Scenario {
    fn cell(&self) -> String {
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
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Why there is no (whole) count.
    broken: Option<String>,
    /// What the scenarios came to, one by one.
    scenarios: Vec<Scenario>,
    /// What the failed tests said, as their harness prints it, for the end of ours: whoever reads only that learns why.
    failures: Vec<String>,
    /// We are inside such a part of the output.
    in_failures: bool,
}

impl Tally {
    /// Takes in a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; …`.
    fn read(&mut self, line: &str) {
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

    fn is_good(&self) -> bool {
        self.failed == 0 && self.broken.is_none()
    }

    /// Something went wrong that no test was blamed for.
    fn breaks(&mut self, why: String) {
        if self.failed == 0 {
            self.broken = Some(why);
        }
    }
}

/// Runs them; the code is 1 when one failed.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    setup.build_tools()?;
    let both = !options.host && !options.vm;
    let mut table = Vec::new();
    if options.host || both {
        table.push(Row::of("this machine".to_owned(), || {
            on_host(setup, options)
        }));
    }
    if options.vm || both {
        let default: Vec<String> = KERNELS.iter().map(|&kernel| kernel.to_owned()).collect();
        table.extend(in_vms(
            setup,
            options,
            if options.kernel.is_empty() {
                &default
            } else {
                &options.kernel
            },
        ));
    }
    process::check_interrupted()?;
    let everything = options.kernel.is_empty() && options.filter.is_none();
    let unplayed = unplayed(&table);
    if everything && let Some(row) = table.last_mut().filter(|_| !unplayed.is_empty()) {
        row.tally
            .breaks(format!("no kernel could run {}", unplayed.join(", ")));
    }
    let good = table.iter().all(|row| row.tally.is_good());
    io::stdout()
        .write_all((scenarios(&table) + &summary(&table)).as_bytes())
        .context("cannot write to stdout")?;
    Ok(u8::from(!good))
}

fn on_host(setup: &Setup, options: &Options) -> Result<Tally> {
    let mut command = rust::cargo();
    command
        .args([
            "test",
            "--workspace",
            "--exclude",
            "skmem-ebpf",
            "--no-fail-fast",
            "--features",
            OUTSIDE,
        ])
        .args(&options.filter)
        .env("SKMEM_TEST_DUCKDB", setup.duckdb()?)
        .env("SKMEM_TEST_BROWSER", setup.browser()?);
    command.stderr(Stdio::inherit());
    let mut tally = Tally::default();
    let status = process::with_stdout(&mut command, |from| {
        let mut to = io::stdout().lock();
        for line in BufReader::new(from).lines() {
            let line = line.context("cannot read cargo's output")?;
            writeln!(to, "{line}").context("cannot write to stdout")?;
            tally.read(&line);
        }
        Ok(())
    })?;
    if !status.success() {
        tally.breaks(format!("cargo test ended with {status}, see above"));
    }
    Ok(tally)
}

/// A machine with the tests in it, and the skmem that was built with them.
pub(crate) fn ready(setup: &Setup, tests: &Tests, kernel: &str, timeout: u64) -> Result<Vm> {
    let program = Extra {
        guest: IN_GUEST.to_owned(),
        source: tests.program.clone(),
    };
    let machine = MachineOptions::for_tests(kernel, timeout).running(&tests.skmem);
    Vm::prepare(setup, &machine, &[program])
}

/// On these kernels, [`MACHINES`] of them at a time; what they need is made ready one after the other.
fn in_vms(setup: &Setup, options: &Options, kernels: &[String]) -> Vec<Row> {
    let tests = guest::vm_tests();
    let vms: Vec<Result<Vm>> = kernels
        .iter()
        .map(|kernel| {
            let tests = tests.as_ref().map_err(|failure| anyhow!("{failure:#}"))?;
            ready(setup, tests, kernel, options.timeout)
        })
        .collect();
    let rows: Vec<Mutex<Option<Row>>> = kernels.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..MACHINES.min(kernels.len()) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(kernel), Some(vm)) = (kernels.get(n), vms.get(n)) else {
                        return;
                    };
                    let prefix = match kernels.len() {
                        1 => String::new(),
                        _ => format!("{kernel:>4} | "),
                    };
                    let row = Row::of(format!("kernel {kernel}"), || match vm {
                        Ok(vm) => in_vm(vm, options, &prefix),
                        Err(failure) => Err(anyhow!("{failure:#}")),
                    });
                    *rows[n].lock().unwrap_or_else(PoisonError::into_inner) = Some(row);
                }
            });
        }
    });
    let rows = rows.into_iter();
    rows.filter_map(|row| row.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}

fn in_vm(vm: &Vm, options: &Options, prefix: &str) -> Result<Tally> {
    let mut argv = vec![IN_GUEST.to_owned(), "--test-threads=1".to_owned()];
    argv.extend(options.filter.clone());
    let rounds = options.rounds;
    let job = Job {
        argv,
        env: std::iter::once(("RUST_BACKTRACE".into(), "1".into()))
            .chain(rounds.map(|n| (ROUNDS.into(), n.to_string())))
            .collect(),
        send_out: false,
        terminal: None,
    };
    let tally = Arc::new(Mutex::new(Tally::default()));
    let done = vm.run(&job, || {
        let lines = |counted: bool| Lines {
            tally: counted.then(|| Arc::clone(&tally)),
            prefix: prefix.to_owned(),
            line: Vec::new(),
        };
        Ok(Streams {
            stdout: Box::new(lines(true)),
            stderr: Box::new(lines(false)),
            out: None,
        })
    });
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match done {
        Ok(done) if done.status == 0 => {}
        Ok(done) => tally.breaks(format!("the tests ended with status {}", done.status)),
        // A result that was printed before counts all the same.
        Err(failure) => tally.breaks(format!("{failure:#}")),
    }
    Ok(tally)
}

/// What a machine prints, whole lines at a time, each with a prefix that tells the machines apart. The results on its
/// stdout are counted on their way.
struct Lines {
    /// None for its stderr.
    tally: Option<Arc<Mutex<Tally>>>,
    prefix: String,
    line: Vec<u8>,
}

impl Lines {
    fn end_of_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let Some(tally) = &self.tally else {
            return write!(io::stderr(), "{}{text}", self.prefix);
        };
        tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(text.trim_end());
        // Lines for the table are shown in it.
        if text.starts_with(ROW) {
            return Ok(());
        }
        write!(io::stdout(), "{}{text}", self.prefix)
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' {
                self.end_of_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

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
fn unplayed(table: &[Row]) -> Vec<String> {
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
fn scenarios(table: &[Row]) -> String {
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
fn summary(table: &[Row]) -> String {
    let mut text = format!(
        "\n{:<14} {:>8} {:>8} {:>8} {:>8}\n",
        "", "passed", "failed", "skipped", "seconds"
    );
    let mut total = Tally::default();
    let mut said = String::new();
    for Row {
        name,
        tally:
            Tally {
                passed,
                failed,
                skipped,
                broken,
                failures,
                scenarios: _,
                in_failures: _,
            },
        took,
    } in table
    {
        // What broke without a failed test counts as one, so that the closing line never looks good by accident.
        let failed = failed + u64::from(broken.is_some());
        _ = writeln!(
            text,
            "{name:<14} {passed:>8} {failed:>8} {skipped:>8} {:>8.1}",
            took.as_secs_f64()
        );
        if let Some(why) = broken {
            _ = writeln!(
                text,
                "  {}",
                why.split_whitespace().collect::<Vec<_>>().join(" ")
            );
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
        total.passed += passed;
        total.failed += failed;
        total.skipped += skipped;
    }
    text += &said;
    _ = writeln!(
        text,
        "\n{} passed, {} failed, {} skipped",
        total.passed, total.failed, total.skipped
    );
    text
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
                "\nkernel A, what failed:\n  ---- a ----\n  left: 1, right: 2\n\n0 passed, 1 failed, 0 skipped\n"
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
            text.ends_with("\n5 passed, 1 failed, 0 skipped\n"),
            "{text}"
        );
    }
}
