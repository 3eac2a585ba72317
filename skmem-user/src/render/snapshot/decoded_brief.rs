//! What a pasted `ss` output says, on one screen: the sockets that something
//! is wrong with first.

use super::decoded::{Decoding, ends, finding_line, head};
use crate::{
    decode::{Limits, Reading, Weight, findings},
    explain::numbers::grouped,
    render::{Style, layout::hang, style::Role, units::counted},
};

/// The sockets in at most `lines` lines, those with alarms first unless they are
/// `sorted` already; `more` says how to see the rest. At least one is shown. Ends
/// with a newline.
#[must_use]
pub fn decoded_brief(
    show: &Decoding,
    sorted: bool,
    style: &Style,
    lines: usize,
    more: &str,
) -> String {
    let mut order: Vec<&Reading> = show.shown.clone();
    if !sorted {
        order.sort_by_cached_key(|socket| std::cmp::Reverse(weight(socket)));
    }
    let mut tail = String::new();
    for text in ends(show) {
        hang(&mut tail, "", 0, &text, Some(Role::Aside), style);
    }
    hang(&mut tail, "", 0, more, Some(Role::Aside), style);
    // One more for what is left out.
    let room = lines.saturating_sub(tail.lines().count() + 2);
    let mut out = String::new();
    let mut shown = 0;
    for socket in &order {
        // Only the first may need to be cut.
        let block = one(socket, style, if shown == 0 { room } else { usize::MAX });
        let used = out.lines().count() + usize::from(shown > 0);
        if shown > 0 && used + block.lines().count() > room {
            break;
        }
        if shown > 0 {
            out.push('\n');
        }
        out.push_str(&block);
        shown += 1;
    }
    let left = i64::try_from(order.len() - shown).unwrap_or(i64::MAX);
    if !out.is_empty() {
        out.push('\n');
    }
    if left > 0 {
        let text = format!("{} not shown here.", counted(left, "more socket"));
        hang(&mut out, "", 0, &text, Some(Role::Aside), style);
    }
    out + &tail
}

/// A socket in at most `lines` lines: which, what stands out, its values.
fn one(socket: &Reading, style: &Style, lines: usize) -> String {
    let (mut out, mut tail) = (String::new(), String::new());
    head(&mut out, socket, style);
    values(&mut tail, socket, style);
    let mut found = findings(socket, &Limits::DEFAULT);
    found.sort_by_key(|finding| finding.weight != Weight::Alarm);
    let mut omitted = 0;
    for finding in &found {
        let mut line = String::new();
        finding_line(&mut line, finding, style);
        let used = [&out, &line, &tail].map(|text| text.lines().count());
        // One is shown always; a line is left for what is omitted.
        if !std::ptr::eq(finding, &raw const found[0]) && used.iter().sum::<usize>() + 1 > lines {
            omitted += 1;
        } else {
            out.push_str(&line);
        }
    }
    if omitted > 0 {
        let text = format!("… and {}", counted(omitted, "more finding"));
        hang(&mut out, "  ", 2, &text, Some(Role::Aside), style);
    }
    out + &tail
}

/// Alarms, then other findings.
fn weight(socket: &Reading) -> (usize, usize) {
    let found = findings(socket, &Limits::DEFAULT);
    let alarms = found.iter().filter(|f| f.weight == Weight::Alarm).count();
    (alarms, found.len())
}

/// The values as `ss` has them, in a line where there is room.
fn values(out: &mut String, socket: &Reading, style: &Style) {
    let queues = [("Recv-Q", socket.recv_q), ("Send-Q", socket.send_q)];
    let queues = queues
        .into_iter()
        .filter_map(|(name, n)| Some(format!("{name} {}", grouped(n?))));
    let memory = socket.memory.values();
    let memory = memory.map(|(letter, _, n)| format!("{letter} {}", grouped(n)));
    let all: Vec<String> = queues.chain(memory).collect();
    if !all.is_empty() {
        hang(out, "  ", 2, &all.join(" · "), None, style);
    }
}
