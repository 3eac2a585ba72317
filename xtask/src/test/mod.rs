//! `cargo xtask test`: the tests on this machine, and those that need a kernel of their own in VMs.

mod table;
mod tally;

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use skmem_vm_init::Job;

use crate::guest::{self, Tests};
use crate::setup::Setup;
use crate::vm::{Extra, MachineOptions, Streams, Vm};
use crate::{process, rust};
use table::{Row, scenarios, summary, unplayed};
use tally::{ROW, Tally};

/// The kernels that the VM tests run on where none is named.
const KERNELS: &[&str] = &["5.10", "6.1", "6.12", "7.2"];

/// Machines at a time. An emulated one keeps one of our CPUs busy while it loads programs, and waits for most of the
/// rest.
const MACHINES: usize = 4;

/// Where the tests are in the guest.
pub(crate) const IN_GUEST: &str = "/usr/local/bin/skmem-vm-tests";

/// Tests of what skmem writes with the programs that read it: DuckDB, Perfetto's trace processor, and a browser.
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
    /// Let ClickHouse, DataFusion, DuckDB, polars and Spark answer the queries of docs/queries (and nothing else, where
    /// neither of the kinds is named)
    #[arg(long)]
    engines: bool,
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

/// Runs them; the code is 1 when one failed.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    setup.build_tools()?;
    let both = !options.host && !options.vm && !options.engines;
    let mut table = Vec::new();
    if options.host || both {
        table.push(Row::of("this machine".to_owned(), || {
            on_host(setup, options)
        }));
    }
    if options.engines {
        table.push(Row::of("engines".to_owned(), || engines(setup)));
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

/// The test that asks the engines; it is left out of all other runs.
fn engines(setup: &Setup) -> Result<Tally> {
    let mut command = rust::cargo();
    command
        .args([
            "test",
            "--package",
            "skmem-user",
            "--lib",
            "--features",
            OUTSIDE,
        ])
        .args(["--", "--ignored", "engines"])
        .env("SKMEM_TEST_ENGINES", setup.engines()?);
    counted(command)
}

fn on_host(setup: &Setup, options: &Options) -> Result<Tally> {
    let readers = setup.readers()?;
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
        .env("SKMEM_TEST_DUCKDB", readers.python)
        .env("SKMEM_TEST_NODE", readers.node)
        .env("SKMEM_TEST_PERFETTO", readers.perfetto)
        .env("SKMEM_TEST_BROWSER", setup.browser()?);
    counted(command)
}

/// Runs cargo's tests, and counts them.
fn counted(mut command: Command) -> Result<Tally> {
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
