//! The table of events: one row for each record of a call.

use skmem_common::record::{Event, FLAG_LOCKLESS, FLAG_TASK};

use super::table::{
    Cells, Column,
    Kind::{Bool, Date, Long, Ops, Text, Time, Unsigned},
    OpCell, Table, column, optional,
};
use crate::{
    explain::state_name,
    model::timeline::waits::{Wait, WaitReason},
    render::{
        identity::Named,
        ops::{Decoded, decoded, hook_name},
    },
};

/// The table.
pub const EVENTS: Table = Table {
    name: "events",
    columns: &[
        HOST,
        column("date", Date, "day of `time`, UTC"),
        RUN,
        PART,
        RECORDING,
        column("time", Time, "when the call ended"),
        TIME_NS,
        SOCKET,
        column(
            "event_no",
            Long,
            "number of the record among all records of the socket: those in `receives` and those that name a thread take numbers, too. 0 where `lockless`",
        ),
        LOST_BEFORE,
        column(
            "hook",
            Text,
            "the kernel function, or what else the record is of",
        ),
        column("cpu", Long, "the CPU it ran on"),
        column(
            "lockless",
            Bool,
            "read without the socket's lock: an observation, books nothing",
        ),
        optional("pid", Long, "process; null in softirq"),
        optional("tid", Long, "thread; null in softirq"),
        optional("comm", Text, "the thread's command name"),
        optional("src", Text, "local address"),
        optional("sport", Long, "local port"),
        optional("dst", Text, "remote address"),
        optional("dport", Long, "remote port"),
        column("state", Text, "state of the connection, as `ss` calls it"),
        optional(
            "wmem_queued_before",
            Long,
            "`sk_wmem_queued` at the call's entry, bytes; null where `lockless`",
        ),
        column("wmem_queued", Long, "`sk_wmem_queued` at its end, bytes"),
        column("sndbuf", Long, "`sk_sndbuf`, the limit, bytes"),
        column(
            "excess",
            Long,
            "`wmem_queued - sndbuf`, bytes: over the limit where positive",
        ),
        column(
            "send_q",
            Long,
            "`write_seq - snd_una`, bytes; 0 where nothing is queued",
        ),
        column(
            "forward_alloc",
            Long,
            "`sk_forward_alloc`, bytes: charged, not used yet",
        ),
        column(
            "wmem_alloc",
            Long,
            "`sk_wmem_alloc - 1`, bytes: in the qdisc and the NIC",
        ),
        column(
            "in_flight",
            Long,
            "`snd_nxt - snd_una`, bytes: sent, not acknowledged; 0 where nothing is queued",
        ),
        column("snd_wnd", Long, "the peer's window, bytes"),
        column("write_seq", Long, "`write_seq`, a sequence number"),
        column("snd_una", Long, "`snd_una`, a sequence number"),
        column("snd_nxt", Long, "`snd_nxt`, a sequence number"),
        column("mss", Long, "`mss_cache`, bytes"),
        column(
            "size_goal",
            Long,
            "most payload that one skb may take, bytes",
        ),
        column(
            "truesize",
            Long,
            "truesize of the skb that the call returned or took, bytes",
        ),
        column("arg", Long, "the call's size argument, bytes"),
        column("ret", Long, "the call's return value"),
        optional(
            "slept_ns",
            Long,
            "the sleep for want of send memory that ended here, ns, also where it began in an earlier part; it lasted until `time`",
        ),
        optional(
            "wait_reason",
            Text,
            "what held the sender up: `limit`, `memory`, `notsent_lowat`; set where a sleep ended or `EAGAIN` was returned",
        ),
        column(
            "ops",
            Ops,
            "what was booked since the socket's record before this one: `book` (bytes of `wmem_queued` under a cause), `admit` (a new skb passed the test against `bytes`), `limit` (`sndbuf` moved to `bytes`)",
        ),
    ],
};

pub(super) const HOST: Column = column("host", Text, "the machine's name");
pub(super) const RUN: Column = column(
    "run",
    Text,
    "the run of `skmem record`: the same in all of its files",
);
pub(super) const PART: Column = column(
    "part",
    Long,
    "which of the run's files, from 1 (`--rotate`, `--flight`)",
);
pub(super) const RECORDING: Column = column(
    "recording",
    Text,
    "the file: host, start and part; of a part that was chosen, also `-selected-` and a checksum of the choice",
);
pub(super) const TIME_NS: Column = column(
    "time_ns",
    Long,
    "the same in ns of `CLOCK_MONOTONIC`: exact, within one boot",
);
pub(super) const SOCKET: Column = column(
    "socket",
    Unsigned,
    "the socket's number (its cookie, where the kernel has one); with `run`, joins the tables",
);
pub(super) const LOST_BEFORE: Column = column(
    "lost_before",
    Long,
    "records of the socket that were lost right before this one, by their numbers",
);

/// Where rows come from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The machine's name.
    pub host: String,
    /// What all files of a run have in common.
    pub run: String,
    /// Which of them this is, from 1.
    pub part: u32,
    /// The recording's name.
    pub recording: String,
    /// ns since 1970-01-01 UTC at `CLOCK_MONOTONIC` 0.
    pub epoch_ns: i128,
}

