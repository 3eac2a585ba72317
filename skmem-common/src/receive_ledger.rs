//! The account of receive memory: sums per cause that always add up.
//!
//! Hooks sit at the exits of the functions that change `sk_rmem_alloc`. What changed since the hook
//! before is the work of the function that ends now, so at any time, as integers:
//!
//! ```text
//! sk_rmem_alloc == sum of total[..].bytes + what joined the error queue - what left it
//! ```
//!
//! The error queue is changed without the socket's lock, so its two sums are kept apart, by amounts
//! and not by differences ([`crate::receive::Receiving::errors_queued`]).

use crate::{
    cause::Tier,
    ledger::Total,
    msk_moves::{MOVED, MOVES, MskMoves},
    receive::ReceiveView,
    receive_cause::{RCVBUF_CAUSES, RECEIVE_CAUSES, RcvbufCause, ReceiveCause},
    record::{OP_BOOK, OP_LIMIT, Op, RECEIVE_OPS},
};

/// What ends at a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Nothing that is known.
    Outside = 0,
    /// `tcp_queue_rcv`: an skb joined the receive queue.
    Queued = 1,
    /// `tcp_queue_rcv`: it was merged into the last one.
    Merged = 2,
    /// `tcp_data_queue`, beyond what `tcp_queue_rcv` did in it.
    DataQueue = 3,
    /// `tcp_collapse_one`
    Collapse = 4,
    /// `tcp_prune_ofo_queue`
    Prune = 5,
    /// A function that frees; which cause is in the next byte.
    Frees = 6,
    /// `tcp_set_rcvlowat`
    Lowat = 7,
}

/// In `how` of [`End`]: the socket is a subflow of MPTCP.
const SUBFLOW: u32 = 1 << 16;
/// The application has set `SO_RCVBUF` (`SOCK_RCVBUF_LOCK`).
const LOCKED: u32 = 1 << 17;

/// A message is on its way to the error queue or from it: `sk_rmem_alloc` may have it already.
pub(crate) const IN_FLIGHT: u32 = 1 << 18;
/// Messages have joined the socket's error queue.
pub(crate) const HAS_ERRORS: u32 = 1 << 19;

/// A function that has ended, packed: a program of the kernel passes few arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    how: u32,
    /// Truesize of the skb, in bytes.
    size: u32,
    /// Its payload, in bytes.
    len: u32,
}

impl End {
    /// One of a function that handles no single skb.
    #[must_use]
    #[inline(always)]
    pub const fn of(step: Step) -> Self {
        Self {
            how: step as u32,
            size: 0,
            len: 0,
        }
    }

    /// `tcp_queue_rcv` of an skb of `size` bytes of truesize and `len` of payload.
    #[must_use]
    #[inline(always)]
    pub const fn queued(merged: bool, size: u32, len: u32) -> Self {
        // The numbers of the two steps follow one another: a branch would double what the
        // verifier walks.
        Self {
            how: Step::Queued as u32 + merged as u32,
            size,
            len,
        }
    }

    /// One that frees.
    #[must_use]
    #[inline(always)]
    pub const fn frees(cause: ReceiveCause) -> Self {
        Self {
            how: Step::Frees as u32 | (cause as u32) << 8,
            size: 0,
            len: 0,
        }
    }

    /// What is known of the socket besides.
    #[must_use]
    #[inline(always)]
    pub const fn on(mut self, subflow: bool, locked: bool) -> Self {
        self.how |= (subflow as u32 * SUBFLOW) | (locked as u32 * LOCKED);
        self
    }

    /// As three numbers: what and how, truesize, payload.
    #[must_use]
    #[inline(always)]
    pub const fn packed(self) -> (u32, u32, u32) {
        (self.how, self.size, self.len)
    }
}

/// Moves of `sk_rcvbuf` under one cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RcvbufTotal {
    /// Their sum, in bytes.
    pub bytes: i64,
    /// How many.
    pub count: u64,
}

