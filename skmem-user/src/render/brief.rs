//! A verdict on one screen: the answer, the account in a line each, what comes
//! first of what can be done, and where the rest is.

use super::{
    account, headline,
    identity::{ends, escaped_comm},
    layout::{hang, row, wrap},
    memory, parts,
    style::{Role, Style},
    units::{bytes, change, counted},
};
use crate::explain::{Verdict, numbers::grouped};

/// Columns of labels.
const LABEL: usize = 10;

/// Fewest rows of the account that are shown, however low the screen is: what
/// was there before, the largest change, and the sum of all others.
const LEAST: usize = 3;

/// Most lines of the advice.
const ADVICE: usize = 2;

/// The verdict in at most `lines` lines, where the answer leaves room for that;
/// `more` is the command that prints the rest. Ends with a newline.
#[must_use]
pub fn brief(v: &Verdict, style: &Style, lines: usize, more: &str) -> String {
    let mut head = String::new();
    headline::write(&mut head, v, style);
    head.push('\n');
    who(&mut head, v, style);
    let shows = v.wmem_queued != 0 || v.over_limit;
    // Title and sum.
    let least = if shows {
        2 + LEAST.min(account::rows(v).len())
    } else {
        0
    };
    let mut tail = String::new();
    for most in (1..=ADVICE).rev() {
        tail = below(v, style, most, more);
        if head.lines().count() + tail.lines().count() + least <= lines {
            break;
        }
    }
    if head.lines().count() + tail.lines().count() + least > lines {
        head = dense(&head);
        tail = dense(&tail);
    }
    let mut out = head;
    if shows {
        let used = out.lines().count() + tail.lines().count();
        ledger(
            &mut out,
            v,
            style,
            lines.saturating_sub(used + 2).max(LEAST),
        );
    }
    out.push_str(&tail);
    out
}

/// `text` without its empty lines.
fn dense(text: &str) -> String {
    text.lines()
        .filter(|line| !line.is_empty())
        .fold(String::new(), |all, line| all + line + "\n")
}

/// What is printed below the account, with at most `most` lines of advice.
fn below(v: &Verdict, style: &Style, most: usize, more: &str) -> String {
    let mut out = String::new();
    let sends = v.over_limit || v.blocked.is_some();
    if sends {
        parts::blocked_row(&mut out, v, style);
        // Where the answer says who holds the sender up, it has said what the window is.
        if v.blame.is_none() && v.peer_window.closed {
            let p = &v.peer_window;
            let text = format!(
                "{}, {} in flight: no room for another segment, so the sender waits for the \
                 receiver to read",
                bytes(p.last_bytes),
                grouped(p.last_in_flight)
            );
            row(&mut out, "window", LABEL, &text, style);
        }
    }
    let receive = v.receive.as_ref().filter(|r| !sends || r.holds_peer_up());
    if let Some(receive) = receive.filter(|_| !headline::is_of_receiving(v)) {
        if !sends {
            out.push('\n');
        }
        row(&mut out, "receive", LABEL, &memory::answer(receive), style);
    }
    advice(&mut out, v, style, most);
    let cause = v.advice.first().map(|a| a.cause);
    let cause = cause.map_or_else(String::new, |cause| {
        format!("; `skmem causes {cause}` describes the cause")
    });
    row(&mut out, "more", LABEL, &format!("{more}{cause}"), style);
    out
}

/// Whose socket, and when.
fn who(out: &mut String, v: &Verdict, style: &Style) {
    let s = &v.socket;
    let mut text = String::new();
    if s.pid != 0 {
        text = format!("{}, pid {}: ", escaped_comm(s), s.pid);
    }
    if v.is_mptcp() {
        text.push_str("MPTCP ");
    }
    text.push_str(&format!("{}, {}", ends(s), s.state));
    if s.closed {
        text.push_str(", closed now");
    }
    row(out, "who", LABEL, &text, style);
    row(out, "when", LABEL, &parts::when(v), style);
}

