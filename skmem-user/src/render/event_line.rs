//! A trace event as a line for people. Numbers are plain, for `grep` and
//! `awk`.

use std::fmt::Write;

use skmem_common::{
    hook::Hook,
    memory::Grant,
    record::{Event, FLAG_LOCKLESS, FLAG_STEP, FLAG_TASK, Ident},
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

/// One event; `who` is its socket, where that is known. The task's name is
/// the socket's first user's, where the event is of that process. Without a
/// newline.
#[must_use]
pub fn event_line(event: &Event, who: Option<&Ident>, style: &Style) -> String {
    event_line_by(event, who, None, style)
}

/// Likewise, with the name of the task, where that is known.
#[must_use]
pub fn event_line_by(
    event: &Event,
    who: Option<&Ident>,
    task: Option<&str>,
    style: &Style,
) -> String {
    let view = &event.view;
    let lockless = event.header.flags & FLAG_LOCKLESS != 0;
    let w = if lockless || event.before.wmem_queued == view.wmem_queued {
        view.wmem_queued.to_string()
    } else {
        format!("{}→{}", event.before.wmem_queued, view.wmem_queued)
    };
    let socket = who.map_or_else(|| format!("{:#x}", event.socket), short);
    let hook = format!("{:<22}", hook_name(event.header.hook));
    let mut line = format!(
        "{} {:>3} {:<22} {socket:<33} {} {w:>17} {:>9} {:>7} {:>9}  ",
        time(event.time_ns, style),
        event.header.cpu,
        by(event.header.flags, (event.pid, event.tid), who, task),
        style.paint(Role::Name, hook),
        view.sndbuf,
        view.forward_alloc,
        view.send_q(),
    );
    let mut words: Vec<String> = Vec::new();
    if event.header.flags & FLAG_STEP != 0 {
        words.push("so far:".to_owned());
    } else if let Some(word) = call(event) {
        words.push(word);
    }
    words.extend(decoded(event).map(operation));
    if lockless {
        words.push("(lockless)".to_owned());
    }
    line.push_str(&words.join("  "));
    line.truncate(line.trim_end().len());
    line
}

/// Seconds with microseconds since the first event; one that was read out of
/// order may be before it.
pub(super) fn time(ns: u64, style: &Style) -> String {
    let (sign, ns) = match ns.checked_sub(style.zero_ns) {
        Some(ns) => ("", ns),
        None => ("-", style.zero_ns - ns),
    };
    let us = ns / 1_000;
    let time = format!("{sign}{}.{:06}", us / 1_000_000, us % 1_000_000);
    format!("{time:>12}")
}

/// Who called: `comm/pid`, with the thread where it is not the first one.
pub(super) fn by(
    flags: u8,
    (pid, tid): (u32, u32),
    who: Option<&Ident>,
    task: Option<&str>,
) -> String {
    if flags & FLAG_TASK == 0 {
        return "softirq".to_owned();
    }
    let first = || who.filter(|w| w.pid == pid).map(|w| comm(&w.comm));
    let name = task.map(str::to_owned).or_else(first).unwrap_or_default();
    let mut by = format!("{}/{pid}", escaped(&name));
    if tid != pid {
        let _ = write!(by, ":{tid}");
    }
    by
}

/// What the call was asked for and answered.
fn call(event: &Event) -> Option<String> {
    let ret = event.ret;
    Some(match Hook::from_u8(event.header.hook)? {
        Hook::Sendmsg | Hook::SendmsgLocked | Hook::Sendpages => {
            format!("{} bytes: {}", event.arg, answer(ret))
        }
        Hook::AllocSkb => {
            let forced = if event.kind & 1 != 0 { " forced" } else { "" };
            if ret == 0 {
                format!("no skb{forced}")
            } else {
                format!("truesize {}{forced}", event.truesize)
            }
        }
        Hook::MemSchedule => {
            let before = event.before.forward_alloc;
            format!(
                "{}{} bytes {}: fwd {before}→{}",
                if event.kind == 0 { "" } else { "receive: " },
                event.arg,
                grant(ret),
                event.view.forward_alloc
            )
        }
        Hook::ForcedSchedule => format!("{} bytes, whatever the limits say", event.arg),
        Hook::Zerocopy => format!("skb truesize {}", event.truesize),
        Hook::WaitMemory if event.kind == 1 => format!("sleeps: {}", wait_reason(event.arg)),
        Hook::WaitMemory => format!("held up: {}; {}", wait_reason(event.arg), answer(ret)),
        Hook::WaitConnect if event.kind == 1 => "sleeps: no connection yet".to_owned(),
        Hook::WaitConnect => answer(ret),
        Hook::Setsockopt if event.kind != 0 => format!("SO_SNDBUFFORCE={}", event.arg),
        Hook::Setsockopt => format!("SO_SNDBUF={}", event.arg),
        Hook::SetState => format!("{}→{}", state(event.kind), state(event.arg.cast_unsigned())),
        _ => return None,
    })
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
fn answer(ret: i32) -> String {
    match ret {
        -11 => "EAGAIN".to_owned(),
        -12 => "ENOMEM".to_owned(),
        -14 => "EFAULT".to_owned(),
        -32 => "EPIPE".to_owned(),
        -104 => "ECONNRESET".to_owned(),
        -110 => "ETIMEDOUT".to_owned(),
        -115 => "EINPROGRESS".to_owned(),
        -512 => "ERESTARTSYS".to_owned(),
        -4095..0 => format!("error {}", -i64::from(ret)),
        _ => ret.to_string(),
    }
}

fn operation(op: Decoded) -> String {
    let tilde = |tier: &str| if tier == "inferred" { "~" } else { "" };
    match op {
        Decoded::Book { cause, bytes, tier } => format!("{cause} {}{bytes:+}", tilde(tier)),
        Decoded::Admit { sndbuf } => format!("admitted below {sndbuf}"),
        Decoded::Limit {
            cause,
            sndbuf,
            tier,
        } => {
            format!("limit {}{sndbuf} ({cause})", tilde(tier))
        }
        Decoded::Unknown { kind, cause, value } => format!("op{kind}/{cause} {value}"),
    }
}
