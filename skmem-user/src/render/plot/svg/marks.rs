//! What happened when: rows of ticks, sleeps, moves of the limit, the worst
//! instant.

use std::fmt::Write;

use super::{
    super::{figure::Figure, palette::WORST, scale::Axis, xml::Anchor},
    INK, LEFT, Page, RIGHT, ROW,
};
use crate::explain::numbers::grouped;

/// Limit moves that get words; of more, only marks.
const LABELLED: usize = 6;

/// A row of ticks.
pub(super) struct Row {
    name: &'static str,
    colour: &'static str,
    /// Where from and to, in ns of `CLOCK_MONOTONIC`.
    marks: Vec<(u64, u64)>,
}

impl Page<'_> {
    /// Rows that have ticks, and the two that are always there.
    pub(super) fn rows(&self) -> Vec<Row> {
        let t = self.figure.timeline;
        let row = |name, colour, marks| Row {
            name,
            colour,
            marks,
        };
        let points = |ticks: &mut dyn Iterator<Item = u64>| ticks.map(|at| (at, at)).collect();
        let admissions = points(&mut t.admissions().map(|a| a.at_ns));
        let sleeps = t.sleeps().iter().map(|s| (s.from_ns, s.to_ns)).collect();
        let mut rows = vec![
            row("admissions", "#1a1a1a", admissions),
            row("blocked", "#1a1a1a", sleeps),
            row(
                "EAGAIN",
                "#7a4b00",
                points(&mut t.refusals().map(|r| r.at_ns)),
            ),
            row("lost", WORST, points(&mut t.gaps().map(|g| g.at_ns))),
        ];
        let mut n = 0;
        rows.retain(|row| {
            n += 1;
            n <= 2 || !row.marks.is_empty()
        });
        rows
    }

    pub(super) fn row(&mut self, y: f64, row: &Row) {
        let style = r##"fill="#f4f4f4""##;
        self.out.rect(LEFT, y + 1.0, RIGHT - LEFT, ROW - 2.0, style);
        self.out
            .text((LEFT - 6.0, y + 12.0), 10.0, Anchor::End, INK, row.name);
        let mut data = String::new();
        for (from, to) in &row.marks {
            let (a, b) = (self.x.at(*from as f64), self.x.at(*to as f64));
            // A tick is as wide as the line that draws it.
            let b = b.max(a + 1.1);
            let _ = write!(
                data,
                "M{a:.1} {:.1}H{b:.1}V{:.1}H{a:.1}Z",
                y + 3.0,
                y + ROW - 3.0
            );
        }
        self.out.path(&data, &format!(r#"fill="{}""#, row.colour));
    }

    /// Shades the times in which a sender slept.
    pub(super) fn sleeps(&mut self, top: f64, bottom: f64) {
        for sleep in self.figure.timeline.sleeps() {
            let (a, b) = (
                self.x.at(sleep.from_ns as f64),
                self.x.at(sleep.to_ns as f64),
            );
            self.out.rect(
                a,
                top,
                (b - a).max(0.5),
                bottom - top,
                r#"fill="url(#asleep)""#,
            );
        }
    }

    /// Marks where the limit moved.
    pub(super) fn moves(&mut self, y: &Axis, top: f64) {
        let (moves, _) = self.figure.timeline.moves();
        let labelled = moves.len() <= LABELLED;
        let mut data = String::new();
        let mut free = LEFT;
        for m in moves {
            let (x, at) = (self.x.at(m.at_ns as f64), y.at(m.to.into()));
            let up = if m.to >= m.from { 1.0 } else { -1.0 };
            let _ = write!(data, "M{x:.1} {at:.1}l-4 {:.1}h8Z", 7.0 * up);
            let text = format!(
                "{} → {}: {}",
                grouped(m.from.into()),
                grouped(m.to.into()),
                Figure::move_label(m.cause)
            );
            let width = 5.6 * text.chars().count() as f64;
            let start = if x + 6.0 + width > RIGHT {
                x - 6.0 - width
            } else {
                x + 6.0
            };
            if labelled && start >= free {
                let place = (start, (at - 5.0).max(top + 11.0));
                let halo =
                    r##"fill="#1a1a1a" stroke="#ffffff" stroke-width="3" paint-order="stroke""##;
                self.out.text(place, 9.5, Anchor::Start, halo, &text);
                free = start + width;
            }
        }
        let style = r##"fill="#ffffff" stroke="#000000" stroke-width="1.1""##;
        self.out.path(&data, style);
    }

    pub(super) fn worst(&mut self, bottom: f64) {
        let t = self.figure.timeline;
        let (Some(label), Some(worst)) = (self.figure.worst_label(), t.worst()) else {
            return;
        };
        let x = self.x.at(worst.time_ns as f64);
        let line = format!(r#"stroke="{WORST}" stroke-width="1.2" stroke-dasharray="2 2""#);
        self.out.line((x, self.top - 6.0), (x, bottom), &line);
        let ink = format!(r#"fill="{WORST}" font-weight="bold""#);
        let (anchor, x) = if x > f64::midpoint(LEFT, RIGHT) {
            (Anchor::End, x + 3.0)
        } else {
            (Anchor::Start, x - 3.0)
        };
        self.out
            .text((x, self.top - 9.0), 10.5, anchor, &ink, &label);
    }
}
