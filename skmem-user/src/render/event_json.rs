//! A trace event as JSON, under the kernel's names. `docs/json.md` says what
//! each field means.

use std::io;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use skmem_common::record::{Event, FLAG_LOCKLESS, FLAG_TASK, IDENT_COOKIE, Ident};

use super::{
    ops::{Decoded, decoded, flags, hook_name},
    who::Named,
};
use crate::explain::state_name;

/// One event.
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
    /// `task`: a process called; `entry`: `before` was read at the entry of the call; `step`: no call ended; `lockless`: read without the lock of the socket
    flags: Vec<&'static str>,
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
    /// At the entry of the call; null where `lockless`
    before: Option<Before>,
    /// `sk_wmem_queued`, bytes
    wmem_queued: i32,
    /// `sk_sndbuf`, bytes
    sndbuf: i32,
    /// `sk_forward_alloc`, bytes
    forward_alloc: i32,
    /// `sk_wmem_alloc` less its bias of 1, bytes
    wmem_alloc: i32,
    /// `write_seq`, wraps at 2^32
    write_seq: u32,
    /// `snd_una`, wraps at 2^32
    snd_una: u32,
    /// `snd_nxt`, wraps at 2^32
    snd_nxt: u32,
    /// `snd_wnd`, bytes
    snd_wnd: u32,
    /// `write_seq - snd_una`, bytes
    send_q: u32,
    /// `mss_cache`, bytes
    mss_cache: u32,
    /// `gso_segs`, a count
    gso_segs: u16,
    /// Most payload of an skb, bytes: max(mss_cache, gso_segs * mss_cache)
    size_goal: u32,
    /// `sk_userlocks`; bit 0 is SOCK_SNDBUF_LOCK
    userlocks: u8,
    /// The connection's state, as ss calls it
    state: &'static str,
    /// `notsent_lowat`, bytes; 0: the sysctl rules
    notsent_lowat: u32,
    /// Of the skb that the call returned or took, bytes; 0: none
    truesize: u32,
    /// The call's size argument, bytes; of other calls see docs/json.md
    arg: i32,
    /// The call's return value; see docs/json.md
    ret: i32,
    /// Which kind of call; see docs/json.md
    kind: u32,
    /// The ledger's operations since the socket's record before this one, in order
    ops: Vec<Decoded>,
}

#[derive(JsonSchema, Serialize)]
pub(super) struct Socket<'a> {
    /// The cookie, or skmem's own number
    id: u64,
    /// The socket cookie; null where the kernel does not tell it
    cookie: Option<u64>,
    /// Place in the table of accounts
    slot: u32,
    /// `inet` or `inet6`; null where the socket is not known yet, as are the ends
    family: Option<&'static str>,
    /// Local address
    src: Option<&'a str>,
    /// Local port
    sport: Option<u16>,
    /// Remote address
    dst: Option<&'a str>,
    /// Remote port
    dport: Option<u16>,
    /// Inode of the network namespace
    netns: Option<u32>,
}

#[derive(JsonSchema, Serialize)]
struct Before {
    /// `sk_wmem_queued`, bytes
    wmem_queued: i32,
    /// `sk_sndbuf`, bytes
    sndbuf: i32,
    /// `sk_forward_alloc`, bytes
    forward_alloc: i32,
    /// `write_seq`, wraps at 2^32
    write_seq: u32,
    /// `snd_una`, wraps at 2^32
    snd_una: u32,
}

/// One event as an object; `who` is its socket, `comm` the name of its task,
/// where those are known.
#[must_use]
pub fn event_json(event: &Event, who: Option<&Ident>, comm: Option<&str>) -> Value {
    let who = who.map(Named::of);
    serde_json::to_value(line(event, who.as_ref(), comm, None)).unwrap_or(Value::Null)
}

/// The same as a line of text, fields in the order of `docs/json.md`. Without a
/// newline.
#[must_use]
pub fn event_json_line(event: &Event, who: Option<&Ident>, comm: Option<&str>) -> String {
    let who = who.map(Named::of);
    serde_json::to_string(&line(event, who.as_ref(), comm, None)).unwrap_or_default()
}

/// Writes that line, of a socket that has its text already: for streams.
/// `wall_ns` is the event's time in ns since 1970-01-01 UTC, where the line is
/// to have that, too.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_event_json(
    out: impl io::Write,
    event: &Event,
    who: Option<&Named>,
    comm: Option<&str>,
    wall_ns: Option<u64>,
) -> io::Result<()> {
    serde_json::to_writer(out, &line(event, who, comm, wall_ns)).map_err(io::Error::from)
}

fn line<'a>(
    event: &Event,
    who: Option<&'a Named>,
    comm: Option<&'a str>,
    wall_ns: Option<u64>,
) -> Line<'a> {
    let view = &event.view;
    let task = event.header.flags & FLAG_TASK != 0;
    let first = who.filter(|w| task && w.ident.pid == event.pid);
    let first = first.map(|w| w.comm.as_str());
    Line {
        schema: 1,
        kind_of: "event",
        time_ns: event.time_ns,
        wall_ns,
        cpu: event.header.cpu,
        hook: hook_name(event.header.hook),
        flags: flags(event.header.flags),
        socket: Socket::of(event.socket, event.slot, who),
        event_no: event.event_no,
        pid: task.then_some(event.pid),
        tid: task.then_some(event.tid),
        comm: comm.filter(|_| task).or(first),
        before: before(event),
        wmem_queued: view.wmem_queued,
        sndbuf: view.sndbuf,
        forward_alloc: view.forward_alloc,
        wmem_alloc: view.wmem_alloc,
        write_seq: view.write_seq,
        snd_una: view.snd_una,
        snd_nxt: view.snd_nxt,
        snd_wnd: view.snd_wnd,
        send_q: view.send_q(),
        mss_cache: view.mss,
        gso_segs: view.gso_segs,
        size_goal: view.size_goal(),
        userlocks: view.userlocks,
        state: state_name(view.state),
        notsent_lowat: view.notsent_lowat,
        truesize: event.truesize,
        arg: event.arg,
        ret: event.ret,
        kind: event.kind,
        ops: decoded(event).collect(),
    }
}

/// None where it was not read.
fn before(event: &Event) -> Option<Before> {
    (event.header.flags & FLAG_LOCKLESS == 0).then_some(Before {
        wmem_queued: event.before.wmem_queued,
        sndbuf: event.before.sndbuf,
        forward_alloc: event.before.forward_alloc,
        write_seq: event.before.write_seq,
        snd_una: event.before.snd_una,
    })
}

impl<'a> Socket<'a> {
    pub(super) fn of(id: u64, slot: u32, named: Option<&'a Named>) -> Self {
        let who = named.map(|n| &n.ident);
        Self {
            id,
            cookie: who.filter(|w| w.flags & IDENT_COOKIE != 0).map(|w| w.id),
            slot,
            family: who.map(|w| if w.family == 10 { "inet6" } else { "inet" }),
            src: named.map(|n| n.src.as_str()),
            sport: who.map(|w| w.sport),
            dst: named.map(|n| n.dst.as_str()),
            dport: who.map(|w| w.dport),
            netns: who.map(|w| w.netns),
        }
    }
}
