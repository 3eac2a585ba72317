//! Records of one socket to marks on its timeline.

use skmem_common::{
    account::Account,
    cause::{Cause, LimitCause, Tier},
    record::{Event, FLAG_LOCKLESS, OP_ADMIT, OP_BOOK, OP_LIMIT, OPS, Op, Open, View},
};

use super::{
    life::{Life, Lives},
    stack::{ByCause, Stack},
    waits::{Refusal, Sleep, Wait, Waits},
};
use crate::model::record::Record;

/// The socket at one instant. What is not booked (all but `by_cause`,
/// `wmem_queued` and `sndbuf`) is as of the last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Bytes queued now by the cause that put them there; the sum is
    /// `wmem_queued`.
    pub by_cause: ByCause,
    /// `sk_wmem_queued`, in bytes.
    pub wmem_queued: i32,
    /// `sk_sndbuf`, in bytes.
    pub sndbuf: i32,
    /// `write_seq - snd_una`; 0 where nothing is queued.
    pub send_q: u32,
    /// `sk_forward_alloc`, in bytes.
    pub forward_alloc: i32,
    /// `sk_wmem_alloc` less 1: in the qdisc and the NIC, in bytes.
    pub wmem_alloc: i32,
    /// The peer's window, in bytes.
    pub snd_wnd: u32,
    /// Sent and not acknowledged: `snd_nxt - snd_una`, in bytes.
    pub in_flight: u32,
}

impl Sample {
    /// How much it matters: by how far it is over the limit, or else by how
    /// much is queued.
    #[must_use]
    pub const fn weight(&self) -> (bool, i64) {
        let excess = self.excess();
        if excess > 0 {
            (true, excess)
        } else {
            (false, self.wmem_queued as i64)
        }
    }

    /// `wmem_queued - sndbuf`, in bytes.
    #[must_use]
    pub const fn excess(&self) -> i64 {
        self.wmem_queued as i64 - self.sndbuf as i64
    }
}

/// A change of `sk_sndbuf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitMove {
    /// When its record was made, in ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// `sk_sndbuf` before, in bytes.
    pub from: i32,
    /// After.
    pub to: i32,
    /// Why.
    pub cause: LimitCause,
    /// How sure that is.
    pub tier: Tier,
}

/// Something that happened to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Its fields changed.
    Sample(Sample),
    /// A new skb passed the test.
    Admission {
        /// When its record was made, in ns of `CLOCK_MONOTONIC`.
        at_ns: u64,
        /// `sk_wmem_queued` before it joined, in bytes.
        wmem_queued: i32,
        /// `sk_sndbuf` that it was tested against, in bytes.
        sndbuf: i32,
    },
    /// The limit moved.
    Limit(LimitMove),
    /// A thread slept for want of memory.
    Sleep(Sleep),
    /// A thread got `EAGAIN` or a short write.
    Refusal(Refusal),
    /// An skb's bytes left the queue.
    Life(Life),
    /// Records are missing before this one.
    Gap {
        /// The record after the gap, in ns of `CLOCK_MONOTONIC`.
        at_ns: u64,
        /// How many.
        missed: u64,
    },
}

/// One socket's records, taken in one by one.
#[derive(Debug, Clone, Default)]
pub struct Track {
    stack: Stack,
    sndbuf: i32,
    view: View,
    waits: Waits,
    lives: Lives,
    next: Option<u32>,
    opened: bool,
    /// Records are missing: the next one read under the lock says what is
    /// queued.
    out_of_sync: bool,
    last_ns: u64,
}

impl Track {
    /// Takes in the socket's next record, and hands on what it says.
    pub fn feed(&mut self, record: &Record, mut mark: impl FnMut(Mark)) {
        self.last_ns = self.last_ns.max(record.time_ns());
        self.count(record, &mut mark);
        match record {
            Record::Open(open) => self.open(open, &mut mark),
            Record::Event(event) => self.event(event, &mut mark),
            Record::Task(_) | Record::Receive(_) => {}
        }
    }

    /// Takes in an account that lies among the records, with the sleepers that it
    /// names.
    pub fn account(&mut self, account: &Account, sleepers: &[(u32, u64)]) {
        self.waits.account(account, sleepers);
    }

    /// The end of the records: sleeps and lives that have not ended.
    pub fn finish(&self, end_ns: u64, mut mark: impl FnMut(Mark)) {
        let end_ns = end_ns.max(self.last_ns);
        self.waits
            .unfinished(end_ns)
            .for_each(|s| mark(Mark::Sleep(s)));
        self.lives
            .unfinished(end_ns)
            .for_each(|l| mark(Mark::Life(l)));
    }

    fn count(&mut self, record: &Record, mark: &mut impl FnMut(Mark)) {
        let Some((_, number)) = record.place() else {
            return;
        };
        // What came before the recording's first record of a socket is not
        // missing in it.
        let missed = self.next.map_or(0, |next| number.wrapping_sub(next));
        self.next = Some(number.wrapping_add(1));
        if missed != 0 {
            self.out_of_sync = true;
            mark(Mark::Gap {
                at_ns: record.time_ns(),
                missed: missed.into(),
            });
        }
    }

