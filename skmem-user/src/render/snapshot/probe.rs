//! What a short trace found in the worst send and receive queues: an account for each, under the
//! socket's name.

use skmem_common::receive_cause::ReceiveCause;

use super::{
    short::size,
    sockets::{Show, holders, limits, place},
};
use crate::{
    decode::{Reading, Weight, findings},
    explain::{numbers::grouped, receive::ReceivePart},
    render::{
        Style,
        layout::{hang, title},
        memory::answer,
        receive_account,
        style::Role,
        units::{bytes, change, counted, signed, span},
    },
    snapshot::{
        Row,
        probe::{HeldUp, Part, Probe, Probed, ProbedReceiver, Traced},
    },
};

/// The accounts, worst first. `rows` are the snapshot's.
#[must_use]
pub fn probe(probe: &Probe, rows: &[Row], show: &Show, style: &Style) -> String {
    let mut out = String::new();
    if let Some(why) = &probe.failed {
        title(&mut out, "What put it there", style);
        hang(
            &mut out,
            "  ",
            2,
            &format!("Not known: {why}"),
            Some(Role::Alarm),
            style,
        );
        return out;
    }
    if probe.sockets.is_empty() && probe.receivers.is_empty() {
        title(&mut out, "What put it there", style);
        let none =
            "No send or receive queue of these sockets holds anything: there is nothing to trace.";
        hang(&mut out, "  ", 2, none, None, style);
        return out;
    }
    if !probe.sockets.is_empty() {
        senders(&mut out, probe, rows, show, style);
    }
    if !probe.receivers.is_empty() {
        receivers(&mut out, probe, rows, show, style);
    }
    out
}

fn senders(out: &mut String, probe: &Probe, rows: &[Row], show: &Show, style: &Style) {
    let heading = format!(
        "What put it there: the worst {}, traced for {}",
        match probe.sockets.len() {
            1 => "send queue".to_owned(),
            n => format!("{n} send queues"),
        },
        span(probe.traced_ns)
    );
    title(out, &heading, style);
    for (at, probed) in probe.sockets.iter().enumerate() {
        let Some(row) = rows.iter().find(|row| row.cookie == probed.which.cookie) else {
            continue;
        };
        if at > 0 {
            out.push('\n');
        }
        one(out, probed, row, probe, show, style);
    }
}

/// What fills the receive queues.
fn receivers(out: &mut String, probe: &Probe, rows: &[Row], show: &Show, style: &Style) {
    let heading = format!(
        "What fills r: the worst {}, traced for {}",
        match probe.receivers.len() {
            1 => "receive queue".to_owned(),
            n => format!("{n} receive queues"),
        },
        span(probe.traced_ns)
    );
    title(out, &heading, style);
    for (at, probed) in probe.receivers.iter().enumerate() {
        let Some(row) = rows.iter().find(|row| row.cookie == probed.which.cookie) else {
            continue;
        };
        if at > 0 {
            out.push('\n');
        }
        receiver(out, probed, row, show, style);
    }
}

fn receiver(out: &mut String, probed: &ProbedReceiver, row: &Row, show: &Show, style: &Style) {
    let who = format!("{} · {}", place(row), holders(row));
    hang(out, "", 4, &who, Some(Role::Name), style);
    let Some(receive) = &probed.receive else {
        let text = format!(
            "r {}: not traced, for its queue was empty when the trace began, or it came later. Probe again, or trace \
             its next calls with `skmem explain`.",
            bytes(probed.rmem_alloc)
        );
        return hang(out, "  ", 2, &text, None, style);
    };
    let mut text = format!(
        "r {} of rb {}",
        bytes(receive.rmem_alloc),
        grouped(receive.rcvbuf)
    );
    if probed.rmem_alloc != receive.rmem_alloc {
        text.push_str(&format!(
            "; {} when the sockets above were listed, a moment later",
            grouped(probed.rmem_alloc)
        ));
    }
    let untouched = receive.account.as_ref().is_some_and(|account| {
        let before = |part: &ReceivePart| part.cause == ReceiveCause::ReceivedBefore;
        account.causes.iter().all(before)
    });
    if untouched {
        text.push_str(&format!(
            ". All of it is older than the trace (received-before) and nothing has moved since: which calls put it \
             there is not known. {} of it are data that nobody has read; the rest is heads of skbs, room that data \
             does not fill, data that was read in part or is out of order, or the error queue.",
            bytes(receive.recv_q)
        ));
        hang(out, "  ", 2, &text, None, style);
    } else {
        text.push_str(&format!("; {}", answer(receive)));
        let role = receive.slow.then_some(Role::Alarm);
        hang(out, "  ", 2, &text, role, style);
        if let Some(account) = &receive.account {
            receive_account::write(out, account, style);
            if let Some(shut) = account.window_shut.as_ref().filter(|_| !receive.subflow) {
                receive_account::write_shut(out, shut, style);
            }
        }
    }
    alarms(out, row, show, style);
}

