//! What a pasted `ss` output says, socket by socket.

use super::short::size;
use crate::{
    decode::{
        Decoded, Finding, Limits, Reading, Weight, findings,
        reading::Source,
        several::{Change, Several, Since, Totals, last_looks},
    },
    diag::TcpState,
    explain::numbers::grouped,
    glossary,
    render::{
        Style,
        escape::escaped,
        layout::{hang, row},
        style::Role,
    },
};

/// Columns of letter and number.
const LABEL: usize = 19;

/// What of a paste is shown, and how.
pub struct Decoding<'a> {
    /// What was read.
    pub read: &'a Decoded,
    /// What belongs together in it.
    pub several: Several<'a>,
    /// The sockets that are shown, in this order.
    pub shown: Vec<&'a Reading>,
    /// How many there are before the limit.
    pub found: usize,
}

impl<'a> Decoding<'a> {
    /// All of it.
    #[must_use]
    pub fn of(read: &'a Decoded) -> Self {
        Self {
            read,
            several: Several::of(&read.sockets),
            shown: read.sockets.iter().collect(),
            found: read.sockets.len(),
        }
    }

    /// Sums, of each socket its last look.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals::of(last_looks(&self.shown).into_iter())
    }
}

/// All sockets in words. Ends with a newline, unless there is nothing.
#[must_use]
pub fn decoded(show: &Decoding, style: &Style) -> String {
    let mut out = String::new();
    for (at, socket) in show.shown.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        one(&mut out, socket, show, style);
    }
    for end in ends(show) {
        if !out.is_empty() {
            out.push('\n');
        }
        hang(&mut out, "", 0, &end, Some(Role::Aside), style);
    }
    out
}

/// What is said below the sockets: sums, and what is not shown.
pub(super) fn ends(show: &Decoding) -> Vec<String> {
    let mut ends = Vec::new();
    let left_out = show.found - show.shown.len();
    let totals = show.totals();
    if totals.sockets > 1 {
        ends.push(sums(&totals, left_out));
    } else if left_out > 0 {
        ends.push(format!("{left_out} more are not shown (--limit)."));
    }
    let hidden = show.read.sockets.len() - show.found;
    if hidden > 0 {
        let sockets = if hidden == 1 {
            "1 socket is"
        } else {
            &format!("{hidden} sockets are")
        };
        ends.push(format!(
            "{sockets} not shown: the filters do not hold for them."
        ));
    }
    match show.read.others {
        0 => {}
        1 => ends.push("1 socket of another kind was passed over.".into()),
        others => ends.push(format!("{others} sockets of other kinds were passed over.")),
    }
    ends
}

/// What they come to.
fn sums(totals: &Totals, left_out: usize) -> String {
    let mut text = format!("{} sockets", totals.sockets);
    if left_out > 0 {
        text.push_str(&format!(" ({left_out} more are not shown)"));
    }
    if totals.with_memory > 0 {
        let without = match totals.sockets - totals.with_memory {
            0 => String::new(),
            n => format!(" (of {n} none was printed)"),
        };
        text.push_str(&format!(
            ", charged {} bytes{without}: w {}, r {}, f {}",
            grouped(totals.charged),
            grouped(totals.wmem_queued),
            grouped(totals.rmem_alloc),
            grouped(totals.forward_alloc)
        ));
    }
    text.push_str(&format!(
        "; Send-Q {}, Recv-Q {}.",
        grouped(totals.send_payload),
        grouped(totals.recv_q)
    ));
    text
}

fn one(out: &mut String, socket: &Reading, show: &Decoding, style: &Style) {
    said(out, socket, show, style);
    queues(out, socket, style);
    let mut zeros = Vec::new();
    for (letter, name, value) in socket.memory.values() {
        if value == 0 {
            zeros.push(format!("{letter} ({})", glossary::brief(name)));
            continue;
        }
        let label = format!("  {letter:<3}{:>13}", grouped(value));
        let text = format!("{name}: {}", value_in_words(socket, name));
        row(out, &label, LABEL, &text, style);
    }
    if !zeros.is_empty() {
        row(out, &format!("{:>18}", 0), LABEL, &zeros.join(", "), style);
    }
}

