//! The table of events: one row for each record of a call.

use skmem_common::record::{Event, FLAG_LOCKLESS, FLAG_TASK, Ident};

use super::table::{
    Kind::{Bool, Date, Int, Long, Ops, Text, Time, Unsigned},
    OpCell, Table, Value, column, optional,
};
use crate::{
    explain::{address, state_name},
    model::timeline::waits::{Wait, WaitReason},
    render::ops::{Decoded, decoded, hook_name},
};

/// The table.
pub const EVENTS: Table = Table {
    name: "events",
    columns: &[
        column("host", Text, "the machine's name"),
        column("date", Date, "day of `time`, UTC"),
        column(
            "recording",
            Text,
            "the recording: host and start; joins `sockets`",
        ),
        column("time", Time, "when the call ended"),
        column(
            "time_ns",
            Long,
            "likewise, in ns of `CLOCK_MONOTONIC`: exact, within one boot",
        ),
        column(
            "socket",
            Unsigned,
            "the socket's number (its cookie, where the kernel has one); joins `sockets`",
        ),
        column(
            "event_no",
            Long,
            "counts the socket's events; a gap is records lost. 0 where `lockless`",
        ),
        column(
            "hook",
            Text,
            "the kernel function, or what else the record is of",
        ),
        column("cpu", Int, "the CPU it ran on"),
        column(
            "lockless",
            Bool,
            "read without the socket's lock: an observation, books nothing",
        ),
        optional("pid", Long, "process; null in softirq"),
        optional("tid", Long, "thread; null in softirq"),
        optional("comm", Text, "the thread's command name"),
        optional("src", Text, "local address"),
        optional("sport", Int, "local port"),
        optional("dst", Text, "remote address"),
        optional("dport", Int, "remote port"),
        column("state", Text, "state of the connection, as `ss` calls it"),
        optional(
            "wmem_queued_before",
            Int,
            "`sk_wmem_queued` at the call's entry, bytes; null where `lockless`",
        ),
        column("wmem_queued", Int, "`sk_wmem_queued` at its end, bytes"),
        column("sndbuf", Int, "`sk_sndbuf`, the limit, bytes"),
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
            Int,
            "`sk_forward_alloc`, bytes: charged, not used yet",
        ),
        column(
            "wmem_alloc",
            Int,
            "`sk_wmem_alloc - 1`, bytes: in the qdisc and the NIC",
        ),
        column(
            "in_flight",
            Long,
            "`snd_nxt - snd_una`, bytes: sent, not acknowledged; likewise",
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
        column("arg", Int, "the call's size argument, bytes"),
        column("ret", Int, "the call's return value"),
        optional(
            "slept_ns",
            Long,
            "the sleep for want of send memory that ended here, ns; it lasted until `time`",
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

/// Where rows come from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The machine's name.
    pub host: String,
    /// The recording's name.
    pub recording: String,
    /// ns since 1970-01-01 UTC at `CLOCK_MONOTONIC` 0.
    pub epoch_ns: i128,
}

impl Origin {
    /// An instant of `CLOCK_MONOTONIC`, in microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn wall_us(&self, at_ns: u64) -> i64 {
        let us = (self.epoch_ns + i128::from(at_ns)).div_euclid(1_000);
        i64::try_from(us).unwrap_or_default()
    }

    /// The day of that instant, in days since 1970-01-01 UTC.
    #[must_use]
    pub fn day(&self, at_ns: u64) -> i32 {
        i32::try_from(self.wall_us(at_ns).div_euclid(86_400_000_000)).unwrap_or_default()
    }
}

/// An event, and what else is known of it.
#[derive(Debug, Clone, Copy)]
pub struct EventRow<'a> {
    /// The event.
    pub event: &'a Event,
    /// Its socket.
    pub who: Option<&'a Ident>,
    /// The thread's command name.
    pub comm: Option<&'a str>,
    /// What it says of sleeping.
    pub wait: Option<Wait>,
}

