//! What a change of `sk_wmem_queued` was, decided from the innermost open call
//! and from the fields. One function per call; what does not fit is handed to
//! [`Account::infer`], and what nothing explains is booked as unattributed.
//!
//! A change can have several parts. They are first planned, then booked in
//! order, the negative ones before the positive ones: no step then shows an
//! excess that never was. The plan is kept in the account, so that the
//! verifier, which does not know what is in a map, walks the booking once and
//! not once for each way that leads to it.

use crate::{
    account::{
        Account, FRAME_SENT, FRAME_SPLICE, FRAME_UNSENT, FRAME_ZEROCOPY, PROBING_YES, SocketFields,
        is_send,
    },
    cause::{Cause, LimitCause, Tier},
    hook::Hook,
    record::{IDENT_MPTCP, OP_ADMIT, OP_BOOK, Op},
};

/// `TCP_CLOSE`, `TCP_SYN_SENT` of the kernel's `tcp_states.h`.
const TCP_CLOSE: u8 = 7;
const TCP_SYN_SENT: u8 = 2;

/// `SOCK_MIN_SNDBUF` is below this on every kernel: no lower limit is the work
/// of memory pressure alone.
const SMALLEST_LIMIT: i32 = 8192;

/// Parts that a change may have.
pub const PARTS: usize = 4;

/// Places in the plan: what was freed,
const FREED: usize = 0;
/// a new skb, or whatever else is the only part,
const MAIN: usize = 1;
/// payload,
const PAYLOAD: usize = 2;
/// and what was added beyond that.
const ADDED: usize = 3;

/// The fields of a socket in which something has changed.
struct Reading<L> {
    w: i32,
    sndbuf: i32,
    write_seq: u32,
    snd_una: u32,
    /// For whatever else is asked of it.
    fields: L,
}

impl<L: SocketFields> Reading<L> {
    #[inline(always)]
    fn of(fields: L) -> Self {
        let (w, sndbuf, write_seq, snd_una) = fields.key_fields();
        Self {
            w,
            sndbuf,
            write_seq,
            snd_una,
            fields,
        }
    }
}

/// Lean set: what has changed since the last hook.
struct Change<'a, L> {
    seen: &'a Reading<L>,
    /// Of `w`, in bytes.
    moved: i32,
    /// Of `write_seq`, in bytes.
    written: i32,
    /// The limit that a new skb was tested against, in bytes.
    tested: i32,
    now: u64,
}

/// The tier in a call's number.
#[inline(always)]
fn tier_of(call: u32) -> Tier {
    if call >> 8 == 0 {
        Tier::Observed
    } else {
        Tier::Inferred
    }
}

impl Account {
    /// Books the changes that a look at the socket shows, as done by `call`: a
    /// [`Hook`], and in the next byte a [`Tier`]. Returns the time of it.
    ///
    /// A subprogram of its own in the kernel: every program calls it. It
    /// returns a number, and the number is used, because the verifier refuses
    /// a subprogram that happens to leave a pointer to the stack where a result
    /// would be.
    #[inline(never)]
    pub(crate) fn observe<L: SocketFields>(
        &mut self,
        call: u32,
        fields: L,
        now: impl Fn() -> u64,
    ) -> u64 {
        let now = now();
        let hook = call as u8;
        let tier = tier_of(call);
        let seen = &Reading::of(fields);
        let limit = self.ledger.now.sndbuf;
        let sndbuf_before_cut = self.sndbuf_before_cut;
        self.sndbuf_before_cut = 0;
        if seen.sndbuf > limit {
            self.limit_moved(seen, now);
        }
        let moved = seen.w.wrapping_sub(self.ledger.now.w);
        let written = written(seen.write_seq, self.write_seq);
        self.write_seq = seen.write_seq;
        if written != 0 {
            self.blocked.wrote_ns = now;
            self.blocked.refused_ns = 0;
            self.blocked.nospace = 0;
        }
        if moved != 0 || written != 0 || self.allocated != 0 {
            if seen.fields.lean() && !L::MPTCP && self.opened_lockless == 0 {
                let tested = if sndbuf_before_cut != 0 {
                    sndbuf_before_cut
                } else {
                    limit
                };
                let change = &Change {
                    seen,
                    moved,
                    written,
                    tested,
                    now,
                };
                core::hint::black_box(self.plan_put(call, change));
                core::hint::black_box(self.book_parts(now));
                core::hint::black_box(self.plan_rest(call, change));
            } else {
                self.plan_change(hook, moved, written, tier, seen);
            }
            core::hint::black_box(self.book_parts(now));
        }
        if seen.sndbuf < limit {
            self.limit_moved(seen, now);
        }
        now
    }

