//! The receive side of a socket: what has arrived and was not read.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    hook::Hook,
    ledger::Total,
    msk_moves::MskMoves,
    receive_cause::ReceiveCause,
    receive_ledger::{End, HAS_ERRORS, IN_FLIGHT, ReceiveLedger, Step, forward},
    record::{FLAG_BOOKED, FLAG_LOCKLESS, OP_BOOK, Op, Receive},
};

/// [`Receiving::clocks`]: all was read, and a reader sleeps in `recv` (`sk_wait_data`).
pub const CLOCK_READER_WAITS: usize = 0;
/// All was read, and no reader sleeps in `recv`; one may wait in `poll` or `epoll_wait`.
pub const CLOCK_IDLE: usize = 1;
/// Data or a FIN waits to be read, and no reader is at it: none is in `recv`, or it slept there and
/// has not come back from `sk_wait_data`.
pub const CLOCK_DATA_WAITS: usize = 2;
/// Data or a FIN is there, and a reader is inside `recv` (`tcp_recvmsg_locked`) and does not sleep.
/// Where [`Receiving::inside_kept`] is 0 a part of that time, or all of it, is in
/// [`CLOCK_DATA_WAITS`].
pub const CLOCK_READER_INSIDE: usize = 3;
/// Number of clocks, a power of two.
pub const CLOCKS: usize = 4;

/// What filled the receive buffer when the window offered to the peer fell to 0, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Shut {
    /// When that was, in ns of `CLOCK_MONOTONIC`; 0: it never was.
    pub at_ns: u64,
    /// `sk_rmem_alloc`.
    pub rmem_alloc: i32,
    /// `sk_rcvbuf`.
    pub rcvbuf: i32,
    /// `rcv_nxt - copied_seq`.
    pub unread: i32,
    /// Read already, in an skb that is kept until its last byte is read: `copied_seq` less the
    /// `seq` of the first skb of the receive queue.
    pub held: i32,
    /// On the error queue, as far as it came there under skmem's eyes.
    pub errors: i32,
    /// Always 0.
    pub reserved: u32,
}

/// A socket's receive side at one instant, under kernel names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[repr(C)]
pub struct ReceiveView {
    /// `sk_backlog.rmem_alloc`, in bytes of truesize: unread data, skbs read in
    /// part, out-of-order data, the error queue; `r` in `ss -m`.
    pub rmem_alloc: i32,
    /// `sk_rcvbuf`, in bytes; `rb`.
    pub rcvbuf: i32,
    /// `sk_backlog.len`: truesize of packets that wait for the socket's owner,
    /// in bytes; `bl`.
    pub backlog: i32,
    /// `sk_forward_alloc`, in bytes; `f`.
    pub forward_alloc: i32,
    /// `tcp_sock.rcv_nxt`.
    pub rcv_nxt: u32,
    /// `tcp_sock.copied_seq`: how far the application has read.
    pub copied_seq: u32,
    /// What is left of the window offered to the peer, in bytes
    /// (`tcp_receive_window`).
    pub window: u32,
    /// `skc_state`.
    pub state: u32,
}

/// States in which a peer may send data and a window is offered (`tcp_states.h`): `ESTABLISHED`,
/// `FIN_WAIT1`, `FIN_WAIT2`.
const RECEIVES: u32 = 1 << 1 | 1 << 4 | 1 << 5;

impl ReceiveView {
    /// Whether the peer may send nothing because the window is 0; before the connection is made,
    /// and after the peer's FIN, 0 means nothing.
    #[inline(always)]
    #[must_use]
    pub const fn is_shut(&self) -> bool {
        self.window == 0 && RECEIVES & 1 << (self.state & 31) != 0
    }

    /// Recv-Q as `ss` and `SIOCINQ` have it: `rcv_nxt - copied_seq`; 0 where a
    /// listener's fields mean something else.
    #[must_use]
    pub const fn recv_q(&self) -> u32 {
        let bytes = self.rcv_nxt.wrapping_sub(self.copied_seq) as i32;
        if bytes > 0 { bytes as u32 } else { 0 }
    }
}

