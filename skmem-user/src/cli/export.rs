//! `skmem export`: a recording for other people's programs.

use std::{
    collections::HashMap,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use skmem_common::record::{Event, Ident};

use super::{
    Usage,
    output::{Access, Output, Target},
    recorded::Recorded,
};
use crate::{
    collect::decode::Record,
    explain::Verdict,
    model::{
        replay::Replay,
        survey,
        timeline::waits::{Wait, Waits},
    },
    recording::Item,
    render::export::{
        EventRow, Origin, SocketRow, chrome::Chrome, csv::Csv, events::EVENTS, json,
        perfetto::Perfetto, sockets::SOCKETS, spans::Spans,
    },
};
use verdicts::Verdicts;

#[cfg(feature = "parquet")]
mod tables;
mod verdicts;

/// Sockets that are replayed where the recording holds no account of them: of
/// more, those that came first.
const REPLAYED: usize = 16 << 10;

/// Write a recording in a form that other programs read
#[derive(Debug, Args)]
#[command(after_help = "\
  perfetto  a trace for Perfetto's UI: a group of tracks for each socket, with its counters, the
            sleeps of its senders, and the life of each skb's bytes from admission to ACK
  chrome    the same as JSON trace events
  json      a line for each event, then for each socket its verdict
  csv       the table of events (or --table sockets)
  parquet   both tables, for DuckDB, DataFusion, ClickHouse, Spark …
  arrow     both tables as Arrow IPC files

docs/export.md has every column with type and unit, and three queries over a fleet's recordings.
Files are readable by their owner only, as the recording is: they tell who talked to whom.

Examples:
  skmem export run.skm --format perfetto -o run.pftrace
  skmem export run.skm --format json | jq -c 'select(.hook == \"tcp_ack\")'
  skmem export run.skm --format csv --table sockets
  skmem export run.skm --format parquet -o run/        run/events.parquet, run/sockets.parquet
  skmem export run.skm --format parquet -o lake/ --partition host,date
                                    lake/events/host=…/date=…/….parquet, likewise lake/sockets")]
pub struct Options {
    /// A recording made by `skmem record`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to write
    #[arg(short, long, value_name = "FORMAT")]
    format: Format,
    /// Write to this file (- is stdout, as without -o); for parquet and arrow, into this directory
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    /// Only this socket: its number, a port as :5001, an end as 10.0.0.1:5001, or SRC>DST
    #[arg(short, long, value_name = "SOCKET")]
    socket: Option<String>,
    /// Which table
    #[arg(long, value_name = "TABLE", default_value = "events")]
    table: Which,
    /// Directories by these columns, as Hive names them: host, date, or both
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    partition: Vec<By>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Perfetto,
    Chrome,
    Json,
    Csv,
    Parquet,
    Arrow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Events,
    Sockets,
}

/// A column that makes directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum By {
    Host,
    Date,
}

