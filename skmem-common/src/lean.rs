//! The lean set of hooks: ends of calls, and few entries.
//!
//! Most of what the entries of the full set book shows later, from the fields. What a send
//! call has put into the queue is `write_seq` and the skbs that were queued, whatever came after
//! it; so `tcp_write_xmit` and `tcp_ack` need no entry, where each books at its end first what the
//! send call around it has put there, and then what it has done itself. Nothing else moves
//! `sk_wmem_queued` between two of these ends: each rare function that does has its own hooks, and
//! says at its entry what the call around it has done so far (`Account::before`).
//!
//! What the full set knows by the tail of the write queue at the entry of `tcp_write_xmit` is noted
//! when a send call begins, and again where `tcp_write_xmit` has split or merged.

use crate::{
    account::{
        Account, FRAME_SENT, FRAME_UNSENT, FRAMES, Frame, PROBING_YES, SocketFields, is_send,
    },
    cause::{Cause, Tier},
    hook::Hook,
    record::{Before, OP_ADMIT, OP_BOOK},
};

impl Account {
    /// `tcp_sendmsg_locked` is entered by a thread that has no call open on the socket, of which
    /// all that was queued is booked. `tail` is [`crate::fields::Fields::tail`].
    #[inline(always)]
    pub fn begin_send(&mut self, flags: u8, arg: i32, tail: u64, before: Before) {
        self.fresh = 0;
        self.mem_refused = 0;
        self.refills = u32::from(self.split != 0 && self.split == tail);
        self.push_frame(Frame {
            hook: Hook::SendmsgLocked as u8,
            flags,
            allocs: 0,
            ops_before: self.op_count as u8,
            arg,
            before,
        });
    }

