//! A change of a socket's receive side (`--rx`), as a line for people and as
//! JSON.

use std::io;

use serde::Serialize;
use skmem_common::{
    hook::Hook,
    record::{FLAG_TASK, Ident, Receive},
};

use super::{
    event_json::Socket,
    event_line::{Names, begin, blanks, cell, number},
    ops::hook_name,
    style::Style,
    who::Named,
};
use crate::explain::state_name;

/// Appends it to `line`, in the columns of event lines; those of the send side
/// stay empty. Without a newline.
pub fn write_receive_line(line: &mut String, record: &Receive, names: Names<'_>, style: &Style) {
    let view = &record.view;
    let task = (record.header.flags, record.pid, record.tid);
    begin(
        line,
        &record.header,
        record.time_ns,
        task,
        names,
        record.socket,
        style,
    );
    blanks(line, 17 + 1 + 9);
    cell(line, view.forward_alloc, 7);
    blanks(line, 1 + 9);
    if record.header.hook == Hook::Read as u8 {
        line.push_str("  the application read");
    } else {
        line.push_str("  skb truesize ");
        number(line, record.truesize);
    }
    line.push_str(": recv_q ");
    number(line, view.recv_q());
    line.push_str(" rmem_alloc ");
    number(line, view.rmem_alloc);
    line.push_str(" of rcvbuf ");
    number(line, view.rcvbuf);
    line.push_str(" window ");
    number(line, view.window);
    line.push_str(" backlog ");
    number(line, view.backlog);
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(rename = "type")]
    kind_of: &'static str,
    time_ns: u64,
    cpu: u16,
    hook: &'static str,
    socket: Socket<'a>,
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
    let who = who.map(Named::of);
    serde_json::to_string(&line(record, who.as_ref(), comm)).unwrap_or_default()
}

/// Writes that line, of a socket that has its text already: for streams.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_receive_json(
    out: impl io::Write,
    record: &Receive,
    who: Option<&Named>,
    comm: Option<&str>,
) -> io::Result<()> {
    serde_json::to_writer(out, &line(record, who, comm)).map_err(io::Error::from)
}

fn line<'a>(record: &Receive, who: Option<&'a Named>, comm: Option<&'a str>) -> Line<'a> {
    let view = &record.view;
    let task = record.header.flags & FLAG_TASK != 0;
    let first = who.filter(|w| task && w.ident.pid == record.pid);
    let first = first.map(|w| w.comm.as_str());
    Line {
        schema: 1,
        kind_of: "receive",
        time_ns: record.time_ns,
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
