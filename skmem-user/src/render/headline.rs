//! The answer in one sentence, and what casts doubt on it.

use skmem_common::cause::Cause;

use super::{
    identity::owner,
    layout::hang,
    memory,
    style::{Role, Style},
    units::{bytes, ratio},
};
use crate::{
    explain::{Verdict, chain::Step, growth, numbers::grouped, texts, verdict::AnyCause},
    model::timeline::WaitReason,
};

/// Parts of what went into the queue that are named.
const NAMED: usize = 2;

/// A part is named where it is at least one in this many.
const SHARE: i64 = 6;

/// What else pushed the excess up is named where it is at least one part in
/// this many of what did most.
const BESIDES: i64 = 4;

pub(super) fn write(out: &mut String, verdict: &Verdict, style: &Style) {
    let check = &verdict.self_check;
    if !check.excess_closes || !check.ledger_closes {
        let text = "THE ACCOUNT DOES NOT CLOSE: a bug in skmem. Trust none of the numbers below \
            but those of the kernel's own fields, and please report it with --json.";
        hang(out, "", 0, text, Some(Role::Alarm), style);
    }
    if let Some(blame) = &verdict.blame {
        hang(out, "", 0, &blame.sentence, Some(Role::Title), style);
    }
    hang(out, "", 0, &sentence(verdict), Some(Role::Title), style);
    if verdict.unattributed_count != 0 {
        let text = format!(
            "UNATTRIBUTED: {} have no name.",
            bytes(verdict.unattributed)
        );
        hang(out, "", 0, &text, Some(Role::Alarm), style);
    }
    for reason in &verdict.incomplete_because {
        let text = format!("INCOMPLETE: {reason}.");
        hang(out, "", 0, &text, Some(Role::Alarm), style);
    }
}

/// The answer.
pub(super) fn sentence(v: &Verdict) -> String {
    let owner = owner(&v.socket);
    let who = if v.is_mptcp() {
        format!("the MPTCP socket of {owner}")
    } else {
        owner.clone()
    };
    // An emptied queue keeps its sequence numbers (tcp_write_queue_purge).
    let send_q = if v.wmem_queued == 0 { 0 } else { v.send_q };
    let (w, limit, send_q) = (grouped(v.wmem_queued), grouped(v.sndbuf), bytes(send_q));
    if let Some(r) = v.receive.as_ref().filter(|_| is_of_receiving(v)) {
        let what = match (r.slow, memory::is_mostly_data(r)) {
            _ if r.is_filled_by_errors() => "does not collect its error queue",
            (false, _) => "only receives",
            (true, true) => "does not read as fast as its peer sends",
            (true, false) => "holds its peer up, and not by unread data alone",
        };
        return format!("{who} {what}: {}", memory::answer(r));
    }
    if !v.over_limit {
        let held = match v.blocked {
            Some(b) if b.now.is_some() => ", but its sender is held up now",
            Some(b) if b.waits == 0 && b.asleep == 0 && b.refusals == 0 && b.short_writes == 0 => {
                ""
            }
            Some(b) if b.on == WaitReason::Limit => ", though it was held up at it",
            Some(_) => ", though it was held up below it",
            None => "",
        };
        return format!(
            "{who} never went over its limit{held}: {w} of {limit} bytes of send memory in \
             use, Send-Q {send_q}."
        );
    }
    if v.excess <= 0 {
        return format!(
            "{who} is within its limit: {w} of {limit} bytes of send memory in use, Send-Q \
             {send_q}. The worst was {} over it.",
            bytes(v.worst_excess)
        );
    }
    let because = because(v);
    let over = grouped(v.excess);
    let raised = v.doubling.is_some_and(|d| d.raised > 0);
    match v.so_sndbuf {
        Some(asked) if v.send_q > v.sndbuf && asked > 0 && !raised => format!(
            "Send-Q is {send_q}, {} × the SO_SNDBUF of {} {}: {because}.",
            ratio(v.send_q, asked),
            grouped(asked),
            origin(v, &owner)
        ),
        Some(asked) => format!(
            "{who} holds {w} bytes of send memory, {over} over its limit of {limit} ({}), for a \
             Send-Q of {send_q}: {because}.",
            made_of(v, asked)
        ),
        None => format!(
            "{who} holds {w} bytes of send memory, {over} over the limit of {limit} that the \
             kernel tunes (no SO_SNDBUF was set), for a Send-Q of {send_q}: {because}."
        ),
    }
}

/// Whether the answer is about the receive side: its reader is slow, or nothing
/// is sent.
pub(super) fn is_of_receiving(v: &Verdict) -> bool {
    v.held_by_reader().is_some() && !v.over_limit || v.only_receives()
}

