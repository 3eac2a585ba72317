//! A row as a [`Reading`], so that what stands out is said by the same rules as for `ss` output.

use super::row::Row;
use crate::{
    decode::{
        Reading,
        reading::{Info, Kind, Memory, Source, TimerText, User},
    },
    diag::{Protocol, Timer, UpperLayer},
};

impl From<&Row> for Reading {
    fn from(row: &Row) -> Self {
        let memory = row.memory.map_or_else(Memory::default, |m| {
            let some = |value: i32| Some(i64::from(value));
            Memory {
                rmem_alloc: some(m.rmem_alloc),
                rcvbuf: some(m.rcvbuf),
                wmem_alloc: some(m.wmem_alloc),
                sndbuf: some(m.sndbuf),
                forward_alloc: some(m.forward_alloc),
                wmem_queued: some(m.wmem_queued),
                optmem: some(m.optmem),
                backlog: some(m.backlog),
                drops: Some(i64::from(m.drops)),
            }
        });
        let unsent = row.unsent.map(i64::from);
        let info = row.flow.map_or_else(Info::default, |flow| {
            let ms = |us: Option<u64>| us.map(|us| i64::try_from(us / 1000).unwrap_or(i64::MAX));
            Info {
                mss: Some(i64::from(flow.mss)),
                cwnd: Some(i64::from(flow.cwnd)),
                unacked: Some(i64::from(flow.unacked)),
                unsent,
                snd_wnd: flow.snd_wnd.map(i64::from),
                busy_ms: ms(flow.busy_us),
                rwnd_limited_ms: ms(flow.rwnd_limited_us),
                sndbuf_limited_ms: ms(flow.sndbuf_limited_us),
                lost: Some(i64::from(flow.lost)),
                total_retrans: Some(i64::from(flow.total_retrans)),
                rtt_ms: Some(f64::from(flow.rtt_us) / 1000.0),
                ..Info::default()
            }
        });
        let (netid, kind) = match row.protocol {
            Protocol::Tcp => ("tcp", Kind::Tcp),
            Protocol::Mptcp => ("mptcp", Kind::Mptcp),
            Protocol::Udp => ("udp", Kind::Udp),
        };
        let end = |ip, port| std::net::SocketAddr::new(ip, port).to_string();
        Self {
            line: 0,
            run: 0,
            source: Source::Kernel,
            kind: Some(kind),
            damaged: false,
            netid: Some(netid.into()),
            state: Some(row.state),
            recv_q: Some(i64::from(row.recv_q)),
            send_q: Some(i64::from(row.send_q)),
            local: Some(end(row.src, row.sport)),
            remote: Some(end(row.dst, row.dport)),
            memory,
            old_form: false,
            info,
            timer: row.timer.map(|timer| TimerText {
                name: timer_name(timer).into(),
                left: String::new(),
                count: i64::from(row.timeouts),
            }),
            users: row
                .holders
                .iter()
                .map(|holder| User {
                    comm: holder.comm.to_string(),
                    pid: i64::from(holder.pid),
                    fd: Some(i64::from(holder.fd)),
                })
                .collect(),
            inode: Some(i64::from(row.inode)),
            cgroup: row.cgroup.clone(),
            upper_layer: row.upper_layer.map(|layer| {
                match layer {
                    UpperLayer::Tls => "tls",
                    UpperLayer::Mptcp => "mptcp",
                    UpperLayer::Other => "other",
                }
                .into()
            }),
            to_minrtt: false,
        }
    }
}

/// A timer as `ss -o` calls it.
#[must_use]
pub fn timer_name(timer: Timer) -> &'static str {
    match timer {
        Timer::Retransmit => "on",
        Timer::Keepalive => "keepalive",
        Timer::Timewait => "timewait",
        Timer::Persist => "persist",
        Timer::Delack => "delack",
        Timer::Other => "unknown",
    }
}
