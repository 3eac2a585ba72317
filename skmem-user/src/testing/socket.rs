//! A socket as the kernel would work it, hook by hook: what the programs see
//! at each hook goes into an account through the account's own functions.

use skmem_common::{
    account::{Account, FRAME_ZEROCOPY, Fields, WAIT_LIMIT},
    hook::Hook,
    record::{
        Event, FLAG_ENTRY, IDENT_COOKIE, IDENT_OLDER, IDENT_V_SEEN, Ident, SHORT_EVENT, SHORT_OPS,
        VERSION, View,
    },
};

use crate::explain::{Source, Verdict, VerdictContext};

/// The setting of all tests, unless they change it.
pub(crate) const SETTING: VerdictContext<'static> = VerdictContext {
    kernel: "6.12.48-cloud-amd64",
    now_ns: 5_000_000_000,
    // 2026-11-28 03:12:25 UTC.
    wall_ns: 1_795_835_545_000_000_000,
    at_end: false,
    skipped_runs: 0,
    wmem_max: Some(212_992),
    notsent_lowat_sysctl: Some(u32::MAX),
    stream_agrees: Some(true),
    source: Source::Kernel,
};

/// A socket and its account.
pub(crate) struct Socket {
    pub account: Account,
    pub view: View,
    pub overhead: i32,
    /// Bytes of a page.
    pub page: i32,
    /// CLOCK_MONOTONIC; each hook takes 1 µs.
    pub now: u64,
    tail: u64,
    tail_len: u32,
    skbs: u64,
    /// The records that the programs would have made, one a call.
    pub events: Vec<Event>,
}

impl Socket {
    /// A connected socket with an empty queue, its limit set to twice `v`.
    pub fn with_sndbuf(v: i32, overhead: i32) -> Self {
        let mut socket = Self::new(2 * v, overhead);
        socket.view.userlocks = 1;
        socket.account.ident.so_sndbuf = v;
        socket.account.ident.flags |= IDENT_V_SEEN;
        socket
    }

    /// Data comes in until the window is shut, and has not been read for three seconds at the time
    /// of [`SETTING`].
    pub fn stops_reading(&mut self) {
        let r = &mut self.account.receiving;
        r.window_moved(64_000);
        (r.now.rmem_alloc, r.now.rcvbuf, r.now.rcv_nxt) = (2_304, 131_072, 1_000);
        r.arrived(2_000_000_000);
        r.window_moved(0);
        (r.now.rmem_alloc, r.now.rcv_nxt) = (131_072, 65_160);
        r.arrived(2_500_000_000);
    }

    /// A connected socket whose limit the kernel tunes.
    pub fn autotuned(sndbuf: i32, overhead: i32) -> Self {
        Self::new(sndbuf, overhead)
    }

    /// A socket with `w` bytes queued before skmem saw it.
    pub fn older(v: i32, overhead: i32, w: i32, payload: u32) -> Self {
        let mut socket = Self::with_sndbuf(v, overhead);
        socket.account.ledger = Account::EMPTY.ledger;
        socket.view.wmem_queued = w;
        socket.view.snd_una = socket.view.write_seq - payload;
        socket.account.ident.flags |= IDENT_OLDER;
        socket.open();
        socket
    }

    fn new(sndbuf: i32, overhead: i32) -> Self {
        let mut account = Account::EMPTY;
        account.ident = ident();
        let mut socket = Self {
            account,
            view: View {
                sndbuf,
                write_seq: 1_000_000,
                snd_una: 1_000_000,
                snd_nxt: 1_000_000,
                snd_wnd: 1 << 20,
                mss: 1448,
                gso_segs: 10,
                state: 1,
                ..View::default()
            },
            overhead,
            page: 4096,
            now: 1_000_000_000,
            tail: 0,
            tail_len: 0,
            skbs: 0x1000,
            events: Vec::new(),
        };
        socket.open();
        socket
    }

    fn open(&mut self) {
        let seen = self.seen();
        self.account.ident.seen_ns = self.now;
        self.account.open(&seen, self.now);
        self.account.last = self.view;
        self.account.last_ns = self.now;
        self.note();
    }

