//! A row of the table: a socket, or several together.

use std::{cmp::Reverse, collections::HashMap};

use super::{
    columns::Column,
    history::Histories,
    sample::{Causes, MachineSample},
};
use crate::{
    model::places::{container, unit},
    snapshot::{
        Row,
        group::{self, GroupBy as Group, KeyNames},
    },
};

/// What a row stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum RowsBy {
    /// Each socket by itself
    #[default]
    Socket,
    /// The process that holds it; of several, the one with the lowest pid
    Process,
    /// The container or the systemd unit in whose cgroup it was made
    Unit,
    /// The container of that cgroup: Docker, Podman, containerd, CRI-O, LXC, systemd-nspawn
    Container,
    /// The Kubernetes pod of that cgroup, by its name where the kubelet keeps logs here
    Pod,
    /// The network namespace
    Netns,
    /// The remote address, all ports together
    Remote,
}

impl RowsBy {
    /// The next one round.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Socket => Self::Process,
            Self::Process => Self::Unit,
            Self::Unit => Self::Container,
            Self::Container => Self::Pod,
            Self::Pod => Self::Netns,
            Self::Netns => Self::Remote,
            Self::Remote => Self::Socket,
        }
    }

    /// As a column's head.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Process => "process",
            Self::Unit => "container or unit",
            Self::Container => "container",
            Self::Pod => "pod",
            Self::Netns => "network namespace",
            Self::Remote => "remote address",
        }
    }

    /// What the rows of one group have in common. `names` are those of namespaces.
    #[must_use]
    pub fn key(self, row: &Row, names: &HashMap<u64, String>, known: &KeyNames) -> String {
        let of = |by| group::key(row, by, names, known);
        match self {
            Self::Socket => of(Group::Socket),
            Self::Process => of(Group::Process),
            Self::Container => of(Group::Container),
            Self::Pod => of(Group::Pod),
            Self::Netns => of(Group::Netns),
            Self::Remote => of(Group::Remote),
            Self::Unit => {
                let path = row.cgroup.as_deref();
                let short = |id: String| match id.char_indices().nth(12) {
                    Some((at, _)) if id.bytes().all(|b| b.is_ascii_hexdigit()) => id[..at].into(),
                    _ => id,
                };
                let named = path.and_then(|path| container(path).map(short).or_else(|| unit(path)));
                named.unwrap_or_else(|| of(Group::Cgroup))
            }
        }
    }
}

/// Which row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// `SO_COOKIE`
    Socket(u64),
    /// [`RowsBy::key`]
    Group(String),
}

/// A row. Bytes, but for counts and times.
#[derive(Debug, Clone)]
pub struct Line {
    /// Which.
    pub key: Key,
    /// Its first socket's place in the look.
    pub first: usize,
    /// Places of the other ones.
    pub others: Vec<usize>,
    /// Sockets with `w` at or over `sndbuf`; a count.
    pub full: u64,
    /// w + r + f
    pub charged: i64,
    /// `sk_wmem_queued`
    pub w: i64,
    /// `sk_sndbuf`
    pub sndbuf: i64,
    /// Of `w`, what is over `sndbuf`; of a group the sum of its sockets'.
    pub over: i64,
    /// `sk_backlog.rmem_alloc`
    pub r: i64,
    /// `sk_rcvbuf`
    pub rcvbuf: i64,
    /// `sk_wmem_alloc - 1`
    pub t: i64,
    /// Written and never sent.
    pub unsent: i64,
    /// Sent and not acknowledged.
    pub in_flight: i64,
    /// Change of `w`, bytes a second; None: there was no look before.
    pub w_rate: Option<i64>,
    /// Changes of `w` a second, a count; None: nobody counts them.
    pub change_rate: Option<i64>,
    /// How long senders have been blocked, ns; None: nobody knows.
    pub blocked_ns: Option<u64>,
    /// One is held up now.
    pub held_now: bool,
}

impl Line {
    /// Of the socket at place `at`.
    #[must_use]
    pub fn of(sample: &MachineSample, at: usize, histories: &Histories) -> Self {
        let row = &sample.captured.rows[at];
        let (w, sndbuf) = (row.bytes(|m| m.wmem_queued), row.bytes(|m| m.sndbuf));
        let some = |n: Option<u32>| i64::from(n.unwrap_or(0));
        let booked = match &sample.causes {
            Causes::Kept(books) => books.sockets.get(&row.cookie),
            Causes::Unknown(_) => None,
        };
        Self {
            key: Key::Socket(row.cookie),
            first: at,
            others: Vec::new(),
            full: u64::from(row.fill_percent.is_some_and(|fill| fill >= 100)),
            charged: row.charged,
            w,
            sndbuf,
            over: if row.listens() {
                0
            } else {
                (w - sndbuf).max(0)
            },
            r: row.bytes(|m| m.rmem_alloc),
            rcvbuf: row.bytes(|m| m.rcvbuf),
            t: row.bytes(|m| m.wmem_alloc),
            unsent: some(row.unsent),
            in_flight: some(row.in_flight),
            w_rate: histories.w_rate(row.cookie),
            change_rate: booked.and_then(|_| histories.change_rate(row.cookie)),
            blocked_ns: booked.map(|booked| booked.blocked_ns),
            held_now: booked.is_some_and(|booked| booked.held_ns.is_some()),
        }
    }

    /// Takes another socket in.
    fn add(&mut self, one: &Self) {
        let both = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        self.others.push(one.first);
        self.full += one.full;
        self.charged += one.charged;
        self.w += one.w;
        self.sndbuf += one.sndbuf;
        self.over += one.over;
        self.r += one.r;
        self.rcvbuf += one.rcvbuf;
        self.t += one.t;
        self.unsent += one.unsent;
        self.in_flight += one.in_flight;
        self.w_rate = both(self.w_rate, one.w_rate);
        self.change_rate = both(self.change_rate, one.change_rate);
        self.blocked_ns = match (self.blocked_ns, one.blocked_ns) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        self.held_now |= one.held_now;
    }

    /// How many sockets.
    #[must_use]
    pub fn sockets(&self) -> usize {
        1 + self.others.len()
    }

    /// All places.
    pub fn places(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }

    /// `w` in percent of `sndbuf`; None where there is no limit.
    #[must_use]
    pub fn fill(&self) -> Option<i64> {
        (self.sndbuf > 0).then(|| self.w.saturating_mul(100) / self.sndbuf)
    }
}

/// Adds up the rows of each group.
#[must_use]
pub fn grouped(
    lines: Vec<Line>,
    by: RowsBy,
    sample: &MachineSample,
    known: &KeyNames,
) -> Vec<Line> {
    let mut at: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Line> = Vec::new();
    for line in lines {
        let row = &sample.captured.rows[line.first];
        let key = by.key(row, &sample.captured.namespaces, known);
        match at.get(&key) {
            Some(at) => groups[*at].add(&line),
            None => {
                at.insert(key.clone(), groups.len());
                groups.push(Line {
                    key: Key::Group(key),
                    ..line
                });
            }
        }
    }
    groups
}

/// Sorts, largest first, or smallest; equal ones as they were charged, then in the kernel's order.
pub fn sort(lines: &mut [Line], by: Column, reverse: bool) {
    let key = |line: &Line| {
        let key = by.key(line);
        let key = if reverse { -key } else { key };
        (Reverse((key, line.charged)), line.first)
    };
    lines.sort_by_cached_key(key);
}
