//! What the keys do, and which columns there are.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::{Theme, cut, put};
use crate::{
    render::wrapped,
    top::{columns::Column, keys::HELP, model::Model},
};

/// Columns of the keys' names.
const KEYS: usize = 24;

/// What words mean that stand in the table.
const WORDS: &str = "`held by` names what `skmem fields` explains: `skmem fields waits-for-peer-window`. K, M, G are \
                     1,024s of bytes. `skmem explain` says more of one socket, `skmem record` keeps what happens.";

pub(super) fn help(buffer: &mut Buffer, area: Rect, theme: Theme) {
    let width = usize::from(area.width);
    let keys = KEYS.min(width / 3);
    let mut at = 0;
    for (key, what) in HELP {
        put(buffer, area, at, &cut(key, keys - 1), theme.bold());
        let right = Rect {
            x: area.x + keys as u16,
            width: area.width - keys as u16,
            ..area
        };
        put(buffer, right, at, &cut(what, width - keys), Style::new());
        at += 1;
    }
    at += 1;
    for line in wrapped(WORDS, width).lines() {
        put(buffer, area, at, line, theme.aside());
        at += 1;
    }
}

pub(super) fn columns(buffer: &mut Buffer, area: Rect, model: &Model, chosen: usize, theme: Theme) {
    let text = "Columns, the ones that fit:";
    put(buffer, area, 0, text, theme.bold());
    let room = usize::from(area.height.saturating_sub(1)).max(1);
    let from = (chosen + 1).saturating_sub(room);
    let shown = Column::ALL.iter().enumerate().skip(from).take(room);
    for (line, (at, column)) in shown.enumerate() {
        let mark = if model.columns.contains(column) {
            'x'
        } else {
            ' '
        };
        let text = format!("[{mark}] {:<13} {}", column.head(), column.meaning());
        let style = match at == chosen {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new(),
        };
        let text = cut(&text, usize::from(area.width));
        put(buffer, area, line as u16 + 1, &text, style);
    }
}
