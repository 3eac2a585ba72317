//! The table of sockets: one row for each socket of a recording.

use skmem_common::account;

use super::{
    events::{HOST, Origin, PART, RECORDING, RUN, SOCKET},
    table::{
        Cells,
        Kind::{Bool, Date, Long, Sums, Text, Time, Unsigned},
        SumCell, Table, column, optional,
    },
};
use crate::{
    explain::{Verdict, growth, verdict::Receive},
    render::headline,
};

/// The table.
pub const SOCKETS: Table = Table {
    name: "sockets",
    columns: &[
        HOST,
        column("date", Date, "day on which the recording began, UTC"),
        RUN,
        PART,
        RECORDING,
        column(
            "ended",
            Time,
            "when this account was read: at the end of the part; the last one of a `run` and `socket` holds all others",
        ),
        SOCKET,
        column("kernel", Text, "`uname -r`"),
        column(
            "comm",
            Text,
            "command name of the process that used it first; empty where none is known",
        ),
        optional("pid", Long, "that process"),
        optional("cgroup", Unsigned, "id of its cgroup"),
        column("netns", Long, "inode of the network namespace"),
        column("family", Text, "`inet` or `inet6`"),
        column("src", Text, "local address"),
        column("sport", Long, "local port"),
        column("dst", Text, "remote address"),
        column("dport", Long, "remote port"),
        column("first", Time, "when skmem first saw it"),
        column("older", Bool, "it was in use before"),
        column("closed", Bool, "the kernel has destroyed it"),
        column("over_limit", Bool, "it went over its limit at least once"),
        column(
            "worst_excess",
            Long,
            "worst `wmem_queued - sndbuf`, bytes; 0: never over",
        ),
        column(
            "worst",
            Time,
            "the instant that the fields below are of: the worst excess, or the last call where it was never over",
        ),
        optional(
            "so_sndbuf",
            Long,
            "what the application gave to `SO_SNDBUF`, bytes; null where it did not",
        ),
        column("sndbuf", Long, "`sk_sndbuf`, the limit, bytes"),
        column("wmem_queued", Long, "`sk_wmem_queued`, bytes"),
        column("send_q", Long, "`write_seq - snd_una`, bytes"),
        column("payload", Long, "payload in the queued skbs, bytes"),
        column("forward_alloc", Long, "`sk_forward_alloc`, bytes"),
        column("wmem_alloc", Long, "`sk_wmem_alloc - 1`, bytes"),
        optional(
            "cause",
            Text,
            "what did most to push it over its limit; null where it was never over",
        ),
        optional("cause_bytes", Long, "the bytes of that"),
        column(
            "since_admission",
            Sums,
            "what changed `wmem_queued` between the last admission and that instant",
        ),
        column(
            "totals",
            Sums,
            "what changed `wmem_queued` since `first`, until that instant",
        ),
        column(
            "admissions",
            Long,
            "new skbs that had passed the test until then",
        ),
        optional(
            "blocked_on",
            Text,
            "what held senders up most often: `limit`, `memory`, `notsent_lowat`; null: never held up",
        ),
        column(
            "sleeps",
            Long,
            "sleeps for want of send memory, since `first`: earlier parts count as well",
        ),
        column(
            "refusals",
            Long,
            "`EAGAIN`s for want of send memory, since `first`",
        ),
        column(
            "blocked_ns",
            Long,
            "time slept since `first`, ns, of all threads together; by the kernel's account, which reads the clock a moment later than the records that `events` is made of",
        ),
        column("longest_blocked_ns", Long, "longest sleep, ns"),
        column(
            "sleeps_before",
            Long,
            "those of `sleeps` that began before this part",
        ),
        column(
            "refusals_before",
            Long,
            "those of `refusals` before this part",
        ),
        column(
            "blocked_ns_before",
            Long,
            "the part of `blocked_ns` before this part, ns",
        ),
        optional(
            "rmem_alloc",
            Long,
            "`sk_rmem_alloc` at the end, bytes; this and the five below are null without `--rx`",
        ),
        optional("rcvbuf", Long, "`sk_rcvbuf` at the end, bytes"),
        optional("recv_q", Long, "`rcv_nxt - copied_seq` at the end, bytes"),
        optional(
            "reads",
            Long,
            "times that the application took data, since `first`",
        ),
        optional(
            "longest_unread_ns",
            Long,
            "longest time that data waited with no read at all, ns",
        ),
        optional(
            "zero_windows",
            Long,
            "times that the window offered to the peer fell to 0, since `first`",
        ),
        column("unattributed", Long, "bytes that nothing names"),
        column(
            "lost_events",
            Long,
            "records of this socket that found the ring full",
        ),
        column("complete", Bool, "nothing of its history is missing"),
        column("verdict", Text, "the verdict in a sentence"),
    ],
};