fn one(out: &mut String, probed: &Probed, row: &Row, probe: &Probe, show: &Show, style: &Style) {
    let who = format!("{} · {}", place(row), holders(row));
    hang(out, "", 4, &who, Some(Role::Name), style);
    let mut say = |text: &str, role| hang(out, "  ", 2, text, role, style);
    let Some(traced) = &probed.traced else {
        let text = format!(
            "w {}: not traced, for its queue was empty when the trace began, or it came later. Probe again, or trace \
             its next calls with `skmem explain`.",
            bytes(probed.wmem_queued)
        );
        return say(&text, None);
    };
    say(&standing(probed, traced), None);
    if traced.untouched {
        say(&untouched(traced, probe), None);
    } else {
        ledger(out, traced, style);
        let mut say = |text: &str, role| hang(out, "  ", 2, text, role, style);
        if traced.pre_existing > 0 {
            say(&older(traced), None);
        }
        say(&fields(traced, probe), None);
    }
    let mut say = |text: &str, role| hang(out, "  ", 2, text, role, style);
    if let Some(held) = &traced.held_up {
        say(&held_up(held), None);
    }
    // A socket that is shown once more, as a receiver, has them there.
    if !probe.receivers.iter().any(|r| r.which == probed.which) {
        alarms(out, row, show, style);
    }
}

/// What is wrong with a socket, where it is not said above.
fn alarms(out: &mut String, row: &Row, show: &Show, style: &Style) {
    for finding in findings(&Reading::from(row), limits(row, show)) {
        if finding.weight == Weight::Alarm && !show.explain {
            let text = format!("! {}", finding.text);
            hang(out, "  ", 2, &text, Some(Role::Alarm), style);
        }
    }
}

/// How much there is, and whether it adds up.
fn standing(probed: &Probed, traced: &Traced) -> String {
    let over = traced.wmem_queued - traced.sndbuf;
    let against = match over {
        1.. => format!("{} over", bytes(over)),
        0 => "exactly at".into(),
        _ => format!("{} under", bytes(-over)),
    };
    let lock = if traced.limit_locked {
        "set by the application"
    } else {
        "autotuned"
    };
    let mut text = format!(
        "w {}, {against} tb {} ({lock})",
        bytes(traced.wmem_queued),
        grouped(traced.sndbuf)
    );
    if probed.wmem_queued != traced.wmem_queued {
        text.push_str(&format!(
            "; {} when the sockets above were listed, a moment later",
            grouped(probed.wmem_queued)
        ));
    }
    if traced.closed {
        text.push_str("; closed by now");
    }
    text.push('.');
    if !traced.closes {
        text.push_str(" THE CAUSES DO NOT ADD UP TO IT: a bug in skmem, please report it.");
    }
    text
}

/// A queue that nothing has moved.
fn untouched(traced: &Traced, probe: &Probe) -> String {
    format!(
        "pre-existing {}: all of it is older than the trace and nothing has moved since, so which calls put it there \
         is not known. {}",
        change(traced.pre_existing),
        fields(traced, probe)
    )
}

