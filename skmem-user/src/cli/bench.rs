//! `skmem bench`: what tracing costs here, on this process's own loopback
//! sockets.
//!
//! Lockstep: a thread sends to itself and reads what it sent, so nothing else
//! decides when what runs. Rounds of all modes are interleaved, and medians
//! are compared.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;
use skmem_common::filter::{BY_PID, BY_SPORT, Filter};

use super::{print, session::Session};
use crate::kernel::{system, tracer};

/// Measure what tracing costs on this machine
#[derive(Debug, Args)]
#[command(after_help = "\
A thread sends to itself over loopback and reads what it sent; the time of one send and its read is
compared with nothing attached. Under `qemu -icount` (cargo xtask vm --icount) a nanosecond is an
instruction. Nothing but the bench's own sockets is traced.

Examples:
  skmem bench
  skmem bench --write-size 65536 --json")]
pub struct Options {
    /// Bytes in each send
    #[arg(long, value_name = "BYTES", default_value_t = 1024,
          value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    write_size: u32,
    /// Sends in each round
    #[arg(long, value_name = "N", default_value_t = 2000,
          value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    sends: u32,
    /// Rounds of each mode
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Also time each program (which costs each of their runs something)
    #[arg(long)]
    programs: bool,
    /// Print JSON: one object a mode
    #[arg(long)]
    json: bool,
}

/// A way to be traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Bare,
    Floor,
    Miss,
    Aggregate,
    Trace,
}

impl Mode {
    const ALL: [Self; 5] = [
        Self::Bare,
        Self::Floor,
        Self::Miss,
        Self::Aggregate,
        Self::Trace,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "nothing attached",
            Self::Floor => "empty programs on the same functions",
            Self::Miss => "attached, the filter misses",
            Self::Aggregate => "accounts without records",
            Self::Trace => "all records, read and replayed",
        }
    }

    fn options(self) -> Option<tracer::Options> {
        let own = Filter {
            flags: BY_PID,
            ..Filter::default()
        };
        let options = tracer::Options {
            filter: own,
            pids: vec![std::process::id()],
            ..tracer::Options::default()
        };
        match self {
            Self::Bare => None,
            Self::Floor => Some(tracer::Options {
                empty: true,
                ..options
            }),
            Self::Miss => Some(tracer::Options {
                filter: Filter {
                    flags: BY_SPORT,
                    sport: 1,
                    ..Filter::default()
                },
                ..options
            }),
            Self::Aggregate => Some(tracer::Options {
                records: false,
                ..options
            }),
            Self::Trace => Some(options),
        }
    }
}

/// A mode's figures.
#[derive(Debug, Serialize)]
struct Row {
    mode: &'static str,
    /// Median time of a send and its read, in ns.
    ns_per_send: u64,
    /// Over nothing attached, in ns.
    added_ns: i64,
    /// Records for each send.
    records_per_send: f64,
    /// Records lost.
    lost: u64,
}

