//! The account of receive memory, each case as a small stream of ends of functions.

use skmem_common::{
    hook::Hook,
    receive::{CLOCK_READER_INSIDE, Receiving},
    receive_cause::{RcvbufCause, ReceiveCause},
    receive_ledger::{End, Step},
    record::{FLAG_BOOKED, Header, Receive},
};

/// Truesize of an skb without payload here.
const O: i32 = 896;

/// A socket whose fields a test moves by hand.
struct Socket {
    r: Receiving,
    now: u64,
    /// The same from its records.
    replayed: Receiving,
}

impl Socket {
    fn new() -> Self {
        let mut r = Receiving::default();
        r.now.rcvbuf = 131_072;
        r.now.window = 64_000;
        r.now.state = 1;
        r.start(true, 0);
        let mut socket = Self {
            r,
            now: 0,
            replayed: Receiving::default(),
        };
        socket.tell(Hook::ReceiveSeen);
        socket.end(End::of(Step::Outside));
        socket
    }

    /// A function ends, one µs later.
    fn end(&mut self, end: End) {
        self.r.before_reading();
        self.ends_as_read(end);
    }

    /// The same where something has happened since the fields were read.
    fn ends_as_read(&mut self, end: End) {
        self.now += 1_000;
        let (how, ..) = end.packed();
        if self.r.ended(end, self.now) != 0 {
            let queued = [Step::Queued, Step::Merged]
                .iter()
                .any(|s| *s as u8 == how as u8);
            self.tell(if queued {
                Hook::QueueRcv
            } else {
                Hook::Recvmsg
            });
        }
    }

    /// Makes a record, and replays it.
    fn tell(&mut self, hook: Hook) {
        let ledger = &mut self.r.ledger;
        let ops = std::mem::take(&mut ledger.op_count);
        self.replayed.replay(&Receive {
            header: Header {
                hook: hook as u8,
                flags: FLAG_BOOKED,
                ops: ops as u8,
                ..Header::default()
            },
            time_ns: self.r.clocks_ns,
            waiting: self.r.waiting,
            view: self.r.now,
            ops: ledger.ops,
            ..Receive::default()
        });
    }

    fn arrives(&mut self, payload: u32) {
        self.r.now.rcv_nxt += payload;
        self.r.now.rmem_alloc += O + payload as i32;
        self.end(End::queued(false, O as u32 + payload, payload));
    }

    fn merges(&mut self, payload: u32, charged: i32) {
        self.r.now.rcv_nxt += payload;
        self.r.now.rmem_alloc += charged;
        self.end(End::queued(true, O as u32 + payload, payload));
    }

    fn reads(&mut self, bytes: u32, freed: i32) {
        self.r.now.copied_seq += bytes;
        self.r.now.rmem_alloc -= freed;
        self.end(End::frees(ReceiveCause::Read));
    }

    /// A reader comes into `tcp_recvmsg_locked`, one µs later.
    fn enters(&mut self) {
        self.now += 1_000;
        if self.r.reader_enters() {
            self.r.reading_begins(self.now);
        }
    }

    /// It goes out, having read this.
    fn leaves(&mut self, bytes: u32, freed: i32) {
        self.r.reader_leaves();
        self.reads(bytes, freed);
    }

    /// It sleeps in `sk_wait_data` (1), or is awake again (-1), which always makes a record.
    fn sleeps(&mut self, more: i32) {
        self.r.waiting = self.r.waiting.saturating_add_signed(more);
        self.end(End::frees(ReceiveCause::Read));
        self.tell(Hook::WaitData);
    }

    fn clock(&self, clock: usize) -> u64 {
        self.r.clocks[clock]
    }

    /// By cause: bytes, those of them that were inferred.
    fn of(&self, cause: ReceiveCause) -> (i64, i64) {
        let total = self.r.total(cause);
        (total.bytes, total.inferred)
    }

