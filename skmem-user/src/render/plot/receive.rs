//! The receive side of one socket over time: what r consists of under rb, the window, and when it
//! was 0; in characters, as SVG, and as a page of HTML to zoom into.

use std::fmt::Write as _;

use super::{
    html::{BandData, Colours, Data, Names, RowData, Unit, Wall, Words, Worst, page},
    palette::{FORWARD_ALLOC, SNDBUF, WORST},
    scale::{Axis, bytes, ticks, time, unit},
    svg::{BOLD, FAINT, FRAME, GRID, INK},
    text::{fill, painted},
    xml::{Anchor, Drawing, escape},
};
use crate::{
    explain::{Verdict, numbers::grouped},
    model::timeline::{
        receive::{Filled, Receiver},
        thin::column,
    },
    render::{
        layout::wrap,
        memory,
        style::{Role, Style},
        units::{counted, signed, span},
        who,
    },
};

/// A band of r: its bytes, name, colour, character and colour on terminals of 256.
struct Band {
    of: fn(&Filled) -> i32,
    name: &'static str,
    colour: &'static str,
    letter: char,
    ansi: u8,
}

/// From the bottom of the stack to its top.
const BANDS: [Band; 3] = [
    Band {
        of: |s| s.unread,
        name: "unread (Recv-Q)",
        colour: "#56b4e9",
        letter: 'u',
        ansi: 117,
    },
    Band {
        of: |s| s.rest,
        name: "read and held, overhead, out of order",
        colour: "#e69f00",
        letter: 'h',
        ansi: 214,
    },
    Band {
        of: |s| s.errors,
        name: "error queue",
        colour: "#cc79a7",
        letter: 'e',
        ansi: 175,
    },
];

/// A picture to be drawn.
#[derive(Debug)]
pub struct ReceiveFigure<'a> {
    /// The receive side over time.
    pub receiver: &'a Receiver,
    /// What the picture is about.
    pub verdict: &'a Verdict,
    /// What the time axis counts from, in ns of `CLOCK_MONOTONIC`: the start of the recording.
    pub zero_ns: u64,
    /// That instant as a date and time, UTC.
    pub began: String,
    /// The same in ns since 1970.
    pub zero_wall_ns: u64,
}

impl ReceiveFigure<'_> {
    fn title(&self) -> String {
        let who = who::owner(&self.verdict.socket);
        match &self.verdict.receive {
            Some(receive) => format!("{who}: {}", memory::answer(receive)),
            None => format!("{who}: nothing arrived."),
        }
    }

    fn subtitle(&self) -> String {
        let (count, ns) = self.receiver.times_shut();
        let shut = match count {
            0 => "the window was never 0".to_owned(),
            1 => format!("the window was 0 once, for {}", span(ns)),
            n => format!(
                "the window was 0 {} for {}",
                counted(signed(n), "time"),
                span(ns)
            ),
        };
        format!(
            "{} · {shut} · {} · Linux {}",
            who::ends(&self.verdict.socket),
            counted(signed(self.receiver.reads()), "read"),
            self.verdict.kernel
        )
    }

    fn since_zero(&self, at_ns: u64) -> String {
        format!("at {}", span(at_ns.saturating_sub(self.zero_ns)))
    }
}

/// What both axes reach up to.
fn most(samples: &[Filled]) -> f64 {
    let most = |s: &Filled| i64::from(s.rmem_alloc.max(s.rcvbuf)).max(s.window.into());
    samples.iter().map(most).max().unwrap_or(1).max(1) as f64 * 1.05
}

/// Where there is nothing to draw.
const NOTHING: &str = "no record of the receive side in this time: `skmem record --rx` makes them";

/// Columns for what is left of a plot in characters.
const MARGIN: usize = 11;
/// Fewest rows of it.
const LEAST: usize = 6;
const LIMIT: char = '━';
const WINDOW: char = '─';

