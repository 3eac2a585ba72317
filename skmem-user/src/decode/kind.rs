//! TCP or UDP, where no column says so. `ss` leaves the Netid column out where one kind was asked
//! for.

use std::{collections::HashMap, net::IpAddr};

use super::{
    Reading,
    reading::{Info, Kind, Source},
};
use crate::diag::TcpState;

/// What a socket must be, by its own values.
pub(super) fn of(reading: &Reading) -> Option<Kind> {
    match reading.netid.as_deref() {
        Some("tcp") => return Some(Kind::Tcp),
        Some("mptcp") => return Some(Kind::Mptcp),
        Some(_) => return Some(Kind::Udp),
        None => {}
    }
    let only_tcp = !matches!(
        reading.state,
        None | Some(TcpState::Established | TcpState::Close | TcpState::Other)
    );
    let memory = &reading.memory;
    // A TCP socket without a peer has received nothing.
    let arrived = [reading.recv_q, memory.rmem_alloc]
        .iter()
        .any(|value| value.is_some_and(|value| value > 0));
    if reading.state == Some(TcpState::Close)
        && arrived
        && reading
            .remote
            .as_deref()
            .is_some_and(|remote| remote.ends_with(":*"))
    {
        return Some(Kind::Udp);
    }
    let flows = Info {
        unacked: reading.info.unacked,
        ..reading.info
    } != Info::default();
    // Of UDP, w stays 0 and Send-Q is t (`udp_diag_get_info`).
    let queued = memory.wmem_queued.is_some_and(|w| w > 0)
        || (reading.send_q.is_some_and(|q| q > 0) && memory.wmem_alloc == Some(0));
    if memory.wmem_queued == Some(0)
        && reading
            .send_q
            .is_some_and(|q| q > 1 && memory.wmem_alloc == Some(q))
    {
        return Some(Kind::Udp);
    }
    // Of MPTCP, Send-Q is t (`mptcp_diag_get_info`): TCP has no such w without data in Send-Q.
    if memory.wmem_queued.is_some_and(|w| w >= 64 << 10)
        && reading.send_q == Some(0)
        && reading.state == Some(TcpState::Established)
    {
        return Some(Kind::Mptcp);
    }
    // Of UDP and MPTCP, Recv-Q is r (`udp_diag_get_info`, `mptcp_diag_get_info`): memory, of which
    // TCP has more than data.
    if reading.kind != Some(Kind::Mptcp)
        && memory
            .rmem_alloc
            .is_some_and(|r| r > 1 && reading.recv_q == Some(r))
        && !only_tcp
    {
        return None;
    }
    // What a new connection's tb is made (`tcp_sndbuf_expand`): of UDP only an odd SO_SNDBUF gives
    // that.
    let expanded = matches!(memory.sndbuf, Some(46_080 | 87_040 | 2_626_560));
    if expanded
        || only_tcp
        || reading.timer.is_some()
        || flows
        || queued
        || reading.upper_layer.is_some()
    {
        return Some(
            reading
                .kind
                .filter(|kind| *kind != Kind::Udp)
                .unwrap_or(Kind::Tcp),
        );
    }
    reading.kind
}

/// A table without Netid is of one kind: what one row must be, all are.
pub(super) fn of_tables(sockets: &mut [Reading]) {
    let bare = |socket: &Reading| {
        socket.netid.is_none() && socket.source == Source::Ss && socket.local.is_some()
    };
    let known: HashMap<usize, Kind> = sockets
        .iter()
        .filter(|socket| bare(socket))
        .filter_map(|socket| Some((socket.run, socket.kind?)))
        .collect();
    for socket in sockets.iter_mut().filter(|socket| bare(socket)) {
        socket.kind = socket.kind.or_else(|| known.get(&socket.run).copied());
    }
}

/// Both ends of a connection, where they are addresses that no second one can have.
pub(super) fn pair(reading: &Reading) -> Option<(&str, &str)> {
    let (local, remote) = (reading.local.as_deref()?, reading.remote.as_deref()?);
    let whole = |end: &str| ip(end).is_some() && !end.ends_with(":*") && !end.ends_with(":0");
    (whole(local) && whole(remote)).then_some((local, remote))
}

/// A connection: kind, and both ends.
pub(super) type Key = (Option<String>, String, String);

/// What distinguishes a connection from others.
pub(super) fn key(reading: &Reading) -> Option<Key> {
    let (local, remote) = pair(reading)?;
    Some((reading.netid.clone(), local.to_owned(), remote.to_owned()))
}

/// The address of `10.0.0.1%eth0:22` or `[::1]:22`.
pub fn ip(end: &str) -> Option<IpAddr> {
    let (host, _) = end.rsplit_once(':')?;
    let host = host.split('%').next().unwrap_or(host);
    host.trim_matches(['[', ']']).parse().ok()
}
