//! The command line: one file per subcommand, each `Options` and `run`.

use std::{
    io::{IsTerminal as _, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::CompleteEnv;
use screen::{style, tell};
use tokio::signal::unix::{SignalKind, signal};

use crate::{quantity::parse_time, workload};

mod ablation;
pub(crate) mod bench;
mod causes;
mod command;
mod completions;
mod decode;
mod demo;
mod diff;
mod doctor;
mod ends;
mod excerpt;
mod explain;
mod export;
mod fields;
mod help;
mod host_root;
mod instant;
mod live;
mod man;
mod offers;
mod output;
mod plot;
mod recent;
pub(crate) mod record;
mod recorded;
mod report;
mod schema;
mod screen;
#[cfg(feature = "serve")]
mod serve;
mod snapshot;
mod socket_name;
mod sockets;
mod top;
mod trace;
pub(crate) mod tracing_args;
mod verify;
mod version;
mod welcome;
mod why;

/// Names every byte of a TCP socket's memory.
///
/// `ss -m` shows that a socket's queue went past SO_SNDBUF; skmem says which
/// bytes, put there by which kernel code, under which limit, and what to do.
#[derive(Debug, Parser)]
#[command(name = "skmem", version = version::SHORT, long_version = version::LONG)]
#[command(after_help = "\
Examples:
  skmem demo                           see a socket go past its limit, explained
  skmem why nginx                      why the sockets of a process, a port or an address are stuck
  skmem explain -p 4711 --duration 10s  why the sockets of a process queue more than SO_SNDBUF
  skmem explain -- ./my-sender         run a command, and explain its sockets
  skmem record -o run.skm -p 4711      the same into a file, for skmem report and skmem diff
  skmem trace --dport 443 --json | jq  every event of matching sockets
  skmem plot run.skm -o run.html       a recorded socket over time, to zoom into
  skmem export run.skm -f perfetto -o run.pftrace
  skmem demo article --fix eor         a case without and with a fix, side by side
  skmem causes tail-append             what a name in the output means, and what to do
  skmem snapshot                       all sockets' memory now, and whose it is
  skmem top                            the same live
  skmem serve                          the same for Prometheus

Needs root, or CAP_BPF and CAP_PERFMON, and a kernel from 5.10 on with BTF.")]
struct Cli {
    /// Print the attached programs and their functions to stderr
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say why the sockets of a process, a port or a connection are stuck or large
    Why(Box<why::Options>),
    /// Watch sockets, and explain why their queues went past their limits
    Explain(Box<explain::Options>),
    /// Print each event of matching sockets, a line each
    Trace(Box<trace::Options>),
    /// Record everything about matching sockets into a file, for report, diff and more
    Record(Box<record::Options>),
    /// Explain a recording, as `explain` would have (no root, any machine)
    Report(report::Options),
    /// Compare two recordings: before and after a change
    Diff(diff::Options),
    /// Draw a recorded socket over time: in the terminal, as SVG, PNG or HTML
    Plot(plot::Options),
    /// Write a recording for other programs: Perfetto, Parquet, Arrow, CSV, JSON
    Export(export::Options),
    /// Reproduce a case on this kernel, with real sockets, and explain it
    Demo(Box<demo::Options>),
    /// Show every TCP socket's memory, whose it is, and whether it adds up (no eBPF, any user)
    Snapshot(Box<snapshot::Options>),
    /// Show every TCP socket's memory, live: what holds each sender up, and with root why
    Top(Box<top::Options>),
    /// Serve all sockets' memory and its causes as metrics, for Prometheus
    #[cfg(feature = "serve")]
    Serve(Box<serve::Options>),
    /// Say in words what `ss -m` printed
    Decode(decode::Options),
    /// Explain the values that `ss -m` and skmem print
    Fields(fields::Options),
    /// Print the JSON Schema of a command's --json output
    Schema(schema::Options),
    /// Say what this machine allows: kernel, rights, hooks, fields
    Doctor(doctor::Options),
    /// Measure what tracing costs on this machine
    Bench(bench::Options),
    /// Explain the names of causes
    Causes(causes::Options),
    /// Print a script that makes a shell complete skmem's words
    Completions(completions::Options),
    /// Write the man pages into a directory
    Man(man::Options),
    /// The child process of `demo`
    #[command(hide = true)]
    Workload(Box<Workload>),
}

#[derive(Debug, clap::Args)]
struct Workload {
    name: String,
    #[command(flatten)]
    options: workload::Options,
}

/// Wrong usage: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct Usage(anyhow::Error);

/// This kernel cannot do what was asked: exit status 77.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Skip(String);

/// Runs the command; its exit status is 0, 1 for a failure, 2 for wrong
/// usage, 77 for a scenario that this kernel cannot run, or that of the
/// command that was traced.
#[must_use]
pub fn main() -> ExitCode {
    // Where a shell asks what may come next, that is all.
    CompleteEnv::with_factory(Cli::command)
        .var(completions::VARIABLE)
        .complete();
    let cli = parse();
    if let Some(Command::Workload(w)) = &cli.command {
        return workload::run(&w.name, &w.options);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(e) => Err(e.into()),
    };
    match result {
        Ok(code) => code,
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            tell(&format!("{e:#}"));
            ExitCode::from(if e.is::<Usage>() {
                2
            } else if e.is::<Skip>() {
                77
            } else {
                1
            })
        }
    }
}

/// The command line; a wrong one ends skmem, as does a call for help, which
/// fits the terminal.
fn parse() -> Cli {
    let command = help::fit(Cli::command(), style().width);
    let parsed = command
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.unwrap_or_else(|e| {
        let text = e.to_string();
        let fits = screen::fitted(text.trim_end());
        if !e.use_stderr() || fits == text.trim_end() {
            e.exit();
        }
        eprintln!("{fits}");
        std::process::exit(e.exit_code())
    })
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let Some(command) = cli.command else {
        return alone();
    };
    match command {
        Command::Why(options) => why::run(*options, cli.verbose).await,
        Command::Explain(options) => explain::run(*options, cli.verbose).await,
        Command::Trace(options) => trace::run(*options, cli.verbose).await,
        Command::Record(options) => record::run(*options, cli.verbose).await,
        Command::Report(options) => report::run(&options),
        Command::Diff(options) => diff::run(&options),
        Command::Plot(options) => plot::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Demo(options) => demo::run(*options, cli.verbose).await,
        Command::Snapshot(options) => snapshot::run(*options, cli.verbose).await,
        Command::Top(options) => top::run(*options, cli.verbose).await,
        #[cfg(feature = "serve")]
        Command::Serve(options) => serve::run(*options, cli.verbose).await,
        Command::Decode(options) => decode::run(&options),
        Command::Fields(options) => fields::run(&options),
        Command::Schema(options) => schema::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Bench(options) => bench::run(options).await,
        Command::Causes(options) => causes::run(&options),
        Command::Completions(options) => completions::run(&options),
        Command::Man(options) => man::run(&options),
        Command::Workload(_) => Ok(ExitCode::SUCCESS),
    }
}

/// No command: on a terminal what fits this machine, elsewhere wrong usage.
fn alone() -> Result<ExitCode> {
    if std::io::stdout().is_terminal() {
        return welcome::run();
    }
    let help = help::fit(Cli::command(), style().width).render_help();
    eprint!("{help}");
    Ok(ExitCode::from(2))
}

/// Whether an error is that of a pipe whose reader has gone away.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Writes to stdout; a reader that has gone away is an error like any other.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// A time that is not zero.
fn duration(text: &str) -> Result<Duration, String> {
    let time = parse_time(text).map_err(|e| e.to_string())?;
    if time.is_zero() {
        return Err("must be longer than 0".into());
    }
    Ok(time)
}

/// A terminal writes `^C` where its cursor is: what is printed next would stand behind it, and be
/// wrapped two columns early.
fn erase_echo() {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        // Where it cannot be written to, there is nothing to erase.
        let _ = terminal.write_all(b"\r  \r");
    }
}

/// Ends on Ctrl-C, or when asked to terminate; from the call on, not from when it is waited for:
/// neither ends skmem by itself any more.
///
/// # Errors
/// Where the kernel refuses.
fn interrupted() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => erase_echo(),
            _ = terminate.recv() => {}
        }
    })
}
