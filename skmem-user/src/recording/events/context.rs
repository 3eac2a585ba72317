//! What is known from the records of a block so far: the next one is coded as the difference.

use skmem_common::{
    cause::Cause,
    record::{Event, FLAG_LOCKLESS, FLAG_TASK, OP_ADMIT, OP_BOOK, OP_LIMIT, Op, Receive, View},
};

/// The causes by which format 1 predicts `write_seq`: part of the format, as it
/// was when the format was made. Which causes are payload is another question,
/// answered by [`Cause::is_payload`].
const PREDICTED_V1: [u8; 4] = [
    Cause::FirstFill as u8,
    Cause::TailAppend as u8,
    Cause::TailRefill as u8,
    Cause::Splice as u8,
];

/// Of one socket.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    pub view: View,
    pub event_no: u32,
    pub slot: u32,
    pub cpu: u16,
    pub flags: u8,
    pub task: (u32, u32),
    /// Truesize, argument, result and kind of the last call of each hook.
    calls: Vec<(u8, [u32; 4])>,
    /// The last bytes booked under each cause.
    booked: [i32; 32],
}

/// What the operations of a record make of the fields before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Booked {
    pub wmem_queued: i32,
    pub sndbuf: i32,
    pub write_seq: u32,
}

impl Context {
    /// What comes before the operations of the next record.
    pub fn booked(&self) -> Booked {
        Booked {
            wmem_queued: self.view.wmem_queued,
            sndbuf: self.view.sndbuf,
            write_seq: self.view.write_seq,
        }
    }

    /// The likely value of an operation.
    pub fn value(&self, op: &Op, so_far: &Booked) -> i32 {
        match op.kind {
            OP_BOOK => self.booked[usize::from(op.cause) & 31],
            OP_ADMIT | OP_LIMIT => so_far.sndbuf,
            _ => 0,
        }
    }

    /// The likely truesize, argument, result and kind of a call.
    pub fn call(&self, hook: u8) -> [u32; 4] {
        let found = self.calls.iter().find(|(h, _)| *h == hook);
        found.map_or([0; 4], |(_, call)| *call)
    }

    /// Keeps what the next events are predicted from, after a change of the receive side.
    pub fn passed(&mut self, record: &Receive) {
        (self.event_no, self.slot) = (record.event_no, record.slot);
    }

    /// Keeps what the next records are predicted from.
    pub fn learn(&mut self, event: &Event) {
        let header = &event.header;
        if header.flags & FLAG_LOCKLESS == 0 {
            self.flags = header.flags;
        }
        self.cpu = header.cpu;
        self.event_no = event.event_no;
        self.slot = event.slot;
        if header.flags & FLAG_TASK != 0 {
            self.task = (event.pid, event.tid);
        }
        self.view = event.view;
        let call = [
            event.truesize,
            event.arg.cast_unsigned(),
            event.ret.cast_unsigned(),
            event.kind,
        ];
        match self.calls.iter_mut().find(|(h, _)| *h == header.hook) {
            Some((_, known)) => *known = call,
            None => self.calls.push((header.hook, call)),
        }
        for op in event.ops.iter().take(usize::from(header.ops)) {
            if op.kind == OP_BOOK {
                self.booked[usize::from(op.cause) & 31] = op.value;
            }
        }
    }
}

impl Booked {
    /// Takes in an operation.
    pub fn add(&mut self, op: &Op) {
        match op.kind {
            OP_BOOK => {
                self.wmem_queued = self.wmem_queued.wrapping_add(op.value);
                if PREDICTED_V1.contains(&op.cause) {
                    self.write_seq = self.write_seq.wrapping_add(op.value.cast_unsigned());
                }
            }
            OP_LIMIT => self.sndbuf = op.value,
            _ => {}
        }
    }
}