    /// Lean set: the limit is about to be raised, within `tcp_write_xmit` it may be. Books what the
    /// send call has put until here, against the limit that it met, and nothing else: of an MTU
    /// probe the fields do not tell yet (`tcp_mtu_probe` sends it before it notes it).
    #[inline(always)]
    pub fn book_put(&mut self, fields: &impl SocketFields, now: impl Fn() -> u64) -> u64 {
        let top = self.top();
        let seen = &Reading::of(*fields);
        let written = written(seen.write_seq, self.write_seq);
        // mptcp_sendmsg_frag sends nothing.
        let sends = is_send(top) && top != Hook::MptcpFrag as u8;
        if !sends || (written == 0 && self.queued_new == 0) {
            return 0;
        }
        let now = now();
        if written != 0 {
            self.blocked.wrote_ns = now;
            self.blocked.refused_ns = 0;
            self.blocked.nospace = 0;
        }
        self.write_seq = seen.write_seq;
        let change = &Change {
            seen,
            moved: 0,
            written,
            tested: 0,
            now,
        };
        core::hint::black_box(self.plan_put(u32::from(top), change));
        core::hint::black_box(self.book_parts(now));
        now
    }

    /// Books what is planned. A number as for [`Account::observe`].
    #[inline(never)]
    fn book_parts(&mut self, now: u64) -> u64 {
        let mut part = 0;
        while part < PARTS {
            let op = self.parts[part];
            if op.value != 0 {
                self.parts[part].value = 0;
                self.book(op, now);
            }
            part += 1;
        }
        now
    }

    /// Lean set: what `mptcp_sendmsg_frag` has added beyond payload is an skb that it has queued.
    #[inline(always)]
    fn note_frag(&mut self, change: &Change<'_, impl SocketFields>) {
        let new = change.moved.wrapping_sub(change.written);
        if new <= 0 {
            return;
        }
        self.queued_new = new;
        self.overhead = new as u32;
        self.fresh = change.seen.fields.tail();
        self.split = 0;
        let tested = self.ledger.now.w < change.tested;
        self.queued_tested = u32::from(tested);
        if tested {
            self.ledger.admit(change.tested, change.now);
            self.push(OP_ADMIT, 0, 0, change.tested);
        }
    }

    /// Lean set: plans what the open send call, or `tcp_send_fin`, has put into the queue before
    /// whatever else has happened. Leaves the rest of the change, and of what was written, in the
    /// account: the verifier then goes on from one place, and not from each branch. A number as for
    /// [`Account::observe`].
    #[inline(never)]
    fn plan_put(&mut self, call: u32, change: &Change<'_, impl SocketFields>) -> u32 {
        let (moved, written) = (change.moved, change.written);
        let top = self.top();
        self.rest = moved;
        self.rest_written = written;
        if top == Hook::MptcpFrag as u8 && self.queued_new == 0 {
            self.note_frag(change);
        }
        if top == Hook::SendFin as u8 && call as u8 == Hook::WriteXmit as u8 {
            // It queues an skb where none waits, which is sent as it is; else the FIN rides on
            // the last one.
            let fin = moved.wrapping_sub(self.allocated);
            if fin > 0 {
                self.plan(MAIN, Cause::Fin, tier_of(call), fin);
                self.rest = moved.wrapping_sub(fin);
            }
            return call;
        }
        let sends = is_send(top);
        if !sends && self.queued_new == 0 {
            return call;
        }
        // The send path was seen at work, but not its start.
        let tier = if sends { tier_of(call) } else { Tier::Inferred };
        let flags = if sends { self.frame().flags } else { 0 };
        let new = self.plan_new(tier);
        let cause = if top == Hook::MptcpFrag as u8 {
            Cause::MptcpSubflow
        } else if self.mem_refused != 0 {
            Cause::Forced
        } else if flags & FRAME_SPLICE != 0 {
            Cause::Splice
        } else if new > 0 || self.fresh != 0 {
            Cause::FirstFill
        } else if self.refills != 0 {
            Cause::TailRefill
        } else {
            Cause::TailAppend
        };
        self.plan(PAYLOAD, cause, tier, written);
        self.rest = moved.wrapping_sub(new);
        self.rest_written = 0;
        if self.zerocopied != 0 && written != 0 {
            // Its pages were charged before.
            self.zerocopied = 0;
            let rounding = written.wrapping_neg();
            self.plan(FREED, Cause::ZerocopyPageRounding, Tier::Observed, rounding);
            return call;
        }
        self.rest = self.rest.wrapping_sub(written);
        call
    }