/// One socket's account of receive memory. All 0: not started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ReceiveLedger {
    /// By cause; of the error queue only what was inferred.
    pub total: [Total; RECEIVE_CAUSES],
    /// Moves of the limit, by cause.
    pub rcvbuf_moves: [RcvbufTotal; RCVBUF_CAUSES],
    /// `sk_rmem_alloc` as of the last hook, less what is known to be on the error queue, in
    /// bytes.
    pub r: i32,
    /// `sk_rcvbuf` as of the last hook, in bytes.
    pub rcvbuf: i32,
    /// The same when skmem first saw the socket.
    pub first_rcvbuf: i32,
    /// `rcv_nxt` as of the last hook.
    pub rcv_nxt: u32,
    /// `copied_seq` as of the last hook.
    pub copied_seq: u32,
    /// 1: the account has begun.
    pub started: u32,
    /// 1: it began without the socket's lock, and no hook has run under the lock since.
    pub loose: u32,
    /// A [`ReceiveCause`] that frees, under a call that has begun; 0: none is open.
    pub context: u32,
    /// 1: a sockmap has put data there, or has taken some: what no hook sees is its doing.
    pub psock: u32,
    /// In the low 8 bits a [`ReceiveCause`] of what was left to the next hook, for a message was on
    /// its way to the error queue or from it (0: nothing was); in the others, at how many hooks on
    /// end one was.
    pub deferred: u32,
    /// Skbs of their own whose truesize was not what `sk_rmem_alloc` grew by.
    pub unequal: u32,
    /// How many of `ops` are used.
    pub op_count: u32,
    /// What was booked since the last record; full and left alone where no records are made.
    pub ops: [Op; RECEIVE_OPS],
}

impl ReceiveLedger {
    /// Begins the account: `r` bytes are in the buffer. `loose`: the socket's lock is not held.
    #[inline(always)]
    pub fn start(&mut self, r: i32, view: &ReceiveView, loose: bool) {
        self.r = r;
        self.rcvbuf = view.rcvbuf;
        self.first_rcvbuf = view.rcvbuf;
        self.rcv_nxt = view.rcv_nxt;
        self.copied_seq = view.copied_seq;
        self.started = 1;
        self.loose = u32::from(loose);
        if r != 0 {
            self.book(ReceiveCause::ReceivedBefore, Tier::Observed, r);
        }
    }

    /// Whether a message has been on its way for longer than any is: the end of its call was not
    /// seen (a run that the kernel skipped).
    #[inline(always)]
    pub(crate) const fn has_waited_long(&self) -> bool {
        self.deferred >> 8 >= 64
    }