/// What is kept of a socket's receive side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Receiving {
    /// As of the last call.
    pub now: ReceiveView,
    /// At the largest `rmem_alloc`.
    pub fullest: ReceiveView,
    /// When the last call was, in ns of `CLOCK_MONOTONIC`; 0: none.
    pub now_ns: u64,
    /// When `fullest` was.
    pub fullest_ns: u64,
    /// Calls of `tcp_queue_rcv`: segments, or several of them in one.
    pub segments: u64,
    /// Times that the application took data: calls, and parts of them between which it waited.
    pub reads: u64,
    /// When it did so last, in ns; 0: never.
    pub last_read_ns: u64,
    /// Since when data has waited with no read at all, in ns; 0: none waits.
    pub unread_since_ns: u64,
    /// Longest such time that has ended, in ns.
    pub longest_unread_ns: u64,
    /// `__sk_mem_schedule(SK_MEM_RECV)`: calls granted.
    pub granted: u64,
    /// Calls refused.
    pub refused: u64,
    /// What the granted ones added to `sk_forward_alloc`, in bytes.
    pub bytes: u64,
    /// Times that the window offered to the peer fell to 0.
    pub zero_windows: u32,
    /// Calls under way that move a message onto the error queue or from it: whether
    /// `sk_rmem_alloc` has it is not known.
    pub in_flight: u32,
    /// Names of the bytes.
    pub ledger: ReceiveLedger,
    /// Truesize of what joined the error queue under skmem's eyes, in bytes. Written without the
    /// socket's lock, like the three below.
    pub errors_in: u64,
    /// Truesize of what left it.
    pub errors_out: u64,
    /// Messages that joined it.
    pub errors_in_count: u64,
    /// Messages that left it.
    pub errors_out_count: u64,
    /// `errors_in + errors_out` before `now` was read.
    pub errors_before: u64,
    /// How long the queue has been in each state, in ns: `CLOCK_…`.
    pub clocks: [u64; CLOCKS],
    /// Until when the clocks count.
    pub clocks_ns: u64,
    /// For how long the window was 0, in ns, the present time apart.
    pub shut_ns: u64,
    /// Since when it is 0; 0: it is not.
    pub shut_since_ns: u64,
    /// The last time that it fell to 0.
    pub shut: Shut,
    /// Threads that sleep in `sk_wait_data`.
    pub waiting: u32,
    /// The state that the queue is in.
    pub clock: u32,
    /// Readers within `tcp_recvmsg_locked`: more than [`Receiving::waiting`] where one of them does
    /// not sleep. It has the socket's lock then, so there is never a second one.
    pub inside: u32,
    /// 1: a program tells when a reader comes in, so that [`CLOCK_READER_INSIDE`] is kept.
    pub inside_kept: u32,
}

impl Receiving {
    /// Truesize of what is on the error queue, as far as it came there under skmem's eyes, in
    /// bytes; negative where more has left it.
    #[inline(always)]
    #[must_use]
    pub const fn errors_queued(&self) -> i32 {
        self.errors_in.wrapping_sub(self.errors_out) as i32
    }

    /// Before `now` is filled in: a message that comes to the error queue meanwhile, or leaves it,
    /// may be in the one and not in the other.
    #[inline(always)]
    pub fn before_reading(&mut self) {
        self.errors_before = self.errors_moved();
    }

    #[inline(always)]
    const fn errors_moved(&self) -> u64 {
        self.errors_in.wrapping_add(self.errors_out)
    }

    /// Begins the account of bytes and the clocks; `now` is filled in. `loose`: the socket's lock
    /// is not held.
    #[inline(always)]
    pub fn start(&mut self, loose: bool, now: u64) {
        let r = self.now.rmem_alloc.wrapping_sub(self.errors_queued());
        self.ledger.start(r, &self.now, loose);
        self.clocks_ns = now;
        self.set_clock();
    }

    /// A function has ended, and `now` is filled in: books what it did. Returns a number that is
    /// not 0 where a record is worth making.
    #[inline(always)]
    pub fn ended(&mut self, end: End, now: u64) -> u32 {
        let (how, size, len) = end.packed();
        core::hint::black_box(self.settle(how, size, len, now))
    }

