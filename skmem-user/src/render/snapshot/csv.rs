//! Comma-separated values: a line a socket or group, with a head; bytes as whole numbers.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    decode::reading::state_name,
    diag::{Family, Protocol},
    snapshot::{
        Row,
        group::{Group, ownerless},
        row::Limit,
    },
};

/// A socket's fields in one level, in the order of the columns. Empty: not known.
#[derive(Serialize)]
struct Line<'a> {
    at_ns: u64,
    protocol: &'static str,
    family: &'static str,
    state: &'static str,
    src: String,
    sport: u16,
    dst: String,
    dport: u16,
    charged: i64,
    wmem_queued: Option<i32>,
    payload: Option<u32>,
    skb_overhead: Option<u32>,
    sndbuf: Option<i32>,
    fill_percent: Option<u32>,
    limit: &'static str,
    send_q: u32,
    unsent: Option<u32>,
    in_flight: Option<u32>,
    wmem_alloc: Option<i32>,
    rmem_alloc: Option<i32>,
    rcvbuf: Option<i32>,
    recv_q: u32,
    forward_alloc: Option<i32>,
    optmem: Option<i32>,
    backlog: Option<i32>,
    drops: Option<u32>,
    change: Option<i64>,
    owner: &'a str,
    pid: Option<u32>,
    fd: Option<i32>,
    holders: usize,
    uid: u32,
    inode: u32,
    cookie: u64,
    netns: u64,
    cgroup_id: Option<u64>,
    cgroup: Option<&'a str>,
}

fn line(row: &Row, at_ns: u64) -> Line<'_> {
    let first = row.holders.first();
    let memory = row.memory.as_ref();
    Line {
        at_ns,
        protocol: match row.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Mptcp => "mptcp",
            Protocol::Udp => "udp",
        },
        family: match row.family {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        },
        state: state_name(row.state),
        src: row.src.to_string(),
        sport: row.sport,
        dst: row.dst.to_string(),
        dport: row.dport,
        charged: row.charged,
        wmem_queued: memory.map(|m| m.wmem_queued),
        payload: row.payload,
        skb_overhead: row.skb_overhead,
        sndbuf: memory.map(|m| m.sndbuf),
        fill_percent: row.fill_percent,
        limit: match row.limit {
            Limit::Locked => "locked",
            Limit::Autotuned => "autotuned",
            Limit::LockedOrShrunk => "locked-or-shrunk",
            Limit::Unknown => "unknown",
        },
        send_q: row.send_q,
        unsent: row.unsent,
        in_flight: row.in_flight,
        wmem_alloc: memory.map(|m| m.wmem_alloc),
        rmem_alloc: memory.map(|m| m.rmem_alloc),
        rcvbuf: memory.map(|m| m.rcvbuf),
        recv_q: row.recv_q,
        forward_alloc: memory.map(|m| m.forward_alloc),
        optmem: memory.map(|m| m.optmem),
        backlog: memory.map(|m| m.backlog),
        drops: memory.map(|m| m.drops),
        change: row.change,
        owner: first.map_or(ownerless(row.owner), |holder| &holder.comm),
        pid: first.map(|holder| holder.pid),
        fd: first.map(|holder| holder.fd),
        holders: row.holders.len(),
        uid: row.uid,
        inode: row.inode,
        cookie: row.cookie,
        netns: row.netns,
        cgroup_id: row.cgroup_id,
        cgroup: row.cgroup.as_deref(),
    }
}

/// A line of a group.
#[derive(Serialize)]
struct GroupLine<'a> {
    at_ns: u64,
    key: &'a str,
    sockets: u64,
    charged: i64,
    wmem_queued: i64,
    rmem_alloc: i64,
    forward_alloc: i64,
    wmem_alloc: i64,
    payload: i64,
    skb_overhead: i64,
    unsent: i64,
    in_flight: i64,
    recv_q: i64,
    drops: u64,
    full: u64,
    change: Option<i64>,
}

fn group_line(group: &Group, at_ns: u64) -> GroupLine<'_> {
    GroupLine {
        at_ns,
        key: &group.key,
        sockets: group.sockets,
        charged: group.charged,
        wmem_queued: group.wmem_queued,
        rmem_alloc: group.rmem_alloc,
        forward_alloc: group.forward_alloc,
        wmem_alloc: group.wmem_alloc,
        payload: group.payload,
        skb_overhead: group.skb_overhead,
        unsent: group.unsent,
        in_flight: group.in_flight,
        recv_q: group.recv_q,
        drops: group.drops,
        full: group.full,
        change: group.change,
    }
}

/// Writes sockets as they were at `at_ns` since 1970; `head`: with the columns' names.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn csv_rows(rows: &[Row], at_ns: u64, head: bool, out: impl Write) -> io::Result<()> {
    write(rows.iter().map(|row| line(row, at_ns)), head, out)
}

/// Writes groups as CSV, with a header line.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn csv_groups(groups: &[Group], at_ns: u64, head: bool, out: impl Write) -> io::Result<()> {
    write(
        groups.iter().map(|group| group_line(group, at_ns)),
        head,
        out,
    )
}

fn write(
    lines: impl Iterator<Item = impl Serialize>,
    head: bool,
    out: impl Write,
) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().has_headers(head).from_writer(out);
    for line in lines {
        writer.serialize(line).map_err(io::Error::from)?;
    }
    writer.flush()
}
