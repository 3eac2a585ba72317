//! Sockets: two lines each, who and where, then the numbers under `ss`'s letters.

use std::collections::HashMap;

use super::{short::Bytes, table::Table, window};
use crate::{
    decode::{Finding, Limits, Weight, reading::state_name},
    diag::{Protocol, UpperLayer},
    explain::numbers::grouped,
    glossary,
    render::{
        Style,
        escape::escaped,
        layout::{hang, wrap},
        style::Role,
        units::counted,
    },
    snapshot::{
        Row,
        account::Marks,
        findings::{Around, findings},
        group::ownerless,
        row::{Limit, Owner},
    },
};

/// How sockets are shown.
#[derive(Debug, Clone, Copy)]
pub struct Show<'a> {
    /// Most sockets shown; 0: all.
    pub most: usize,
    /// Whole numbers instead of `2.6M`.
    pub exact: bool,
    /// Say what stands out, in words.
    pub explain: bool,
    /// Say where the limit of the receive buffer goes.
    pub windows: bool,
    /// Findings a socket, with [`Show::explain`]; None: all.
    pub words: Option<usize>,
    /// How all sockets are shown, where there are more.
    pub rest: &'a str,
    /// Whether changes are known.
    pub changes: bool,
    /// Names of namespaces; none where all sockets are in one.
    pub namespaces: Option<&'a HashMap<u64, String>>,
    /// Sysctls by namespace.
    pub limits: &'a HashMap<u64, Limits>,
    /// `tcp_mem`, and how far away it is.
    pub tcp_mem: Option<Marks>,
}

impl Show<'_> {
    /// What stands out in a row.
    #[must_use]
    pub fn findings(&self, row: &Row) -> Vec<Finding> {
        let around = Around {
            limits: limits(row, self),
            tcp_mem: self.tcp_mem,
        };
        findings(row, &around)
    }

    pub(super) fn bytes(&self) -> Bytes {
        if self.exact {
            Bytes::Exact
        } else {
            Bytes::Short
        }
    }
}

/// The sockets, in the order in which they are.
#[must_use]
pub fn sockets(rows: &[Row], show: &Show, style: &Style) -> String {
    let most = if show.most == 0 {
        rows.len()
    } else {
        show.most
    };
    let shown = &rows[..most.min(rows.len())];
    let mut heads = vec![
        "charged", "w", "data", "ovhd", "tb", "fill", "unsent", "flight", "t", "r", "rb", "unread",
        "f", "o", "bl", "d",
    ];
    if show.changes {
        heads.insert(0, "change");
    }
    let mut table = Table::new(heads);
    for row in shown {
        table.push(numbers(row, show));
    }
    for letter in ["o", "bl", "d", "t"] {
        table.drop_empty(letter);
    }
    let left_out = table.fit(style.width, &LEAST);
    let (head, lines) = table.lines(style.width);
    let mut out = format!("{}\n", style.paint(Role::Title, &head));
    for (row, line) in shown.iter().zip(lines) {
        who(&mut out, row, show, style);
        out.push_str(&line);
        out.push('\n');
        if show.windows {
            window::write(&mut out, row, show.explain, style);
        }
        if show.explain {
            words(&mut out, row, show, style);
        }
    }
    out.push_str(&narrow(&left_out, style));
    if shown.len() < rows.len() {
        let rest = rows.len() - shown.len();
        let bytes = rows[shown.len()..].iter().map(|row| row.charged).sum();
        let text = format!(
            "… and {} more, charged {} ({})",
            grouped(rest as i64),
            show.bytes().show(bytes),
            show.rest
        );
        out.push_str(&format!("{}\n", style.paint(Role::Aside, text)));
    }
    out
}

/// Columns that give way on a narrow terminal, the first ones first.
const LEAST: [&str; 13] = [
    "bl", "o", "d", "rb", "ovhd", "f", "data", "tb", "t", "flight", "unread", "unsent", "r",
];