    /// A subprogram in the kernel: all programs of the receive side call it.
    #[inline(never)]
    fn settle(&mut self, how: u32, size: u32, len: u32, now: u64) -> u32 {
        if self.ledger.started == 0 {
            self.start(false, now);
            return 1;
        }
        let turned = self.pass(now);
        let step = how as u8;
        if step == Step::Queued as u8 || step == Step::Merged as u8 {
            self.arrived(now);
        }
        if forward(self.now.copied_seq, self.ledger.copied_seq) > 0 {
            self.taken(now);
        }
        let r = self.now.rmem_alloc.wrapping_sub(self.errors_queued());
        if self.ledger.has_waited_long() {
            self.in_flight = 0;
        }
        // Below 0 where the begin of a call was not seen. One number, as in `End::queued`.
        let in_flight =
            (self.in_flight.cast_signed() > 0) | (self.errors_before != self.errors_moved());
        let how = how
            | (u32::from(in_flight) * IN_FLIGHT)
            | (u32::from(self.errors_in != 0) * HAS_ERRORS);
        let Self { ledger, now, .. } = self;
        ledger.settle(r, now, (how, size, len)) | turned
    }

    /// Books a half of what was noted of an MPTCP socket, `now` being filled in. Returns a number
    /// that is not 0 where a record is worth making.
    #[inline(always)]
    pub fn take_moves(&mut self, moves: &mut MskMoves, half: usize, now: u64) -> u32 {
        if moves.has_arrived(half) {
            self.arrived(now);
        }
        core::hint::black_box(self.ledger.take_moves(moves, half))
    }

    /// Books the rest of it under the number of a [`ReceiveCause`] that frees; 0: none is known.
    #[inline(always)]
    pub fn settle_msk(&mut self, cause: u8, locked: bool, now: u64) -> u32 {
        let turned = self.pass(now);
        if forward(self.now.copied_seq, self.ledger.copied_seq) > 0 {
            self.taken(now);
        }
        let Self { ledger, now, .. } = self;
        core::hint::black_box(ledger.settle_msk(now, cause, locked) | turned)
    }

    /// An MPTCP socket's reader sleeps in `recv` (1), or is awake again (-1).
    #[inline(always)]
    pub fn reader_sleeps(&mut self, more: i32, now: u64) {
        self.waiting = self.waiting.saturating_add_signed(more);
        self.pass(now);
    }

    /// A reader comes into `tcp_recvmsg_locked`, with the socket's lock: all others that are inside
    /// sleep in `sk_wait_data`. Returns whether data has waited for it:
    /// [`Receiving::reading_begins`] moves the clocks on then.
    ///
    /// The number is set and not added to: others that sleep there may not have been seen to come
    /// in, or splice.
    #[inline(always)]
    pub fn reader_enters(&mut self) -> bool {
        self.inside = self.waiting.wrapping_add(1);
        self.clock == CLOCK_DATA_WAITS as u32
    }

    /// Data has waited until `now`, and is being read from here on.
    #[inline(always)]
    pub fn reading_begins(&mut self, now: u64) {
        let past = now.wrapping_sub(self.clocks_ns);
        let waited = &mut self.clocks[CLOCK_DATA_WAITS];
        *waited = waited.wrapping_add(past);
        self.clocks_ns = now;
        self.clock = CLOCK_READER_INSIDE as u32;
    }

    /// The reader goes out again, and still has the lock. It may have come in before the account
    /// began. What is booked next moves the clocks on.
    #[inline(always)]
    pub fn reader_leaves(&mut self) {
        self.inside = self.waiting;
    }

    /// Goes on without knowing when readers come in: [`CLOCK_DATA_WAITS`] is both from here on, and
    /// what was before.
    pub fn forget_inside(&mut self) {
        let inside = core::mem::take(&mut self.clocks[CLOCK_READER_INSIDE]);
        let waited = &mut self.clocks[CLOCK_DATA_WAITS];
        *waited = waited.wrapping_add(inside);
        (self.inside, self.inside_kept) = (0, 0);
        if self.clock == CLOCK_READER_INSIDE as u32 {
            self.clock = CLOCK_DATA_WAITS as u32;
        }
    }

