//! One socket: what it queued over the last minutes, how its limit moved, what its account says and
//! what to do.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{Theme, chart, cut, put};
use crate::{
    explain::{Verdict, numbers::grouped},
    render::{self, sanitized, snapshot},
    top::{
        history::Sample,
        model::{Model, Opened},
        sample::Causes,
    },
};

/// Moves of the limit that are shown.
const MOVES: usize = 3;

pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &mut Model, theme: Theme) {
    let Some(opened) = model.opened() else { return };
    let style = render::Style {
        width: usize::from(area.width),
        ..render::Style::PLAIN
    };
    let name = snapshot::name(&opened.row, &style);
    let mut at = 0;
    for line in name.lines() {
        put(buffer, area, at, line, theme.bold());
        at += 1;
    }
    if opened.gone {
        let text = "It is closed, or not to be seen any more: this is the last that was seen.";
        put(buffer, area, at, &cut(text, style.width), theme.alarm());
        at += 1;
    }
    let history = model.histories.of(opened.cookie);
    let samples: Vec<&Sample> = history.map_or_else(Vec::new, |h| h.samples().collect());
    if samples.iter().any(|sample| sample.w > 0) {
        let height = (area.height / 3).clamp(7, 14);
        let past = model.histories.ago_ns(samples.len());
        let place = Rect {
            y: area.y + at,
            height: height.min(area.height.saturating_sub(at)),
            ..area
        };
        chart::draw(buffer, place, &samples, past, theme);
        at += height;
    } else {
        put(
            buffer,
            area,
            at,
            "Nothing was queued while top looked.",
            theme.aside(),
        );
        at += 1;
    }
    let text = said(model, opened, &style);
    let lines: Vec<&str> = text.lines().collect();
    let room = usize::from(area.height.saturating_sub(at));
    let last = lines.len().saturating_sub(room);
    let from = opened.scroll.min(last);
    for (n, line) in lines.iter().skip(from).take(room).enumerate() {
        put(buffer, area, at + n as u16, line, Style::new());
    }
    // Keys go on from where it is.
    if let super::Page::Socket(opened) = &mut model.page {
        opened.scroll = from;
    }
}

/// In words: as `skmem explain` has it; without an account as `skmem snapshot --explain`.
fn said(model: &Model, opened: &Opened, style: &render::Style) -> String {
    if let Some(verdict) = &opened.verdict {
        return format!("{}\n{}", moves(verdict), render::text(verdict, style));
    }
    let mut text = String::from("\n");
    if let Some(show) = model.show() {
        text.push_str(&snapshot::sockets(
            std::slice::from_ref(&opened.row),
            &show,
            style,
        ));
    }
    match model.sample().map(|sample| &sample.causes) {
        Some(Causes::Unknown(why)) => {
            let why = format!(
                "Which kernel code queued the bytes is not known: {}",
                sanitized(why)
            );
            text.push_str(&format!("\n{}\n", render::wrapped(&why, style.width)));
        }
        Some(Causes::Kept(_)) => {
            text.push_str("\nNo call was seen on it yet: it is traced from its next one on.\n");
        }
        None => {}
    }
    text
}

/// The last changes of the limit.
fn moves(verdict: &Verdict) -> String {
    let moves = &verdict.limit_moves;
    let shown = moves.iter().rev().take(MOVES).rev().map(|m| {
        let ago = render::time_span(
            verdict
                .clock
                .map_or(0, |clock| clock.monotonic_ns.saturating_sub(m.at_ns)),
        );
        format!(
            "{} → {} {} ({ago} ago)",
            grouped(m.from),
            grouped(m.to),
            m.cause_name()
        )
    });
    let shown: Vec<String> = shown.collect();
    match shown.is_empty() {
        true => String::new(),
        false => format!("sndbuf moved: {}\n", shown.join(", ")),
    }
}
