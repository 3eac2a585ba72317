//! What people paste beside `ss` output: `netstat` and `/proc/net/tcp`, which are read for what
//! they hold, and what is refused by name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    Reading,
    head::{is_address, state},
    number,
    reading::{Kind, Source, TimerText, User},
};
use crate::diag::TcpState;

/// A row of net-tools' `netstat` for TCP or UDP (`tcp_do_one`, `udp_do_one`).
///
/// `sure`: its header was seen.
pub(super) fn netstat(words: &[&str], sure: bool) -> Option<Reading> {
    let [protocol, recv_q, send_q, local, remote, rest @ ..] = words else {
        return None;
    };
    let kind = match *protocol {
        "tcp" | "tcp6" => Kind::Tcp,
        "udp" | "udp6" | "udplite" | "udpl" | "udpl6" => Kind::Udp,
        _ => return None,
    };
    let (recv_q, send_q) = (number(recv_q)?, number(send_q)?);
    if !is_address(local) || !is_address(remote) {
        return None;
    }
    let state = rest.first().and_then(|word| state(word));
    // `ss` prints such a row too (`ss state established`), but neither tcp6 nor a state behind the
    // addresses.
    if state.is_none() && !protocol.ends_with('6') && !sure {
        return None;
    }
    let listens = state == Some(TcpState::Listen);
    let rest = &rest[usize::from(state.is_some())..];
    let mut reading = Reading {
        source: Source::Netstat,
        kind: Some(kind),
        netid: Some(protocol.trim_end_matches('6').to_owned()),
        state,
        recv_q: Some(recv_q),
        // Always 0 there: the kernel does not report how many may wait.
        send_q: (!listens).then_some(send_q),
        local: Some((*local).to_owned()),
        remote: Some((*remote).to_owned()),
        ..Reading::default()
    };
    if let [uid, inode, ..] = rest
        && (number(uid).is_some() || uid.chars().all(char::is_alphanumeric))
    {
        reading.inode = number(inode);
    }
    for (at, word) in rest.iter().enumerate() {
        if let Some((pid, comm)) = word.split_once('/')
            && let Some(pid) = number(pid)
        {
            reading.users.push(User {
                comm: comm.trim_end_matches(':').to_owned(),
                pid,
                fd: None,
            });
        }
        if let Some(values) = rest.get(at + 1) {
            reading.timer = reading.timer.or_else(|| timer(word, values));
        }
    }
    Some(reading)
}

/// `on (0.20/0/0)`: time left, retransmissions, probes.
fn timer(name: &str, values: &str) -> Option<TimerText> {
    let name = match name {
        "on" | "keepalive" | "timewait" => name,
        // Timer 4: net-tools 1.60 does not know it.
        "probe" | "unkn-4" => "persist",
        _ => return None,
    };
    let mut values = values.strip_prefix('(')?.strip_suffix(')')?.split('/');
    let (left, again, probes) = (values.next()?, values.next()?, values.next()?);
    let count = if name == "on" { again } else { probes };
    Some(TimerText {
        name: name.to_owned(),
        left: format!("{left}sec"),
        count: number(count)?,
    })
}

