//! The account of receive memory as text: by cause, the clocks, the moves of its limit.

use skmem_common::receive_cause::ReceiveCause;

use super::{
    layout::hang,
    style::{Role, Style},
    units::{bytes, change, counted, signed, span},
};
use crate::explain::{
    numbers::grouped,
    receive::{HeldBy, Reading, ReceiveAccount, WindowShut},
    texts,
    verdict::Receive,
};

/// Columns of labels.
const LABEL: usize = 10;

/// All of it.
pub(in crate::render) fn write(out: &mut String, account: &ReceiveAccount, style: &Style) {
    let heading = format!(
        "r by cause since skmem first saw the socket: {} in all{}",
        bytes(account.sum),
        if account.closes {
            ""
        } else {
            ", WHICH DO NOT ADD UP: a bug in skmem"
        }
    );
    let role = (!account.closes).then_some(Role::Alarm);
    hang(out, "  ", 2, &heading, role, style);
    let rows: Vec<_> = account
        .causes
        .iter()
        .map(|part| {
            let count = format!("× {}", grouped(signed(part.count)));
            let brief = texts::of_receive(part.cause).brief;
            let remark = match part.inferred {
                0 => brief.to_owned(),
                n => format!("{brief}; {} of them inferred", change(n)),
            };
            (part.cause.name(), change(part.bytes), count, remark)
        })
        .collect();
    let widest =
        |of: fn(&(&str, String, String, String)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (name, number, count) = (
        widest(|r| r.0.len()),
        widest(|r| r.1.chars().count()),
        widest(|r| r.2.chars().count()),
    );
    for (cause, sum, times, remark) in &rows {
        let head = format!("    {cause:<name$}  {sum:>number$} B  {times:<count$}  ");
        let columns = head.chars().count();
        let head = head.replacen(cause, &style.paint(Role::Name, cause), 1);
        hang(out, &head, columns, remark, None, style);
    }
    let mut labelled = |label: &str, text: &str| {
        let head = format!("  {label:<LABEL$}");
        hang(out, &head, head.len(), text, None, style);
    };
    labelled("time", &clocks(account));
    if !account.rcvbuf_moves.is_empty() {
        labelled("rb", &moves(account));
    }
}

/// What filled the buffer when the window last fell to 0.
pub(in crate::render) fn write_shut(out: &mut String, shut: &WindowShut, style: &Style) {
    let head = format!("  {:<LABEL$}", "window 0");
    hang(out, &head, head.len(), &composition(shut), None, style);
}

/// How long there was data, as the begin of a sentence.
pub(super) fn waited(account: &ReceiveAccount) -> String {
    match account.reader_inside_ns {
        Some(inside) => format!(
            "data waited for {} and was being read for {}",
            span(account.data_waits_ns.saturating_sub(inside)),
            span(inside)
        ),
        None => format!(
            "data waited or was being read for {}",
            span(account.data_waits_ns)
        ),
    }
}

/// What readers did while there was data, as the end of a sentence; None where they did both, or it
/// is not known.
pub(super) fn reading(account: &ReceiveAccount) -> Option<String> {
    let inside = account.reader_inside_ns?;
    let data = account.data_waits_ns;
    Some(match account.reading()? {
        Reading::Inside => format!(
            "for {} of the {} in which there was data a reader was inside recv and did not wait for \
             more: its reads take the time, not what it does between them",
            span(inside),
            span(data)
        ),
        Reading::Elsewhere => format!(
            "for {} of the {} in which there was data no reader was at work inside recv: what the \
             application does between its reads takes the time, or it was woken and did not run yet",
            span(data.saturating_sub(inside)),
            span(data)
        ),
    })
}

/// Where the time went.
fn clocks(account: &ReceiveAccount) -> String {
    let mut text = format!(
        "{}; all was read and a reader slept in recv for {}; all was read and none slept there for \
         {}",
        waited(account),
        span(account.reader_waits_ns),
        span(account.idle_ns)
    );
    if account.window_zero_ns != 0 {
        text.push_str(&format!(
            "; the window was 0 for {}",
            span(account.window_zero_ns)
        ));
    }
    text
}

/// What moved the limit.
fn moves(account: &ReceiveAccount) -> String {
    let moves = account.rcvbuf_moves.iter().map(|moved| {
        format!(
            "{} {} ({})",
            change(moved.bytes),
            texts::of_rcvbuf(moved.cause).brief,
            counted(signed(moved.count), "time")
        )
    });
    let moves: Vec<_> = moves.collect();
    format!(
        "{} at first; {}",
        grouped(account.rcvbuf_first),
        moves.join("; ")
    )
}

/// What filled the buffer when the window fell to 0.
fn composition(shut: &WindowShut) -> String {
    let parts = [
        ("unread", shut.unread),
        ("read but held", shut.held),
        ("error queue", shut.errors),
        ("heads, unfilled pages, out of order", shut.rest),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(_, n)| *n != 0)
        .map(|(name, n)| format!("{name} {}", grouped(*n)))
        .collect();
    format!(
        "the last time it fell to 0, r was {} of rb {}: {}",
        grouped(shut.rmem_alloc),
        grouped(shut.rcvbuf),
        parts.join(" + ").replace("+ -", "- ")
    )
}

/// What fills the buffer, where it is the error queue.
pub(super) fn filled_by_errors(r: &Receive) -> String {
    let account = r.account.as_ref();
    let queued = account.map_or(0, |account| account.error_queue);
    let dropped = account.map_or(0, |account| account.of_cause(ReceiveCause::Prune));
    let mut text = format!(
        "timestamps or ICMP errors that nobody has collected (recvmsg with MSG_ERRQUEUE) are {} of \
         sk_rcvbuf {}, not unread data: they take the room from the window",
        bytes(queued),
        grouped(r.rcvbuf)
    );
    if dropped < 0 {
        text.push_str(&format!(
            "; {} that came out of order had to be dropped for want of room",
            bytes(-dropped)
        ));
    }
    text
}

/// What shut the window, as the end of a sentence; None for unread data, which is the reader's.
pub(super) fn held_by(shut: &WindowShut) -> Option<String> {
    let r = bytes(shut.rmem_alloc);
    Some(match shut.held_by {
        HeldBy::Unread => return None,
        HeldBy::Held => format!(
            "when the window last fell to 0, {} of r's {r} had been read already: an skb is freed \
             when its last byte is read, so read more at a time than that, or raise SO_RCVBUF",
            grouped(shut.held)
        ),
        HeldBy::ErrorQueue => format!(
            "the error queue shut the window: {} of r's {r} were timestamps or ICMP errors that \
             nobody has collected (recvmsg with MSG_ERRQUEUE), not unread data",
            grouped(shut.errors)
        ),
        HeldBy::Overhead => format!(
            "when the window last fell to 0, {} of r's {r} were heads of skbs, unfilled pages or \
             data out of order: small segments fill the buffer, not data",
            grouped(shut.rest)
        ),
    })
}
