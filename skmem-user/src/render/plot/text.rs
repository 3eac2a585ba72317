//! A plot in characters, for a terminal.
//!
//! A column shows the instant of its time at which most was queued; a cell the
//! cause that its middle lies in.

use std::fmt::Write;

use anstyle::{Ansi256Color, Color, Style as Ansi};

use super::{
    figure::{Band, Figure},
    scale::{Axis, ticks, time, unit},
};
use crate::{
    explain::numbers::grouped,
    model::timeline::{Sample, thin::column},
    render::{
        layout::wrap,
        style::{Role, Style},
        units::span,
    },
};

/// Columns for what is left of the plot.
const MARGIN: usize = 11;
/// Fewest rows of a plot.
const LEAST: usize = 6;
/// Most lines of the title.
const TITLE: usize = 5;

const LIMIT: char = '━';
const SEND_Q: char = '─';
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The plot, in [`Style::width`] columns and about `height` lines. Ends with a
/// newline.
#[must_use]
pub fn text(figure: &Figure<'_>, style: &Style, height: usize) -> String {
    let samples = figure.timeline.samples();
    let bands = Figure::bands(&samples);
    let columns = style.width.saturating_sub(MARGIN + 1).max(20);
    let cells = fill(&samples, |s| s.time_ns, span_of(figure), columns, higher);
    let title = title(figure, style);
    let legend = legend(figure, &samples, &bands, style);
    let strips = strips(figure, &samples, columns);
    let used = title.len() + legend.len() + strips.len() + 2;
    let rows = height.saturating_sub(used + 1).max(LEAST);
    let mut out = String::new();
    for line in &title {
        let _ = writeln!(out, "{line}");
    }
    let far = Figure::limit_is_far(&samples);
    plot(&mut out, &cells, &bands, rows, far, style);
    axis(&mut out, figure, columns);
    for (name, cells) in strips {
        let line = format!("{name:>width$} {cells}", width = MARGIN - 1);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for line in legend {
        let _ = writeln!(out, "{line}");
    }
    out
}

/// The verdict, and which socket.
fn title(figure: &Figure<'_>, style: &Style) -> Vec<String> {
    let mut lines = wrap(&figure.title(), 0, 0, style.width);
    if lines.len() > TITLE {
        lines.truncate(TITLE);
        if let Some(last) = lines.last_mut() {
            last.push('…');
        }
    }
    let mut lines: Vec<String> = lines
        .into_iter()
        .map(|line| style.paint(Role::Title, line))
        .collect();
    let mut who = String::new();
    for part in figure.subtitle() {
        let dot = if who.is_empty() { "" } else { " · " };
        if who.chars().count() + dot.chars().count() + part.chars().count() > style.width {
            break;
        }
        who.push_str(dot);
        who.push_str(&part);
    }
    if !who.is_empty() {
        lines.push(style.paint(Role::Aside, who));
    }
    lines
}

/// For each column between two instants one sample: of those in it, and of the
/// one that it starts with, the one that beats the others.
pub(super) fn fill<T: Copy>(
    samples: &[T],
    time_ns: impl Fn(&T) -> u64,
    (from_ns, to_ns): (u64, u64),
    columns: usize,
    beats: impl Fn(&T, &T) -> bool,
) -> Vec<Option<T>> {
    let mut cells: Vec<Option<T>> = vec![None; columns];
    let mut next = 0;
    let mut held: Option<T> = None;
    for (n, cell) in cells.iter_mut().enumerate() {
        *cell = held;
        while let Some(sample) = samples.get(next) {
            if column(time_ns(sample), from_ns, to_ns, columns) > n {
                break;
            }
            if cell.is_none_or(|c| beats(sample, &c)) {
                *cell = Some(*sample);
            }
            held = Some(*sample);
            next += 1;
        }
    }
    cells
}

fn span_of(figure: &Figure<'_>) -> (u64, u64) {
    (figure.timeline.from_ns(), figure.timeline.to_ns())
}

/// Most queued.
fn higher(a: &Sample, b: &Sample) -> bool {
    (a.wmem_queued, a.excess()) > (b.wmem_queued, b.excess())
}

/// Without the limit where it is `far` above.
fn plot(
    out: &mut String,
    cells: &[Option<Sample>],
    bands: &[Band],
    rows: usize,
    far: bool,
    style: &Style,
) {
    let most = |s: &Sample| {
        let most = i64::from(s.wmem_queued).max(s.send_q.into());
        if far { most } else { most.max(s.sndbuf.into()) }
    };
    let most = cells.iter().flatten().map(most).max().unwrap_or(1) as f64;
    let top = most * 1.05;
    let axis = Axis::new(0.0, top, 0.0, rows as f64);
    let (list, _) = ticks(0.0, top, (rows / 2).max(2));
    let of = |n: f64| (axis.at(n).floor() as usize).min(rows - 1);
    for row in (0..rows).rev() {
        let label = list.iter().find(|n| **n > 0.0 && of(**n) == row);
        let (label, edge) = match label {
            Some(n) => (grouped(n.round() as i64), '┤'),
            None if row == rows - 1 && list.iter().all(|n| of(*n) != row) => {
                ("bytes".to_owned(), '│')
            }
            None => (String::new(), '│'),
        };
        let _ = write!(out, "{label:>width$}{edge}", width = MARGIN - 1);
        let middle = (row as f64 + 0.5) * top / rows as f64;
        let mut line = String::new();
        for (n, cell) in cells.iter().enumerate() {
            let Some(sample) = cell else {
                line.push(' ');
                continue;
            };
            if !far && of(sample.sndbuf.into()) == row {
                line.push(LIMIT);
            } else if n % 2 == 1 && sample.send_q > 0 && of(sample.send_q.into()) == row {
                // With gaps: it lies within the stack.
                line.push(SEND_Q);
            } else {
                // Whatever is queued takes one cell at least.
                let at = if row == 0 {
                    middle.min(f64::from(sample.wmem_queued) / 2.0)
                } else {
                    middle
                };
                match band(sample, bands, at) {
                    Some(band) => line.push_str(&letter(band, style)),
                    None => line.push(' '),
                }
            }
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// The band at this height.
fn band<'a>(sample: &Sample, bands: &'a [Band], at: f64) -> Option<&'a Band> {
    let mut top = 0;
    bands.iter().find(|band| {
        top += band.of(sample);
        at < top as f64
    })
}

fn letter(band: &Band, style: &Style) -> String {
    painted(band.look.letter, band.look.ansi, style)
}

/// A band's letter in a colour of terminals with 256 of them.
pub(super) fn painted(letter: char, ansi: u8, style: &Style) -> String {
    if !style.colour {
        return letter.to_string();
    }
    let colour = Ansi::new().fg_color(Some(Color::Ansi256(Ansi256Color(ansi))));
    format!("{colour}{letter}{colour:#}")
}

/// The time axis: a line, its numbers, and where the worst instant is.
fn axis(out: &mut String, figure: &Figure<'_>, columns: usize) {
    let t = figure.timeline;
    let (name, ns) = unit(t.to_ns() - t.from_ns());
    let zero = figure.zero_ns as f64;
    let (from, to) = (t.from_ns() as f64 - zero, t.to_ns() as f64 - zero);
    let x = Axis::new(from, to, 0.0, columns as f64);
    let (list, step) = ticks(from / ns, to / ns, (columns / 14).max(2));
    let mut line = vec!['─'; columns];
    let mut numbers = vec![' '; columns + 2];
    let mut free = 0;
    for n in list {
        let at = (x.at(n * ns) as usize).min(columns - 1);
        line[at] = '┬';
        let label = time(n, step);
        let start = at.saturating_sub(label.chars().count() / 2);
        if start >= free && start + label.chars().count() <= numbers.len() {
            for (k, c) in label.chars().enumerate() {
                numbers[start + k] = c;
            }
            free = start + label.chars().count() + 1;
        }
    }
    if let Some(worst) = t.worst().filter(|w| w.excess() > 0) {
        line[column(worst.time_ns, t.from_ns(), t.to_ns(), columns)] = '▲';
    }
    let line: String = line.into_iter().collect();
    let numbers: String = numbers.into_iter().collect();
    let pad = " ".repeat(MARGIN - 2);
    let _ = writeln!(out, "{pad}0└{line}");
    let name = format!("({name})");
    let _ = writeln!(out, "{name:>9}  {}", numbers.trim_end());
}

/// Rows below the plot: name and cells.
fn strips(figure: &Figure<'_>, samples: &[Sample], columns: usize) -> Vec<(&'static str, String)> {
    let t = figure.timeline;
    let at = |ns: u64| column(ns, t.from_ns(), t.to_ns(), columns);
    let ticks = |list: &mut dyn Iterator<Item = u64>, mark: char| {
        let mut line = vec![' '; columns];
        list.for_each(|ns| line[at(ns)] = mark);
        line.into_iter().collect::<String>()
    };
    let (moves, _) = t.moves();
    let mut moved = vec![' '; columns];
    for m in moves {
        moved[at(m.at_ns)] = if m.to >= m.from { '▲' } else { '▼' };
    }
    let mut asleep = vec![' '; columns];
    for sleep in t.sleeps() {
        asleep[at(sleep.from_ns)..=at(sleep.to_ns)].fill('▒');
    }
    let mut strips = vec![
        (
            "fwd_alloc",
            bars(figure, samples, columns, |s| s.forward_alloc),
        ),
        (
            "wmem_alloc",
            bars(figure, samples, columns, |s| s.wmem_alloc),
        ),
        (
            "admitted |",
            ticks(&mut t.admissions().map(|a| a.at_ns), '|'),
        ),
    ];
    if !moves.is_empty() {
        strips.push(("limit ▲▼", moved.into_iter().collect()));
    }
    if !t.sleeps().is_empty() {
        let blocked: String = asleep.into_iter().collect();
        strips.push(("blocked", blocked));
    }
    if t.refusals().next().is_some() {
        let line = ticks(&mut t.refusals().map(|r| r.at_ns), '!');
        strips.push(("EAGAIN", line));
    }
    if t.gaps().next().is_some() {
        let line = ticks(&mut t.gaps().map(|g| g.at_ns), 'x');
        strips.push(("lost", line));
    }
    strips
}

/// A row of bars, as high as the value's greatest in the column is against its
/// greatest of all.
fn bars(
    figure: &Figure<'_>,
    samples: &[Sample],
    columns: usize,
    of: impl Fn(&Sample) -> i32,
) -> String {
    let cells = fill(
        samples,
        |s| s.time_ns,
        span_of(figure),
        columns,
        |a, b| of(a) > of(b),
    );
    let most = cells.iter().flatten().map(&of).max().unwrap_or(0).max(1);
    let bar = |cell: &Option<Sample>| match cell.as_ref().map(&of) {
        Some(n) if n > 0 => {
            let n = i64::from(n) * BARS.len() as i64 - 1;
            BARS[usize::try_from(n / i64::from(most))
                .unwrap_or(0)
                .min(BARS.len() - 1)]
        }
        _ => ' ',
    };
    cells.iter().map(bar).collect()
}

/// What the characters are, with the bytes at the worst instant.
fn legend(figure: &Figure<'_>, samples: &[Sample], bands: &[Band], style: &Style) -> Vec<String> {
    let t = figure.timeline;
    let Some(worst) = t.worst() else {
        return vec!["nothing happened to the socket in this time".to_owned()];
    };
    let mut entries: Vec<String> = bands
        .iter()
        .map(|b| format!("{} {} {}", b.look.letter, b.name, grouped(b.of(worst))))
        .collect();
    entries.push(format!(
        "= wmem_queued {}",
        grouped(worst.wmem_queued.into())
    ));
    let far = if Figure::limit_is_far(samples) {
        " (far above the plot)"
    } else {
        ""
    };
    entries.push(format!(
        "{LIMIT} sndbuf {}{far}",
        grouped(worst.sndbuf.into())
    ));
    entries.push(format!("{SEND_Q} Send-Q {}", grouped(worst.send_q.into())));
    // Their rows have no axis.
    let most = |of: fn(&Sample) -> i32| samples.iter().map(of).max().unwrap_or(0);
    entries.push(format!(
        "fwd_alloc ≤ {}",
        grouped(most(|s| s.forward_alloc).into())
    ));
    entries.push(format!(
        "wmem_alloc ≤ {}",
        grouped(most(|s| s.wmem_alloc).into())
    ));
    let (slept, slept_ns) = figure.slept();
    if slept != 0 {
        entries.push(format!("▒ blocked {slept} ×, {}", span(slept_ns)));
    }
    let head = match worst.excess() > 0 {
        true => format!("▲ worst, {}, bytes:", figure.since_zero(worst.time_ns)),
        false => format!("highest, {}, bytes:", figure.since_zero(worst.time_ns)),
    };
    let mut lines = vec![head];
    for entry in entries {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 2 + entry.chars().count() <= style.width => {
                line.push_str("  ");
                line.push_str(&entry);
            }
            _ => lines.push(entry),
        }
    }
    lines
}