/// A row of `/proc/net/tcp`, `tcp6` (`get_tcp4_sock`, `get_tcp6_sock`), `udp`, `udp6`, of a
/// little-endian machine.
pub(super) fn proc_net(words: &[&str], udp: bool) -> Option<Reading> {
    let [
        slot,
        local,
        remote,
        state,
        queues,
        timer,
        again,
        _uid,
        probes,
        inode,
        rest @ ..,
    ] = words
    else {
        return None;
    };
    number(slot.strip_suffix(':')?)?;
    let hex = |text: &str| i64::from_str_radix(text, 16).ok();
    let state = proc_state(hex(state)?)?;
    let (send_q, recv_q) = queues.split_once(':')?;
    let (send_q, recv_q) = (hex(send_q)?, hex(recv_q)?);
    let (timer, left) = timer.split_once(':')?;
    let (timer, left, again) = (hex(timer)?, hex(left)?, hex(again)?);
    let listens = state == TcpState::Listen;
    let (name, count) = match timer {
        1 => ("on", again),
        2 => ("keepalive", number(probes)?),
        3 => ("timewait", 0),
        4 => ("persist", number(probes)?),
        _ => ("", 0),
    };
    let mut reading = Reading {
        source: Source::Proc,
        kind: Some(if udp { Kind::Udp } else { Kind::Tcp }),
        netid: Some(if udp { "udp" } else { "tcp" }.to_owned()),
        state: (!udp).then_some(state),
        recv_q: Some(recv_q),
        send_q: (!listens).then_some(send_q),
        local: Some(proc_address(local, false)?),
        remote: Some(proc_address(remote, true)?),
        inode: number(inode),
        timer: (!name.is_empty()).then(|| TimerText {
            name: name.to_owned(),
            // Clock ticks of USER_HZ, which is 100.
            left: format!("{}ms", left.saturating_mul(10)),
            count,
        }),
        ..Reading::default()
    };
    // Reference count, address of the socket, then of UDP the drops.
    if let [_, _, drops] = rest
        && udp
    {
        reading.memory.drops = number(drops);
    }
    // Of a connection: rto, ato, quick and pingpong, cwnd, ssthresh.
    if let [_, _, rto, _, _, cwnd, _, ..] = rest
        && !udp
        && !listens
    {
        reading.info.rto_ms = number(rto).map(|ticks| ticks.saturating_mul(10));
        reading.info.cwnd = number(cwnd);
    }
    Some(reading)
}

fn proc_state(state: i64) -> Option<TcpState> {
    Some(match state {
        1 => TcpState::Established,
        2 => TcpState::SynSent,
        3 | 12 => TcpState::SynRecv,
        4 => TcpState::FinWait1,
        5 => TcpState::FinWait2,
        6 => TcpState::TimeWait,
        7 => TcpState::Close,
        8 => TcpState::CloseWait,
        9 => TcpState::LastAck,
        10 => TcpState::Listen,
        11 => TcpState::Closing,
        _ => return None,
    })
}

/// `0100007F:0019`: words of the host's byte order, port in hexadecimal.
fn proc_address(text: &str, remote: bool) -> Option<String> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let text = host.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(text, 16).ok()?.swap_bytes())
    };
    let ip = match host.len() {
        8 => IpAddr::V4(Ipv4Addr::from_bits(word(0)?)),
        32 => {
            let bits =
                (0..4).try_fold(0u128, |bits, at| Some(bits << 32 | u128::from(word(at)?)))?;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        _ => return None,
    };
    if port == 0 && remote {
        let bare = SocketAddr::new(ip, 0).to_string();
        return Some(format!("{}*", bare.trim_end_matches('0')));
    }
    Some(SocketAddr::new(ip, port).to_string())
}

/// The header of `/proc/net/tcp`, and whether it is that of UDP.
pub(super) fn proc_header(words: &[&str]) -> Option<bool> {
    let proc = words.contains(&"local_address")
        && words
            .iter()
            .any(|word| word.starts_with("rem_addr") || *word == "remote_address");
    proc.then(|| words.contains(&"drops"))
}

