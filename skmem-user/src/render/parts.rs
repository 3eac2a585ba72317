//! The other sections of a verdict: who, the chain from `SO_SNDBUF` to Send-Q,
//! what held the sender up, what can be done.

use skmem_common::cause::Cause;

use super::{
    date::utc,
    escape::escaped,
    identity::{ends, escaped_comm, name, pod},
    layout::{hang, row, title},
    style::{Role, Style},
    units::{bytes, counted, signed, span},
};
use crate::explain::{
    MINIMUM, Verdict,
    chain::Step,
    numbers::grouped,
    verdict::{Advice, AnyCause, Blocked, HeldNow, Instant, SinceIs, Socket, Withheld},
};

/// Columns of labels.
const LABEL: usize = 10;

pub(super) fn who(out: &mut String, v: &Verdict, style: &Style) {
    let s = &v.socket;
    out.push('\n');
    if s.pid != 0 {
        let text = format!("{}, pid {}{}", escaped_comm(s), s.pid, place(s));
        row(out, "who", LABEL, &text, style);
    }
    let netns = match &s.netns_name {
        Some(name) => format!("{} ({})", s.netns, escaped(name)),
        None => s.netns.to_string(),
    };
    let mut text = format!("{}, {}, netns {netns}, {}", ends(s), s.state, name(s));
    if v.is_mptcp() {
        text.insert_str(0, "MPTCP ");
        if let Some(token) = s.mptcp_token {
            text.push_str(&format!(", token {token:08x}"));
        }
    }
    if let Some(above) = s.mptcp_socket {
        text.push_str(&format!(
            ", a subflow of the MPTCP socket with cookie {above}"
        ));
    }
    row(out, "socket", LABEL, &text, style);
    let mut text = when(v);
    if s.closed {
        text.push_str("; the socket is closed now");
    }
    row(out, "when", LABEL, &text, style);
    row(out, "kernel", LABEL, &v.kernel, style);
}

/// Which instant it is, on the wall clock and since skmem saw the socket.
pub(super) fn when(v: &Verdict) -> String {
    let s = &v.socket;
    let instant = match v.instant {
        _ if v.is_stuck() => "first seen",
        Instant::Worst if v.worst_excess > v.excess => "the worst excess that can be explained",
        Instant::Worst => "the worst excess",
        Instant::Last => "the last call seen",
    };
    let after = v.at_ns.saturating_sub(s.seen_ns);
    let mut text = instant.to_owned();
    if let Some(wall_ns) = v.at_wall_ns {
        text.push_str(&format!(", {}", utc(wall_ns)));
    }
    if !v.is_stuck() {
        text.push_str(&format!(
            ", {} after skmem first saw the socket",
            span(after)
        ));
    }
    if v.instant == Instant::Worst && v.worst_excess > v.excess && !v.is_stuck() {
        text.push_str(&format!(
            "; {} over the limit were queued before skmem saw it",
            bytes(v.worst_excess)
        ));
    }
    text
}

/// The pod and the container of a socket, or its unit, or else its cgroup.
fn place(s: &Socket) -> String {
    let pod = pod(s).map_or(String::new(), |pod| format!(", pod {pod}"));
    let container = s.container.as_deref().map(|id| match &s.container_name {
        Some(name) => format!(", container {} ({})", escaped(name), short(id)),
        None => format!(", container {}", short(id)),
    });
    match (container, &s.unit, &s.cgroup) {
        (Some(container), ..) => pod + &container,
        _ if !pod.is_empty() => pod,
        (None, Some(unit), _) => format!(", unit {}", escaped(unit)),
        (None, None, Some(path)) if path != "/" => format!(", cgroup {}", escaped(path)),
        _ => String::new(),
    }
}

/// A container as its tools show it: 12 digits of its id, or its name.
fn short(id: &str) -> String {
    match id.len() == 64 && id.is_ascii() {
        true => id[..12].to_owned(),
        false => escaped(id),
    }
}

