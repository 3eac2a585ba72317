//! The receive side as a page of SVG.

use super::{
    super::{
        dense::{self, columns},
        palette::{FORWARD_ALLOC, SEND_Q, SNDBUF, WORST},
        scale::{self, Axis, ticks, time, unit},
        svg::{
            BOLD, FAINT, FRAME, GRID, INK,
            curves::{area, steps},
            pale,
        },
        xml::{Anchor, Drawing, escape},
    },
    Band, NOTE, ReceiveFigure, bands, bytes, most,
};
use crate::{
    model::timeline::receive::Filled,
    render::{
        layout::wrap,
        units::{counted, signed, span},
    },
};

/// A4 across at 96 dpi.
const WIDTH: f64 = 1123.0;
const HEIGHT: f64 = 640.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 868.0;
const LEGEND: f64 = 888.0;
const BOTTOM: f64 = 550.0;
/// Height of the row below the stack.
const ROW: f64 = 17.0;

/// Columns of a picture with more samples than that, as on the send side.
const COLUMNS: usize = 2 * (RIGHT - LEFT) as usize;

/// As SVG.
#[must_use]
pub fn receive_svg(figure: &ReceiveFigure<'_>) -> String {
    let samples = figure.receiver.samples();
    let (from, to) = figure.receiver.span();
    let mut out = Drawing::default();
    out.raw(&format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="DejaVu Sans, Verdana, sans-serif">
<title>{}</title>
<defs><pattern id="shut" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="{WORST}" fill-opacity="0.06"/><line x1="0" y1="0" x2="0" y2="6" stroke="{WORST}" stroke-opacity="0.45" stroke-width="1.2"/></pattern></defs>
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
    let top = y + 22.0;
    let bottom = BOTTOM - ROW - 8.0;
    let high = most(&samples);
    let drawn = Drawn::of(&samples, (from, to));
    let mut page = Page {
        figure,
        bands: bands(&samples),
        x: Axis::new(from as f64, to as f64, LEFT, RIGHT),
        y: Axis::new(0.0, high, bottom, top),
        out,
    };
    page.grid(top, high);
    page.stack(&drawn);
    page.shut(top, bottom);
    page.lines(&drawn);
    page.fullest(top);
    page.out.rect(LEFT, top, RIGHT - LEFT, bottom - top, FRAME);
    page.legend(top);
    let remarks = figure.remarks();
    for (n, line) in wrap(&remarks, 0, 0, 180).iter().take(2).enumerate() {
        let y = BOTTOM + 56.0 + 13.0 * n as f64;
        page.out.text((24.0, y), 10.0, Anchor::Start, FAINT, line);
    }
    page.out.raw("</svg>");
    page.out.finish()
}

/// Samples as they are drawn: each, or of each column what its extremes are.
struct Drawn {
    times: Vec<u64>,
    /// With most in the buffer.
    most: Vec<Filled>,
    /// With least; empty where each sample is drawn.
    least: Vec<Filled>,
    /// What the lines show: the greatest Recv-Q and window, the last limit.
    lines: Vec<Filled>,
}

impl Drawn {
    fn of(samples: &[Filled], (from, to): (u64, u64)) -> Self {
        if samples.len() <= COLUMNS {
            return Self {
                times: samples.iter().map(|s| s.time_ns).collect(),
                most: samples.to_vec(),
                least: Vec::new(),
                lines: samples.to_vec(),
            };
        }
        let columns: Vec<Column> = columns(samples, |s: &Filled| s.time_ns, from, to, COLUMNS);
        Self {
            times: columns.iter().map(|c| c.from_ns).collect(),
            most: columns.iter().map(|c| c.most).collect(),
            least: columns.iter().map(|c| c.least).collect(),
            lines: columns.iter().map(|c| c.lines).collect(),
        }
    }
}

#[derive(Clone, Copy)]
struct Column {
    from_ns: u64,
    most: Filled,
    least: Filled,
    last: Filled,
    lines: Filled,
}

impl dense::Column for Column {
    type Sample = Filled;

    fn new(from_ns: u64, sample: Filled) -> Self {
        Self {
            from_ns,
            most: sample,
            least: sample,
            last: sample,
            lines: sample,
        }
    }

    fn add(&mut self, sample: Filled) {
        if sample.rmem_alloc > self.most.rmem_alloc {
            self.most = sample;
        }
        if sample.rmem_alloc < self.least.rmem_alloc {
            self.least = sample;
        }
        self.last = sample;
        self.lines = Filled {
            window: self.lines.window.max(sample.window),
            recv_q: self.lines.recv_q.max(sample.recv_q),
            ..sample
        };
    }

    fn last(&self) -> Filled {
        self.last
    }
}

struct Page<'a> {
    figure: &'a ReceiveFigure<'a>,
    bands: Vec<Band>,
    x: Axis,
    y: Axis,
    out: Drawing,
}

