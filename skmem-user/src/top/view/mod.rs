//! Draws the model into a buffer of cells. No terminal here: tests and `--once` use the same.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::model::{Model, Page};

mod bar;
mod chart;
mod header;
mod pages;
mod socket;
mod table;

/// Columns and lines of the smallest screen that anything is drawn on.
pub const SMALLEST: (u16, u16) = (40, 8);

/// Looks and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Whether to use the terminal's colours. No meaning rests on colour alone.
    pub colour: bool,
    /// The row that is chosen stands out, and the last line says which keys there are.
    pub keys: bool,
}

impl Theme {
    fn tinted(self, style: Style, colour: Color) -> Style {
        if self.colour { style.fg(colour) } else { style }
    }

    fn alarm(self) -> Style {
        self.tinted(Style::new().add_modifier(Modifier::BOLD), Color::Red)
    }

    fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn aside(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

/// Draws all of it.
pub fn draw(buffer: &mut Buffer, model: &mut Model, theme: Theme) {
    let area = buffer.area;
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("too small: {} × {} at least", SMALLEST.0, SMALLEST.1);
        put(buffer, area, 0, &text, Style::new());
        return;
    }
    let head = header::draw(buffer, area, model, theme);
    let foot = u16::from(theme.keys);
    let body = Rect {
        y: area.y + head,
        height: area.height.saturating_sub(head + foot),
        ..area
    };
    match &model.page {
        Page::Table => table::draw(buffer, body, model, theme),
        Page::Help => pages::help(buffer, body, theme),
        Page::Columns(at) => pages::columns(buffer, body, model, *at, theme),
        Page::Socket(_) => socket::draw(buffer, body, model, theme),
    }
    if theme.keys {
        header::footer(buffer, area, model, theme);
    }
}

/// The table alone, as text without end: `most` rows.
#[must_use]
pub fn plain(model: &mut Model, width: u16, most: usize) -> String {
    let theme = Theme {
        colour: false,
        keys: false,
    };
    let rows = model.lines().len().min(most).max(3);
    let height = u16::try_from(rows)
        .unwrap_or(u16::MAX)
        .saturating_add(header::MOST + 2);
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(&mut buffer, model, theme);
    let mut text = text(&buffer);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// What a buffer shows, as lines without spaces at their ends.
#[must_use]
pub fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for cells in buffer.content().chunks(width) {
        let mut line = String::new();
        let mut hidden = 0;
        for cell in cells {
            // A wide character covers the cell behind it.
            if hidden > 0 {
                hidden -= 1;
                continue;
            }
            line.push_str(cell.symbol());
            hidden = cell.symbol().width().saturating_sub(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Writes a line of `area`, as far as it has room.
fn put(buffer: &mut Buffer, area: Rect, line: u16, text: &str, style: Style) {
    if line < area.height {
        buffer.set_stringn(area.x, area.y + line, text, usize::from(area.width), style);
    }
}

/// `text` in at most `width` columns, its end left out.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let mut short = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

/// The same, its beginning left out.
fn cut_left(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let mut short = Vec::new();
    for c in text.chars().rev() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_are_measured() {
        assert_eq!(cut("nginx", 5), "nginx");
        assert_eq!(cut("nginx", 4), "ngi…");
        assert_eq!(cut("数据库服务", 6), "数据…");
        assert_eq!(cut("数据库服务", 5), "数据…");
        assert_eq!(cut_left("10.0.0.1:80", 6), "….1:80");
        assert_eq!(cut_left("数据库", 4), "…库");
    }
}
