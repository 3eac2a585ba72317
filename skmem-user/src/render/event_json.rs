//! A trace event as JSON, under the kernel's names. `docs/json.md` says what
//! each field means.

use std::io;

use serde::Serialize;
use serde_json::Value;
use skmem_common::record::{Event, FLAG_LOCKLESS, FLAG_TASK, IDENT_COOKIE, Ident};

use super::{
    ops::{Decoded, decoded, flags, hook_name},
    who::Named,
};
use crate::explain::state_name;

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(rename = "type")]
    kind_of: &'static str,
    time_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_ns: Option<u64>,
    cpu: u16,
    hook: &'static str,
    flags: Vec<&'static str>,
    socket: Socket<'a>,
    event_no: u32,
    pid: Option<u32>,
    tid: Option<u32>,
    comm: Option<&'a str>,
    before: Option<Before>,
    wmem_queued: i32,
    sndbuf: i32,
    forward_alloc: i32,
    wmem_alloc: i32,
    write_seq: u32,
    snd_una: u32,
    snd_nxt: u32,
    snd_wnd: u32,
    send_q: u32,
    mss_cache: u32,
    gso_segs: u16,
    size_goal: u32,
    userlocks: u8,
    state: &'static str,
    notsent_lowat: u32,
    truesize: u32,
    arg: i32,
    ret: i32,
    kind: u32,
    ops: Vec<Decoded>,
}

#[derive(Serialize)]
pub(super) struct Socket<'a> {
    id: u64,
    cookie: Option<u64>,
    slot: u32,
    family: Option<&'static str>,
    src: Option<&'a str>,
    sport: Option<u16>,
    dst: Option<&'a str>,
    dport: Option<u16>,
    netns: Option<u32>,
}

#[derive(Serialize)]
struct Before {
    wmem_queued: i32,
    sndbuf: i32,
    forward_alloc: i32,
    write_seq: u32,
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
