//! `skmem plot`: one recorded socket over time.

use std::{
    cmp::Reverse,
    collections::HashMap,
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::{
    Usage,
    excerpt::{Excerpt, WindowArgs, nothing},
    instant::RecordingInstant,
    output::{Access, Output, Target},
    print,
    recorded::Recorded,
    screen,
    sockets::SocketArgs,
    style,
};
use crate::{
    explain::numbers::grouped,
    model::{
        record::Record,
        survey,
        timeline::{Timeline, receive::Receiver},
    },
    recording::Item,
    render::{
        self,
        plot::{self, Figure},
    },
};

/// Columns and samples of a page: one column a pixel.
const PAGE: (usize, usize) = (1600, 3200);
/// Of HTML, which is zoomed into.
const ZOOM: (usize, usize) = (2000, 20_000);
/// Of a terminal, twice as many as it may have columns.
const TERMINAL: (usize, usize) = (400, 2000);

/// Lines where there is no terminal.
const LINES: usize = 23;

/// Draw a recorded socket over time: in the terminal, as SVG, PNG or HTML
#[derive(Debug, Args)]
#[command(after_help = "\
Shows wmem_queued stacked by the cause that put the bytes there, the limit (sndbuf) with its moves,
Send-Q, forward_alloc, wmem_alloc (qdisc and NIC), the times in which a sender slept for want of
send memory, and each admission (new skb let in). Without --socket: the socket with the worst
excess. Each form keeps all extremes, however long the recording is; see docs/plot.md.

Examples:
  skmem record -p 4711 -o run.skm --duration 60s
  skmem plot run.skm                         in the terminal
  skmem plot run.skm -o run.svg              a page to print (.png: a picture)
  skmem plot run.skm -o run.html             one file to zoom into; works offline
  skmem plot run.skm --socket :5001          the socket with this port
  skmem plot run.skm -p nginx --dport 5432   the worst socket of a process
  skmem plot run.skm --from 1.2s --to 1.5s   a part of it, closer
  skmem plot run.skm --rx                    its receive memory and window")]
pub struct Options {
    /// A recording made by `skmem record`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The socket: its number, a port as :5001, an end as 10.0.0.1:5001, or SRC>DST
    #[arg(short, long, value_name = "SOCKET")]
    socket: Option<String>,
    /// Write to this file; its name ends in .svg, .png, .html or .txt, or --format says what it
    /// is; - is stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// What to draw [default: what the file's name says; in a terminal, text]
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<Form>,
    /// Plot in characters, even where stdout is not a terminal: --format text
    #[arg(long, conflicts_with_all = ["output", "format"])]
    text: bool,
    /// Draw the receive side instead: what r consists of under rb, by cause, with Recv-Q, the
    /// window, and when that was 0; of `skmem record --rx`. Without --socket: the socket whose
    /// receive buffer held most
    #[arg(long)]
    rx: bool,
    #[command(flatten)]
    which: SocketArgs,
    #[command(flatten)]
    window: WindowArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    #[value(alias = "txt")]
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
    // A window is what is drawn: its beginning stands as the records before it say.
    let chosen = Excerpt::of(&options.file, &options.which, WindowArgs::default())?;
    let recorded = Recorded::read(chosen)?;
    let form = form(options).map_err(Usage)?;
    let target = match &options.output {
        Some(path) => Target::new(path, options.force)?,
        None => Target::stdout(),
    };
    if form == Form::Png && target.is_stdout() && std::io::stdout().is_terminal() {
        let text = "a PNG is not for a terminal: -o FILE.png writes a file";
        return Err(Usage(anyhow::anyhow!(text)).into());
    }
    if options.rx {
        return received(options, &recorded, form, target);
    }
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
        zero_wall_ns: recorded.meta.clock.wall_ns(zero_ns),
        host: recorded.meta.host.clone(),
        whole: options.window.from.is_none() && options.window.to.is_none(),
        notes: notes(&recorded),
    };
    let drawn = match form {
        Form::Text if target.is_stdout() => {
            print(&plot::text(&figure, &style(), lines()))?;
            return Ok(ExitCode::SUCCESS);
        }
        Form::Text => plot::text(&figure, &render::Style::PLAIN, 40).into_bytes(),
        Form::Html => plot::html(&figure).into_bytes(),
        Form::Svg => plot::svg(&figure).into_bytes(),
        Form::Png => png(&plot::svg(&figure))?,
    };
    write(target, &drawn)
}

