//! `skmem top`: all sockets' memory, live.

use std::{
    io::{IsTerminal as _, stdout},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use source::Source;
use terminal::{End, Keys, Screen, Signals};
use tokio::time::{Instant, sleep_until};

use super::{duration, live, print, screen, tracing::Tracing};
use crate::top::{
    Model,
    columns::Column,
    keys::Action,
    line::By,
    view::{self, Theme},
};

mod source;
mod terminal;

/// Rows of a frame that is printed, where nobody said how many.
const FEW: usize = 20;
/// Columns of a frame that is printed.
const COLUMNS: std::ops::RangeInclusive<u16> = 60..=400;

/// Show every TCP socket's memory, live
#[derive(Debug, Args)]
#[command(after_help = "\
Any user may look. As root (or with CAP_BPF and CAP_PERFMON) skmem also keeps an account of each matching
socket in the kernel: how long its senders were blocked, and with Enter which code queued its bytes,
the verdict and what to do. Keys are shown in the last line; ? lists them all.

Examples:
  skmem top                      the sockets that hold most
  skmem top -p nginx             those of a process, a name or a unit
  skmem top --dport 5432         connections to a port
  skmem top --by unit            containers and units, each in a row
  skmem top --sort blocked       those whose senders wait longest (as root)
  skmem top --no-causes          as root, but nothing is traced
  skmem top --once -n 5          one frame as text, for a script or a ticket

Exit status: 0, 1 for a failure, 2 for wrong usage, 128 + N where signal N ended it.")]
pub struct Options {
    #[command(flatten)]
    tracing: Tracing,
    /// What a row stands for; the key b goes round
    #[arg(short, long, value_name = "WHAT", default_value = "socket")]
    by: By,
    /// What rows are sorted by, largest first; the keys < and > choose another
    #[arg(short, long, value_name = "COLUMN", default_value = "w")]
    sort: Column,
    /// Look so often, e.g. 500ms, 2s
    #[arg(short, long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    interval: Duration,
    /// Print one frame as text, after two looks with the interval between them (the default where
    /// stdout is not a terminal)
    #[arg(long)]
    once: bool,
    /// Rows of that frame [default: 20]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Do not trace: no eBPF, whatever the rights
    #[arg(long)]
    no_causes: bool,
}

/// Runs it.
///
/// # Errors
/// Where the kernel does not answer, or the terminal cannot be used.
pub async fn run(options: Options, verbose: bool) -> Result<ExitCode> {
    let mut model = Model::new(options.by, options.sort, options.interval);
    // Before anything is attached: from here on no signal ends skmem by itself.
    let mut signals = Signals::new()?;
    let mut source = tokio::select! {
        source = Source::start(&options.tracing, !options.no_causes, verbose) => source?,
        _ = signals.next() => return Ok(live::gave_up()),
    };
    if options.once || !stdout().is_terminal() {
        return once(&options, model, source, signals).await;
    }
    let mut screen = Screen::enter()?;
    let mut keys = Keys::read()?;
    let theme = Theme {
        colour: screen::style().colour,
        keys: true,
    };
    screen.draw(&mut model, theme)?;
    let mut next = Instant::now();
    let end = loop {
        tokio::select! {
            end = signals.next() => match end {
                End::Stop => screen.suspend()?,
                end => break end,
            },
            key = keys.next() => {
                let Some(key) = key.context("cannot read keys")? else { continue };
                let action = key.map_or(Action::Draw, |key| model.press(key));
                match action {
                    Action::Quit => break End::Asked,
                    Action::Suspend => screen.suspend()?,
                    Action::Look => next = Instant::now(),
                    Action::Draw => {}
                }
            }
            () = sleep_until(next), if !model.paused => {
                model.take(source.look()?);
                // A look that takes longer than the interval does not make the next ones hurry.
                next = Instant::now() + model.interval;
            }
            step = source.step() => { step?; continue }
        }
        if let Some(cookie) = model.opened().map(|opened| opened.cookie)
            && let Some(verdict) = source.verdict(cookie)
        {
            model.tell(verdict);
        }
        screen.draw(&mut model, theme)?;
    };
    drop(screen);
    source.say();
    Ok(end.status())
}

/// One frame, as text.
async fn once(
    options: &Options,
    mut model: Model,
    mut source: Source,
    mut signals: Signals,
) -> Result<ExitCode> {
    model.take(source.look()?);
    let next = Instant::now() + options.interval;
    loop {
        tokio::select! {
            end = signals.next() => return Ok(end.status()),
            () = sleep_until(next) => break,
            step = source.step() => step?,
        }
    }
    model.take(source.look()?);
    let width = u16::try_from(screen::columns_of_frame()).unwrap_or(u16::MAX);
    let width = width.clamp(*COLUMNS.start(), *COLUMNS.end());
    let most = options.limit.map_or(FEW, usize::from);
    let mut text = view::plain(&mut model, width, most);
    if let Some(more @ 1..) = model.lines().len().checked_sub(most) {
        text.push_str(&format!("… and {more} more rows (-n shows more)\n"));
    }
    print(&text)?;
    source.say();
    Ok(ExitCode::SUCCESS)
}