/// Runs it.
///
/// # Errors
/// Where there is no such recording or socket, or the output cannot be
/// written.
pub fn run(options: &Options) -> Result<ExitCode> {
    check(options).map_err(Usage)?;
    let columnar = options.format.is_columnar();
    let target = match &options.output {
        Some(path) if !columnar => Target::new(path, options.force)?,
        _ => Target::stdout(),
    };
    let binary = options.format == Format::Perfetto;
    if binary && target.is_stdout() && io::stdout().is_terminal() {
        let text = "a Perfetto trace is not for a terminal: -o FILE.pftrace writes a file";
        return Err(Usage(anyhow::anyhow!(text)).into());
    }
    let recorded = Recorded::read(&options.file)?;
    let only = match &options.socket {
        Some(wanted) => Some(recorded.choose(Some(wanted))?),
        None => None,
    };
    let export = Export {
        origin: origin(&recorded),
        recorded,
        only,
    };
    match options.format {
        Format::Perfetto => export.perfetto(target),
        Format::Chrome => export.chrome(target),
        Format::Json => export.json(target),
        Format::Csv => export.csv(target, options.table),
        #[cfg(feature = "parquet")]
        Format::Parquet | Format::Arrow => tables::write(&export, options),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet | Format::Arrow => {
            bail!("this skmem was built without Parquet and Arrow (feature `parquet`)")
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

fn check(options: &Options) -> Result<()> {
    let columnar = options.format.is_columnar();
    let path = options.output.as_deref();
    if columnar && path.is_none_or(|path| path == Path::new("-")) {
        bail!("two tables are written into a directory: -o DIR says which");
    }
    if !columnar && !options.partition.is_empty() {
        bail!("--partition is for parquet and arrow");
    }
    if options.table != Which::Events && options.format != Format::Csv {
        bail!("--table is for csv: the other forms hold both tables");
    }
    Ok(())
}

impl Format {
    /// Whether it is tables in a directory.
    fn is_columnar(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

/// Where its rows come from.
fn origin(recorded: &Recorded) -> Origin {
    let clock = &recorded.meta.clock;
    let mut origin = Origin {
        host: recorded.meta.host.clone(),
        recording: String::new(),
        epoch_ns: i128::from(clock.wall_ns) - i128::from(clock.monotonic_ns),
    };
    let began = crate::render::export::table::instant(origin.wall_us(recorded.span().0));
    let part = match recorded.meta.part {
        0 => String::new(),
        n => format!("-{n}"),
    };
    let began = began.replace(['-', ':'], "");
    origin.recording = format!("{}-{began}{part}", origin.host);
    origin
}

/// A recording that is being exported.
struct Export {
    recorded: Recorded,
    origin: Origin,
    /// Only this socket.
    only: Option<u64>,
}

/// An event, with what else is known of it.
struct Told<'a> {
    event: &'a Event,
    who: Option<&'a Ident>,
    comm: Option<String>,
    wait: Option<Wait>,
}

impl Told<'_> {
    fn values(&self, origin: &Origin) -> Vec<crate::render::export::Value> {
        EventRow {
            event: self.event,
            who: self.who,
            comm: self.comm.as_deref(),
            wait: self.wait,
        }
        .values(origin)
    }
}

impl Export {
    fn perfetto(&self, target: Target) -> Result<()> {
        let clock = &self.recorded.meta.clock;
        Output::new(target, Access::Owner)?.write(|out| {
            let trace = Perfetto::new(out, clock.monotonic_ns, clock.wall_ns)?;
            let mut trace = Failing(trace, Ok(()));
            self.spans(|id, shown| {
                let name = || self.group(id);
                trace.with(|t| t.show(id, &name, &shown));
            })?;
            Ok(trace.done()?.finish()?)
        })
    }

    fn chrome(&self, target: Target) -> Result<()> {
        Output::new(target, Access::Owner)?.write(|out| {
            let trace = Chrome::new(out, self.recorded.span().0)?;
            let mut trace = Failing(trace, Ok(()));
            self.spans(|id, shown| {
                let name = || self.group(id);
                trace.with(|t| t.show(id, &name, &shown));
            })?;
            Ok(trace.done()?.finish()?)
        })
    }

    fn json(&self, target: Target) -> Result<()> {
        let clock = &self.recorded.meta.clock;
        let head = json::Head {
            schema: 1,
            kind_of: "recording",
            recording: &self.origin.recording,
            host: &self.origin.host,
            kernel: &self.recorded.meta.kernel,
            monotonic_ns: clock.monotonic_ns,
            wall_ns: clock.wall_ns,
        };
        Output::new(target, Access::Owner)?.write(|mut out| {
            writeln!(out, "{}", json::head(&head))?;
            let verdicts = self.events(|told| {
                let line = json::event(told.event, told.who, told.comm.as_deref());
                Ok(writeln!(out, "{line}")?)
            })?;
            for (verdict, _) in verdicts.list()? {
                writeln!(out, "{}", json::socket(&verdict))?;
            }
            Ok(out.flush()?)
        })
    }

    fn csv(&self, target: Target, table: Which) -> Result<()> {
        let columns = match table {
            Which::Events => &EVENTS,
            Which::Sockets => &SOCKETS,
        };
        Output::new(target, Access::Owner)?.write(|out| {
            let mut csv = Csv::new(columns, out)?;
            let verdicts = self.events(|told| match table {
                Which::Events => Ok(csv.row(&told.values(&self.origin))?),
                Which::Sockets => Ok(()),
            })?;
            if table == Which::Sockets {
                for (verdict, cgroup) in verdicts.list()? {
                    csv.row(&self.socket_row(&verdict, cgroup))?;
                }
            }
            Ok(csv.finish()?)
        })
    }

    fn socket_row(&self, verdict: &Verdict, cgroup: u64) -> Vec<crate::render::export::Value> {
        SocketRow {
            verdict,
            cgroup,
            began_ns: self.recorded.span().0,
        }
        .values(&self.origin)
    }

    /// What a socket's tracks are called.
    fn group(&self, id: u64) -> String {
        let socket = self.recorded.survey.socket(id);
        let who = socket.and_then(|s| s.ident.as_ref());
        who.map_or_else(|| format!("socket {id}"), crate::render::whose)
    }

    fn wanted(&self, record: &Record) -> bool {
        self.only.is_none_or(|only| survey::id(record) == only)
    }

    /// What a viewer of traces shows of all sockets.
    fn spans(&self, mut show: impl FnMut(u64, crate::render::export::spans::Shown)) -> Result<()> {
        let mut spans = Spans::default();
        self.recorded.again(|item| {
            if let Item::Record(record) = item
                && self.wanted(&record)
            {
                spans.feed(&record, &mut show);
            }
            Ok(())
        })?;
        spans.finish(self.recorded.span().1, show);
        if spans.omitted() != 0 {
            eprintln!(
                "skmem: the recording has more sockets than a trace can show: {} records of \
                 others are left out (--socket chooses one)",
                spans.omitted()
            );
        }
        Ok(())
    }

    /// Hands on all events, and gives what is known of sockets in the end.
    fn events(&self, mut each: impl FnMut(&Told<'_>) -> Result<()>) -> Result<Verdicts<'_>> {
        let mut waits: HashMap<u64, Waits> = HashMap::new();
        let mut replay = Replay::bounded(REPLAYED);
        self.recorded.again(|item| {
            let record = match item {
                Item::Record(record) if self.wanted(&record) => record,
                Item::Record(_) => return Ok(()),
                Item::Accounts(accounts) => {
                    let all = accounts.accounts.iter().map(|k| &k.account);
                    let only = |id: u64| self.only.is_none_or(|only| only == id);
                    all.filter(|a| only(a.ident.id) && self.recorded.kept(a.ident.id).is_none())
                        .for_each(|a| replay.checkpoint(a));
                    return Ok(());
                }
            };
            if self.recorded.kept(survey::id(&record)).is_none() {
                replay.apply(&record);
            }
            let Record::Event(event) = &record else {
                return Ok(());
            };
            let who = self.recorded.survey.socket(event.socket);
            let who = who.and_then(|s| s.ident.as_ref());
            each(&Told {
                event,
                who,
                comm: self.comm(event, who),
                wait: waits.entry(event.socket).or_default().feed(event),
            })
        })?;
        Ok(Verdicts {
            export: self,
            replay,
        })
    }

    fn comm(&self, event: &Event, who: Option<&Ident>) -> Option<String> {
        let first = who.filter(|w| w.pid == event.pid).map(|w| &w.comm);
        let comm = self.recorded.survey.comm(event.tid).or(first)?;
        Some(crate::render::comm(comm))
    }
}

/// Something that is written to until that fails.
struct Failing<T>(T, io::Result<()>);

impl<T> Failing<T> {
    fn with(&mut self, write: impl FnOnce(&mut T) -> io::Result<()>) {
        if self.1.is_ok() {
            self.1 = write(&mut self.0);
        }
    }

    fn done(self) -> io::Result<T> {
        self.1.map(|()| self.0)
    }
}

#[cfg(test)]
mod tests;
