//! What a pasted `ss` output says, socket by socket.

use super::short::size;
use crate::{
    decode::{Decoded, Finding, Limits, Reading, Weight, findings},
    explain::numbers::grouped,
    glossary,
    render::{
        Style,
        escape::escaped,
        layout::{hang, row},
        style::Role,
    },
};

/// Columns of letter and number.
const LABEL: usize = 19;

/// All sockets in words. Ends with a newline, unless there is nothing.
#[must_use]
pub fn decoded(decoded: &Decoded, style: &Style) -> String {
    let mut out = String::new();
    for (at, socket) in decoded.sockets.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        one(&mut out, socket, style);
    }
    if decoded.others > 0 {
        let text = format!(
            "{} sockets of other kinds were passed over.",
            decoded.others
        );
        out.push_str(&format!("\n{}\n", style.paint(Role::Aside, text)));
    }
    out
}

fn one(out: &mut String, socket: &Reading, style: &Style) {
    let name = match socket.to_string() {
        name if name.is_empty() => format!("socket on line {}", socket.line),
        name => name,
    };
    let mut head = escaped(&name).replace("\\u{2192}", "→");
    for user in &socket.users {
        head.push_str(&format!(
            ", {} (pid {}, fd {})",
            escaped(&user.comm),
            user.pid,
            user.fd
        ));
    }
    hang(out, "", 0, &head, Some(Role::Title), style);
    let found = findings(socket, &Limits::DEFAULT);
    for finding in &found {
        finding_line(out, finding, style);
    }
    if socket.is_bare() {
        let text = "No memory was printed for it (TIME-WAIT and half-open sockets have no buffers; else use ss -m).";
        row(out, "  ", 2, text, style);
    } else if found.is_empty() {
        row(out, "  ", 2, "Nothing stands out.", style);
    }
    queues(out, socket, style);
    let mut zeros = Vec::new();
    for (letter, name, value) in socket.memory.values() {
        if value == 0 {
            zeros.push(format!("{letter} ({})", glossary::brief(name)));
            continue;
        }
        let label = format!("  {letter:<3}{:>13}", grouped(value));
        let text = format!("{name}: {}", value_in_words(socket, name));
        row(out, &label, LABEL, &text, style);
    }
    if !zeros.is_empty() {
        row(out, &format!("{:>18}", 0), LABEL, &zeros.join(", "), style);
    }
}

fn finding_line(out: &mut String, finding: &Finding, style: &Style) {
    let role = (finding.weight == Weight::Alarm).then_some(Role::Alarm);
    let mark = if role.is_some() { "  ! " } else { "  - " };
    hang(out, mark, 4, &finding.text, role, style);
}

fn queues(out: &mut String, socket: &Reading, style: &Style) {
    let mut line = |label: &str, value: i64, text: &str| {
        row(
            out,
            &format!("  {label:<7}{:>9}", grouped(value)),
            LABEL,
            text,
            style,
        );
    };
    if socket.listens() {
        if let Some(waiting) = socket.recv_q {
            line("Recv-Q", waiting, "connections that wait for accept()");
        }
        if let Some(most) = socket.send_q {
            line(
                "Send-Q",
                most,
                "connections that may wait, at most (listen()'s backlog)",
            );
        }
        return;
    }
    if let Some(unread) = socket.recv_q.filter(|n| *n != 0) {
        line(
            "Recv-Q",
            unread,
            "bytes of data that the application has not read",
        );
    }
    if let Some(send_q) = socket.send_q.filter(|n| *n != 0 && socket.is_connection()) {
        let split = match (socket.info.unsent, socket.in_flight()) {
            (Some(unsent), Some(in_flight)) => {
                format!(
                    ": {} never sent, {} in flight",
                    grouped(unsent),
                    grouped(in_flight)
                )
            }
            _ => ": sent or not (ss -i tells them apart)".into(),
        };
        line(
            "Send-Q",
            send_q,
            &format!("bytes of data that the peer has not acknowledged{split}"),
        );
    }
}

/// The glossary's words, and what this value comes to.
fn value_in_words(socket: &Reading, name: &str) -> String {
    let meaning = glossary::meaning(name);
    let memory = &socket.memory;
    let share = |part: Option<i64>, whole: Option<i64>| match (part, whole) {
        (Some(part), Some(whole)) if whole > 0 && part > 0 => {
            format!(" ({} % used)", part.saturating_mul(100) / whole)
        }
        _ => String::new(),
    };
    let extra = match name {
        "rcvbuf" => share(memory.rmem_alloc, memory.rcvbuf),
        "sndbuf" => share(memory.wmem_queued, memory.sndbuf),
        "wmem_queued" => match (socket.send_payload(), socket.skb_overhead()) {
            (Some(payload), Some(overhead)) if payload > 0 => format!(
                ": {} of data and {} of overhead",
                grouped(payload),
                grouped(overhead)
            ),
            _ => String::new(),
        },
        "drops" => ". A count, not bytes".into(),
        _ => String::new(),
    };
    let large = memory
        .values()
        .find(|(_, n, value)| *n == name && name != "drops" && value.abs() >= 1 << 20)
        .map_or(String::new(), |(.., value)| format!(" [{}]", size(value)));
    format!("{meaning}{extra}{large}")
}