    /// All that was booked adds up to r, and all of it has a name.
    fn closes(&self) {
        let sum: i64 = ReceiveCause::ALL
            .iter()
            .map(|c| self.r.total(*c).bytes)
            .sum();
        assert_eq!(sum, i64::from(self.r.now.rmem_alloc), "{:?}", self.r);
        assert_eq!(self.of(ReceiveCause::Unattributed), (0, 0));
        let kept = |r: &Receiving| {
            let l = &r.ledger;
            let books = (l.total, l.rcvbuf_moves, l.rcvbuf, l.first_rcvbuf);
            // Records do not tell when a reader comes in.
            let mut together = *r;
            together.forget_inside();
            let time = (together.clocks, together.clock, r.shut_ns, r.shut_since_ns);
            let reads = (
                r.reads,
                r.last_read_ns,
                r.unread_since_ns,
                r.longest_unread_ns,
            );
            (books, time, reads, r.segments, r.now)
        };
        assert_eq!(kept(&self.replayed), kept(&self.r));
        assert_eq!(self.r.clocks.iter().sum::<u64>(), self.r.clocks_ns);
    }
}

#[test]
fn an_skb_stays_until_its_last_byte_is_read() {
    let mut s = Socket::new();
    s.arrives(1_000);
    s.merges(1_448, 1_448);
    s.merges(100, 0);
    assert_eq!(s.of(ReceiveCause::InOrder), (1_000, 0));
    assert_eq!(s.of(ReceiveCause::InOrderOverhead), (O.into(), 0));
    assert_eq!(s.of(ReceiveCause::Coalesced), (1_548, 0));
    // 100 bytes went into room that was charged before.
    assert_eq!(s.of(ReceiveCause::CoalescedOverhead), (-100, 0));
    s.reads(2_000, 0);
    assert_eq!(s.of(ReceiveCause::Read), (0, 0));
    s.reads(548, O + 2_448);
    assert_eq!(s.of(ReceiveCause::Read), (-i64::from(O + 2_448), 0));
    assert_eq!(s.r.now.rmem_alloc, 0);
    s.closes();
}

#[test]
fn a_hole_and_what_fills_it() {
    let mut s = Socket::new();
    // Two segments beyond a hole; the second is merged into the first.
    s.r.now.rmem_alloc += O + 1_448;
    s.end(End::of(Step::DataQueue));
    s.r.now.rmem_alloc += 1_448;
    s.end(End::of(Step::DataQueue));
    assert_eq!(s.of(ReceiveCause::OutOfOrder), (i64::from(O + 2_896), 0));
    // The hole is filled: tcp_queue_rcv, then tcp_ofo_queue frees the head that was merged.
    s.arrives(1_448);
    s.r.now.rcv_nxt += 2_896;
    s.r.now.rmem_alloc -= O;
    s.end(End::of(Step::DataQueue));
    assert_eq!(s.of(ReceiveCause::OutOfOrderJoined), (-i64::from(O), 0));
    s.closes();
    // Another one that is dropped, and one that is pruned for want of room.
    s.r.now.rmem_alloc += O;
    s.end(End::of(Step::DataQueue));
    s.r.now.rmem_alloc -= O;
    s.end(End::of(Step::DataQueue));
    assert_eq!(s.of(ReceiveCause::OutOfOrderDropped), (-i64::from(O), 0));
    s.r.now.rmem_alloc -= 500;
    s.end(End::of(Step::Prune));
    assert_eq!(s.of(ReceiveCause::Prune), (-500, 0));
    s.closes();
}

#[test]
fn the_error_queue_is_kept_apart() {
    let mut s = Socket::new();
    s.r.errors_in = 2_304;
    s.r.errors_in_count = 1;
    s.r.now.rmem_alloc += 2_304;
    s.arrives(100);
    assert_eq!(s.r.ledger.unequal, 0);
    assert_eq!(s.of(ReceiveCause::ErrorQueued), (2_304, 0));
    s.closes();
    s.r.errors_out = 2_304;
    s.r.now.rmem_alloc -= 2_304;
    s.reads(100, O + 100);
    assert_eq!(s.of(ReceiveCause::ErrorTaken), (-2_304, 0));
    assert_eq!(s.r.errors_queued(), 0);
    s.closes();
}