    /// The reverse, where [`CLOCK_READER_INSIDE`] has its part still, and `inside` readers were
    /// within.
    pub fn tell_inside(&mut self, inside: u32) {
        let part = self.clocks[CLOCK_READER_INSIDE];
        let waited = &mut self.clocks[CLOCK_DATA_WAITS];
        *waited = waited.saturating_sub(part);
        (self.inside, self.inside_kept) = (inside, 1);
        if self.clock == CLOCK_DATA_WAITS as u32 && inside > self.waiting {
            self.clock = CLOCK_READER_INSIDE as u32;
        }
    }

    /// Moves the clocks on. Returns 1 where the window fell to 0 or opened.
    #[inline(always)]
    fn pass(&mut self, now: u64) -> u32 {
        let past = now.wrapping_sub(self.clocks_ns);
        let clock = core::hint::black_box(self.clock as usize) & (CLOCKS - 1);
        self.clocks[clock] = self.clocks[clock].wrapping_add(past);
        self.clocks_ns = now;
        self.set_clock();
        if self.now.is_shut() {
            if self.shut_since_ns == 0 {
                self.shut_since_ns = now;
                return 1;
            }
        } else if self.shut_since_ns != 0 {
            let past = now.wrapping_sub(self.shut_since_ns);
            self.shut_ns = self.shut_ns.wrapping_add(past);
            self.shut_since_ns = 0;
            return 1;
        }
        0
    }

    /// Does again what a record says was done. It does not tell what was read and is held, so that
    /// [`Receiving::shut`] is not known after the window fell to 0; [`ReceiveLedger::unequal`]
    /// stays. None is made where a reader comes in: see [`Receiving::forget_inside`].
    pub fn replay(&mut self, record: &Receive) {
        let ops = &record.ops[..usize::from(record.header.ops).min(record.ops.len())];
        if record.header.flags & FLAG_LOCKLESS != 0 {
            ops.iter().for_each(|op| self.error(op));
            return;
        }
        let now = record.time_ns;
        let (was, is) = (self.now.window, record.view.window);
        self.window_moved(is);
        let read = forward(record.view.copied_seq, self.now.copied_seq) > 0;
        self.now = record.view;
        let queued = record.header.hook == Hook::QueueRcv as u8;
        if record.header.flags & FLAG_BOOKED == 0 {
            // It does not tell what was booked: only the kernel's own account does.
            self.ledger.started = 0;
            if queued {
                self.arrived(now);
            } else {
                self.taken(now);
            }
            return;
        }
        self.waiting = record.waiting;
        if record.header.hook == Hook::ReceiveSeen as u8 {
            self.start(true, now);
            // Its operation tells the same once more.
            self.ledger.op_count = 0;
            return;
        }
        if is == 0 && was != 0 {
            self.shut = Shut::default();
        }
        self.pass(now);
        if queued {
            self.arrived(now);
        }
        if read {
            self.taken(now);
        }
        let ledger = &mut self.ledger;
        ops.iter().for_each(|op| ledger.apply(op));
        ledger.r = ledger.sum() as i32;
        ledger.rcv_nxt = self.now.rcv_nxt;
        ledger.copied_seq = self.now.copied_seq;
    }

