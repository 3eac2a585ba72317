//! `cargo xtask test`: the tests on this machine, and those that need a kernel of their own in VMs.

mod places;
mod table;
mod tally;
mod times;

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use places::{Place, machines, places};
use skmem_vm_init::Job;
use table::{Row, scenarios, summary, unplayed};
use tally::{ROW, Tally};
use times::{Watch, times};

use crate::{
    arch::{self, Arch, Flavour},
    guest::{self, Tests},
    kernels::{self, Wanted},
    process, rust,
    setup::Setup,
    vm::{Extra, MachineOptions, Streams, Vm},
};

/// Set: the trials run only those that may depend on the architecture.
const CORE: &str = "SKMEM_TEST_CORE";

/// Set to 0 or 1: the trials leave out the other half of those that come out alike on all kernels.
const HALF: &str = "SKMEM_TEST_HALF";

/// Where the tests are in the guest.
pub(crate) const IN_GUEST: &str = "/usr/local/bin/skmem-vm-tests";

/// Tests of what skmem writes with the programs that read it: DuckDB, Perfetto's trace processor,
/// and a browser.
const OUTSIDE: &str = "skmem-user/outside-tests";

/// A machine that prints nothing for this long hangs: the longest trial takes a quarter of it where
/// six machines share two processors.
const SILENCE: Duration = Duration::from_mins(20);

/// Passes `--rounds` to the trials.
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
    /// Let ClickHouse, DataFusion, DuckDB, polars and Spark answer the queries of docs/queries
    /// (and nothing else, where neither of the kinds is named)
    #[arg(long)]
    engines: bool,
    /// Run those of the VM tests that need systemd and Podman, on a machine that has them (and
    /// nothing else, where neither of the kinds is named)
    #[arg(long, conflicts_with_all = ["arch", "flavour", "core"])]
    systemd: bool,
    /// A kernel for the VM tests; give it again for more
    #[arg(long, value_name = "KERNEL")]
    kernel: Vec<String>,
    /// Architecture of the VM tests, all of which run on it [default: all of them; with --kernel
    /// this machine's]
    #[arg(long, value_name = "ARCH", value_parser = Arch::parser())]
    arch: Option<&'static Arch>,
    /// Which of Debian's kernels of these releases [default: those made for VMs]
    #[arg(long, value_name = "FLAVOUR", requires = "kernel")]
    flavour: Option<Flavour>,
    /// Run all tests on all kernels: without this those of a foreign architecture run a part, and
    /// what comes out alike everywhere runs on every second kernel
    #[arg(long, conflicts_with = "core")]
    all: bool,
    /// Run on all kernels those tests only that may come out differently on another architecture:
    /// without this and --all, kernels of a foreign one run these, and the others all
    #[arg(long)]
    core: bool,
    /// Stop a kernel's tests after this long
    #[arg(long, value_name = "SECONDS", default_value_t = 7200)]
    timeout: u64,
    /// Attach and detach so often in the trials of doing no harm, and leave out each hook and each
    /// field in turn
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Run only tests whose names contain this
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

/// Runs them; the code is 1 when one failed.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    setup.build_tools(Arch::host())?;
    let both = !options.host && !options.vm && !options.engines && !options.systemd;
    let mut table = Vec::new();
    if options.host || both {
        table.push(Row::of("this machine".to_owned(), || {
            on_host(setup, options)
        }));
    }
    if options.engines {
        table.push(Row::of("engines".to_owned(), || engines(setup)));
    }
    if options.vm || options.systemd || both {
        table.extend(in_vms(setup, options, &places(options)));
    }
    process::check_interrupted()?;
    let everything =
        options.kernel.is_empty() && options.arch.is_none() && options.filter.is_none();
    let unplayed = unplayed(&table);
    if everything && let Some(row) = table.last_mut().filter(|_| !unplayed.is_empty()) {
        row.tally
            .breaks(format!("no kernel could run {}", unplayed.join(", ")));
    }
    let good = table.iter().all(|row| row.tally.is_good());
    io::stdout()
        .write_all((scenarios(&table) + &times(&table) + &summary(&table)).as_bytes())
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
            "--bin",
            "skmem",
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
        .env("SKMEM_TEST_BROWSER", setup.browser()?)
        .env("SKMEM_TEST_SHELLS", setup.shells()?)
        .env("SKMEM_TEST_PROMTOOL", setup.prometheus()?.join("promtool"))
        .env("SKMEM_TEST_MANIFESTS", setup.manifests()?);
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
pub(crate) fn ready(setup: &Setup, tests: &Tests, wanted: &Wanted, timeout: u64) -> Result<Vm> {
    let mut extras = vec![in_guest(tests)];
    // 50 MB: on one kernel.
    if wanted.kernel == kernels::DEFAULT && wanted.arch.is_host() {
        extras.push(Extra {
            guest: "/usr/bin/prometheus".to_owned(),
            source: setup.prometheus()?.join("prometheus"),
        });
    }
    let machine = machine(tests, wanted, timeout);
    Vm::prepare(setup, &machine, &extras)
}