#[test]
fn what_a_call_frees_is_named_after_it() {
    let mut s = Socket::new();
    for cause in [ReceiveCause::ReadZerocopy, ReceiveCause::ThrownAway] {
        s.arrives(1_000);
        s.r.ledger.context = cause as u32;
        s.r.now.rmem_alloc -= O + 1_000;
        // On 5.10 a read ends within it; close() ends with the backlog.
        s.end(End::frees(ReceiveCause::Read));
        s.r.ledger.context = 0;
        assert_eq!(s.of(cause), (-i64::from(O + 1_000), 0));
    }
    s.arrives(10);
    s.r.now.rmem_alloc = 0;
    s.end(End::frees(ReceiveCause::Disconnected));
    assert_eq!(s.of(ReceiveCause::Disconnected), (-i64::from(O + 10), 0));
    s.closes();
}

#[test]
fn what_no_hook_saw_is_inferred_or_has_no_name() {
    let mut s = Socket::new();
    // A run of tcp_queue_rcv was skipped.
    s.r.now.rcv_nxt += 1_000;
    s.r.now.rmem_alloc += O + 1_000;
    s.end(End::of(Step::Outside));
    assert_eq!(s.of(ReceiveCause::InOrder), (1_000, 1_000));
    assert_eq!(s.of(ReceiveCause::InOrderOverhead), (O.into(), O.into()));
    // A run of a read was.
    s.r.now.copied_seq += 1_000;
    s.r.now.rmem_alloc -= O + 1_000;
    s.end(End::of(Step::Outside));
    let read = -i64::from(O + 1_000);
    assert_eq!(s.of(ReceiveCause::Read), (read, read));
    // A subflow's bytes leave for the MPTCP socket alone.
    s.arrives(1_000);
    s.r.now.rmem_alloc -= O + 1_000;
    s.end(End::of(Step::Outside).on(true, false));
    assert_eq!(s.of(ReceiveCause::MptcpTaken), (read, read));
    s.closes();
    // An skb that is not what r grew by.
    s.r.now.rmem_alloc -= 7;
    s.arrives(1);
    assert_eq!(s.r.ledger.unequal, 1);
    assert_eq!(s.of(ReceiveCause::Unattributed), (-7, 0));
}

#[test]
fn skbs_of_runs_that_were_skipped_are_inferred_at_the_next_one() {
    let mut s = Socket::new();
    // One in order, before another one.
    s.r.now.rcv_nxt += 1_000;
    s.r.now.rmem_alloc += O + 1_000;
    s.arrives(500);
    assert_eq!(s.of(ReceiveCause::InOrder), (1_500, 1_000));
    assert_eq!(
        s.of(ReceiveCause::InOrderOverhead),
        ((2 * O).into(), O.into())
    );
    // Two out of order, before one in order and before a read.
    s.r.now.rmem_alloc += 1_448;
    s.arrives(500);
    s.r.now.rmem_alloc += 10;
    s.end(End::frees(ReceiveCause::Read));
    assert_eq!(s.of(ReceiveCause::OutOfOrder), (1_458, 1_458));
    // They join the receive queue.
    s.r.now.rcv_nxt += 1_400;
    s.r.now.rmem_alloc -= 48;
    s.end(End::of(Step::Outside));
    assert_eq!(s.of(ReceiveCause::OutOfOrderJoined), (-48, -48));
    s.closes();
}