/// From what was asked for to what is queued.
pub(super) fn chain(out: &mut String, v: &Verdict, style: &Style) {
    title(out, "From SO_SNDBUF to Send-Q", style);
    let mut lines: Vec<(&str, Option<i64>, String)> = vec![
        ("SO_SNDBUF", v.so_sndbuf, asked(v)),
        ("sk_sndbuf", Some(v.sndbuf), limit(v)),
        ("wmem_queued", Some(v.wmem_queued), queued(v).to_owned()),
        ("  payload", Some(v.payload), payload(v)),
        ("  overhead", Some(v.skb_overhead), overhead(v)),
        ("Send-Q", Some(v.send_q), send_q(v)),
    ];
    // What is cut into segments are the subflows' skbs.
    if !v.is_mptcp() {
        lines.push((
            "size_goal",
            Some(v.size_goal),
            format!(
                "most payload for one skb: {} × MSS (payload of a segment) {}",
                counted(v.gso_segs.max(1), "segment"),
                grouped(v.mss)
            ),
        ));
    }
    let number = |n: &Option<i64>| n.map_or("-".to_owned(), |n| format!("{} B", grouped(n)));
    let width = lines
        .iter()
        .map(|(_, n, _)| number(n).len())
        .max()
        .unwrap_or(0);
    for (label, n, text) in &lines {
        let head = format!("  {label:<12}{:>width$}  ", number(n));
        hang(out, &head, head.len(), text, None, style);
    }
}

fn queued(v: &Verdict) -> &'static str {
    if v.is_mptcp() {
        "data fragments with their headers, until the peer's MPTCP acknowledges them, on a subflow \
         already or not; w in ss -Mm"
    } else {
        "memory of all queued skbs (packet buffers), sent or not; w in ss -m"
    }
}

fn asked(v: &Verdict) -> String {
    let half = if v.sndbuf <= MINIMUM {
        "at most half of the limit, which is locked"
    } else {
        "half of the limit, which is locked"
    };
    if v.so_sndbuf.is_none() {
        "not set: the kernel tunes the limit".to_owned()
    } else if v.took(Step::InheritedFromListener) {
        format!("set on the listener; inferred: {half}")
    } else if v.took(Step::MptcpSync) {
        format!("set on the MPTCP socket; inferred: {half}")
    } else if v.so_sndbuf_inferred {
        format!("inferred: {half}")
    } else if v.doubling.is_some_and(|d| d.forced) {
        "what the application passed to setsockopt(SO_SNDBUFFORCE)".to_owned()
    } else {
        "what the application passed to setsockopt".to_owned()
    }
}

fn limit(v: &Verdict) -> String {
    let base = "the kernel's limit";
    if v.limit_chain.is_empty() {
        let test = if v.is_mptcp() {
            "before a part of a page fragment is filled"
        } else {
            "before each new skb"
        };
        return format!("{base} for wmem_queued, tested {test}");
    }
    let steps: Vec<_> = v
        .limit_chain
        .iter()
        .map(|s| match s.cause {
            Step::Doubled if v.limit_chain.len() == 1 => {
                "doubled, to leave room for overhead".to_owned()
            }
            cause if s.from == s.to => cause.name().to_owned(),
            cause => format!("{} {}", cause.name(), grouped(s.to)),
        })
        .collect();
    format!("{base}: {}", steps.join(", "))
}

fn payload(v: &Verdict) -> String {
    let mut text = "bytes of data in them".to_owned();
    if v.mss > 0 && v.payload > 0 && v.payload % v.mss == 0 {
        text.push_str(&format!(
            ": {} × MSS {}",
            grouped(v.payload / v.mss),
            grouped(v.mss)
        ));
    }
    if v.untrimmed != 0 {
        text.push_str(&format!(
            ", {} of them acknowledged but not cut off the first skb yet",
            grouped(v.untrimmed)
        ));
    }
    text
}

fn overhead(v: &Verdict) -> String {
    if v.is_mptcp() {
        return "headers of the fragments (struct mptcp_data_frag) and what is acknowledged but not \
            freed yet"
            .to_owned();
    }
    let Some(one) = v.skb_truesize else {
        return "skbs themselves; no empty one was seen, so their number is unknown".to_owned();
    };
    match v.skbs {
        Some(n) => format!(
            "{} × {}, the truesize (memory charged) of an empty one",
            counted(n, "skb"),
            grouped(one)
        ),
        None if v.cause_total(Cause::ZerocopyPageRounding) != 0 => format!(
            "skbs of {} each when empty, and the rest of the pages that MSG_ZEROCOPY pins",
            grouped(one)
        ),
        None => format!(
            "no whole number of empty skbs of {}: with bytes acknowledged but not freed yet, a \
             FIN, or an MTU probe",
            grouped(one)
        ),
    }
}

