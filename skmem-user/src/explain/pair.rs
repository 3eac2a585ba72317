//! Both ends of a connection on one machine: where the bytes are between `send()` on one and
//! `recv()` on the other, and the one place that holds them up.
//!
//! A byte goes on through `write_seq`, `snd_nxt`, the peer's `rcv_nxt` and its `copied_seq`, so
//! that, as integers:
//!
//! ```text
//! write_seq - copied_seq == (write_seq - snd_nxt) + (snd_nxt - rcv_nxt) + (rcv_nxt - copied_seq)
//! ```

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::{
    account::Account,
    output::Holder,
    record::{IDENT_CLOSED, IDENT_MPTCP_SOCKET},
};

use super::{
    receive::HeldBy,
    verdict::{Receive, SCHEMA, Verdict},
};
use crate::{model::end::End, selection::Selection};

/// How far the sequence numbers of two ends may lie apart, in bytes: more is no connection.
const FAR: u32 = 1 << 28;

/// `TCP_LISTEN` of the kernel's `tcp_states.h`.
const TCP_LISTEN: u32 = 10;

/// Two sockets that are the ends of one connection.
#[derive(Debug, Clone, JsonSchema, Serialize)]
pub struct Pair {
    /// Version of this contract: 1
    pub schema: u32,
    /// `uname -r`
    pub kernel: String,
    /// How the ends were found to belong together
    pub joined_by: JoinedBy,
    /// The ways that data went; the one that is held up, or that holds more, first
    pub ways: Vec<Way>,
    /// The verdict on each end, that of the first way's sender first
    pub ends: [Verdict; 2],
}

/// How two sockets were found to be the ends of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinedBy {
    /// Each has the other's addresses and ports.
    Addresses,
    /// By sequence numbers alone: the addresses differ, as NAT makes them.
    SequenceNumbers,
}

/// One way through a connection, in bytes, from one end's `send()` to the other's `recv()`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Way {
    /// `id` of the sender's socket
    pub from: u64,
    /// `id` of the receiver's socket
    pub to: u64,
    /// Payload that the kernel took from the sending application since skmem saw the socket, bytes
    pub taken: i64,
    /// Payload that arrived in sequence since skmem saw the receiving socket, bytes
    pub arrived: i64,
    /// `write_seq - copied_seq`: the sum of the three below; a SYN or FIN counts as one byte
    pub outstanding: i64,
    /// `write_seq - snd_nxt`: written and not sent
    pub not_sent: i64,
    /// `snd_nxt - rcv_nxt`: sent and not received in sequence: in a queueing discipline, on the
    /// wire, in the receiver's backlog, out of order, or lost; below 0 where the receiver was read
    /// later than the sender
    pub on_the_way: i64,
    /// `rcv_nxt - copied_seq`: received and not read
    pub not_read: i64,
    /// `sk_wmem_queued` of the sender, bytes of truesize
    pub wmem_queued: i64,
    /// `sk_rmem_alloc` of the receiver, bytes of truesize
    pub rmem_alloc: i64,
    /// `sk_rcvbuf`, its limit, bytes
    pub rcvbuf: i64,
    /// What is left of the window that the receiver offers, bytes
    pub window: i64,
    /// The one place that holds the rest up
    pub held_at: Place,
}

/// What holds bytes up on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Nothing is held up: all that was written has been read, and the reader waits for more.
    Writer,
    /// The sender's limit, or its `TCP_NOTSENT_LOWAT`.
    SendLimit,
    /// Pacing.
    Pacing,
    /// The sender's queueing discipline or device.
    Qdisc,
    /// The path: the congestion window is full, or what was sent is not acknowledged.
    Network,
    /// The receiver's application does not read, or reads too little at a time.
    Reader,
    /// The receiver's error queue fills its receive buffer.
    ErrorQueue,
    /// The receiver's buffer: it is small for the path, or full of what is no unread data.
    ReceiveBuffer,
    /// Want of kernel memory, at either end.
    Memory,
    /// Bytes are under way, and nothing shows that they are held up.
    Nowhere,
}

impl Place {
    /// Whether bytes are held up.
    #[must_use]
    pub const fn holds(self) -> bool {
        !matches!(self, Self::Writer | Self::Nowhere)
    }
}

/// A socket while its other end is looked for.
struct Socket<'a> {
    account: &'a Account,
    verdict: &'a Verdict,
}

