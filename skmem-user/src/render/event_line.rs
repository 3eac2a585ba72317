//! What a trace event's line says in words: what a call was asked, what it
//! answered, which bytes it booked.

use std::io::Write as _;

use skmem_common::{
    account::{WAIT_BEGINS, WAIT_OTHER},
    hook::Hook,
    memory::Grant,
    record::{Event, FLAG_LOCKLESS, FLAG_STEP, Ident, Receive},
};

use super::{
    escape::escaped,
    event_columns::EventLines,
    identity::{comm, short},
    line_buffer::{ARROW, Cell, LineBuffer},
    ops::{Decoded, decoded, received, wait_reason},
    style::Style,
};
use crate::explain::state_name;

/// What a line says of its socket and its task, made once and not for each
/// line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    /// Both ends of the socket ([`super::ends`]), where they are known.
    pub ends: Option<&'a str>,
    /// The task's name, safe for a terminal ([`event_task`]).
    pub task: &'a str,
}

/// A task's name, as a line has it. `comm` is NUL-padded, as in the kernel.
#[must_use]
pub fn event_task(name: &[u8; 16]) -> String {
    escaped(&comm(name))
}

/// One event with all columns and plain numbers; `who` is its socket, where
/// that is known. The task's name is the socket's first user's, where the event
/// is of that process. Times count from [`Style::zero_ns`]. Without a newline.
#[must_use]
pub fn event_line(event: &Event, who: Option<&Ident>, style: &Style) -> String {
    let ends = who.map(short);
    let task = who.filter(|w| w.pid == event.pid);
    let task = task.map(|w| event_task(&w.comm)).unwrap_or_default();
    let mut line = LineBuffer::default();
    let names = Names {
        ends: ends.as_deref(),
        task: &task,
    };
    let mut lines = EventLines::plain(style).since(style.zero_ns);
    lines.write_event(&mut line, event, names);
    String::from_utf8(line.as_bytes().to_vec()).unwrap_or_default()
}

/// The line above it. Without a newline.
#[must_use]
pub fn event_header() -> String {
    EventLines::plain(&Style::PLAIN).header()
}

/// A line as it is written.
pub(super) struct Line<'a> {
    pub text: &'a mut LineBuffer,
    /// Numbers in groups of three.
    pub grouped: bool,
    /// It may be cut.
    pub cut: bool,
}

impl Line<'_> {
    /// A number of bytes.
    #[inline]
    pub fn number(&mut self, n: impl Into<i64>) {
        let n = n.into();
        if self.grouped {
            self.text.grouped(n);
        } else {
            self.text.number(n);
        }
    }

    /// The same at the right of its cell.
    #[inline]
    pub fn number_at_right(&mut self, cell: Cell, n: i64) {
        if self.grouped {
            self.text.grouped_at_right(cell, n);
        } else {
            self.text.number_at_right(cell, n);
        }
    }

    /// What a number was, and what it is, there.
    #[inline]
    pub fn change_at_right(&mut self, cell: Cell, before: i32, now: i32) {
        let (before, now) = (before.into(), now.into());
        if self.grouped {
            self.text.grouped_change_at_right(cell, before, now);
        } else {
            self.text.change_at_right(cell, before, now);
        }
    }

    /// Words.
    #[inline]
    pub fn push(&mut self, words: &str) {
        self.text.text(words);
    }
}

/// What an event's call was asked and answered, and what was booked; on a
/// terminal the latter first, for there lines are cut.
pub(super) fn event_text(line: &mut Line<'_>, event: &Event) {
    let from = line.text.len();
    if line.cut {
        operations(line, event);
    }
    said(line, event);
    if !line.cut {
        operations(line, event);
    }
    if event.header.flags & FLAG_LOCKLESS != 0 {
        line.push("(lockless)  ");
    }
    // What is said is followed by two blanks, but for the last.
    let used = line.text.len();
    if used != from {
        line.text.truncate(used - 2);
    }
}

fn said(line: &mut Line<'_>, event: &Event) {
    if event.header.flags & FLAG_STEP != 0 {
        line.push("so far:  ");
    } else if call(line, event) {
        line.text.literal(b"  ");
    }
}

fn operations(line: &mut Line<'_>, event: &Event) {
    for op in decoded(event) {
        operation(line, op);
        line.text.literal(b"  ");
    }
}

/// What arrived, or was read, and what the receive side holds then.
pub(super) fn receive_text(line: &mut Line<'_>, record: &Receive) {
    let view = &record.view;
    if record.header.hook == Hook::Read as u8 {
        line.push("the application read: ");
    } else if record.truesize != 0 {
        line.push("skb truesize ");
        line.number(record.truesize);
        line.push(": ");
    }
    for op in received(record) {
        operation(line, op);
        line.text.literal(b"  ");
    }
    line.push("recv_q ");
    line.number(view.recv_q());
    line.push(" rmem_alloc ");
    line.number(view.rmem_alloc);
    line.push(" of rcvbuf ");
    line.number(view.rcvbuf);
    line.push(" window ");
    line.number(view.window);
    line.push(" backlog ");
    line.number(view.backlog);
}

