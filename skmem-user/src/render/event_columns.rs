//! The columns of event lines: which there are, which a terminal has room for,
//! and what stands in them.

use skmem_common::record::{Event, FLAG_LOCKLESS, FLAG_TASK, Header, OP_BOOK, OPS, Receive};

use super::{
    date::{clock, utc},
    event_line::{Line, Names, event_text, receive_text},
    line_buffer::LineBuffer,
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
    columns: Vec<Column>,
    times: Times,
    /// Numbers in groups of three: for people; plain for `grep` and `awk`.
    grouped: bool,
    colour: bool,
    /// Lines are cut here.
    cut: Option<usize>,
    /// The first event's time; None: there was none yet.
    zero_ns: Option<u64>,
    /// The time of the line before.
    last_ns: u64,
    /// `CLOCK_REALTIME` less `CLOCK_MONOTONIC`.
    wall_offset_ns: u64,
    /// The cell under way.
    cell: LineBuffer,
}

impl EventLines {
    /// All columns, plain numbers, nothing cut: for programs.
    #[must_use]
    pub fn plain(style: &Style) -> Self {
        Self {
            columns: NARROWER[0].0.to_vec(),
            times: Times::Relative,
            grouped: false,
            colour: style.colour,
            cut: None,
            zero_ns: None,
            last_ns: 0,
            wall_offset_ns: 0,
            cell: LineBuffer::default(),
        }
    }