impl Origin {
    /// An instant of `CLOCK_MONOTONIC`, in microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn wall_us(&self, at_ns: u64) -> i64 {
        // Divisions of 128 bits are slow, and not needed in this age.
        if let Ok(epoch) = i64::try_from(self.epoch_ns)
            && let Some(ns) = epoch.checked_add_unsigned(at_ns)
        {
            return ns.div_euclid(1_000);
        }
        let us = (self.epoch_ns + i128::from(at_ns)).div_euclid(1_000);
        i64::try_from(us).unwrap_or_default()
    }

    /// The day of that instant, in days since 1970-01-01 UTC.
    #[must_use]
    pub fn day(&self, at_ns: u64) -> i32 {
        day(self.wall_us(at_ns))
    }
}

/// The day of an instant.
fn day(wall_us: i64) -> i32 {
    i32::try_from(wall_us.div_euclid(86_400_000_000)).unwrap_or_default()
}

/// A record, and what else is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a, R> {
    /// The record.
    pub record: &'a R,
    /// Its socket.
    pub who: Option<&'a Named>,
    /// The thread's command name.
    pub comm: Option<&'a str>,
    /// Records of the socket that were lost right before it.
    pub lost_before: u64,
}

/// The columns that all tables of records begin with, up to the socket.
pub(super) fn begin(to: &mut impl Cells, origin: &Origin, time_ns: u64, socket: u64) {
    let wall_us = origin.wall_us(time_ns);
    to.text(&origin.host);
    to.date(day(wall_us));
    to.text(&origin.run);
    to.long(origin.part.into());
    to.text(&origin.recording);
    to.time(wall_us);
    to.long(time_ns.cast_signed());
    to.unsigned(socket);
}

/// Process, thread and command name, nothing in softirq; then the ends of the
/// socket: addresses and ports.
pub(super) fn who(
    to: &mut impl Cells,
    task: Option<(u32, u32)>,
    comm: Option<&str>,
    who: Option<&Named>,
) {
    to.maybe_long(task.map(|(pid, _)| pid.into()));
    to.maybe_long(task.map(|(_, tid)| tid.into()));
    to.maybe_text(comm.filter(|_| task.is_some()));
    to.maybe_text(who.map(|w| w.src.as_str()));
    to.maybe_long(who.map(|w| w.ident.sport.into()));
    to.maybe_text(who.map(|w| w.dst.as_str()));
    to.maybe_long(who.map(|w| w.ident.dport.into()));
}

impl Row<'_, Event> {
    /// Puts the row, in the order of [`EVENTS`]; `wait` is what the event says of
    /// sleeping.
    pub fn put(&self, origin: &Origin, wait: Option<Wait>, to: &mut impl Cells) {
        let (event, view) = (self.record, &self.record.view);
        let lockless = event.header.flags & FLAG_LOCKLESS != 0;
        let by_task = event.header.flags & FLAG_TASK != 0;
        // Before connect() and after a purge, sequence numbers say nothing.
        let queued = |n: u32| i64::from(if view.wmem_queued == 0 { 0 } else { n });
        let (slept, reason) = waited(wait);
        begin(to, origin, event.time_ns, event.socket);
        to.long(if lockless { 0 } else { event.event_no.into() });
        to.count(self.lost_before);
        to.text(hook_name(event.header.hook));
        to.long(event.header.cpu.into());
        to.bool(lockless);
        let task = by_task.then_some((event.pid, event.tid));
        who(to, task, self.comm, self.who);
        to.text(state_name(view.state));
        to.maybe_long((!lockless).then_some(event.before.wmem_queued.into()));
        to.long(view.wmem_queued.into());
        to.long(view.sndbuf.into());
        to.long(i64::from(view.wmem_queued) - i64::from(view.sndbuf));
        to.long(queued(view.send_q()));
        to.long(view.forward_alloc.into());
        to.long(view.wmem_alloc.into());
        to.long(queued(view.snd_nxt.wrapping_sub(view.snd_una)));
        to.long(view.snd_wnd.into());
        to.long(view.write_seq.into());
        to.long(view.snd_una.into());
        to.long(view.snd_nxt.into());
        to.long(view.mss.into());
        to.long(view.size_goal().into());
        to.long(event.truesize.into());
        to.long(event.arg.into());
        to.long(event.ret.into());
        to.maybe_long(slept.map(u64::cast_signed));
        to.maybe_text(reason.map(WaitReason::name));
        to.ops(decoded(event).map(cell));
    }
}

fn waited(wait: Option<Wait>) -> (Option<u64>, Option<WaitReason>) {
    match wait {
        Some(Wait::Slept(s)) => (Some(s.to_ns.saturating_sub(s.from_ns)), Some(s.reason)),
        Some(Wait::Refused(r)) => (None, Some(r.reason)),
        None => (None, None),
    }
}

pub(super) fn cell(op: Decoded) -> OpCell {
    match op {
        Decoded::Book { cause, bytes, tier } => OpCell {
            op: "book",
            cause: Some(cause),
            tier: Some(tier),
            bytes: bytes.into(),
        },
        Decoded::Admit { sndbuf } => OpCell {
            op: "admit",
            cause: None,
            tier: None,
            bytes: sndbuf.into(),
        },
        Decoded::Limit {
            cause,
            sndbuf,
            tier,
        } => OpCell {
            op: "limit",
            cause: Some(cause),
            tier: Some(tier),
            bytes: sndbuf.into(),
        },
        Decoded::Rcvbuf { cause, rcvbuf } => OpCell {
            op: "rcvbuf",
            cause: Some(cause),
            tier: None,
            bytes: rcvbuf.into(),
        },
        Decoded::Unknown { value, .. } => OpCell {
            op: "unknown",
            cause: None,
            tier: None,
            bytes: value.into(),
        },
    }
}
