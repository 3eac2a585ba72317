//! A page of SVG: A4 across, legible when printed.
//!
//! * `legend`: what the colours are
//! * `marks`: what happened when: ticks, sleeps, limit moves, the worst instant

use std::fmt::Write;

use super::{
    figure::{Band, Figure},
    palette::{FORWARD_ALLOC, SEND_Q, SNDBUF, WMEM_ALLOC},
    scale::{Axis, bytes, ceiling, ticks, time, unit},
    xml::{Anchor, Drawing, escape},
};
use crate::{model::timeline::Sample, render::layout::wrap};

mod legend;
mod marks;

/// A4 across at 96 dpi.
const WIDTH: f64 = 1123.0;
const HEIGHT: f64 = 794.0;

const LEFT: f64 = 92.0;
const RIGHT: f64 = 868.0;
const LEGEND: f64 = 888.0;
const BOTTOM: f64 = 700.0;

/// Height of the panel of `forward_alloc` and `wmem_alloc`.
const SMALL: f64 = 84.0;
/// Height of a row of ticks.
const ROW: f64 = 17.0;

const GRID: &str = r##"stroke="#d8d8d8" stroke-width="0.6""##;
const FRAME: &str = r##"fill="none" stroke="#666666" stroke-width="0.8""##;
const INK: &str = r##"fill="#1a1a1a""##;
const FAINT: &str = r##"fill="#555555""##;
const BOLD: &str = r##"fill="#1a1a1a" font-weight="bold""##;

/// The whole picture.
#[must_use]
pub fn svg(figure: &Figure<'_>) -> String {
    let samples = figure.timeline.samples();
    let title = figure.title();
    let mut page = Page {
        figure,
        bands: Figure::bands(&samples),
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
    page.words(&title);
    page.panels();
    page.legend();
    page.out.raw("</svg>");
    page.out.finish()
}

struct Page<'a> {
    figure: &'a Figure<'a>,
    samples: Vec<Sample>,
    bands: Vec<Band>,
    x: Axis,
    /// Top of the large panel.
    top: f64,
    out: Drawing,
}

impl Page<'_> {
    /// Title, subtitle, and the remarks at the foot.
    fn words(&mut self, title: &str) {
        let mut y = 18.0;
        for line in wrap(title, 0, 0, 122) {
            y += 19.0;
            self.out.text((24.0, y), 14.5, Anchor::Start, BOLD, &line);
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
        let most = |s: &Sample| {
            let most = i64::from(s.wmem_queued).max(s.sndbuf.into());
            most.max(s.send_q.into())
        };
        let most = self.samples.iter().map(most).max().unwrap_or(0) as f64;
        let least = self.samples.iter().map(|s| s.wmem_queued).min();
        let least = f64::from(least.unwrap_or(0).min(0));
        let end = (most * 1.08).max(1.0);
        let y = Axis::new(least, end, bottom, top);
        self.bytes_axis(&y, least, end, 6);
        let mut below = vec![0i64; self.samples.len()];
        for n in 0..self.bands.len() {
            let band = self.bands[n].clone();
            let above: Vec<i64> = below
                .iter()
                .zip(&self.samples)
                .map(|(b, s)| b + band.of(s))
                .collect();
            let data = self.area(&y, &below, &above);
            let style = format!(
                r##"fill="{}" stroke="#ffffff" stroke-width="0.4""##,
                band.look.colour
            );
            self.out.path(&data, &style);
            below = above;
        }
        let outline = self.steps(&y, |s| s.wmem_queued.into());
        self.out.path(
            &outline,
            r##"fill="none" stroke="#333333" stroke-width="0.8""##,
        );
        self.sleeps(top, bottom);
        self.curve(&y, SEND_Q, "6 3", 1.6, |s| s.send_q.into());
        self.curve(&y, SNDBUF, "none", 2.0, |s| s.sndbuf.into());
        self.moves(&y, top);
        self.out.rect(LEFT, top, RIGHT - LEFT, bottom - top, FRAME);
        self.name("bytes", f64::midpoint(top, bottom));
    }

    /// What is charged but not used, and what is further down.
    fn small(&mut self, top: f64, bottom: f64) {
        let most = |s: &Sample| s.forward_alloc.max(s.wmem_alloc);
        let most = self.samples.iter().map(most).max().unwrap_or(0);
        let end = ceiling(f64::from(most.max(1)) * 1.02, 2);
        let y = Axis::new(0.0, end, bottom, top);
        self.bytes_axis(&y, 0.0, end, 2);
        self.sleeps(top, bottom);
        let below = vec![0; self.samples.len()];
        let above: Vec<i64> = self.samples.iter().map(|s| s.wmem_alloc.into()).collect();
        let data = self.area(&y, &below, &above);
        self.out.path(
            &data,
            &format!(r#"fill="{WMEM_ALLOC}" fill-opacity="0.35""#),
        );
        self.curve(&y, WMEM_ALLOC, "none", 1.0, |s| s.wmem_alloc.into());
        self.curve(&y, FORWARD_ALLOC, "none", 1.6, |s| s.forward_alloc.into());
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

    /// A line with a light edge, so that it shows on any band.
    fn curve(
        &mut self,
        y: &Axis,
        colour: &str,
        dash: &str,
        width: f64,
        of: impl Fn(&Sample) -> i64,
    ) {
        let data = self.steps(y, of);
        let edge = width + 2.0;
        self.out.path(
            &data,
            &format!(
                r##"fill="none" stroke="#ffffff" stroke-opacity="0.75" stroke-width="{edge}""##
            ),
        );
        self.out.path(
            &data,
            &format!(
                r#"fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}""#
            ),
        );
    }

    /// A curve of steps: each value holds until the next sample.
    fn steps(&self, y: &Axis, of: impl Fn(&Sample) -> i64) -> String {
        let mut data = String::new();
        let mut last = None;
        for sample in &self.samples {
            let value = of(sample);
            if last == Some(value) {
                continue;
            }
            let (x, at) = (self.x.at(sample.time_ns as f64), y.at(value as f64));
            let _ = match last {
                None => write!(data, "M{x:.1} {at:.1}"),
                Some(_) => write!(data, "H{x:.1}V{at:.1}"),
            };
            last = Some(value);
        }
        if last.is_some() {
            let _ = write!(data, "H{RIGHT:.1}");
        }
        data
    }

    /// The area between two such curves.
    fn area(&self, y: &Axis, below: &[i64], above: &[i64]) -> String {
        let place = |n: usize| self.x.at(self.samples[n].time_ns as f64);
        let mut data = String::new();
        let mut back: Vec<(f64, f64)> = Vec::new();
        let mut n = 0;
        while n < self.samples.len() {
            // Runs of samples between which the band is empty are not drawn.
            if above[n] == below[n] {
                n += 1;
                continue;
            }
            let start = n;
            back.clear();
            while n < self.samples.len() && above[n] != below[n] {
                let (x, top) = (place(n), y.at(above[n] as f64));
                let _ = if n == start {
                    write!(data, "M{x:.1} {top:.1}")
                } else if above[n] == above[n - 1] {
                    Ok(())
                } else {
                    write!(data, "H{x:.1}V{top:.1}")
                };
                if n == start || below[n] != below[n - 1] {
                    back.push((x, y.at(below[n] as f64)));
                }
                n += 1;
            }
            let end = if n < self.samples.len() {
                place(n)
            } else {
                RIGHT
            };
            let _ = write!(data, "H{end:.1}");
            for (x, bottom) in back.iter().rev() {
                let _ = write!(data, "V{bottom:.1}H{x:.1}");
            }
            data.push('Z');
        }
        data
    }
}