/// The account, in `room` rows beside its title and its sum; the rows with the
/// fewest bytes are put together.
fn ledger(out: &mut String, v: &Verdict, style: &Style, room: usize) {
    let since = match v.admission.count {
        0 => "skmem first saw the socket",
        _ => "the last admission",
    };
    out.push_str(&format!(
        "{:<LABEL$}wmem_queued - sk_sndbuf since {since}\n",
        "account"
    ));
    let mut rows = account::rows(v);
    let mut rest = 0;
    let mut omitted = 0;
    // The first row is what was there before.
    while rows.len() + usize::from(omitted > 0) > room && rows.len() > 1 {
        let smallest = (1..rows.len()).min_by_key(|n| rows[*n].bytes.abs());
        let Some(row) = smallest.map(|n| rows.remove(n)) else {
            break;
        };
        rest += row.bytes;
        omitted += 1;
    }
    let sum = format!("= {}", if v.excess > 0 { "over" } else { "room left" });
    let names = rows.iter().map(|row| row.name.len());
    let name = names.max().unwrap_or(0).max(sum.len());
    let numbers = rows.iter().map(|row| row.bytes).chain([rest, v.excess]);
    let number = numbers.map(|n| change(n).len()).max().unwrap_or(0);
    let mut line = |name_of: &str, n: i64, text: &str, role: Option<Role>| {
        let head = format!("  {name_of:<name$}  {:>number$}  ", change(n));
        let room = style.width.saturating_sub(head.chars().count());
        let text = cut(text, room);
        let head = role.map_or(head.clone(), |role| style.paint(role, &head));
        out.push_str(format!("{head}{text}").trim_end());
        out.push('\n');
    };
    for row in &rows {
        line(row.name, row.bytes, &row.remark, None);
    }
    if omitted > 0 {
        let text = format!("{} more", counted(omitted, "row"));
        line("others", rest, &text, None);
    }
    let (role, proof) = account::proof(v);
    line(&sum, v.excess, &proof, role.or(Some(Role::Title)));
}

/// The first advice.
fn advice(out: &mut String, v: &Verdict, style: &Style, most: usize) {
    let Some(first) = v.advice.first() else {
        return;
    };
    let text = &first.advice;
    let mut lines = wrap(text, LABEL, LABEL, style.width);
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = cut(&format!("{last} …"), style.width - LABEL);
        }
    }
    // Each is short enough already.
    for (n, line) in lines.iter().enumerate() {
        let label = if n == 0 { "do first" } else { "" };
        hang(out, &format!("{label:<LABEL$}"), LABEL, line, None, style);
    }
}

/// `text` in `width` columns; what does not fit is left out, with a mark.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let lines = wrap(text, 0, 0, width.saturating_sub(2));
    match lines.first() {
        Some(first) if first.chars().count() + 2 <= width => format!("{first} …"),
        _ => String::new(),
    }
}

/// Many sockets: the worst of them in a line each, then the worst one. Ends
/// with a newline.
#[must_use]
pub fn brief_of_many(verdicts: &[Verdict], style: &Style, lines: usize, more: &str) -> String {
    let Some(worst) = verdicts.first() else {
        return String::new();
    };
    if verdicts.len() == 1 {
        return brief(worst, style, lines, more);
    }
    let all: i64 = verdicts.iter().map(|v| v.excess.max(0)).sum();
    let readers = verdicts
        .iter()
        .filter(|v| v.held_by_reader().is_some())
        .count();
    let readers = match i64::try_from(readers) {
        Ok(0) | Err(_) => String::new(),
        Ok(1) => ", 1 receiver holds its peer up".to_owned(),
        Ok(n) => format!(", {} hold their peers up", counted(n, "receiver")),
    };
    let of = |most: usize| {
        let others = i64::try_from(verdicts.len() - most).unwrap_or(i64::MAX);
        let mut out = String::new();
        let over = match all {
            0 => "none over its limit".to_owned(),
            _ => format!("{} over their limits together", bytes(all)),
        };
        let mut sum = format!("{over}{readers}; the worst:");
        if most == 0 {
            sum = format!("{}, {sum}", counted(others, "socket"));
        } else {
            out = super::overview(&verdicts[..most], style);
        }
        let mut aside = |text: &str| hang(&mut out, "", 0, text, Some(Role::Aside), style);
        if most > 0 && others > 0 {
            aside(&format!("and {} with less", counted(others, "more socket")));
        }
        aside(&sum);
        let left = lines.saturating_sub(out.lines().count());
        out + &brief(worst, style, left, more)
    };
    // A third of the screen at most, and less where the worst needs more; no
    // list rather than one that hides the answer's end.
    let mut most = verdicts.len().min((lines / 3).max(1));
    let mut out = of(most);
    while most > 0 && out.lines().count() > lines {
        most -= 1;
        out = of(most);
    }
    out
}