    /// Books what happened since the hook before, `r` bytes being in the buffer now, the error
    /// queue apart. The three numbers are [`End::packed`]. Returns a number that is not 0 where
    /// anything has changed: see [`crate::ledger::Ledger::book`] for why it is a number.
    #[inline(always)]
    pub(crate) fn settle(
        &mut self,
        r: i32,
        view: &ReceiveView,
        (how, size, len): (u32, u32, u32),
    ) -> u32 {
        let moved = r.wrapping_sub(self.r);
        let arrived = forward(view.rcv_nxt, self.rcv_nxt);
        let read = forward(view.copied_seq, self.copied_seq);
        let changed = moved.cast_unsigned()
            | (view.rcv_nxt ^ self.rcv_nxt)
            | (view.copied_seq ^ self.copied_seq)
            | (view.rcvbuf ^ self.rcvbuf).cast_unsigned();
        self.r = r;
        self.rcv_nxt = view.rcv_nxt;
        self.copied_seq = view.copied_seq;
        let step = how as u8;
        if view.rcvbuf != self.rcvbuf {
            self.limit_moved(view.rcvbuf, how);
        }
        // A FIN takes a sequence number and holds no payload; a segment may repeat what was
        // received before.
        let payload = if arrived < len as i32 {
            arrived
        } else {
            len as i32
        };
        let size = size as i32;
        let mut rest = moved;
        if step == Step::Queued as u8 {
            rest = rest.wrapping_sub(size);
            if len == 0 {
                self.book(ReceiveCause::FinReceived, Tier::Observed, size);
            } else {
                self.book(ReceiveCause::InOrder, Tier::Observed, payload);
                self.book(
                    ReceiveCause::InOrderOverhead,
                    Tier::Observed,
                    size.wrapping_sub(payload),
                );
            }
            if rest != 0 {
                let unequal = u32::from(how & IN_FLIGHT == 0);
                self.unequal = self.unequal.wrapping_add(unequal);
                self.infer(rest, arrived.wrapping_sub(payload), read, how);
            }
        } else if step == Step::Merged as u8 {
            // Its pages are charged, its head is not; or nothing is, where it was copied.
            let charged = if moved < 0 || moved > size { 0 } else { moved };
            rest = rest.wrapping_sub(charged);
            self.book(ReceiveCause::Coalesced, Tier::Observed, payload);
            self.book(
                ReceiveCause::CoalescedOverhead,
                Tier::Observed,
                charged.wrapping_sub(payload),
            );
            self.infer(rest, arrived.wrapping_sub(payload), read, how);
        } else if how & IN_FLIGHT != 0 {
            // The next hook books it, once it is known what is the error queue's.
            self.r = r.wrapping_sub(moved);
            if step == Step::Frees as u8 {
                self.deferred = self.deferred & !0xff | how >> 8 & 0xff;
            } else if step == Step::DataQueue as u8 && moved > 0 && self.deferred as u8 == 0 {
                self.deferred |= ReceiveCause::OutOfOrder as u32;
            }
        } else if self.deferred as u8 != 0 {
            self.infer(moved, arrived, read, how);
        } else if moved == 0 {
            // Nothing to name.
        } else if step == Step::DataQueue as u8 && moved > 0 && arrived == 0 {
            self.book(ReceiveCause::OutOfOrder, Tier::Observed, moved);
        } else if step == Step::DataQueue as u8 && moved < 0 && how & SUBFLOW == 0 && read == 0 {
            let cause = if arrived == 0 {
                ReceiveCause::OutOfOrderDropped
            } else {
                ReceiveCause::OutOfOrderJoined
            };
            self.book(cause, Tier::Observed, moved);
        } else if step == Step::Collapse as u8 {
            self.book(ReceiveCause::Collapse, Tier::Observed, moved);
        } else if step == Step::Prune as u8 {
            self.book(ReceiveCause::Prune, Tier::Observed, moved);
        } else if step == Step::Frees as u8 && moved < 0 {
            let named = (how >> 8) as u8;
            let cause = if self.context == 0 || named != ReceiveCause::Read as u8 {
                named
            } else {
                self.context as u8
            };
            self.book_number(cause, Tier::Observed, moved);
        } else if step == Step::Outside as u8 && moved < 0 && self.context != 0 {
            self.book_number(self.context as u8, Tier::Observed, moved);
        } else {
            self.infer(moved, arrived, read, how);
        }
        self.deferred = if how & IN_FLIGHT == 0 {
            0
        } else {
            self.deferred.wrapping_add(1 << 8)
        };
        self.loose = 0;
        changed
    }

    /// Books the first half of what functions of MPTCP have noted (`half` 0) or the second (1), for
    /// a record has no room for all. Returns how many operations await a record.
    #[inline(always)]
    pub(crate) fn take_moves(&mut self, moves: &mut MskMoves, half: usize) -> u32 {
        let mut n = half * (MOVES / 2);
        while n < (half + 1) * (MOVES / 2) {
            let bytes = moves.bytes[n];
            if bytes != 0 {
                self.book(MOVED[n], Tier::Observed, bytes);
                self.r = self.r.wrapping_add(bytes);
                moves.bytes[n] = 0;
            }
            n += 1;
        }
        self.op_count
    }

