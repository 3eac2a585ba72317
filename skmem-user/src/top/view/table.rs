//! The rows: as many columns as there is room for, each as wide as it must be.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line as Cells, Span},
};
use unicode_width::UnicodeWidthStr as _;

use super::{
    Theme,
    bar::{bar, trend},
    cut, cut_left, put,
};
use crate::{
    explain::{numbers::grouped, state_name},
    render::{sanitized, snapshot::short, time_span},
    snapshot::{Row, group::ownerless, row::Owner},
    top::{
        columns::Column,
        held::held,
        line::{Key, Line, RowsBy},
        model::{Model, ends, remote, state},
        sample::Causes,
    },
};

/// Columns of the process and of what holds the sender, at most.
const NAME: usize = 22;
/// Columns of a screen that has room for local addresses.
const WIDE: usize = 100;
/// Columns of both ends, before other columns matter more.
const ENDS: usize = 47;
/// [`Column::rank`] of what is shown though names are cut for it.
const CORE: u8 = 5;

pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &mut Model, theme: Theme) {
    if model.sample().is_none() {
        return;
    }
    let room = usize::from(area.height.saturating_sub(1));
    let visible = model.visible(room);
    let chosen = model.at();
    let model = &*model;
    let lines = &model.lines()[visible.clone()];
    let texts: Vec<Texts> = lines.iter().map(|line| Texts::of(model, line)).collect();
    let columns = fit(model, &texts, usize::from(area.width));
    let heads = columns.iter().map(|(column, width)| {
        let head = head(model, *column, *width);
        Span::styled(head, theme.bold())
    });
    put_cells(buffer, area, 0, &columns, heads.map(Cells::from));
    if lines.is_empty() {
        for (n, line) in nothing(model).iter().enumerate() {
            put(buffer, area, n as u16 + 2, line, Style::new());
        }
    }
    for (n, (line, texts)) in lines.iter().zip(&texts).enumerate() {
        let cells = columns
            .iter()
            .map(|(column, width)| cell(model, line, texts, *column, *width, theme));
        put_cells(buffer, area, n as u16 + 1, &columns, cells);
        if theme.keys && visible.start + n == chosen {
            let row = Rect {
                y: area.y + n as u16 + 1,
                height: 1,
                ..area
            };
            buffer.set_style(row, Style::new().add_modifier(Modifier::REVERSED));
            if let Some((before, width)) = place(&columns, Column::Bar) {
                // Its colours mean something, and its blanks are not what is full.
                let bar = Rect {
                    x: row.x.saturating_add(before),
                    width,
                    ..row
                };
                let plain = Style::new().remove_modifier(Modifier::REVERSED);
                buffer.set_style(bar.intersection(row), plain);
            }
        }
    }
}

/// Columns of the screen before a column, and how many it has.
fn place(columns: &[(Column, usize)], which: Column) -> Option<(u16, u16)> {
    let at = columns.iter().position(|(column, _)| *column == which)?;
    let before: usize = columns[..at].iter().map(|(_, width)| width + 1).sum();
    Some((
        u16::try_from(before).ok()?,
        u16::try_from(columns[at].1).ok()?,
    ))
}

/// Words of a row, whose lengths decide how wide columns are.
struct Texts {
    process: String,
    ends: String,
    remote: String,
    held: String,
    alarm: bool,
}

impl Texts {
    fn of(model: &Model, line: &Line) -> Self {
        let sample = model.sample();
        let Some(row) = sample.map(|sample| &sample.captured.rows[line.first]) else {
            return Self::empty();
        };
        if let Key::Group(key) = &line.key {
            return Self {
                ends: sanitized(key),
                remote: sanitized(key),
                held: match line.full {
                    0 => String::new(),
                    n => format!("{} full", grouped(n as i64)),
                },
                alarm: line.full > 0,
                ..Self::empty()
            };
        }
        let held = held(&model.findings(row), model.booked(row.cookie));
        let ends = match row.mptcp_socket {
            // Beneath its MPTCP socket, or elsewhere.
            Some(_) => format!("└{}", ends(row)),
            None => ends(row),
        };
        let remote = match row.listens() {
            true => ends.clone(),
            false => format!(":{}>{}", row.sport, remote(row)),
        };
        Self {
            process: process(row),
            ends,
            remote,
            held: held.text,
            alarm: held.alarm,
        }
    }

    fn empty() -> Self {
        Self {
            process: String::new(),
            ends: String::new(),
            remote: String::new(),
            held: String::new(),
            alarm: false,
        }
    }
}

/// `nginx 4711`; of a socket without a process, why.
fn process(row: &Row) -> String {
    match &row.holders[..] {
        [] if row.owner == Owner::NotPermitted => format!("uid {}", row.uid),
        [] => {
            let why = ownerless(row.owner);
            why.split(':').next().unwrap_or(why).to_owned()
        }
        [one] => format!("{} {}", sanitized(&one.comm), one.pid),
        [first, rest @ ..] => format!("{} {} +{}", sanitized(&first.comm), first.pid, rest.len()),
    }
}

