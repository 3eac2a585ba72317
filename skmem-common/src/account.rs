//! From hooks to bookings: which function is at work on a socket, and what it
//! has done to `sk_wmem_queued` since the last hook.
//!
//! All of it runs under the ownership of the socket (`lock_sock`, or softirq
//! with the lock not owned), so one socket's hooks never run at the same time.
//! The open calls form a stack. The lock is given up inside a call only in
//! `sk_stream_wait_memory` and `sk_stream_wait_connect`: there the sleeping
//! thread takes its open call with it ([`Account::wait_begin`]).

pub use crate::fields::{Fields, PROBING_NO, PROBING_UNKNOWN, PROBING_YES, SocketFields};
use crate::{
    cause::{LimitCause, Tier},
    classify::PARTS,
    hook::Hook,
    ledger::Ledger,
    memory::{Messages, PageCheck, Scheduled},
    output::{HOLDERS, Outputs},
    receive::Receiving,
    record::{Before, Ident, OP_ADMIT, OP_LIMIT, OPS, Op, View},
};

/// Most calls nested in one another; the deepest seen is 5.
pub const FRAMES: usize = 8;

/// [`Frame::flags`]: `MSG_ZEROCOPY`.
pub const FRAME_ZEROCOPY: u8 = 1;
/// [`Frame::flags`]: `MSG_SPLICE_PAGES`, or a sendpage function.
pub const FRAME_SPLICE: u8 = 2;
/// [`Frame::flags`], lean set: of `tcp_fragment`, the skb is on the retransmit queue.
pub const FRAME_SENT: u8 = 4;
/// [`Frame::flags`], lean set: of `tcp_fragment`, the skb is on the write queue.
pub const FRAME_UNSENT: u8 = 8;
/// [`Frame::flags`]: the start of the call was not seen.
const FRAME_ORPHAN: u8 = 128;

/// [`Blocked`]: `sk_wmem_queued` had reached `sk_sndbuf`.
pub const WAIT_LIMIT: u32 = 0;
/// [`Blocked`]: under the limit, but memory was refused.
pub const WAIT_MEMORY: u32 = 1;
/// [`Blocked`]: under the limit, but unsent bytes had reached
/// `TCP_NOTSENT_LOWAT`.
pub const WAIT_LOWAT: u32 = 2;

/// Kind of a record of `sk_stream_wait_memory`: a thread falls asleep; without
/// this bit, the call has ended.
pub const WAIT_BEGINS: u32 = 1;
/// Besides [`WAIT_BEGINS`]: it slept already when skmem first saw the socket; the
/// record's `ret` is its thread id. Without it: a non-blocking call ended with
/// part of its data taken, a short write.
pub const WAIT_OTHER: u32 = 2;

/// [`Blocked::nospace`]: `SOCK_NOSPACE` was set at the last walk over sockets: a
/// sender was turned away, or polled for `POLLOUT` in vain, and was not woken
/// since.
pub const NOSPACE_NOW: u32 = 1;
/// [`Blocked::nospace`]: so it was when skmem first saw the socket.
pub const NOSPACE_AT_FIRST: u32 = 2;
/// [`Blocked::nospace`]: a walk found it so before any call was turned away;
/// [`Blocked::refused_ns`] is when.
pub const NOSPACE_WALKED: u32 = 4;
/// [`Blocked::nospace`]: besides [`NOSPACE_WALKED`]: a later walk found it so
/// again, and no byte was taken in between.
pub const NOSPACE_AGAIN: u32 = 8;

/// An open call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Frame {
    /// The function, a [`Hook`].
    pub hook: u8,
    /// `FRAME_…`.
    pub flags: u8,
    /// skbs allocated in it.
    pub allocs: u8,
    /// [`Account::op_count`] at its entry.
    pub ops_before: u8,
    /// Its size argument.
    pub arg: i32,
    /// The fields at its entry.
    pub before: Before,
}

/// What [`Account::leave`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallExit {
    /// The call that has ended.
    pub frame: Frame,
    /// Whether its entry was seen, so that `frame.before` is true.
    pub entered: bool,
    /// When what it has done was booked, in ns; 0: there was nothing to book.
    pub booked_ns: u64,
}

