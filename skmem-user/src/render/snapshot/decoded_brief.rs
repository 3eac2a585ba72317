//! What a pasted `ss` output says, on one screen: the sockets that something
//! is wrong with first.

use super::decoded::{Decoding, ends, said};
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
        let mut block = String::new();
        said(&mut block, socket, show, style);
        values(&mut block, socket, style);
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
