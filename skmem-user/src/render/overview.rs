//! Many sockets, a line each.

use std::cmp::Reverse;

use super::{
    identity::{escaped_comm, pair},
    layout::beside,
    style::{Role, Style},
};
use crate::explain::{Verdict, growth, numbers::grouped, verdict::Receive};

/// Headings of the columns of numbers.
const HEAD: [&str; 4] = ["over", "Send-Q", "wmem_queued", "sk_sndbuf"];

/// The same where one of the sockets holds its peer up: six columns leave no room for its name.
const HEAD_OF_BOTH: [&str; 4] = ["over", "Send-Q", "Recv-Q", "rmem_alloc"];

/// One line a socket, the worst excess first, then senders that are held up, then receivers that
/// hold their peers up, the fullest first, under a line of headings. Ends with a newline.
#[must_use]
pub fn overview(verdicts: &[Verdict], style: &Style) -> String {
    let mut sorted: Vec<_> = verdicts.iter().collect();
    sorted.sort_by_key(|v| {
        let held_up = v.blocked.is_some_and(|blocked| blocked.now.is_some());
        Reverse((v.excess.max(0), held_up, v.held_by_reader(), v.excess))
    });
    let both = verdicts.iter().any(|v| v.held_by_reader().is_some());
    let head = if both { HEAD_OF_BOTH } else { HEAD };
    let rows: Vec<_> = sorted.iter().map(|v| Row::of(v, both)).collect();
    let width = |n: usize| {
        let widest = rows.iter().map(|row| row.numbers[n].len()).max();
        widest.unwrap_or(0).max(head[n].len())
    };
    let widths = [0, 1, 2, 3].map(width);
    let causes = rows.iter().map(|row| row.cause.len());
    let causes = causes.max().unwrap_or(0).max("main cause".len());
    let numbers = |cells: [&str; 4]| {
        let cells = cells.iter().zip(widths);
        cells
            .map(|(cell, width)| format!("{cell:>width$}  "))
            .collect::<String>()
    };
    let heading = format!("{}{:<causes$}  ", numbers(head), "main cause");
    let column = heading.chars().count();
    let mut out = String::new();
    let heading = style.paint(Role::Title, heading);
    beside(&mut out, &heading, column, "task, socket", style);
    for row in &rows {
        let cause = format!("{:<causes$}", row.cause);
        let head = format!(
            "{}{}  ",
            numbers(row.numbers.each_ref().map(String::as_str)),
            style.paint(Role::Name, cause)
        );
        let mut rest = row.who.clone();
        if !row.alarm.is_empty() {
            rest.push_str("  ");
            rest.push_str(&style.paint(Role::Alarm, &row.alarm));
        }
        beside(&mut out, &head, column, &rest, style);
    }
    out
}

struct Row {
    numbers: [String; 4],
    cause: &'static str,
    who: String,
    alarm: String,
}

impl Row {
    /// `both`: with the columns of both sides.
    fn of(v: &Verdict, both: bool) -> Self {
        let mut alarm = Vec::new();
        if !v.self_check.holds() {
            alarm.push("DOES NOT CLOSE".to_owned());
        }
        if v.unattributed_count != 0 {
            alarm.push(format!("UNATTRIBUTED {}", grouped(v.unattributed)));
        }
        if !v.complete {
            alarm.push("INCOMPLETE".to_owned());
        }
        let main = growth(v).first().map_or("-", |(cause, _)| cause.name());
        let receive = v.receive.as_ref();
        let received = |of: fn(&Receive) -> i64| receive.map_or("-".into(), |r| grouped(of(r)));
        let [third, fourth] = if both {
            [received(|r| r.recv_q), received(|r| r.rmem_alloc)]
        } else {
            [v.wmem_queued, v.sndbuf].map(grouped)
        };
        Self {
            numbers: [grouped(v.excess), grouped(v.send_q), third, fourth],
            cause: match receive {
                _ if v.excess > 0 => main,
                Some(r) if r.is_filled_by_errors() => "error queue",
                Some(r) if r.slow => "slow reader",
                _ => "-",
            },
            who: format!(
                "{}/{}  {}",
                escaped_comm(&v.socket),
                v.socket.pid,
                pair(&v.socket)
            ),
            alarm: alarm.join(", "),
        }
    }
}
