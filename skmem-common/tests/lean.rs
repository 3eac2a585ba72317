//! The lean set of hooks beside the full one: the same kernel, seen by both, and the same sums.

#[expect(dead_code, reason = "the other tests use the rest of it")]
mod stream;

use skmem_common::{
    account::{
        Account, FRAME_SENT, FRAME_UNSENT, FRAME_ZEROCOPY, Look, PROBING_NO, PROBING_YES, Seen,
    },
    cause::Cause,
    hook::Hook,
    record::Before,
};
use stream::{O, Stream};

/// What the lean set's hooks see.
#[derive(Clone, Copy)]
struct Eyes(Seen);

impl Look for Eyes {
    fn glance(&self) -> (i32, i32, u32, u32) {
        self.0.glance()
    }

    fn forward_alloc(&self) -> i32 {
        self.0.forward_alloc()
    }

    fn sndbuf_locked(&self) -> u8 {
        self.0.sndbuf_locked()
    }

    fn probing(&self) -> u8 {
        self.0.probing()
    }

    fn state(&self) -> u8 {
        self.0.state()
    }

    fn tail(&self) -> u64 {
        self.0.tail()
    }

    fn lean(&self) -> bool {
        true
    }
}

/// A socket, by both sets.
struct Both {
    full: Stream,
    lean: Box<Account>,
}

const NOW: fn() -> u64 = || 7;

impl Both {
    fn new(sndbuf: i32) -> Self {
        let mut full = Stream::new(sndbuf);
        full.seen.probing = PROBING_NO;
        full.account.probing = u32::from(PROBING_NO);
        let mut lean = Box::new(Account::EMPTY);
        lean.open(&Eyes(full.seen), 1);
        Self { full, lean }
    }

    fn eyes(&self) -> Eyes {
        Eyes(self.full.seen)
    }

    fn enter(&mut self, hook: Hook, flags: u8) -> &mut Self {
        self.full.enter_with(hook, flags & FRAME_ZEROCOPY);
        let eyes = self.eyes();
        match hook {
            Hook::SendmsgLocked => {
                assert!(self.lean.is_settled());
                let before = Before::default();
                self.lean.begin_send(flags, 0, eyes.tail(), before);
            }
            Hook::Ack | Hook::WriteXmit => {}
            Hook::LossProbe | Hook::WriteWakeup => self.lean.begin_around(hook),
            _ => self.lean.enter(hook, flags, 0, &eyes, NOW),
        }
        self
    }

    fn leave(&mut self, hook: Hook) -> &mut Self {
        self.full.leave(hook);
        let eyes = self.eyes();
        let lean = &mut self.lean;
        match hook {
            Hook::SendmsgLocked => {
                if lean.end_plain_send(&eyes, true, NOW) == 0 {
                    lean.leave(hook, &eyes, NOW);
                }
            }
            Hook::Ack => {
                if !lean.end_plain_ack(&eyes, true, NOW) {
                    lean.ended(hook, &eyes, NOW);
                }
            }
            Hook::WriteXmit => {
                if !lean.is_only_sent(&eyes) {
                    lean.ended(hook, &eyes, NOW);
                }
            }
            Hook::LossProbe | Hook::WriteWakeup => lean.end_around(hook),
            _ => {
                lean.leave(hook, &eyes, NOW);
            }
        }
        lean.op_count = 0;
        self
    }

    fn new_skb(&mut self) -> &mut Self {
        let mut eyes = self.eyes();
        self.full.new_skb();
        let (skb, w, sndbuf) = (self.full.seen.tail, eyes.0.w, eyes.0.sndbuf);
        if !self
            .lean
            .entail_plain(skb, O as u32, (w, sndbuf), true, NOW)
        {
            eyes.0.tail = skb;
            self.lean.entail(skb, O as u32, &eyes, NOW);
        }
        self
    }

    /// An skb is cut, within `tcp_write_xmit`.
    fn split(&mut self) -> &mut Self {
        self.full.split();
        self.lean.lean_alloc(self.full.seen.tail, O as u32);
        self
    }

    /// An skb is cut within `tcp_fragment`.
    fn fragment(&mut self, flags: u8) -> &mut Self {
        self.enter(Hook::Fragment, flags);
        self.full.alloc().change(O);
        self.leave(Hook::Fragment)
    }

    fn kernel(&mut self, does: impl Fn(&mut Stream) -> &mut Stream) -> &mut Self {
        does(&mut self.full);
        self
    }