/// What of an account an earlier part has, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opening {
    /// Sleeps.
    pub sleeps: u64,
    /// `EAGAIN`s.
    pub refusals: u64,
    /// Time slept, ns.
    pub blocked_ns: u64,
}

impl Opening {
    /// Of an account that was read at `now_ns`.
    #[must_use]
    pub fn of(blocked: &account::Blocked, now_ns: u64) -> Self {
        let asleep_ns = match blocked.asleep {
            0 => 0,
            _ => now_ns.saturating_sub(blocked.since_ns),
        };
        Self {
            sleeps: blocked.waits.saturating_add(blocked.asleep.into()),
            refusals: blocked.refusals,
            blocked_ns: blocked.total_ns.saturating_add(asleep_ns),
        }
    }
}

/// A socket and its verdict.
#[derive(Debug, Clone, Copy)]
pub struct SocketRow<'a> {
    /// The verdict.
    pub verdict: &'a Verdict,
    /// Id of its cgroup; 0: none known.
    pub cgroup: u64,
    /// When the recording began, in ns of `CLOCK_MONOTONIC`.
    pub began_ns: u64,
    /// When it ended, in ns of `CLOCK_MONOTONIC`.
    pub ended_ns: u64,
    /// What the socket's account held when the part began.
    pub opening: Opening,
}

impl SocketRow<'_> {
    /// Puts the row, in the order of [`SOCKETS`].
    pub fn put(&self, origin: &Origin, to: &mut impl Cells) {
        let v = self.verdict;
        let s = &v.socket;
        let blocked = v.blocked.as_ref();
        let ns = |n: Option<u64>| n.unwrap_or(0);
        let received = |f: fn(&Receive) -> i64| v.receive.as_ref().map(f);
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let culprit = if v.over_limit {
            growth(v).into_iter().next()
        } else {
            None
        };
        to.text(&origin.host);
        to.date(origin.day(self.began_ns));
        to.text(&origin.run);
        to.long(origin.part.into());
        to.text(&origin.recording);
        to.time(origin.wall_us(self.ended_ns));
        to.unsigned(s.id);
        to.text(&v.kernel);
        to.text(&s.comm);
        to.maybe_long((s.pid != 0).then_some(s.pid.into()));
        match self.cgroup {
            0 => to.null(),
            id => to.unsigned(id),
        }
        to.long(s.netns.into());
        to.text(s.family);
        to.text(&s.src);
        to.long(s.sport.into());
        to.text(&s.dst);
        to.long(s.dport.into());
        to.time(origin.wall_us(s.seen_ns));
        to.bool(s.older);
        to.bool(s.closed);
        to.bool(v.over_limit);
        to.long(v.worst_excess);
        to.time(origin.wall_us(v.at_ns));
        to.maybe_long(v.so_sndbuf);
        to.long(v.sndbuf);
        to.long(v.wmem_queued);
        to.long(v.send_q);
        to.long(v.payload);
        to.long(v.forward_alloc);
        to.long(v.wmem_alloc);
        to.maybe_text(culprit.map(|(cause, _)| cause.name()));
        to.maybe_long(culprit.map(|(_, bytes)| bytes));
        to.sums(v.causes.iter().map(|c| SumCell {
            cause: c.cause.name(),
            bytes: c.bytes,
            count: c.count.cast_signed(),
            inferred: c.inferred,
        }));
        to.sums(v.ledger.iter().map(|c| SumCell {
            cause: c.cause.name(),
            bytes: c.bytes,
            count: c.count.cast_signed(),
            inferred: c.inferred,
        }));
        to.count(v.admission.count);
        to.maybe_text(blocked.map(|b| b.on.name()));
        to.count(ns(blocked.map(|b| b.waits + b.asleep)));
        to.count(ns(blocked.map(|b| b.refusals)));
        to.count(ns(blocked.map(|b| b.total_ns)));
        to.count(ns(blocked.map(|b| b.longest_ns)));
        to.count(self.opening.sleeps);
        to.count(self.opening.refusals);
        to.count(self.opening.blocked_ns);
        to.maybe_long(received(|r| r.rmem_alloc));
        to.maybe_long(received(|r| r.rcvbuf));
        to.maybe_long(received(|r| r.recv_q));
        to.maybe_long(v.receive.as_ref().map(|r| count(r.reads)));
        to.maybe_long(v.receive.as_ref().map(|r| count(r.longest_unread_ns)));
        to.maybe_long(v.receive.as_ref().map(|r| count(r.zero_windows)));
        to.long(v.unattributed);
        to.count(v.lost_events);
        to.bool(v.complete);
        to.text(&headline::sentence(v));
    }
}