/// How wide a column is.
#[derive(Debug, Clone, Copy)]
struct Width {
    /// Less is of no use.
    least: usize,
    /// With less, no further columns are shown.
    good: usize,
    /// More is of no use.
    most: usize,
}

impl Width {
    fn of(column: Column, by: RowsBy, texts: &[Texts], screen: usize) -> Self {
        let longest = |of: fn(&Texts) -> &str, head: &str| {
            let most = texts.iter().map(|t| of(t).width()).max().unwrap_or(0);
            most.max(head.width())
        };
        let word = |least: usize, good: usize, most: usize| Self {
            least: least.min(most),
            good: good.min(most),
            most,
        };
        let fixed = |width| word(width, width, width);
        match column {
            Column::Process => {
                let most = longest(|t| &t.process, column.head()).min(NAME);
                word(10, 18, most)
            }
            Column::Ends if by == RowsBy::Socket => {
                let short = longest(|t| &t.remote, column.head());
                let most = longest(|t| &t.ends, column.head());
                word(20, if screen < WIDE { short } else { most.min(ENDS) }, most)
            }
            Column::Ends => {
                let most = longest(|t| &t.ends, by.name());
                word(16, 30, most)
            }
            Column::Held => {
                let most = longest(|t| &t.held, column.head()).min(NAME);
                word(11, most, most)
            }
            Column::Bar => word(9, 12, 25),
            Column::Trend => word(8, 10, 40),
            Column::State | Column::Blocked => fixed(10),
            Column::R => fixed(11),
            Column::Rate | Column::Sockets | Column::Charged => fixed(7),
            Column::Sndbuf | Column::Unsent | Column::Flight | Column::Changes => fixed(6),
            Column::W | Column::Fill | Column::T => fixed(5),
        }
    }
}

/// Whether a column says anything of such rows.
fn applies(model: &Model, column: Column) -> bool {
    let sockets = model.by == RowsBy::Socket;
    match column {
        Column::Process | Column::State => sockets,
        Column::Sockets => !sockets,
        column => model.has_causes() || !column.needs_causes(),
    }
}

/// The columns that there is room for, with their widths.
fn fit(model: &Model, texts: &[Texts], screen: usize) -> Vec<(Column, usize)> {
    let chosen = model.columns.iter().copied();
    let mut chosen: Vec<Column> = chosen.filter(|column| applies(model, *column)).collect();
    // What rows are sorted by is seen.
    chosen.sort_by_key(|column| (*column != model.sort, column.rank()));
    let mut columns: Vec<(Column, Width)> = Vec::new();
    for column in chosen {
        columns.push((column, Width::of(column, model.by, texts, screen)));
        let of = |w: &Width| {
            if column.rank() <= CORE {
                w.least
            } else {
                w.good
            }
        };
        let used: usize = columns.iter().map(|(_, width)| of(width) + 1).sum();
        if used > screen + 1 && columns.len() > 1 {
            columns.pop();
        }
    }
    columns.sort_by_key(|(column, _)| *column);
    let mut columns: Vec<(Column, usize, usize)> = columns
        .into_iter()
        .map(|(column, width)| (column, width.least, width.most))
        .collect();
    let used: usize = columns.iter().map(|(_, width, _)| width + 1).sum();
    let mut left = (screen + 1).saturating_sub(used);
    // Names first, then pictures, and these not all of it at once.
    for (column, most) in [
        (Column::Ends, usize::MAX),
        (Column::Process, usize::MAX),
        (Column::Held, usize::MAX),
        (Column::Bar, 16),
        (Column::Trend, 20),
        (Column::Bar, usize::MAX),
        (Column::Trend, usize::MAX),
    ] {
        if let Some((_, width, want)) = columns.iter_mut().find(|(c, ..)| *c == column) {
            let more = (*want).min(most).saturating_sub(*width).min(left);
            *width += more;
            left -= more;
        }
    }
    columns
        .into_iter()
        .map(|(column, width, _)| (column, width))
        .collect()
}

fn head(model: &Model, column: Column, width: usize) -> String {
    let mark = match (column == model.sort, model.reverse) {
        (false, _) => "",
        (true, false) => "▼",
        (true, true) => "▲",
    };
    let name = match column {
        Column::Ends if model.by != RowsBy::Socket => model.by.name(),
        column => column.head(),
    };
    format!("{}{mark}", cut(name, width.saturating_sub(mark.width())))
}

fn is_text(column: Column) -> bool {
    matches!(
        column,
        Column::Process | Column::Ends | Column::State | Column::Held | Column::Bar
    )
}