/// Which columns are left out.
pub(super) fn narrow(left_out: &[&str], style: &Style) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let text = format!("for want of width without: {}", left_out.join(", "));
    let lines = wrap(&text, 0, 0, style.width);
    lines
        .into_iter()
        .map(|line| style.paint(Role::Aside, line) + "\n")
        .collect()
}

fn numbers(row: &Row, show: &Show) -> Vec<String> {
    let bytes = show.bytes();
    let some = |value: Option<u32>| value.map_or("-".into(), |value| bytes.show(i64::from(value)));
    let mut cells = Vec::with_capacity(17);
    if show.changes {
        cells.push(
            row.change
                .map_or("new".into(), |change| bytes.change(change)),
        );
    }
    let Some(memory) = &row.memory else {
        cells.resize(cells.len() + 16, "-".into());
        return cells;
    };
    let mem = |value: i32| bytes.show(i64::from(value));
    cells.extend([
        bytes.show(row.charged),
        mem(memory.wmem_queued),
        some(row.payload),
        some(row.skb_overhead),
        mem(memory.sndbuf),
        row.fill_percent
            .map_or("-".into(), |fill| format!("{fill}%")),
        some(row.unsent),
        some(row.in_flight),
        mem(memory.wmem_alloc),
        mem(memory.rmem_alloc),
        mem(memory.rcvbuf),
        // For an MPTCP socket the kernel reports memory here, not data.
        if row.listens() || row.protocol == Protocol::Mptcp {
            "-".into()
        } else {
            bytes.show(i64::from(row.recv_q))
        },
        mem(memory.forward_alloc),
        mem(memory.optmem),
        mem(memory.backlog),
        grouped(i64::from(memory.drops)),
    ]);
    cells
}

/// State, addresses, holder, cgroup, limit, and what stands out by name.
fn who(out: &mut String, row: &Row, show: &Show, style: &Style) {
    let mut parts = vec![place(row), holders(row)];
    parts.extend(cgroup(row));
    parts.extend(limit(row.limit).map(|what| format!("tb {what}")));
    let rcvbuf = row.rcvbuf_limit.and_then(limit);
    parts.extend(rcvbuf.map(|what| format!("rb {what}")));
    match (row.protocol, row.upper_layer) {
        (_, Some(UpperLayer::Tls)) => parts.push("kernel TLS".into()),
        (_, Some(UpperLayer::Mptcp)) if row.listens() => {
            parts.push("accepts for an MPTCP socket".into());
        }
        (_, Some(UpperLayer::Mptcp)) => parts.push("MPTCP subflow".into()),
        (Protocol::Mptcp, _) => parts.extend(token(row)),
        _ => {}
    }
    if let Some(names) = show.namespaces {
        let name = names.get(&row.netns).map_or("?", String::as_str);
        parts.push(format!("netns {} ({})", row.netns, escaped(name)));
    }
    if row.mptcp_socket.is_some() {
        // Beneath its MPTCP socket.
        parts[0].insert_str(0, "└ ");
    }
    let alarms: Vec<&str> = show
        .findings(row)
        .iter()
        .filter(|finding| finding.weight == Weight::Alarm)
        .map(|finding| finding.tag)
        .collect();
    let lines = wrap(&parts.join(" · "), 0, 4, style.width);
    let indent = if lines.len() > 1 { 4 } else { 0 };
    let used = indent + lines.last().map_or(0, |line| line.chars().count());
    let lines: Vec<_> = lines
        .into_iter()
        .map(|line| style.paint(Role::Name, line))
        .collect();
    out.push_str(&lines.join("\n    "));
    if !alarms.is_empty() && !show.explain {
        let alarms = alarms.join(", ");
        let fits = used + 3 + alarms.chars().count() <= style.width;
        out.push_str(if fits { " · " } else { "\n    " });
        out.push_str(&style.paint(Role::Alarm, alarms));
    }
    out.push('\n');
}

/// Which socket, and whose. Ends with a newline.
#[must_use]
pub fn name(row: &Row, style: &Style) -> String {
    let mut out = String::new();
    let text = format!("{} · {}", place(row), holders(row));
    hang(&mut out, "", 4, &text, Some(Role::Name), style);
    out
}

