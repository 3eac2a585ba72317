//! The account of `wmem_queued - sndbuf` as a table that adds up, and in a line the
//! ledger since skmem first saw the socket.

use skmem_common::cause::Cause;

use super::{
    layout::{hang, title},
    style::{Role, Style},
    units::{bytes, change, signed, span},
};
use crate::explain::{Verdict, numbers::grouped, texts, verdict::HookSet};

/// A line of the table.
pub(super) struct Row {
    pub name: &'static str,
    pub bytes: i64,
    count: Option<u64>,
    after_ns: Option<u64>,
    pub remark: String,
}

pub(super) fn write(out: &mut String, verdict: &Verdict, style: &Style) {
    let over = verdict.excess > 0;
    let heading = if over {
        format!(
            "How wmem_queued got {} over sk_sndbuf",
            bytes(verdict.excess)
        )
    } else {
        format!(
            "How wmem_queued stays {} under sk_sndbuf",
            bytes(-verdict.excess)
        )
    };
    let since = if verdict.admission.count == 0 {
        "skmem first saw the socket"
    } else if verdict.is_mptcp() {
        "the last admission (part of a page fragment let in)"
    } else {
        "the last admission (new skb let in)"
    };
    let heading = format!("{heading}, since {since}");
    title(out, &heading, style);
    let rows = rows(verdict);
    let widths = Widths::of(&rows, verdict, style);
    let head = widths.line("", "bytes", "count", "first at");
    hang(
        out,
        &style.paint(Role::Aside, &head),
        head.chars().count(),
        "",
        None,
        style,
    );
    for row in &rows {
        let count = row.count.map_or(String::new(), |n| grouped(signed(n)));
        let after = row.after_ns.map_or(String::new(), moment);
        let head = widths.line(row.name, &change(row.bytes), &count, &after);
        let columns = head.chars().count();
        let head = head.replacen(row.name, &style.paint(Role::Name, row.name), 1);
        hang(out, &head, columns, &row.remark, None, style);
    }
    let head = widths.line("= wmem_queued - sk_sndbuf", &change(verdict.excess), "", "");
    let columns = head.chars().count();
    let (role, tail) = proof(verdict);
    hang(
        out,
        &style.paint(Role::Title, head),
        columns,
        &tail,
        role,
        style,
    );
    order(out, verdict, style);
    ledger(out, verdict, style);
}

/// Where something was freed, a row is not a step of a sequence: say so.
fn order(out: &mut String, verdict: &Verdict, style: &Style) {
    let (mut put, mut freed) = (0, 0);
    for cause in &verdict.causes {
        put += cause.bytes.max(0);
        freed += cause.bytes.min(0);
    }
    if freed == 0 {
        return;
    }
    let text = format!(
        "each row is a sum, in the order of first times: {} added, {} freed (of these bytes, or of \
         those queued before)",
        change(put),
        change(freed)
    );
    hang(out, "  ", 2, &text, Some(Role::Aside), style);
}

/// The table's lines, in the order of their first times; the first is the room
/// there was.
pub(super) fn rows(verdict: &Verdict) -> Vec<Row> {
    let admission = &verdict.admission;
    let after = |ns: u64| Some(ns.saturating_sub(admission.at_ns));
    let at = if admission.count == 0 {
        "when first seen"
    } else {
        "at admission"
    };
    let mut rows = vec![Row {
        name: if verdict.room() <= 0 {
            "unused room"
        } else {
            "already over"
        },
        bytes: verdict.room(),
        count: None,
        after_ns: None,
        remark: format!(
            "{at}: {} queued, limit {}",
            grouped(admission.wmem_queued),
            grouped(admission.sndbuf)
        ),
    }];
    let mut changes: Vec<Row> = verdict
        .causes
        .iter()
        .map(|c| Row {
            name: c.cause.name(),
            bytes: c.bytes,
            count: Some(c.count),
            after_ns: after(c.first_ns),
            remark: remark(c.cause, c.inferred, c.bytes),
        })
        .collect();
    let moves = verdict.limit_moves.iter().filter(|m| m.since_admission);
    changes.extend(moves.map(|m| Row {
        name: m.cause_name(),
        bytes: m.from - m.to,
        count: Some(1),
        after_ns: after(m.at_ns),
        remark: format!("limit {} → {}", grouped(m.from), grouped(m.to)),
    }));
    if verdict.limit_moved() != 0 && !verdict.limit_moves.iter().any(|m| m.since_admission) {
        changes.push(Row {
            name: "limit moved",
            bytes: verdict.limit_moved(),
            count: None,
            after_ns: None,
            remark: format!(
                "limit {} → {}, by moves too old to list",
                grouped(admission.sndbuf),
                grouped(verdict.sndbuf)
            ),
        });
    }
    changes.sort_by_key(|row| row.after_ns);
    rows.extend(changes);
    rows
}