fn write(target: Target, drawn: &[u8]) -> Result<ExitCode> {
    Output::new(target, Access::Umask)?.write(|mut out| {
        out.write_all(drawn)?;
        Ok(out.flush()?)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Draws the receive side.
fn received(
    options: &Options,
    recorded: &Recorded,
    form: Form,
    target: Target,
) -> Result<ExitCode> {
    // By socket: the most in its buffer, its first and its last record of the receive side.
    let mut found: HashMap<u64, (i32, u64, u64)> = HashMap::new();
    recorded.again(|item| {
        if let Item::Record(Record::Receive(r)) = item {
            let seen = (r.view.rmem_alloc, r.time_ns, r.time_ns);
            let one = found.entry(r.socket).or_insert(seen);
            one.0 = one.0.max(r.view.rmem_alloc);
            (one.1, one.2) = (one.1.min(r.time_ns), one.2.max(r.time_ns));
        }
        Ok(())
    })?;
    let id = match &options.socket {
        Some(socket) => recorded.choose(Some(socket))?,
        // Of equals the one that came first.
        None => match found
            .iter()
            .max_by_key(|(_, (most, first, _))| (*most, Reverse(*first)))
        {
            Some((id, _)) => *id,
            None => bail!(
                "the recording holds no record of the receive side: `skmem record --rx` makes them"
            ),
        },
    };
    let Some((_, first, last)) = found.get(&id) else {
        bail!("no record of that socket's receive side: `skmem record --rx` makes them");
    };
    let margin = ((last - first) / 50).max(1_000);
    let (begin, end) = recorded.span();
    let ns = |at: RecordingInstant| at.ns((begin, end), &recorded.meta.clock);
    let from = options
        .window
        .from
        .map_or(first.saturating_sub(margin).max(begin), ns);
    let verdict = recorded.verdict(id)?;
    // What holds at the last record of an open socket holds to the end.
    let until = match verdict.socket.closed {
        true => last.saturating_add(margin).min(end.max(*last)),
        false => end.max(*last),
    };
    let to = options.window.to.map_or(until, ns);
    if from >= to {
        let wall = |ns| recorded.meta.clock.wall_ns(ns);
        bail!(Usage(nothing((begin, end), wall)));
    }
    let (columns, _) = match form {
        Form::Text => TERMINAL,
        Form::Svg | Form::Png => PAGE,
        Form::Html => ZOOM,
    };
    let mut receiver = Receiver::new(from, to, columns);
    recorded.again(|item| {
        if let Item::Record(record) = item
            && survey::id(&record) == id
        {
            receiver.feed(&record);
        }
        Ok(())
    })?;
    receiver.finish();
    let figure = plot::ReceiveFigure {
        receiver: &receiver,
        verdict: &verdict,
        zero_ns: begin,
        began: began(recorded.meta.clock.wall_ns(begin)),
        zero_wall_ns: recorded.meta.clock.wall_ns(begin),
    };
    let drawn = match form {
        Form::Text if target.is_stdout() => {
            print(&plot::receive_text(&figure, &style(), lines()))?;
            return Ok(ExitCode::SUCCESS);
        }
        Form::Text => plot::receive_text(&figure, &render::Style::PLAIN, 40).into_bytes(),
        Form::Png => png(&plot::receive_svg(&figure))?,
        Form::Html => plot::receive_html(&figure).into_bytes(),
        Form::Svg => plot::receive_svg(&figure).into_bytes(),
    };
    write(target, &drawn)
}

fn form(options: &Options) -> Result<Form> {
    let named = options.output.as_deref().and_then(|path| {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "htm" => Some(Form::Html),
            "txt" => Some(Form::Text),
            other => Form::from_str(other, false).ok(),
        }
    });
    let terminal = options.output.is_none() && std::io::stdout().is_terminal();
    let form = match (options.format, named) {
        (Some(form), _) | (None, Some(form)) => form,
        (None, None) if options.text || terminal => Form::Text,
        (None, None) => match &options.output {
            Some(path) => bail!(
                "what to write into {} is not known: --format svg, png, html or text says it, or a name in .svg, \
                 .png, .html or .txt",
                path.display()
            ),
            None => bail!(
                "stdout is not a terminal: --text plots in characters all the same, --format svg (png, html) writes \
                 a picture, -o FILE.svg into a file"
            ),
        },
    };
    if form == Form::Png && !cfg!(feature = "png") {
        bail!("this skmem was built without PNG (feature `png`): write an SVG, and convert that");
    }
    Ok(form)
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
    let ns = |at: RecordingInstant| at.ns((begin, end), &recorded.meta.clock);
    let life = recorded.survey.socket(id);
    let mut life = life.map_or((begin, end), |s| (s.first_ns, s.last_ns));
    if asleep {
        life.1 = life.1.max(end);
    }
    let margin = ((life.1 - life.0) / 50).max(1_000);
    let from = options
        .window
        .from
        .map_or_else(|| life.0.saturating_sub(margin).max(begin), ns);
    let to = options
        .window
        .to
        .map_or_else(|| (life.1.saturating_add(margin)).min(end.max(life.1)), ns);
    if options.window.from.is_some() && options.window.to.is_some() && from >= to {
        bail!(Usage(anyhow::anyhow!(
            "--from is not before --to: nothing lies between them"
        )));
    }
    if from >= to || from > end {
        let wall = |ns| recorded.meta.clock.wall_ns(ns);
        bail!(Usage(nothing((begin, end), wall)));
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

/// Lines of the terminal, or of a page.
fn lines() -> usize {
    let lines = screen::lines().unwrap_or(LINES);
    lines.clamp(15, 59)
}

#[cfg(all(test, feature = "outside-tests"))]
mod browser;
#[cfg(test)]
mod tests;