/// In characters: [`Style::width`] columns and about `height` lines. Ends with a newline.
#[must_use]
pub fn receive_text(figure: &ReceiveFigure<'_>, style: &Style, height: usize) -> String {
    let samples = figure.receiver.samples();
    let mut out = String::new();
    for line in wrap(&figure.title(), 0, 0, style.width) {
        let _ = writeln!(out, "{}", style.paint(Role::Title, line));
    }
    for line in wrap(&figure.subtitle(), 0, 0, style.width) {
        let _ = writeln!(out, "{}", style.paint(Role::Aside, line));
    }
    let legend = legend(figure, style.width);
    let columns = style.width.saturating_sub(MARGIN + 1).max(20);
    let used = out.lines().count() + legend.len() + 3;
    let rows = height.saturating_sub(used).max(LEAST);
    let fuller = |a: &Filled, b: &Filled| a.rmem_alloc >= b.rmem_alloc;
    let span = figure.receiver.span();
    let cells = fill(&samples, |s| s.time_ns, span, columns, fuller);
    let top = most(&samples);
    let axis = Axis::new(0.0, top, 0.0, rows as f64);
    let of = |n: f64| (axis.at(n).floor() as usize).min(rows - 1);
    let (list, _) = ticks(0.0, top, (rows / 2).max(2));
    for row in (0..rows).rev() {
        let label = list.iter().find(|n| **n > 0.0 && of(**n) == row);
        let (label, edge) = match label {
            Some(n) => (bytes(*n), '┤'),
            None => (String::new(), '│'),
        };
        let _ = write!(out, "{label:>width$}{edge}", width = MARGIN - 1);
        let mut line = String::new();
        for (n, cell) in cells.iter().enumerate() {
            line.push_str(&mark(cell.as_ref(), n, row, rows, top, style));
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

fn mark(
    cell: Option<&Filled>,
    n: usize,
    row: usize,
    rows: usize,
    top: f64,
    style: &Style,
) -> String {
    let Some(sample) = cell else {
        return " ".to_owned();
    };
    let axis = Axis::new(0.0, top, 0.0, rows as f64);
    let of = |n: i64| (axis.at(n as f64).floor() as usize).min(rows - 1);
    if of(sample.rcvbuf.into()) == row {
        return LIMIT.to_string();
    }
    if n % 2 == 1 && sample.window > 0 && of(sample.window.into()) == row {
        // With gaps: it lies within the stack.
        return WINDOW.to_string();
    }
    let middle = (row as f64 + 0.5) * top / rows as f64;
    // Whatever is there takes one cell at least.
    let middle = match row {
        0 => middle.min(f64::from(sample.rmem_alloc) / 2.0),
        _ => middle,
    };
    let mut below = 0.0;
    for band in &BANDS {
        let above = below + f64::from((band.of)(sample).max(0));
        if middle >= below && middle < above {
            return painted(band.letter, band.ansi, style);
        }
        below = above;
    }
    " ".to_owned()
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

fn legend(figure: &ReceiveFigure<'_>, width: usize) -> Vec<String> {
    let Some(at) = figure.receiver.fullest() else {
        return vec![NOTHING.to_owned()];
    };
    let mut entries = vec![format!(
        "fullest, {}, bytes:",
        figure.since_zero(at.time_ns)
    )];
    entries.extend(
        BANDS
            .iter()
            .map(|b| format!("{} {} {}", b.letter, b.name, grouped((b.of)(at).into()))),
    );
    entries.push(format!("= r {}", grouped(at.rmem_alloc.into())));
    entries.push(format!("{LIMIT} rb {}", grouped(at.rcvbuf.into())));
    entries.push(format!("{WINDOW} window {}", grouped(at.window.into())));
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
    lines
}

/// What the page says beside its legend.
const NOTE: &str = "Bands add up to rmem_alloc (r in `ss -m`). What was read in part stays until the last byte of its \
                    skb is read. Between two records nothing is known to have happened, so all curves are steps.";

/// As one file of HTML, with all it needs in it.
#[must_use]
pub fn receive_html(figure: &ReceiveFigure<'_>) -> String {
    let words = Words {
        title: figure.title(),
        headline: figure.title(),
        because: String::new(),
        subtitle: figure.subtitle(),
        note: NOTE,
        remarks: figure.receiver.fullest().map_or(NOTHING, |_| "").to_owned(),
    };
    page(&words, &html_data(figure), "")
}

fn html_data(figure: &ReceiveFigure<'_>) -> Data {
    let receiver = figure.receiver;
    let (from, to) = receiver.span();
    let since = |ns: u64| ns.wrapping_sub(figure.zero_ns).cast_signed();
    let mut samples = receiver.samples();
    if let Some(last) = samples.last().copied() {
        // What is in force at the end holds until then.
        samples.push(Filled {
            time_ns: to.max(last.time_ns),
            ..last
        });
    }
    let shut = receiver.shut().iter().map(|(a, b)| (since(*a), since(*b)));
    let worst = receiver.fullest().and_then(|fullest| {
        let sample = samples.iter().position(|s| s == fullest)?;
        Some(Worst {
            time: since(fullest.time_ns),
            sample,
        })
    });
    Data {
        began: figure.began.clone(),
        wall: Wall::of(figure.zero_wall_ns),
        unit: Unit::of(to - from),
        from: since(from),
        to: since(to),
        names: Names {
            total: "rmem_alloc",
            limit: "rcvbuf",
            inner: "window offered to the peer",
            inner_id: "window",
            shaded: "window 0",
            worst: "the fullest instant",
        },
        time: samples.iter().map(|s| since(s.time_ns)).collect(),
        bands: BANDS
            .iter()
            .map(|band| BandData {
                name: band.name.to_owned(),
                colour: [band.colour, band.colour],
                bytes: samples.iter().map(|s| (band.of)(s).into()).collect(),
            })
            .collect(),
        total: samples.iter().map(|s| s.rmem_alloc).collect(),
        limit: samples.iter().map(|s| s.rcvbuf).collect(),
        inner: samples.iter().map(|s| s.window).collect(),
        send: None,
        shaded: shut
            .clone()
            .map(|(a, b)| (a, b, "yes".to_owned(), 1))
            .collect(),
        moves: Vec::new(),
        rows: vec![RowData {
            name: "window 0",
            colour: [WORST, "#ff6b7d"],
            marks: shut.collect(),
        }],
        worst,
        limit_off: false,
        colours: Colours {
            limit: [SNDBUF, "#ffffff"],
            inner: [FORWARD_ALLOC, FORWARD_ALLOC],
        },
    }
}

/// A4 across at 96 dpi.
const WIDTH: f64 = 1123.0;
const HEIGHT: f64 = 620.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 1099.0;
const BOTTOM: f64 = 500.0;

/// As SVG.
#[must_use]
pub fn receive_svg(figure: &ReceiveFigure<'_>) -> String {
    let samples = figure.receiver.samples();
    let (from, to) = figure.receiver.span();
    let mut out = Drawing::default();
    out.raw(&format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="DejaVu Sans, Verdana, sans-serif">
<title>{}</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>"##,
        escape(&figure.title())
    ));
    let mut y = 18.0;
    for line in wrap(&figure.title(), 0, 0, 130).iter().take(4) {
        y += 18.0;
        out.text((24.0, y), 13.5, Anchor::Start, BOLD, line);
    }
    for line in wrap(&figure.subtitle(), 0, 0, 170) {
        y += 16.0;
        out.text((24.0, y), 10.5, Anchor::Start, FAINT, &line);
    }
    let top = y + 20.0;
    let x = Axis::new(from as f64, to as f64, LEFT, RIGHT);
    let high = most(&samples);
    let y = Axis::new(0.0, high, BOTTOM, top);
    grid(&mut out, figure, (&x, &y), (top, high));
    for (a, b) in figure.receiver.shut() {
        let (a, b) = (x.at(*a as f64), x.at(*b as f64));
        let style = format!(r#"fill="{WORST}" fill-opacity="0.10""#);
        out.rect(a, top, (b - a).max(0.6), BOTTOM - top, &style);
    }
    let mut below = vec![0_i64; samples.len()];
    for band in &BANDS {
        let parts = samples.iter().zip(&below);
        let above: Vec<i64> = parts
            .map(|(s, b)| b + i64::from((band.of)(s).max(0)))
            .collect();
        let data = area(&samples, (&x, &y), &below, &above);
        out.path(&data, &format!(r#"fill="{}""#, band.colour));
        below = above;
    }
    let line = |colour: &str, width: f64| {
        format!(r#"fill="none" stroke="{colour}" stroke-width="{width}""#)
    };
    let window = steps(&samples, (&x, &y), |s| s.window.into());
    out.path(&window, &line("#ffffff", 3.2));
    out.path(&window, &line(FORWARD_ALLOC, 1.5));
    out.path(
        &steps(&samples, (&x, &y), |s| s.rcvbuf.into()),
        &line(SNDBUF, 2.0),
    );
    out.rect(LEFT, top, RIGHT - LEFT, BOTTOM - top, FRAME);
    svg_legend(&mut out, figure);
    out.raw("</svg>");
    out.finish()
}

fn grid(
    out: &mut Drawing,
    figure: &ReceiveFigure<'_>,
    (x, y): (&Axis, &Axis),
    (top, high): (f64, f64),
) {
    for n in ticks(0.0, high, 6).0 {
        let at = y.at(n);
        out.line((LEFT, at), (RIGHT, at), GRID);
        out.text((LEFT - 6.0, at + 3.6), 10.5, Anchor::End, INK, &bytes(n));
    }
    let (from, to) = figure.receiver.span();
    let (name, ns) = unit(to - from);
    let zero = figure.zero_ns as f64;
    let (list, step) = ticks((from as f64 - zero) / ns, (to as f64 - zero) / ns, 8);
    for n in list {
        let at = x.at(n * ns + zero);
        out.line((at, top), (at, BOTTOM), GRID);
        out.text(
            (at, BOTTOM + 16.0),
            10.5,
            Anchor::Middle,
            INK,
            &time(n, step),
        );
    }
    let text = format!(
        "time since the recording began, in {name} (it began {})",
        figure.began
    );
    let middle = f64::midpoint(LEFT, RIGHT);
    out.text((middle, BOTTOM + 33.0), 10.5, Anchor::Middle, INK, &text);
}

/// What the colours are, with the bytes at the fullest instant.
fn svg_legend(out: &mut Drawing, figure: &ReceiveFigure<'_>) {
    let Some(at) = figure.receiver.fullest() else {
        return;
    };
    let swatch = |colour: &str| format!(r#"fill="{colour}""#);
    let mut entries: Vec<(String, String)> = BANDS
        .iter()
        .map(|b| {
            (
                swatch(b.colour),
                format!("{} {}", b.name, grouped((b.of)(at).into())),
            )
        })
        .collect();
    entries.extend([
        (
            swatch(SNDBUF),
            format!("rcvbuf, the limit {}", grouped(at.rcvbuf.into())),
        ),
        (
            swatch(FORWARD_ALLOC),
            format!("window offered to the peer {}", grouped(at.window.into())),
        ),
        (
            format!(r#"fill="{WORST}" fill-opacity="0.2""#),
            "the window was 0".to_owned(),
        ),
    ]);
    let (mut x, mut y) = (LEFT, BOTTOM + 58.0);
    let head = format!(
        "rmem_alloc {} when it was fullest, {}; bytes then:",
        grouped(at.rmem_alloc.into()),
        figure.since_zero(at.time_ns)
    );
    out.text((x, y), 10.5, Anchor::Start, BOLD, &head);
    y += 20.0;
    for (style, text) in entries {
        let width = 26.0 + 6.2 * text.chars().count() as f64;
        if x + width > RIGHT {
            (x, y) = (LEFT, y + 20.0);
        }
        out.rect(x, y - 10.0, 14.0, 11.0, &style);
        out.text((x + 20.0, y), 10.5, Anchor::Start, INK, &text);
        x += width + 12.0;
    }
}

/// A curve of steps: each value holds until the next one.
fn steps(samples: &[Filled], (x, y): (&Axis, &Axis), of: impl Fn(&Filled) -> i64) -> String {
    let mut data = String::new();
    let mut last = None;
    for sample in samples {
        let value = of(sample);
        if last == Some(value) {
            continue;
        }
        let (x, y) = (x.at(sample.time_ns as f64), y.at(value as f64));
        let _ = match last {
            None => write!(data, "M{x:.1} {y:.1}"),
            Some(_) => write!(data, "H{x:.1}V{y:.1}"),
        };
        last = Some(value);
    }
    if last.is_some() {
        let _ = write!(data, "H{RIGHT:.1}");
    }
    data
}

/// The area between two such curves.
fn area(samples: &[Filled], (x, y): (&Axis, &Axis), below: &[i64], above: &[i64]) -> String {
    let mut data = String::new();
    let edge = |n: usize| match samples.get(n) {
        Some(sample) => x.at(sample.time_ns as f64),
        None => RIGHT,
    };
    for n in 0..samples.len() {
        if above[n] == below[n] {
            continue;
        }
        let (a, b) = (edge(n), edge(n + 1));
        let (low, high) = (y.at(below[n] as f64), y.at(above[n] as f64));
        let _ = write!(data, "M{a:.1} {low:.1}V{high:.1}H{b:.1}V{low:.1}Z");
    }
    data
}
