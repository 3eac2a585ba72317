//! Lines: which ones begin a socket, which go on with one, which are headings.

use super::{Decoded, Reading, Unread, details::Details, number, words::Words};
use crate::diag::TcpState;

/// Kinds of sockets that are no business of ours (`proto_name`, `unix_netid_name`, `sock_state_print`).
const OTHERS: [&str; 18] = [
    "u_str", "u_dgr", "u_seq", "nl", "p_raw", "p_dgr", "raw", "dccp", "sctp", "icmp6", "icmp",
    "???", "v_str", "v_dgr", "ti_st", "ti_dg", "xdp", "unknown",
];

/// What a line begins.
enum Head {
    /// A socket; the rest of the line, if any, are its details.
    Socket(Box<Reading>),
    /// A socket of another kind.
    Other,
    /// None.
    None,
}

pub(super) fn parse(text: &str) -> Decoded {
    let mut decoded = Decoded::default();
    // The socket that details belong to; those of other kinds are dropped.
    let mut open: Option<Details> = None;
    let mut skipping = false;
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        let words: Vec<&str> = Words::new(line).collect();
        if words.is_empty() || is_heading(&words) {
            continue;
        }
        let indented = line.starts_with([' ', '\t']);
        let (head, used) = head(&words, line_number);
        match head {
            Head::Socket(reading) => {
                finish(&mut decoded, open.take());
                skipping = false;
                let mut details = Details::new(*reading);
                details.line(line_number, &words[used..], &mut decoded.unread);
                open = Some(details);
            }
            Head::Other => {
                finish(&mut decoded, open.take());
                skipping = true;
                decoded.others += 1;
            }
            Head::None if skipping && indented => {}
            Head::None => match &mut open {
                Some(details) if indented || Details::knows(&words) => {
                    details.line(line_number, &words, &mut decoded.unread);
                }
                // Only the memory was pasted.
                None if Details::has_memory(&words) => {
                    let mut details = Details::new(Reading {
                        line: line_number,
                        ..Reading::default()
                    });
                    details.line(line_number, &words, &mut decoded.unread);
                    finish(&mut decoded, Some(details));
                }
                _ => decoded.unread.push(Unread::new(
                    line_number,
                    line,
                    "a socket, or details of one",
                )),
            },
        }
    }
    finish(&mut decoded, open);
    decoded
}

fn finish(decoded: &mut Decoded, open: Option<Details>) {
    decoded.sockets.extend(open.map(Details::finish));
}

/// A header, a shell's prompt with the command, or a ruler that a forum put in.
fn is_heading(words: &[&str]) -> bool {
    let header = words.contains(&"Recv-Q") && words.contains(&"Send-Q");
    let prompt = words.len() > 1
        && words[0].ends_with(['$', '#'])
        && words[1..]
            .iter()
            .take(2)
            .any(|w| matches!(*w, "ss" | "sudo") || w.ends_with("/ss"));
    let ruler = words
        .iter()
        .all(|w| w.chars().all(|c| matches!(c, '-' | '=' | '`' | '.')));
    header || prompt || ruler
}

/// What the words of a line begin, and how many of them belong to it.
fn head(words: &[&str], line: usize) -> (Head, usize) {
    let mut at = 0;
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let mut reading = Reading {
        line,
        ..Reading::default()
    };
    if OTHERS.contains(&word(0)) && word(1) != ":" {
        return (Head::Other, words.len());
    }
    if matches!(word(0), "tcp" | "udp" | "mptcp" | "udplite") {
        reading.netid = Some(word(0).to_owned());
        at += 1;
    }
    let mut recv_q = None;
    if let Some(state) = state(word(at)) {
        reading.state = Some(state);
        at += 1;
    } else if let Some((state, digits)) = glued(word(at)) {
        reading.state = Some(state);
        recv_q = number(digits);
        at += 1;
    }
    if recv_q.is_none() {
        recv_q = number(word(at));
        at += 1;
    }
    let (Some(recv_q), Some(send_q)) = (recv_q, number(word(at))) else {
        return (Head::None, 0);
    };
    (reading.recv_q, reading.send_q) = (Some(recv_q), Some(send_q));
    at += 1;
    // Addresses may have been cut out before the text was published.
    if is_address(word(at)) {
        reading.local = Some(word(at).to_owned());
        at += 1;
        if is_address(word(at)) {
            reading.remote = Some(word(at).to_owned());
            at += 1;
        }
    } else if reading.state.is_none() && reading.netid.is_none() {
        return (Head::None, 0);
    }
    (Head::Socket(Box::new(reading)), at)
}

/// `10.0.0.1:22`, `[::1]:http`, `*:*`, `10.0.0.1%eth0:22`; not `users:(…)` or `ino:7`.
fn is_address(word: &str) -> bool {
    let Some((host, port)) = word.rsplit_once(':') else {
        return false;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '+');
    let detail = matches!(
        host,
        "ino" | "uid" | "sk" | "fwmark" | "cgroup" | "tos" | "v6only" | "class_id" | "rto" | "cwnd"
    );
    !host.is_empty() && !detail && !host.contains(['(', '"']) && port.chars().all(plain)
}

/// `CLOSE-WAIT1`: ss 4.15 leaves no space between a long state and Recv-Q.
fn glued(word: &str) -> Option<(TcpState, &str)> {
    let split = |name: &str| {
        let digits = word.strip_prefix(name)?;
        Some((state(name)?, digits))
    };
    let names = [
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "CLOSE-WAIT",
        "SYN-SENT",
        "SYN-RECV",
        "TIME-WAIT",
        "LAST-ACK",
    ];
    let found = names.into_iter().find_map(split)?;
    found
        .1
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(found)
}

/// States as `ss` prints them, and as others do.
fn state(word: &str) -> Option<TcpState> {
    Some(match word.to_ascii_uppercase().as_str() {
        "ESTAB" | "ESTABLISHED" => TcpState::Established,
        "SYN-SENT" | "SYN_SENT" => TcpState::SynSent,
        "SYN-RECV" | "SYN_RECV" => TcpState::SynRecv,
        "FIN-WAIT-1" | "FIN_WAIT1" => TcpState::FinWait1,
        "FIN-WAIT-2" | "FIN_WAIT2" => TcpState::FinWait2,
        "TIME-WAIT" | "TIME_WAIT" => TcpState::TimeWait,
        "UNCONN" | "CLOSED" | "CLOSE" => TcpState::Close,
        "CLOSE-WAIT" | "CLOSE_WAIT" => TcpState::CloseWait,
        "LAST-ACK" | "LAST_ACK" => TcpState::LastAck,
        "LISTEN" => TcpState::Listen,
        "CLOSING" => TcpState::Closing,
        "UNKNOWN" | "UNDEF" => TcpState::Other,
        _ => return None,
    })
}