    /// A message joined the error queue, or left it.
    fn error(&mut self, op: &Op) {
        if op.kind != OP_BOOK {
            return;
        }
        let bytes = u64::from(op.value.unsigned_abs());
        match ReceiveCause::from_u8(op.cause) {
            Some(ReceiveCause::ErrorQueued) => {
                self.errors_in = self.errors_in.wrapping_add(bytes);
                self.errors_in_count += 1;
            }
            Some(ReceiveCause::ErrorTaken) => {
                self.errors_out = self.errors_out.wrapping_add(bytes);
                self.errors_out_count += 1;
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn set_clock(&mut self) {
        self.clock = if self.now.rcv_nxt != self.now.copied_seq {
            // The clock after it where more readers are inside than sleep. One number, as in
            // `settle`.
            CLOCK_DATA_WAITS as u32 + (self.waiting.wrapping_sub(self.inside) >> 31)
        } else if self.waiting != 0 {
            CLOCK_READER_WAITS as u32
        } else {
            CLOCK_IDLE as u32
        };
    }

    /// What was booked under a cause, the error queue's own sums included.
    #[must_use]
    pub fn total(&self, cause: ReceiveCause) -> Total {
        let mut total = *self.ledger.total(cause);
        let (bytes, count) = match cause {
            ReceiveCause::ErrorQueued => (self.errors_in as i64, self.errors_in_count),
            ReceiveCause::ErrorTaken => (
                (self.errors_out as i64).wrapping_neg(),
                self.errors_out_count,
            ),
            _ => (0, 0),
        };
        total.bytes = total.bytes.wrapping_add(bytes);
        total.count = total.count.wrapping_add(count);
        total
    }

    /// Data has joined the receive queue.
    #[inline(always)]
    pub fn arrived(&mut self, now: u64) {
        self.segments = self.segments.wrapping_add(1);
        self.observe(now);
        if self.unread_since_ns == 0 {
            self.unread_since_ns = now;
        }
    }

    /// The application has taken some.
    #[inline(always)]
    pub fn taken(&mut self, now: u64) {
        self.reads = self.reads.wrapping_add(1);
        self.last_read_ns = now;
        if self.unread_since_ns != 0 {
            let waited = now.wrapping_sub(self.unread_since_ns);
            if waited > self.longest_unread_ns {
                self.longest_unread_ns = waited;
            }
        }
        self.unread_since_ns = if self.now.recv_q() == 0 { 0 } else { now };
        self.observe(now);
    }

    /// `__sk_mem_schedule(SK_MEM_RECV)` added `bytes`, or refused to.
    #[inline(always)]
    pub fn scheduled(&mut self, granted: bool, bytes: i32) {
        if granted {
            self.granted = self.granted.wrapping_add(1);
            if bytes > 0 {
                self.bytes = self.bytes.wrapping_add(bytes as u64);
            }
        } else {
            self.refused = self.refused.wrapping_add(1);
        }
    }

    /// Takes in `now`, which its owner has just filled in.
    #[inline(always)]
    fn observe(&mut self, now: u64) {
        self.now_ns = now;
        if self.now.rmem_alloc > self.fullest.rmem_alloc || self.fullest_ns == 0 {
            self.fullest = self.now;
            self.fullest_ns = now;
        }
    }

    /// Notes the window before `now` is filled in anew: it is counted when it
    /// closes.
    #[inline(always)]
    pub fn window_moved(&mut self, to: u32) {
        if to == 0 && self.now.window != 0 {
            self.zero_windows = self.zero_windows.wrapping_add(1);
        }
        self.now.window = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(r: &mut Receiving, rmem: i32, rcv_nxt: u32, copied: u32, window: u32) {
        r.window_moved(window);
        r.now.rmem_alloc = rmem;
        r.now.rcv_nxt = rcv_nxt;
        r.now.copied_seq = copied;
    }

    #[test]
    fn a_reader_that_sleeps() {
        let mut r = Receiving::default();
        at(&mut r, 2_304, 1_000, 0, 64_000);
        r.arrived(10);
        at(&mut r, 131_072, 65_000, 0, 0);
        r.arrived(20);
        assert_eq!(r.now.recv_q(), 65_000);
        assert_eq!((r.unread_since_ns, r.zero_windows), (10, 1));
        at(&mut r, 0, 65_000, 65_000, 64_000);
        r.taken(1_010);
        assert_eq!((r.longest_unread_ns, r.unread_since_ns), (1_000, 0));
        assert_eq!((r.fullest.rmem_alloc, r.fullest_ns), (131_072, 20));
    }

    #[test]
    fn a_partial_read_starts_the_clock_anew() {
        let mut r = Receiving::default();
        at(&mut r, 2_304, 1_000, 0, 64_000);
        r.arrived(10);
        at(&mut r, 2_304, 1_000, 100, 64_000);
        r.taken(30);
        assert_eq!((r.longest_unread_ns, r.unread_since_ns), (20, 30));
    }
}