fn send_q(v: &Verdict) -> String {
    if v.socket.closed && v.wmem_queued == 0 && v.send_q != 0 {
        return "write_seq - snd_una, which count on: the queues were thrown away".to_owned();
    }
    let mut text = if v.is_mptcp() {
        "write_seq - snd_una of the connection (SIOCOUTQ; ss -M prints sk_wmem_alloc in its \
         place): payload"
            .to_owned()
    } else {
        "write_seq - snd_una, as ss prints it: payload".to_owned()
    };
    if v.untrimmed != 0 {
        text.push_str(" less what is acknowledged");
    }
    if v.syn_fin != 0 {
        text.push_str(if v.is_mptcp() {
            " and 1 for the DATA_FIN"
        } else {
            " and 1 for the SYN or FIN"
        });
    }
    if v.unsent > 0 {
        let on = if v.is_mptcp() {
            "given to a subflow"
        } else {
            "sent"
        };
        text.push_str(&format!("; {} of it not {on} yet", grouped(v.unsent)));
    }
    text
}

/// What held the sender up.
pub(super) fn blocked_row(out: &mut String, v: &Verdict, style: &Style) {
    out.push('\n');
    let text = v
        .blocked
        .as_ref()
        .map_or_else(|| unblocked(v).to_owned(), blocked);
    row(out, "blocked", LABEL, &text, style);
}

/// The same, and the peer's window.
pub(super) fn holdup(out: &mut String, v: &Verdict, style: &Style) {
    blocked_row(out, v, style);
    let p = &v.peer_window;
    let mut text = format!(
        "{} at that instant, {} in flight",
        bytes(p.bytes),
        grouped(p.in_flight)
    );
    if v.instant == Instant::Worst {
        text.push_str(&format!("; {} at the last record", bytes(p.last_bytes)));
    }
    if p.closed {
        text.push_str(if v.is_mptcp() {
            ": shut, so the sender waits for the receiver to read"
        } else {
            ": no room for another segment, so the sender waits for the receiver to read"
        });
    }
    row(out, "window", LABEL, &text, style);
}

/// What holds the sender up now, if anything does.
pub(super) fn held(out: &mut String, v: &Verdict, style: &Style) {
    if let Some((b, now)) = v.blocked.and_then(|b| Some((b, b.now?))) {
        row(
            out,
            "held up",
            LABEL,
            &held_now(&now, b.lowat(), v.socket.seen_ns),
            style,
        );
    }
}

pub(super) fn unblocked(v: &Verdict) -> &'static str {
    if v.socket.older {
        "not since skmem first saw the socket"
    } else {
        "never"
    }
}

/// What holds the sender up now, and what the kernel waits for; the socket was
/// first seen at `seen_ns`.
fn held_now(n: &HeldNow, lowat: &str, seen_ns: u64) -> String {
    let long = span(n.for_ns);
    let since = match (n.asleep, n.since_is) {
        (true, SinceIs::AtLeast) => format!(
            "asleep in send() for at least {long}: it slept already when skmem first saw the socket"
        ),
        (true, _) => format!("asleep in send() for {long}"),
        (false, SinceIs::Exact) => {
            format!("turned away {long} ago, and no byte was taken since")
        }
        (false, SinceIs::AtLeast) if n.since_ns > seen_ns => {
            format!("waits for POLLOUT for at least {long}")
        }
        (false, SinceIs::AtLeast) => format!(
            "waits for POLLOUT for at least {long}: it waited already when skmem first saw the \
             socket"
        ),
        (false, SinceIs::AtMost) => {
            format!("waits for POLLOUT, for at most {long}: its last write was then")
        }
    };
    let (w, limit) = (grouped(n.wmem_queued), grouped(n.sndbuf));
    let wakes = format!(
        "the kernel wakes it, and reports POLLOUT, once wmem_queued is at most {} (2/3 of sk_sndbuf)",
        grouped(n.wakes_at)
    );
    match n.withheld {
        Some(Withheld::Send) if n.wmem_queued >= n.sndbuf => format!(
            "{since}; send() takes nothing while wmem_queued ({w}) is not below sk_sndbuf \
             ({limit}); {wakes}"
        ),
        Some(Withheld::Send) => {
            format!("{since}; send() takes nothing while the unsent bytes have reached {lowat}")
        }
        Some(Withheld::WakeUp) => format!(
            "{since}; send() would take bytes (wmem_queued {w} is below sk_sndbuf {limit}), but \
             {wakes}"
        ),
        None => since,
    }
}

