//! The lines above the table: the machine, and how rows are shown; and the last line of the screen.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    widgets::{Clear, Widget as _},
};
use unicode_width::UnicodeWidthStr as _;

use super::{Theme, cut, put};
use crate::{
    explain::numbers::grouped,
    render::{sanitized, snapshot::summary, utc, wrapped},
    snapshot::account::Marks,
    top::{
        line::RowsBy,
        model::{Model, Page},
        sample::{Causes, MachineSample},
    },
};

/// Most lines above the table.
pub(super) const MOST: u16 = 7;

/// Draws it; how many lines it takes.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, theme: Theme) -> u16 {
    let width = usize::from(area.width);
    let Some(sample) = model.sample() else {
        put(buffer, area, 0, "skmem top: looking…", theme.bold());
        return 2;
    };
    let mut lines: Vec<(String, Style)> = Vec::new();
    // A low screen has the rows.
    let each = if area.height < 20 { 1 } else { 2 };
    let mut add = |text: &str, style: Style| {
        let wrapped = wrapped(text, width);
        let mut all = wrapped.lines();
        lines.extend(all.by_ref().take(each).map(|line| (line.to_owned(), style)));
        if all.next().is_some()
            && let Some((last, _)) = lines.last_mut()
        {
            *last = cut(&format!("{last} …"), width);
        }
    };
    let captured = &sample.captured;
    add(&summary(&captured.account, &captured.kernel), theme.bold());
    if let Some(marks) = &captured.account.tcp_mem {
        let style = if marks.to_pressure <= 0 {
            theme.alarm()
        } else {
            Style::new()
        };
        add(&distance(marks), style);
    }
    let (text, style) = causes(sample, theme);
    add(&text, style);
    add(&shown(model, sample), Style::new());
    let most = area.height.saturating_sub(4).min(MOST);
    lines.truncate(usize::from(most));
    for (n, (line, style)) in lines.iter().enumerate() {
        put(buffer, area, n as u16, line, *style);
    }
    lines.len() as u16
}

/// How far the machine is from having no memory for TCP.
fn distance(marks: &Marks) -> String {
    let pages = |n: u64| grouped(i64::try_from(n).unwrap_or(i64::MAX));
    let used = i64::try_from(marks.pressure)
        .unwrap_or(i64::MAX)
        .saturating_sub(marks.to_pressure);
    let used = used.max(0);
    let percent = |of: u64| {
        let tenths = i128::from(used) * 1000 / i128::from(of.max(1));
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    let state = match (marks.to_pressure, marks.to_high) {
        (_, ..=0) => ": FULL, no socket is given more",
        (..=0, _) => ": UNDER MEMORY PRESSURE",
        _ => "",
    };
    format!(
        "tcp_mem {} pages, {} % of pressure ({}), {} % of the maximum ({}){state}",
        grouped(used),
        percent(marks.pressure),
        pages(marks.pressure),
        percent(marks.high),
        pages(marks.high)
    )
}

/// Whether causes are known, and what is missing of them.
fn causes(sample: &MachineSample, theme: Theme) -> (String, Style) {
    match &sample.causes {
        Causes::Unknown(why) => (format!("no causes: {why}"), theme.aside()),
        Causes::Kept(books) => {
            let count = |n: u64| grouped(i64::try_from(n).unwrap_or(i64::MAX));
            let mut text = format!(
                "{} traced; {} records lost, {} program runs skipped",
                sockets(books.sockets.len()),
                count(books.lost),
                count(books.skipped)
            );
            if books.no_slot > 0 {
                text.push_str(&format!(
                    ", {} sockets had no room (--max-sockets)",
                    count(books.no_slot)
                ));
            }
            if let Some(bytes) = books.kept {
                text.push_str(&format!("; {} bytes kept for e", count(bytes)));
            }
            let bad = books.lost + books.skipped + books.no_slot > 0;
            (text, if bad { theme.alarm() } else { Style::new() })
        }
    }
}

/// Which rows, in which order, of when.
fn shown(model: &Model, sample: &MachineSample) -> String {
    let mut parts = Vec::new();
    if model.paused {
        parts.push("PAUSED".to_owned());
    }
    let rows = grouped(model.lines().len() as i64);
    let all = sockets(sample.captured.rows.len());
    let chosen = !model.filter.is_empty() || model.within.is_some() || model.typing.is_some();
    parts.push(match model.by {
        RowsBy::Socket if chosen => format!("{rows} of {all}"),
        RowsBy::Socket => all,
        by => format!("{all} by {}: {rows}", by.name()),
    });
    if let Some((by, key)) = &model.within {
        parts.push(format!("{} {}", by.name(), sanitized(key)));
    }
    if !model.filter.is_empty() {
        parts.push(format!("filter {:?}", sanitized(&model.filter)));
    }
    let order = if model.reverse {
        ", smallest first"
    } else {
        ""
    };
    parts.push(format!("sorted by {}{order}", model.sort.head()));
    parts.push(format!("every {}", every(model)));
    let now = utc(sample.captured.realtime_ns);
    parts.push(format!("{} UTC", now.get(11..19).unwrap_or(&now)));
    parts.join(" · ")
}

/// `1 socket`, `10,034 sockets`.
fn sockets(n: usize) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} socket{s}", grouped(n as i64))
}

/// `1 s`, `500 ms`.
fn every(model: &Model) -> String {
    match model.interval.as_millis() {
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

/// The last line: the filter that is typed, or the keys; a message on as many lines as it takes.
pub(super) fn footer(buffer: &mut Buffer, area: Rect, model: &Model, theme: Theme) {
    let width = usize::from(area.width);
    let last = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    if let Some(typed) = &model.typing {
        let text = format!(
            "filter: {}_  (Enter keeps it, Esc does not)",
            sanitized(typed)
        );
        return put(buffer, last, 0, &cut(&text, width), theme.bold());
    }
    if let Some(message) = &model.message {
        let wrapped = wrapped(&message.text, width);
        let style = if message.alarm {
            theme.alarm()
        } else {
            theme.bold()
        };
        let lines: Vec<&str> = wrapped.lines().collect();
        let height = (lines.len() as u16).min(area.height);
        let place = Rect {
            y: area.bottom() - height,
            height,
            ..area
        };
        Clear.render(place, buffer);
        for (n, line) in lines.iter().enumerate() {
            put(buffer, place, n as u16, line, style);
        }
        return;
    }
    let keys: &[&str] = match &model.page {
        Page::Table => &[
            "q quit",
            "? help",
            "Enter open",
            "b group",
            "< > sort",
            "/ filter",
            "p pause",
            "c columns",
            "R reverse",
            "+ - interval",
            "e export",
        ],
        Page::Help => &["any key: back", "q quit"],
        Page::Columns(_) => &["Space on or off", "Enter back", "q quit"],
        Page::Socket(_) => &[
            "Esc back",
            "q quit",
            "? help",
            "↑ ↓ scroll",
            "p pause",
            "e export",
        ],
    };
    let mut text = String::new();
    for key in keys {
        let gap = if text.is_empty() { "" } else { "  " };
        if text.width() + gap.len() + key.width() > width {
            break;
        }
        text.push_str(gap);
        text.push_str(key);
    }
    put(buffer, last, 0, &text, theme.aside());
}