impl EventRow<'_> {
    /// The row, in the order of [`EVENTS`].
    #[must_use]
    pub fn values(&self, origin: &Origin) -> Vec<Value> {
        let (event, view) = (self.event, &self.event.view);
        let lockless = event.header.flags & FLAG_LOCKLESS != 0;
        let task = event.header.flags & FLAG_TASK != 0;
        let long = |n: u32| Value::Long(n.into());
        // Before connect() and after a purge, sequence numbers say nothing.
        let queued = |n: u32| long(if view.wmem_queued == 0 { 0 } else { n });
        let of_task = |value: Value| if task { value } else { Value::Null };
        let who = |f: &dyn Fn(&Ident) -> Value| self.who.map_or(Value::Null, f);
        let (slept, reason) = wait(self.wait);
        vec![
            Value::Text(origin.host.clone()),
            Value::Date(origin.day(event.time_ns)),
            Value::Text(origin.recording.clone()),
            Value::Time(origin.wall_us(event.time_ns)),
            Value::Long(event.time_ns.cast_signed()),
            Value::Unsigned(event.socket),
            long(if lockless { 0 } else { event.event_no }),
            Value::Name(hook_name(event.header.hook)),
            Value::Int(event.header.cpu.into()),
            Value::Bool(lockless),
            of_task(long(event.pid)),
            of_task(long(event.tid)),
            of_task(self.comm.map_or(Value::Null, |c| Value::Text(c.to_owned()))),
            who(&|w| Value::Text(address(w.family, w.saddr))),
            who(&|w| Value::Int(w.sport.into())),
            who(&|w| Value::Text(address(w.family, w.daddr))),
            who(&|w| Value::Int(w.dport.into())),
            Value::Name(state_name(view.state)),
            if lockless {
                Value::Null
            } else {
                Value::Int(event.before.wmem_queued)
            },
            Value::Int(view.wmem_queued),
            Value::Int(view.sndbuf),
            Value::Long(i64::from(view.wmem_queued) - i64::from(view.sndbuf)),
            queued(view.send_q()),
            Value::Int(view.forward_alloc),
            Value::Int(view.wmem_alloc),
            queued(view.snd_nxt.wrapping_sub(view.snd_una)),
            long(view.snd_wnd),
            long(view.write_seq),
            long(view.snd_una),
            long(view.snd_nxt),
            long(view.mss),
            long(view.size_goal()),
            long(event.truesize),
            Value::Int(event.arg),
            Value::Int(event.ret),
            slept.map_or(Value::Null, |ns| Value::Long(ns.cast_signed())),
            reason.map_or(Value::Null, |r| Value::Name(r.name())),
            Value::Ops(decoded(event).map(cell).collect()),
        ]
    }
}

fn wait(wait: Option<Wait>) -> (Option<u64>, Option<WaitReason>) {
    match wait {
        Some(Wait::Slept(s)) => (Some(s.to_ns.saturating_sub(s.from_ns)), Some(s.reason)),
        Some(Wait::Refused(r)) => (None, Some(r.reason)),
        None => (None, None),
    }
}

fn cell(op: Decoded) -> OpCell {
    match op {
        Decoded::Book { cause, bytes, tier } => OpCell {
            op: "book",
            cause: Some(cause),
            tier: Some(tier),
            bytes,
        },
        Decoded::Admit { sndbuf } => OpCell {
            op: "admit",
            cause: None,
            tier: None,
            bytes: sndbuf,
        },
        Decoded::Limit {
            cause,
            sndbuf,
            tier,
        } => OpCell {
            op: "limit",
            cause: Some(cause),
            tier: Some(tier),
            bytes: sndbuf,
        },
        Decoded::Unknown { value, .. } => OpCell {
            op: "unknown",
            cause: None,
            tier: None,
            bytes: value,
        },
    }
}