    /// As many columns as a terminal of [`Style::width`] has room for, grouped
    /// numbers, an event in a line.
    #[must_use]
    pub fn of_terminal(style: &Style, times: Times) -> Self {
        let mut lines = Self {
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
        lines.columns = fit.unwrap_or(&NARROWER[NARROWER.len() - 1]).0.to_vec();
        lines
    }

    /// These columns instead.
    #[must_use]
    pub fn with_columns(mut self, columns: &[Column]) -> Self {
        self.columns = columns.to_vec();
        self
    }

    /// This column of times.
    #[must_use]
    pub fn with_times(mut self, times: Times) -> Self {
        self.times = times;
        self
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
        let (mut out, mut cell) = (LineBuffer::default(), LineBuffer::default());
        for column in &self.columns {
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
            self.cell(&mut out, *column, &mut cell, |out| out.text(name));
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
            |column| {
                Some(match column {
                    Column::WmemQueued if changed == 0 => view.wmem_queued.into(),
                    Column::Sndbuf => view.sndbuf.into(),
                    Column::ForwardAlloc => view.forward_alloc.into(),
                    Column::WmemAlloc => view.wmem_alloc.into(),
                    Column::SendQ => view.send_q().into(),
                    Column::Window => view.snd_wnd.into(),
                    _ => return None,
                })
            },
            |line, column| match column {
                Column::WmemQueued => {
                    line.number(view.wmem_queued.wrapping_sub(changed));
                    line.push("→");
                    line.number(view.wmem_queued);
                }
                Column::What => event_text(line, event),
                _ => {}
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
            |column| (column == Column::ForwardAlloc).then(|| record.view.forward_alloc.into()),
            |line, column| {
                if column == Column::What {
                    receive_text(line, record);
                }
            },
        );
    }

    #[expect(clippy::too_many_arguments, reason = "what all records have")]
    fn write(
        &mut self,
        out: &mut LineBuffer,
        header: &Header,
        time_ns: u64,
        task: (u8, u32, u32),
        names: Names<'_>,
        socket: u64,
        number: impl Fn(Column) -> Option<i64>,
        words: impl Fn(&mut Line<'_>, Column),
    ) {
        let zero = *self.zero_ns.get_or_insert(time_ns);
        if self.last_ns == 0 {
            self.last_ns = zero;
        }
        let mut hook = 0..0;
        let mut cell = std::mem::take(&mut self.cell);
        for column in &self.columns {
            let number = match column {
                Column::Cpu => Some(header.cpu.into()),
                column => number(*column),
            };
            if let Some(n) = number.filter(|_| !self.grouped) {
                if !out.is_empty() {
                    out.literal(b" ");
                }
                out.number_at_right(self.width(*column), n);
                continue;
            }
            let from = out.len();
            self.cell(out, *column, &mut cell, |out| {
                let mut line = Line {
                    text: out,
                    grouped: self.grouped,
                    cut: self.cut.is_some(),
                };
                match column {
                    Column::Time => match self.times {
                        Times::Relative => seconds(&mut line, zero, time_ns),
                        Times::Delta => seconds(&mut line, self.last_ns, time_ns),
                        Times::Wall => clock(line.text, self.wall_ns(time_ns)),
                    },
                    Column::Task => line.task(task, names.task),
                    Column::Socket => match names.ends {
                        Some(ends) => line.push(ends),
                        None => line.push(&format!("{socket:#x}")),
                    },
                    Column::Ports => match names.ends {
                        Some(ends) => ports(&mut line, ends),
                        None => line.push(&format!("{socket:#x}")),
                    },
                    Column::Hook => line.push(hook_name(header.hook)),
                    column => match number {
                        Some(n) => line.number(n),
                        None => words(&mut line, *column),
                    },
                }
            });
            if *column == Column::Hook {
                hook = from..out.len();
            }
        }
        self.last_ns = time_ns;
        self.cell = cell;
        self.finish(out, hook);
    }

    /// Writes a cell: a blank before all but the first, two before words, and
    /// its text at the side where it belongs. `scratch` is for that text.
    #[inline]
    fn cell(
        &self,
        out: &mut LineBuffer,
        column: Column,
        scratch: &mut LineBuffer,
        text: impl FnOnce(&mut LineBuffer),
    ) {
        if column == Column::What {
            if !out.is_empty() {
                out.literal(b"  ");
            }
            return text(out);
        }
        if !out.is_empty() {
            out.literal(b" ");
        }
        let width = self.width(column);
        if column.is_left() {
            let from = out.len();
            text(out);
            let used = letters(&out.as_bytes()[from..]);
            out.blanks(width.saturating_sub(used));
        } else {
            scratch.clear();
            text(scratch);
            out.blanks(width.saturating_sub(letters(scratch.as_bytes())));
            out.bytes(scratch.as_bytes());
        }
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
        if self.colour && hook.end <= out.len() && !hook.is_empty() {
            let style = Style {
                colour: true,
                ..Style::PLAIN
            };
            let rest = out.as_bytes()[hook.end..].to_vec();
            let name = String::from_utf8_lossy(&out.as_bytes()[hook.clone()]);
            let name = style.paint(Role::Name, &name);
            out.truncate(hook.start);
            out.text(&name);
            out.bytes(&rest);
        }
    }
}

/// How many letters a text has.
#[inline]
fn letters(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.iter().filter(|byte| begins_letter(**byte)).count()
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

/// Seconds with microseconds since `from`; a record that was read out of order
/// may be before it.
fn seconds(line: &mut Line<'_>, from: u64, ns: u64) {
    let ns = match ns.checked_sub(from) {
        Some(ns) => ns,
        None => {
            line.push("-");
            from - ns
        }
    };
    let us = ns / 1_000;
    line.plain(us / 1_000_000);
    // The digits after a leading one keep their zeros, and the point takes its place.
    let point = line.text.len();
    line.plain(1_000_000 + us % 1_000_000);
    line.text.as_mut_bytes()[point] = b'.';
}

/// `:40000>:5001`, of both ends.
fn ports(line: &mut Line<'_>, ends: &str) {
    for (n, end) in ends.split('>').enumerate() {
        if n > 0 {
            line.push(">");
        }
        line.push(end.rfind(':').map_or(end, |at| &end[at..]));
    }
}

impl Line<'_> {
    fn task(&mut self, (flags, pid, tid): (u8, u32, u32), name: &str) {
        if flags & FLAG_TASK == 0 {
            self.push("softirq");
            return;
        }
        // Records name those that send; another may move the socket's state.
        self.push(if name.is_empty() { "?" } else { name });
        self.push("/");
        self.plain(pid);
        if tid != pid {
            self.push(":");
            self.plain(tid);
        }
    }
}
