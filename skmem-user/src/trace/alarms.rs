//! Which sockets meet the conditions of a black box that is written again and again. A socket is
//! named each time that it meets a condition anew: each time that it goes over the size, and for
//! each wait that is long enough.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use skmem_common::record::{Event, FLAG_LOCKLESS, OP_BOOK, OP_LIMIT, OPS};

use super::{
    session::{HeldUp, Session},
    trigger::Trigger,
};
use crate::model::record::Record;

/// The conditions, and what is known of the sockets that have met them.
#[derive(Debug, Default)]
pub struct Alarms {
    excess: Option<i32>,
    blocked: Option<Duration>,
    /// Sockets that are over the size.
    over: HashSet<u64>,
    waits: HashMap<u64, Wait>,
    met: BTreeMap<u64, Trigger>,
}

/// Of a socket's sender, what was reported.
#[derive(Debug, Default)]
struct Wait {
    /// Start of the wait that is on, in ns of `CLOCK_MONOTONIC`; 0: none was reported.
    since_ns: u64,
    /// The longest sleep, in ns.
    longest_ns: u64,
}

impl Alarms {
    /// Of several sizes, or times, the smallest counts.
    #[must_use]
    pub fn new(when: &[Trigger]) -> Self {
        let mut alarms = Self::default();
        for trigger in when {
            match *trigger {
                Trigger::Excess(bytes) => {
                    alarms.excess = Some(alarms.excess.map_or(bytes, |least| least.min(bytes)));
                }
                Trigger::Blocked(time) => {
                    alarms.blocked = Some(alarms.blocked.map_or(time, |least| least.min(time)));
                }
            }
        }
        alarms
    }

    /// Takes in a record.
    pub fn record(&mut self, record: &Record) {
        if let (Some(limit), Record::Event(event)) = (self.excess, record)
            && event.header.flags & FLAG_LOCKLESS == 0
        {
            self.queued(event, limit);
        }
    }

    fn queued(&mut self, event: &Event, limit: i32) {
        let (at_end, most) = excess(event);
        let was_over = !self.over.is_empty() && self.over.contains(&event.socket);
        if most > limit && !was_over {
            self.met
                .entry(event.socket)
                .or_insert(Trigger::Excess(limit));
        }
        match at_end > limit {
            true if !was_over => {
                self.over.insert(event.socket);
            }
            false if was_over => {
                self.over.remove(&event.socket);
            }
            _ => {}
        }
    }

    /// Looks which senders wait. To be asked often.
    pub fn look(&mut self, session: &Session) {
        if let Some(time) = self.blocked {
            for held_up in session.held_up_for(time) {
                self.waited(held_up, time);
            }
        }
    }

    fn waited(&mut self, held_up: HeldUp, time: Duration) {
        let reported = self.waits.entry(held_up.socket).or_default();
        let is_new = match held_up.since_ns {
            Some(since) => std::mem::replace(&mut reported.since_ns, since) != since,
            // The longest sleep may be the one that was reported while it was on.
            None => {
                let was_reported = std::mem::take(&mut reported.since_ns) != 0;
                !was_reported && held_up.longest_ns > reported.longest_ns
            }
        };
        reported.longest_ns = held_up.longest_ns;
        if is_new {
            self.met
                .entry(held_up.socket)
                .or_insert(Trigger::Blocked(time));
        }
    }

    /// A socket has ended.
    pub fn forget(&mut self, socket: u64) {
        self.over.remove(&socket);
        self.waits.remove(&socket);
    }

    /// Whether there are sockets that were not taken yet.
    #[must_use]
    pub fn are_met(&self) -> bool {
        !self.met.is_empty()
    }

    /// The sockets that met a condition since this was last asked, by their numbers.
    pub fn take(&mut self) -> BTreeMap<u64, Trigger> {
        std::mem::take(&mut self.met)
    }
}

/// How far the queue was over its limit when the call ended, and the furthest since the record
/// before, in bytes: what was booked is taken back, step by step, as far as the limit is known.
fn excess(event: &Event) -> (i32, i32) {
    let limit = event.view.sndbuf;
    let mut queued = event.view.wmem_queued;
    let at_end = queued.saturating_sub(limit);
    let mut most = at_end;
    let ops = event
        .ops
        .iter()
        .take(usize::from(event.header.ops).min(OPS));
    for op in ops.rev() {
        match op.kind {
            OP_BOOK => queued = queued.saturating_sub(op.value),
            OP_LIMIT => break,
            _ => {}
        }
        most = most.max(queued.saturating_sub(limit));
    }
    (at_end, most)
}

#[cfg(test)]
mod tests {
    use skmem_common::record::Op;

    use super::*;

    fn event(w: i32, sndbuf: i32, ops: &[(u8, i32)]) -> Record {
        let mut event = Event {
            socket: 7,
            ..Event::default()
        };
        (event.view.wmem_queued, event.view.sndbuf) = (w, sndbuf);
        event.header.ops = u8::try_from(ops.len()).unwrap();
        for (op, (kind, value)) in event.ops.iter_mut().zip(ops) {
            *op = Op {
                kind: *kind,
                value: *value,
                ..Op::default()
            };
        }
        Record::Event(event)
    }

    #[test]
    fn each_time_over_the_size_counts_once() {
        let mut alarms = Alarms::new(&[Trigger::Excess(500), Trigger::Excess(100)]);
        for (record, expected) in [
            (event(1050, 1000, &[]), 0),
            (event(1150, 1000, &[]), 1),
            (event(1900, 1000, &[]), 0),
            (event(100, 1000, &[]), 0),
            (event(1120, 1000, &[]), 1),
            (event(0, 1000, &[]), 0),
            // Over it and under it again within one record.
            (event(900, 1000, &[(OP_BOOK, 1200), (OP_BOOK, -300)]), 1),
            (event(900, 1000, &[(OP_BOOK, 1050), (OP_BOOK, -150)]), 0),
            // It was not over the limit that it had then.
            (
                event(
                    900,
                    1000,
                    &[(OP_BOOK, 1200), (OP_LIMIT, 1000), (OP_BOOK, -50)],
                ),
                0,
            ),
        ] {
            alarms.record(&record);
            assert_eq!(alarms.are_met(), expected != 0, "{record:?}");
            let met: Vec<_> = alarms.take().into_iter().collect();
            assert_eq!(met, vec![(7, Trigger::Excess(100)); expected]);
        }
        alarms.record(&event(2000, 1000, &[]));
        alarms.forget(7);
        alarms.take();
        alarms.record(&event(2000, 1000, &[]));
        assert!(alarms.are_met());
    }

    #[test]
    fn each_long_wait_counts_once() {
        let time = Duration::from_secs(1);
        let mut alarms = Alarms::new(&[Trigger::Blocked(time)]);
        let mut look = |since_ns, longest_ns| {
            let socket = 3;
            let held_up = HeldUp {
                socket,
                since_ns,
                longest_ns,
            };
            alarms.waited(held_up, time);
            alarms.take().len()
        };
        // One that no look saw while it was on.
        assert_eq!(look(None, 1_100_000_000), 1);
        assert_eq!(look(None, 1_100_000_000), 0);
        assert_eq!(look(Some(5), 1_100_000_000), 1);
        assert_eq!(look(Some(5), 1_100_000_000), 0);
        assert_eq!(look(Some(6), 1_100_000_000), 1);
        // It has ended, and was the longest; then there is a longer one.
        assert_eq!(look(None, 1_200_000_000), 0);
        assert_eq!(look(None, 1_300_000_000), 1);
    }
}
