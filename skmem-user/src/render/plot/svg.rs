//! A page of SVG: A4 across, legible when printed.
//!
//! * `curves`: steps, and areas between them
//! * `legend`: what the colours are
//! * `marks`: what happened when: ticks, sleeps, limit moves, the worst instant

use self::curves::{area, steps};
use super::{
    dense::{SendColumn as Column, columns},
    figure::{Band, Figure},
    palette::{FORWARD_ALLOC, SEND_Q, SNDBUF, WMEM_ALLOC},
    scale::{Axis, bytes, ceiling, ticks, time, unit},
    xml::{Anchor, Drawing, escape},
};
use crate::{explain::numbers::grouped, model::timeline::Sample, render::layout::wrap};

pub(super) mod curves;
mod legend;
mod marks;

/// A4 across at 96 dpi.
const WIDTH: f64 = 1123.0;
const HEIGHT: f64 = 794.0;

const LEFT: f64 = 92.0;
const RIGHT: f64 = 868.0;
const LEGEND: f64 = 888.0;
const BOTTOM: f64 = 700.0;

/// Columns of a picture with more samples than that: two a dot of the page,
/// for printers.
const COLUMNS: usize = 2 * (RIGHT - LEFT) as usize;

/// Height of the panel of `forward_alloc` and `wmem_alloc`.
const SMALL: f64 = 84.0;
/// Height of a row of ticks.
const ROW: f64 = 17.0;

pub(super) const GRID: &str = r##"stroke="#d8d8d8" stroke-width="0.6""##;
pub(super) const FRAME: &str = r##"fill="none" stroke="#666666" stroke-width="0.8""##;
pub(super) const INK: &str = r##"fill="#1a1a1a""##;
pub(super) const FAINT: &str = r##"fill="#555555""##;
pub(super) const BOLD: &str = r##"fill="#1a1a1a" font-weight="bold""##;

/// The whole picture.
#[must_use]
pub fn svg(figure: &Figure<'_>) -> String {
    let samples = figure.timeline.samples();
    let title = figure.title();
    let (from, to) = (figure.timeline.from_ns(), figure.timeline.to_ns());
    let mut page = Page {
        figure,
        bands: Figure::bands(&samples),
        columns: if samples.len() > COLUMNS {
            columns(&samples, |s: &Sample| s.time_ns, from, to, COLUMNS)
        } else {
            Vec::new()
        },
        x: Axis::new(
            figure.timeline.from_ns() as f64,
            figure.timeline.to_ns() as f64,
            LEFT,
            RIGHT,
        ),
        samples,
        top: 0.0,
        out: Drawing::default(),
    };
    let whole = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="DejaVu Sans, Verdana, sans-serif">
<title>{}</title>
<defs><pattern id="asleep" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#000000" fill-opacity="0.05"/><line x1="0" y1="0" x2="0" y2="6" stroke="#000000" stroke-opacity="0.32" stroke-width="1.4"/></pattern></defs>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>"##,
        escape(&title)
    );
    page.out.raw(&whole);
    page.words();
    page.panels();
    page.legend();
    page.out.raw("</svg>");
    page.out.finish()
}

struct Page<'a> {
    figure: &'a Figure<'a>,
    samples: Vec<Sample>,
    /// Empty where each sample is drawn.
    columns: Vec<Column>,
    bands: Vec<Band>,
    x: Axis,
    /// Top of the large panel.
    top: f64,
    out: Drawing,
}