/// Which socket it is, and what is to be said of it.
fn said(out: &mut String, socket: &Reading, show: &Decoding, style: &Style) {
    head(out, socket, style);
    let found = findings(socket, &Limits::DEFAULT);
    for finding in &found {
        finding_line(out, finding, style);
    }
    if let Some(since) = show.several.since(socket) {
        hang(out, "  - ", 4, &changes(&since), None, style);
    }
    if let Some(peer) = show.several.peer(socket) {
        hang(out, "  - ", 4, &other_end(peer), None, style);
    }
    if socket.is_bare() {
        row(out, "  ", 2, no_memory(socket), style);
    } else if found.is_empty() {
        row(out, "  ", 2, "Nothing stands out.", style);
    }
    if socket.kind.is_none() {
        let text = "TCP or UDP: the lines do not say which. What is true of one of them only is left out (run `ss -t` and \
                    `ss -u` separately, or print both with Netid).";
        row(out, "  ", 2, text, style);
    }
}

/// Which socket it is, and whose.
pub(super) fn head(out: &mut String, socket: &Reading, style: &Style) {
    let name = match socket.to_string() {
        name if socket.local.is_some() => name,
        name if name.is_empty() => format!("socket on line {}", socket.line),
        name => format!("{name} on line {}", socket.line),
    };
    let mut head = escaped(&name).replace("\\u{2192}", "→");
    for user in &socket.users {
        let fd = user.fd.map_or(String::new(), |fd| format!(", fd {fd}"));
        head.push_str(&format!(", {} (pid {}{fd})", escaped(&user.comm), user.pid));
    }
    hang(out, "", 0, &head, Some(Role::Title), style);
}

/// What an earlier look shows.
fn changes(since: &Since) -> String {
    if since.changes.is_empty() {
        return format!(
            "Nothing has changed since the look before (line {}).",
            since.line
        );
    }
    let changes: Vec<String> = since
        .changes
        .iter()
        .map(|Change { name, by }| {
            let sign = if *by > 0 { "+" } else { "" };
            format!("{name} {sign}{}", grouped(*by))
        })
        .collect();
    format!(
        "Since the look before (line {}): {}.",
        since.line,
        changes.join(", ")
    )
}

/// The other end is there, too.
fn other_end(peer: &Reading) -> String {
    let mut words = format!("The other end is on line {}", peer.line);
    let values = [
        ("Recv-Q", peer.recv_q),
        ("Send-Q", peer.send_q),
        ("r", peer.memory.rmem_alloc),
        ("rb", peer.memory.rcvbuf),
    ];
    let values: Vec<String> = values
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", grouped(value?))))
        .collect();
    if !values.is_empty() {
        words.push_str(&format!(": {}", values.join(", ")));
    }
    words.push('.');
    words
}

/// Why there is no memory.
fn no_memory(socket: &Reading) -> &'static str {
    match socket.source {
        _ if socket.damaged => "No memory could be read for it.",
        Source::Netstat | Source::Proc => {
            "netstat and /proc/net/tcp do not show memory (`ss -tmi` does): only the queues' lengths."
        }
        _ if matches!(socket.state, Some(TcpState::TimeWait | TcpState::SynRecv)) => {
            "No memory was printed for it: TIME-WAIT and half-open sockets have no buffers."
        }
        _ if socket.state == Some(TcpState::FinWait2) => {
            "No memory was printed for it: a FIN-WAIT-2 socket that the application has closed has no buffers; of others `ss -m` \
             prints it."
        }
        _ => "No memory was printed for it: `ss -m` does.",
    }
}

/// A finding, with a mark where it is an alarm.
pub(super) fn finding_line(out: &mut String, finding: &Finding, style: &Style) {
    let role = (finding.weight == Weight::Alarm).then_some(Role::Alarm);
    let mark = if role.is_some() { "  ! " } else { "  - " };
    hang(out, mark, 4, &finding.text, role, style);
}

