//! `skmem trace`: the stream of events, a line each.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Args, ValueEnum};
use skmem_common::layout::Records;

use super::{
    duration, interrupted, live, screen, style, tracing_args::TracingArgs, verify::Verify,
};
use crate::{
    kernel::{counters::Totals, plan::Set, rights::Rights, system},
    render::{Column, EventLines, Times},
    trace::Session,
};

mod printer;

use printer::{Printed, Printer};

/// Print each event of matching sockets, a line each
#[derive(Debug, Args)]
#[command(after_help = "\
A line is one call of a hooked kernel function. The last column names the bytes that were booked to
sk_wmem_queued since the socket's last line; the arrow in wmem_queued is their sum. A call that
changed nothing makes no event. Counts of events seen and lost go to stderr at the end.

On a terminal a line has as many columns as there is room for, numbers are grouped, and what does
not fit is cut. In a pipe nothing is cut and numbers are plain, for grep and awk.

Columns (--columns), with their letters in ss -m: time, cpu, task, socket, ports, hook, wmem_queued
(w), sndbuf (tb), fwd (f), wmem_alloc (t), send_q, snd_wnd, what.

Examples:
  skmem trace -p 4711 --count 100
  skmem trace -p 4711 --time wall --columns time,hook,w,send_q,what
  skmem trace --dport 443 --duration 5s --json | jq -c 'select(.hook == \"tcp_ack\")'

Exit status: 0, 1 for a failure, 2 for wrong usage.")]
pub struct Options {
    #[command(flatten)]
    tracing: TracingArgs,
    /// Trace for this long, e.g. 500ms, 90s, 5m, 1h, 2d
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Exit after N events
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Count times from the first event, show the wall clock (UTC), or the time since the line
    /// before
    #[arg(
        long,
        value_name = "TIMES",
        default_value = "relative",
        conflicts_with = "json"
    )]
    time: Time,
    /// Show these columns, in this order
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', value_parser = column, conflicts_with = "json")]
    columns: Vec<Column>,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    verify: Verify,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Time {
    Wall,
    Relative,
    Delta,
}

fn column(name: &str) -> Result<Column, String> {
    Column::named(name).ok_or_else(|| {
        let names: Vec<_> = Column::NAMES.iter().map(|(name, _)| *name).collect();
        format!("no such column; there are {}", names.join(", "))
    })
}

impl Options {
    /// How lines look.
    fn form(&self) -> EventLines {
        let times = match self.time {
            Time::Wall => Times::Wall,
            Time::Relative => Times::Relative,
            Time::Delta => Times::Delta,
        };
        let style = style();
        let form = match screen::lines() {
            Some(_) => EventLines::of_terminal(&style, times),
            None => EventLines::plain(&style).with_times(times),
        };
        let form = match &self.columns[..] {
            [] => form,
            columns => form.with_columns(columns),
        };
        form.with_clock(system::monotonic_ns(), system::wall_ns())
    }
}

/// Runs it.
///
/// # Errors
/// Where tracing is not possible, or stdout cannot be written.
pub async fn run(options: Options, verbose: bool) -> Result<ExitCode> {
    let (selection, mut tracing) = options.tracing.options()?;
    tracing.verbose = verbose;
    // Hooks within a call are not in the lean set.
    if tracing.set == Set::All {
        tracing.records = Records::Hooks;
    }
    let mut stop = std::pin::pin!(interrupted()?);
    let mut session = tokio::select! {
        session = live::start(&selection, &tracing) => session?,
        () = &mut stop => return Ok(live::gave_up()),
    };
    session.drop_rights(Rights::empty())?;
    // Names of sockets that are gone are forgotten.
    session.keep_closed();
    options.verify.prepare(&mut session, false);
    let most = options.count.unwrap_or(u64::MAX);
    let mut printer = Printer::start(options.json, most, options.form())?;
    let end = async {
        match options.duration {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let mut end = std::pin::pin!(end);
    let result = loop {
        tokio::select! {
            () = &mut end => break Ok(()),
            () = &mut stop => break Ok(()),
            step = session.step(|record, _| printer.take(record)) => if step.is_err() {
                break step;
            },
        }
        for kept in session.take_closed() {
            printer.forget(kept.account.ident.id);
        }
        // Where lines are read too slowly, a signal is not to wait for that.
        let on = tokio::select! {
            on = printer.hand_on() => on,
            () = &mut stop => false,
        };
        if !on {
            break Ok(());
        }
    };
    if result.is_ok() && printer.goes_on() {
        session.finish(|record, _| printer.take(record));
        live::say(&mut session);
    }
    printer.hand_on().await;
    let (printed, written) = printer.finish()?;
    result?;
    tell(&session, &printed, &session.totals()?);
    let verified = options.verify.tell(&session);
    written?;
    live::detach(session).done().await;
    Ok(match verified {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What was seen and what was lost, on stderr.
fn tell(session: &Session, printed: &Printed, totals: &Totals) {
    if let Some(began) = &printed.began {
        eprintln!("skmem: the first event was at {began}");
    }
    eprintln!(
        "skmem: {} events printed; {} records seen, {} lost, {} BPF program runs missed",
        printed.lines,
        session.seen(),
        totals.all_lost(),
        session.skipped_runs()
    );
    for (hook, n) in totals.lossy() {
        eprintln!(
            "skmem: {n} records of {} lost: the ring was full (--ring makes it larger)",
            hook.name()
        );
    }
}
