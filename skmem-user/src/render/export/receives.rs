//! The table of receives: one row for each change of a socket's receive side
//! (`skmem record --rx`).

use skmem_common::record::{FLAG_LOCKLESS, FLAG_TASK, Receive};

use super::{
    events::{
        HOST, LOST_BEFORE, Origin, PART, RECORDING, RUN, Row, SOCKET, TIME_NS, begin, cell, who,
    },
    table::{
        Cells,
        Kind::{Date, Long, Ops, Text, Time},
        Table, column, optional,
    },
};
use crate::{
    explain::state_name,
    render::ops::{hook_name, received},
};

/// The table.
pub const RECEIVES: Table = Table {
    name: "receives",
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
            "number of the record among all records of the socket: those in `events` count as well; 0 where it was made without the socket's lock (the error queue), those take none",
        ),
        LOST_BEFORE,
        column(
            "hook",
            Text,
            "the kernel function: `tcp_queue_rcv` where a segment joined the receive queue, `tcp_recvmsg_locked` where the application has read (in older recordings `tcp_rcv_space_adjust`), …",
        ),
        column("cpu", Long, "the CPU it ran on"),
        optional("pid", Long, "process; null in softirq"),
        optional("tid", Long, "thread; null in softirq"),
        optional("comm", Text, "the thread's command name"),
        optional("src", Text, "local address"),
        optional("sport", Long, "local port"),
        optional("dst", Text, "remote address"),
        optional("dport", Long, "remote port"),
        column("state", Text, "state of the connection, as `ss` calls it"),
        column(
            "rmem_alloc",
            Long,
            "`sk_rmem_alloc`, bytes: truesize of unread data, skbs read in part, out-of-order data, the error queue",
        ),
        column("rcvbuf", Long, "`sk_rcvbuf`, its limit, bytes"),
        column("recv_q", Long, "`rcv_nxt - copied_seq`, bytes"),
        column(
            "backlog",
            Long,
            "`sk_backlog.len`, bytes: truesize of packets that wait for the socket's owner",
        ),
        column(
            "forward_alloc",
            Long,
            "`sk_forward_alloc`, bytes: charged, not used yet",
        ),
        column(
            "receive_window",
            Long,
            "what is left of the window offered to the peer, bytes",
        ),
        column("rcv_nxt", Long, "`rcv_nxt`, a sequence number"),
        column("copied_seq", Long, "`copied_seq`, a sequence number"),
        column(
            "truesize",
            Long,
            "truesize of the skb that was queued, or that joined or left the error queue, bytes; else 0",
        ),
        column(
            "ops",
            Ops,
            "what was booked since the socket's row before this one: `book` (bytes of `rmem_alloc` under a cause), `rcvbuf` (`rcvbuf` moved to `bytes`); empty in older recordings",
        ),
    ],
};

impl Row<'_, Receive> {
    /// Puts the row, in the order of [`RECEIVES`].
    pub fn put(&self, origin: &Origin, to: &mut impl Cells) {
        let (record, view) = (self.record, &self.record.view);
        let by_task = record.header.flags & FLAG_TASK != 0;
        begin(to, origin, record.time_ns, record.socket);
        let lockless = record.header.flags & FLAG_LOCKLESS != 0;
        to.long(if lockless { 0 } else { record.event_no.into() });
        to.count(self.lost_before);
        to.text(hook_name(record.header.hook));
        to.long(record.header.cpu.into());
        let task = by_task.then_some((record.pid, record.tid));
        who(to, task, self.comm, self.who);
        to.text(state_name(u8::try_from(view.state).unwrap_or(0)));
        to.long(view.rmem_alloc.into());
        to.long(view.rcvbuf.into());
        to.long(view.recv_q().into());
        to.long(view.backlog.into());
        to.long(view.forward_alloc.into());
        to.long(view.window.into());
        to.long(view.rcv_nxt.into());
        to.long(view.copied_seq.into());
        to.long(record.truesize.into());
        to.ops(received(record).map(cell));
    }
}