fn queues(out: &mut String, socket: &Reading, style: &Style) {
    let mut line = |label: &str, value: i64, text: &str| {
        let singular;
        let text = if value == 1 {
            singular = text
                .replacen("bytes", "byte", 1)
                .replacen("connections that wait", "connection that waits", 1)
                .replacen("connections", "connection", 1);
            &singular
        } else {
            text
        };
        row(
            out,
            &format!("  {label:<7}{:>9}", grouped(value)),
            LABEL,
            text,
            style,
        );
    };
    if socket.listens() {
        if let Some(waiting) = socket.recv_q {
            line("Recv-Q", waiting, "connections that wait for accept()");
        }
        if let Some(most) = socket.send_q {
            line(
                "Send-Q",
                most,
                "connections that may wait, at most (listen()'s backlog)",
            );
        }
        return;
    }
    if let Some(waiting) = socket.recv_q.filter(|n| *n != 0) {
        let text = match socket.recv_payload() {
            _ if socket.is_udp() => {
                "bytes of memory (truesize) of packets that the application has not read"
            }
            _ if socket.is_mptcp() => {
                "bytes of memory: of an MPTCP socket it is r, and no count of data"
            }
            _ if socket.kind.is_none() => {
                "not read by the application: of TCP bytes of data, of UDP bytes of memory (truesize)"
            }
            Some(0) if socket.state != Some(TcpState::CloseWait) => "the peer's FIN: no data",
            Some(0) => "the peer's FIN, which the application has not read: no data",
            Some(data) if data < waiting => {
                "bytes that the application has not read; the peer's FIN counts one"
            }
            _ => "bytes of data that the application has not read",
        };
        line("Recv-Q", waiting, text);
    }
    let Some(send_q) = socket.send_q.filter(|n| *n != 0) else {
        return;
    };
    let control = match socket.state {
        Some(TcpState::SynSent | TcpState::SynRecv) => "SYN",
        _ => "FIN",
    };
    let text = match socket.send_payload() {
        _ if socket.is_udp() => {
            "bytes of memory (truesize) of packets below UDP: in the queueing discipline or the card".into()
        }
        _ if !socket.queues_are_data() => "bytes of memory: of an MPTCP socket it is t, and no count of data".into(),
        _ if socket.kind.is_none() => {
            "of TCP bytes of data that the peer has not acknowledged, of UDP bytes of memory (truesize) of packets below UDP"
                .into()
        }
        Some(0) => format!("its {control}, which the peer has not acknowledged: no data"),
        data => {
            let split = match (socket.info.unsent, socket.in_flight()) {
                (Some(unsent), Some(in_flight)) => format!(
                    ": {} never sent, {} in flight",
                    grouped(unsent),
                    grouped(in_flight)
                ),
                _ if socket.is_tcp() => ": sent or not (`ss -i` shows which)".into(),
                _ => String::new(),
            };
            let counted = match data {
                Some(data) if data < send_q => format!("; the {control} counts one"),
                _ => String::new(),
            };
            format!("bytes that the peer has not acknowledged{split}{counted}")
        }
    };
    line("Send-Q", send_q, &text);
}

/// The glossary's words, and what this value comes to.
fn value_in_words(socket: &Reading, name: &str) -> String {
    let meaning = match name {
        "wmem_alloc" if socket.is_udp() => {
            "memory of packets that were handed down and that the queueing discipline or the network card still \
             holds; of UDP tb limits it"
        }
        "sndbuf" if socket.is_udp() => "the limit for t",
        "wmem_queued" if socket.is_mptcp() => {
            "memory of everything in MPTCP's queue: not sent by a subflow yet, and not acknowledged by the \
             peer's MPTCP"
        }
        "rmem_alloc" if socket.is_mptcp() => {
            "memory of packets that were received and are held: not read yet, or out of order"
        }
        name => glossary::meaning(name),
    };
    let memory = &socket.memory;
    let share = |part: Option<i64>, whole: Option<i64>| match (part, whole) {
        (Some(part), Some(whole)) if whole > 0 && part > 0 => {
            format!(" ({} % used)", part.saturating_mul(100) / whole)
        }
        _ => String::new(),
    };
    let extra = match name {
        "rcvbuf" => share(memory.rmem_alloc, memory.rcvbuf),
        "sndbuf" => share(memory.wmem_queued, memory.sndbuf),
        "wmem_queued" => match (socket.send_payload(), socket.skb_overhead()) {
            (Some(payload), Some(overhead)) if payload > 0 => format!(
                ": {} of data and {} of overhead",
                grouped(payload),
                grouped(overhead)
            ),
            _ => String::new(),
        },
        "drops" => ". A count, not bytes".into(),
        _ => String::new(),
    };
    let large = memory
        .values()
        .find(|(_, n, value)| *n == name && name != "drops" && value.abs() >= 1 << 20)
        .map_or(String::new(), |(.., value)| format!(" [{}]", size(value)));
    format!("{meaning}{extra}{large}")
}