#[test]
fn a_segment_that_repeats_what_came_before() {
    let mut s = Socket::new();
    // Of 1,448 bytes 1,000 are there already: they are no payload of the stream.
    s.r.now.rcv_nxt += 448;
    s.r.now.rmem_alloc += O + 1_448;
    s.end(End::queued(false, O as u32 + 1_448, 1_448));
    assert_eq!(s.of(ReceiveCause::InOrder), (448, 0));
    assert_eq!(
        s.of(ReceiveCause::InOrderOverhead),
        (i64::from(O) + 1_000, 0)
    );
    s.closes();
}

#[test]
fn a_merge_after_a_read_that_no_hook_saw() {
    let mut s = Socket::new();
    s.arrives(3_000);
    s.r.now.copied_seq += 3_000;
    s.r.now.rcv_nxt += 100;
    // 3,000 bytes and their head have left, 100 were copied into room at the tail.
    s.r.now.rmem_alloc -= O + 3_000;
    s.end(End::queued(true, O as u32 + 100, 100));
    assert_eq!(s.of(ReceiveCause::Coalesced), (100, 0));
    assert_eq!(s.of(ReceiveCause::CoalescedOverhead), (-100, 0));
    let read = -i64::from(O + 3_000);
    assert_eq!(s.of(ReceiveCause::Read), (read, read));
    s.closes();
}

#[test]
fn what_was_there_before_is_said_once() {
    let mut r = Receiving::default();
    r.now.rmem_alloc = 5_000;
    r.start(true, 0);
    // The first hook under the lock corrects it.
    r.now.rmem_alloc = 4_000;
    r.ended(End::of(Step::Outside), 1);
    assert_eq!(r.total(ReceiveCause::ReceivedBefore).bytes, 4_000);
    r.now.rmem_alloc = 3_999;
    r.ended(End::of(Step::Outside), 2);
    assert_eq!(r.total(ReceiveCause::ReceivedBefore).bytes, 4_000);
    assert_eq!(r.total(ReceiveCause::Unattributed).bytes, -1);
}

#[test]
fn a_message_on_its_way_to_the_error_queue_is_nobodys_yet() {
    const MESSAGE: i32 = 1_396;
    let mut s = Socket::new();
    s.arrives(1_000);
    // It is charged, and not counted yet, while data arrives, something is read, and a hole opens.
    s.r.in_flight = 1;
    s.r.now.rmem_alloc += MESSAGE;
    s.arrives(500);
    s.end(End::of(Step::DataQueue));
    s.r.now.rmem_alloc -= O + 1_000;
    s.end(End::frees(ReceiveCause::ThrownAway));
    assert_eq!(s.of(ReceiveCause::OutOfOrder), (0, 0));
    // It has arrived.
    s.r.errors_in += MESSAGE as u64;
    s.r.in_flight = 0;
    s.end(End::of(Step::Outside));
    let freed = -i64::from(O + 1_000);
    assert_eq!(s.of(ReceiveCause::ThrownAway), (freed, freed));
    assert_eq!(s.of(ReceiveCause::Unattributed), (0, 0));
    assert_eq!(s.of(ReceiveCause::InOrder), (1_500, 0));
    assert_eq!(s.r.ledger.unequal, 0);
    s.closes();
    // What nothing explains has no name once more.
    s.r.now.rmem_alloc += 7;
    s.end(End::of(Step::Outside));
    assert_eq!(s.of(ReceiveCause::Unattributed).0, 7);
}

#[test]
fn a_message_that_comes_while_the_fields_are_read_is_the_error_queues() {
    const MESSAGE: i32 = 1_396;
    let mut s = Socket::new();
    s.arrives(1_000);
    // It is charged and counted, one after the other, behind the reader's back.
    s.r.before_reading();
    s.r.now.rmem_alloc -= O + 1_000;
    s.r.errors_in += MESSAGE as u64;
    s.ends_as_read(End::frees(ReceiveCause::Read));
    assert_eq!(s.of(ReceiveCause::Read), (0, 0));
    s.r.now.rmem_alloc += MESSAGE;
    s.arrives(500);
    let freed = -i64::from(O + 1_000);
    assert_eq!(s.of(ReceiveCause::Read), (freed, freed));
    assert_eq!(s.of(ReceiveCause::InOrder), (1_500, 0));
    assert_eq!(s.of(ReceiveCause::OutOfOrderDropped), (0, 0));
    assert_eq!(s.of(ReceiveCause::Unattributed), (0, 0));
    s.closes();
}

