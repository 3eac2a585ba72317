//! The columns of event lines: which there are, which a terminal has room for,
//! and what stands in them.

use std::io::Write as _;

use skmem_common::record::{Event, FLAG_LOCKLESS, FLAG_TASK, Header, OP_BOOK, OPS, Receive};

use super::{
    date::{clock, utc},
    digits::length,
    event_line::{Line, Names, event_text, receive_text},
    line_buffer::{Cell, LineBuffer},
    ops::hook_name,
    style::{Role, Style},
};

/// A column of event lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// When.
    Time,
    /// On which CPU.
    Cpu,
    /// Which thread.
    Task,
    /// Both ends of the socket.
    Socket,
    /// Its ports.
    Ports,
    /// The kernel function.
    Hook,
    /// `sk_wmem_queued`, and what it was before what the line books.
    WmemQueued,
    /// `sk_sndbuf`.
    Sndbuf,
    /// `sk_forward_alloc`.
    ForwardAlloc,
    /// `sk_wmem_alloc`, less its bias.
    WmemAlloc,
    /// `write_seq - snd_una`.
    SendQ,
    /// `snd_wnd`.
    Window,
    /// What the call was asked, what it answered, which bytes were booked.
    What,
}

impl Column {
    /// All of them, with the names that people give.
    pub const NAMES: [(&'static str, Self); 13] = [
        ("time", Self::Time),
        ("cpu", Self::Cpu),
        ("task", Self::Task),
        ("socket", Self::Socket),
        ("ports", Self::Ports),
        ("hook", Self::Hook),
        ("wmem_queued", Self::WmemQueued),
        ("sndbuf", Self::Sndbuf),
        ("fwd", Self::ForwardAlloc),
        ("wmem_alloc", Self::WmemAlloc),
        ("send_q", Self::SendQ),
        ("snd_wnd", Self::Window),
        ("what", Self::What),
    ];

    /// The one with this name; also by its letter in `ss -m`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let by_letter = match name {
            "w" => Some(Self::WmemQueued),
            "tb" => Some(Self::Sndbuf),
            "f" | "forward_alloc" => Some(Self::ForwardAlloc),
            "t" => Some(Self::WmemAlloc),
            _ => None,
        };
        let all = Self::NAMES.iter();
        by_letter.or_else(|| all.into_iter().find(|(n, _)| *n == name).map(|(_, c)| *c))
    }

    fn is_left(self) -> bool {
        matches!(
            self,
            Self::Task | Self::Socket | Self::Ports | Self::Hook | Self::What
        )
    }
}

/// What the column of times counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// Seconds since the first event.
    #[default]
    Relative,
    /// The wall clock, UTC.
    Wall,
    /// Seconds since the line before.
    Delta,
}

/// Where a line has no room for all columns: what is left out, step by step, and
/// how many columns the words want to have.
const NARROWER: [(&[Column], usize); 8] = {
    use Column::{
        Cpu, ForwardAlloc, Hook, Ports, SendQ, Sndbuf, Socket, Task, Time, What, WmemQueued,
    };
    [
        (
            &[
                Time,
                Cpu,
                Task,
                Socket,
                Hook,
                WmemQueued,
                Sndbuf,
                ForwardAlloc,
                SendQ,
                What,
            ],
            40,
        ),
        (
            &[Time, Task, Socket, Hook, WmemQueued, Sndbuf, SendQ, What],
            40,
        ),
        (
            &[Time, Task, Ports, Hook, WmemQueued, Sndbuf, SendQ, What],
            40,
        ),
        (&[Time, Ports, Hook, WmemQueued, Sndbuf, SendQ, What], 40),
        (&[Time, Ports, Hook, WmemQueued, Sndbuf, What], 36),
        (&[Time, Hook, WmemQueued, Sndbuf, What], 32),
        (&[Time, Hook, WmemQueued, What], 26),
        (&[Time, WmemQueued, What], 0),
    ]
};

