//! `skmem explain`: watch, then say why.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use skmem_common::layout::Records;
use tokio::process::Child;

use super::{
    command, duration, host_root::HostRoot, interrupted, live, print, screen::Length, style,
    tracing_args::TracingArgs,
};
use crate::{
    explain::{
        Verdict,
        pair::{self, Pair},
    },
    kernel::plan::Set,
    render,
    selection::Selection,
    trace::{Session, take_all},
};

/// A sender counts as blocked after it has slept this long.
const BLOCKED: Duration = Duration::from_millis(500);

/// For longer than this, records of each call are not worth their price.
const LONG: Duration = Duration::from_secs(60);

/// With more sockets than this, an overview comes first.
const FEW: usize = 3;

/// Watch sockets, and explain why their queues went past their limits
#[derive(Debug, Args)]
// `--rx` is what it does by itself.
#[command(mut_arg("rx", |rx| rx.hide(true)), after_help = "\
Watches until Ctrl-C, until the time is up, or until CMD ends; then prints, for each matching
socket that went over its limit, whose sender is held up, or that holds its peer up, the worst
instant: which bytes, put there by which kernel code, under which limit, and what to do about it;
of what it received, every byte by cause, and whether it is read. On a terminal one screen is printed,
with --full and in a pipe everything.

Examples:
  skmem explain -p 4711 --duration 10s        the sockets of a process, for ten seconds
  skmem explain --dport 5432 --until-blocked  until a sender sleeps for want of buffer space
  skmem explain --json -- ./sender            run a command and watch its sockets
  skmem explain --no-rx -p 4711               the send side alone
  skmem explain --pair --dport 5432 -d 10s    both ends on this machine: where the bytes wait
  skmem explain --aggregate --duration 1h     all day long: accounts only, no record of each call
  skmem explain --all --dst 10.0.0.0/8        those within their limits, too
  skmem explain --cgroup kubepods.slice -d 1m --host-root /host
                                              from a container that has the machine's root at /host