#[test]
fn a_message_whose_arrival_was_not_seen_holds_nothing_up_for_long() {
    let mut s = Socket::new();
    s.r.in_flight = 1;
    s.arrives(1_000);
    s.reads(1_000, O + 1_000);
    assert_eq!(s.of(ReceiveCause::Read), (0, 0));
    for _ in 0..70 {
        s.arrives(100);
        s.end(End::of(Step::DataQueue));
    }
    assert_eq!(s.r.in_flight, 0);
    assert_eq!(s.of(ReceiveCause::Read).0, -i64::from(O + 1_000));
    s.arrives(1);
    s.closes();
    // The end of one that was not seen to begin.
    s.r.in_flight = u32::MAX;
    s.reads(100, O + 100);
    assert_eq!(s.of(ReceiveCause::Read).0, -i64::from(2 * O + 1_100));
    s.closes();
}

#[test]
fn what_a_sockmap_does_is_named_from_the_fields_and_its_reads_are_seen() {
    let mut s = Socket::new();
    s.r.now.rmem_alloc += 20_000;
    s.r.ledger.psock = 1;
    s.end(End::of(Step::Outside));
    assert_eq!(s.of(ReceiveCause::SockmapQueued), (20_000, 20_000));
    s.r.now.rmem_alloc -= 20_000;
    s.end(End::frees(ReceiveCause::SockmapRead));
    assert_eq!(s.of(ReceiveCause::SockmapRead), (-20_000, 0));
    s.closes();
}

#[test]
fn a_fin_is_an_skb_and_no_payload() {
    let mut s = Socket::new();
    s.r.now.rcv_nxt += 1;
    s.r.now.rmem_alloc += O;
    s.end(End::queued(false, O as u32, 0));
    assert_eq!(s.of(ReceiveCause::FinReceived), (O.into(), 0));
    // With data, it takes a sequence number more than there is payload.
    s.r.now.rcv_nxt += 101;
    s.r.now.rmem_alloc += O + 100;
    s.end(End::queued(false, O as u32 + 100, 100));
    assert_eq!(s.of(ReceiveCause::InOrder), (100, 0));
    s.closes();
}

#[test]
fn moves_of_the_limit() {
    let mut s = Socket::new();
    for (to, end, locked, cause) in [
        (
            150_000,
            End::of(Step::Lowat),
            false,
            RcvbufCause::RaisedForLowat,
        ),
        (
            200_000,
            End::frees(ReceiveCause::Read),
            false,
            RcvbufCause::RaisedByReading,
        ),
        (
            210_000,
            End::of(Step::DataQueue),
            false,
            RcvbufCause::RaisedByArrival,
        ),
        (
            300_000,
            End::of(Step::Outside),
            false,
            RcvbufCause::Otherwise,
        ),
        (
            8_192,
            End::queued(false, 0, 0),
            true,
            RcvbufCause::SetByApplication,
        ),
    ] {
        let before = s.r.now.rcvbuf;
        s.r.now.rcvbuf = to;
        s.end(end.on(false, locked));
        let moved = s.r.ledger.rcvbuf_moved(cause);
        assert_eq!((moved.bytes, moved.count), (i64::from(to - before), 1));
    }
    // MPTCP sets a subflow's from above, whatever is seen next.
    s.r.now.rcvbuf = 400_000;
    s.end(End::of(Step::DataQueue).on(true, false));
    assert_eq!(s.r.ledger.rcvbuf_moved(RcvbufCause::Otherwise).count, 2);
}