/// How event lines look.
#[derive(Clone, Debug)]
pub struct EventLines {
    /// With the width of each.
    columns: Vec<(Column, usize)>,
    times: Times,
    /// Numbers in groups of three: for people; plain for `grep` and `awk`.
    grouped: bool,
    /// What begins and ends the hook's colour, where there is one.
    colour: Option<[String; 2]>,
    /// Lines are cut here.
    cut: Option<usize>,
    /// The first event's time; None: there was none yet.
    zero_ns: Option<u64>,
    /// The time of the line before.
    last_ns: u64,
    /// `CLOCK_REALTIME` less `CLOCK_MONOTONIC`.
    wall_offset_ns: u64,
}

impl EventLines {
    /// All columns, plain numbers, nothing cut: for programs.
    #[must_use]
    pub fn plain(style: &Style) -> Self {
        let lines = Self {
            columns: Vec::new(),
            times: Times::Relative,
            grouped: false,
            colour: style.colour.then(|| Style::around(Role::Name)),
            cut: None,
            zero_ns: None,
            last_ns: 0,
            wall_offset_ns: 0,
        };
        lines.with_columns(NARROWER[0].0)
    }

    /// As many columns as a terminal of [`Style::width`] has room for, grouped
    /// numbers, an event in a line.
    #[must_use]
    pub fn of_terminal(style: &Style, times: Times) -> Self {
        let lines = Self {
            times,
            grouped: true,
            cut: Some(style.width),
            ..Self::plain(style)
        };
        let fits = |(columns, words): &&(&[Column], usize)| {
            let taken: usize = columns.iter().map(|c| lines.width(*c) + 1).sum();
            taken + words <= style.width
        };
        let fit = NARROWER.iter().find(fits);
        let columns = fit.unwrap_or(&NARROWER[NARROWER.len() - 1]).0;
        lines.with_columns(columns)
    }

    /// These columns instead.
    #[must_use]
    pub fn with_columns(mut self, columns: &[Column]) -> Self {
        self.columns = columns.iter().map(|c| (*c, self.width(*c))).collect();
        self
    }

    /// This column of times.
    #[must_use]
    pub fn with_times(mut self, times: Times) -> Self {
        self.times = times;
        let columns: Vec<_> = self.columns.iter().map(|(column, _)| *column).collect();
        self.with_columns(&columns)
    }

    /// With the same instant on both clocks, in ns.
    #[must_use]
    pub fn with_clock(mut self, monotonic_ns: u64, wall_ns: u64) -> Self {
        self.wall_offset_ns = wall_ns.wrapping_sub(monotonic_ns);
        self
    }

    /// Counts times from `ns` of `CLOCK_MONOTONIC`, not from the first event.
    #[must_use]
    pub fn since(mut self, ns: u64) -> Self {
        (self.zero_ns, self.last_ns) = (Some(ns), ns);
        self
    }

    /// The wall clock when times are 0, `2026-11-23 16:07:50.395 UTC`; None
    /// before the first event.
    #[must_use]
    pub fn began(&self) -> Option<String> {
        self.zero_ns
            .map(|ns| utc(ns.wrapping_add(self.wall_offset_ns)))
    }

