//! `skmem export`: a recording for other people's programs.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::{
    Usage,
    excerpt::{Excerpt, WindowArgs},
    output::{Access, Output, Target},
    recorded::Recorded,
    sockets::SocketArgs,
};
use crate::{
    explain::Verdict,
    recording::{Selected, copy},
    render::export::{Origin, SocketRow, table},
};

mod forms;
#[cfg(feature = "parquet")]
mod tables;
mod verdicts;
mod walk;

/// Sockets that are replayed where the recording holds no account of them: of
/// more, those that came first.
const REPLAYED: usize = 16 << 10;

/// Write a recording in a form that other programs read
#[derive(Debug, Args)]
#[command(after_help = "\
Formats:
  perfetto  a trace for Perfetto's UI: a group of tracks for each socket, with its counters, the
            sleeps of its senders, and the life of each skb's bytes from admission to ACK
  chrome    the same as JSON trace events
  json      a line for each record, then for each socket its verdict
  csv       the table of events (or --table receives, --table sockets)
  parquet   all tables, for DuckDB, DataFusion, ClickHouse, polars, Spark …
  arrow     all tables as Arrow IPC files; arrow-stream as IPC streams
  skm       a recording again: of the chosen sockets and time, for every command that reads one

docs/export.md has every column with type and unit, and queries over a fleet's recordings.
Files are readable by their owner only, as the recording is: they show who talked to whom.

Examples:
  skmem export run.skm --format perfetto -o run.pftrace
  skmem export run.skm --format json | jq -c 'select(.hook == \"tcp_ack\")'
  skmem export run.skm --format csv --table sockets
  skmem export run.skm --format skm -o part.skm --dport 443 --from 03:12 --to 03:14
  skmem export run.skm --format parquet -o run/       run/events.parquet, run/receives.parquet,
                                                      run/sockets.parquet
  skmem export run.skm --format parquet -o lake/ --partition host,date
                                                      lake/events/by_host=…/by_date=…/….parquet,
                                                      the same below lake/receives, lake/sockets")]
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
    #[command(flatten)]
    which: SocketArgs,
    #[command(flatten)]
    window: WindowArgs,
    /// Which table
    #[arg(long, value_name = "TABLE", default_value = "events")]
    table: TableKind,
    /// Directories by_host=… and by_date=…, as Hive names them: host, date, or both
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    partition: Vec<PartitionBy>,
    /// Write perfetto, arrow and arrow-stream without compression, for readers that lack it
    #[arg(long)]
    uncompressed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Perfetto,
    Chrome,
    Json,
    Csv,
    Parquet,
    Arrow,
    ArrowStream,
    Skm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TableKind {
    Events,
    Receives,
    Sockets,
}

/// A column that makes directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum PartitionBy {
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
    let binary = match options.format {
        Format::Perfetto => {
            Some("a Perfetto trace is not for a terminal: -o FILE.pftrace writes a file")
        }
        Format::Skm => Some("a recording is not for a terminal: -o FILE.skm writes a file"),
        _ => None,
    };
    if let Some(text) = binary.filter(|_| target.is_stdout() && io::stdout().is_terminal()) {
        return Err(Usage(anyhow::anyhow!(text)).into());
    }
    let chosen = Excerpt::of(&options.file, &options.which, options.window)?;
    let recorded = Recorded::read(chosen)?;
    let recorded = match &options.socket {
        Some(wanted) => recorded.only(recorded.choose(Some(wanted))?)?,
        None => recorded,
    };
    let export = Export {
        origin: origin(&recorded),
        recorded,
    };
    match options.format {
        #[cfg(feature = "parquet")]
        Format::Parquet | Format::Arrow | Format::ArrowStream => tables::write(&export, options),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet | Format::Arrow | Format::ArrowStream => {
            bail!("this skmem was built without Parquet and Arrow (feature `parquet`)")
        }
        Format::Skm => Output::new(target, Access::Owner)?
            .write(|out| Ok(copy(export.recorded.source().open()?, out)?)),
        _ => Output::new(target, Access::Owner)?.write(|out| export.form(options, out)),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn check(options: &Options) -> Result<()> {
    let columnar = options.format.is_columnar();
    let path = options.output.as_deref();
    if columnar && path.is_none_or(|path| path == Path::new("-")) {
        bail!("the tables are written into a directory: -o DIR says which");
    }
    if !columnar && !options.partition.is_empty() {
        bail!("--partition is for parquet, arrow and arrow-stream");
    }
    let compressed = matches!(
        options.format,
        Format::Perfetto | Format::Arrow | Format::ArrowStream
    );
    if options.uncompressed && !compressed {
        bail!("--uncompressed is for perfetto, arrow and arrow-stream");
    }
    if options.table != TableKind::Events && options.format != Format::Csv {
        bail!("--table is for csv: the other forms hold all tables");
    }
    Ok(())
}

impl Format {
    /// Whether it is tables in a directory.
    fn is_columnar(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow | Self::ArrowStream)
    }
}

/// Where its rows come from.
fn origin(recorded: &Recorded) -> Origin {
    let meta = &recorded.meta;
    let (from, to) = recorded.span();
    let mut origin = Origin {
        host: meta.host.clone(),
        run: meta.run_id(),
        part: meta.part.max(1),
        recording: String::new(),
        epoch_ns: i128::from(meta.clock.wall_ns) - i128::from(meta.clock.monotonic_ns),
    };
    let instant = |ns| table::instant(origin.wall_us(ns)).replace(['-', ':'], "");
    let mut name = format!("{}-{}-{}", origin.host, instant(from), origin.part);
    // Older black boxes of a run are all part 1.
    if meta.run.is_empty() && meta.flight_ns != 0 {
        name = format!("{name}-{}", instant(to));
    }
    // A part is another file than the whole, and than any other part of it.
    if !meta.selected.is_empty() {
        name = format!("{name}-selected-{:08x}", checksum(&meta.selected));
    }
    origin.recording = name;
    origin
}

/// Of what was asked for: the same choice has the same one, also by way of a recording that holds
/// the part.
fn checksum(selected: &[Selected]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for one in selected {
        let asked = (&one.filters, one.from_ns, one.to_ns);
        sum.update(&serde_json::to_vec(&asked).unwrap_or_default());
    }
    sum.finalize()
}

/// A recording that is being exported.
struct Export {
    recorded: Recorded,
    origin: Origin,
}

impl Export {
    fn socket_row<'a>(&'a self, verdict: &'a Verdict, cgroup: u64) -> SocketRow<'a> {
        let (began_ns, ended_ns) = self.recorded.span();
        SocketRow {
            verdict,
            cgroup,
            began_ns,
            ended_ns,
            opening: self.recorded.opening(verdict.socket.id),
        }
    }
}

#[cfg(all(test, feature = "outside-tests", feature = "parquet"))]
mod duckdb;
#[cfg(all(test, feature = "outside-tests", feature = "parquet"))]
mod engines;
#[cfg(all(test, feature = "outside-tests"))]
mod perfetto;
#[cfg(test)]
mod tests;
