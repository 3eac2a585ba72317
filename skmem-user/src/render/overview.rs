//! Many sockets, a line each.

use super::{
    escape::escaped,
    style::{Role, Style},
    who::ends,
};
use crate::explain::{Verdict, growth, numbers::grouped};

/// One line a socket, the worst excess first, under a line of headings. Ends
/// with a newline.
#[must_use]
pub fn overview(verdicts: &[Verdict], style: &Style) -> String {
    let mut sorted: Vec<_> = verdicts.iter().collect();
    sorted.sort_by_key(|v| -v.excess);
    let head = ["over", "Send-Q", "SO_SNDBUF", "sk_sndbuf", "wmem_queued", "unattributed"];
    let numbers: Vec<_> = sorted.iter().map(|v| numbers(v)).collect();
    let width = |n: usize| {
        let widest = numbers.iter().map(|row| row[n].len()).max();
        widest.unwrap_or(0).max(head[n].len())
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths);
        cells.map(|(cell, width)| format!("{cell:>width$}  ")).collect::<String>()
    };
    let heading = line(&head.map(str::to_owned)) + "main cause, owner, socket";
    let mut out = style.paint(Role::Title, heading) + "\n";
    for (v, numbers) in sorted.iter().zip(&numbers) {
        let main = growth(v).first().map_or("-", |(cause, _)| cause);
        let mark = if v.complete { "" } else { "  INCOMPLETE" };
        let s = &v.socket;
        out.push_str(&line(numbers));
        out.push_str(&style.paint(Role::Name, main));
        out.push_str(&format!("  {}/{}  {}", escaped(&s.comm), s.pid, ends(s)));
        out.push_str(&style.paint(Role::Alarm, mark));
        out.push('\n');
    }
    out
}

fn numbers(v: &Verdict) -> [String; 6] {
    [
        grouped(v.excess),
        grouped(v.send_q),
        v.so_sndbuf.map_or("-".to_owned(), grouped),
        grouped(v.sndbuf),
        grouped(v.wmem_queued),
        grouped(v.unattributed),
    ]
}