fn put_cells(
    buffer: &mut Buffer,
    area: Rect,
    line: u16,
    columns: &[(Column, usize)],
    cells: impl Iterator<Item = Cells<'static>>,
) {
    if line >= area.height {
        return;
    }
    let mut x = usize::from(area.x);
    for ((column, width), cell) in columns.iter().zip(cells) {
        let pad = match is_text(*column) {
            true => 0,
            false => width.saturating_sub(cell.width()),
        };
        let at = (x + pad) as u16;
        buffer.set_line(at, area.y + line, &cell, (width - pad) as u16);
        x += width + 1;
    }
}

/// What a row shows in a column.
fn cell(
    model: &Model,
    line: &Line,
    texts: &Texts,
    column: Column,
    width: usize,
    theme: Theme,
) -> Cells<'static> {
    let bytes = |n: i64| Cells::from(short(n));
    let some = |n: Option<i64>, show: fn(i64) -> String| Cells::from(n.map_or("-".into(), show));
    let signed = |n: i64| format!("{}{}", if n > 0 { "+" } else { "" }, short(n));
    let row = model
        .sample()
        .map(|sample| &sample.captured.rows[line.first]);
    match column {
        Column::Process => {
            let known = row.is_some_and(|row| !row.holders.is_empty());
            let style = if known { Style::new() } else { theme.aside() };
            Cells::styled(cut(&texts.process, width), style)
        }
        Column::Ends if model.by != RowsBy::Socket => Cells::from(cut(&texts.ends, width)),
        Column::Ends if texts.ends.width() <= width => Cells::from(texts.ends.clone()),
        // Local addresses say least.
        Column::Ends => Cells::from(cut_left(&texts.remote, width)),
        Column::Sockets => Cells::from(grouped(line.sockets() as i64)),
        Column::State => Cells::from(row.map_or("", |row| state_name(state(row)))),
        Column::W => bytes(line.w),
        Column::Bar if line.w == 0 => Cells::default(),
        Column::Bar => bar(line.w, line.over, line.sndbuf, width, theme),
        Column::Fill => some(line.fill(), |n| format!("{n}%")),
        Column::Sndbuf => bytes(line.sndbuf),
        Column::Trend => {
            let rows = model.sample().map(|sample| &sample.captured.rows);
            let cookies: Vec<u64> = line
                .places()
                .filter_map(|at| rows.map(|rows| rows[at].cookie))
                .collect();
            Cells::from(trend(&model.histories.trend(&cookies, width)))
        }
        Column::Held => {
            let style = if texts.alarm {
                theme.alarm()
            } else {
                Style::new()
            };
            Cells::styled(cut(&texts.held, width), style)
        }
        Column::Blocked => match line.blocked_ns {
            None => Cells::from("-"),
            Some(ns) => {
                let text = match ns {
                    0 => "0 s".to_owned(),
                    ns => short_span(ns),
                };
                match line.held_now {
                    true => Cells::styled(format!("{text}+"), theme.alarm()),
                    false => Cells::from(text),
                }
            }
        },
        Column::R => Cells::from(format!("{}/{}", short(line.r), short(line.rcvbuf))),
        Column::Rate => Cells::from(line.w_rate.map_or("-".into(), signed)),
        Column::Changes => some(line.change_rate, grouped),
        Column::Unsent => bytes(line.unsent),
        Column::Flight => bytes(line.in_flight),
        Column::T => bytes(line.t),
        Column::Charged => bytes(line.charged),
    }
}

/// A time in nine columns.
fn short_span(ns: u64) -> String {
    match ns / 1_000_000_000 {
        0 => time_span(ns),
        s @ 1..60 => format!("{s}.{} s", ns / 100_000_000 % 10),
        s @ 60..3600 => format!("{}m {}s", s / 60, s % 60),
        s => format!("{}h {}m", s / 3600, s / 60 % 60),
    }
}

/// Why there are no rows.
fn nothing(model: &Model) -> Vec<String> {
    let Some(sample) = model.sample() else {
        return Vec::new();
    };
    let all = sample.captured.rows.len();
    let filter = model.typing.as_ref().unwrap_or(&model.filter);
    let mut said = match (all, filter.is_empty()) {
        (0, _) => vec!["No TCP socket matches here.".to_owned()],
        (n, false) => vec![format!(
            "No row has {:?} in its names; {} sockets do not. Esc clears the filter.",
            sanitized(filter),
            grouped(n as i64)
        )],
        (_, true) => vec!["The sockets of this group are gone. Esc goes back.".to_owned()],
    };
    for note in &sample.captured.notes {
        said.push(format!("Not seen: {note}"));
    }
    if let Causes::Unknown(why) = &sample.causes {
        said.push(format!("No causes: {why}"));
    }
    said
}