/// Runs it.
///
/// # Errors
/// Where tracing is not possible or the sockets fail.
pub async fn run(options: Options) -> Result<ExitCode> {
    let mut times: Vec<Vec<u64>> = vec![Vec::new(); Mode::ALL.len()];
    let mut records = [0.0; Mode::ALL.len()];
    let mut lost = [0; Mode::ALL.len()];
    for _ in 0..options.rounds {
        for (n, mode) in Mode::ALL.iter().enumerate() {
            let round = round(*mode, &options).await?;
            times[n].push(round.ns_per_send);
            records[n] = round.records as f64 / f64::from(options.sends);
            lost[n] += round.lost;
        }
    }
    let programs = if options.programs {
        programs(&options).await?
    } else {
        String::new()
    };
    let medians: Vec<u64> = times.iter_mut().map(|t| median(t)).collect();
    let rows: Vec<Row> = (0..Mode::ALL.len())
        .map(|n| Row {
            mode: Mode::ALL[n].name(),
            ns_per_send: medians[n],
            added_ns: medians[n].cast_signed() - medians[0].cast_signed(),
            records_per_send: records[n],
            lost: lost[n],
        })
        .collect();
    if options.json {
        for row in &rows {
            print(&format!("{}\n", serde_json::to_string(row)?))?;
        }
    } else {
        print(&table(&rows, &options))?;
        print(&programs)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[Row], options: &Options) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!(
        "kernel {}, {cpus} CPUs, lockstep sends of {} bytes over loopback\n{:38} {:>10} {:>10} {:>8} {:>13} {:>6}\n",
        system::release(),
        options.write_size,
        "mode",
        "ns/send",
        "added ns",
        "ratio",
        "records/send",
        "lost"
    );
    for row in rows {
        text += &format!(
            "{:38} {:>10} {:>+10} {:>8.3} {:>13.2} {:>6}\n",
            row.mode,
            row.ns_per_send,
            row.added_ns,
            row.ns_per_send as f64 / rows[0].ns_per_send.max(1) as f64,
            row.records_per_send,
            row.lost
        );
    }
    text
}

/// How often each program runs for one send, and for how long.
async fn programs(options: &Options) -> Result<String> {
    let _timed = system::time_programs().context("cannot have programs timed")?;
    let Some(tracing) = Mode::Trace.options() else {
        return Ok(String::new());
    };
    let mut session = Session::start(&tracing)?;
    let (size, sends) = (options.write_size as usize, options.sends);
    let mut work = tokio::task::spawn_blocking(move || lockstep(size, sends));
    loop {
        tokio::select! {
            done = &mut work => {
                done??;
                break;
            }
            step = session.step(|_, _| {}) => step?,
        }
    }
    let mut text = format!("\n{:24} {:>10} {:>8}\n", "program", "runs/send", "ns/run");
    for (attachment, runs) in session.tracer().runs() {
        if runs.count > 0 {
            text += &format!(
                "{:24} {:>10.2} {:>8}\n",
                attachment.program,
                runs.count as f64 / f64::from(sends),
                runs.time_ns / runs.count
            );
        }
    }
    Ok(text)
}

struct Round {
    ns_per_send: u64,
    records: u64,
    lost: u64,
}

async fn round(mode: Mode, options: &Options) -> Result<Round> {
    let mut session = mode.options().map(|o| Session::start(&o)).transpose()?;
    // What attaching left to do is done by then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (size, sends) = (options.write_size as usize, options.sends);
    let mut work = tokio::task::spawn_blocking(move || lockstep(size, sends));
    let ns_per_send = loop {
        tokio::select! {
            done = &mut work => break done??,
            step = async {
                match &mut session {
                    Some(session) => session.step(|_, _| {}).await,
                    None => std::future::pending().await,
                }
            } => step?,
        }
    };
    let (mut records, mut lost) = (0, 0);
    if let Some(session) = &mut session {
        session.finish(|_, _| {});
        records = session.seen();
        lost = session.totals()?.all_lost();
    }
    Ok(Round {
        ns_per_send,
        records,
        lost,
    })
}

/// Sends and reads `sends` times `size` bytes; ns for each.
fn lockstep(size: usize, sends: u32) -> Result<u64> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut reader, _) = listener.accept()?;
    sender.set_nodelay(true)?;
    let (out, mut back) = (vec![7; size], vec![0; size]);
    let mut go = |n: u32| -> Result<()> {
        for _ in 0..n {
            sender.write_all(&out)?;
            reader.read_exact(&mut back)?;
        }
        Ok(())
    };
    go(sends / 10)?;
    let begin = Instant::now();
    go(sends)?;
    let ns = begin.elapsed().as_nanos() / u128::from(sends);
    Ok(u64::try_from(ns)?)
}

fn median(of: &mut [u64]) -> u64 {
    of.sort_unstable();
    of.get(of.len() / 2).copied().unwrap_or(0)
}
