//! A trace event as a line for people. Numbers are plain, for `grep` and
//! `awk`.

use std::fmt::Write;

use skmem_common::{
    hook::Hook,
    memory::Grant,
    record::{Event, FLAG_LOCKLESS, FLAG_STEP, FLAG_TASK, Header, Ident},
};

use super::{
    escape::escaped,
    ops::{Decoded, decoded, hook_name, wait_reason},
    style::{Role, Style},
    who::{comm, short},
};
use crate::explain::state_name;

/// The line above event lines. Without a newline.
#[must_use]
pub fn event_header() -> String {
    format!(
        "{:>12} {:>3} {:<22} {:<33} {:<22} {:>17} {:>9} {:>7} {:>9}  {}",
        "time_s",
        "cpu",
        "task",
        "socket",
        "hook",
        "wmem_queued",
        "sndbuf",
        "fwd",
        "send_q",
        "what (causes: ±bytes, ~ inferred)"
    )
}

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

/// One event; `who` is its socket, where that is known. The task's name is
/// the socket's first user's, where the event is of that process. Without a
/// newline.
#[must_use]
pub fn event_line(event: &Event, who: Option<&Ident>, style: &Style) -> String {
    let ends = who.map(short);
    let task = who.filter(|w| w.pid == event.pid);
    let task = task.map(|w| event_task(&w.comm)).unwrap_or_default();
    let mut line = String::new();
    let names = Names {
        ends: ends.as_deref(),
        task: &task,
    };
    write_event_line(&mut line, event, names, style);
    line
}

/// Appends one event to `line`. Without a newline.
pub fn write_event_line(line: &mut String, event: &Event, names: Names<'_>, style: &Style) {
    let view = &event.view;
    let lockless = event.header.flags & FLAG_LOCKLESS != 0;
    let task = (event.header.flags, event.pid, event.tid);
    begin(
        line,
        &event.header,
        event.time_ns,
        task,
        names,
        event.socket,
        style,
    );
    let from = line.len();
    if !lockless && event.before.wmem_queued != view.wmem_queued {
        number(line, event.before.wmem_queued);
        line.push('→');
    }
    number(line, view.wmem_queued);
    align_right(line, from, 17);
    cell(line, view.sndbuf, 9);
    cell(line, view.forward_alloc, 7);
    cell(line, view.send_q(), 9);
    if event.header.flags & FLAG_STEP != 0 {
        line.push_str("  so far:");
    } else {
        let from = line.len();
        line.push_str("  ");
        if !call(line, event) {
            line.truncate(from);
        }
    }
    for op in decoded(event) {
        line.push_str("  ");
        operation(line, op);
    }
    if lockless {
        line.push_str("  (lockless)");
    }
}

/// The columns that all records have: when, where, who, which socket, which
/// hook.
pub(super) fn begin(
    line: &mut String,
    header: &Header,
    time_ns: u64,
    (flags, pid, tid): (u8, u32, u32),
    names: Names<'_>,
    socket: u64,
    style: &Style,
) {
    let from = line.len();
    time(line, time_ns, style);
    align_right(line, from, 12);
    cell(line, header.cpu, 3);
    line.push(' ');
    let from = line.len();
    if flags & FLAG_TASK == 0 {
        line.push_str("softirq");
    } else {
        // Records name those that send; another may move the socket's state.
        line.push_str(if names.task.is_empty() {
            "?"
        } else {
            names.task
        });
        line.push('/');
        number(line, pid);
        if tid != pid {
            line.push(':');
            number(line, tid);
        }
    }
    align_left(line, from, 22);
    line.push(' ');
    let from = line.len();
    match names.ends {
        Some(ends) => line.push_str(ends),
        None => _ = write!(line, "{socket:#x}"),
    }
    align_left(line, from, 33);
    line.push(' ');
    let name = hook_name(header.hook);
    if style.colour {
        line.push_str(&style.paint(Role::Name, format_args!("{name:<22}")));
    } else {
        let from = line.len();
        line.push_str(name);
        align_left(line, from, 22);
    }
    line.push(' ');
}

/// A number in its decimal digits: a line has a dozen, and `fmt` takes long.
pub(super) fn number(line: &mut String, n: impl itoa::Integer) {
    line.push_str(itoa::Buffer::new().format(n));
}

/// A blank, and a number at the right of `width` columns.
pub(super) fn cell(line: &mut String, n: impl itoa::Integer, width: usize) {
    line.push(' ');
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(n);
    blanks(line, width.saturating_sub(digits.len()));
    line.push_str(digits);
}

/// Fills what begins at `from` up to `width` columns, at its right end.
fn align_left(line: &mut String, from: usize, width: usize) {
    let used = line[from..].chars().count();
    blanks(line, width.saturating_sub(used));
}