impl Page<'_> {
    fn grid(&mut self, top: f64, high: f64) {
        for n in ticks(0.0, high, 6).0 {
            let at = self.y.at(n);
            self.out.line((LEFT, at), (RIGHT, at), GRID);
            let place = (LEFT - 6.0, at + 3.6);
            self.out
                .text(place, 10.5, Anchor::End, INK, &scale::bytes(n));
        }
        let (from, to) = self.figure.receiver.span();
        let (name, ns) = unit(to - from);
        let zero = self.figure.zero_ns as f64;
        let (list, step) = ticks((from as f64 - zero) / ns, (to as f64 - zero) / ns, 8);
        for n in list {
            let at = self.x.at(n * ns + zero);
            self.out.line((at, top), (at, BOTTOM), GRID);
            let place = (at, BOTTOM + 16.0);
            self.out
                .text(place, 10.5, Anchor::Middle, INK, &time(n, step));
        }
        let text = format!(
            "time since the recording began, in {name} (it began {})",
            self.figure.began
        );
        let middle = (f64::midpoint(LEFT, RIGHT), BOTTOM + 33.0);
        self.out.text(middle, 10.5, Anchor::Middle, INK, &text);
    }

    fn stack(&mut self, drawn: &Drawn) {
        let edge = r##" stroke="#ffffff" stroke-width="0.4""##;
        if drawn.least.is_empty() {
            self.bands_of(&drawn.times, &drawn.most, |colour| {
                format!(r#"fill="{colour}"{edge}"#)
            });
        } else {
            // Pale up to the most that was there in a column, full up to the least.
            self.bands_of(&drawn.times, &drawn.most, |colour| {
                format!(r#"fill="{}""#, pale(colour))
            });
            self.bands_of(&drawn.times, &drawn.least, |colour| {
                format!(r#"fill="{colour}""#)
            });
        }
        let r = drawn.most.iter().map(|s| s.rmem_alloc.into());
        let outline = steps(
            (&self.x, &self.y),
            RIGHT,
            drawn.times.iter().copied().zip(r),
        );
        let style = r##"fill="none" stroke="#333333" stroke-width="0.6""##;
        self.out.path(&outline, style);
    }

    fn bands_of(&mut self, times: &[u64], samples: &[Filled], style: impl Fn(&str) -> String) {
        let mut below = vec![0_i64; samples.len()];
        for band in &self.bands {
            let parts = samples.iter().zip(&below);
            let above: Vec<i64> = parts.map(|(s, b)| b + band.of(s)).collect();
            let data = area((&self.x, &self.y), RIGHT, times, &below, &above);
            self.out.path(&data, &style(band.look.colour));
            below = above;
        }
    }

    /// Where the window was 0: hatched, and in a row of its own.
    fn shut(&mut self, top: f64, bottom: f64) {
        let row = BOTTOM - ROW;
        let strip = r##"fill="#f4f4f4""##;
        self.out
            .rect(LEFT, row + 1.0, RIGHT - LEFT, ROW - 2.0, strip);
        let place = (LEFT - 6.0, row + 12.0);
        self.out.text(place, 10.0, Anchor::End, INK, "window 0");
        for (a, b) in self.figure.receiver.shut() {
            let (a, b) = (self.x.at(*a as f64), self.x.at(*b as f64));
            let wide = (b - a).max(0.6);
            let hatched = r#"fill="url(#shut)""#;
            self.out.rect(a, top, wide, bottom - top, hatched);
            let full = format!(r#"fill="{WORST}""#);
            self.out.rect(a, row + 3.0, wide, ROW - 6.0, &full);
        }
    }

    fn lines(&mut self, drawn: &Drawn) {
        // Dashes would smear where it moves all the time.
        let (thin, dash) = match drawn.least.is_empty() {
            true => (1.0, "6 3"),
            false => (0.6, "none"),
        };
        let window = |s: &Filled| s.window.into();
        self.line(drawn, window, FORWARD_ALLOC, 1.6 * thin, "none");
        let recv_q = |s: &Filled| s.recv_q.into();
        self.line(drawn, recv_q, SEND_Q, 1.8 * thin, dash);
        self.line(drawn, |s| s.rcvbuf.into(), SNDBUF, 2.0, "none");
    }

    /// With a light edge, so that it shows on any band.
    fn line(
        &mut self,
        drawn: &Drawn,
        of: impl Fn(&Filled) -> i64,
        colour: &str,
        width: f64,
        dash: &str,
    ) {
        let points = drawn.times.iter().copied().zip(drawn.lines.iter().map(of));
        let data = steps((&self.x, &self.y), RIGHT, points);
        for (colour, opacity, width, dash) in [
            ("#ffffff", 0.8, width + 2.0, "none"),
            (colour, 1.0, width, dash),
        ] {
            let style = format!(
                r#"fill="none" stroke="{colour}" stroke-opacity="{opacity}" stroke-width="{width}" stroke-dasharray="{dash}""#
            );
            self.out.path(&data, &style);
        }
    }

    /// The instant that the legend's bytes are those of.
    fn fullest(&mut self, top: f64) {
        if let Some(at) = self.figure.receiver.fullest() {
            let x = self.x.at(at.time_ns as f64);
            let style = format!(r#"stroke="{WORST}" stroke-width="1.3" stroke-dasharray="3 3""#);
            self.out.line((x, top), (x, BOTTOM), &style);
        }
    }

    /// What the colours are, with the bytes at the fullest instant.
    fn legend(&mut self, top: f64) {
        let Some(at) = self.figure.receiver.fullest().copied() else {
            return;
        };
        let end = WIDTH - 24.0;
        let mut y = top + 4.0;
        let head = format!("bytes when fullest, {}", self.figure.since_zero(at.time_ns));
        self.out.text((end, y), 9.5, Anchor::End, FAINT, &head);
        y += 6.0;
        let bands: Vec<(String, &str, String)> = self
            .bands
            .iter()
            .rev()
            .map(|b| {
                let style = format!(r#"fill="{}""#, b.look.colour);
                (style, b.name, bytes(b.of(&at)))
            })
            .collect();
        for (style, name, value) in bands {
            y += 17.0;
            self.out.rect(LEGEND, y - 9.5, 14.0, 11.0, &style);
            self.entry(y, name, INK, &value);
        }
        y += 8.0;
        let rule = r##"stroke="#333333" stroke-width="0.8""##;
        self.out.line((LEGEND, y), (end, y), rule);
        y += 16.0;
        self.entry(y, "rmem_alloc", BOLD, &bytes(at.rmem_alloc));
        let lines = [
            ("rcvbuf, the limit", SNDBUF, "none", bytes(at.rcvbuf)),
            ("Recv-Q", SEND_Q, "6 3", bytes(at.recv_q)),
            ("window offered", FORWARD_ALLOC, "none", bytes(at.window)),
        ];
        for (name, colour, dash, value) in lines {
            y += 18.0;
            let style =
                format!(r#"stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}""#);
            self.out
                .line((LEGEND - 2.0, y - 4.0), (LEGEND + 16.0, y - 4.0), &style);
            self.entry(y, name, INK, &value);
        }
        y += 18.0;
        self.out
            .rect(LEGEND, y - 10.0, 14.0, 12.0, r#"fill="url(#shut)""#);
        let (times, ns) = self.figure.receiver.times_shut();
        let shut = match times {
            0 => "never".to_owned(),
            _ => format!("{}, {}", counted(signed(times), "time"), span(ns)),
        };
        self.entry(y, "the window is 0", INK, &shut);
        y += 12.0;
        for line in wrap(NOTE, 0, 0, 40) {
            y += 12.5;
            self.out.text((LEGEND, y), 9.0, Anchor::Start, FAINT, &line);
        }
    }

    fn entry(&mut self, y: f64, name: &str, style: &str, value: &str) {
        let place = (LEGEND + 21.0, y);
        self.out.text(place, 10.5, Anchor::Start, style, name);
        let place = (WIDTH - 24.0, y);
        self.out.text(place, 10.5, Anchor::End, style, value);
    }
}
