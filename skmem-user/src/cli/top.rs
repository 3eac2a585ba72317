//! `skmem top`: all sockets' memory, live.

use std::{
    io::{IsTerminal as _, stdout},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use source::Source;
use terminal::{End, Keys, Screen, Signals};
use tokio::time::{Instant, sleep_until};

use super::{Usage, duration, host_root::HostRoot, live, print, screen, tracing_args::TracingArgs};
use crate::{
    snapshot::group::{GroupBy as Group, KeyNames},
    top::{
        Message, Model,
        columns::Column,
        keys::Action,
        line::RowsBy,
        view::{self, Theme},
    },
};

mod kept;
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

With --flight the key e writes skmem-DATE-TIME.skm (UTC) into the directory where top was started, for skmem
report, plot and export. Its price: 64 MiB of memory at most; in a send of 1,024 bytes tracing takes 1.3 times
as many instructions (7,046 for 5,275, Linux 6.12), and skmem itself some 1,100 more for each call. So it is off
by default, and a filter keeps it cheap.

Examples:
  skmem top                      the sockets that hold most
  skmem top -p nginx             those of a process, a name or a unit
  skmem top --dport 5432         connections to a port
  skmem top --by unit            containers and units, each in a row
  skmem top --by pod             the pods of a Kubernetes node
  skmem top --sort blocked       those whose senders wait longest (as root)
  skmem top -p nginx --flight 5m  as root: the key e has the last five minutes
  skmem top --no-causes          as root, but nothing is traced
  skmem top --once -n 5          one frame as text, for a script or a ticket

Exit status: 0, 1 for a failure, 2 for wrong usage, 128 + N where signal N ended it.")]
pub struct Options {
    #[command(flatten)]
    tracing: TracingArgs,
    /// What a row stands for; the key b changes it
    #[arg(short, long, value_name = "WHAT", default_value = "socket")]
    by: RowsBy,
    #[command(flatten)]
    pub(super) host_root: HostRoot,
    /// What rows are sorted by, largest first; the keys < and > choose another
    #[arg(short, long, value_name = "COLUMN", default_value = "w")]
    sort: Column,
    /// Time from one look to the next, e.g. 500ms, 2s; the keys + and - change it
    #[arg(short, long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    interval: Duration,
    /// Print one frame as text, after two looks with the interval between them (the default where
    /// stdout is not a terminal)
    #[arg(long)]
    once: bool,
    /// Rows of the frame of --once [default: 20]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Do not trace: no eBPF, whatever the rights
    #[arg(long)]
    no_causes: bool,
    /// As root: keep all calls of the last TIME in memory, e.g. 5m; the key e writes those of the
    /// row that is chosen into a recording
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with_all = ["once", "no_causes"])]
    flight: Option<Duration>,
}

/// Runs it.
///
/// # Errors
/// Where the kernel does not answer, or the terminal cannot be used.
pub async fn run(options: Options, verbose: bool) -> Result<ExitCode> {
    let once_only = options.once || !stdout().is_terminal();
    if once_only && options.flight.is_some() {
        let text =
            "--flight keeps calls for the key e, and there are no keys: stdout is not a terminal";
        return Err(Usage(anyhow!(text)).into());
    }
    let mut model = Model::new(options.by, options.sort, options.interval);
    model.flight = options.flight;
    model.known = KeyNames::below(&options.host_root.dir);
    // Before anything is attached: from here on no signal ends skmem by itself.
    let mut signals = Signals::new()?;
    let mut source = tokio::select! {
        source = Source::start(&options, verbose) => source?,
        _ = signals.next() => return Ok(live::gave_up()),
    };
    if once_only {
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
                    Action::Export => export(&mut model, &mut source)?,
                    Action::Draw => {}
                }
            }
            () = sleep_until(next), if !model.paused => {
                sample(&mut model, &mut source)?;
                // A look that takes longer than the interval does not make the next ones hurry.
                next = Instant::now() + model.interval;
            }
            step = source.step() => match step? {
                None => continue,
                said => model.message = said,
            }
        }
        if let Some(cookie) = model.opened().map(|opened| opened.cookie)
            && let Some(verdict) = source.verdict(cookie)
        {
            model.tell(verdict);
        }
        screen.draw(&mut model, theme)?;
    };
    drop(screen);
    if let Some(detaching) = source.end()? {
        detaching.done().await;
    }
    Ok(end.status())
}

/// Takes a sample, and the names of the pods that are there then.
fn sample(model: &mut Model, source: &mut Source) -> Result<()> {
    model.known.refresh(Group::Pod);
    model.take(source.sample()?);
    Ok(())
}

/// Begins to write what is chosen.
fn export(model: &mut Model, source: &mut Source) -> Result<()> {
    let Some((chosen, keep)) = model.chosen().zip(model.flight) else {
        return Ok(());
    };
    model.message = Some(Message {
        text: format!("Writing {} …", chosen.what),
        alarm: false,
    });
    source.export(chosen, keep)
}

/// One frame, as text.
async fn once(
    options: &Options,
    mut model: Model,
    mut source: Source,
    mut signals: Signals,
) -> Result<ExitCode> {
    sample(&mut model, &mut source)?;
    let next = Instant::now() + options.interval;
    loop {
        tokio::select! {
            end = signals.next() => return Ok(end.status()),
            () = sleep_until(next) => break,
            step = source.step() => { step?; }
        }
    }
    sample(&mut model, &mut source)?;
    let width = u16::try_from(screen::columns_of_frame()).unwrap_or(u16::MAX);
    let width = width.clamp(*COLUMNS.start(), *COLUMNS.end());
    let most = options.limit.map_or(FEW, usize::from);
    let mut text = view::plain(&mut model, width, most);
    if let Some(more @ 1..) = model.lines().len().checked_sub(most) {
        text.push_str(&format!("… and {more} more rows (-n shows more)\n"));
    }
    print(&text)?;
    if let Some(detaching) = source.end()? {
        detaching.done().await;
    }
    Ok(ExitCode::SUCCESS)
}
