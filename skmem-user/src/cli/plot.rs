//! `skmem plot`: one recorded socket over time.

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::{Usage, print, recorded::Recorded, style, tell};
use crate::{
    explain::numbers::grouped,
    model::{survey, timeline::Timeline},
    recording::Item,
    render::plot::{self, Figure},
    workload,
};

/// Columns and samples of a page: one column a pixel.
const PAGE: (usize, usize) = (1600, 3200);
/// Of HTML, which is zoomed into.
const ZOOM: (usize, usize) = (2000, 20_000);
/// Of a terminal, twice as many as it may have columns.
const TERMINAL: (usize, usize) = (400, 2000);

/// Lines of a terminal that does not say how many it has.
const LINES: u16 = 24;

/// Draw a recorded socket over time: in the terminal, as SVG, PNG or HTML
#[derive(Debug, Args)]
#[command(after_help = "\
Shows wmem_queued stacked by the cause that put the bytes there, the limit (sndbuf) with its moves,
Send-Q, forward_alloc, wmem_alloc (qdisc and NIC), the times in which a sender slept for want of
send memory, and each admission (new skb let in). Without --socket: of all sockets the one with the
worst excess. Each form keeps all extremes, however long the recording is; see docs/plot.md.

Examples:
  skmem record -p 4711 -o run.skm --duration 60s
  skmem plot run.skm                         in the terminal
  skmem plot run.skm -o run.svg              a page to print (.png: a picture)
  skmem plot run.skm -o run.html             one file to zoom into; works offline
  skmem plot run.skm --socket :5001          the socket with this port
  skmem plot run.skm --from 1.2s --to 1.5s   a part of it, closer")]
pub struct Options {
    /// A recording made by `skmem record`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The socket: its number, a port as :5001, an end as 10.0.0.1:5001, or SRC>DST
    #[arg(short, long, value_name = "SOCKET")]
    socket: Option<String>,
    /// Write to this file; its name ends in .svg, .png, .html or .txt
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Plot in characters, even where stdout is not a terminal
    #[arg(long, conflicts_with = "output")]
    text: bool,
    /// Begin so long after the recording did, e.g. 1.2s, 300ms
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Duration>,
    /// End so long after the recording began
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Svg,
    Png,
    Html,
}

