//! What an account holds besides its ledger, as far as records tell it: the
//! last fields, held-up senders, memory asked for, the truesize of an empty
//! skb.

use std::collections::HashMap;

use skmem_common::{
    account::{Account, Blocked, WAIT_BEGINS, WAIT_OTHER},
    cause::Cause,
    hook::Hook,
    memory::{Grant, Scheduled},
    receive::Receiving,
    record::{
        Event, FLAG_LOCKLESS, IDENT_CLOSED, IDENT_INHERITED, IDENT_V_FORCED, IDENT_V_SEEN, Ident,
        OP_BOOK, OPS, Receive, View,
    },
};

/// Most sleepers that are followed: a recording may hold any number.
const MOST_SLEEPERS: usize = 1024;

/// Of one socket.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    last: View,
    last_ns: u64,
    blocked: Blocked,
    /// Since when each thread sleeps.
    sleepers: HashMap<u32, u64>,
    scheduled: Scheduled,
    receiving: Receiving,
    overhead: u32,
}

impl Calls {
    /// Opens it with the fields that were read first.
    pub fn open(&mut self, view: &View, now: u64) {
        (self.last, self.last_ns) = (*view, now);
    }

    /// Goes on from the kernel's account.
    pub fn go_on_from(&mut self, account: &Account) {
        *self = Self {
            last: account.last,
            last_ns: account.last_ns,
            blocked: account.blocked,
            sleepers: std::mem::take(&mut self.sleepers),
            scheduled: account.scheduled,
            receiving: account.receiving,
            overhead: account.overhead,
        };
        self.receiving.forget_inside();
        self.last.write_seq = account.write_seq;
        self.last.snd_una = account.snd_una;
    }

    /// Takes in a call.
    pub fn event(&mut self, event: &Event, ident: Option<&mut Ident>) {
        let hook = Hook::from_u8(event.header.hook);
        if event.header.flags & FLAG_LOCKLESS != 0 {
            if let (Some(hook), Some(ident)) = (hook, ident) {
                observed(hook, event, ident);
            }
            return;
        }
        let written = event.view.write_seq.wrapping_sub(self.last.write_seq);
        if written.cast_signed() > 0 {
            self.blocked.wrote_ns = event.time_ns;
            self.blocked.refused_ns = 0;
            self.blocked.nospace = 0;
        }
        (self.last, self.last_ns) = (event.view, event.time_ns);
        match hook {
            Some(Hook::WaitMemory) => self.waits(event),
            Some(Hook::MemSchedule) => self.schedules(event),
            Some(Hook::AllocSkb) if event.ret != 0 && self.overhead == 0 => {
                self.overhead = event.truesize;
            }
            _ => {}
        }
        let ops = event.ops.iter();
        for op in ops.take(usize::from(event.header.ops).min(OPS)) {
            if op.kind == OP_BOOK && op.cause == Cause::NewSkb as u8 && op.value > 0 {
                self.overhead = op.value.cast_unsigned();
            }
        }
    }

    /// Who sleeps, and since when.
    pub fn sleepers(&self) -> Vec<(u32, u64)> {
        let mut all: Vec<_> = self.sleepers.iter().map(|(tid, ns)| (*tid, *ns)).collect();
        all.sort_unstable();
        all
    }

    /// Whether a thread sleeps.
    pub fn has_sleepers(&self) -> bool {
        !self.sleepers.is_empty()
    }

    /// Puts all of it into an account.
    pub fn fill(&self, account: &mut Account) {
        account.last = self.last;
        account.last_ns = self.last_ns;
        account.write_seq = self.last.write_seq;
        account.snd_una = self.last.snd_una;
        account.blocked = self.blocked;
        account.scheduled = self.scheduled;
        account.receiving = self.receiving;
        account.overhead = self.overhead;
    }

    /// `sk_stream_wait_memory`: a sleep makes a record at its start and at its end, a call
    /// that must not sleep only at its end.
    fn waits(&mut self, event: &Event) {
        let blocked = &mut self.blocked;
        let reason = usize::try_from(event.arg).unwrap_or(usize::MAX);
        let mut count = || {
            if let Some(n) = blocked.reasons.get_mut(reason) {
                *n = n.saturating_add(1);
            }
        };
        if event.kind & WAIT_BEGINS != 0 {
            count();
            if blocked.asleep == 0 {
                blocked.since_ns = event.time_ns;
                blocked.since_reason = event.arg.cast_unsigned();
            }
            blocked.asleep = blocked.asleep.saturating_add(1);
            let mut tid = event.tid;
            if event.kind & WAIT_OTHER != 0 {
                blocked.older = blocked.older.saturating_add(1);
                tid = event.ret.cast_unsigned();
            }
            if self.sleepers.len() < MOST_SLEEPERS {
                self.sleepers.insert(tid, event.time_ns);
            }
        } else if let Some(since) = self.sleepers.remove(&event.tid).or(
            // It fell asleep before the account that this goes on from.
            (blocked.asleep > 0).then_some(blocked.since_ns),
        ) {
            let slept = event.time_ns.saturating_sub(since);
            blocked.slept(event.arg.cast_unsigned(), slept);
            blocked.asleep = blocked.asleep.saturating_sub(1);
            blocked.older = blocked.older.min(blocked.asleep);
            if blocked.asleep == 0 {
                blocked.since_ns = 0;
            }
        } else {
            count();
            if blocked.refused_ns == 0 {
                blocked.refused_ns = event.time_ns;
            }
            if event.kind & WAIT_OTHER != 0 {
                blocked.short_writes = blocked.short_writes.saturating_add(1);
            } else {
                blocked.refusals = blocked.refusals.saturating_add(1);
            }
        }
    }

    fn schedules(&mut self, event: &Event) {
        if event.kind != 0 {
            return;
        }
        let got = event
            .view
            .forward_alloc
            .saturating_sub(event.before.forward_alloc);
        if let Some(grant) = Grant::from_i32(event.ret) {
            self.scheduled.count(grant, got);
        }
    }

    /// Whether records tell the same account of receive memory as the kernel's; so it is where none
    /// was kept.
    pub fn received_the_same(&self, kernel: &Receiving) -> bool {
        let (ours, theirs) = (&self.receiving.ledger, &kernel.ledger);
        theirs.started == 0
            || ours.total == theirs.total && ours.rcvbuf_moves == theirs.rcvbuf_moves
    }

    /// Takes in a change of the receive side.
    pub fn receive(&mut self, record: &Receive) {
        self.receiving.replay(record);
    }
}

/// What records without the socket's lock tell of who it is.
fn observed(hook: Hook, event: &Event, ident: &mut Ident) {
    match hook {
        Hook::Setsockopt => {
            ident.so_sndbuf = event.arg;
            ident.flags &= !(IDENT_V_FORCED | IDENT_INHERITED);
            ident.flags |= IDENT_V_SEEN;
            if event.kind != 0 {
                ident.flags |= IDENT_V_FORCED;
            }
        }
        Hook::Destroy => ident.flags |= IDENT_CLOSED,
        _ => {}
    }
}
