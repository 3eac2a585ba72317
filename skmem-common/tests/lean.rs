//! The lean set of hooks beside the full one: the same kernel, seen by both, and the same sums.

#[expect(dead_code, reason = "the other tests use the rest of it")]
mod stream;

use proptest::prelude::*;
use skmem_common::{
    account::{
        Account, FRAME_SENT, FRAME_UNSENT, FRAME_ZEROCOPY, Fields, PROBING_NO, PROBING_YES,
        SocketFields,
    },
    cause::Cause,
    hook::Hook,
    record::Before,
};
use stream::{O, Stream};

/// What the lean set's hooks see.
#[derive(Clone, Copy)]
struct LeanFields(Fields);

impl SocketFields for LeanFields {
    fn key_fields(&self) -> (i32, i32, u32, u32) {
        self.0.key_fields()
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
    /// Which runs of the lean set's programs the kernel skips, over and over; empty: none.
    skips: Vec<bool>,
    runs: usize,
}

const NOW: fn() -> u64 = || 7;

impl Both {
    fn new(sndbuf: i32) -> Self {
        let mut full = Stream::new(sndbuf);
        full.seen.probing = PROBING_NO;
        full.account.probing = u32::from(PROBING_NO);
        let mut lean = Box::new(Account::EMPTY);
        lean.open(&LeanFields(full.seen), 1);
        Self {
            full,
            lean,
            skips: Vec::new(),
            runs: 0,
        }
    }

    /// Whether the kernel runs the program that is next.
    fn runs(&mut self) -> bool {
        self.runs += 1;
        let skipped = self.skips.get(self.runs % self.skips.len().max(1));
        skipped != Some(&true)
    }

    fn eyes(&self) -> LeanFields {
        LeanFields(self.full.seen)
    }

