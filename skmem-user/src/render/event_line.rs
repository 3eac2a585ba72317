//! What a trace event's line says in words: what a call was asked, what it
//! answered, which bytes it booked.

use skmem_common::{
    account::{WAIT_BEGINS, WAIT_OTHER},
    hook::Hook,
    memory::Grant,
    record::{Event, FLAG_LOCKLESS, FLAG_STEP, Ident, Receive},
};

use super::{
    escape::escaped,
    event_columns::EventLines,
    line_buffer::LineBuffer,
    ops::{Decoded, decoded, received, wait_reason},
    style::Style,
    who::{comm, short},
};
use crate::explain::{numbers::grouped, state_name};

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
    /// Keeps what follows apart from what is there.
    fn apart(&mut self) {
        if !self.text.is_empty() && !self.text.as_bytes().ends_with(b"  ") {
            self.push("  ");
        }
    }

    /// A number of bytes.
    pub fn number(&mut self, n: impl Into<i64> + Into<i128>) {
        if self.grouped {
            self.push(&grouped(n.into()));
        } else {
            self.plain(n);
        }
    }

    /// A number in its decimal digits: a line has a dozen, and `fmt` takes
    /// long.
    pub fn plain(&mut self, n: impl Into<i128>) {
        self.text.number(n);
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
    if line.cut {
        operations(line, event);
        said(line, event);
    } else {
        said(line, event);
        operations(line, event);
    }
    if event.header.flags & FLAG_LOCKLESS != 0 {
        line.apart();
        line.push("(lockless)");
    }
}

fn said(line: &mut Line<'_>, event: &Event) {
    let from = line.text.len();
    line.apart();
    if event.header.flags & FLAG_STEP != 0 {
        line.push("so far:");
    } else if !call(line, event) {
        line.text.truncate(from);
    }
}

fn operations(line: &mut Line<'_>, event: &Event) {
    for op in decoded(event) {
        line.apart();
        operation(line, op);
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
        line.apart();
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
            line.push(" bytes");
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
            line.push("→");
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
            line.push("→");
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

fn operation(line: &mut Line<'_>, op: Decoded) {
    let tilde = |tier: &str| if tier == "inferred" { "~" } else { "" };
    match op {
        Decoded::Book { cause, bytes, tier } => {
            line.push(cause);
            line.push(" ");
            line.push(tilde(tier));
            if bytes >= 0 {
                line.push("+");
            }
            line.number(bytes);
        }
        Decoded::Admit { sndbuf } => {
            line.push("admitted below ");
            line.number(sndbuf);
        }
        Decoded::Limit {
            cause,
            sndbuf,
            tier,
        } => {
            line.push("limit ");
            line.push(tilde(tier));
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
            line.push(&format!("op{kind}/{cause} {value}"));
        }
    }
}