    pub fn seen(&self) -> Fields {
        Fields {
            w: self.view.wmem_queued,
            sndbuf: self.view.sndbuf,
            forward_alloc: self.view.forward_alloc,
            write_seq: self.view.write_seq,
            snd_una: self.view.snd_una,
            locked: self.view.userlocks & 1,
            probing: 0,
            state: self.view.state,
            reserved: 0,
            tail: self.tail,
        }
    }

    fn tick(&mut self) -> (Fields, u64) {
        self.now += 1_000;
        (self.seen(), self.now)
    }

    fn note(&mut self) {
        if self.account.ledger.view_wanted != 0 {
            self.account.ledger.view_wanted = 0;
            self.account.ledger.worst_view = self.view;
        }
    }

    pub fn enter(&mut self, hook: Hook, flags: u8, arg: i32) {
        let (seen, now) = self.tick();
        self.account.enter(hook, flags, arg, &seen, || now);
        self.note();
    }

    pub fn leave(&mut self, hook: Hook) {
        let (seen, now) = self.tick();
        self.account.leave(hook, &seen, || now);
        self.note();
        self.account.last = View {
            untrimmed: 0,
            ..self.view
        };
        self.account.last_ns = now;
        self.tell(hook, now);
    }

    /// The record at the end of a call, with the operations that await one.
    fn tell(&mut self, hook: Hook, now: u64) {
        let a = &mut self.account;
        let count = a.op_count as usize;
        a.op_count = 0;
        a.event_no += 1;
        let mut event = Event {
            time_ns: now,
            socket: a.ident.id,
            event_no: a.event_no,
            view: self.view,
            ..Event::default()
        };
        event.header.version = VERSION;
        event.header.hook = hook as u8;
        event.header.flags = FLAG_ENTRY;
        event.header.ops = count as u8;
        event.header.len = if count <= SHORT_OPS {
            SHORT_EVENT as u16
        } else {
            size_of::<Event>() as u16
        };
        event.ops[..count].copy_from_slice(&a.ops[..count]);
        self.events.push(event);
    }

    fn alloc(&mut self) -> u64 {
        let (seen, now) = self.tick();
        self.skbs += 0x100;
        let overhead = self.overhead.cast_unsigned();
        self.account.alloc(self.skbs, overhead, true, &seen, || now);
        self.note();
        self.skbs
    }

    /// `tcp_sendmsg_locked` of `bytes`; false where not all were taken.
    pub fn write(&mut self, bytes: u32) -> bool {
        self.send(bytes, 0)
    }

    /// The same with `MSG_ZEROCOPY`, each call from the start of a page.
    pub fn write_zerocopy(&mut self, bytes: u32) -> bool {
        self.send(bytes, FRAME_ZEROCOPY)
    }

    fn send(&mut self, bytes: u32, flags: u8) -> bool {
        self.enter(Hook::SendmsgLocked, flags, bytes.cast_signed());
        let goal = self.view.size_goal();
        let mut left = bytes;
        while left != 0 {
            if self.tail == 0 || self.tail_len >= goal {
                if self.view.wmem_queued >= self.view.sndbuf {
                    self.refuse();
                    break;
                }
                let skb = self.alloc();
                let (seen, now) = self.tick();
                let overhead = self.overhead.cast_unsigned();
                self.account.entail(skb, overhead, &seen, || now);
                self.note();
                self.view.wmem_queued += self.overhead;
                self.tail = skb;
                self.tail_len = 0;
            }
            let copy = left.min(goal - self.tail_len);
            let charged = copy.cast_signed();
            self.view.wmem_queued += match flags {
                0 => charged,
                // `PAGE_ALIGN`.
                _ => (charged + self.page - 1) / self.page * self.page,
            };
            self.view.write_seq += copy;
            self.tail_len += copy;
            left -= copy;
        }
        self.leave(Hook::SendmsgLocked);
        left == 0
    }

