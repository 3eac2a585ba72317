//! The receive side in characters, for a terminal.

use std::fmt::Write as _;

use super::{
    super::{
        scale::{self, Axis, ticks, time, unit},
        text::{fill, painted},
    },
    Band, ReceiveFigure, bands, bytes, most,
};
use crate::{
    model::timeline::{
        receive::{Filled, Receiver},
        thin::column,
    },
    render::{
        layout::wrap,
        style::{Role, Style},
    },
};

/// Columns for what is left of a plot in characters.
const MARGIN: usize = 11;
/// Fewest rows of it.
const LEAST: usize = 6;
const LIMIT: char = '━';
const WINDOW: char = '─';
const RECV_Q: char = '•';

/// In characters: [`Style::width`] columns and about `height` lines. Ends with a newline.
#[must_use]
pub fn receive_text(figure: &ReceiveFigure<'_>, style: &Style, height: usize) -> String {
    let samples = figure.receiver.samples();
    let bands = bands(&samples);
    let mut out = String::new();
    for line in wrap(&figure.title(), 0, 0, style.width) {
        let _ = writeln!(out, "{}", style.paint(Role::Title, line));
    }
    for line in wrap(&figure.subtitle(), 0, 0, style.width) {
        let _ = writeln!(out, "{}", style.paint(Role::Aside, line));
    }
    let legend = legend(figure, &bands, style.width);
    let columns = style.width.saturating_sub(MARGIN + 1).max(20);
    let used = out.lines().count() + legend.len() + 3;
    let rows = height.saturating_sub(used).max(LEAST);
    let fuller = |a: &Filled, b: &Filled| a.rmem_alloc >= b.rmem_alloc;
    let span = figure.receiver.span();
    let cells = fill(&samples, |s| s.time_ns, span, columns, fuller);
    let plot = Plot {
        bands: &bands,
        rows,
        top: most(&samples),
        style,
    };
    let (list, _) = ticks(0.0, plot.top, (rows / 2).max(2));
    for row in (0..rows).rev() {
        let label = list.iter().find(|n| **n > 0.0 && plot.row_of(**n) == row);
        let (label, edge) = match label {
            Some(n) => (scale::bytes(*n), '┤'),
            None => (String::new(), '│'),
        };
        let _ = write!(out, "{label:>width$}{edge}", width = MARGIN - 1);
        let mut line = String::new();
        for (n, cell) in cells.iter().enumerate() {
            line.push_str(&plot.mark(cell.as_ref(), n, row));
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    time_line(&mut out, figure, columns);
    let shut: String = shut_cells(figure.receiver, columns);
    if !shut.trim().is_empty() {
        let _ = writeln!(
            out,
            "{:>width$} {}",
            "window 0",
            shut.trim_end(),
            width = MARGIN - 1
        );
    }
    for line in legend {
        let _ = writeln!(out, "{line}");
    }
    out
}

struct Plot<'a> {
    bands: &'a [Band],
    rows: usize,
    top: f64,
    style: &'a Style,
}

impl Plot<'_> {
    fn row_of(&self, n: f64) -> usize {
        let axis = Axis::new(0.0, self.top, 0.0, self.rows as f64);
        (axis.at(n).floor() as usize).min(self.rows - 1)
    }

    /// What stands in the cell of column `n`.
    fn mark(&self, cell: Option<&Filled>, n: usize, row: usize) -> String {
        let Some(sample) = cell else {
            return " ".to_owned();
        };
        let lies_here = |n: i64| self.row_of(n as f64) == row;
        if lies_here(sample.rcvbuf.into()) {
            return LIMIT.to_string();
        }
        // With gaps: they lie within the stack.
        if n % 2 == 1 && sample.window > 0 && lies_here(sample.window.into()) {
            return WINDOW.to_string();
        }
        if n.is_multiple_of(2) && sample.recv_q > 0 && lies_here(sample.recv_q.into()) {
            return RECV_Q.to_string();
        }
        let middle = (row as f64 + 0.5) * self.top / self.rows as f64;
        // Whatever is there takes one cell at least.
        let middle = match row {
            0 => middle.min(f64::from(sample.rmem_alloc) / 2.0),
            _ => middle,
        };
        let mut below = 0.0;
        for band in self.bands {
            let above = below + band.of(sample).max(0) as f64;
            if middle >= below && middle < above {
                return painted(band.look.letter, band.look.ansi, self.style);
            }
            below = above;
        }
        " ".to_owned()
    }
}

fn time_line(out: &mut String, figure: &ReceiveFigure<'_>, columns: usize) {
    let (from, to) = figure.receiver.span();
    let (name, ns) = unit(to - from);
    let zero = figure.zero_ns as f64;
    let (a, b) = ((from as f64 - zero) / ns, (to as f64 - zero) / ns);
    let (list, step) = ticks(a, b, (columns / 14).max(2));
    let axis = Axis::new(a, b, 0.0, columns as f64);
    let mut labels = vec![' '; columns];
    let mut free = 0;
    for n in list {
        let label: Vec<char> = time(n, step).chars().collect();
        let at = axis.at(n).round().max(0.0) as usize;
        if at < free || at + label.len() > columns.saturating_sub(name.len() + 1) {
            continue;
        }
        labels[at..at + label.len()].copy_from_slice(&label);
        free = at + label.len() + 2;
    }
    let mut line: String = labels.into_iter().collect();
    line.truncate(line.trim_end().len());
    let _ = writeln!(out, "{:>width$}{line} {name}", "time ", width = MARGIN);
}

fn shut_cells(receiver: &Receiver, columns: usize) -> String {
    let (from, to) = receiver.span();
    let mut cells = vec![' '; columns];
    for (a, b) in receiver.shut() {
        let (a, b) = (column(*a, from, to, columns), column(*b, from, to, columns));
        cells[a..=b.max(a)].fill('▒');
    }
    cells.into_iter().collect()
}

fn legend(figure: &ReceiveFigure<'_>, bands: &[Band], width: usize) -> Vec<String> {
    let Some(at) = figure.receiver.fullest() else {
        return vec![figure.remarks()];
    };
    let mut entries = vec![format!(
        "fullest, {}, bytes:",
        figure.since_zero(at.time_ns)
    )];
    entries.extend(
        bands
            .iter()
            .map(|b| format!("{} {} {}", b.look.letter, b.name, bytes(b.of(at)))),
    );
    entries.push(format!("= r {}", bytes(at.rmem_alloc)));
    entries.push(format!("{LIMIT} rb {}", bytes(at.rcvbuf)));
    entries.push(format!("{RECV_Q} Recv-Q {}", bytes(at.recv_q)));
    entries.push(format!("{WINDOW} window {}", bytes(at.window)));
    let mut lines: Vec<String> = Vec::new();
    for entry in entries {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 2 + entry.chars().count() <= width => {
                line.push_str("  ");
                line.push_str(&entry);
            }
            _ => lines.push(entry),
        }
    }
    let remarks = figure.remarks();
    if !remarks.is_empty() {
        lines.extend(wrap(&remarks, 0, 0, width));
    }
    lines
}