    /// Lean set: plans the rest. A number as for [`Account::observe`].
    #[inline(never)]
    fn plan_rest(&mut self, call: u32, change: &Change<'_, impl SocketFields>) -> u32 {
        let (rest, written, seen) = (self.rest, self.rest_written, change.seen);
        let hook = call as u8;
        if hook == Hook::Zerocopy as u8 {
            if rest > 0 {
                self.zerocopied = 1;
            }
            self.plan(ADDED, Cause::ZerocopyPageRounding, Tier::Observed, rest);
            return call;
        }
        let mut left = rest;
        let quiet = rest == 0 && self.allocated == 0;
        if is_send(hook) {
            if self.frame().flags & FRAME_ZEROCOPY != 0 {
                let part = if rest < 0 { FREED } else { ADDED };
                self.plan(part, Cause::ZerocopyPageRounding, Tier::Observed, rest);
                return call;
            }
        } else if !quiet {
            left = self.named(hook, rest, tier_of(call), seen);
        }
        // Written and acknowledged, and neither was seen.
        let unseen = quiet && written > 1 && seen.snd_una != self.snd_una;
        if left != 0 || unseen {
            self.infer(left, written, seen);
        }
        call
    }

    /// Plans the skbs that a send call has queued; gives back their truesize.
    #[inline(always)]
    fn plan_new(&mut self, tier: Tier) -> i32 {
        let new = self.queued_new;
        let cause = if self.queued_tested != 0 {
            Cause::NewSkb
        } else {
            Cause::SkbOverhead
        };
        self.queued_new = 0;
        self.plan(MAIN, cause, tier, new);
        new
    }

    #[inline(always)]
    fn plan_change<L: SocketFields>(
        &mut self,
        hook: u8,
        moved: i32,
        written: i32,
        tier: Tier,
        seen: &Reading<L>,
    ) {
        if self.opened_lockless != 0 {
            self.opened_lockless = 0;
            self.plan(MAIN, Cause::PreExisting, Tier::Observed, moved);
        } else if L::MPTCP {
            self.mptcp(hook, moved, written, tier, seen);
        } else if is_send(hook) {
            let flags = self.frame().flags;
            self.sent(hook, flags, moved, written, tier, seen);
        } else if self.queued_new != 0 {
            // The send path was seen at work, but not its start.
            self.sent(hook, 0, moved, written, Tier::Inferred, seen);
        } else if moved != 0 || self.allocated != 0 {
            let left = self.named(hook, moved, tier, seen);
            if left != 0 {
                self.infer(left, written, seen);
            }
        } else if written > 1 && seen.snd_una != self.snd_una {
            // Written and acknowledged, and neither was seen.
            self.infer(0, written, seen);
        }
    }

    /// Plans one part.
    #[inline(always)]
    fn plan(&mut self, part: usize, cause: Cause, tier: Tier, bytes: i32) {
        self.parts[part] = Op {
            kind: OP_BOOK,
            cause: cause as u8,
            tier: tier as u8,
            reserved: 0,
            value: bytes,
        };
    }