/// After the admission.
fn moment(ns: u64) -> String {
    format!("+{}", span(ns))
}

fn remark(cause: Cause, inferred: i64, all: i64) -> String {
    let brief = texts::of(cause).brief;
    if inferred == 0 {
        brief.to_owned()
    } else if inferred == all {
        format!("{brief} (inferred)")
    } else {
        format!("{brief} ({} inferred)", change(inferred))
    }
}

/// What the sum line says of its own worth.
pub(super) fn proof(verdict: &Verdict) -> (Option<Role>, String) {
    let check = &verdict.self_check;
    let closes = if check.excess_closes {
        ""
    } else {
        "DOES NOT ADD UP; "
    };
    let role = (!check.excess_closes || verdict.unattributed_count != 0).then_some(Role::Alarm);
    (
        role,
        format!(
            "{closes}unattributed {}, lost {}",
            grouped(verdict.unattributed),
            grouped(signed(verdict.lost_events))
        ),
    )
}

/// All bytes by cause since skmem first saw the socket: the sum is `wmem_queued`.
fn ledger(out: &mut String, verdict: &Verdict, style: &Style) {
    let mut text: Vec<_> = verdict
        .ledger
        .iter()
        .map(|c| format!("{} {}", c.cause, change(c.bytes)))
        .collect();
    if text.is_empty() {
        text.push("nothing".to_owned());
    }
    let sum = if verdict.self_check.ledger_closes {
        "="
    } else {
        "IS NOT"
    };
    let hooks = match verdict.hooks {
        HookSet::All => "",
        HookSet::Lean => "; lean set of hooks",
    };
    let text = format!(
        "since skmem first saw the socket: {} {sum} wmem_queued {}; inferred {}, BPF program runs missed (all \
         sockets) {}{hooks}",
        text.join(", "),
        grouped(verdict.wmem_queued),
        grouped(verdict.inferred),
        grouped(signed(verdict.skipped_runs))
    );
    hang(out, "  ", 2, &text, Some(Role::Aside), style);
}

/// Widths of the table's columns.
struct Widths {
    name: usize,
    bytes: usize,
    count: usize,
    after: usize,
}

impl Widths {
    fn of(rows: &[Row], verdict: &Verdict, style: &Style) -> Self {
        let widest = |text: &dyn Fn(&Row) -> String, least: usize| {
            let all = rows.iter().map(|r| text(r).chars().count());
            all.max().unwrap_or(0).max(least)
        };
        let mut widths = Self {
            name: widest(&|r| r.name.to_owned(), "= wmem_queued - sk_sndbuf".len()),
            bytes: widest(&|r| change(r.bytes), change(verdict.excess).len().max(5)),
            count: widest(
                &|r| r.count.map_or(String::new(), |n| grouped(signed(n))),
                5,
            ),
            after: widest(
                &|r| r.after_ns.map_or(String::new(), moment),
                "first at".len(),
            ),
        };
        // A narrow terminal has no room for when.
        let wide = 2 + widths.name + 2 + widths.bytes + 2 + widths.count + 2 + widths.after;
        if wide + 12 > style.width {
            widths.after = 0;
        }
        widths
    }

    fn line(&self, name: &str, bytes: &str, count: &str, after: &str) -> String {
        let line = format!(
            "  {name:<0$}  {bytes:>1$}  {count:>2$}  ",
            self.name, self.bytes, self.count
        );
        match self.after {
            0 => line,
            width => format!("{line}{after:>width$}  "),
        }
    }
}