/// How the sender has been held up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Blocked {
    /// Sleeps that have ended.
    pub waits: u64,
    /// Times that a non-blocking sender got `EAGAIN` instead.
    pub refusals: u64,
    /// Times that it got a short write instead: part of its data was taken.
    pub short_writes: u64,
    /// Sum of the ended sleeps of all threads, in ns.
    pub total_ns: u64,
    /// The same by reason, as in [`Blocked::reasons`].
    pub reason_ns: [u64; 3],
    /// Longest of them, in ns.
    pub longest_ns: u64,
    /// Start of the sleep that is on now, in ns of `CLOCK_MONOTONIC`; 0: none.
    pub since_ns: u64,
    /// When a non-blocking sender was first turned away, with `EAGAIN` or a
    /// short write, since bytes were last taken, in ns of `CLOCK_MONOTONIC`; 0:
    /// it was not. With [`NOSPACE_WALKED`] when a walk first found that it waits.
    pub refused_ns: u64,
    /// When bytes were last taken from the application, in ns of `CLOCK_MONOTONIC`; 0: never since
    /// skmem first saw the socket.
    pub wrote_ns: u64,
    /// Sleeps, refusals and short writes by reason: limit, memory,
    /// `TCP_NOTSENT_LOWAT`.
    pub reasons: [u32; 3],
    /// Of the sleep that began at [`Blocked::since_ns`], `WAIT_…`.
    pub since_reason: u32,
    /// `net.ipv4.tcp_notsent_lowat` of its namespace when a sender was last held up, in bytes; 0:
    /// not known.
    pub sysctl_lowat: u32,
    /// Threads asleep now.
    pub asleep: u32,
    /// Of these, how many slept before skmem first saw the socket.
    pub older: u32,
    /// `NOSPACE_…`; 0 once bytes were taken.
    pub nospace: u32,
    /// Sleeps and refusals by [`crate::output::Holder`].
    pub holders: [u32; HOLDERS],
}

impl Blocked {
    /// A sleep for `reason` has ended after `ns`.
    #[inline(always)]
    pub fn slept(&mut self, reason: u32, ns: u64) {
        self.waits = self.waits.saturating_add(1);
        self.total_ns = self.total_ns.saturating_add(ns);
        // A mask, for verifiers that do not keep a bound along with what lies on the stack (6.1).
        let n = core::hint::black_box(reason as usize) & 3;
        if reason < 3
            && let Some(sum) = self.reason_ns.get_mut(n)
        {
            *sum = sum.saturating_add(ns);
        }
        if ns > self.longest_ns {
            self.longest_ns = ns;
        }
    }

    /// Time slept by reason until `now`: limit, memory, `TCP_NOTSENT_LOWAT`, in ns. Of several
    /// threads asleep now, the longest alone is counted in.
    #[must_use]
    pub fn reason_ns_until(&self, now: u64) -> [u64; 3] {
        let mut all = self.reason_ns;
        if self.asleep != 0
            && let Some(sum) = all.get_mut(self.since_reason as usize)
        {
            *sum = sum.saturating_add(now.saturating_sub(self.since_ns));
        }
        all
    }

    /// What a walk at `now` finds: whether `SOCK_NOSPACE` is set, 0 or 1.
    #[inline(always)]
    pub fn walked(&mut self, nospace: u32, now: u64) {
        let seen = self.nospace;
        if nospace == 0 {
            self.nospace = 0;
            if seen & NOSPACE_WALKED != 0 {
                self.refused_ns = 0;
            }
        } else if seen & NOSPACE_WALKED != 0 {
            self.nospace = seen | NOSPACE_AGAIN;
        } else if seen == 0 && self.refused_ns == 0 {
            self.nospace = NOSPACE_NOW | NOSPACE_WALKED;
            self.refused_ns = now;
        } else {
            self.nospace = seen | NOSPACE_NOW;
        }
    }
}