/// Whose `SO_SNDBUF` it is.
fn origin(v: &Verdict, who: &str) -> String {
    if v.took(Step::InheritedFromListener) {
        format!("that {who} has from its listener")
    } else if v.took(Step::MptcpSync) {
        format!("that the MPTCP socket of {who} was given")
    } else {
        format!("that {who} asked for")
    }
}

/// How the limit came from `SO_SNDBUF`.
fn made_of(v: &Verdict, asked: i64) -> String {
    let asked = grouped(asked);
    match v.doubling {
        Some(d) if d.raised > 0 => format!("SO_SNDBUF {asked}, raised to the kernel's minimum"),
        Some(d) if d.clamped => format!(
            "SO_SNDBUF {asked}, clamped to wmem_max {} and doubled",
            grouped(d.honoured)
        ),
        _ => format!("SO_SNDBUF {asked}, doubled"),
    }
}

/// What put the queue over its limit: what did most, and in what order.
fn because(v: &Verdict) -> String {
    let growth = growth(v);
    let is_limit = |cause: AnyCause| matches!(cause, AnyCause::Limit(_));
    let before = AnyCause::Queue(Cause::PreExisting);
    let moved = growth.iter().find(|(cause, _)| is_limit(*cause));
    let older = growth.iter().find(|(cause, _)| *cause == before);
    let put: Vec<_> = growth
        .iter()
        .filter(|(cause, _)| !is_limit(*cause) && *cause != before)
        .copied()
        .collect();
    let sum: i64 = put.iter().map(|(_, n)| n).sum();
    let amount = |found: Option<&(AnyCause, i64)>| found.map_or(0, |(_, n)| *n);
    let mut clauses = Vec::new();
    if amount(older) > sum.max(amount(moved)) {
        let mut text = format!(
            "{} were queued before skmem first saw the socket",
            bytes(amount(older))
        );
        if v.is_stuck() {
            text.push_str(", and nothing has moved since");
        }
        clauses.push((amount(older), text));
    } else if sum > 0 {
        clauses.push((sum, went_in(v, &put, sum)));
    }
    if let Some((cause, fell)) = moved {
        let because = texts::named(*cause).map_or(cause.name(), |words| words.because);
        clauses.push((*fell, because.replace("{bytes}", &grouped(*fell))));
    }
    let most = clauses.iter().map(|(n, _)| *n).max().unwrap_or(0);
    clauses.retain(|(n, _)| n.saturating_mul(BESIDES) >= most);
    if clauses.is_empty() {
        return "see the account".to_owned();
    }
    let clauses: Vec<_> = clauses.into_iter().map(|(_, text)| text).collect();
    clauses.join("; then ")
}

/// The bytes that went in since the last test, and what was freed of them.
fn went_in(v: &Verdict, put: &[(AnyCause, i64)], sum: i64) -> String {
    let admission = &v.admission;
    let mut text = if admission.count == 0 {
        put.first().map_or_else(String::new, |(cause, n)| {
            let because = texts::named(*cause).map_or(cause.name(), |w| w.because);
            because.replace("{bytes}", &grouped(*n))
        })
    } else {
        let test = if v.is_mptcp() {
            "mptcp_sendmsg tests the limit and then fills a page fragment; the last test that was \
             seen passed"
        } else {
            "the limit is tested only before a new skb; the last one passed"
        };
        format!(
            "{test} at {} of {}, then {} bytes went in ({})",
            grouped(admission.wmem_queued),
            grouped(admission.sndbuf),
            grouped(sum),
            parts(put, sum)
        )
    };
    let freed: i64 = v.causes.iter().map(|c| c.bytes.min(0)).sum();
    if freed != 0 {
        let all = v.causes.iter().filter(|c| c.bytes < 0);
        let how = if all.into_iter().all(|c| c.cause.frees_acknowledged()) {
            "were acknowledged"
        } else {
            "were freed"
        };
        text.push_str(&format!(", and {} {how}", grouped(-freed)));
    }
    text
}

/// `9,216 appended by later writes, 2,816 other`.
fn parts(put: &[(AnyCause, i64)], sum: i64) -> String {
    let matter = put
        .iter()
        .take(NAMED)
        .filter(|(_, n)| n.saturating_mul(SHARE) >= sum);
    let mut rest = sum;
    let mut parts = Vec::new();
    for (cause, n) in matter {
        let part = texts::named(*cause).map_or(cause.name(), |w| w.part);
        parts.push(format!("{} {part}", grouped(*n)));
        rest -= n;
    }
    if rest != 0 {
        parts.push(format!("{} other", grouped(rest)));
    }
    parts.join(", ")
}
