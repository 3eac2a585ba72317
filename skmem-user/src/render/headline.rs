//! The answer in one sentence, and what casts doubt on it.

use super::{
    layout::hang,
    style::{Role, Style},
    units::{bytes, ratio},
    who::owner,
};
use crate::explain::{Verdict, growth, numbers::grouped, texts};

pub(super) fn write(out: &mut String, verdict: &Verdict, style: &Style) {
    let check = &verdict.self_check;
    if !check.excess_closes || !check.ledger_closes {
        let text = "THE ACCOUNT DOES NOT CLOSE: a bug in skmem. Trust none of the numbers below \
            but those of the kernel's own fields, and please report it with --json.";
        hang(out, "", 0, text, Some(Role::Alarm), style);
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
fn sentence(v: &Verdict) -> String {
    let who = owner(&v.socket);
    let (w, limit, send_q) = (grouped(v.wmem_queued), grouped(v.sndbuf), bytes(v.send_q));
    if !v.over_limit {
        let held = match v.blocked {
            Some(b) if b.on == "limit" => ", though it was held up at it",
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
    match v.so_sndbuf {
        Some(asked) if asked > 0 && v.send_q > asked => format!(
            "Send-Q is {send_q}, {} × the SO_SNDBUF of {} that {who} asked for: {because}.",
            ratio(v.send_q, asked),
            grouped(asked)
        ),
        Some(asked) => format!(
            "{who} holds {w} bytes of send memory, {over} over its limit of {limit}, for a \
             Send-Q of {send_q} and a SO_SNDBUF of {}: {because}.",
            grouped(asked)
        ),
        None => format!(
            "{who} holds {w} bytes of send memory, {over} over the limit of {limit} that the \
             kernel tunes (no SO_SNDBUF was set), for a Send-Q of {send_q}: {because}."
        ),
    }
}

/// The largest cause, in the words of its page.
fn because(verdict: &Verdict) -> String {
    let growth = growth(verdict);
    let Some((cause, amount)) = growth.first() else {
        return "see the account".to_owned();
    };
    texts::named(cause).map_or_else(
        || (*cause).to_owned(),
        |words| words.because.replace("{bytes}", &grouped(*amount)),
    )
}
