//! `skmem trace`: the stream of events, a line each.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use skmem_common::layout::Records;

use super::{Usage, duration, filters::Filters, interrupted, session::Session};
use crate::kernel::{counters::Totals, rights::Rights};

mod printer;

use printer::Printer;

/// Print each event of matching sockets, a line each
#[derive(Debug, Args)]
#[command(after_help = "\
A line is one call of a hooked kernel function: w is sk_wmem_queued before and after, S sk_sndbuf,
f sk_forward_alloc; the last column names each byte that was booked. A call that changed nothing
makes no event. Counts of events seen and lost go to stderr at the end.

Examples:
  skmem trace -p 4711 --count 100
  skmem trace --dport 443 --duration 5s --json | jq -c 'select(.hook == \"tcp_ack\")'")]
pub struct Options {
    #[command(flatten)]
    filters: Filters,
    /// Trace for so long, e.g. 10s, 500ms
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// End after so many events
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
/// Where tracing is not possible, or stdout cannot be written.
pub async fn run(options: Options, verbose: bool) -> Result<ExitCode> {
    let mut tracing = options.filters.options().map_err(Usage)?;
    tracing.verbose = verbose;
    tracing.records = Records::Hooks;
    let mut session = Session::start(&tracing)?;
    let (namespaces, inodes) = options.filters.older();
    session.adopt(namespaces, &inodes);
    session.drop_rights(Rights::empty())?;
    // Names of sockets that are gone are forgotten.
    session.keep_closed();
    let most = options.count.unwrap_or(u64::MAX);
    let mut printer = Printer::start(options.json, most)?;
    let end = async {
        match options.duration {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let mut end = std::pin::pin!(end);
    let mut stop = std::pin::pin!(interrupted()?);
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
    }
    printer.hand_on().await;
    let (printed, written) = printer.finish()?;
    result?;
    tell(&session, printed, &session.totals()?);
    written?;
    Ok(ExitCode::SUCCESS)
}

/// What was seen and what was lost, on stderr.
fn tell(session: &Session, printed: u64, totals: &Totals) {
    eprintln!(
        "skmem: {} events printed; {} records seen, {} lost, {} program runs skipped",
        printed,
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