    /// Whether nothing but [`Account::begin_send`] needs to be done at the entry of a send call.
    #[inline(always)]
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.depth == 0 && self.opened_lockless == 0
    }

    /// Whether a send call queues next what `tcp_stream_alloc_skb` has returned, where that may
    /// wait for memory. `tcp_connect` may, too, and what it calls before (`tcp_write_queue_purge`)
    /// seems to be at work still where the run at its end was skipped.
    #[inline(always)]
    #[must_use]
    pub fn allocates_for_send(&self, may_wait: bool) -> bool {
        may_wait && is_send(self.top())
    }

    /// `tcp_stream_alloc_skb` has returned an skb for the second part of one that
    /// `tcp_write_xmit` splits.
    #[inline(always)]
    pub fn lean_alloc(&mut self, skb: u64, truesize: u32) {
        self.allocated = self.allocated.wrapping_add(truesize as i32);
        self.split = skb;
    }

    /// Whether `tcp_write_xmit`, which allocates an skb for a split, has split another one before,
    /// or sent an MTU probe: each is booked by itself.
    #[inline(always)]
    #[must_use]
    pub fn goes_on(&self, fields: &impl SocketFields) -> bool {
        self.allocated != 0
            || (self.probing != u32::from(PROBING_YES) && fields.probing() == PROBING_YES)
    }

    /// Books what `tcp_write_xmit` has done so far. Gives the time of what it booked.
    #[inline(always)]
    pub fn book_so_far(&mut self, fields: &impl SocketFields, now: impl Fn() -> u64 + Copy) -> u64 {
        let booked_ns = self.settle_as(Hook::WriteXmit as u32, fields, now);
        self.note_probing(fields.probing());
        booked_ns
    }

    /// Whether `tcp_write_xmit` has changed nothing: what the send call around it has put into the
    /// queue is booked at that call's end.
    #[inline(always)]
    #[must_use]
    pub fn is_only_sent(&self, fields: &impl SocketFields) -> bool {
        let (w, sndbuf, write_seq, _) = fields.key_fields();
        let written = write_seq.wrapping_sub(self.write_seq);
        let charged = if self.zerocopied != 0 { 0 } else { written };
        let put = self.queued_new.wrapping_add(charged as i32);
        w == self.ledger.now.w.wrapping_add(put)
            && sndbuf == self.ledger.now.sndbuf
            && self.allocated == 0
            && (self.depth != 0 || (written == 0 && put == 0))
    }

    /// A send call ends that was nothing special: what it has put into the queue is all that has
    /// happened. Gives the time of it; 0: it was something else, and nothing is done.
    #[inline(always)]
    pub fn end_plain_send(
        &mut self,
        fields: &impl SocketFields,
        records: bool,
        now: impl Fn() -> u64,
    ) -> u64 {
        let (w, sndbuf, write_seq, snd_una) = fields.key_fields();
        let written = write_seq.wrapping_sub(self.write_seq) as i32;
        let new = self.queued_new;
        let frame = &self.frames[0];
        let plain = self.depth == 1
            && frame.hook == Hook::SendmsgLocked as u8
            && frame.flags == 0
            && self.mem_refused | self.opened_lockless | self.zerocopied | self.allocated as u32
                == 0
            && sndbuf == self.ledger.now.sndbuf
            && written > 0
            && w == self.ledger.now.w.wrapping_add(new).wrapping_add(written);
        if !plain {
            return 0;
        }
        let now = now();
        self.blocked.wrote_ns = now;
        self.blocked.refused_ns = 0;
        self.blocked.nospace = 0;
        let mut payload = Cause::TailAppend as u8;
        if self.refills != 0 {
            payload = Cause::TailRefill as u8;
        }
        if self.fresh != 0 {
            payload = Cause::FirstFill as u8;
        }
        if new != 0 {
            let mut cause = Cause::SkbOverhead as u8;
            if self.queued_tested != 0 {
                cause = Cause::NewSkb as u8;
            }
            self.add(cause, new, records, || now);
            self.queued_new = 0;
        }
        self.add(payload, written, records, || now);
        self.sndbuf_before_cut = 0;
        self.ledger.settle(w, now);
        self.write_seq = write_seq;
        self.snd_una = snd_una;
        self.fresh = 0;
        self.frames[0].hook = Hook::None as u8;
        self.depth = 0;
        self.last_ns = now;
        now
    }

    /// `tcp_ack` ends that has freed what was acknowledged, and done nothing else; false: it was
    /// something else, and nothing is done.
    #[inline(always)]
    pub fn end_plain_ack(
        &mut self,
        fields: &impl SocketFields,
        records: bool,
        now: impl Fn() -> u64,
    ) -> bool {
        let (w, sndbuf, write_seq, snd_una) = fields.key_fields();
        let moved = w.wrapping_sub(self.ledger.now.w);
        let plain = self.depth == 0
            && self.queued_new as u32 | self.opened_lockless | self.allocated as u32 == 0
            && self.probing != u32::from(PROBING_YES)
            && sndbuf == self.ledger.now.sndbuf
            && write_seq == self.write_seq
            && snd_una != self.acked
            && moved < 0;
        if !plain {
            return false;
        }
        self.sndbuf_before_cut = 0;
        self.ledger.may_fall();
        self.add(Cause::Ack as u8, moved, records, now);
        self.ledger.now.w = w;
        self.snd_una = snd_una;
        self.acked = snd_una;
        true
    }

    /// A send call queues a new skb of `truesize` bytes, with nothing to be booked before; false:
    /// there is something, and nothing is done. `w` and `sndbuf` are those of the socket.
    #[inline(always)]
    pub fn entail_plain(
        &mut self,
        skb: u64,
        truesize: u32,
        (w, sndbuf): (i32, i32),
        records: bool,
        now: impl Fn() -> u64,
    ) -> bool {
        let plain = self.depth == 1
            && self.frames[0].hook == Hook::SendmsgLocked as u8
            && self.opened_lockless | self.zerocopied == 0
            && self.queued_new | self.allocated | self.sndbuf_before_cut == 0
            && w == self.ledger.now.w
            && sndbuf == self.ledger.now.sndbuf;
        if !plain {
            return false;
        }
        self.queued_new = truesize as i32;
        self.overhead = truesize;
        self.fresh = skb;
        self.split = 0;
        if w == 0 {
            // ACKs that met an empty queue have left no trace: all was acknowledged.
            self.acked = self.write_seq;
        }
        let tested = w < sndbuf;
        self.queued_tested = u32::from(tested);
        if tested {
            self.ledger.admit(sndbuf, now());
            if records {
                self.push(OP_ADMIT, 0, 0, sndbuf);
            }
        }
        true
    }

    /// Books what was seen; for the next record, where `records` are made.
    #[inline(always)]
    fn add(&mut self, cause: u8, bytes: i32, records: bool, now: impl Fn() -> u64) {
        self.ledger.add(cause, bytes, now);
        if records {
            self.push(OP_BOOK, cause, Tier::Observed as u8, bytes);
        }
    }

    /// Whether all that was queued and freed is booked.
    #[inline(always)]
    #[must_use]
    pub fn queue_is_booked(&self, fields: &impl SocketFields) -> bool {
        let (w, _, write_seq, _) = fields.key_fields();
        w == self.ledger.now.w && write_seq == self.write_seq && self.allocated == 0
    }

    /// `tcp_write_xmit` or `tcp_ack` returns. Gives the time of what it booked; 0: there was
    /// nothing.
    #[inline(always)]
    pub fn ended(
        &mut self,
        hook: Hook,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) -> u64 {
        if hook as u8 == Hook::Ack as u8 {
            self.drop_stale(hook);
        }
        let booked_ns = self.settle_as(u32::from(hook as u8), fields, now);
        self.allocated = 0;
        if hook as u8 == Hook::WriteXmit as u8 {
            self.note_probing(fields.probing());
            self.note_tail(fields);
        } else {
            self.acked = self.snd_una;
            if self.probing == u32::from(PROBING_YES) {
                self.note_probing(fields.probing());
            }
        }
        booked_ns
    }

    /// A function is entered that only names what the calls within it do.
    #[inline(always)]
    pub fn begin_around(&mut self, hook: Hook) {
        if self.depth as usize >= FRAMES {
            self.stale += 1;
            return;
        }
        self.push_frame(Frame {
            hook: hook as u8,
            ..Frame::default()
        });
    }

    /// It returns.
    #[inline(always)]
    pub fn end_around(&mut self, hook: Hook) {
        if self.top() == hook as u8 || core::hint::black_box(self.unwind(hook as u8)) != 0 {
            self.pop();
        }
    }

    /// Which skb the next payload goes into.
    #[inline(always)]
    pub fn note_tail(&mut self, fields: &impl SocketFields) {
        let tail = fields.tail();
        self.refills = u32::from(self.split != 0 && self.split == tail);
        if self.fresh != tail {
            self.fresh = 0;
        }
    }

    /// Under which call, a number of a [`Hook`], that is booked which has changed before the entry
    /// of `hook`.
    #[inline(always)]
    pub(crate) fn before(&self, hook: Hook, flags: u8, fields: &impl SocketFields) -> u32 {
        const ACK: u32 = Hook::Ack as u32;
        const XMIT: u32 = Hook::WriteXmit as u32;
        let top = self.top();
        if fields.lean() && (top == Hook::None as u8 || is_send(top)) {
            if flags & FRAME_UNSENT != 0 {
                return XMIT;
            }
            if flags & FRAME_SENT != 0
                || hook as u8 == Hook::Retransmit as u8
                || hook as u8 == Hook::TrimHead as u8
            {
                return ACK;
            }
        }
        u32::from(top)
    }
}