/// What the call was asked for and answered; false where there is nothing to
/// say.
fn call(line: &mut Line<'_>, event: &Event) -> bool {
    let ret = event.ret;
    let Some(hook) = Hook::from_u8(event.header.hook) else {
        return false;
    };
    match hook {
        Hook::Sendmsg | Hook::SendmsgLocked | Hook::Sendpages => {
            // A short write.
            if (0..event.arg).contains(&ret) {
                line.number(ret);
                line.push(" of ");
            }
            line.number(event.arg);
            line.text.literal(b" bytes");
            if ret < 0 {
                line.push(": ");
                answer(line, ret);
            }
        }
        Hook::AllocSkb => {
            if ret == 0 {
                line.push("no skb");
            } else {
                line.push("truesize ");
                line.number(event.truesize);
            }
            if event.kind & 1 != 0 {
                line.push(" forced");
            }
        }
        Hook::MemSchedule => {
            if event.kind != 0 {
                line.push("receive: ");
            }
            line.number(event.arg);
            line.push(" bytes ");
            line.push(grant(ret));
            line.push(": fwd ");
            line.number(event.before.forward_alloc);
            line.text.literal(ARROW);
            line.number(event.view.forward_alloc);
        }
        Hook::ForcedSchedule => {
            line.number(event.arg);
            line.push(" bytes, whatever the limits say");
        }
        Hook::Zerocopy => {
            line.push("skb truesize ");
            line.number(event.truesize);
        }
        Hook::WaitMemory => {
            let sleeps = event.kind & WAIT_BEGINS != 0;
            line.push(match (sleeps, event.kind & WAIT_OTHER != 0) {
                (true, false) => "sleeps: ",
                (true, true) => "slept before the trace: ",
                (false, false) => "held up: ",
                (false, true) => "held up after a part was taken: ",
            });
            line.push(wait_reason(event.arg));
            if !sleeps {
                line.push("; ");
                answer(line, ret);
            }
        }
        Hook::WaitConnect if event.kind == 1 => line.push("sleeps: no connection yet"),
        Hook::WaitConnect => answer(line, ret),
        Hook::Setsockopt => {
            let force = if event.kind != 0 { "FORCE" } else { "" };
            line.push("SO_SNDBUF");
            line.push(force);
            line.push("=");
            line.number(event.arg);
        }
        Hook::SetState => {
            line.push(state(event.kind));
            line.text.literal(ARROW);
            line.push(state(event.arg.cast_unsigned()));
        }
        _ => return false,
    }
    true
}

fn grant(ret: i32) -> &'static str {
    match Grant::from_i32(ret) {
        Some(Grant::Granted) => "granted",
        Some(Grant::GrantedOverTcpMem) => "granted over tcp_mem",
        Some(Grant::GrantedOverMemcg) => "granted over the cgroup's limit",
        Some(Grant::Refused) => "REFUSED",
        Some(Grant::RefusedOverTcpMem) => "REFUSED over tcp_mem",
        None => "answered unknown",
    }
}

fn state(n: u32) -> &'static str {
    state_name(u8::try_from(n).unwrap_or(0))
}

/// A return value: an errno has its name where senders meet it.
fn answer(line: &mut Line<'_>, ret: i32) {
    let name = match ret {
        -11 => "EAGAIN",
        -12 => "ENOMEM",
        -14 => "EFAULT",
        -32 => "EPIPE",
        -104 => "ECONNRESET",
        -110 => "ETIMEDOUT",
        -115 => "EINPROGRESS",
        -512 => "ERESTARTSYS",
        -4095..0 => {
            line.push("error ");
            return line.number(-i64::from(ret));
        }
        _ => return line.number(ret),
    };
    line.push(name);
}

/// Into the loops over them: an operation is not put together to be taken apart again.
#[inline(always)]
fn operation(line: &mut Line<'_>, op: Decoded) {
    match op {
        Decoded::Book { cause, bytes, tier } => {
            line.push(cause);
            line.text.literal(b" ");
            inferred(line, tier);
            if bytes >= 0 {
                line.text.literal(b"+");
            }
            line.number(bytes);
        }
        Decoded::Admit { sndbuf } => {
            line.text.literal(b"admitted below ");
            line.number(sndbuf);
        }
        Decoded::Limit {
            cause,
            sndbuf,
            tier,
        } => {
            line.push("limit ");
            inferred(line, tier);
            line.number(sndbuf);
            line.push(" (");
            line.push(cause);
            line.push(")");
        }
        Decoded::Rcvbuf { cause, rcvbuf } => {
            line.push("rcvbuf ");
            line.number(rcvbuf);
            line.push(" (");
            line.push(cause);
            line.push(")");
        }
        Decoded::Unknown { kind, cause, value } => {
            // A buffer takes everything.
            let _ = write!(line.text, "op{kind}/{cause} {value}");
        }
    }
}

fn inferred(line: &mut Line<'_>, tier: &str) {
    if tier == "inferred" {
        line.text.literal(b"~");
    }
}
