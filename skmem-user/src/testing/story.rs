//! One socket's records, written by hand as the programs would write them.

use skmem_common::{
    cause::{Cause, LimitCause, Tier},
    hook::Hook,
    record::{
        Before, Event, FLAG_ENTRY, FLAG_TASK, Header, OP_ADMIT, OP_BOOK, OP_LIMIT, Op, Open,
        VERSION, View,
    },
};

use crate::{model::record::Record, testing::socket::ident};

/// Truesize of an empty skb here.
pub(crate) const O: i32 = 896;

/// Start of all stories, in ns of `CLOCK_MONOTONIC`.
pub(crate) const START: u64 = 7_000_000_000;

/// A stream of records.
pub(crate) struct Story {
    pub records: Vec<Record>,
    pub view: View,
    pub now: u64,
    id: u64,
    pid: u32,
    number: u32,
    ops: Vec<Op>,
    at_entry: View,
}

impl Story {
    /// A connected socket with an empty queue and this limit.
    pub fn new(id: u64, sndbuf: i32) -> Self {
        let mut story = Self {
            records: Vec::new(),
            view: View {
                sndbuf,
                write_seq: u32::MAX - 4000,
                snd_una: u32::MAX - 4000,
                snd_nxt: u32::MAX - 4000,
                snd_wnd: 29_200,
                mss: 1448,
                gso_segs: 10,
                userlocks: 1,
                state: 1,
                ..View::default()
            },
            now: START,
            id,
            pid: 123,
            number: 0,
            ops: Vec::new(),
            at_entry: View::default(),
        };
        let mut who = ident();
        who.id = id;
        who.seen_ns = START;
        who.so_sndbuf = sndbuf / 2;
        who.flags |= skmem_common::record::IDENT_V_SEEN;
        story.number += 1;
        let header = Header {
            len: size_of::<Open>() as u16,
            version: VERSION,
            hook: Hook::Open as u8,
            cpu: 0,
            flags: FLAG_TASK,
            ops: 0,
        };
        story.records.push(Record::Open(Open {
            header,
            time_ns: START,
            event_no: 1,
            slot: 1,
            ident: who,
            view: story.view,
        }));
        story.at_entry = story.view;
        story
    }

    /// So much time passes.
    pub fn wait_us(&mut self, us: u64) -> &mut Self {
        self.now += us * 1_000;
        self
    }

    fn op(&mut self, kind: u8, cause: u8, value: i32) {
        self.ops.push(Op {
            kind,
            cause,
            tier: Tier::Observed as u8,
            reserved: 0,
            value,
        });
    }

    pub fn book(&mut self, cause: Cause, bytes: i32) -> &mut Self {
        self.op(OP_BOOK, cause as u8, bytes);
        self.view.wmem_queued += bytes;
        self
    }

    pub fn written(&mut self, cause: Cause, bytes: i32) -> &mut Self {
        self.view.write_seq = self.view.write_seq.wrapping_add(bytes.cast_unsigned());
        self.book(cause, bytes)
    }

    /// An skb passes the test and is queued.
    pub fn admit(&mut self) -> &mut Self {
        self.op(OP_ADMIT, 0, self.view.sndbuf);
        self.book(Cause::NewSkb, O)
    }

    pub fn limit(&mut self, cause: LimitCause, to: i32) -> &mut Self {
        self.op(OP_LIMIT, cause as u8, to);
        self.view.sndbuf = to;
        self
    }

    /// The call ends: its record.
    pub fn end(&mut self, hook: Hook) -> &mut Self {
        self.end_with(hook, |_| {})
    }

    pub fn end_with(&mut self, hook: Hook, change: impl FnOnce(&mut Event)) -> &mut Self {
        self.number += 1;
        self.now += 10_000;
        let before = self.at_entry;
        let mut event = Event {
            time_ns: self.now,
            socket: self.id,
            event_no: self.number,
            slot: 1,
            pid: self.pid,
            tid: self.pid,
            before: Before {
                wmem_queued: before.wmem_queued,
                sndbuf: before.sndbuf,
                forward_alloc: before.forward_alloc,
                write_seq: before.write_seq,
                snd_una: before.snd_una,
                reserved: 0,
            },
            view: self.view,
            ..Event::default()
        };
        event.header = Header {
            len: size_of::<Event>() as u16,
            version: VERSION,
            hook: hook as u8,
            cpu: 1,
            flags: FLAG_ENTRY | FLAG_TASK,
            ops: self.ops.len() as u8,
        };
        for (n, op) in self.ops.drain(..).enumerate() {
            event.ops[n] = op;
        }
        change(&mut event);
        self.records.push(Record::Event(event));
        self.at_entry = self.view;
        self
    }

    /// An ACK of `bytes` of payload that frees `freed`.
    pub fn ack(&mut self, bytes: u32, freed: i32) -> &mut Self {
        self.view.snd_una = self.view.snd_una.wrapping_add(bytes);
        self.book(Cause::Ack, -freed).end(Hook::Ack)
    }

    /// A sleep of `us`, for want of room.
    pub fn sleep_us(&mut self, us: u64) -> &mut Self {
        self.end_with(Hook::WaitMemory, |e| e.kind = 1);
        self.wait_us(us).end(Hook::WaitMemory)
    }

    /// A record that nobody got to read.
    pub fn lose_last(&mut self) -> &mut Self {
        self.records.pop();
        self
    }
}

/// The article's scenario: `SO_SNDBUF` 4096, writes of 1024 bytes, a receiver
/// that does not read; 7,184 bytes over the limit in the end.
pub(crate) fn article() -> Story {
    let mut s = Story::new(17, 8192);
    s.view.forward_alloc = 2176;
    s.wait_us(400).admit().written(Cause::FirstFill, 1024);
    s.end(Hook::SendmsgLocked).wait_us(30_000);
    for _ in 0..9 {
        s.written(Cause::TailAppend, 1024).end(Hook::SendmsgLocked);
        s.wait_us(700);
    }
    s.view.wmem_alloc = 4352;
    s.end(Hook::WriteXmit).wait_us(1_500);
    s.view.wmem_alloc = 0;
    s.ack(1_832, 1_832).wait_us(90_000);
    s.ack(1_832, 1_832).wait_us(160_000);
    s.book(Cause::ProbeSplit, O).end(Hook::LossProbe);
    s.wait_us(9_000);
    for _ in 0..5 {
        s.written(Cause::TailRefill, 1024).end(Hook::SendmsgLocked);
        s.wait_us(2_000);
    }
    s.sleep_us(400_000);
    s.ack(5_000, 5_000).wait_us(20_000);
    s.limit(LimitCause::SetByApplication, 16_384);
    s.end(Hook::Setsockopt).wait_us(50_000);
    s.admit()
        .written(Cause::FirstFill, 4096)
        .end(Hook::SendmsgLocked);
    s.wait_us(100_000);
    s
}