    /// A call that sends `bytes` in a new skb.
    fn send(&mut self, bytes: u32) -> &mut Self {
        self.enter(Hook::SendmsgLocked, 0).new_skb();
        self.kernel(|k| k.copy(bytes));
        self.enter(Hook::WriteXmit, 0).leave(Hook::WriteXmit);
        self.leave(Hook::SendmsgLocked)
    }

    /// Both say that, and the same of the worst instant.
    fn agree(&self, sums: &[(Cause, i32)]) {
        self.full.has(sums);
        let (full, lean) = (&self.full.account.ledger, &self.lean.ledger);
        for cause in Cause::ALL {
            let (said, few) = (full.now.total(*cause), lean.now.total(*cause));
            assert_eq!(said.bytes, few.bytes, "{}", cause.name());
            assert_eq!(few.inferred, 0, "{}", cause.name());
            let since = |of: &skmem_common::ledger::Balance| of.since(*cause).map(|s| s.bytes);
            let (full, lean) = (full.at_worst(), lean.at_worst());
            assert_eq!(since(full), since(lean), "{} at the worst", cause.name());
        }
        let worst = |l: &skmem_common::ledger::Ledger| (l.now.w, l.worst_excess, l.now.admission.w);
        assert_eq!(worst(full), worst(lean));
        assert_eq!(full.now.admission.count, lean.now.admission.count);
    }
}

#[test]
fn sends_and_acks() {
    let mut b = Both::new(4096);
    b.send(1000).send(1000).send(1000);
    // The next one passes no test: it goes into the tail.
    b.enter(Hook::SendmsgLocked, 0)
        .kernel(|k| k.copy(500))
        .leave(Hook::SendmsgLocked);
    b.enter(Hook::Ack, 0)
        .kernel(|k| k.acked(1000).change(-1000 - O))
        .leave(Hook::Ack);
    b.agree(&[
        (Cause::NewSkb, 3 * O),
        (Cause::FirstFill, 3000),
        (Cause::TailAppend, 500),
        (Cause::Ack, -1000 - O),
    ]);
}

#[test]
fn a_split_within_the_call_and_what_fills_its_remainder() {
    let mut b = Both::new(1 << 20);
    b.enter(Hook::SendmsgLocked, 0)
        .new_skb()
        .kernel(|k| k.copy(4096));
    b.enter(Hook::WriteXmit, 0).split().leave(Hook::WriteXmit);
    b.kernel(|k| k.copy(100)).leave(Hook::SendmsgLocked);
    b.enter(Hook::SendmsgLocked, 0)
        .kernel(|k| k.copy(1024))
        .leave(Hook::SendmsgLocked);
    b.agree(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 4096),
        (Cause::TsoSplit, O),
        (Cause::TailRefill, 1124),
    ]);
}

#[test]
fn merges_and_splits_of_one_transmission() {
    let mut b = Both::new(1 << 20);
    b.send(3000).send(3000);
    b.enter(Hook::WriteXmit, 0)
        .split()
        .kernel(|k| k.change(-2 * O))
        .leave(Hook::WriteXmit);
    b.agree(&[
        (Cause::NewSkb, 2 * O),
        (Cause::FirstFill, 6000),
        (Cause::TsoSplit, O),
        (Cause::TailMerge, -2 * O),
    ]);
}

#[test]
fn a_transmission_within_an_ack_is_told_from_what_was_acknowledged() {
    let mut b = Both::new(1 << 20);
    b.send(3000).send(3000);
    b.enter(Hook::Ack, 0)
        .kernel(|k| k.acked(3000).change(-3000 - O));
    b.enter(Hook::WriteXmit, 0).split().leave(Hook::WriteXmit);
    b.leave(Hook::Ack);
    b.agree(&[
        (Cause::NewSkb, 2 * O),
        (Cause::FirstFill, 6000),
        (Cause::TsoSplit, O),
        (Cause::Ack, -3000 - O),
    ]);
}