Exit status: 0, 1 for a failure, 2 for wrong usage; with CMD, that of CMD.")]
pub struct Options {
    #[command(flatten)]
    tracing: TracingArgs,
    /// Leave out the receive side: fewer programs to load, and less work for each segment that
    /// arrives and each read
    #[arg(long, conflicts_with_all = ["rx", "pair"], help_heading = "What")]
    no_rx: bool,
    /// Trace for this long, e.g. 500ms, 90s, 5m, 1h, 2d
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Watch until a sender has been held up for half a second: asleep in send(), or turned away
    /// and waiting in poll() for POLLOUT
    #[arg(short, long)]
    until_blocked: bool,
    /// Also explain sockets that never went over their limit
    #[arg(short, long)]
    all: bool,
    /// Keep totals only, no record per call: same verdict, less overhead; the default without a
    /// filter, or for longer than a minute
    #[arg(long)]
    aggregate: bool,
    /// Make a record of each call, and check that replaying them gives the same account
    #[arg(long, conflicts_with = "aggregate")]
    records: bool,
    /// Explain the end of the watch, not the worst moment
    #[arg(long)]
    at_end: bool,
    /// Join the two ends of each connection that has both on this machine, and say where its bytes
    /// are between send() and recv(), and which one place holds them up; traces the receive side,
    /// and every TCP socket, since the other end may be anyone's
    #[arg(long, conflicts_with_all = ["all", "at_end"])]
    pair: bool,
    #[command(flatten)]
    pub(super) host_root: HostRoot,
    #[command(flatten)]
    length: Length,
    /// Print one JSON object a socket
    #[arg(long)]
    json: bool,
    /// Run this command, and watch its sockets and its children's
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// Where tracing is not possible, or CMD cannot be started.
pub async fn run(options: Options, verbose: bool) -> Result<ExitCode> {
    let (selection, mut tracing) = options.tracing.options()?;
    // The other end may be anyone's: what was asked for is chosen at the end.
    let traced = match options.pair {
        true => Selection::default(),
        false => selection.clone(),
    };
    if options.pair {
        tracing = options.tracing.options_of(&traced);
        take_all(&mut tracing);
    }
    tracing.rx = !options.no_rx;
    tracing.verbose = verbose;
    tracing.set = options.tracing.hooks.unwrap_or(Set::Lean);
    if options.aggregates() {
        tracing.records = Records::Transitions;
    }
    if !options.command.is_empty() && !options.pair {
        command::follow_children(&mut tracing);
    }
    command::look_up(&options.command)?;
    // Before there is a command, which must not outlive skmem.
    let mut stop = std::pin::pin!(interrupted()?);
    let mut session = tokio::select! {
        session = live::start(&traced, &tracing) => session?,
        () = &mut stop => return Ok(live::gave_up()),
    };
    session.use_host_root(&options.host_root.dir);
    let mut child = command::start(&options.command)?;
    session.drop_rights(command::rights(&options.command))?;
    if child.is_none() && options.duration.is_none() && !options.until_blocked {
        eprintln!("skmem: watching; Ctrl-C explains what was seen");
    }
    let status = watch(&mut session, &options, child.as_mut(), stop.as_mut()).await?;
    session.finish(|_, _| {});
    live::say(&mut session);
    match options.pair {
        true => paired(&session, &options, &selection)?,
        false => report(&session, &options)?,
    }
    live::detach(session).done().await;
    Ok(status)
}

impl Options {
    /// Whether accounts are kept without a record of each call.
    fn aggregates(&self) -> bool {
        let long = self.duration.is_some_and(|time| time > LONG);
        let all = self.tracing.which.sockets.is_empty() && self.command.is_empty();
        self.aggregate || (!self.records && (long || all || self.pair))
    }
}

/// Watches until one of the ends that were asked for; gives the exit status.
async fn watch(
    session: &mut Session,
    options: &Options,
    child: Option<&mut Child>,
    stop: impl Future<Output = ()>,
) -> Result<ExitCode> {
    let end = async {
        match options.duration {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let exit = command::ended(child);
    tokio::pin!(end, exit, stop);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            () = &mut end => return Ok(ExitCode::SUCCESS),
            () = &mut stop => return Ok(ExitCode::SUCCESS),
            status = &mut exit => return Ok(command::code(status?)),
            _ = look.tick(), if options.until_blocked => {
                if session.blocked_for(BLOCKED) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            step = session.step(|_, _| {}) => step?,
        }
    }
}

/// The connections of which both ends were traced.
fn paired(session: &Session, options: &Options, selection: &Selection) -> Result<()> {
    let end = session.end("asked")?;
    if end.totals.no_slot > 0 {
        eprintln!("skmem: {}", no_slot(end.totals.no_slot));
    }
    let verdicts = session.judge(&end, true, true);
    let found = pair::pairs(&end, &verdicts, selection);
    print_pairs(
        &found,
        options.json,
        session.release(),
        session.sockets() as u64,
    )
}

/// One after the other, or one JSON object a line.
pub(super) fn print_pairs(pairs: &[Pair], json: bool, kernel: &str, sockets: u64) -> Result<()> {
    if pairs.is_empty() {
        let why = "no matching connection has both ends on this machine and was in use meanwhile";
        eprintln!("skmem: {why}; {sockets} sockets were seen");
        return match json {
            true => print(&format!("{}\n", render::no_verdicts_json(kernel, sockets)?)),
            false => Ok(()),
        };
    }
    let style = style();
    for (n, one) in pairs.iter().enumerate() {
        match (json, n) {
            (true, _) => print(&format!("{}\n", serde_json::to_string(one)?))?,
            (false, 0) => print(&render::pair(one, &style))?,
            (false, 1..FEW) => print(&format!("\n{}", render::pair(one, &style)))?,
            (false, FEW) => print(&format!("\n{}", render::pair_line(one)))?,
            (false, _) => print(&render::pair_line(one))?,
        }
    }
    Ok(())
}

fn no_slot(sockets: u64) -> String {
    format!("{sockets} sockets found no room in the table; give --max-sockets a larger number")
}

fn report(session: &Session, options: &Options) -> Result<()> {
    let verdicts = session.verdicts(options.all, options.at_end);
    let lost = session.totals()?;
    if lost.no_slot > 0 {
        eprintln!("skmem: {}", no_slot(lost.no_slot));
    }
    let n = session.sockets();
    if let Some(note) = session.left_out_note() {
        eprintln!("skmem: {note}");
    }
    if options.json {
        return print_json(&verdicts, session.release(), n as u64);
    }
    if verdicts.is_empty() {
        eprintln!(
            "skmem: {}",
            nothing(n, options.tracing.which.sockets.is_empty(), options.no_rx)
        );
        return Ok(());
    }
    let more = "the same command with --full prints all; `skmem record` keeps a trace, to be explained again";
    print_text(&verdicts, options.length, more)
}

/// What was seen, where nothing is to be explained; `all`: no sockets were chosen.
fn nothing(sockets: usize, all: bool, no_rx: bool) -> String {
    let (moved, one, none) = match no_rx {
        true => ("sent", "", ""),
        false => (
            "sent or read",
            " and its peer not held up",
            " and no peer held up",
        ),
    };
    match sockets {
        0 if all => format!("no TCP socket {moved} anything during the trace"),
        0 => format!("no matching socket {moved} anything during the trace"),
        1 => format!("one socket, never over its limit{one} (--all explains it)"),
        n => format!("{n} sockets, none over its limit{none} (--all explains them)"),
    }
}

/// One JSON object a line; where there is nothing to explain, one that says so.
pub(super) fn print_json(verdicts: &[Verdict], kernel: &str, sockets: u64) -> Result<()> {
    if verdicts.is_empty() {
        return print(&format!("{}\n", render::no_verdicts_json(kernel, sockets)?));
    }
    for verdict in verdicts {
        print(&format!("{}\n", render::json(verdict)?))?;
    }
    Ok(())
}

/// Explanations one after the other, an overview first where there are many; or
/// one screen, and `more` says how to see the rest.
pub(super) fn print_text(verdicts: &[Verdict], length: Length, more: &str) -> Result<()> {
    let style = style();
    if let Some(lines) = length.lines() {
        return print(&render::brief_of_many(verdicts, &style, lines, more));
    }
    if verdicts.len() > FEW {
        print(&format!("{}\n", render::overview(verdicts, &style)))?;
    }
    for (n, verdict) in verdicts.iter().take(FEW).enumerate() {
        if n > 0 {
            print("\n")?;
        }
        print(&render::text(verdict, &style))?;
    }
    Ok(())
}