/// The same with systemd as the first process, and with Podman.
fn ready_with_systemd(setup: &Setup, tests: &Tests, wanted: &Wanted, timeout: u64) -> Result<Vm> {
    let machine = machine(tests, wanted, timeout);
    Vm::prepare(setup, &machine.with_systemd(), &[in_guest(tests)])
}

fn machine(tests: &Tests, wanted: &Wanted, timeout: u64) -> MachineOptions {
    MachineOptions::for_tests(wanted, timeout)
        .running(&tests.skmem)
        .stopped_when_silent(SILENCE)
}

fn in_guest(tests: &Tests) -> Extra {
    Extra {
        guest: IN_GUEST.to_owned(),
        source: tests.program.clone(),
    }
}

/// The tests and skmem, built for an architecture.
fn built(setup: &Setup, arch: &'static Arch) -> Result<Tests> {
    setup.build_tools(arch)?;
    guest::vm_tests(arch)
}

/// On these kernels, several of them at a time; what they need is made ready one after the
/// other.
fn in_vms(setup: &Setup, options: &Options, places: &[Place]) -> Vec<Row> {
    let built: Vec<(&Arch, Result<Tests>)> = arch::ALL
        .iter()
        .filter(|arch| places.iter().any(|place| place.wanted.arch == *arch))
        .map(|arch| (arch, built(setup, arch)))
        .collect();
    let vms: Vec<Result<Vm>> = places
        .iter()
        .map(|place| {
            let wanted = &place.wanted;
            let tests = built.iter().find(|(arch, _)| *arch == wanted.arch);
            let (_, tests) = tests.context("nothing was built for this architecture")?;
            let tests = tests.as_ref().map_err(|failure| anyhow!("{failure:#}"))?;
            let ready = if place.systemd {
                ready_with_systemd
            } else {
                ready
            };
            ready(setup, tests, wanted, options.timeout)
        })
        .collect();
    let names: Vec<String> = places.iter().map(Place::name).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let rows: Vec<Mutex<Option<Row>>> = places.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..machines().min(places.len()) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(place), Some(vm)) = (places.get(n), vms.get(n)) else {
                        return;
                    };
                    let name = &names[n];
                    let prefix = match places.len() {
                        1 => String::new(),
                        _ => format!("{name:>width$} | "),
                    };
                    let row = Row::of(format!("kernel {name}"), || match vm {
                        Ok(vm) => in_vm(vm, options, place, &prefix),
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

fn in_vm(vm: &Vm, options: &Options, place: &Place, prefix: &str) -> Result<Tally> {
    let mut argv = vec![IN_GUEST.to_owned(), "--test-threads=1".to_owned()];
    argv.extend(options.filter.clone());
    let rounds = options.rounds;
    // Who asks for one trial wants it on each kernel.
    let half = place.half.filter(|_| options.filter.is_none());
    let job = Job {
        argv,
        env: std::iter::once(("RUST_BACKTRACE".into(), "1".into()))
            .chain(rounds.map(|n| (ROUNDS.into(), n.to_string())))
            .chain(place.core.then(|| (CORE.into(), "1".into())))
            .chain(half.map(|half| (HALF.into(), half.to_string())))
            .collect(),
        send_out: false,
        terminal: None,
    };
    let tally = Arc::new(Mutex::new(Tally::default()));
    let done = vm.run(&job, || {
        let lines = |counted: bool| Lines {
            tally: counted.then(|| Arc::clone(&tally)),
            watch: Watch::new(),
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
        Err(failure) => tally.cut_short(&format!("{failure:#}")),
    }
    Ok(tally)
}

/// What a machine prints, whole lines at a time, each with a prefix that names the machine.
/// The results on its stdout are counted on their way.
struct Lines {
    /// None for its stderr.
    tally: Option<Arc<Mutex<Tally>>>,
    watch: Watch,
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
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.read(text.trim_end());
        // The blanks at its end are a part of the line of a trial that was stopped.
        let line = text.trim_end_matches(['\r', '\n']);
        let ended = self.watch.read(line, Instant::now());
        tally.ended.extend(ended);
        tally.under_way = self.watch.under_way().map(str::to_owned);
        drop(tally);
        // Lines for the table are shown in it.
        if text.starts_with(ROW) {
            return Ok(());
        }
        write!(io::stdout(), "{}{text}", self.prefix)
    }
}

impl Drop for Lines {
    /// A machine that was stopped leaves the line with the name of the trial that ran.
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.line.push(b'\n');
            // Nobody can be given the error, and the machine has ended.
            _ = self.end_of_line();
        }
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