/// All that skmem keeps of a socket, in the kernel and in replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Account {
    /// Odd while a hook is at work: a reader tries again ([`crate::version`]).
    pub version: u64,
    /// Place in the table of accounts.
    pub slot: u32,
    /// Of an MPTCP socket, and of its subflows where that is traced: [`Ident::id`]
    /// of the MPTCP socket; 0 elsewhere.
    pub mptcp: u64,
    /// Who the socket is.
    pub ident: Ident,
    /// The account proper.
    pub ledger: Ledger,
    /// The fields at the end of the last call.
    pub last: View,
    /// When that was, in ns of `CLOCK_MONOTONIC`.
    pub last_ns: u64,
    /// Held-up senders.
    pub blocked: Blocked,
    /// Memory asked of `__sk_mem_schedule`.
    pub scheduled: Scheduled,
    /// What layers above TCP have charged for themselves.
    pub messages: Messages,
    /// Whether what is charged adds up.
    pub pages: PageCheck,
    /// The receive side; all 0 unless it is traced.
    pub receiving: Receiving,
    /// What decides when queued bytes leave.
    pub outputs: Outputs,
    /// Events made so far, lost ones included.
    pub event_no: u32,
    /// Events that found the ring full.
    pub lost: u32,
    /// Operations that no record carried.
    pub ops_lost: u32,
    /// Calls whose end was never seen.
    pub stale: u32,
    /// Calls whose start was never seen.
    pub orphans: u32,
    /// Truesize of an empty skb of this socket, in bytes; 0: none seen yet.
    pub overhead: u32,
    /// Thread that used it last.
    pub last_tid: u32,
    /// `write_seq` at the last hook.
    pub write_seq: u32,
    /// `snd_una` at the last hook.
    pub snd_una: u32,
    /// Truesize of skbs queued since the last hook, in bytes.
    pub queued_new: i32,
    /// Truesize of skbs allocated in `tcp_write_xmit` since the last hook.
    pub allocated: i32,
    /// `sk_sndbuf` before the last change that was seen took it down, in bytes;
    /// 0 where something was booked since: an skb whose allocation cut the
    /// limit was tested against the one before.
    pub sndbuf_before_cut: i32,
    /// 1: the skb in `queued_new` had passed the test.
    pub queued_tested: u32,
    /// 1: the send call now at work was refused memory; what it writes next is
    /// let in by force.
    pub mem_refused: u32,
    /// The worst excess when it was last reported, in bytes, where only
    /// transitions are reported.
    pub reported_excess: i32,
    /// [`Ledger::move_count`] then.
    pub reported_moves: u32,
    /// Operations since the last record.
    pub op_count: u32,
    /// The skb that the send call now at work has queued; 0: none.
    pub fresh: u64,
    /// The remainder of the last split, which may be the tail; 0: none.
    pub split: u64,
    /// Those operations.
    pub ops: [Op; OPS],
    /// The parts of a change that are about to be booked; all 0 between hooks.
    pub parts: [Op; PARTS],
    /// Open calls, outermost first.
    pub frames: [Frame; FRAMES],
    /// How many of them.
    pub depth: u32,
    /// 1: the socket is being destroyed.
    pub closing: u32,
    /// 1: opened without the socket's lock, so the first hook under the lock
    /// says what was queued.
    pub opened_lockless: u32,
    /// `PROBING_…`, when it was last read.
    pub probing: u32,
    /// Of an MPTCP socket: the connection's token; 0: not known.
    pub token: u32,
    /// Lean set: `snd_una` at the end of the last ACK.
    pub acked: u32,
    /// Lean set: 1: the tail is the remainder of a split.
    pub refills: u32,
    /// Lean set: 1: the payload that the send call counts next was charged before, page by page.
    pub zerocopied: u32,
    /// Lean set: the call under which a change is booked.
    pub around: u32,
    /// Lean set: what is left of a change once what a send call has put is planned, in bytes.
    pub rest: i32,
    /// The same of what was written.
    pub rest_written: i32,
}

/// The help of `--max-sockets` says that a socket takes about 6 KiB.
const _: () = assert!(size_of::<Account>() <= (6 << 10) + 64);

impl Account {
    /// An account that was never used.
    ///
    /// Every field of it is a number for which 0 is a value.
    pub const EMPTY: Self = {
        // SAFETY: Account and all it holds are integers, for which all-zero
        // bytes are a value.
        unsafe { core::mem::zeroed() }
    };

    /// Opens the account of a socket that is first seen now; `self` must be [`Account::EMPTY`]
    /// but for its identity.
    #[inline(always)]
    pub fn open(&mut self, fields: &impl SocketFields, now: u64) {
        let (w, sndbuf, write_seq, snd_una) = fields.key_fields();
        self.ledger.start(w, sndbuf, now);
        self.write_seq = write_seq;
        self.snd_una = snd_una;
        self.acked = snd_una;
        self.note_probing(fields.probing());
    }

