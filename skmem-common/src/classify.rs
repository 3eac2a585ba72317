//! What a change of `sk_wmem_queued` was, told from the innermost open call
//! and from the fields. One function per call; what does not fit is handed to
//! [`Account::infer`], and what nothing explains is booked as unattributed.
//!
//! Where a change has parts of both signs, the negative ones are booked first:
//! no step then shows an excess that never was.

use crate::{
    account::{Account, FRAME_PROBING, FRAME_SPLICE, FRAME_ZEROCOPY, Seen, is_send},
    cause::{Cause, LimitCause, Tier},
    hook::Hook,
};

/// `TCP_CLOSE`, `TCP_SYN_SENT` of the kernel's `tcp_states.h`.
const TCP_CLOSE: u8 = 7;
const TCP_SYN_SENT: u8 = 2;

impl Account {
    /// Books the changes that `seen` shows as done by the call `hook`.
    ///
    /// A subprogram of its own in the kernel: every program calls it.
    #[inline(never)]
    pub(crate) fn observe_as(&mut self, hook: u8, tier: Tier, seen: &Seen, now: u64) {
        if seen.sndbuf != self.ledger.now.sndbuf {
            self.limit_moved(seen, now);
        }
        let moved = seen.w.wrapping_sub(self.ledger.now.w);
        let written = written(seen.write_seq, self.write_seq);
        self.write_seq = seen.write_seq;
        if hook == Hook::MptcpFrag as u8 {
            self.queued_new = 0;
            if moved != 0 {
                self.book(Cause::MptcpSubflow, tier, moved, now);
            }
        } else if is_send(hook) {
            let flags = self.frame().flags;
            self.sent(flags, moved, written, tier, seen, now);
        } else if self.queued_new != 0 {
            // The send path was seen at work, but not its start.
            self.sent(0, moved, written, Tier::Inferred, seen, now);
        } else if moved != 0 {
            let left = self.named(hook, moved, tier, seen, now);
            if left != 0 {
                self.infer(left, written, seen, now);
            }
        }
    }