#[test]
fn sacks_that_merge_and_that_cut() {
    let mut b = Both::new(1 << 20);
    b.send(3000).send(3000).send(3000);
    b.enter(Hook::Ack, 0)
        .kernel(|k| k.change(-O))
        .leave(Hook::Ack);
    b.enter(Hook::Ack, 0)
        .kernel(|k| k.change(-O))
        .fragment(FRAME_SENT)
        .leave(Hook::Ack);
    b.enter(Hook::Ack, 0)
        .kernel(|k| k.acked(3000).change(-3000 - O))
        .leave(Hook::Ack);
    b.agree(&[
        (Cause::NewSkb, 3 * O),
        (Cause::FirstFill, 9000),
        (Cause::SackShift, -2 * O),
        (Cause::SackSplit, O),
        (Cause::Ack, -3000 - O),
    ]);
}

#[test]
fn a_sack_that_merges_after_an_ack_that_cut() {
    let mut b = Both::new(1 << 20);
    b.send(3000).send(3000).send(3000);
    b.enter(Hook::Ack, 0)
        .kernel(|k| k.acked(3000).change(-3000 - O))
        .fragment(FRAME_SENT)
        .leave(Hook::Ack);
    b.enter(Hook::Ack, 0)
        .kernel(|k| k.change(-O))
        .leave(Hook::Ack);
    b.agree(&[
        (Cause::NewSkb, 3 * O),
        (Cause::FirstFill, 9000),
        (Cause::SackSplit, O),
        (Cause::SackShift, -O),
        (Cause::Ack, -3000 - O),
    ]);
}

#[test]
fn who_asked_for_a_fragment() {
    let mut b = Both::new(1 << 20);
    b.send(30_000);
    b.enter(Hook::LossProbe, 0)
        .fragment(FRAME_SENT)
        .enter(Hook::WriteXmit, 0)
        .fragment(FRAME_UNSENT)
        .leave(Hook::WriteXmit)
        .leave(Hook::LossProbe);
    b.enter(Hook::WriteWakeup, 0)
        .fragment(FRAME_UNSENT)
        .leave(Hook::WriteWakeup);
    b.enter(Hook::Retransmit, 0)
        .fragment(FRAME_SENT)
        .leave(Hook::Retransmit);
    b.enter(Hook::WriteXmit, 0)
        .fragment(FRAME_UNSENT)
        .leave(Hook::WriteXmit);
    b.agree(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 30_000),
        (Cause::ProbeSplit, 2 * O),
        (Cause::TsoSplit, 2 * O),
        (Cause::RetransmitFragment, O),
    ]);
}

#[test]
fn an_mtu_probe_before_a_split() {
    let mut b = Both::new(1 << 20);
    b.send(6000);
    b.enter(Hook::WriteXmit, 0);
    b.kernel(|k| k.alloc().change(400));
    b.full.seen.probing = PROBING_YES;
    let eyes = b.eyes();
    b.lean.probe_sent(&eyes, NOW);
    b.split().leave(Hook::WriteXmit);
    b.agree(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 6000),
        (Cause::MtuProbe, 400),
        (Cause::TsoSplit, O),
    ]);
}

#[test]
fn a_fin_of_its_own_and_one_that_rides_along() {
    let mut b = Both::new(1 << 20);
    b.enter(Hook::SendFin, 0)
        .kernel(|k| k.change(O).written(1))
        .enter(Hook::WriteXmit, 0)
        .leave(Hook::WriteXmit)
        .leave(Hook::SendFin);
    b.agree(&[(Cause::Fin, O)]);
    let mut b = Both::new(1 << 20);
    b.send(3000);
    b.enter(Hook::SendFin, 0)
        .kernel(|k| k.written(1))
        .enter(Hook::WriteXmit, 0)
        .split()
        .leave(Hook::WriteXmit)
        .leave(Hook::SendFin);
    b.agree(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 3000),
        (Cause::TsoSplit, O),
    ]);
}

#[test]
fn zerocopy_charges_pages_before_it_counts_payload() {
    let mut b = Both::new(1 << 20);
    b.enter(Hook::SendmsgLocked, FRAME_ZEROCOPY).new_skb();
    for bytes in [1000_u32, 5000] {
        b.kernel(|k| k.change(8192));
        let eyes = b.eyes();
        b.full.book_pending();
        b.lean.zerocopy(&eyes, NOW);
        b.kernel(|k| k.written(bytes));
        b.enter(Hook::WriteXmit, 0).split().leave(Hook::WriteXmit);
    }
    b.leave(Hook::SendmsgLocked);
    b.agree(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 1000),
        (Cause::TailRefill, 5000),
        (Cause::ZerocopyPageRounding, 2 * 8192 - 6000),
        (Cause::TsoSplit, 2 * O),
    ]);
}