    /// An MPTCP socket. Only `mptcp_sendmsg` adds: payload, which moves
    /// `write_seq`, and a header for each fragment. Only `dfrag_uncharge` takes
    /// away: what was acknowledged (`__mptcp_clean_una`), or all at the end
    /// (`__mptcp_clear_xmit`). A `DATA_FIN`, and the first sequence number that a
    /// connection chooses, move `write_seq` alone.
    #[inline(always)]
    fn mptcp(
        &mut self,
        hook: u8,
        moved: i32,
        written: i32,
        tier: Tier,
        seen: &Reading<impl SocketFields>,
    ) {
        const CLEAN: u8 = Hook::MptcpCleanUna as u8;
        const RELEASE: u8 = Hook::MptcpRelease as u8;
        const DESTROY: u8 = Hook::MptcpDestroy as u8;
        // A DATA_FIN is one sequence number.
        if moved > 0 && written > 0 || moved < 0 && written > 1 {
            // Where a hook was skipped, what was freed meanwhile is in the rest.
            let rest = moved.wrapping_sub(written);
            self.plan(PAYLOAD, Cause::MptcpData, tier, written);
            if rest < 0 {
                self.plan(FREED, Cause::MptcpAck, Tier::Inferred, rest);
            } else {
                self.plan(ADDED, Cause::MptcpFragHeader, tier, rest);
            }
        } else if moved > 0 {
            self.plan(MAIN, Cause::Unattributed, Tier::Observed, moved);
        } else if moved < 0 {
            let closed = seen.fields.state() == TCP_CLOSE && seen.w == 0;
            let (cause, tier) = match hook {
                CLEAN | RELEASE => (Cause::MptcpAck, tier),
                DESTROY => (Cause::Purge, tier),
                _ if closed => (Cause::Purge, Tier::Inferred),
                _ => (Cause::MptcpAck, Tier::Inferred),
            };
            self.plan(FREED, cause, tier, moved);
        }
    }

    /// Plans what `hook` explains of `moved`; gives back what it does not.
    #[inline(always)]
    fn named(
        &mut self,
        hook: u8,
        moved: i32,
        tier: Tier,
        seen: &Reading<impl SocketFields>,
    ) -> i32 {
        const ACK: u8 = Hook::Ack as u8;
        const XMIT: u8 = Hook::WriteXmit as u8;
        const FRAGMENT: u8 = Hook::Fragment as u8;
        const RETRANSMIT: u8 = Hook::Retransmit as u8;
        const PROBE: u8 = Hook::LossProbe as u8;
        const WAKEUP: u8 = Hook::WriteWakeup as u8;
        const FIN: u8 = Hook::SendFin as u8;
        const CONNECT: u8 = Hook::Connect as u8;
        const SYNACK: u8 = Hook::SendSynack as u8;
        const PURGE: u8 = Hook::Purge as u8;
        const RESET: u8 = Hook::Reset as u8;
        const TRIM: u8 = Hook::TrimHead as u8;
        const REMOVE: u8 = Hook::RemoveEmpty as u8;
        let cause = match hook {
            ACK if moved < 0 => {
                let before = if seen.fields.lean() {
                    self.acked
                } else {
                    self.frame().before.snd_una
                };
                if seen.snd_una != before || tier as u8 != 0 {
                    Cause::Ack
                } else if self.whole_skbs(moved) {
                    Cause::SackShift
                } else {
                    return moved;
                }
            }
            XMIT => return self.transmitted(moved, tier, seen),
            FRAGMENT if moved > 0 => {
                let flags = self.frame().flags;
                match self.parent() {
                    RETRANSMIT => Cause::RetransmitFragment,
                    ACK => Cause::SackSplit,
                    XMIT => Cause::TsoSplit,
                    // Of the lean set's calls that are not seen to begin, one sends and one
                    // looks through what was sent.
                    WAKEUP => Cause::ProbeSplit,
                    _ if flags & FRAME_UNSENT != 0 => Cause::TsoSplit,
                    PROBE => Cause::ProbeSplit,
                    _ if flags & FRAME_SENT != 0 => Cause::SackSplit,
                    _ => Cause::ProbeSplit,
                }
            }
            RETRANSMIT if moved < 0 && self.whole_skbs(moved) => Cause::RetransmitCollapse,
            FIN if moved > 0 => Cause::Fin,
            // In any other state the end of the call was not seen.
            CONNECT if moved > 0 && seen.fields.state() == TCP_SYN_SENT => {
                if self.frame().allocs > 1 {
                    Cause::SynData
                } else {
                    Cause::Syn
                }
            }
            SYNACK => Cause::SynAck,
            PURGE if moved < 0 => {
                if self.parent() == RESET {
                    Cause::Reset
                } else {
                    Cause::Purge
                }
            }
            RESET if moved < 0 => Cause::Reset,
            TRIM if moved < 0 => Cause::PartialAckTrim,
            REMOVE if moved < 0 => Cause::UnusedSkb,
            _ => return moved,
        };
        self.plan(MAIN, cause, tier, moved);
        0
    }