    /// Books what `hook` explains of `moved`; gives back what it does not.
    #[inline(always)]
    fn named(&mut self, hook: u8, moved: i32, tier: Tier, seen: &Seen, now: u64) -> i32 {
        const ACK: u8 = Hook::Ack as u8;
        const XMIT: u8 = Hook::WriteXmit as u8;
        const FRAGMENT: u8 = Hook::Fragment as u8;
        const RETRANSMIT: u8 = Hook::Retransmit as u8;
        const FIN: u8 = Hook::SendFin as u8;
        const CONNECT: u8 = Hook::Connect as u8;
        const SYNACK: u8 = Hook::SendSynack as u8;
        const PURGE: u8 = Hook::Purge as u8;
        const RESET: u8 = Hook::Reset as u8;
        const TRIM: u8 = Hook::TrimHead as u8;
        const REMOVE: u8 = Hook::RemoveEmpty as u8;
        let cause = match hook {
            ACK if moved < 0 => {
                if seen.snd_una != self.frame().before.snd_una || tier as u8 != 0 {
                    Cause::Ack
                } else if self.whole_skbs(moved) {
                    Cause::SackShift
                } else {
                    return moved;
                }
            }
            XMIT => return self.transmitted(moved, tier, seen, now),
            FRAGMENT if moved > 0 => match self.parent() {
                RETRANSMIT => Cause::RetransmitFragment,
                ACK => Cause::SackSplit,
                XMIT => Cause::TsoSplit,
                _ => Cause::ProbeSplit,
            },
            RETRANSMIT if moved < 0 && self.whole_skbs(moved) => Cause::RetransmitCollapse,
            FIN if moved > 0 => Cause::Fin,
            CONNECT if moved > 0 => {
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
        self.book(cause, tier, moved, now);
        0
    }

    /// `tcp_sendmsg_locked` and its like: `truesize of new skbs + payload`,
    /// and for `MSG_ZEROCOPY` whole pages (`skb_zerocopy_iter_stream`), which
    /// are charged before `write_seq` says how much of them is payload.
    #[inline(always)]
    fn sent(&mut self, flags: u8, moved: i32, written: i32, tier: Tier, seen: &Seen, now: u64) {
        let new = self.queued_new;
        let tested = self.queued_tested;
        self.queued_new = 0;
        let rest = moved.wrapping_sub(new).wrapping_sub(written);
        if rest < 0 {
            self.sent_rest(flags, rest, seen, now);
        }
        if new != 0 {
            let cause = if tested != 0 {
                Cause::NewSkb
            } else {
                Cause::SkbOverhead
            };
            self.book(cause, tier, new, now);
        }
        if written != 0 {
            let cause = if flags & FRAME_SPLICE != 0 {
                Cause::Splice
            } else {
                self.payload(new, seen)
            };
            self.book(cause, tier, written, now);
        }
        if rest > 0 {
            self.sent_rest(flags, rest, seen, now);
        }
    }

    /// What skbs and payload leave over.
    #[inline(always)]
    fn sent_rest(&mut self, flags: u8, rest: i32, seen: &Seen, now: u64) {
        if flags & FRAME_ZEROCOPY != 0 {
            self.book(Cause::ZerocopyPageRounding, Tier::Observed, rest, now);
        } else {
            self.infer_rest(rest, seen, now);
        }
    }

    /// Which skb payload went into: always the tail.
    #[inline(always)]
    fn payload(&self, new: i32, seen: &Seen) -> Cause {
        if new > 0 || (self.fresh != 0 && self.fresh == seen.tail) {
            Cause::FirstFill
        } else if self.split != 0 && self.split == seen.tail {
            Cause::TailRefill
        } else {
            Cause::TailAppend
        }
    }

    /// `tcp_write_xmit`: `tso_fragment` and `tcp_mtu_probe` add skbs,
    /// `tcp_grow_skb` empties some. Gives back what that does not explain.
    #[inline(always)]
    fn transmitted(&mut self, moved: i32, tier: Tier, seen: &Seen, now: u64) -> i32 {
        let allocated = self.allocated;
        self.allocated = 0;
        if seen.probing != 0 && self.frame().flags & FRAME_PROBING == 0 {
            self.frame().flags |= FRAME_PROBING;
            self.book(Cause::MtuProbe, tier, moved, now);
            return 0;
        }
        let rest = moved.wrapping_sub(allocated);
        if rest == 0 {
            self.book(Cause::TsoSplit, tier, allocated, now);
            return 0;
        }
        if rest < 0 && self.whole_skbs(rest) {
            self.book(Cause::TailMerge, tier, rest, now);
            if allocated != 0 {
                self.book(Cause::TsoSplit, tier, allocated, now);
            }
            return 0;
        }
        moved
    }

    /// Names a change from the fields alone, where the call that made it was
    /// not seen.
    #[inline(always)]
    fn infer(&mut self, moved: i32, written: i32, seen: &Seen, now: u64) {
        let rest = moved.wrapping_sub(written);
        if written == 0 {
            self.infer_rest(moved, seen, now);
        } else if written == 1 && rest > 0 && self.whole_skbs(moved) {
            // SYN and FIN take one sequence number and hold no payload.
            let cause = if seen.state == TCP_SYN_SENT {
                Cause::Syn
            } else {
                Cause::Fin
            };
            self.book(cause, Tier::Inferred, moved, now);
        } else {
            if rest < 0 {
                self.infer_rest(rest, seen, now);
            }
            let cause = self.payload(rest, seen);
            self.book(cause, Tier::Inferred, written, now);
            if rest > 0 {
                self.infer_rest(rest, seen, now);
            }
        }
    }

    /// Names what is not payload: frees by what `snd_una` says, the rest by
    /// whole skbs.
    #[inline(never)]
    fn infer_rest(&mut self, rest: i32, seen: &Seen, now: u64) {
        let acked = seen.snd_una.wrapping_sub(self.snd_una) as i32;
        let cause = if rest < 0 && acked > 0 {
            Cause::Ack
        } else if rest < 0 && (seen.w == 0 || seen.state == TCP_CLOSE) {
            Cause::Purge
        } else if self.whole_skbs(rest) {
            if rest < 0 {
                Cause::TailMerge
            } else {
                Cause::SkbOverhead
            }
        } else if acked > 0 && self.whole_skbs(rest.wrapping_add(acked)) {
            self.book(Cause::Ack, Tier::Inferred, acked.wrapping_neg(), now);
            self.book(
                Cause::SkbOverhead,
                Tier::Inferred,
                rest.wrapping_add(acked),
                now,
            );
            return;
        } else {
            self.book(Cause::Unattributed, Tier::Observed, rest, now);
            return;
        };
        self.book(cause, Tier::Inferred, rest, now);
    }

    /// `sk_sndbuf` changed: who does that, by direction and lock.
    #[inline(never)]
    fn limit_moved(&mut self, seen: &Seen, now: u64) {
        let from = self.ledger.now.sndbuf;
        let to = seen.sndbuf;
        let cause = if seen.locked != 0 {
            if to < seen.w && to < from {
                LimitCause::LoweredBelowQueue
            } else {
                LimitCause::SetByApplication
            }
        } else if to > from {
            LimitCause::AutotunedUp
        } else {
            LimitCause::ShrunkByMemoryPressure
        };
        self.limit(cause, Tier::Observed, to, now);
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