    fn open(&mut self, open: &Open, mark: &mut impl FnMut(Mark)) {
        // A second one completes the identity.
        if self.opened {
            return;
        }
        self.start(
            &open.view,
            open.view.wmem_queued,
            open.view.sndbuf,
            open.time_ns,
            mark,
        );
    }

    fn start(
        &mut self,
        view: &View,
        wmem_queued: i32,
        sndbuf: i32,
        at_ns: u64,
        mark: &mut impl FnMut(Mark),
    ) {
        self.opened = true;
        self.out_of_sync = false;
        self.stack.book(Cause::PreExisting, wmem_queued);
        self.sndbuf = sndbuf;
        self.view = *view;
        mark(Mark::Sample(self.sample(at_ns)));
    }

    fn event(&mut self, event: &Event, mark: &mut impl FnMut(Mark)) {
        let lockless = event.header.flags & FLAG_LOCKLESS != 0;
        if let Some(wait) = self.waits.feed(event) {
            mark(match wait {
                Wait::Slept(sleep) => Mark::Sleep(sleep),
                Wait::Refused(refusal) => Mark::Refusal(refusal),
            });
        }
        if lockless {
            return;
        }
        let used = usize::from(event.header.ops).min(OPS);
        let ops = &event.ops[..used];
        if !self.opened {
            // The record of its start was lost: what this one does not book was there before.
            let booked: i32 = ops
                .iter()
                .filter(|op| op.kind == OP_BOOK)
                .fold(0, |sum, op| sum.wrapping_add(op.value));
            let before = event.view.wmem_queued.wrapping_sub(booked);
            self.start(
                &event.view,
                before,
                event.before.sndbuf,
                event.time_ns,
                mark,
            );
        }
        self.operations(ops, event.time_ns, mark);
        if self.out_of_sync {
            self.out_of_sync = false;
            let off = event.view.wmem_queued.wrapping_sub(self.stack.height());
            self.stack.book(Cause::Unattributed, off);
            self.sndbuf = event.view.sndbuf;
        }
        self.lives.feed(event, |life| mark(Mark::Life(life)));
        self.view = event.view;
        mark(Mark::Sample(self.sample(event.time_ns)));
    }

    /// Applies operations. Where the queue turns on the way, that is a sample
    /// of its own, so that no extreme is lost between two records.
    fn operations(&mut self, ops: &[Op], at_ns: u64, mark: &mut impl FnMut(Mark)) {
        let mut rising = None;
        for op in ops {
            let step = match op.kind {
                OP_BOOK => i64::from(op.value),
                // A higher limit is as good as a lower queue.
                OP_LIMIT => i64::from(self.sndbuf) - i64::from(op.value),
                _ => 0,
            };
            if step != 0 {
                if rising.is_some_and(|r| r != (step > 0)) {
                    mark(Mark::Sample(self.sample(at_ns)));
                }
                rising = Some(step > 0);
            }
            self.operation(op, at_ns, mark);
        }
    }

    fn operation(&mut self, op: &Op, at_ns: u64, mark: &mut impl FnMut(Mark)) {
        match op.kind {
            OP_BOOK => {
                let cause = Cause::from_u8(op.cause).unwrap_or(Cause::Unattributed);
                self.stack.book(cause, op.value);
            }
            OP_ADMIT => mark(Mark::Admission {
                at_ns,
                wmem_queued: self.stack.height(),
                sndbuf: op.value,
            }),
            OP_LIMIT => {
                let from = std::mem::replace(&mut self.sndbuf, op.value);
                if let Some(cause) = LimitCause::from_u8(op.cause) {
                    mark(Mark::Limit(LimitMove {
                        at_ns,
                        from,
                        to: op.value,
                        cause,
                        tier: if op.tier == Tier::Inferred as u8 {
                            Tier::Inferred
                        } else {
                            Tier::Observed
                        },
                    }));
                }
            }
            _ => {}
        }
    }

    fn sample(&self, time_ns: u64) -> Sample {
        // Before connect() has chosen them, and after a purge, sequence numbers
        // say nothing: nothing is queued.
        let empty = self.view.wmem_queued == 0;
        let queued = |n: u32| if empty { 0 } else { n };
        Sample {
            time_ns,
            by_cause: self.stack.by_cause(),
            wmem_queued: self.stack.height(),
            sndbuf: self.sndbuf,
            send_q: queued(self.view.send_q()),
            forward_alloc: self.view.forward_alloc,
            wmem_alloc: self.view.wmem_alloc,
            snd_wnd: self.view.snd_wnd,
            in_flight: queued(self.view.snd_nxt.wrapping_sub(self.view.snd_una)),
        }
    }
}