pub(super) fn limits<'a>(row: &Row, show: &Show<'a>) -> &'a Limits {
    show.limits.get(&row.netns).unwrap_or(&Limits::DEFAULT)
}

pub(super) fn place(row: &Row) -> String {
    let end = |ip, port| std::net::SocketAddr::new(ip, port).to_string();
    let protocol = match row.protocol {
        Protocol::Tcp => "",
        Protocol::Mptcp => "MPTCP ",
        Protocol::Udp => "UDP ",
    };
    let src = end(row.src, row.sport);
    if row.listens() {
        return format!(
            "{protocol}LISTEN {src}, {} of {} waiting",
            grouped(i64::from(row.recv_q)),
            grouped(i64::from(row.send_q))
        );
    }
    let state = match row.protocol {
        Protocol::Udp => "",
        _ => state_name(row.state),
    };
    let space = if state.is_empty() { "" } else { " " };
    match row.dport {
        0 => format!("{protocol}{state}{space}{src}"),
        _ => format!(
            "{protocol}{state}{space}{src} → {}",
            end(row.dst, row.dport)
        ),
    }
}

pub(super) fn holders(row: &Row) -> String {
    let Some(first) = row.holders.first() else {
        return match row.owner {
            Owner::NotPermitted => format!("owner not shown (uid {})", row.uid),
            other => ownerless(other).to_owned(),
        };
    };
    let more = match row.holders.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    format!(
        "{} (pid {}, fd {}){more}",
        escaped(&first.comm),
        first.pid,
        first.fd
    )
}

/// How `ss` and `ip mptcp` name the connection.
fn token(row: &Row) -> Option<String> {
    let token = row.mptcp_token.filter(|token| *token != 0)?;
    Some(format!("token {token:08x}"))
}

/// The cgroup's last part that says something; container ids are cut to twelve digits.
fn cgroup(row: &Row) -> Option<String> {
    let path = row.cgroup.as_deref().filter(|path| *path != "/")?;
    let parts = path.split('/').map(|part| {
        let name = part.strip_suffix(".scope").unwrap_or(part);
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_hexdigit()).len();
        match digits {
            32.. => format!("{}…", &name[..name.len() - digits + 12]),
            _ => part.to_owned(),
        }
    });
    Some(escaped(&parts.collect::<Vec<_>>().join("/")).replace("\\u{2026}", "…"))
}

fn limit(limit: Limit) -> Option<&'static str> {
    match limit {
        Limit::Locked => Some("locked"),
        Limit::Autotuned => Some("autotuned"),
        Limit::LockedOrShrunk => Some("locked or shrunk"),
        Limit::Unknown => None,
    }
}

fn words(out: &mut String, row: &Row, show: &Show, style: &Style) {
    let found = show.findings(row);
    let most = show.words.unwrap_or(found.len());
    for finding in found.iter().take(most) {
        let role = (finding.weight == Weight::Alarm).then_some(Role::Alarm);
        let mark = if role.is_some() { "  ! " } else { "  - " };
        hang(out, mark, 4, &finding.text, role, style);
    }
    if let Some(more @ 1..) = found.len().checked_sub(most) {
        let more = counted(more as i64, "more finding");
        hang(
            out,
            "    ",
            4,
            &format!("… and {more}"),
            Some(Role::Aside),
            style,
        );
    }
}

/// What the columns are.
#[must_use]
pub fn legend(style: &Style) -> String {
    let letters = glossary::all()
        .filter(|field| !field.brief.is_empty())
        .filter_map(|field| Some(format!("{}: {}", field.ss?, field.brief)))
        .collect::<Vec<_>>();
    let text = format!(
        "charged = w + r + f; w = data + ovhd; fill = w / tb; Send-Q = unsent + flight; unread: data in r. {}. K, M, G \
         are 1,024s of bytes. `skmem fields` says more.",
        letters.join("; ")
    );
    let lines = wrap(&text, 0, 0, style.width);
    let lines = lines
        .into_iter()
        .map(|line| style.paint(Role::Aside, line) + "\n");
    lines.collect()
}
