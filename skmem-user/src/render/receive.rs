//! A change of a socket's receive side (`--rx`), as a line for people and as
//! JSON.

use serde::Serialize;
use skmem_common::{
    hook::Hook,
    record::{FLAG_TASK, Ident, Receive},
};

use super::{
    event_json::Socket,
    event_line::{by, time},
    ops::hook_name,
    style::{Role, Style},
    who::{self, short},
};
use crate::explain::state_name;

/// In the columns of event lines; those of the send side stay empty. Without a
/// newline.
#[must_use]
pub fn receive_line(
    record: &Receive,
    who: Option<&Ident>,
    task: Option<&str>,
    style: &Style,
) -> String {
    let view = &record.view;
    let socket = who.map_or_else(|| format!("{:#x}", record.socket), short);
    let hook = format!("{:<22}", hook_name(record.header.hook));
    let what = if record.header.hook == Hook::Read as u8 {
        "the application read".to_owned()
    } else {
        format!("skb truesize {}", record.truesize)
    };
    format!(
        "{} {:>3} {:<22} {socket:<33} {} {:>17} {:>9} {:>7} {:>9}  {what}: recv_q {} rmem_alloc {} of rcvbuf {} window {} backlog {}",
        time(record.time_ns, style),
        record.header.cpu,
        by(record.header.flags, (record.pid, record.tid), who, task),
        style.paint(Role::Name, hook),
        "",
        "",
        view.forward_alloc,
        "",
        view.recv_q(),
        view.rmem_alloc,
        view.rcvbuf,
        view.window,
        view.backlog,
    )
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(rename = "type")]
    kind_of: &'static str,
    time_ns: u64,
    cpu: u16,
    hook: &'static str,
    socket: Socket,
    event_no: u32,
    pid: Option<u32>,
    tid: Option<u32>,
    comm: Option<&'a str>,
    rmem_alloc: i32,
    rcvbuf: i32,
    backlog: i32,
    forward_alloc: i32,
    rcv_nxt: u32,
    copied_seq: u32,
    recv_q: u32,
    window: u32,
    state: &'static str,
    truesize: u32,
}

/// One line of JSON, fields in the order of `docs/json.md`. Without a newline.
#[must_use]
pub fn receive_json_line(record: &Receive, who: Option<&Ident>, comm: Option<&str>) -> String {
    let view = &record.view;
    let task = record.header.flags & FLAG_TASK != 0;
    let first = who.filter(|w| task && w.pid == record.pid);
    let first = first.map(|w| who::comm(&w.comm));
    let line = Line {
        schema: 1,
        kind_of: "receive",
        time_ns: record.time_ns,
        cpu: record.header.cpu,
        hook: hook_name(record.header.hook),
        socket: Socket::of(record.socket, record.slot, who),
        event_no: record.event_no,
        pid: task.then_some(record.pid),
        tid: task.then_some(record.tid),
        comm: comm.filter(|_| task).or(first.as_deref()),
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
    };
    serde_json::to_string(&line).unwrap_or_default()
}