    /// `tcp_sendmsg_locked` and its like, and `mptcp_sendmsg_frag`, which puts
    /// payload on a subflow: `truesize of new skbs + payload`, and for `MSG_ZEROCOPY` whole pages
    /// (`skb_zerocopy_iter_stream`), which are charged before `write_seq` says how much of them
    /// is payload.
    #[inline(always)]
    fn sent(
        &mut self,
        hook: u8,
        flags: u8,
        moved: i32,
        written: i32,
        tier: Tier,
        seen: &Reading<impl SocketFields>,
    ) {
        let new = self.plan_new(tier);
        let cause = if hook == Hook::MptcpFrag as u8 {
            Cause::MptcpSubflow
        } else if self.mem_refused != 0 {
            Cause::Forced
        } else if flags & FRAME_SPLICE != 0 {
            Cause::Splice
        } else {
            self.payload(new, seen)
        };
        self.plan(PAYLOAD, cause, tier, written);
        let rest = moved.wrapping_sub(new).wrapping_sub(written);
        if rest == 0 {
            return;
        }
        if flags & FRAME_ZEROCOPY != 0 {
            let part = if rest < 0 { FREED } else { ADDED };
            self.plan(part, Cause::ZerocopyPageRounding, Tier::Observed, rest);
        } else {
            self.infer_rest(rest, seen);
        }
    }

    /// Which skb payload went into: always the tail.
    #[inline(always)]
    fn payload(&self, new: i32, seen: &Reading<impl SocketFields>) -> Cause {
        if new > 0 || (self.fresh != 0 && self.fresh == seen.fields.tail()) {
            Cause::FirstFill
        } else if self.split != 0 && self.split == seen.fields.tail() {
            Cause::TailRefill
        } else {
            Cause::TailAppend
        }
    }

    /// `tcp_write_xmit`: `tso_fragment` and `tcp_mtu_probe` add skbs,
    /// `tcp_grow_skb` empties some. Gives back what that does not explain.
    #[inline(always)]
    fn transmitted(&mut self, moved: i32, tier: Tier, seen: &Reading<impl SocketFields>) -> i32 {
        let allocated = self.allocated;
        self.allocated = 0;
        if self.probed(seen) {
            self.plan(MAIN, Cause::MtuProbe, tier, moved);
            return 0;
        }
        let rest = moved.wrapping_sub(allocated);
        if rest < 0 && seen.fields.lean() && seen.snd_una != self.acked {
            // Within a tcp_ack (tcp_xmit_recovery), which has freed before.
            self.plan(FREED, Cause::Ack, tier, rest);
            self.plan(MAIN, Cause::TsoSplit, tier, allocated);
            return 0;
        }
        if rest > 0 || (rest < 0 && !self.whole_skbs(rest)) {
            return moved;
        }
        self.plan(FREED, Cause::TailMerge, tier, rest);
        self.plan(MAIN, Cause::TsoSplit, tier, allocated);
        0
    }