/// Whose output a line is, if that of a program that shows no socket's memory.
pub(super) fn foreign(words: &[&str]) -> Option<&'static str> {
    let first = *words.first()?;
    let starts = |sign: &str| words.iter().any(|word| word.starts_with(sign));
    let has = |sign: &str| words.contains(&sign);
    if starts("src=") && starts("dst=") && (starts("dport=") || starts("type=")) {
        return Some("conntrack");
    }
    if matches!(first, "tcp4" | "tcp46" | "udp4" | "udp46") {
        return Some("netstat of BSD or macOS");
    }
    if matches!(first, "TCP" | "UDP") {
        let at = |at: usize| words.get(at).is_some_and(|word| is_address(word));
        // TCP 00:59 ESTABLISHED …: what is left of an entry's time.
        if at(1) && at(2) && words.len() <= 5 {
            return Some("netstat of Windows");
        }
        if (at(1) && !at(2) && words.len() >= 3) || (at(3) && at(4) && at(5)) {
            return Some("ipvsadm");
        }
    }
    let network = |word: &&str| {
        let ip = word.split_once('/').map(|(ip, _)| ip.parse::<IpAddr>());
        ip.is_some_and(|ip| ip.is_ok())
    };
    let rule = words.iter().any(network);
    if first == "Chain" || (has("--") && rule) || (matches!(first, "-A" | "-I") && has("-j")) {
        return Some("iptables");
    }
    let tcp = matches!(first, "tcp" | "udp" | "all" | "icmp");
    if tcp && rule && words.get(1).is_some_and(|word| number(word).is_some()) {
        return Some("iptables");
    }
    if (has("COMMAND") && has("FD")) || ((has("IPv4") || has("IPv6")) && (has("TCP") || has("UDP")))
    {
        return Some("lsof");
    }
    if (has("IP") || has("IP6")) && has(">") && starts("Flags") {
        return Some("tcpdump");
    }
    if first == "sockets:"
        || (matches!(
            first,
            "TCP:" | "UDP:" | "TCP6:" | "UDP6:" | "RAW:" | "FRAG:" | "UDPLITE:"
        ) && has("inuse"))
    {
        return Some("/proc/net/sockstat");
    }
    if matches!(first, "TcpExt:" | "IpExt:" | "Tcp:" | "#kernel") || first.starts_with("TcpExt") {
        return Some("nstat or netstat -s");
    }
    if (first == "Total:" && words.len() < 6)
        || (first == "TCP:" && starts("(estab"))
        || (first == "Transport" && has("Total"))
    {
        return Some("ss -s, which counts sockets");
    }
    if first == "Num" && has("RefCount") {
        return Some("/proc/net/unix");
    }
    if first.starts_with("{\"") {
        return Some("JSON");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_proc_net_are_read_for_what_they_hold() {
        let row =
            |text: &str| proc_net(&text.split_whitespace().collect::<Vec<_>>(), false).unwrap();
        let sender = row(
            "1: 0702000A:5190 0502000A:ED58 01 0000FE88:00000000 04:00000014 00000000 106 3 21520 2 00000000a6464b5c 20 4 30 10 -1",
        );
        assert_eq!(sender.local.as_deref(), Some("10.0.2.7:20880"));
        assert_eq!((sender.send_q, sender.recv_q), (Some(65_160), Some(0)));
        assert_eq!(
            (sender.info.rto_ms, sender.info.cwnd),
            (Some(200), Some(10))
        );
        let timer = sender.timer.unwrap();
        assert_eq!(
            (timer.name.as_str(), timer.left.as_str(), timer.count),
            ("persist", "200ms", 3)
        );
        let six = row(
            "0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000002 00:00000000 00000000 0 0 21981 1 0000000047af9b79 100 0 0 10 20",
        );
        assert_eq!(six.local.as_deref(), Some("[::1]:22"));
        assert_eq!(six.remote.as_deref(), Some("[::]:*"));
        assert_eq!(
            (six.recv_q, six.send_q, six.info.cwnd),
            (Some(2), None, None)
        );
    }

    #[test]
    fn netstat_has_its_state_behind_and_its_timers_in_brackets() {
        let row = |text: &str| netstat(&text.split_whitespace().collect::<Vec<_>>(), false);
        let one = row("tcp6 0 36 ::1:22 ::1:58931 ESTABLISHED 0 12345 77/sshd: probe (0.20/0/3)")
            .unwrap();
        assert_eq!(
            (one.kind, one.state),
            (Some(Kind::Tcp), Some(TcpState::Established))
        );
        assert_eq!(
            (one.inode, one.users[0].comm.as_str()),
            (Some(12_345), "sshd")
        );
        assert_eq!(
            one.timer.map(|timer| (timer.name, timer.count)),
            Some(("persist".into(), 3))
        );
        assert!(
            row("tcp 0 0 10.0.0.1:22 10.0.0.2:4000").is_none(),
            "this is ss"
        );
        assert!(row("tcp 0 0 0.0.0.0/0 0.0.0.0/0 LISTEN").is_none());
    }
}
