//! A socket whose hooks a test calls by hand.

use skmem_common::{
    account::{Account, Fields, Frame},
    cause::Cause,
    hook::Hook,
    ledger::Balance,
};

/// Truesize of an empty skb here.
pub const O: i32 = 896;

/// A socket and its account.
pub struct Stream {
    pub account: Box<Account>,
    pub seen: Fields,
    pub clock: u64,
    skbs: u64,
}

impl Stream {
    /// A socket whose birth skmem saw.
    pub fn new(sndbuf: i32) -> Self {
        Self::older(sndbuf, 0)
    }

    /// One that had `w` bytes queued when skmem first saw it.
    pub fn older(sndbuf: i32, w: i32) -> Self {
        let seen = Fields {
            w,
            sndbuf,
            write_seq: u32::MAX - 100,
            snd_una: u32::MAX - 100,
            state: 1,
            ..Fields::default()
        };
        let mut account = Box::new(Account::EMPTY);
        account.open(&seen, 1);
        Self {
            account,
            seen,
            clock: 1,
            skbs: 0,
        }
    }

    fn tick(&mut self) -> impl Fn() -> u64 + Copy + use<> {
        self.clock += 1;
        let now = self.clock;
        move || now
    }

    pub fn enter(&mut self, hook: Hook) -> &mut Self {
        self.enter_with(hook, 0)
    }

    pub fn enter_with(&mut self, hook: Hook, flags: u8) -> &mut Self {
        let now = self.tick();
        self.account.enter(hook, flags, 0, &self.seen, now);
        self
    }

    pub fn leave(&mut self, hook: Hook) -> &mut Self {
        let now = self.tick();
        self.account.leave(hook, &self.seen, now);
        self
    }

    pub fn book_pending(&mut self) -> &mut Self {
        let now = self.tick();
        self.account.book_pending(&self.seen, now);
        self
    }

    /// The kernel changes `sk_wmem_queued`.
    pub fn change(&mut self, bytes: i32) -> &mut Self {
        self.seen.w += bytes;
        self
    }

    /// The kernel advances `write_seq`.
    pub fn written(&mut self, bytes: u32) -> &mut Self {
        self.seen.write_seq = self.seen.write_seq.wrapping_add(bytes);
        self
    }

    /// The kernel advances `snd_una`.
    pub fn acked(&mut self, bytes: u32) -> &mut Self {
        self.seen.snd_una = self.seen.snd_una.wrapping_add(bytes);
        self
    }

    /// The kernel changes `sk_sndbuf`.
    pub fn limit(&mut self, sndbuf: i32, locked: bool) -> &mut Self {
        self.seen.sndbuf = sndbuf;
        self.seen.locked = u8::from(locked);
        self
    }

    /// Payload goes into the tail.
    pub fn copy(&mut self, bytes: u32) -> &mut Self {
        self.change(bytes as i32).written(bytes)
    }

    /// How many skbs there were: also the address of the last one.
    pub fn skbs(&self) -> u64 {
        self.skbs
    }

    pub fn alloc(&mut self) -> &mut Self {
        self.alloc_of(true)
    }

    /// `tcp_mtu_probe` allocates an skb, and forces nothing.
    pub fn probe_alloc(&mut self) -> &mut Self {
        self.alloc_of(false)
    }

    fn alloc_of(&mut self, forced: bool) -> &mut Self {
        let now = self.tick();
        self.skbs += 1;
        self.account
            .alloc(self.skbs, O as u32, forced, &self.seen, now);
        self
    }

    /// `__sk_mem_schedule` answers.
    pub fn schedule(&mut self, granted: bool) -> &mut Self {
        let now = self.tick();
        self.account.schedule(granted, &self.seen, now);
        self
    }

    /// The send path allocates an skb and queues it.
    pub fn new_skb(&mut self) -> &mut Self {
        self.alloc();
        let now = self.tick();
        self.account.entail(self.skbs, O as u32, &self.seen, now);
        self.seen.tail = self.skbs;
        self.change(O)
    }

    /// `tso_fragment`: an skb is cut; its remainder is the new tail.
    pub fn split(&mut self) -> &mut Self {
        self.alloc();
        self.seen.tail = self.skbs;
        self.change(O)
    }

    pub fn wait_begin(&mut self) -> Frame {
        let now = self.tick();
        self.account.wait_begin(&self.seen, now)
    }

    pub fn wait_end(&mut self, frame: Frame) -> &mut Self {
        let now = self.tick();
        self.account.wait_end(frame, &self.seen, now);
        self
    }

    /// The ledger holds exactly these sums, and closes.
    pub fn has(&self, sums: &[(Cause, i32)]) {
        for cause in Cause::ALL {
            let wanted: i32 = sums
                .iter()
                .filter(|(c, _)| c == cause)
                .map(|(_, b)| b)
                .sum();
            let total = self.account.ledger.now.total(*cause);
            assert_eq!(total.bytes, i64::from(wanted), "{}", cause.name());
        }
        self.check();
    }

    /// The identities that hold whatever happens.
    pub fn check(&self) {
        let ledger = &self.account.ledger;
        assert_eq!(ledger.now.w, self.seen.w);
        assert_eq!(ledger.now.sndbuf, self.seen.sndbuf);
        closes(&ledger.now);
        let worst = ledger.at_worst();
        closes(worst);
        if ledger.worst_ns != 0 {
            // Of an older socket, one that can be explained may be half as bad.
            let explained = worst.excess();
            let older = ledger.now.total(Cause::PreExisting).count != 0;
            if older && worst.admission.count != 0 {
                assert!(explained <= ledger.worst_excess);
                assert!(explained > ledger.worst_excess / 2);
            } else {
                assert_eq!(explained, ledger.worst_excess);
            }
        }
        assert!(self.account.parts.iter().all(|p| p.value == 0));
    }
}

/// Whether a balance adds up.
fn closes(s: &Balance) {
    let total: i64 = s.total.iter().map(|t| t.bytes).sum();
    assert_eq!(total, i64::from(s.w), "sum of all causes");
    let since: i64 = Cause::ALL
        .iter()
        .filter_map(|c| s.since(*c))
        .map(|c| i64::from(c.bytes))
        .sum();
    let (w, sndbuf) = (i64::from(s.w), i64::from(s.sndbuf));
    let admission = (i64::from(s.admission.w), i64::from(s.admission.sndbuf));
    assert_eq!(
        w - sndbuf,
        (admission.0 - admission.1) + (admission.1 - sndbuf) + since,
        "excess over the limit"
    );
}