impl Page<'_> {
    /// Title, subtitle, and the remarks at the foot.
    fn words(&mut self) {
        let (headline, because) = self.figure.headline();
        let mut y = 18.0;
        for line in wrap(&headline, 0, 0, 122) {
            y += 19.0;
            self.out.text((24.0, y), 14.5, Anchor::Start, BOLD, &line);
        }
        for line in wrap(&because, 0, 0, 160) {
            y += 15.0;
            self.out.text((24.0, y), 11.5, Anchor::Start, INK, &line);
        }
        y += 5.0;
        for line in wrap(&self.figure.subtitle().join(" · "), 0, 0, 170) {
            y += 14.0;
            self.out.text((24.0, y), 10.5, Anchor::Start, FAINT, &line);
        }
        self.top = y + 26.0;
        let mut y = BOTTOM + 56.0;
        let remarks = self.figure.remarks().join(" ");
        for line in wrap(&remarks, 0, 0, 180).iter().take(2) {
            self.out.text((24.0, y), 10.0, Anchor::Start, FAINT, line);
            y += 13.0;
        }
    }

    fn panels(&mut self) {
        let rows = self.rows();
        let rows_top = BOTTOM - ROW * rows.len() as f64;
        let small_top = rows_top - 8.0 - SMALL;
        let main_bottom = small_top - 14.0;
        self.time_grid();
        self.main(self.top, main_bottom);
        self.small(small_top, rows_top - 8.0);
        for (n, row) in rows.iter().enumerate() {
            let y = rows_top + ROW * n as f64;
            self.row(y, row);
        }
        self.worst(rows_top);
        self.time_axis();
    }

    fn time_grid(&mut self) {
        for (x, _) in self.times() {
            self.out.line((x, self.top), (x, BOTTOM), GRID);
        }
    }

    fn times(&self) -> Vec<(f64, String)> {
        let t = self.figure.timeline;
        let (_, ns) = unit(t.to_ns() - t.from_ns());
        let zero = self.figure.zero_ns as f64;
        let (from, to) = (t.from_ns() as f64 - zero, t.to_ns() as f64 - zero);
        let (list, step) = ticks(from / ns, to / ns, 8);
        let place = |n: &f64| (self.x.at(n * ns + zero), time(*n, step));
        list.iter().map(place).collect()
    }

    fn time_axis(&mut self) {
        for (x, label) in self.times() {
            self.out
                .line((x, BOTTOM), (x, BOTTOM + 4.0), r##"stroke="#666666""##);
            self.out
                .text((x, BOTTOM + 16.0), 10.5, Anchor::Middle, INK, &label);
        }
        let t = self.figure.timeline;
        let (name, _) = unit(t.to_ns() - t.from_ns());
        let text = format!(
            "time since the recording began, in {name} (it began {})",
            self.figure.began
        );
        let middle = f64::midpoint(LEFT, RIGHT);
        self.out
            .text((middle, BOTTOM + 33.0), 10.5, Anchor::Middle, INK, &text);
    }

    /// The stack, the limit, and Send-Q.
    fn main(&mut self, top: f64, bottom: f64) {
        let far = Figure::limit_is_far(&self.samples);
        let most = |s: &Sample| {
            let most = i64::from(s.wmem_queued).max(s.send_q.into());
            if far { most } else { most.max(s.sndbuf.into()) }
        };
        let most = self.samples.iter().map(most).max().unwrap_or(0) as f64;
        let least = self.samples.iter().map(|s| s.wmem_queued).min();
        let least = f64::from(least.unwrap_or(0).min(0));
        let end = (most * 1.08).max(1.0);
        let y = Axis::new(least, end, bottom, top);
        self.bytes_axis(&y, least, end, 6);
        if self.columns.is_empty() {
            let samples = std::mem::take(&mut self.samples);
            let times: Vec<u64> = samples.iter().map(|s| s.time_ns).collect();
            self.stack(&y, &times, &samples, str::to_owned);
            self.samples = samples;
        } else {
            // Pale up to the most that was queued in a column, full up to the least.
            let times: Vec<u64> = self.columns.iter().map(|c| c.from_ns).collect();
            let most: Vec<Sample> = self.columns.iter().map(|c| c.most).collect();
            let least: Vec<Sample> = self.columns.iter().map(|c| c.least).collect();
            self.stack(&y, &times, &most, pale);
            self.stack(&y, &times, &least, str::to_owned);
        }
        let outline = self.steps(&y, |s| s.wmem_queued.into(), |c| c.most.wmem_queued.into());
        let width = if self.columns.is_empty() { 0.8 } else { 0.4 };
        self.out.path(
            &outline,
            &format!(r##"fill="none" stroke="#333333" stroke-width="{width}""##),
        );
        self.sleeps(top, bottom);
        let (dash, width) = self.send_q_line();
        self.curve(
            &y,
            SEND_Q,
            dash,
            width,
            |s| s.send_q.into(),
            |c| c.send_q.into(),
        );
        if far {
            self.limit_far(top);
        } else {
            let of = |s: &Sample| i64::from(s.sndbuf);
            self.curve(&y, SNDBUF, "none", 2.0, of, |c| of(&c.last));
            self.moves(&y, top);
        }
        self.out.rect(LEFT, top, RIGHT - LEFT, bottom - top, FRAME);
        self.name("bytes", f64::midpoint(top, bottom));
    }

    /// Dashes would smear where it moves all the time.
    fn send_q_line(&self) -> (&'static str, f64) {
        if self.columns.is_empty() {
            ("6 3", 1.6)
        } else {
            ("none", 0.9)
        }
    }

    /// Says where the limit is, which is not drawn.
    fn limit_far(&mut self, top: f64) {
        let limit = self.samples.iter().map(|s| s.sndbuf).max().unwrap_or(0);
        let style = r##"fill="#ffffff" stroke="#000000" stroke-width="1.1""##;
        let triangle = format!("M{:.1} {:.1}l-4 7h8Z", RIGHT - 14.0, top + 6.0);
        self.out.path(&triangle, style);
        let text = format!(
            "sndbuf, {} bytes, is far above this axis",
            grouped(limit.into())
        );
        let halo = r##"fill="#1a1a1a" stroke="#ffffff" stroke-width="3" paint-order="stroke""##;
        let place = (RIGHT - 22.0, top + 13.0);
        self.out.text(place, 9.5, Anchor::End, halo, &text);
    }

    /// The bands over these samples, each in force from its time on.
    fn stack(&mut self, y: &Axis, times: &[u64], samples: &[Sample], fill: fn(&str) -> String) {
        let mut below = vec![0i64; samples.len()];
        for n in 0..self.bands.len() {
            let band = &self.bands[n];
            let above: Vec<i64> = below
                .iter()
                .zip(samples)
                .map(|(b, s)| b + band.of(s))
                .collect();
            let data = self.area(y, times, &below, &above);
            let style = if self.columns.is_empty() {
                format!(
                    r##"fill="{}" stroke="#ffffff" stroke-width="0.4""##,
                    fill(band.look.colour)
                )
            } else {
                // A light edge would hide what is a column wide.
                format!(r#"fill="{}""#, fill(band.look.colour))
            };
            self.out.path(&data, &style);
            below = above;
        }
    }

    /// What is charged but not used, and what is further down.
    fn small(&mut self, top: f64, bottom: f64) {
        let most = |s: &Sample| s.forward_alloc.max(s.wmem_alloc);
        let most = self.samples.iter().map(most).max().unwrap_or(0);
        let end = ceiling(f64::from(most.max(1)) * 1.02, 2);
        let y = Axis::new(0.0, end, bottom, top);
        self.bytes_axis(&y, 0.0, end, 2);
        self.sleeps(top, bottom);
        let (times, above): (Vec<u64>, Vec<i64>) = if self.columns.is_empty() {
            let all = self.samples.iter();
            all.map(|s| (s.time_ns, i64::from(s.wmem_alloc))).unzip()
        } else {
            let all = self.columns.iter();
            all.map(|c| (c.from_ns, i64::from(c.wmem_alloc))).unzip()
        };
        let data = self.area(&y, &times, &vec![0; above.len()], &above);
        self.out.path(
            &data,
            &format!(r#"fill="{WMEM_ALLOC}" fill-opacity="0.35""#),
        );
        if !self.columns.is_empty() {
            let of = |c: &Column| (i64::from(c.forward_alloc.0), i64::from(c.forward_alloc.1));
            let (least, most): (Vec<i64>, Vec<i64>) = self.columns.iter().map(of).unzip();
            let data = self.area(&y, &times, &least, &most);
            self.out.path(
                &data,
                &format!(r#"fill="{FORWARD_ALLOC}" fill-opacity="0.35""#),
            );
        }
        let thin = if self.columns.is_empty() { 1.0 } else { 0.5 };
        self.curve(
            &y,
            WMEM_ALLOC,
            "none",
            thin,
            |s| s.wmem_alloc.into(),
            |c| c.wmem_alloc.into(),
        );
        self.curve(
            &y,
            FORWARD_ALLOC,
            "none",
            1.6 * thin,
            |s| s.forward_alloc.into(),
            |c| c.forward_alloc.1.into(),
        );
        self.out.rect(LEFT, top, RIGHT - LEFT, bottom - top, FRAME);
        self.name("bytes", f64::midpoint(top, bottom));
    }

    fn bytes_axis(&mut self, y: &Axis, from: f64, to: f64, count: usize) {
        for n in ticks(from, to, count).0 {
            let at = y.at(n);
            self.out.line((LEFT, at), (RIGHT, at), GRID);
            self.out
                .text((LEFT - 6.0, at + 3.6), 10.5, Anchor::End, INK, &bytes(n));
        }
    }

    /// The name of an axis, along it.
    fn name(&mut self, name: &str, y: f64) {
        let style = format!(r##"fill="#1a1a1a" transform="rotate(-90 20 {y:.1})""##);
        self.out.text((20.0, y), 10.5, Anchor::Middle, &style, name);
    }

    /// A line with a light edge, so that it shows on any band: of each sample,
    /// or of each column.
    fn curve(
        &mut self,
        y: &Axis,
        colour: &str,
        dash: &str,
        width: f64,
        of: impl Fn(&Sample) -> i64,
        of_column: impl Fn(&Column) -> i64,
    ) {
        let data = self.steps(y, of, of_column);
        if self.columns.is_empty() || width > 1.0 {
            let edge = width + 2.0;
            self.out.path(
                &data,
                &format!(
                    r##"fill="none" stroke="#ffffff" stroke-opacity="0.75" stroke-width="{edge}""##
                ),
            );
        }
        self.out.path(
            &data,
            &format!(
                r#"fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}""#
            ),
        );
    }

    /// A curve of steps: of each sample, or of each column.
    fn steps(
        &self,
        y: &Axis,
        of: impl Fn(&Sample) -> i64,
        of_column: impl Fn(&Column) -> i64,
    ) -> String {
        if self.columns.is_empty() {
            let points = self.samples.iter().map(|s| (s.time_ns, of(s)));
            steps((&self.x, y), RIGHT, points)
        } else {
            let points = self.columns.iter().map(|c| (c.from_ns, of_column(c)));
            steps((&self.x, y), RIGHT, points)
        }
    }

    /// The area between two such curves.
    fn area(&self, y: &Axis, times: &[u64], below: &[i64], above: &[i64]) -> String {
        area((&self.x, y), RIGHT, times, below, above)
    }
}

/// A colour (`#rrggbb`) mixed with white.
pub(super) fn pale(colour: &str) -> String {
    let part = |n: usize| {
        let part = colour
            .get(n..n + 2)
            .and_then(|hex| u16::from_str_radix(hex, 16).ok());
        (2 * part.unwrap_or(0) + 3 * 255) / 5
    };
    format!("#{:02x}{:02x}{:02x}", part(1), part(3), part(5))
}