    /// The innermost open call, [`Hook::None`] where there is none.
    #[inline(always)]
    #[must_use]
    pub fn top(&self) -> u8 {
        self.hook_at(self.depth)
    }

    /// The call around the innermost open one.
    #[inline(always)]
    #[must_use]
    pub fn parent(&self) -> u8 {
        self.hook_at(self.depth.wrapping_sub(1))
    }

    /// Frames that are not open have no hook, so that `depth - 1` needs no
    /// test: for the verifier, a mask is worth more than a branch.
    #[inline(always)]
    fn hook_at(&self, depth: u32) -> u8 {
        self.frames[depth.wrapping_sub(1) as usize & (FRAMES - 1)].hook
    }

    /// Closes the innermost open call.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Frame {
        let frame = *self.frame();
        self.frame().hook = Hook::None as u8;
        self.depth = self.depth.wrapping_sub(1);
        frame
    }

    /// The innermost open call's frame; meaningless where none is open.
    #[inline(always)]
    pub fn frame(&mut self) -> &mut Frame {
        &mut self.frames[(self.depth as usize).wrapping_sub(1) & (FRAMES - 1)]
    }

    /// A hooked function is entered. Books what happened before it under the
    /// call around it; `now` is asked for only where there is something to
    /// book.
    #[inline(always)]
    pub fn enter(
        &mut self,
        hook: Hook,
        flags: u8,
        arg: i32,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) {
        if hook as u8 == Hook::Connect as u8 {
            // connect() chose the first sequence number.
            let (w, _, write_seq, _) = fields.key_fields();
            if self.ledger.now.w == w {
                self.write_seq = write_seq;
            }
        }
        self.settle_as(self.before(hook, flags, fields), fields, now);
        // What comes from here on is done by calls that are seen.
        self.opened_lockless = 0;
        self.drop_stale(hook);
        if self.depth as usize >= FRAMES {
            self.stale += 1;
            return;
        }
        if is_send(hook as u8) {
            self.fresh = 0;
            self.mem_refused = 0;
        }
        if hook as u8 == Hook::WriteXmit as u8 {
            self.note_probing(fields.probing());
        }
        let mut before = self.last_seen();
        before.forward_alloc = fields.forward_alloc();
        self.push_frame(Frame {
            hook: hook as u8,
            flags,
            allocs: 0,
            ops_before: self.op_count as u8,
            arg,
            before,
        });
    }

    /// A hooked function returns.
    #[inline(always)]
    pub fn leave(
        &mut self,
        hook: Hook,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) -> CallExit {
        if self.top() != hook as u8 && core::hint::black_box(self.unwind(hook as u8)) == 0 {
            self.orphan(hook, fields);
        }
        // What the frame says is asked of it, though it is known here: the
        // verifier would follow both cases through all that comes.
        let call = match self.frame().flags & FRAME_ORPHAN {
            0 => u32::from(hook as u8),
            _ => inferred(hook),
        };
        let booked_ns = self.settle_as(call, fields, now);
        let frame = self.pop();
        let entered = frame.flags & FRAME_ORPHAN == 0;
        if is_send(hook as u8) {
            self.fresh = 0;
            self.mem_refused = 0;
        }
        if hook as u8 == Hook::WriteXmit as u8 {
            self.allocated = 0;
        }
        if is_send(hook as u8) && fields.lean() {
            self.zerocopied = 0;
        }
        CallExit {
            frame,
            entered,
            booked_ns,
        }
    }

    /// Books what happened since the last hook under the innermost open call.
    /// Gives the time of what it booked; 0: there was nothing.
    #[inline(always)]
    pub fn book_pending(
        &mut self,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) -> u64 {
        self.settle_as(u32::from(self.top()), fields, now)
    }

    /// Books what happened since the last hook when the lock is held by nobody
    /// who is known: no call is open, whatever was skipped.
    #[inline(always)]
    pub fn settle_outside(
        &mut self,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) -> u64 {
        self.settle_as(inferred(Hook::None), fields, now)
    }

    #[inline(always)]
    pub(crate) fn settle_as(
        &mut self,
        call: u32,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) -> u64 {
        let (w, sndbuf, write_seq, snd_una) = fields.key_fields();
        let mut booked_ns = 0;
        if self.ledger.now.w != w
            || self.write_seq != write_seq
            || self.ledger.now.sndbuf != sndbuf
            // A split and a merge may cancel.
            || self.allocated != 0
        {
            let mut call = call;
            if fields.lean() {
                // The verifier follows each value that it knows, and none in a map.
                *core::hint::black_box(&mut self.around) = call;
                call = *core::hint::black_box(&self.around);
            }
            booked_ns = core::hint::black_box(self.observe(call, *fields, now));
        }
        self.snd_una = snd_una;
        booked_ns
    }

    /// Keeps what was seen of MTU probes, after it was compared.
    #[inline(always)]
    pub(crate) fn note_probing(&mut self, probing: u8) {
        if probing != PROBING_UNKNOWN {
            self.probing = u32::from(probing);
        }
    }

    /// The fields as the last hook saw them.
    #[inline(always)]
    #[must_use]
    pub fn last_seen(&self) -> Before {
        Before {
            wmem_queued: self.ledger.now.w,
            sndbuf: self.ledger.now.sndbuf,
            forward_alloc: self.last.forward_alloc,
            write_seq: self.write_seq,
            snd_una: self.snd_una,
            reserved: 0,
        }
    }

    /// `tcp_stream_alloc_skb` has returned the skb at address `skb`, of
    /// `truesize` bytes; 0: none. `forced` is its argument: within `tcp_write_xmit` the skb of a
    /// split is (`tso_fragment`), and that of an MTU probe is not.
    #[inline(always)]
    pub fn alloc(
        &mut self,
        skb: u64,
        truesize: u32,
        forced: bool,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) {
        if skb == 0 {
            return;
        }
        let top = self.top();
        if self.overhead == 0 {
            self.overhead = truesize;
        }
        if top == Hook::WriteXmit as u8 || top == Hook::Connect as u8 {
            // What the skb before this one has changed.
            self.book_pending(fields, now);
        }
        if self.depth != 0 {
            let frame = self.frame();
            frame.allocs = frame.allocs.wrapping_add(1);
        }
        if top == Hook::WriteXmit as u8 {
            self.note_probing(fields.probing());
            self.allocated = self.allocated.wrapping_add(truesize as i32);
            // An MTU probe goes before the tail, which stays what it was.
            if forced {
                self.split = skb;
            }
        } else if top == Hook::Fragment as u8 {
            self.split = skb;
        }
    }

    /// `tcp_skb_entail` is entered with that skb: it joins the write queue. The
    /// send path has found `sk_wmem_queued` under `sk_sndbuf` for it, and has
    /// written nothing since.
    #[inline(always)]
    pub fn entail(
        &mut self,
        skb: u64,
        truesize: u32,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) {
        let top = self.top();
        let limit = self.ledger.now.sndbuf;
        self.book_pending(fields, now);
        let mut sndbuf = self.ledger.now.sndbuf;
        if fields.lean() && limit > sndbuf && is_send(top) {
            // What was refused or forced for this skb has cut the limit.
            self.sndbuf_before_cut = limit;
        }
        if self.sndbuf_before_cut != 0 {
            sndbuf = self.sndbuf_before_cut;
            self.sndbuf_before_cut = 0;
        }
        let tested = self.ledger.now.w < sndbuf && (is_send(top) || top == Hook::None as u8);
        self.queued_new = self.queued_new.wrapping_add(truesize as i32);
        self.queued_tested = u32::from(tested);
        if fields.lean() && self.ledger.now.w == 0 {
            // ACKs that met an empty queue have left no trace.
            self.acked = self.snd_una;
        }
        self.overhead = truesize;
        self.fresh = skb;
        self.split = 0;
        if tested {
            self.ledger.admit(sndbuf, now());
            self.push(OP_ADMIT, 0, 0, sndbuf);
        }
    }

    /// `__sk_mem_schedule(SK_MEM_SEND)` has returned. Where it cut the limit,
    /// or refused, or grants again what it had refused, what was written before
    /// is booked: those are rare.
    #[inline(always)]
    pub fn schedule(
        &mut self,
        granted: bool,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) {
        let from = self.ledger.now.sndbuf;
        self.book_pending(fields, now);
        if self.ledger.now.sndbuf < from {
            self.sndbuf_before_cut = from;
        }
        self.mem_refused = u32::from(!granted && is_send(self.top()));
    }

    /// `__sk_mem_schedule(SK_MEM_SEND)` has returned for an MPTCP socket, within
    /// `mptcp_sendmsg`, which has found `sk_wmem_queued` under `sk_sndbuf` and
    /// adds up to the rest of a page fragment next. (6.1 tests only before a new
    /// fragment header; what it appends to the last one is not tested.)
    #[inline(always)]
    pub fn schedule_mptcp(
        &mut self,
        granted: bool,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) {
        let from = self.ledger.now.sndbuf;
        self.book_pending(fields, now);
        // The refusal or the grant may have cut the limit since.
        let sndbuf = if self.ledger.now.sndbuf < from {
            from
        } else {
            self.ledger.now.sndbuf
        };
        if granted && self.ledger.now.w < sndbuf {
            self.ledger.admit(sndbuf, now());
            self.push(OP_ADMIT, 0, 0, sndbuf);
        }
    }

    /// Closes all open calls: `mptcp_release_cb` runs within none.
    #[inline(always)]
    pub fn close_all(&mut self) {
        if self.depth != 0 {
            core::hint::black_box(self.unwind_all());
        }
    }

    /// A number as for [`Account::unwind_stale`].
    #[inline(never)]
    fn unwind_all(&mut self) -> u32 {
        self.depth = 0;
        self.close_above()
    }

    /// The thread is about to sleep and give up the lock: takes its open call
    /// out of the account, for [`Account::wait_end`] to put back.
    #[inline(always)]
    pub fn wait_begin(
        &mut self,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) -> Frame {
        self.book_pending(fields, now);
        self.fresh = 0;
        self.mem_refused = 0;
        let mut frame = *self.frame();
        if is_send(frame.hook) {
            self.pop();
        } else {
            frame.hook = Hook::None as u8;
            frame.before = self.last_seen();
        }
        frame
    }

    /// The thread has the lock again.
    #[inline(always)]
    pub fn wait_end(
        &mut self,
        frame: Frame,
        fields: &impl SocketFields,
        now: impl Fn() -> u64 + Copy,
    ) {
        self.book_pending(fields, now);
        self.fresh = 0;
        if fields.lean() {
            self.note_tail(fields);
        }
        if frame.hook != Hook::None as u8 && (self.depth as usize) < FRAMES {
            self.push_frame(frame);
        }
    }

    /// Forgets open calls that cannot be around `hook`: the end of theirs was
    /// not seen.
    #[inline(always)]
    pub(crate) fn drop_stale(&mut self, hook: Hook) {
        if self.depth != 0
            && (is_send(hook as u8) || hook as u8 == Hook::Ack as u8)
            && !may_surround(self.top(), hook as u8)
        {
            core::hint::black_box(self.unwind_stale(hook as u8));
        }
    }

    /// A subprogram in the kernel, so it returns a number, and the number is
    /// used: see [`Account::observe`].
    #[inline(never)]
    fn unwind_stale(&mut self, hook: u8) -> u32 {
        self.find_open(|outer| may_surround(outer, hook));
        self.close_above()
    }

    /// Closes calls above the innermost one of `hook`; 0 where there is none,
    /// and nothing is closed. A number as for [`Account::unwind_stale`].
    #[inline(never)]
    pub(crate) fn unwind(&mut self, hook: u8) -> u32 {
        let depth = self.depth;
        self.find_open(|open| open == hook);
        if self.depth == 0 {
            self.depth = depth;
            return 0;
        }
        1 + self.close_above()
    }

    /// Sets `depth` to that of the innermost open call that `is` one; 0: none.
    ///
    /// It is written at each step, because the verifier follows each value that
    /// a register may have, and none in a map.
    #[inline(always)]
    fn find_open(&mut self, is: impl Fn(u8) -> bool) {
        self.depth = 0;
        let mut n = 1;
        while n <= FRAMES as u32 {
            if is(self.hook_at(n)) {
                *core::hint::black_box(&mut self.depth) = n;
            }
            n += 1;
        }
    }

    /// Closes the calls above `depth`; gives how many.
    #[inline(always)]
    fn close_above(&mut self) -> u32 {
        let stale = self.stale;
        let mut n = 0;
        while n < FRAMES {
            if n as u32 >= self.depth && self.frames[n].hook != Hook::None as u8 {
                self.frames[n].hook = Hook::None as u8;
                *core::hint::black_box(&mut self.stale) += 1;
            }
            n += 1;
        }
        self.stale - stale
    }

    /// Opens a call whose start was not seen, for what it has done to be booked.
    #[inline(always)]
    fn orphan(&mut self, hook: Hook, fields: &impl SocketFields) {
        self.orphans += 1;
        if self.depth as usize >= FRAMES {
            // No call path nests this deep: the end of the innermost was not seen.
            self.pop();
            self.stale += 1;
        }
        let mut before = self.last_seen();
        before.forward_alloc = fields.forward_alloc();
        self.push_frame(Frame {
            hook: hook as u8,
            flags: FRAME_ORPHAN,
            before,
            ..Frame::default()
        });
    }

    /// Opens a call; there must be room.
    #[inline(always)]
    pub(crate) fn push_frame(&mut self, frame: Frame) {
        self.frames[self.depth as usize & (FRAMES - 1)] = frame;
        self.depth = self.depth.wrapping_add(1);
    }

    /// Whether [`Account::transition`] may find something in a call that is none of a sleeper's,
    /// and not the last.
    #[inline(always)]
    #[must_use]
    pub fn may_be_transition(&self) -> bool {
        let worst = self.ledger.worst_excess;
        (worst > 0 && worst >> 1 >= self.reported_excess)
            || self.ledger.move_count != self.reported_moves
    }

    /// User pages were attached to an skb and charged, and are not payload yet.
    #[inline(always)]
    pub fn zerocopy(&mut self, fields: &impl SocketFields, now: impl Fn() -> u64 + Copy) -> u64 {
        let top = self.top();
        if fields.lean() && is_send(top) {
            return self.settle_as(Hook::Zerocopy as u32, fields, now);
        }
        self.settle_as(u32::from(top), fields, now)
    }

    /// Whether a call makes a record where only transitions are reported; asked
    /// once for each.
    #[inline(always)]
    pub fn transition(&mut self, hook: Hook, kind: u32) -> bool {
        let worst = self.ledger.worst_excess;
        let further = worst > 0 && worst >> 1 >= self.reported_excess;
        if further {
            self.reported_excess = worst;
        }
        let moved = self.ledger.move_count != self.reported_moves;
        self.reported_moves = self.ledger.move_count;
        let asleep = hook as u8 == Hook::WaitMemory as u8 && kind & WAIT_BEGINS != 0;
        let closed = hook as u8 == Hook::Purge as u8 && self.closing != 0;
        further || moved || asleep || closed
    }

    /// Books a part of a change and notes it for the next record.
    #[inline(always)]
    pub(crate) fn book(&mut self, op: Op, now: u64) {
        core::hint::black_box(self.ledger.book(op.cause, op.tier, op.value, now));
        self.push(op.kind, op.cause, op.tier, op.value);
    }

    /// Books a move of the limit, and keeps it for the next record.
    #[inline(always)]
    pub(crate) fn limit(&mut self, cause: LimitCause, tier: Tier, to: i32, now: u64) {
        core::hint::black_box(self.ledger.limit(cause, tier, to, now));
        self.push(OP_LIMIT, cause as u8, tier as u8, to);
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, kind: u8, cause: u8, tier: u8, value: i32) {
        let n = self.op_count as usize;
        if n >= OPS {
            self.ops_lost += 1;
            return;
        }
        self.ops[n & (OPS - 1)] = Op {
            kind,
            cause,
            tier,
            reserved: 0,
            value,
        };
        self.op_count = n as u32 + 1;
    }
}

/// Whether `hook` is a function that puts payload into the write queue.
#[inline(always)]
pub(crate) fn is_send(hook: u8) -> bool {
    hook == Hook::SendmsgLocked as u8
        || hook == Hook::Sendpages as u8
        || hook == Hook::MptcpFrag as u8
}

/// [`Account::observe`]'s word for a call whose work is inferred.
#[inline(always)]
const fn inferred(hook: Hook) -> u32 {
    hook as u32 | (Tier::Inferred as u32) << 8
}

/// Whether a call of `inner`, a send or an ACK, can be made within `outer`:
/// both start under a fresh lock, except that `tcp_sendmsg_locked` may be
/// around the other senders, and that a sender works off the backlog.
#[inline(always)]
fn may_surround(outer: u8, inner: u8) -> bool {
    is_send(outer) && outer != inner
}