    /// Books what an MPTCP socket's `sk_rmem_alloc` has changed by beyond what was noted and taken:
    /// what nobody has noted, which `cause` frees, a number of a [`ReceiveCause`]. Returns how many
    /// operations await a record.
    #[inline(always)]
    pub(crate) fn settle_msk(&mut self, view: &ReceiveView, cause: u8, locked: bool) -> u32 {
        let moved = view.rmem_alloc.wrapping_sub(self.r);
        let arrived = forward(view.rcv_nxt, self.rcv_nxt);
        let read = forward(view.copied_seq, self.copied_seq);
        self.r = view.rmem_alloc;
        self.rcv_nxt = view.rcv_nxt;
        self.copied_seq = view.copied_seq;
        // Its limit follows that of its subflows as data comes, or is raised by reading.
        let step = if read > 0 { Step::Frees } else { Step::Outside };
        let (how, ..) = End::of(step).on(false, locked).packed();
        if view.rcvbuf != self.rcvbuf {
            self.limit_moved(view.rcvbuf, how);
        }
        if moved < 0 && cause != 0 && self.loose == 0 {
            self.book_number(cause, Tier::Observed, moved);
        } else {
            self.infer(moved, arrived, read, how);
        }
        self.loose = 0;
        self.op_count
    }

    /// Names a change from the fields alone: the function that made it was not seen. `arrived`: by
    /// how much `rcv_nxt` moved, but for what is booked.
    #[inline(always)]
    fn infer(&mut self, moved: i32, arrived: i32, read: i32, how: u32) {
        if moved == 0 {
            return;
        }
        if how & IN_FLIGHT != 0 {
            self.r = self.r.wrapping_sub(moved);
        } else if self.loose != 0 {
            // Read without the lock before: this says what it was.
            self.book(ReceiveCause::ReceivedBefore, Tier::Observed, moved);
        } else if moved > 0 && arrived > 0 {
            let payload = if arrived < moved { arrived } else { moved };
            self.book(ReceiveCause::InOrder, Tier::Inferred, payload);
            self.book(
                ReceiveCause::InOrderOverhead,
                Tier::Inferred,
                moved.wrapping_sub(payload),
            );
        } else if moved < 0 && how & SUBFLOW != 0 {
            self.book(ReceiveCause::MptcpTaken, Tier::Inferred, moved);
        } else if self.psock != 0 {
            let cause = if moved > 0 {
                ReceiveCause::SockmapQueued
            } else {
                ReceiveCause::SockmapRead
            };
            self.book(cause, Tier::Inferred, moved);
        } else if moved < 0 && read > 0 {
            self.book(ReceiveCause::Read, Tier::Inferred, moved);
        } else if self.deferred as u8 != 0 {
            self.book_number(self.deferred as u8, Tier::Inferred, moved);
        } else if moved > 0 && how & HAS_ERRORS == 0 {
            // Of the functions that charge a socket for an skb, tcp_data_queue_ofo alone leaves
            // rcv_nxt as it is (5.10 to 7.2), but for sock_queue_err_skb.
            self.book(ReceiveCause::OutOfOrder, Tier::Inferred, moved);
        } else if moved < 0 && arrived > 0 {
            // Only what joins out of that queue moves rcv_nxt and frees (tcp_ofo_queue).
            self.book(ReceiveCause::OutOfOrderJoined, Tier::Inferred, moved);
        } else {
            self.book(ReceiveCause::Unattributed, Tier::Observed, moved);
        }
    }

    #[inline(always)]
    fn book(&mut self, cause: ReceiveCause, tier: Tier, bytes: i32) {
        self.book_number(cause as u8, tier, bytes);
    }

    #[inline(always)]
    fn book_number(&mut self, cause: u8, tier: Tier, bytes: i32) {
        core::hint::black_box(self.add(cause, tier as u8, bytes));
    }