/// Likewise at its left end.
fn align_right(line: &mut String, from: usize, width: usize) {
    let used = line[from..].chars().count();
    let missing = width.saturating_sub(used);
    line.insert_str(from, &BLANKS[..missing.min(BLANKS.len())]);
}

const BLANKS: &str = "                                        ";

pub(super) fn blanks(line: &mut String, n: usize) {
    line.push_str(&BLANKS[..n.min(BLANKS.len())]);
}

/// Seconds with microseconds since the first event; one that was read out of
/// order may be before it.
fn time(line: &mut String, ns: u64, style: &Style) {
    let ns = match ns.checked_sub(style.zero_ns) {
        Some(ns) => ns,
        None => {
            line.push('-');
            style.zero_ns - ns
        }
    };
    let us = ns / 1_000;
    number(line, us / 1_000_000);
    line.push('.');
    // The digits after a leading one keep their zeros.
    let mut buffer = itoa::Buffer::new();
    line.push_str(&buffer.format(1_000_000 + us % 1_000_000)[1..]);
}

/// What the call was asked for and answered; false where there is nothing to
/// say.
fn call(line: &mut String, event: &Event) -> bool {
    let ret = event.ret;
    let Some(hook) = Hook::from_u8(event.header.hook) else {
        return false;
    };
    match hook {
        Hook::Sendmsg | Hook::SendmsgLocked | Hook::Sendpages => {
            number(line, event.arg);
            line.push_str(" bytes: ");
            answer(line, ret);
        }
        Hook::AllocSkb => {
            if ret == 0 {
                line.push_str("no skb");
            } else {
                line.push_str("truesize ");
                number(line, event.truesize);
            }
            if event.kind & 1 != 0 {
                line.push_str(" forced");
            }
        }
        Hook::MemSchedule => {
            if event.kind != 0 {
                line.push_str("receive: ");
            }
            number(line, event.arg);
            line.push_str(" bytes ");
            line.push_str(grant(ret));
            line.push_str(": fwd ");
            number(line, event.before.forward_alloc);
            line.push('→');
            number(line, event.view.forward_alloc);
        }
        Hook::ForcedSchedule => {
            number(line, event.arg);
            line.push_str(" bytes, whatever the limits say");
        }
        Hook::Zerocopy => {
            line.push_str("skb truesize ");
            number(line, event.truesize);
        }
        Hook::WaitMemory => {
            let sleeps = event.kind == 1;
            line.push_str(if sleeps { "sleeps: " } else { "held up: " });
            line.push_str(wait_reason(event.arg));
            if !sleeps {
                line.push_str("; ");
                answer(line, ret);
            }
        }
        Hook::WaitConnect if event.kind == 1 => line.push_str("sleeps: no connection yet"),
        Hook::WaitConnect => answer(line, ret),
        Hook::Setsockopt => {
            let force = if event.kind != 0 { "FORCE" } else { "" };
            line.push_str("SO_SNDBUF");
            line.push_str(force);
            line.push('=');
            number(line, event.arg);
        }
        Hook::SetState => {
            line.push_str(state(event.kind));
            line.push('→');
            line.push_str(state(event.arg.cast_unsigned()));
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
fn answer(line: &mut String, ret: i32) {
    line.push_str(match ret {
        -11 => "EAGAIN",
        -12 => "ENOMEM",
        -14 => "EFAULT",
        -32 => "EPIPE",
        -104 => "ECONNRESET",
        -110 => "ETIMEDOUT",
        -115 => "EINPROGRESS",
        -512 => "ERESTARTSYS",
        -4095..0 => {
            line.push_str("error ");
            return number(line, -i64::from(ret));
        }
        _ => return number(line, ret),
    });
}

fn operation(line: &mut String, op: Decoded) {
    let tilde = |tier: &str| if tier == "inferred" { "~" } else { "" };
    match op {
        Decoded::Book { cause, bytes, tier } => {
            line.push_str(cause);
            line.push(' ');
            line.push_str(tilde(tier));
            if bytes >= 0 {
                line.push('+');
            }
            number(line, bytes);
        }
        Decoded::Admit { sndbuf } => {
            line.push_str("admitted below ");
            number(line, sndbuf);
        }
        Decoded::Limit {
            cause,
            sndbuf,
            tier,
        } => {
            line.push_str("limit ");
            line.push_str(tilde(tier));
            number(line, sndbuf);
            line.push_str(" (");
            line.push_str(cause);
            line.push(')');
        }
        Decoded::Unknown { kind, cause, value } => {
            _ = write!(line, "op{kind}/{cause} {value}");
        }
    }
}
