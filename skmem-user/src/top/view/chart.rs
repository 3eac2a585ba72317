//! What is queued over time, as stacked bars: by the cause that put it there, or by where it is on
//! its way.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Style},
};
use unicode_width::UnicodeWidthStr as _;

use super::{Theme, put};
use crate::{
    explain::numbers::grouped,
    render::{plot::letter, snapshot::short, time_span},
    top::history::Sample,
};

/// Columns of the numbers at the left.
const MARGIN: u16 = 8;
const LIMIT: &str = "━";

/// Bytes of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Band {
    name: &'static str,
    letter: char,
    colour: Option<u8>,
    bytes: i64,
}

/// Of what a sample consists, from the bottom.
fn bands(sample: &Sample) -> Vec<Band> {
    if !sample.causes.is_empty() {
        let known = sample.causes.iter().map(|(cause, bytes)| {
            let (letter, colour) = letter(*cause);
            Band {
                name: cause.name(),
                letter,
                colour: Some(colour),
                bytes: i64::from(*bytes),
            }
        });
        return known.collect();
    }
    let band = |name, letter, bytes: u32| Band {
        name,
        letter,
        colour: None,
        bytes: i64::from(bytes),
    };
    let data = sample.in_flight.saturating_add(sample.unsent);
    let all = [
        band("in flight", '█', sample.in_flight),
        band("unsent", '▓', sample.unsent),
        band("overhead", '░', sample.w.saturating_sub(data)),
    ];
    all.into_iter().filter(|band| band.bytes > 0).collect()
}

/// Draws the samples, the latest at the right; below it the times and what the letters are.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    samples: &[&Sample],
    past_ns: u64,
    theme: Theme,
) {
    let columns = usize::from(area.width.saturating_sub(MARGIN + 1)).max(1);
    let each = samples.len().div_ceil(columns).max(1);
    // The latest are whole; of several in a column, the highest is shown.
    let shown: Vec<&Sample> = samples
        .rchunks(each)
        .rev()
        .filter_map(|some| some.iter().max_by_key(|s| s.w).copied())
        .collect();
    let legend = legend(samples.last().copied(), usize::from(area.width));
    let below = 1 + legend.len() as u16;
    let rows = area.height.saturating_sub(below).max(1);
    let most = shown.iter().map(|s| s.w).max().unwrap_or(0).max(1);
    let limit = shown.iter().map(|s| s.sndbuf).max().unwrap_or(0);
    // A limit that is far above would press all else to the ground.
    let far = limit / 4 > most;
    let top = f64::from(if far { most } else { most.max(limit) }) * 1.05;
    let row_of = |n: u32| ((f64::from(n) / top * f64::from(rows)) as u16).min(rows - 1);
    for row in (0..rows).rev() {
        let y = rows - 1 - row;
        let label = match row {
            row if row == rows - 1 => short(top as i64),
            0 => "0".to_owned(),
            row if row == rows / 2 => short((top * f64::from(row) / f64::from(rows)) as i64),
            _ => String::new(),
        };
        put(buffer, area, y, &format!("{label:>7}│"), theme.aside());
        let middle = (f64::from(row) + 0.5) * top / f64::from(rows);
        for (n, sample) in shown.iter().enumerate() {
            let x = columns - shown.len() + n;
            let cell = Rect {
                x: area.x + MARGIN + x as u16,
                width: 1,
                ..area
            };
            if !far && sample.sndbuf > 0 && row_of(sample.sndbuf) == row {
                put(buffer, cell, y, LIMIT, theme.bold());
            } else if let Some(band) = at(
                sample,
                if row == 0 {
                    middle.min(f64::from(sample.w) / 2.0)
                } else {
                    middle
                },
            ) {
                let style = match band.colour {
                    Some(colour) if theme.colour => Style::new().fg(Color::Indexed(colour)),
                    _ => Style::new(),
                };
                put(buffer, cell, y, &band.letter.to_string(), style);
            }
        }
    }
    let ago = format!("{} ago", time_span(past_ns));
    let from = usize::from(MARGIN) + columns - shown.len();
    let gap = (from + shown.len()).saturating_sub(from + ago.width() + 3);
    let times = match shown.len() > ago.width() + 4 {
        true => format!("{:from$}{ago}{:gap$}now", "", ""),
        false => format!("{:>width$}", "now", width = from + shown.len()),
    };
    put(buffer, area, rows, &times, theme.aside());
    for (n, line) in legend.iter().enumerate() {
        put(buffer, area, rows + 1 + n as u16, line, Style::new());
    }
}

/// The band at a height.
fn at(sample: &Sample, height: f64) -> Option<Band> {
    let mut top = 0;
    bands(sample).into_iter().find(|band| {
        top += band.bytes;
        height < top as f64
    })
}

/// What the letters are, with the bytes of the latest sample.
fn legend(latest: Option<&Sample>, width: usize) -> Vec<String> {
    let Some(sample) = latest else {
        return Vec::new();
    };
    let mut entries: Vec<String> = bands(sample)
        .iter()
        .map(|b| format!("{} {} {}", b.letter, b.name, grouped(b.bytes)))
        .collect();
    entries.push(format!("= w {} bytes", grouped(sample.w.into())));
    entries.push(format!("{LIMIT} sndbuf {}", grouped(sample.sndbuf.into())));
    let mut lines: Vec<String> = Vec::new();
    for entry in entries {
        match lines.last_mut() {
            Some(line) if line.width() + 2 + entry.width() <= width => {
                line.push_str("  ");
                line.push_str(&entry);
            }
            _ => lines.push(entry),
        }
    }
    lines
}