    /// Names a change from the fields alone, where the call that made it was
    /// not seen.
    #[inline(always)]
    fn infer(&mut self, moved: i32, written: i32, seen: &Reading<impl SocketFields>) {
        let rest = moved.wrapping_sub(written);
        if written == 1 && rest > 0 && self.whole_skbs(moved) {
            // SYN and FIN take one sequence number and hold no payload.
            let cause = if seen.fields.state() == TCP_SYN_SENT {
                Cause::Syn
            } else {
                Cause::Fin
            };
            self.plan(MAIN, cause, Tier::Inferred, moved);
            return;
        }
        if written != 0 {
            let cause = self.payload(rest, seen);
            self.plan(PAYLOAD, cause, Tier::Inferred, written);
        }
        if rest != 0 {
            self.infer_rest(rest, seen);
        }
    }

    /// Names what is not payload: frees by what `snd_una` says, the rest by
    /// whole skbs.
    #[inline(always)]
    fn infer_rest(&mut self, rest: i32, seen: &Reading<impl SocketFields>) {
        let acked = seen.snd_una.wrapping_sub(self.snd_una) as i32;
        let mut tier = Tier::Inferred;
        let cause = if self.probed(seen) {
            Cause::MtuProbe
        } else if rest < 0 && acked > 0 {
            Cause::Ack
        } else if rest < 0 && (seen.w == 0 || seen.fields.state() == TCP_CLOSE) {
            Cause::Purge
        } else if self.whole_skbs(rest) {
            if rest < 0 {
                Cause::TailMerge
            } else {
                Cause::SkbOverhead
            }
        } else if acked > 0 && self.whole_skbs(rest.wrapping_add(acked)) {
            self.plan(FREED, Cause::Ack, tier, acked.wrapping_neg());
            self.plan(ADDED, Cause::SkbOverhead, tier, rest.wrapping_add(acked));
            return;
        } else {
            tier = Tier::Observed;
            Cause::Unattributed
        };
        self.plan(if rest < 0 { FREED } else { ADDED }, cause, tier, rest);
    }

    /// `sk_sndbuf` changed: who does that, by direction and lock.
    #[inline(always)]
    fn limit_moved<L: SocketFields>(&mut self, seen: &Reading<L>, now: u64) {
        let from = self.ledger.now.sndbuf;
        let to = seen.sndbuf;
        let cause = if seen.fields.sndbuf_locked() != 0 && self.ident.flags & IDENT_MPTCP != 0 {
            LimitCause::MptcpSync
        } else if seen.fields.sndbuf_locked() != 0 {
            if to < seen.w && to < from {
                LimitCause::LoweredBelowQueue
            } else {
                LimitCause::SetByApplication
            }
        } else if L::MPTCP && (to > from || to != seen.w >> 1) {
            LimitCause::MptcpSubflows
        } else if to > from {
            LimitCause::AutotunedUp
        } else if to <= SMALLEST_LIMIT || to == seen.w >> 1 {
            // sk_stream_moderate_sndbuf: max(min(sndbuf, w / 2), minimum)
            LimitCause::ShrunkByMemoryPressure
        } else {
            // tcp_sndbuf_expand: down to a tcp_wmem[2] that was lowered
            LimitCause::AutotunedDown
        };
        self.limit(cause, Tier::Observed, to, now);
    }

    /// Whether an MTU probe was sent since that was last looked at; asked once.
    #[inline(always)]
    fn probed(&mut self, seen: &Reading<impl SocketFields>) -> bool {
        let probed = seen.fields.probing() == PROBING_YES && self.probing != u32::from(PROBING_YES);
        if probed {
            self.probing = u32::from(PROBING_YES);
        }
        probed
    }

    /// Whether `bytes` is a whole number of empty skbs.
    #[inline(always)]
    fn whole_skbs(&self, bytes: i32) -> bool {
        let one = self.overhead;
        one != 0 && bytes.unsigned_abs().is_multiple_of(one)
    }
}

/// Payload between two readings of `write_seq`, in bytes; 0 where it went
/// backwards: a new connection chose a new start.
#[inline(always)]
fn written(now: u32, before: u32) -> i32 {
    let bytes = now.wrapping_sub(before) as i32;
    if bytes > 0 { bytes } else { 0 }
}
