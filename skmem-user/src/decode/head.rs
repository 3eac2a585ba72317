//! The beginning of a socket in `ss`: Netid, state, queues, addresses, each of which may be
//! missing.

use super::{
    Reading,
    command::{CommandScope, Shown},
    number,
    vocabulary::{counted, is_key},
};
use crate::diag::TcpState;

/// Kinds of sockets that are not decoded (`proto_name`, `unix_netid_name`,
/// `sock_state_print`).
const OTHERS: [&str; 18] = [
    "u_str", "u_dgr", "u_seq", "nl", "p_raw", "p_dgr", "raw", "dccp", "sctp", "icmp6", "icmp",
    "???", "v_str", "v_dgr", "ti_st", "ti_dg", "xdp", "unknown",
];

/// What stands in the Netid column.
pub(super) fn is_netid(word: &str) -> bool {
    matches!(word, "tcp" | "udp" | "mptcp" | "udplite") || OTHERS.contains(&word)
}

/// What words begin.
pub(super) enum Head {
    /// A socket, how many of the words are its head, and how many of them are addresses.
    Socket {
        reading: Box<Reading>,
        used: usize,
        addresses: usize,
    },
    /// A socket of another kind.
    Other,
    /// None.
    None,
}

/// What the words of a line begin.
pub(super) fn head(words: &[&str], asked: &CommandScope) -> Head {
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    if OTHERS.contains(&word(0)) && word(1) != ":" {
        return Head::Other;
    }
    let mut reading = Reading::default();
    let mut at = 0;
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
    let stated = reading.state.is_some();
    // Condensed by hand, or by -Q.
    let capitals = words
        .first()
        .is_some_and(|word| word.len() > 3 && *word == word.to_ascii_uppercase());
    let short = stated
        && capitals
        && (is_queue(word(at)) || (is_address(word(at)) && is_address(word(at + 1))));
    if !short {
        if recv_q.is_none() {
            recv_q = counted(word(at));
            at += 1;
        }
        let (Some(recv_q), Some(send_q)) = (recv_q, counted(word(at))) else {
            return Head::None;
        };
        (reading.recv_q, reading.send_q) = (Some(recv_q), Some(send_q));
        at += 1;
    }
    let mut addresses = 0;
    for place in [&mut reading.local, &mut reading.remote] {
        let Some((address, used)) = address(words.get(at..).unwrap_or_default()) else {
            break;
        };
        *place = Some(address);
        at += used;
        addresses += 1;
    }
    if is_unnamed(words.get(at..).unwrap_or_default(), &reading, addresses) || is_raw(&reading) {
        return Head::Other;
    }
    // Without Netid, state and addresses two numbers are two numbers, unless the command said that
    // rows are so.
    if addresses == 0 && !stated && (reading.netid.is_some() || asked.state.is_none()) {
        return Head::None;
    }
    if asked.kind == Some(Shown::Other) && reading.netid.is_none() {
        return Head::Other;
    }
    Head::Socket {
        reading: Box::new(reading),
        used: at,
        addresses,
    }
}

/// Whether a line may begin a socket whose head goes on in the next line.
pub(super) fn may_begin(words: &[&str]) -> bool {
    let rest = match words.first() {
        Some(&("tcp" | "udp" | "mptcp" | "udplite")) => &words[1..],
        _ => words,
    };
    let stated = rest.first().is_some_and(|word| {
        *word == word.to_ascii_uppercase() && (state(word).is_some() || glued(word).is_some())
    });
    stated && rest.len() <= 3 && rest[1..].iter().all(|word| counted(word).is_some())
}

/// `Send-Q=9600`, `Send-Q 9600`: condensed by hand.
pub(super) fn is_queue(word: &str) -> bool {
    word.starts_with("Send-Q") || word.starts_with("Recv-Q")
}

/// A raw socket, whose port is the name of its protocol: `*:ipv6-icmp`.
fn is_raw(reading: &Reading) -> bool {
    const PROTOCOLS: [&str; 10] = [
        "icmp",
        "ipv6-icmp",
        "igmp",
        "ospf",
        "ospfigp",
        "gre",
        "esp",
        "ah",
        "vrrp",
        "pim",
    ];
    let local = reading
        .local
        .as_deref()
        .and_then(|local| local.rsplit_once(':'));
    reading.netid.is_none()
        && local.is_some_and(|(_, port)| PROTOCOLS.contains(&port))
        && reading
            .remote
            .as_deref()
            .is_none_or(|remote| remote.ends_with(":*"))
}

/// The rows of `ss -f netlink`, `-x`, `-0`: a peer that is `*` alone, or an inode where a port
/// would be.
fn is_unnamed(rest: &[&str], reading: &Reading, addresses: usize) -> bool {
    if reading.netid.is_some() {
        return false;
    }
    match (addresses, rest) {
        (1, ["*", ..]) => true,
        (0, [path, inode, ..]) => {
            (*path == "*" || path.starts_with(['/', '@'])) && number(inode).is_some()
        }
        _ => false,
    }
}

/// An address, and how many words it is: `10.0.0.1 : 22` is three.
fn address(words: &[&str]) -> Option<(String, usize)> {
    let first = words.first()?;
    if is_address(first) {
        return Some(((*first).to_owned(), 1));
    }
    let host = first.contains(['.', ':']) || *first == "*";
    if host && words.get(1) == Some(&":") {
        let joined = format!("{first}:{}", words.get(2)?);
        return is_address(&joined).then_some((joined, 3));
    }
    None
}

/// `10.0.0.1:22`, `[::1]:http`, `*:*`, `10.0.0.1%eth0:22`; not `users:(…)` or `ino:7`.
pub(super) fn is_address(word: &str) -> bool {
    let Some((host, port)) = word.rsplit_once(':') else {
        return false;
    };
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '+' | '/');
    let open = host.starts_with('[') && !host.contains(']');
    !host.is_empty()
        && !port.is_empty()
        && !is_key(host)
        && !open
        && !host.contains(['(', '"'])
        && port.chars().all(plain)
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
    let digits = !found.1.is_empty() && found.1.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(found)
}

/// States as `ss` prints them, and as others do.
pub(super) fn state(word: &str) -> Option<TcpState> {
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