#[test]
fn four_clocks() {
    let mut s = Socket::new();
    // Nothing was sent for 3 µs, in the last of them a reader looks; it sleeps for 1, data waits
    // for 1 until it runs, and it copies for 1.
    s.enters();
    s.sleeps(1);
    s.arrives(100);
    s.sleeps(-1);
    s.leaves(60, 0);
    assert_eq!(s.r.clocks, [1_000, 3_000, 1_000, 1_000]);
    // The rest waits for 2 µs, a segment comes between them; then it is read for 1.
    s.arrives(100);
    s.enters();
    s.leaves(140, 2 * O + 200);
    assert_eq!(s.r.clocks, [1_000, 3_000, 3_000, 2_000]);
    s.arrives(1);
    assert_eq!(s.r.clocks, [1_000, 4_000, 3_000, 2_000]);
    s.closes();
}

#[test]
fn a_reader_copies_while_others_sleep() {
    let mut s = Socket::new();
    s.enters();
    s.sleeps(1);
    s.arrives(1_000);
    // Another one is quicker than it.
    s.enters();
    s.leaves(500, 0);
    assert_eq!(s.clock(CLOCK_READER_INSIDE), 1_000);
    s.end(End::of(Step::Outside));
    assert_eq!(s.clock(CLOCK_READER_INSIDE), 1_000);
    // Now it runs.
    s.sleeps(-1);
    s.leaves(500, O + 1_000);
    assert_eq!(s.clock(CLOCK_READER_INSIDE), 2_000);
    assert_eq!((s.r.inside, s.r.waiting), (0, 0));
    s.closes();
}

#[test]
fn a_reader_that_was_not_seen_to_come_in_or_to_go_out() {
    let mut s = Socket::new();
    s.arrives(4_000);
    // Two sleep since before the account: one awakes, reads and goes.
    s.sleeps(-1);
    s.leaves(1_000, 0);
    s.end(End::of(Step::Outside));
    assert_eq!(s.clock(CLOCK_READER_INSIDE), 0);
    // A third one comes in and sleeps, the second one awakes and goes, the third one awakes.
    s.enters();
    s.sleeps(1);
    s.sleeps(-1);
    s.leaves(1_000, 0);
    s.sleeps(-1);
    s.leaves(1_000, 0);
    s.end(End::of(Step::Outside));
    assert_eq!((s.r.inside, s.r.waiting), (0, 0));
    let seen = s.clock(CLOCK_READER_INSIDE);
    assert_eq!(seen, 2_000);
    // The run at an exit is skipped, that at an entry is: the next ones mend it.
    s.enters();
    s.end(End::of(Step::Outside));
    s.enters();
    s.leaves(500, 0);
    s.end(End::of(Step::Outside));
    s.leaves(400, 0);
    assert_eq!(s.clock(CLOCK_READER_INSIDE), seen + 3_000);
    // It sleeps, and so does one that splices, while another one reads.
    s.sleeps(1);
    s.sleeps(1);
    s.enters();
    s.end(End::of(Step::Outside));
    s.leaves(100, O + 4_000);
    assert_eq!(s.clock(CLOCK_READER_INSIDE), seen + 5_000);
    s.arrives(1);
    assert_eq!(s.clock(CLOCK_READER_INSIDE), seen + 5_000);
    s.closes();
}

#[test]
fn the_clock_of_the_window() {
    let mut s = Socket::new();
    s.r.now.window = 0;
    s.end(End::of(Step::Outside));
    s.end(End::of(Step::Outside));
    assert_eq!((s.r.shut_ns, s.r.shut_since_ns), (0, s.now - 1_000));
    s.r.now.window = 5_000;
    s.end(End::of(Step::Outside));
    assert_eq!((s.r.shut_ns, s.r.shut_since_ns), (2_000, 0));
    // After the peer's FIN, and before the connection is made, 0 means nothing.
    for state in [8, 2] {
        (s.r.now.window, s.r.now.state) = (0, state);
        s.end(End::of(Step::Outside));
        assert_eq!(s.r.shut_since_ns, 0);
    }
}