    /// `sk_stream_wait_memory` with `MSG_DONTWAIT`.
    fn refuse(&mut self) {
        let (seen, now) = self.tick();
        let frame = self.account.wait_begin(&seen, || now);
        self.note();
        self.account.blocked.reasons[WAIT_LIMIT as usize] += 1;
        self.account.blocked.refusals += 1;
        if self.account.blocked.refused_ns == 0 {
            self.account.blocked.refused_ns = now;
        }
        self.account.wait_end(frame, &seen, || now);
    }

    /// All of the write queue is sent.
    pub fn transmit(&mut self) {
        self.enter(Hook::WriteXmit, 0, 0);
        self.view.snd_nxt = self.view.write_seq;
        self.tail = 0;
        self.leave(Hook::WriteXmit);
    }

    /// `tso_fragment`: `bytes` of the last skb are sent, its rest stays.
    pub fn transmit_front(&mut self, bytes: u32) {
        self.enter(Hook::WriteXmit, 0, 0);
        let rest = self.alloc();
        self.view.wmem_queued += self.overhead;
        self.view.snd_nxt += bytes;
        self.tail = rest;
        self.tail_len -= bytes;
        self.leave(Hook::WriteXmit);
    }

    /// An ACK of `bytes`, in `skbs` whole skbs.
    pub fn ack(&mut self, bytes: u32, skbs: i32) {
        self.enter(Hook::Ack, 0, 0);
        self.view.snd_una += bytes;
        self.view.wmem_queued -= bytes.cast_signed() + skbs * self.overhead;
        self.leave(Hook::Ack);
    }

    /// The limit changes; the next hook finds it.
    pub fn limit(&mut self, sndbuf: i32) {
        self.view.sndbuf = sndbuf;
        self.enter(Hook::Ack, 0, 0);
        self.leave(Hook::Ack);
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict_in(&SETTING)
    }

    /// The verdict, which must close.
    pub fn verdict_in(&self, setting: &VerdictContext<'_>) -> Verdict {
        let verdict = Verdict::of(&self.account, setting);
        let since: i64 = verdict.causes.iter().map(|c| c.bytes).sum();
        let admission = verdict.admission;
        assert_eq!(
            verdict.excess,
            (admission.wmem_queued - admission.sndbuf)
                + (admission.sndbuf - verdict.sndbuf)
                + since
        );
        let total: i64 = verdict.ledger.iter().map(|c| c.bytes).sum();
        assert_eq!(total, verdict.wmem_queued);
        assert_eq!(verdict.payload + verdict.skb_overhead, verdict.wmem_queued);
        assert!(verdict.self_check.holds());
        assert_eq!(verdict.complete, verdict.incomplete_because.is_empty());
        verdict
    }
}

/// Who all test sockets are.
pub(crate) fn ident() -> Ident {
    let mut comm = [0; 16];
    comm[..6].copy_from_slice(b"client");
    let mut saddr = [0; 16];
    saddr[..4].copy_from_slice(&[10, 0, 0, 1]);
    let mut daddr = [0; 16];
    daddr[..4].copy_from_slice(&[10, 0, 0, 2]);
    Ident {
        id: 17,
        netns: 4_026_532_201,
        flags: IDENT_COOKIE,
        pid: 123,
        tid: 123,
        comm,
        saddr,
        daddr,
        sport: 40_000,
        dport: 5001,
        family: 2,
        ..Ident::default()
    }
}

/// The article's scenario: `SO_SNDBUF` 4096, writes of 1024 bytes until
/// refused, a receiver that never reads and whose window is full.
pub(crate) fn article(overhead: i32) -> Socket {
    let mut socket = Socket::with_sndbuf(4096, overhead);
    socket.view.snd_wnd = 29_200;
    // What the receiver's window takes.
    let mut sent = 0;
    while sent < 28 * 1024 {
        socket.write(1024);
        socket.transmit();
        socket.ack(1024, 1);
        sent += 1024;
    }
    socket.view.snd_wnd = 0;
    while socket.write(1024) {}
    socket
}
