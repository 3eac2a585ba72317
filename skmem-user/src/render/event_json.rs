//! A trace event as JSON, under the kernel's names. `docs/json.md` says what
//! each field means.

use serde::Serialize;
use serde_json::Value;
use skmem_common::record::{Event, FLAG_LOCKLESS, FLAG_TASK, IDENT_COOKIE, Ident};

use super::{
    ops::{Decoded, decoded, flags, hook_name},
    who,
};
use crate::explain::{address, state_name};

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(rename = "type")]
    kind_of: &'static str,
    time_ns: u64,
    cpu: u16,
    hook: &'static str,
    flags: Vec<&'static str>,
    socket: Socket,
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
pub(super) struct Socket {
    id: u64,
    cookie: Option<u64>,
    slot: u32,
    family: Option<&'static str>,
    src: Option<String>,
    sport: Option<u16>,
    dst: Option<String>,
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
///
#[must_use]
pub fn event_json(event: &Event, who: Option<&Ident>, comm: Option<&str>) -> Value {
    with_line(event, who, comm, |line| serde_json::to_value(line)).unwrap_or(Value::Null)
}

/// Likewise as a line of text, fields in the order of `docs/json.md`: faster,
/// for streams. Without a newline.
#[must_use]
pub fn event_json_line(event: &Event, who: Option<&Ident>, comm: Option<&str>) -> String {
    with_line(event, who, comm, |line| serde_json::to_string(line)).unwrap_or_default()
}

fn with_line<R>(
    event: &Event,
    who: Option<&Ident>,
    comm: Option<&str>,
    then: impl FnOnce(&Line<'_>) -> R,
) -> R {
    let view = &event.view;
    let task = event.header.flags & FLAG_TASK != 0;
    let first = who.filter(|w| task && w.pid == event.pid);
    let first = first.map(|w| who::comm(&w.comm));
    then(&Line {
        schema: 1,
        kind_of: "event",
        time_ns: event.time_ns,
        cpu: event.header.cpu,
        hook: hook_name(event.header.hook),
        flags: flags(event.header.flags),
        socket: Socket::of(event.socket, event.slot, who),
        event_no: event.event_no,
        pid: task.then_some(event.pid),
        tid: task.then_some(event.tid),
        comm: comm.filter(|_| task).or(first.as_deref()),
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
    })
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

impl Socket {
    pub(super) fn of(id: u64, slot: u32, who: Option<&Ident>) -> Self {
        Self {
            id,
            cookie: who.filter(|w| w.flags & IDENT_COOKIE != 0).map(|w| w.id),
            slot,
            family: who.map(|w| if w.family == 10 { "inet6" } else { "inet" }),
            src: who.map(|w| address(w.family, w.saddr)),
            sport: who.map(|w| w.sport),
            dst: who.map(|w| address(w.family, w.daddr)),
            dport: who.map(|w| w.dport),
            netns: who.map(|w| w.netns),
        }
    }
}
