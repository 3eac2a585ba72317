//! The table of sockets: one row for each socket of a recording.

use super::{
    events::Origin,
    table::{
        Kind::{Bool, Date, Long, Sums, Text, Time, Unsigned},
        SumCell, Table, Value, column, optional,
    },
};
use crate::{
    explain::{Verdict, growth},
    render::headline,
};

/// The table.
pub const SOCKETS: Table = Table {
    name: "sockets",
    columns: &[
        column("host", Text, "the machine's name"),
        column("date", Date, "day on which the recording began, UTC"),
        column(
            "recording",
            Text,
            "the recording: host and start; joins `events`",
        ),
        column(
            "socket",
            Unsigned,
            "the socket's number (its cookie, where the kernel has one); joins `events`",
        ),
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
            "sleeps for want of send memory, in the whole recording",
        ),
        column("refusals", Long, "`EAGAIN`s for want of send memory"),
        column(
            "blocked_ns",
            Long,
            "time slept, ns, of all threads together",
        ),
        column("longest_blocked_ns", Long, "longest sleep, ns"),
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

/// A socket and its verdict.
#[derive(Debug, Clone, Copy)]
pub struct SocketRow<'a> {
    /// The verdict.
    pub verdict: &'a Verdict,
    /// Id of its cgroup; 0: none known.
    pub cgroup: u64,
    /// When the recording began, in ns of `CLOCK_MONOTONIC`.
    pub began_ns: u64,
}

impl SocketRow<'_> {
    /// The row, in the order of [`SOCKETS`].
    #[must_use]
    pub fn values(&self, origin: &Origin) -> Vec<Value> {
        let v = self.verdict;
        let s = &v.socket;
        let blocked = v.blocked.as_ref();
        let count = |n: u64| Value::Long(i64::try_from(n).unwrap_or(i64::MAX));
        let ns = |n: Option<u64>| count(n.unwrap_or(0));
        let culprit = if v.over_limit {
            growth(v).into_iter().next()
        } else {
            None
        };
        vec![
            Value::Text(origin.host.clone()),
            Value::Date(origin.day(self.began_ns)),
            Value::Text(origin.recording.clone()),
            Value::Unsigned(s.id),
            Value::Text(v.kernel.clone()),
            Value::Text(s.comm.clone()),
            if s.pid == 0 {
                Value::Null
            } else {
                Value::Long(s.pid.into())
            },
            if self.cgroup == 0 {
                Value::Null
            } else {
                Value::Unsigned(self.cgroup)
            },
            Value::Long(s.netns.into()),
            Value::Name(s.family),
            Value::Text(s.src.clone()),
            Value::Long(s.sport.into()),
            Value::Text(s.dst.clone()),
            Value::Long(s.dport.into()),
            Value::Time(origin.wall_us(s.seen_ns)),
            Value::Bool(s.older),
            Value::Bool(s.closed),
            Value::Bool(v.over_limit),
            Value::Long(v.worst_excess),
            Value::Time(origin.wall_us(v.at_ns)),
            v.so_sndbuf.map_or(Value::Null, Value::Long),
            Value::Long(v.sndbuf),
            Value::Long(v.wmem_queued),
            Value::Long(v.send_q),
            Value::Long(v.payload),
            Value::Long(v.forward_alloc),
            Value::Long(v.wmem_alloc),
            culprit.map_or(Value::Null, |(cause, _)| Value::Name(cause)),
            culprit.map_or(Value::Null, |(_, bytes)| Value::Long(bytes)),
            Value::Sums(
                v.causes
                    .iter()
                    .map(|c| SumCell {
                        cause: c.cause,
                        bytes: c.bytes,
                        count: c.count.cast_signed(),
                        inferred: c.inferred,
                    })
                    .collect(),
            ),
            Value::Sums(
                v.ledger
                    .iter()
                    .map(|c| SumCell {
                        cause: c.cause,
                        bytes: c.bytes,
                        count: c.count.cast_signed(),
                        inferred: c.inferred,
                    })
                    .collect(),
            ),
            count(v.admission.count),
            blocked.map_or(Value::Null, |b| Value::Name(b.on)),
            ns(blocked.map(|b| b.waits + b.asleep)),
            ns(blocked.map(|b| b.refusals)),
            ns(blocked.map(|b| b.total_ns)),
            ns(blocked.map(|b| b.longest_ns)),
            Value::Long(v.unattributed),
            count(v.lost_events),
            Value::Bool(v.complete),
            Value::Text(headline::sentence(v)),
        ]
    }
}