    fn enter(&mut self, hook: Hook, flags: u8) -> &mut Self {
        self.full.enter_with(hook, flags & FRAME_ZEROCOPY);
        let eyes = self.eyes();
        if !self.runs() {
            return self;
        }
        match hook {
            Hook::SendmsgLocked if !self.lean.is_settled() => {
                self.lean.enter(hook, flags, 0, &eyes, NOW);
                self.lean.note_tail(&eyes);
            }
            Hook::SendmsgLocked => {
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
        if !self.runs() {
            return self;
        }
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
        if !self.runs() {
            return self;
        }
        if !self
            .lean
            .entail_plain(skb, O as u32, (w, sndbuf), true, NOW)
        {
            eyes.0.tail = skb;
            self.lean.entail(skb, O as u32, &eyes, NOW);
        }
        self
    }

    /// `__sk_mem_schedule` grants memory over limits, and cuts the socket's own.
    fn limit_cut(&mut self, sndbuf: i32) -> &mut Self {
        self.full.limit(sndbuf, false).schedule(true);
        let eyes = self.eyes();
        self.lean.schedule(true, &eyes, NOW);
        self
    }

    /// `tcp_sndbuf_expand` raises the limit, within `tcp_write_xmit` or after an ACK.
    fn grow(&mut self, sndbuf: i32) -> &mut Self {
        let eyes = self.eyes();
        if self.runs() {
            self.lean.book_put(&eyes, NOW);
        }
        self.full.limit(sndbuf, false);
        self
    }

    /// An skb is cut, within `tcp_write_xmit`.
    fn split(&mut self) -> &mut Self {
        // The kernel allocates before it charges the new skb.
        let eyes = self.eyes();
        self.full.split();
        if self.runs() {
            if self.lean.goes_on(&eyes) {
                self.lean.book_so_far(&eyes, NOW);
            }
            self.lean.lean_alloc(self.full.seen.tail, O as u32);
        }
        self
    }

    /// An skb is cut within `tcp_fragment`.
    fn fragment(&mut self, flags: u8) -> &mut Self {
        self.enter(Hook::Fragment, flags);
        self.full.alloc();
        let (skb, eyes) = (self.full.skbs(), self.eyes());
        if self.runs() {
            self.lean.alloc(skb, O as u32, true, &eyes, NOW);
        }
        self.full.change(O);
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
        self.same();
    }

    fn same(&self) {
        let (full, lean) = (&self.full.account.ledger, &self.lean.ledger);
        for cause in Cause::ALL {
            let (said, few) = (full.now.total(*cause), lean.now.total(*cause));
            assert_eq!(said.bytes, few.bytes, "{}", cause.name());
            // Payload may be copied in parts.
            if cause.is_whole_skbs() {
                assert_eq!(said.count, few.count, "{} counted", cause.name());
            }
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

/// Each of them counts, within a send call and when an ACK opens the window.
#[test]
fn several_splits_of_one_transmission() {
    let mut b = Both::new(1 << 20);
    b.enter(Hook::SendmsgLocked, 0)
        .new_skb()
        .kernel(|k| k.copy(8192));
    b.enter(Hook::WriteXmit, 0)
        .split()
        .split()
        .leave(Hook::WriteXmit);
    b.kernel(|k| k.copy(100)).leave(Hook::SendmsgLocked);
    b.enter(Hook::WriteXmit, 0)
        .split()
        .split()
        .split()
        .leave(Hook::WriteXmit);
    b.agree(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 8192),
        (Cause::TailRefill, 100),
        (Cause::TsoSplit, 5 * O),
    ]);
    assert_eq!(b.lean.ledger.now.total(Cause::TsoSplit).count, 5);
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
    b.kernel(|k| k.probe_alloc().change(400));
    b.full.seen.probing = PROBING_YES;
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

#[test]
fn memory_pressure_that_cuts_the_limit_while_an_skb_is_allocated() {
    let mut b = Both::new(1 << 20);
    b.send(30_000);
    b.enter(Hook::SendmsgLocked, 0).kernel(|k| k.copy(2000));
    // The test was passed against the limit before.
    b.limit_cut(16_448).new_skb();
    b.kernel(|k| k.copy(5000)).leave(Hook::SendmsgLocked);
    b.agree(&[
        (Cause::NewSkb, 2 * O),
        (Cause::FirstFill, 35_000),
        (Cause::TailAppend, 2000),
    ]);
    // What it was before does not count any more.
    b.enter(Hook::SendmsgLocked, 0).kernel(|k| k.copy(100));
    b.limit_cut(16_000).kernel(|k| k.copy(100));
    b.leave(Hook::SendmsgLocked);
    b.enter(Hook::SendmsgLocked, 0)
        .new_skb()
        .kernel(|k| k.copy(300));
    b.leave(Hook::SendmsgLocked);
    b.agree(&[
        (Cause::NewSkb, 2 * O),
        (Cause::SkbOverhead, O),
        (Cause::FirstFill, 35_300),
        (Cause::TailAppend, 2200),
    ]);
}

/// Since 5.19, and in 5.10.y: `tcp_event_new_data_sent` calls `tcp_check_space`.
#[test]
fn a_limit_that_grows_while_an_skb_is_sent() {
    let mut b = Both::new(6000);
    b.send(5000);
    // The tail takes more than the limit, and what is sent raises that.
    b.enter(Hook::SendmsgLocked, 0).kernel(|k| k.copy(4000));
    b.enter(Hook::WriteXmit, 0).grow(60_000);
    b.split().leave(Hook::WriteXmit);
    b.kernel(|k| k.copy(100)).leave(Hook::SendmsgLocked);
    b.agree(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 5000),
        (Cause::TailAppend, 4000),
        (Cause::TsoSplit, O),
        (Cause::TailRefill, 100),
    ]);
    assert_eq!(b.lean.ledger.worst_excess, O + 9000 - 6000);
}

/// `tcp_mtu_probe` sends the probe, which may raise the limit, before it notes it.
#[test]
fn a_limit_that_grows_with_an_mtu_probe() {
    for within_a_call in [false, true] {
        let mut b = Both::new(6000);
        b.send(6000);
        if within_a_call {
            b.enter(Hook::SendmsgLocked, 0).kernel(|k| k.copy(1000));
        }
        b.enter(Hook::WriteXmit, 0);
        b.kernel(|k| k.probe_alloc().change(400)).grow(60_000);
        b.full.seen.probing = PROBING_YES;
        b.leave(Hook::WriteXmit);
        let mut sums = vec![
            (Cause::NewSkb, O),
            (Cause::FirstFill, 6000),
            (Cause::MtuProbe, 400),
        ];
        if within_a_call {
            b.leave(Hook::SendmsgLocked);
            sums.push((Cause::TailAppend, 1000));
        }
        b.agree(&sums);
    }
}

#[test]
fn an_skb_that_mptcp_queues_on_a_subflow() {
    let mut b = Both::new(6000);
    for (new, bytes) in [(true, 3000), (false, 2500), (true, 700), (false, 100)] {
        b.enter(Hook::MptcpFrag, 0);
        b.kernel(|k| if new { k.new_skb() } else { k }.copy(bytes));
        b.leave(Hook::MptcpFrag);
        b.enter(Hook::WriteXmit, 0).leave(Hook::WriteXmit);
    }
    b.agree(&[
        (Cause::NewSkb, O),
        (Cause::SkbOverhead, O),
        (Cause::MptcpSubflow, 6300),
    ]);
    // One that is taken back, unused.
    b.enter(Hook::Ack, 0)
        .kernel(|k| k.acked(6300).change(-6300 - 2 * O))
        .leave(Hook::Ack);
    b.enter(Hook::MptcpFrag, 0).kernel(Stream::new_skb);
    b.enter(Hook::RemoveEmpty, 0)
        .kernel(|k| k.change(-O))
        .leave(Hook::RemoveEmpty);
    b.leave(Hook::MptcpFrag);
    b.agree(&[
        (Cause::NewSkb, 2 * O),
        (Cause::SkbOverhead, O),
        (Cause::MptcpSubflow, 6300),
        (Cause::Ack, -6300 - 2 * O),
        (Cause::UnusedSkb, -O),
    ]);
}

#[test]
fn a_syn_is_no_skb_of_a_send_call() {
    let mut lean = Box::new(Account::EMPTY);
    let mut k = Stream::new(1 << 20);
    k.seen.state = 2; // TCP_SYN_SENT
    lean.open(&LeanFields(k.seen), 1);
    lean.enter(Hook::Connect, 0, 0, &LeanFields(k.seen), NOW);
    lean.enter(Hook::Purge, 0, 0, &LeanFields(k.seen), NOW);
    // The run at its exit is skipped.
    assert!(!lean.allocates_for_send(true));
    k.change(O).written(1);
    lean.leave(Hook::Connect, &LeanFields(k.seen), NOW);
    assert_eq!(lean.ledger.now.total(Cause::Syn).bytes, i64::from(O));
    assert_eq!(lean.ledger.now.w, O);
    // A send call's are, an MTU probe's within it is not.
    lean.enter(Hook::SendmsgLocked, 0, 0, &LeanFields(k.seen), NOW);
    assert!(lean.allocates_for_send(true) && !lean.allocates_for_send(false));
}

#[test]
fn payload_of_a_call_that_was_not_seen_to_begin_is_booked_once() {
    let mut lean = Box::new(Account::EMPTY);
    let mut k = Stream::new(1 << 20);
    lean.open(&LeanFields(k.seen), 1);
    let limits = (k.seen.w, k.seen.sndbuf);
    assert!(!lean.entail_plain(1, O as u32, limits, false, NOW));
    lean.entail(1, O as u32, &LeanFields(k.seen), NOW);
    // The next skb's runs are skipped, too.
    k.change(2 * O).copy(4096);
    lean.ended(Hook::WriteXmit, &LeanFields(k.seen), NOW);
    for (cause, bytes) in [
        (Cause::NewSkb, O),
        (Cause::SkbOverhead, O),
        (Cause::FirstFill, 4096),
        (Cause::Unattributed, 0),
    ] {
        assert_eq!(
            lean.ledger.now.total(cause).bytes,
            i64::from(bytes),
            "{}",
            cause.name()
        );
    }
}

/// What a send call puts: into a new skb, or into the tail where `false`; how many bytes; whether
/// it transmits then, which cuts the tail where `true`, and may raise the limit to that.
type Part = (bool, u16, Option<(bool, Option<u16>)>);

/// What a socket does; numbers are bytes, or which of its skbs.
#[derive(Debug, Clone)]
enum Deed {
    /// A send call puts payload.
    Send(Vec<Part>),
    /// An ACK frees that many skbs, and sends what it let go, which cuts the tail where `true`; it
    /// may raise the limit to that.
    Ack(u8, Option<bool>, Option<u16>),
    /// A SACK merges two skbs.
    Shift,
    Retransmit,
    LossProbe,
    Limit(u16),
}

fn deed() -> impl Strategy<Value = Deed> {
    let grown = || prop::option::weighted(0.2, 8192..60_000_u16);
    let sent = prop::option::of((any::<bool>(), grown()));
    let part = (any::<bool>(), 1..20_000_u16, sent);
    let ack = (1..4_u8, any::<Option<bool>>(), grown());
    prop_oneof![
        4 => prop::collection::vec(part, 1..4).prop_map(Deed::Send),
        4 => ack.prop_map(|(n, cuts, grown)| Deed::Ack(n, cuts, grown)),
        1 => Just(Deed::Shift),
        1 => Just(Deed::Retransmit),
        1 => Just(Deed::LossProbe),
        1 => (8192..60_000_u16).prop_map(Deed::Limit),
    ]
}

/// Payload of each queued skb, in bytes, the oldest first.
type Queue = std::collections::VecDeque<u32>;

impl Both {
    fn transmit(&mut self, queue: &mut Queue, cuts: bool, grown: Option<u16>) {
        self.enter(Hook::WriteXmit, 0);
        self.grows(grown);
        if cuts && let Some(tail) = queue.back().copied().filter(|bytes| *bytes > 1) {
            self.split();
            queue.pop_back();
            queue.extend([tail / 2, tail - tail / 2]);
        }
        self.leave(Hook::WriteXmit);
    }

    /// The limit never falls by that, but where the application has set it.
    fn grows(&mut self, to: Option<u16>) {
        if let Some(to) = to
            && self.full.seen.locked == 0
            && self.full.seen.sndbuf < i32::from(to)
        {
            self.grow(i32::from(to));
        }
    }

    fn does(&mut self, deed: &Deed, queue: &mut Queue) {
        match deed {
            Deed::Send(parts) => {
                self.enter(Hook::SendmsgLocked, 0);
                for (new, bytes, sends) in parts {
                    let bytes = u32::from(*bytes);
                    match queue.back_mut() {
                        Some(tail) if !new => *tail += bytes,
                        _ => {
                            self.new_skb();
                            queue.push_back(bytes);
                        }
                    }
                    self.kernel(|k| k.copy(bytes));
                    if let Some((cuts, grown)) = sends {
                        self.transmit(queue, *cuts, *grown);
                    }
                }
                self.leave(Hook::SendmsgLocked);
            }
            Deed::Ack(skbs, sends, grown) => {
                self.enter(Hook::Ack, 0);
                for bytes in queue.drain(..usize::from(*skbs).min(queue.len())) {
                    self.kernel(|k| k.acked(bytes).change(-O - bytes as i32));
                }
                if let Some(cuts) = sends {
                    self.transmit(queue, *cuts, None);
                }
                self.leave(Hook::Ack);
                // tcp_data_snd_check, after it.
                self.grows(*grown);
            }
            Deed::Shift if queue.len() > 2 => {
                let merged = queue.pop_front().unwrap_or(0);
                queue[0] += merged;
                self.enter(Hook::Ack, 0)
                    .kernel(|k| k.change(-O))
                    .leave(Hook::Ack);
            }
            Deed::Retransmit | Deed::LossProbe if queue.front().is_some_and(|b| *b > 1) => {
                let hook = match deed {
                    Deed::LossProbe => Hook::LossProbe,
                    _ => Hook::Retransmit,
                };
                self.enter(hook, 0).fragment(FRAME_SENT).leave(hook);
                let head = queue.pop_front().unwrap_or(0);
                queue.push_front(head - head / 2);
                queue.push_front(head / 2);
            }
            Deed::Limit(sndbuf) => {
                self.kernel(|k| k.limit(i32::from(*sndbuf), true).book_pending());
                let eyes = self.eyes();
                self.lean.book_pending(&eyes, NOW);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

    #[test]
    fn whatever_a_socket_does_both_sets_say_the_same(deeds in prop::collection::vec(deed(), 0..60)) {
        let mut both = Both::new(30_000);
        let mut queue = Queue::new();
        for deed in &deeds {
            both.does(deed, &mut queue);
        }
        both.same();
    }

    #[test]
    fn skipped_runs_leave_nothing_without_a_name(
        deeds in prop::collection::vec(deed(), 0..60),
        skips in prop::collection::vec(prop::bool::weighted(0.1), 1..60),
    ) {
        let mut both = Both::new(30_000);
        both.lean.overhead = O as u32;
        both.skips = skips;
        let mut queue = Queue::new();
        for deed in &deeds {
            both.does(deed, &mut queue);
        }
        let eyes = both.eyes();
        both.lean.settle_outside(&eyes, NOW);
        prop_assert_eq!(both.lean.ledger.now.w, both.full.seen.w);
        prop_assert_eq!(both.lean.ledger.now.total(Cause::Unattributed).count, 0);
    }
}
