//! Sockets of one paste beside one another: the other end of a connection, the same socket in an
//! earlier look, sums.

use std::{collections::HashMap, net::IpAddr};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Reading, kind};

/// What belongs together in a paste.
#[derive(Debug, Default)]
pub struct Several<'a> {
    sockets: &'a [Reading],
    /// Sockets by kind and ends, in their order, which is that of the looks.
    by_ends: HashMap<Ends<'a>, Vec<usize>>,
}

/// What distinguishes a connection from others: Netid, local and remote end. ss names the link of a
/// link-local address on one side only, and writes an IPv4 address as an IPv6 one where a socket of
/// IPv6 has it.
type Ends<'a> = (Option<&'a str>, End<'a>, End<'a>);
/// An address, and a port as printed.
type End<'a> = (IpAddr, &'a str);

fn ends(socket: &Reading) -> Option<Ends<'_>> {
    let end = |text| Some((kind::ip(text)?.to_canonical(), text.rsplit_once(':')?.1));
    let (local, remote) = kind::pair(socket)?;
    Some((socket.netid.as_deref(), end(local)?, end(remote)?))
}

/// How a socket differs from itself in an earlier look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Since {
    /// The earlier look
    pub run: usize,
    /// Line of the socket in it
    pub line: usize,
    /// Values that changed, by their names in `ss`, in its order, and by how much
    pub changes: Vec<Change>,
}

/// A value that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// Its name in `ss`
    pub name: &'static str,
    /// Its new value less its old one
    pub by: i64,
}

impl<'a> Several<'a> {
    /// Of these.
    #[must_use]
    pub fn of(sockets: &'a [Reading]) -> Self {
        let mut by_ends: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, socket) in sockets.iter().enumerate() {
            if let Some(ends) = ends(socket) {
                by_ends.entry(ends).or_default().push(at);
            }
        }
        Self { sockets, by_ends }
    }

    /// The sockets of these ends, and how many of them are in looks before `run`.
    fn looks<'s>(&'s self, ends: &Ends<'s>, run: usize) -> Option<(&'s [usize], usize)> {
        let looks = self.by_ends.get(ends)?;
        let before = looks.partition_point(|at| self.sockets[*at].run < run);
        Some((looks, before))
    }

    /// The other end of a connection, in the same look.
    #[must_use]
    pub fn peer(&self, socket: &Reading) -> Option<&'a Reading> {
        let (netid, local, remote) = ends(socket)?;
        let ends = (netid, remote, local);
        let (looks, before) = self.looks(&ends, socket.run)?;
        looks[before..]
            .iter()
            .map(|at| &self.sockets[*at])
            .take_while(|peer| peer.run == socket.run)
            .find(|peer| peer.line != socket.line)
    }

    /// What changed since the look before in which the socket was.
    #[must_use]
    pub fn since(&self, socket: &Reading) -> Option<Since> {
        let (looks, before) = self.looks(&ends(socket)?, socket.run)?;
        let before = &self.sockets[looks[before.checked_sub(1)?]];
        let mut changes = Vec::new();
        let mut compare = |name, before: Option<i64>, now: Option<i64>| {
            if let (Some(before), Some(now)) = (before, now)
                && before != now
            {
                changes.push(Change {
                    name,
                    by: now - before,
                });
            }
        };
        compare("Recv-Q", before.recv_q, socket.recv_q);
        compare("Send-Q", before.send_q, socket.send_q);
        for (letter, _, now) in socket.memory.values() {
            let before = before.memory.values().find(|(other, ..)| *other == letter);
            compare(letter, before.map(|(.., value)| value), Some(now));
        }
        let (b, n) = (&before.info, &socket.info);
        compare("notsent", b.unsent, n.unsent);
        compare("cwnd", b.cwnd, n.cwnd);
        compare("snd_wnd", b.snd_wnd, n.snd_wnd);
        compare("retrans", b.total_retrans, n.total_retrans);
        compare("bytes_acked", b.bytes_acked, n.bytes_acked);
        compare("bytes_received", b.bytes_received, n.bytes_received);
        Some(Since {
            run: before.run,
            line: before.line,
            changes,
        })
    }
}

/// Of each socket its last look.
#[must_use]
pub fn last_looks<'a>(sockets: &[&'a Reading]) -> Vec<&'a Reading> {
    let mut last = HashMap::new();
    for socket in sockets {
        if let Some(ends) = kind::pair(socket) {
            let run = last
                .entry((socket.netid.as_deref(), ends))
                .or_insert(socket.run);
            *run = socket.run.max(*run);
        }
    }
    let is_last = |socket: &&&'a Reading| {
        kind::pair(socket)
            .is_none_or(|ends| last.get(&(socket.netid.as_deref(), ends)) == Some(&socket.run))
    };
    sockets.iter().filter(is_last).copied().collect()
}

/// Sums over sockets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Totals {
    /// Sockets
    pub sockets: usize,
    /// Those of them whose memory was printed
    pub with_memory: usize,
    /// w + r + f, bytes: what TCP's limits count (of UDP: r + f)
    pub charged: i64,
    /// w, bytes
    pub wmem_queued: i64,
    /// r, bytes
    pub rmem_alloc: i64,
    /// f, bytes
    pub forward_alloc: i64,
    /// Send-Q without SYN and FIN, of sockets that do not listen, bytes
    pub send_payload: i64,
    /// Recv-Q of sockets that do not listen, bytes
    pub recv_q: i64,
}

impl Totals {
    /// Of these.
    #[must_use]
    pub fn of<'a>(sockets: impl Iterator<Item = &'a Reading>) -> Self {
        let mut sum = Self::default();
        let add = |to: &mut i64, value: Option<i64>| *to = to.saturating_add(value.unwrap_or(0));
        for socket in sockets {
            sum.sockets += 1;
            sum.with_memory += usize::from(!socket.is_bare());
            add(&mut sum.wmem_queued, socket.memory.wmem_queued);
            add(&mut sum.rmem_alloc, socket.memory.rmem_alloc);
            add(&mut sum.forward_alloc, socket.memory.forward_alloc);
            if !socket.listens() {
                add(&mut sum.send_payload, socket.send_payload());
                add(&mut sum.recv_q, socket.recv_q);
            }
        }
        sum.charged = sum
            .wmem_queued
            .saturating_add(sum.rmem_alloc)
            .saturating_add(sum.forward_alloc);
        sum
    }
}
