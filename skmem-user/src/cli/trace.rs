//! `skmem trace`: the stream of events, a line each.

use std::{
    io::{BufWriter, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use skmem_common::layout::Records;

use super::{Usage, duration, filters::Filters, interrupted, session::Session, style};
use crate::{
    collect::decode::Record,
    kernel::{counters::Totals, rights::Rights},
    model::replay::Replay,
    render::{self, Style},
};

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
    let mut lines = Lines::new(&options)?;
    let end = async {
        match options.duration {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let mut end = std::pin::pin!(end);
    let mut stop = std::pin::pin!(interrupted());
    let result = loop {
        tokio::select! {
            () = &mut end => break Ok(()),
            () = &mut stop => break Ok(()),
            step = session.step(|record, replay| lines.write(record, replay)) => step?,
        }
        if let Err(e) = lines.flush() {
            break Err(e);
        }
        if lines.done() {
            break Ok(());
        }
    };
    if result.is_ok() && !lines.done() {
        session.finish(|record, replay| lines.write(record, replay));
    }
    let result = result.and_then(|()| lines.flush());
    tell(&session, &lines, &session.totals()?);
    result.map(|()| ExitCode::SUCCESS)
}

/// What was seen and what was lost, on stderr.
fn tell(session: &Session, lines: &Lines, totals: &Totals) {
    eprintln!(
        "skmem: {} events printed; {} records seen, {} lost, {} program runs skipped",
        lines.printed,
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

/// Writes lines until there are enough of them or nobody reads them.
struct Lines {
    out: BufWriter<std::io::Stdout>,
    failed: Option<std::io::Error>,
    json: bool,
    style: Style,
    printed: u64,
    most: u64,
}

impl Lines {
    fn new(options: &Options) -> Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout());
        if !options.json {
            writeln!(out, "{}", render::event_header())?;
            out.flush()?;
        }
        Ok(Self {
            out,
            failed: None,
            json: options.json,
            style: style(),
            printed: 0,
            most: options.count.unwrap_or(u64::MAX),
        })
    }

    fn write(&mut self, record: &Record, replay: &Replay) {
        if !matches!(record, Record::Event(_) | Record::Receive(_))
            || self.done()
            || self.failed.is_some()
        {
            return;
        }
        if self.printed == 0 {
            self.style.zero_ns = record.time_ns();
        }
        if let Err(e) = self.line(record, replay) {
            self.failed = Some(e);
            return;
        }
        self.printed += 1;
    }

    fn line(&mut self, record: &Record, replay: &Replay) -> std::io::Result<()> {
        let (id, tid) = match record {
            Record::Event(event) => (event.socket, event.tid),
            Record::Receive(receive) => (receive.socket, receive.tid),
            Record::Open(_) | Record::Task(_) => return Ok(()),
        };
        let socket = replay.socket(id);
        let who = socket.and_then(|s| s.ident.as_ref());
        let comm = socket.and_then(|s| s.comms.get(&tid)).map(name);
        let comm = comm.as_deref();
        let line = match record {
            Record::Event(event) if self.json => render::event_json_line(event, who, comm),
            Record::Event(event) => render::event_line_by(event, who, comm, &self.style),
            Record::Receive(receive) if self.json => render::receive_json_line(receive, who, comm),
            Record::Receive(receive) => render::receive_line(receive, who, comm, &self.style),
            Record::Open(_) | Record::Task(_) => return Ok(()),
        };
        writeln!(self.out, "{line}")
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(e) = self.failed.take() {
            return Err(e.into());
        }
        Ok(self.out.flush()?)
    }

    fn done(&self) -> bool {
        self.printed >= self.most
    }
}

/// A command name without its padding.
fn name(comm: &[u8; 16]) -> String {
    let end = comm.iter().position(|b| *b == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end]).into_owned()
}