/// The connections of which both ends were traced, and at least one is meant: those that are held
/// up first, then by how much is outstanding. `verdicts` are those on all accounts of `end`.
#[must_use]
pub fn pairs(end: &End, verdicts: &[Verdict], selection: &Selection) -> Vec<Pair> {
    let by_id: HashMap<u64, &Verdict> = verdicts.iter().map(|v| (v.socket.id, v)).collect();
    let sockets: Vec<Socket<'_>> = end
        .open
        .iter()
        .chain(&end.closed)
        .filter_map(|kept| {
            let account = &*kept.account;
            let verdict = *by_id.get(&account.ident.id)?;
            is_end(account).then_some(Socket { account, verdict })
        })
        .collect();
    let mut pairs: Vec<Pair> = join(&sockets)
        .into_iter()
        .filter(|(a, b, _)| {
            let meant = |n: usize| selection.holds(&sockets[n].verdict.socket);
            meant(*a) || meant(*b)
        })
        .map(|(a, b, by)| Pair::of(&sockets[a], &sockets[b], by))
        .collect();
    pairs.sort_by_key(|pair| {
        let way = pair.ways.first();
        let held = way.is_some_and(|w| w.held_at.holds());
        std::cmp::Reverse((held, way.map_or(0, |w| w.outstanding)))
    });
    pairs
}

/// Whether it is one end of a TCP connection. An MPTCP socket has no sequence numbers of TCP; its
/// subflows do.
fn is_end(account: &Account) -> bool {
    let ident = &account.ident;
    ident.flags & IDENT_MPTCP_SOCKET == 0
        && ident.dport != 0
        && account.receiving.now.state != TCP_LISTEN
}

