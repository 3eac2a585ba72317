//! The sockets of a recording, a line each.

use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    identity::{escaped_comm, pair},
    layout::beside,
    style::{Role, Style},
    units::span,
};
use crate::explain::{
    Verdict, growth,
    numbers::grouped,
    verdict::{SCHEMA, Socket},
};

/// Headings of the columns.
const HEAD: [&str; 5] = ["worst excess", "blocked", "bytes", "main cause", "socket"];

/// A socket in the list. JSON as `docs/json.md` says.
#[derive(Debug, Clone, JsonSchema, Serialize)]
pub struct Listed {
    /// Version of this contract: 1.
    schema: u32,
    /// Whose socket.
    socket: Socket,
    /// The worst `wmem_queued - sndbuf` seen; 0: never over.
    pub worst_excess: i64,
    /// How long its senders slept for want of memory, in ns.
    pub blocked_ns: u64,
    /// Payload that the kernel took from the application, in bytes.
    pub bytes: i64,
    /// The cause with the most bytes at the worst instant.
    main_cause: Option<&'static str>,
    /// Records of this socket that found the ring full.
    lost_events: u64,
    /// Nothing of the socket's history is missing.
    complete: bool,
}

impl Listed {
    /// What the list says of a verdict's socket.
    #[must_use]
    pub fn of(v: &Verdict) -> Self {
        Self {
            schema: SCHEMA,
            socket: v.socket.clone(),
            worst_excess: v.worst_excess,
            blocked_ns: v.blocked.map_or(0, |b| b.total_ns),
            bytes: v.taken,
            main_cause: growth(v).first().map(|(cause, _)| cause.name()),
            lost_events: v.lost_events,
            complete: v.complete,
        }
    }
}

/// One line of JSON. Without a newline.
///
/// # Errors
/// None in practice: it holds nothing that JSON cannot.
pub fn listing_json(socket: &Listed) -> io::Result<String> {
    serde_json::to_string(socket).map_err(io::Error::from)
}

/// A line each, under a line of headings. Ends with a newline.
#[must_use]
pub fn listing(sockets: &[Listed], style: &Style) -> String {
    let rows: Vec<[String; 5]> = sockets.iter().map(cells).collect();
    let width = |n: usize| {
        let widest = rows.iter().map(|row| row[n].chars().count()).max();
        widest.unwrap_or(0).max(HEAD[n].len())
    };
    let [over, blocked, bytes, cause, name] = std::array::from_fn(width);
    let line = |cells: [&str; 5]| {
        let [a, b, c, d, e] = cells;
        format!("{a:>over$}  {b:>blocked$}  {c:>bytes$}  {d:<cause$}  {e:>name$}  ")
    };
    let mut out = String::new();
    let mut put = |cells: [&str; 5], rest: &str, role: Option<Role>| {
        let head = line(cells);
        let column = head.chars().count();
        let head = role.map_or(head.clone(), |role| style.paint(role, head));
        beside(&mut out, &head, column, rest, style);
    };
    put(HEAD, "task, ends", Some(Role::Title));
    for (row, socket) in rows.iter().zip(sockets) {
        let who = &socket.socket;
        let mut rest = format!("{}/{}  {}", escaped_comm(who), who.pid, pair(who));
        if !socket.complete {
            rest.push_str("  ");
            rest.push_str(&style.paint(Role::Alarm, "INCOMPLETE"));
        }
        put(row.each_ref().map(String::as_str), &rest, None);
    }
    out
}

fn cells(s: &Listed) -> [String; 5] {
    [
        grouped(s.worst_excess),
        if s.blocked_ns == 0 {
            "-".to_owned()
        } else {
            span(s.blocked_ns)
        },
        grouped(s.bytes),
        s.main_cause
            .filter(|_| s.worst_excess > 0)
            .unwrap_or("-")
            .to_owned(),
        match s.socket.cookie {
            Some(cookie) => cookie.to_string(),
            None => format!("{:#x}", s.socket.id),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::socket::article;

    #[test]
    fn a_line_a_socket() {
        let listed = Listed::of(&article(896).verdict());
        let text = listing(&[listed.clone(), listed.clone()], &Style::PLAIN);
        println!("{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("worst excess"));
        assert!(lines[1].contains("7,184") && lines[1].contains("tail-append"));
        assert_eq!(lines[1], lines[2]);
        let json = listing_json(&listed).unwrap();
        assert!(json.contains(r#""worst_excess":7184"#) && !json.contains('\n'));
    }
}
