//! `skmem bench`: what tracing costs here, on this process's own sockets.
//!
//! The modes take turns, several times; a turn attaches once and runs all
//! loads. Medians of the turns are compared. In lockstep nothing but this
//! program decides what runs when, so under `qemu -icount` its figures are the
//! same each time.

pub(crate) mod clock;
mod events;
mod load;
mod measure;
mod mode;
mod other_tracer;
mod report;
#[cfg(feature = "serve")]
mod serve;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
pub(super) use report::schema;

use self::{
    load::SizedLoad,
    measure::{Cell, Sample, Turn, Watcher},
    mode::Mode,
    other_tracer::OtherTracer,
    report::Report,
};
use super::print;

/// Measure what tracing costs on this machine
#[derive(Debug, Args)]
#[command(after_help = "\
A thread sends to itself and reads what it sent; the time of one send and its read is compared with
nothing attached. Under `qemu -icount` (cargo xtask bench) a nanosecond is an instruction. Nothing
but the bench's own sockets is traced, but in the mode serve and with --serve.

Loads (--load LOAD, or LOAD:BYTES for another size than --write-size):
  lockstep   a thread sends to itself over loopback, and reads what it sent
  reader     one thread sends, another one reads
  acks       lockstep, each segment acknowledged at once
  sockets    lockstep on 1,000 connections (2,000 sockets) in turn
  veth       lockstep between two network namespaces

Examples:
  skmem bench
  skmem bench --write-size 100,1024,65536 --json
  skmem bench --load lockstep,acks:100,sockets --rounds 1
  skmem bench --mode nothing,records --programs
  skmem bench --serve                        as root: what skmem serve itself takes")]
pub struct Options {
    /// Bytes in each send
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_value = "1024",
          value_parser = load::write_size)]
    write_size: Vec<usize>,
    /// What runs
    #[arg(
        long,
        value_name = "LOAD[:BYTES]",
        value_delimiter = ',',
        default_value = "lockstep"
    )]
    load: Vec<SizedLoad>,
    /// Tracing modes to compare; the first one is the baseline
    #[arg(long, value_name = "MODE", value_delimiter = ',', value_enum, default_values_t = Mode::ALL, hide_default_value = true)]
    mode: Vec<Mode>,
    /// Also measure another tracer: COMMAND must print `ready`, then a line an event
    #[arg(long, value_name = "NAME=COMMAND")]
    beside: Vec<OtherTracer>,
    /// Sends in each round
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    sends: u32,
    /// Rounds of each mode
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Also time each program (bpf_stats_enabled), with the first load
    #[arg(long)]
    programs: bool,
    /// Also print the instructions that the verifier walked in each program
    #[arg(long)]
    verifier: bool,
    /// Also what reading, replaying, recording and printing an event takes
    #[arg(long)]
    events: bool,
    /// Measure `skmem serve` instead: its memory and the CPU time of a scrape, beside 10,080
    /// sockets of 280 processes
    #[cfg(feature = "serve")]
    #[arg(long, conflicts_with_all = ["load", "mode", "beside", "programs", "verifier", "events"])]
    serve: bool,
    /// What --serve starts: a process of this name with N connections
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "NAME:N", hide = true)]
    hold: Option<serve::Hold>,
    /// Print JSON: one object for each line of the tables
    #[arg(long)]
    json: bool,
}

impl Options {
    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for SizedLoad { load, size } in &self.load {
            let sizes = size
                .as_ref()
                .map_or(&self.write_size[..], std::slice::from_ref);
            cells.extend(sizes.iter().map(|size| Cell {
                load: *load,
                size: *size,
            }));
        }
        cells
    }
}

/// Runs it.
///
/// # Errors
/// Where nothing can be measured: the first mode fails, or the sockets do. A
/// later mode that fails is reported and left out.
pub async fn run(options: Options) -> Result<ExitCode> {
    #[cfg(feature = "serve")]
    {
        if let Some(hold) = &options.hold {
            hold.run()?;
            return Ok(ExitCode::SUCCESS);
        }
        if options.serve {
            let mut report = Report::new(0, 0);
            report.served(serve::measure()?);
            print(&if options.json {
                report.json()?
            } else {
                report.text()
            })?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    let cells = options.cells();
    let modes = options.mode.iter().map(|mode| Watcher::Mode(*mode));
    let watchers: Vec<Watcher<'_>> = modes
        .chain(options.beside.iter().map(Watcher::OtherTracer))
        .collect();
    let mut samples: Vec<Vec<Vec<Sample>>> = vec![vec![Vec::new(); cells.len()]; watchers.len()];
    let mut failed = vec![false; watchers.len()];
    let mut report = Report::new(options.rounds, options.sends);
    for round in 0..options.rounds {
        for n in mode::turns(watchers.len(), round as usize) {
            let timed = options.programs && round == 0;
            if failed[n] {
                continue;
            }
            let turn = measure::turn(&watchers[n], &cells, options.sends, timed).await;
            let turn = match turn {
                Ok(turn) => turn,
                // The others are worth knowing all the same.
                Err(e) if n > 0 => {
                    eprintln!("skmem: {} is left out: {e:#}", watchers[n].name());
                    failed[n] = true;
                    continue;
                }
                Err(e) => return Err(e),
            };
            let Turn {
                samples: new,
                programs,
                verified,
            } = turn;
            for (all, sample) in samples[n].iter_mut().zip(new) {
                all.push(sample);
            }
            report.timed(watchers[n].name(), &programs);
            if options.verifier && matches!(watchers[n], Watcher::Mode(Mode::Records)) {
                report.verified(verified);
            }
        }
    }
    for (c, cell) in cells.iter().enumerate() {
        let of_cell: Vec<(&str, &[Sample])> = watchers
            .iter()
            .zip(&samples)
            .filter(|(_, samples)| !samples[c].is_empty())
            .map(|(watcher, samples)| (watcher.name(), &samples[c][..]))
            .collect();
        report.cell(*cell, &of_cell);
    }
    if options.events {
        report.events(events::measure(options.write_size[0]).await?);
    }
    print(&if options.json {
        report.json()?
    } else {
        report.text()
    })?;
    Ok(if failed.contains(&true) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