    /// ns since 1970-01-01 UTC at an instant of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn wall_ns(&self, ns: u64) -> u64 {
        ns.wrapping_add(self.wall_offset_ns)
    }

    fn width(&self, column: Column) -> usize {
        match column {
            Column::Time if self.times == Times::Wall => 15,
            Column::Time if self.cut.is_some() => 10,
            Column::Time => 12,
            Column::Cpu => 3,
            Column::Hook if self.cut.is_some() => 21,
            Column::Task | Column::Hook => 22,
            Column::Socket => 33,
            Column::Ports => 13,
            Column::WmemQueued => match self.cut {
                None => 17,
                // Two numbers below a million.
                Some(..100) => 15,
                Some(_) => 19,
            },
            Column::Sndbuf | Column::SendQ | Column::WmemAlloc | Column::Window => 9,
            Column::ForwardAlloc if self.grouped => 9,
            Column::ForwardAlloc => 7,
            Column::What => 0,
        }
    }

    /// The line above event lines. Without a newline.
    #[must_use]
    pub fn header(&self) -> String {
        let mut out = LineBuffer::default();
        for (column, width) in &self.columns {
            let name = match (column, self.times) {
                (Column::Time, Times::Relative) => "time_s",
                (Column::Time, Times::Wall) => "time_utc",
                (Column::Time, Times::Delta) => "delta_s",
                (Column::What, _) => "what (±bytes by cause, ~ inferred)",
                (column, _) => {
                    let all = Column::NAMES.iter();
                    all.into_iter()
                        .find(|(_, c)| c == column)
                        .map_or("", |n| n.0)
                }
            };
            if !out.is_empty() {
                out.literal(b" ");
            }
            match column {
                Column::What if !out.is_empty() => out.text(&format!(" {name}")),
                column if column.is_left() => out.text(&format!("{name:width$}")),
                _ => out.text(&format!("{name:>width$}")),
            }
        }
        self.finish(&mut out, 0..0);
        String::from_utf8(out.as_bytes().to_vec()).unwrap_or_default()
    }

    /// Appends one event to `line`. Without a newline.
    pub fn write_event(&mut self, line: &mut LineBuffer, event: &Event, names: Names<'_>) {
        let view = &event.view;
        let lockless = event.header.flags & FLAG_LOCKLESS != 0;
        let changed = if lockless { 0 } else { booked(event) };
        let task = (event.header.flags, event.pid, event.tid);
        self.write(
            line,
            &event.header,
            event.time_ns,
            task,
            names,
            event.socket,
            |line, column, cell| {
                let number = match column {
                    Column::WmemQueued if changed != 0 => {
                        let before = view.wmem_queued.wrapping_sub(changed);
                        return line.change_at_right(cell, before, view.wmem_queued);
                    }
                    Column::WmemQueued => view.wmem_queued.into(),
                    Column::Sndbuf => view.sndbuf.into(),
                    Column::ForwardAlloc => view.forward_alloc.into(),
                    Column::WmemAlloc => view.wmem_alloc.into(),
                    Column::SendQ => view.send_q().into(),
                    Column::Window => view.snd_wnd.into(),
                    _ => return event_text(line, event),
                };
                line.number_at_right(cell, number);
            },
        );
    }

    /// Appends a change of the receive side to `line`; the columns of the send
    /// side stay empty. Without a newline.
    pub fn write_receive(&mut self, line: &mut LineBuffer, record: &Receive, names: Names<'_>) {
        let task = (record.header.flags, record.pid, record.tid);
        self.write(
            line,
            &record.header,
            record.time_ns,
            task,
            names,
            record.socket,
            |line, column, cell| match column {
                Column::ForwardAlloc => {
                    line.number_at_right(cell, record.view.forward_alloc.into());
                }
                Column::What => receive_text(line, record),
                _ => line.text.blanks(cell.gap + cell.width),
            },
        );
    }

    /// What all records have, and by `rest` what is in the other columns.
    #[expect(clippy::too_many_arguments, reason = "what all records have")]
    fn write(
        &mut self,
        out: &mut LineBuffer,
        header: &Header,
        time_ns: u64,
        task: (u8, u32, u32),
        names: Names<'_>,
        socket: u64,
        rest: impl Fn(&mut Line<'_>, Column, Cell),
    ) {
        let zero = *self.zero_ns.get_or_insert(time_ns);
        if self.last_ns == 0 {
            self.last_ns = zero;
        }
        let mut hook = 0..0;
        let mut line = Line {
            text: out,
            grouped: self.grouped,
            cut: self.cut.is_some(),
        };
        for (column, width) in &self.columns {
            let begin = line.text.len();
            let gap = usize::from(begin != 0);
            let cell = Cell { gap, width: *width };
            match column {
                Column::Time => match self.times {
                    Times::Relative => seconds(line.text, cell, zero, time_ns),
                    Times::Delta => seconds(line.text, cell, self.last_ns, time_ns),
                    Times::Wall => {
                        line.text.blanks(gap);
                        clock(line.text, self.wall_ns(time_ns));
                    }
                },
                Column::Cpu => line.number_at_right(cell, header.cpu.into()),
                Column::Task => line.at_left(cell, |line| line.task(task, names.task)),
                Column::Socket => line.at_left(cell, |line| line.socket(names.ends, socket)),
                Column::Ports => line.at_left(cell, |line| match names.ends {
                    Some(ends) => line.ports(ends),
                    None => line.socket(None, socket),
                }),
                Column::Hook => {
                    line.at_left(cell, |line| line.name(hook_name(header.hook)));
                    hook = begin..line.text.len();
                }
                Column::What => {
                    // Two blanks before words.
                    line.text.blanks(2 * gap);
                    rest(&mut line, Column::What, cell);
                }
                column => rest(&mut line, *column, cell),
            }
        }
        self.last_ns = time_ns;
        self.finish(out, hook);
    }

    /// Cuts the line where the terminal ends, and colours the hook's name.
    fn finish(&self, out: &mut LineBuffer, hook: std::ops::Range<usize>) {
        if let Some(cut) = self.cut {
            let mut starts = (0..out.len()).filter(|at| begins_letter(out.as_bytes()[*at]));
            let last = starts.nth(cut.saturating_sub(1)).unwrap_or(0);
            if starts.next().is_some() {
                out.truncate(last);
                out.text("…");
            }
        }
        out.truncate(out.as_bytes().trim_ascii_end().len());
        if let Some([begin, end]) = &self.colour
            && hook.end <= out.len()
            && !hook.is_empty()
        {
            out.insert(hook.end, end.as_bytes());
            out.insert(hook.start, begin.as_bytes());
        }
    }
}

