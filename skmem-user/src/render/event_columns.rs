//! The columns of event lines: which there are, which a terminal has room for,
//! and what stands in them.

use std::fmt::Write as _;

use skmem_common::record::{Event, FLAG_LOCKLESS, FLAG_TASK, Header, OP_BOOK, OPS, Receive};

use super::{
    date::{clock, utc},
    event_line::{Line, Names, event_text, receive_text},
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
        let mut out = String::new();
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
            self.cell(&mut out, *column, |out| out.push_str(name));
        }
        self.finish(&mut out, 0..0);
        out
    }

    /// Appends one event to `line`. Without a newline.
    pub fn write_event(&mut self, line: &mut String, event: &Event, names: Names<'_>) {
        let view = &event.view;
        let task = (event.header.flags, event.pid, event.tid);
        self.write(
            line,
            &event.header,
            event.time_ns,
            task,
            names,
            event.socket,
            |line, column| match column {
                Column::WmemQueued => {
                    let booked = booked(event);
                    if event.header.flags & FLAG_LOCKLESS == 0 && booked != 0 {
                        line.number(view.wmem_queued.wrapping_sub(booked));
                        line.text.push('→');
                    }
                    line.number(view.wmem_queued);
                }
                Column::Sndbuf => line.number(view.sndbuf),
                Column::ForwardAlloc => line.number(view.forward_alloc),
                Column::WmemAlloc => line.number(view.wmem_alloc),
                Column::SendQ => line.number(view.send_q()),
                Column::Window => line.number(view.snd_wnd),
                Column::What => event_text(line, event),
                _ => {}
            },
        );
    }

    /// Appends a change of the receive side to `line`; the columns of the send
    /// side stay empty. Without a newline.
    pub fn write_receive(&mut self, line: &mut String, record: &Receive, names: Names<'_>) {
        let task = (record.header.flags, record.pid, record.tid);
        self.write(
            line,
            &record.header,
            record.time_ns,
            task,
            names,
            record.socket,
            |line, column| match column {
                Column::ForwardAlloc => line.number(record.view.forward_alloc),
                Column::What => receive_text(line, record),
                _ => {}
            },
        );
    }

    #[expect(clippy::too_many_arguments, reason = "what all records have")]
    fn write(
        &mut self,
        out: &mut String,
        header: &Header,
        time_ns: u64,
        task: (u8, u32, u32),
        names: Names<'_>,
        socket: u64,
        mut own: impl FnMut(&mut Line<'_>, Column),
    ) {
        let zero = *self.zero_ns.get_or_insert(time_ns);
        if self.last_ns == 0 {
            self.last_ns = zero;
        }
        let mut hook = 0..0;
        for column in &self.columns {
            let from = out.len();
            self.cell(out, *column, |out| {
                let mut line = Line {
                    text: out,
                    grouped: self.grouped,
                    cut: self.cut.is_some(),
                };
                match column {
                    Column::Time => match self.times {
                        Times::Relative => seconds(line.text, zero, time_ns),
                        Times::Delta => seconds(line.text, self.last_ns, time_ns),
                        Times::Wall => clock(line.text, self.wall_ns(time_ns)),
                    },
                    Column::Cpu => line.number(header.cpu),
                    Column::Task => line.task(task, names.task),
                    Column::Socket => match names.ends {
                        Some(ends) => line.text.push_str(ends),
                        None => _ = write!(line.text, "{socket:#x}"),
                    },
                    Column::Ports => match names.ends {
                        Some(ends) => ports(line.text, ends),
                        None => _ = write!(line.text, "{socket:#x}"),
                    },
                    Column::Hook => line.text.push_str(hook_name(header.hook)),
                    column => own(&mut line, *column),
                }
            });
            if *column == Column::Hook {
                hook = from..out.len();
            }
        }
        self.last_ns = time_ns;
        self.finish(out, hook);
    }

    /// Writes a cell: a blank before all but the first, two before words, and
    /// its text at the side where it belongs.
    fn cell(&self, out: &mut String, column: Column, text: impl FnOnce(&mut String)) {
        if !out.is_empty() {
            out.push_str(if column == Column::What { "  " } else { " " });
        }
        let from = out.len();
        text(out);
        let used = out[from..].chars().count();
        let missing = self.width(column).saturating_sub(used);
        if column.is_left() {
            blanks(out, missing);
        } else {
            out.insert_str(from, &BLANKS[..missing.min(BLANKS.len())]);
        }
    }

    /// Cuts the line where the terminal ends, and colours the hook's name.
    fn finish(&self, out: &mut String, hook: std::ops::Range<usize>) {
        if let Some(cut) = self.cut
            && let Some((at, _)) = out.char_indices().nth(cut)
        {
            let last = out[..at].char_indices().next_back().map_or(0, |(n, _)| n);
            out.truncate(last);
            out.push('…');
        }
        out.truncate(out.trim_end_matches(' ').len());
        if self.colour && hook.end <= out.len() && !hook.is_empty() {
            let style = Style {
                colour: true,
                ..Style::PLAIN
            };
            let name = style.paint(Role::Name, &out[hook.clone()]);
            out.replace_range(hook, &name);
        }
    }
}

/// What the operations of an event add to `wmem_queued`.
fn booked(event: &Event) -> i32 {
    let used = usize::from(event.header.ops).min(OPS);
    let books = event.ops[..used].iter().filter(|op| op.kind == OP_BOOK);
    books.fold(0, |sum, op| sum.wrapping_add(op.value))
}

/// Seconds with microseconds since `from`; a record that was read out of order
/// may be before it.
fn seconds(line: &mut String, from: u64, ns: u64) {
    let ns = match ns.checked_sub(from) {
        Some(ns) => ns,
        None => {
            line.push('-');
            from - ns
        }
    };
    let us = ns / 1_000;
    let mut buffer = itoa::Buffer::new();
    line.push_str(buffer.format(us / 1_000_000));
    line.push('.');
    // The digits after a leading one keep their zeros.
    let mut buffer = itoa::Buffer::new();
    line.push_str(&buffer.format(1_000_000 + us % 1_000_000)[1..]);
}

/// `:40000>:5001`, of both ends.
fn ports(line: &mut String, ends: &str) {
    for (n, end) in ends.split('>').enumerate() {
        if n > 0 {
            line.push('>');
        }
        line.push_str(end.rfind(':').map_or(end, |at| &end[at..]));
    }
}

impl Line<'_> {
    fn task(&mut self, (flags, pid, tid): (u8, u32, u32), name: &str) {
        if flags & FLAG_TASK == 0 {
            self.text.push_str("softirq");
            return;
        }
        // Records name those that send; another may move the socket's state.
        self.text.push_str(if name.is_empty() { "?" } else { name });
        self.text.push('/');
        self.plain(pid);
        if tid != pid {
            self.text.push(':');
            self.plain(tid);
        }
    }
}

const BLANKS: &str = "                                        ";

fn blanks(line: &mut String, n: usize) {
    line.push_str(&BLANKS[..n.min(BLANKS.len())]);
}