    /// A subprogram of its own in the kernel; a number as for [`ReceiveLedger::settle`].
    #[inline(never)]
    fn add(&mut self, cause: u8, tier: u8, bytes: i32) -> u64 {
        // As in `Ledger::book`.
        let n = core::hint::black_box(cause as usize) & (RECEIVE_CAUSES - 1);
        let inferred = bytes.wrapping_mul(i32::from(tier & 1));
        let total = &mut self.total[n];
        total.bytes += i64::from(bytes);
        total.inferred += i64::from(inferred);
        total.count += 1;
        let count = total.count;
        self.log(OP_BOOK, cause, tier, bytes);
        count
    }

    /// Keeps an operation for the next record.
    #[inline(always)]
    fn log(&mut self, kind: u8, cause: u8, tier: u8, value: i32) {
        let n = self.op_count as usize;
        if n < RECEIVE_OPS {
            self.ops[core::hint::black_box(n) & (RECEIVE_OPS - 1)] = Op {
                kind,
                cause,
                tier,
                reserved: 0,
                value,
            };
            self.op_count += 1;
        }
    }

    /// Does again what a record says was done; what this version does not know is left out.
    pub fn apply(&mut self, op: &Op) {
        let value = i64::from(op.value);
        match op.kind {
            OP_BOOK if ReceiveCause::from_u8(op.cause).is_some() => {
                let total = &mut self.total[usize::from(op.cause) & (RECEIVE_CAUSES - 1)];
                total.bytes += value;
                total.inferred += value * i64::from(op.tier & 1);
                total.count += 1;
            }
            OP_LIMIT if RcvbufCause::from_u8(op.cause).is_some() => {
                let moves = &mut self.rcvbuf_moves[usize::from(op.cause) & (RCVBUF_CAUSES - 1)];
                moves.bytes += value - i64::from(self.rcvbuf);
                moves.count += 1;
                self.rcvbuf = op.value;
            }
            _ => {}
        }
    }

    /// `sk_rcvbuf` changed: who does that, by the lock and by what ends now.
    #[inline(always)]
    fn limit_moved(&mut self, to: i32, how: u32) {
        let step = how as u8;
        let cause = if how & LOCKED != 0 {
            RcvbufCause::SetByApplication
        } else if step == Step::Lowat as u8 {
            RcvbufCause::RaisedForLowat
        } else if step == Step::Outside as u8 || how & SUBFLOW != 0 {
            RcvbufCause::Otherwise
        } else if step == Step::Frees as u8 {
            RcvbufCause::RaisedByReading
        } else {
            RcvbufCause::RaisedByArrival
        };
        let n = core::hint::black_box(cause as usize) & (RCVBUF_CAUSES - 1);
        let moves = &mut self.rcvbuf_moves[n];
        moves.bytes += i64::from(to.wrapping_sub(self.rcvbuf));
        moves.count += 1;
        self.rcvbuf = to;
        self.log(OP_LIMIT, cause as u8, Tier::Observed as u8, to);
    }

    /// What was booked under a cause.
    #[must_use]
    pub fn total(&self, cause: ReceiveCause) -> &Total {
        &self.total[cause as usize & (RECEIVE_CAUSES - 1)]
    }

    /// Moves of the limit under a cause.
    #[must_use]
    pub fn rcvbuf_moved(&self, cause: RcvbufCause) -> &RcvbufTotal {
        &self.rcvbuf_moves[cause as usize & (RCVBUF_CAUSES - 1)]
    }

    /// The sum of all causes, in bytes: `r`.
    #[must_use]
    pub fn sum(&self) -> i64 {
        self.total.iter().map(|t| t.bytes).sum()
    }
}

/// How far a sequence number has gone on; 0 where it went back, as those of a new connection do.
#[inline(always)]
pub(crate) fn forward(to: u32, from: u32) -> i32 {
    let bytes = to.wrapping_sub(from) as i32;
    if bytes > 0 { bytes } else { 0 }
}