/// Which sockets belong together, each in one pair at most.
fn join(sockets: &[Socket<'_>]) -> Vec<(usize, usize, JoinedBy)> {
    let mut by_ends: HashMap<_, Vec<usize>> = HashMap::new();
    for (n, socket) in sockets.iter().enumerate() {
        by_ends.entry(ends(socket.account)).or_default().push(n);
    }
    let mut taken: HashSet<usize> = HashSet::new();
    let mut joined = Vec::new();
    for (n, socket) in sockets.iter().enumerate() {
        if taken.contains(&n) {
            continue;
        }
        let (family, src, sport, dst, dport) = ends(socket.account);
        let others = by_ends.get(&(family, dst, dport, src, sport));
        let fits = |m: &&usize| {
            **m != n && !taken.contains(*m) && may_be_ends(socket.account, sockets[**m].account)
        };
        if let Some(m) = others.into_iter().flatten().find(fits) {
            taken.extend([n, *m]);
            joined.push((n, *m, JoinedBy::Addresses));
        }
    }
    // Behind NAT the addresses differ: two numbers of 32 bits, one of them equal, do not agree by
    // chance.
    let mut by_next: HashMap<u32, Vec<usize>> = HashMap::new();
    let alone = |n: &usize, taken: &HashSet<usize>| !taken.contains(n) && is_open(&sockets[*n]);
    for n in (0..sockets.len()).filter(|n| alone(n, &taken)) {
        let next = sockets[n].account.last.snd_nxt;
        by_next.entry(next).or_default().push(n);
    }
    for n in 0..sockets.len() {
        if !alone(&n, &taken) {
            continue;
        }
        let account = sockets[n].account;
        let others = by_next.get(&account.receiving.now.rcv_nxt);
        let fits =
            |m: &&usize| **m != n && alone(m, &taken) && is_within(account, sockets[**m].account);
        let mut found = others.into_iter().flatten().filter(fits);
        if let (Some(m), None) = (found.next(), found.next()) {
            taken.extend([n, *m]);
            joined.push((n, *m, JoinedBy::SequenceNumbers));
        }
    }
    joined
}

type Ends = (u16, [u8; 16], u16, [u8; 16], u16);

fn ends(account: &Account) -> Ends {
    let i = &account.ident;
    (i.family, i.saddr, i.sport, i.daddr, i.dport)
}

fn is_open(socket: &Socket<'_>) -> bool {
    socket.account.ident.flags & IDENT_CLOSED == 0 && socket.account.receiving.ledger.started != 0
}

/// Whether two sockets with each other's addresses may be one connection: a loopback address is
/// another in each network namespace, and other networks may have the same addresses.
fn may_be_ends(a: &Account, b: &Account) -> bool {
    let closed = |account: &Account| account.ident.flags & IDENT_CLOSED != 0;
    if (is_loopback(a) || is_loopback(b)) && a.ident.netns != b.ident.netns {
        return false;
    }
    // What a closed socket had queued is gone, its sequence numbers say little.
    closed(a) || closed(b) || a.ident.netns == b.ident.netns || is_near(a, b) && is_near(b, a)
}

fn is_loopback(account: &Account) -> bool {
    let address = super::address(account.ident.family, account.ident.saddr);
    address
        .parse::<IpAddr>()
        .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn is_near(sender: &Account, receiver: &Account) -> bool {
    let apart = sender
        .last
        .snd_nxt
        .wrapping_sub(receiver.receiving.now.rcv_nxt);
    apart.cast_signed().unsigned_abs() <= FAR
}

/// Whether what the receiver has received lies within what the sender sent and was not
/// acknowledged for.
fn is_within(sender: &Account, receiver: &Account) -> bool {
    let v = &sender.last;
    let received = receiver.receiving.now.rcv_nxt.wrapping_sub(v.snd_una);
    received <= v.snd_nxt.wrapping_sub(v.snd_una)
}

impl Pair {
    fn of(a: &Socket<'_>, b: &Socket<'_>, joined_by: JoinedBy) -> Self {
        let mut ways = vec![Way::of(a, b), Way::of(b, a)];
        let weight = |w: &Way| (w.held_at.holds(), w.outstanding, w.taken.max(w.arrived));
        ways.sort_by_key(|w| std::cmp::Reverse(weight(w)));
        // A way that carried nothing is not worth a word beside one that did.
        let carried = |w: &Way| w.taken != 0 || w.arrived != 0 || w.outstanding > 0;
        if ways.iter().any(carried) {
            ways.retain(carried);
        } else {
            ways.truncate(1);
        }
        let (first, second) = match ways.first() {
            Some(way) if way.from == b.account.ident.id => (b, a),
            _ => (a, b),
        };
        Self {
            schema: SCHEMA,
            kernel: first.verdict.kernel.clone(),
            joined_by,
            ways,
            ends: [first.verdict.clone(), second.verdict.clone()],
        }
    }
}

impl Way {
    fn of(sender: &Socket<'_>, receiver: &Socket<'_>) -> Self {
        let (from, to) = (&sender.account.last, &receiver.account.receiving.now);
        let far = |a: u32, b: u32| i64::from(a.wrapping_sub(b).cast_signed());
        let gone = sender.verdict.socket.closed || receiver.verdict.socket.closed;
        // What is queued is thrown away with a socket, and its numbers stay.
        let [not_sent, on_the_way, not_read] = match gone {
            true => [0; 3],
            false => [
                far(from.write_seq, from.snd_nxt),
                far(from.snd_nxt, to.rcv_nxt),
                far(to.rcv_nxt, to.copied_seq),
            ],
        };
        let receive = receiver.verdict.receive.as_ref();
        let mut way = Self {
            from: sender.verdict.socket.id,
            to: receiver.verdict.socket.id,
            taken: sender.verdict.taken,
            arrived: receive
                .and_then(|r| r.account.as_ref())
                .map_or(0, |account| account.payload),
            outstanding: not_sent + on_the_way + not_read,
            not_sent,
            on_the_way,
            not_read,
            wmem_queued: from.wmem_queued.into(),
            rmem_alloc: receive.map_or(to.rmem_alloc.into(), |r| r.rmem_alloc),
            rcvbuf: to.rcvbuf.into(),
            window: to.window.into(),
            held_at: Place::Nowhere,
        };
        way.held_at = way.place(sender.verdict, receive);
        way
    }

    fn place(&self, sender: &Verdict, receive: Option<&Receive>) -> Place {
        let blamed = sender.blame.as_ref().map(|blame| blame.holder);
        let shut = self.not_sent > 0 && self.rcvbuf != 0 && self.window == 0;
        let last = sender.output.last.as_ref().map(|o| o.stopped_by);
        let holder = match blamed {
            Some(holder) => holder,
            None if shut => Holder::Receiver,
            None if self.not_sent > 0 => last.unwrap_or(Holder::Nobody),
            None => Holder::Nobody,
        };
        match holder {
            Holder::Receiver => receive.map_or(Place::Reader, at_receiver),
            Holder::Timeouts | Holder::Cwnd => Place::Network,
            Holder::Pacing => Place::Pacing,
            Holder::Qdisc => Place::Qdisc,
            Holder::Limit | Holder::Lowat => Place::SendLimit,
            Holder::Memory => Place::Memory,
            Holder::Nobody if self.outstanding <= 0 => Place::Writer,
            Holder::Nobody => Place::Nowhere,
        }
    }
}

/// What it is at a receiver whose window holds its peer up.
fn at_receiver(r: &Receive) -> Place {
    if r.is_filled_by_errors() {
        return Place::ErrorQueue;
    }
    if r.refused != 0 {
        return Place::Memory;
    }
    let account = r.account.as_ref();
    match account.and_then(|a| a.window_shut).map(|shut| shut.held_by) {
        Some(HeldBy::ErrorQueue) => Place::ErrorQueue,
        Some(HeldBy::Overhead) => Place::ReceiveBuffer,
        Some(HeldBy::Unread | HeldBy::Held) => Place::Reader,
        // The window never fell to 0: whether data waits for the reader, or the reader for data.
        None => match account {
            Some(a) if a.data_waits_ns < a.reader_waits_ns.saturating_add(a.idle_ns) => {
                Place::ReceiveBuffer
            }
            _ => Place::Reader,
        },
    }
}