pub(super) fn blocked(b: &Blocked) -> String {
    let mut text = Vec::new();
    let at_least = match b.now.map(|now| now.since_is) {
        Some(SinceIs::AtLeast) => "at least ",
        _ => "",
    };
    match b.asleep {
        0 => {}
        1 => text.push(format!("asleep now for {at_least}{}", span(b.asleep_ns))),
        n => text.push(format!(
            "{n} threads asleep now, for {at_least}{}",
            span(b.asleep_ns)
        )),
    }
    if b.waits != 0 {
        text.push(format!(
            "{} in {} in all, longest {}",
            span(b.total_ns),
            counted(signed(b.waits.saturating_add(b.asleep)), "sleep"),
            span(b.longest_ns)
        ));
    }
    if b.refusals != 0 {
        text.push(format!(
            "got EAGAIN {}",
            counted(signed(b.refusals), "time")
        ));
    }
    if b.short_writes != 0 {
        text.push(counted(signed(b.short_writes), "short write"));
    }
    if text.is_empty() {
        return "no call of a sender was held up; it waits in poll()".to_owned();
    }
    let r = &b.reasons;
    let inferred = if b.lowat_inferred { " (inferred)" } else { "" };
    let lowat = format!("unsent bytes had reached {}{inferred}", b.lowat());
    let reasons = [
        (r.limit, "wmem_queued had reached sk_sndbuf"),
        (r.memory, "memory was refused below the limit"),
        (r.notsent_lowat, &lowat),
    ];
    let reasons: Vec<_> = reasons.into_iter().filter(|(n, _)| *n != 0).collect();
    let because = match reasons[..] {
        [(_, only)] => only.to_owned(),
        _ => {
            let all = reasons.iter();
            let all: Vec<_> = all
                .map(|(n, why)| format!("{} × {why}", grouped(signed(*n))))
                .collect();
            all.join(", ")
        }
    };
    format!("{}: {because}", text.join("; "))
}

/// The causes that matter, in the words of their pages.
pub(super) fn explanation(out: &mut String, v: &Verdict, style: &Style) {
    if v.explanation.is_empty() {
        return;
    }
    title(out, "Why", style);
    let column = v
        .explanation
        .iter()
        .map(|w| w.cause.name().len())
        .max()
        .unwrap_or(0)
        + 4;
    for why in &v.explanation {
        let head = format!("  {:<1$}", why.cause, column - 2);
        let head = head.replacen(why.cause.name(), &style.paint(Role::Name, why.cause), 1);
        let text = match why.cause {
            // No code path to name.
            AnyCause::Queue(cause) if !cause.has_code_path() => why.sentence.to_owned(),
            _ => format!("{} [{}; {}]", why.sentence, why.function, why.versions),
        };
        hang(out, &head, column, &text, None, style);
    }
}

pub(super) fn advice(out: &mut String, v: &Verdict, style: &Style) {
    list(out, "What can be done", &v.advice, true, style);
    list(out, "What does not help here", &v.not_helpful, false, style);
    let mut all = v.advice.iter().chain(&v.not_helpful);
    if let Some(tried) = all.find(|a| a.evidence.contains(" --fix ")) {
        let text = format!(
            "what was measured on each kernel: `skmem causes {}`",
            tried.cause
        );
        out.push('\n');
        hang(out, "", 0, &text, Some(Role::Aside), style);
    }
}

fn list(out: &mut String, heading: &str, advice: &[Advice], price: bool, style: &Style) {
    if advice.is_empty() {
        return;
    }
    title(out, heading, style);
    for (n, a) in advice.iter().enumerate() {
        let head = format!("  {}. ", n + 1);
        let text = format!("[{}] {}", a.cause, a.advice);
        hang(out, &head, head.len(), &text, None, style);
        let mut aside = String::new();
        if price {
            aside = format!("Price: {}. ", a.price);
        }
        aside.push_str(&match a.reproduce {
            Some(command) => format!("Tried: `{command}`."),
            None => format!("Known: {}.", a.evidence),
        });
        hang(out, "     ", 5, &aside, Some(Role::Aside), style);
    }
}
