//! Groups of sockets: a line each.

use super::{Show, sockets::narrow, table::Table};
use crate::{
    explain::numbers::grouped,
    render::{Style, escape::escaped, style::Role},
    snapshot::group::Group,
};

/// Columns that give way on a narrow terminal, the first ones first.
const LEAST: [&str; 10] = [
    "d", "ovhd", "f", "data", "t", "flight", "unsent", "unread", "full", "r",
];

/// The groups, in the order in which they are; `what` heads the last column.
#[must_use]
pub fn groups(groups: &[Group], what: &str, show: &Show, style: &Style) -> String {
    let bytes = show.bytes();
    let most = if show.most == 0 {
        groups.len()
    } else {
        show.most
    };
    let shown = &groups[..most.min(groups.len())];
    let mut heads = vec![
        "charged", "sockets", "full", "w", "data", "ovhd", "unsent", "flight", "t", "r", "unread",
        "f", "d",
    ];
    if show.changes {
        heads.insert(0, "change");
    }
    let mut table = Table::new(heads);
    for group in shown {
        let mut cells = Vec::with_capacity(14);
        if show.changes {
            cells.push(
                group
                    .change
                    .map_or("-".into(), |change| bytes.change(change)),
            );
        }
        let count = |n: u64| grouped(i64::try_from(n).unwrap_or(i64::MAX));
        cells.extend([
            bytes.show(group.charged),
            count(group.sockets),
            count(group.full),
            bytes.show(group.wmem_queued),
            bytes.show(group.payload),
            bytes.show(group.skb_overhead),
            bytes.show(group.unsent),
            bytes.show(group.in_flight),
            bytes.show(group.wmem_alloc),
            bytes.show(group.rmem_alloc),
            bytes.show(group.recv_q),
            bytes.show(group.forward_alloc),
            count(group.drops),
        ]);
        table.push(cells);
    }
    table.drop_empty("d");
    table.drop_empty("t");
    let keys = shown
        .iter()
        .map(|group| escaped(&group.key).chars().count());
    let key = keys.max().unwrap_or(0).min(style.width / 2).max(what.len());
    let left_out = table.fit(style.width.saturating_sub(key + 2), &LEAST);
    let (head, lines) = table.lines(style.width.saturating_sub(key + 2));
    let mut out = format!("{}\n", style.paint(Role::Title, format!("{head}  {what}")));
    for (group, line) in shown.iter().zip(lines) {
        let key = style.paint(Role::Name, escaped(&group.key));
        out.push_str(&format!("{line}  {key}\n"));
    }
    out.push_str(&narrow(&left_out, style));
    if shown.len() < groups.len() {
        let rest = groups.len() - shown.len();
        let sum = groups[shown.len()..]
            .iter()
            .map(|group| group.charged)
            .sum();
        let text = format!(
            "… and {} more, charged {} ({})",
            grouped(rest as i64),
            bytes.show(sum),
            show.rest
        );
        out.push_str(&format!("{}\n", style.paint(Role::Aside, text)));
    }
    out
}
