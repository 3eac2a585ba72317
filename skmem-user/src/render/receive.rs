//! A change of a socket's receive side (`--rx`) as JSON.

use std::io;

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::record::{FLAG_TASK, Receive};

use super::{event_json::Socket, ops::hook_name, who::Named};
use crate::explain::state_name;

/// One change of the receive side.
#[derive(JsonSchema, Serialize)]
pub(super) struct Line<'a> {
    /// Version of this contract: 1
    schema: u32,
    /// `event` or `receive`
    #[serde(rename = "type")]
    kind_of: &'static str,
    /// When the call ended, in ns of CLOCK_MONOTONIC
    time_ns: u64,
    /// The same in ns since 1970-01-01 UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_ns: Option<u64>,
    /// The CPU's number
    cpu: u16,
    /// The kernel function, under its newest name
    hook: &'static str,
    /// Which socket
    socket: Socket<'a>,
    /// Counts the socket's records, the lost ones too
    event_no: u32,
    /// Process; null in softirq
    pid: Option<u32>,
    /// Thread; null in softirq
    tid: Option<u32>,
    /// Its command name
    comm: Option<&'a str>,
    /// `sk_rmem_alloc`, bytes
    rmem_alloc: i32,
    /// `sk_rcvbuf`, bytes
    rcvbuf: i32,
    /// `sk_backlog.len`, bytes
    backlog: i32,
    /// `sk_forward_alloc`, bytes
    forward_alloc: i32,
    /// `rcv_nxt`, wraps at 2^32
    rcv_nxt: u32,
    /// `copied_seq`, wraps at 2^32
    copied_seq: u32,
    /// `rcv_nxt - copied_seq`, bytes
    recv_q: u32,
    /// What is left of the window offered to the peer, bytes
    window: u32,
    /// The connection's state, as ss calls it
    state: &'static str,
    /// Of the skb that arrived, bytes
    truesize: u32,
}

/// Writes one line of JSON, fields in the order of `docs/json.md`; `wall_ns` is
/// its time in ns since 1970-01-01 UTC, where the line is to have that, too.
/// Without a newline.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_receive_json(
    out: impl io::Write,
    record: &Receive,
    who: Option<&Named>,
    comm: Option<&str>,
    wall_ns: Option<u64>,
) -> io::Result<()> {
    serde_json::to_writer(out, &line(record, who, comm, wall_ns)).map_err(io::Error::from)
}

fn line<'a>(
    record: &Receive,
    who: Option<&'a Named>,
    comm: Option<&'a str>,
    wall_ns: Option<u64>,
) -> Line<'a> {
    let view = &record.view;
    let task = record.header.flags & FLAG_TASK != 0;
    let first = who.filter(|w| task && w.ident.pid == record.pid);
    let first = first.map(|w| w.comm.as_str());
    Line {
        schema: 1,
        kind_of: "receive",
        time_ns: record.time_ns,
        wall_ns,
        cpu: record.header.cpu,
        hook: hook_name(record.header.hook),
        socket: Socket::of(record.socket, record.slot, who),
        event_no: record.event_no,
        pid: task.then_some(record.pid),
        tid: task.then_some(record.tid),
        comm: comm.filter(|_| task).or(first),
        rmem_alloc: view.rmem_alloc,
        rcvbuf: view.rcvbuf,
        backlog: view.backlog,
        forward_alloc: view.forward_alloc,
        rcv_nxt: view.rcv_nxt,
        copied_seq: view.copied_seq,
        recv_q: view.recv_q(),
        window: view.window,
        state: state_name(u8::try_from(view.state).unwrap_or(0)),
        truesize: record.truesize,
    }
}