/// How many letters a text has.
#[inline]
fn letters(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.chars().count()
}

/// Whether a byte of UTF-8 is the first one of its letter.
fn begins_letter(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

/// What the operations of an event add to `wmem_queued`.
fn booked(event: &Event) -> i32 {
    let used = usize::from(event.header.ops).min(OPS);
    let books = event.ops[..used].iter().filter(|op| op.kind == OP_BOOK);
    books.fold(0, |sum, op| sum.wrapping_add(op.value))
}

/// Seconds with microseconds since `from`, at the right of its cell; a record that was read out
/// of order may be before it.
fn seconds(out: &mut LineBuffer, cell: Cell, from: u64, ns: u64) {
    let us = ns.abs_diff(from) / 1_000;
    // Of 64 bits of ns: some ten digits.
    let seconds = (us / 1_000_000).cast_signed();
    let width = cell.width - ".000000".len();
    if ns >= from {
        out.number_at_right(Cell { width, ..cell }, seconds);
    } else {
        out.blanks(cell.gap + width.saturating_sub(1 + length(seconds)));
        out.literal(b"-");
        out.number(seconds);
    }
    out.millionths((us % 1_000_000) as u32);
}

impl Line<'_> {
    /// A text at the left of its cell; how many letters it has is what `text` returns.
    #[inline]
    fn at_left(&mut self, cell: Cell, text: impl FnOnce(&mut Self) -> usize) {
        self.text.blanks(cell.gap);
        let letters = text(self);
        self.text.blanks(cell.width.saturating_sub(letters));
    }

    /// Letters of ASCII.
    #[inline]
    fn name(&mut self, name: &str) -> usize {
        self.push(name);
        name.len()
    }

    fn task(&mut self, (flags, pid, tid): (u8, u32, u32), name: &str) -> usize {
        if flags & FLAG_TASK == 0 {
            return self.name("softirq");
        }
        // Records name those that send; another may move the socket's state.
        let name = if name.is_empty() { "?" } else { name };
        self.push(name);
        let from = self.text.len();
        self.text.literal(b"/");
        self.text.number(pid);
        if tid != pid {
            self.text.literal(b":");
            self.text.number(tid);
        }
        letters(name) + self.text.len() - from
    }

    /// Both ends, or the number of a socket that is not known.
    fn socket(&mut self, ends: Option<&str>, id: u64) -> usize {
        if let Some(ends) = ends {
            return self.name(ends);
        }
        let from = self.text.len();
        // A buffer takes everything.
        let _ = write!(self.text, "{id:#x}");
        self.text.len() - from
    }

    /// `:40000>:5001`, of both ends.
    fn ports(&mut self, ends: &str) -> usize {
        let from = self.text.len();
        for (n, end) in ends.split('>').enumerate() {
            if n > 0 {
                self.push(">");
            }
            self.push(end.rfind(':').map_or(end, |at| &end[at..]));
        }
        self.text.len() - from
    }
}
