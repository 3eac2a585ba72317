//! A change of a socket's receive side (`--rx`) as JSON.

use skmem_common::record::{FLAG_BOOKED, FLAG_TASK, Receive};

use super::{
    event_json::{Flags, Socket, SocketObject},
    identity::Named,
    line_buffer::LineBuffer,
    ops::{Decoded, hook_name, received},
    put::{IfKnown, Put, Word, list, object},
};
use crate::explain::state_name;

object! {
    /// One change of the receive side.
    pub(super) struct Line<'a> {
        /// Version of this contract: 1
        "schema" schema: u32,
        /// `event` or `receive`
        "type" kind_of: Word<'static>,
        /// When the call ended, in ns of CLOCK_MONOTONIC
        "time_ns" time_ns: u64,
        /// The same in ns since 1970-01-01 UTC
        #[schemars(with = "Option<u64>")]
        "wall_ns" wall_ns: IfKnown<u64>,
        /// The CPU's number
        "cpu" cpu: u16,
        /// The kernel function, under its newest name
        "hook" hook: Word<'static>,
        /// Which socket
        #[schemars(with = "Socket<'a>")]
        "socket" socket: SocketObject<'a>,
        /// Counts the socket's records, the lost ones too
        "event_no" event_no: u32,
        /// Process; null in softirq
        "pid" pid: Option<u32>,
        /// Thread; null in softirq
        "tid" tid: Option<u32>,
        /// Its command name
        "comm" comm: Option<&'a str>,
        /// `sk_rmem_alloc`, bytes
        "rmem_alloc" rmem_alloc: i32,
        /// `sk_rcvbuf`, bytes
        "rcvbuf" rcvbuf: i32,
        /// `sk_backlog.len`, bytes
        "backlog" backlog: i32,
        /// `sk_forward_alloc`, bytes
        "forward_alloc" forward_alloc: i32,
        /// `rcv_nxt`, wraps at 2^32
        "rcv_nxt" rcv_nxt: u32,
        /// `copied_seq`, wraps at 2^32
        "copied_seq" copied_seq: u32,
        /// `rcv_nxt - copied_seq`, bytes
        "recv_q" recv_q: u32,
        /// What is left of the window offered to the peer, bytes
        "window" window: u32,
        /// The connection's state, as ss calls it
        "state" state: Word<'static>,
        /// Of the skb that arrived, or that joined or left the error queue, bytes; 0: none
        "truesize" truesize: u32,
        /// `task`: a process called; `lockless`: read without the lock of the socket
        #[schemars(with = "Vec<String>")]
        "flags" flags: Flags,
        /// Threads that sleep in recv(); null where the recording does not tell
        "waiting" waiting: Option<u32>,
        /// What was booked since the socket's record before this one, in order; null where the
        /// recording does not tell
        #[schemars(with = "Option<Vec<Decoded>>")]
        "ops" ops: Option<Ops<'a>>,
    }
}

/// What a change booked.
struct Ops<'a>(&'a Receive);

impl Put for Ops<'_> {
    fn put(&self, out: &mut LineBuffer) {
        list(received(self.0), out);
    }
}

/// Appends one line of JSON, fields in the order of `docs/json.md`; `wall_ns` is
/// its time in ns since 1970-01-01 UTC, where the line is to have that, too.
/// Without a newline.
pub fn put_receive_json(
    out: &mut LineBuffer,
    record: &Receive,
    who: Option<&Named>,
    comm: Option<&str>,
    wall_ns: Option<u64>,
) {
    line(record, who, comm, wall_ns).put(out);
}

pub(super) fn line<'a>(
    record: &'a Receive,
    who: Option<&'a Named>,
    comm: Option<&'a str>,
    wall_ns: Option<u64>,
) -> Line<'a> {
    let view = &record.view;
    let task = record.header.flags & FLAG_TASK != 0;
    let first = who.filter(|w| task && w.ident.pid == record.pid);
    let first = first.map(|w| w.comm.as_str());
    // Recordings of format 1 do not tell what was booked.
    let booked = record.header.flags & FLAG_BOOKED != 0;
    Line {
        schema: 1,
        kind_of: Word("receive"),
        time_ns: record.time_ns,
        wall_ns: IfKnown(wall_ns),
        cpu: record.header.cpu,
        hook: Word(hook_name(record.header.hook)),
        socket: SocketObject {
            id: record.socket,
            slot: record.slot,
            named: who,
        },
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
        state: Word(state_name(u8::try_from(view.state).unwrap_or(0))),
        truesize: record.truesize,
        flags: Flags(record.header.flags),
        waiting: booked.then_some(record.waiting),
        ops: booked.then_some(Ops(record)),
    }
}

/// What serde writes of the same: each line is compared with it.
#[cfg(test)]
mod serde_too {
    use serde::{Serialize, Serializer};

    use super::{Ops, received};

    impl Serialize for Ops<'_> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_seq(received(self.0))
        }
    }
}