/// Runs it.
///
/// # Errors
/// Where there is no such recording or socket, or the output cannot be
/// written.
pub fn run(options: &Options) -> Result<ExitCode> {
    let form = form(options).map_err(Usage)?;
    let recorded = Recorded::read(&options.file)?;
    let id = recorded.choose(options.socket.as_deref())?;
    let verdict = recorded.verdict(id)?;
    let (zero_ns, _) = recorded.span();
    let asleep = verdict.blocked.is_some_and(|b| b.asleep != 0);
    let (from, to) = window(options, &recorded, id, asleep)?;
    let (columns, exact) = match form {
        Form::Text => TERMINAL,
        Form::Svg | Form::Png => PAGE,
        Form::Html => ZOOM,
    };
    let mut timeline = Timeline::new(from, to, columns, exact);
    recorded.again(|item| {
        if let Item::Record(record) = item
            && survey::id(&record) == id
        {
            timeline.feed(&record);
        }
        Ok(())
    })?;
    timeline.finish();
    let figure = Figure {
        timeline: &timeline,
        verdict: Some(&verdict),
        zero_ns,
        began: began(recorded.meta.clock.wall_ns(zero_ns)),
        host: recorded.meta.host.clone(),
        notes: notes(&recorded),
    };
    match (form, &options.output) {
        (Form::Text, None) => print(&plot::text(&figure, &screen(), lines()))?,
        (Form::Text, Some(path)) => write(
            path,
            plot::text(&figure, &crate::render::Style::PLAIN, 40).as_bytes(),
        )?,
        (Form::Html, Some(path)) => write(path, plot::html(&figure).as_bytes())?,
        (Form::Svg, Some(path)) => write(path, plot::svg(&figure).as_bytes())?,
        (Form::Png, Some(path)) => write(path, &png(&plot::svg(&figure))?)?,
        (_, None) => print(&plot::svg(&figure))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn form(options: &Options) -> Result<Form> {
    let Some(path) = &options.output else {
        if options.text || std::io::stdout().is_terminal() {
            return Ok(Form::Text);
        }
        bail!(
            "stdout is no terminal: --text plots in characters all the same, -o FILE.svg, \
             FILE.png or FILE.html writes a file"
        );
    };
    let extension = path.extension().and_then(|e| e.to_str());
    Ok(match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("svg") => Form::Svg,
        Some("html" | "htm") => Form::Html,
        Some("txt") => Form::Text,
        Some("png") if cfg!(feature = "png") => Form::Png,
        Some("png") => bail!(
            "this skmem was built without PNG (feature `png`): write an SVG, and convert that"
        ),
        _ => bail!(
            "{}: what is it to be? A name in .svg, .png, .html or .txt says so",
            path.display()
        ),
    })
}

#[cfg(feature = "png")]
fn png(svg: &str) -> Result<Vec<u8>> {
    Ok(plot::png(svg)?)
}

#[cfg(not(feature = "png"))]
fn png(_: &str) -> Result<Vec<u8>> {
    bail!("this skmem was built without PNG (feature `png`)")
}

/// The part of the recording to show: without --from and --to the socket's
/// life in it, and a little on either side; all of what is left where a sender
/// is still asleep at the end.
fn window(options: &Options, recorded: &Recorded, id: u64, asleep: bool) -> Result<(u64, u64)> {
    let (begin, end) = recorded.span();
    let ns =
        |time: Duration| begin.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let life = recorded.survey.socket(id);
    let mut life = life.map_or((begin, end), |s| (s.first_ns, s.last_ns));
    if asleep {
        life.1 = life.1.max(end);
    }
    let margin = ((life.1 - life.0) / 50).max(1_000);
    let from = options
        .from
        .map_or_else(|| life.0.saturating_sub(margin).max(begin), ns);
    let to = options
        .to
        .map_or_else(|| (life.1.saturating_add(margin)).min(end.max(life.1)), ns);
    if from >= to || from > end {
        bail!(Usage(anyhow::anyhow!(
            "nothing lies there: the recording is {} long",
            crate::render::time_span(end - begin)
        )));
    }
    Ok((from, to.min(end.max(life.1))))
}

fn notes(recorded: &Recorded) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(text) = &recorded.shortcoming {
        notes.push(format!("The recording {text}."));
    } else if recorded.end.is_none() {
        notes.push("The recording has no end: skmem was killed, or the disk was full.".to_owned());
    }
    let others = recorded.survey.worst_first().len() - 1;
    if others != 0 {
        let s = if others == 1 { "" } else { "s" };
        let others = i64::try_from(others).unwrap_or(i64::MAX);
        notes.push(format!(
            "{} other socket{s} in the recording.",
            grouped(others)
        ));
    }
    notes
}

/// A date and time, UTC.
fn began(wall_ns: u64) -> String {
    let seconds = i64::try_from(wall_ns / 1_000_000_000).unwrap_or_default();
    time::OffsetDateTime::from_unix_timestamp(seconds).map_or_else(
        |_| "at an unknown time".to_owned(),
        |t| {
            format!(
                "{} {:02}:{:02}:{:02} UTC",
                t.date(),
                t.hour(),
                t.minute(),
                t.second()
            )
        },
    )
}

/// How to write to the terminal: all of its columns.
fn screen() -> crate::render::Style {
    let mut style = style();
    if let Some(size) = terminal() {
        style.width = usize::from(size.ws_col).clamp(60, 240);
    } else if std::env::var_os("COLUMNS").is_none() {
        style.width = 80;
    }
    style
}

/// Its lines, less one for the prompt.
fn lines() -> usize {
    let lines = std::env::var("LINES").ok().and_then(|l| l.parse().ok());
    let size = terminal().map(|size| size.ws_row);
    usize::from(size.or(lines).unwrap_or(LINES).clamp(16, 60)) - 1
}

fn terminal() -> Option<rustix::termios::Winsize> {
    rustix::termios::tcgetwinsize(rustix::stdio::stdout())
        .ok()
        .filter(|size| size.ws_col != 0 && size.ws_row != 0)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    tell(&format!("wrote {}", path.display()));
    Ok(())
}

fn time(text: &str) -> Result<Duration, String> {
    workload::options::parse_time(text).map_err(|e| e.to_string())
}

#[cfg(all(test, feature = "outside-tests"))]
mod browser;
#[cfg(test)]
mod tests;