/// What the fields say of the queued bytes, without regard to their causes.
fn fields(traced: &Traced, probe: &Probe) -> String {
    let split = format!(
        "The fields say: {} of data and {} of overhead",
        bytes(traced.payload),
        bytes(traced.skb_overhead)
    );
    match (traced.skbs, probe.skb_truesize) {
        (Some(skbs), _) if skbs > 0 => {
            let each = traced.payload / skbs;
            format!(
                "{split}, which is {} of {} when empty, with {} of data each on average.",
                counted(skbs, "packet"),
                bytes(traced.skb_overhead / skbs),
                size(each)
            )
        }
        _ if traced.mptcp => format!(
            "{split}: the headers of data fragments, of which an MPTCP socket's queue is made."
        ),
        (None, Some(one)) => format!(
            "{split}, which is not a whole number of packets of {} when empty: zero-copy pages, packets cut by \
             acknowledgements, or not all of one moment.",
            bytes(one)
        ),
        _ => format!("{split}."),
    }
}

fn older(traced: &Traced) -> String {
    let before = format!(
        "{} were queued before the trace began, by calls that are not known",
        bytes(traced.pre_existing)
    );
    match traced.pre_existing_left {
        0 => format!("{before}; all of that is gone (inferred: what is oldest is freed first)."),
        left if left == traced.pre_existing => format!("{before}; all of that is still queued."),
        left => format!(
            "{before}; about {} of that are still queued (inferred: what is oldest is freed first).",
            grouped(left)
        ),
    }
}

fn ledger(out: &mut String, traced: &Traced, style: &Style) {
    let total = Part {
        cause: "= w".into(),
        bytes: traced.wmem_queued,
        count: 0,
        inferred: traced.inferred,
        text: format!("unattributed {}", grouped(traced.unattributed)),
    };
    let count = |part: &Part| match part.count {
        0 => String::new(),
        n => grouped(signed(n)),
    };
    let all = || traced.ledger.iter().chain([&total]);
    let widest =
        |text: &dyn Fn(&Part) -> usize, least| all().map(text).max().unwrap_or(0).max(least);
    let names = widest(&|part| part.cause.len(), 0);
    let amounts = widest(&|part| change(part.bytes).len(), "bytes".len());
    let counts = widest(&|part| count(part).len(), "times".len());
    let columns = 4 + names + 2 + amounts + 2 + counts + 2;
    let head = format!(
        "    {:<names$}  {:>amounts$}  {:>counts$}",
        "", "bytes", "times"
    );
    hang(
        out,
        &style.paint(Role::Aside, head),
        columns,
        "",
        None,
        style,
    );
    for part in all() {
        let head = format!(
            "    {:<names$}  {:>amounts$}  {:>counts$}  ",
            part.cause,
            change(part.bytes),
            count(part)
        );
        let head = head.replacen(&part.cause, &style.paint(Role::Name, &part.cause), 1);
        let inferred = match part.inferred {
            0 => String::new(),
            n if n == part.bytes => " (inferred)".into(),
            n => format!(" ({} inferred)", change(n)),
        };
        let nameless = part.cause == "= w" && traced.unattributed != 0;
        let role = nameless.then_some(Role::Alarm);
        hang(
            out,
            &head,
            columns,
            &format!("{}{inferred}", part.text),
            role,
            style,
        );
    }
}

fn held_up(held: &HeldUp) -> String {
    let mut parts = Vec::new();
    match held.asleep {
        0 => {}
        1 => parts.push(format!(
            "asleep in a call now, for {}",
            span(held.asleep_ns)
        )),
        n => parts.push(format!(
            "{n} threads asleep in calls now, for {}",
            span(held.asleep_ns)
        )),
    }
    if held.waits > 0 {
        parts.push(format!("{} over", counted(signed(held.waits), "sleep")));
    }
    if held.refusals > 0 {
        parts.push(format!("EAGAIN {}", counted(signed(held.refusals), "time")));
    }
    if held.short_writes > 0 {
        parts.push(counted(signed(held.short_writes), "short write"));
    }
    if parts.is_empty() {
        return "Its sender waits in poll() for POLLOUT.".to_owned();
    }
    let on = match held.on.as_str() {
        "limit" => "w had reached tb",
        "memory" => "memory was refused",
        _ => "unsent bytes had reached notsent_lowat",
    };
    format!("Its sender: {} ({on}).", parts.join(", "))
}
