//! How long an admitted skb's bytes stayed queued.
//!
//! Records do not follow an skb: the kernel cuts and merges skbs at will. They
//! do say when a new one was queued, and up to which sequence number payload
//! was written before the next one was. A life is that of this range: from the
//! record of the admission until `snd_una` has passed its last byte.

use std::collections::VecDeque;

use skmem_common::{
    cause::Cause,
    record::{Event, OP_ADMIT, OP_BOOK, OPS, Op},
};

/// Unacknowledged ranges that are followed; of more, the oldest are given up.
const MOST: usize = 1 << 16;

/// The bytes of an skb, from its admission until they were acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When the record of its admission was made, in ns of
    /// `CLOCK_MONOTONIC`.
    pub from_ns: u64,
    /// Time of the record by which its last byte was acknowledged (or else freed, or the records
    /// ended), in ns of `CLOCK_MONOTONIC`.
    pub to_ns: u64,
    /// Payload written until the next skb was queued, in bytes.
    pub bytes: u32,
    /// It passed the test against `sndbuf`; else it was queued without one.
    pub admitted: bool,
    /// How it ended.
    pub end: End,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `snd_una` passed its last byte.
    Acknowledged,
    /// The queues were emptied: the connection was reset, or the socket
    /// destroyed.
    Purged,
    /// The records ended before.
    Open,
}

impl End {
    /// The name in output and docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Purged => "purged",
            Self::Open => "still queued when the recording ended",
        }
    }
}

/// The skbs of one socket whose bytes are not acknowledged.
#[derive(Debug, Clone, Default)]
pub struct Lives {
    queued: VecDeque<Queued>,
    /// `write_seq` as of the last operation.
    write_seq: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Queued {
    from_ns: u64,
    start: u32,
    admitted: bool,
}

impl Lives {
    /// Takes in the next event of the socket (not one without the lock), and
    /// hands on the lives that it ended.
    pub fn feed(&mut self, event: &Event, mut ended: impl FnMut(Life)) {
        let write_seq = self.write_seq.get_or_insert(event.before.write_seq);
        let mut purged = false;
        let used = usize::from(event.header.ops).min(OPS);
        for op in &event.ops[..used] {
            let cause = Cause::from_u8(op.cause);
            let starts = op.kind == OP_ADMIT
                || (op.kind == OP_BOOK && cause == Some(Cause::SkbOverhead) && op.value > 0);
            if starts {
                self.queued.push_back(Queued {
                    from_ns: event.time_ns,
                    start: *write_seq,
                    admitted: op.kind == OP_ADMIT,
                });
                if self.queued.len() > MOST {
                    self.queued.pop_front();
                }
            }
            *write_seq = write_seq.wrapping_add(payload(op));
            purged |= op.kind == OP_BOOK && cause.is_some_and(Cause::empties_the_queue);
        }
        // What was booked differs from what was written where bytes were lost
        // or have no name.
        *write_seq = event.view.write_seq;
        let una = event.view.snd_una;
        let end_of = |queued: &VecDeque<Queued>, write_seq: u32| {
            queued.get(1).map_or(write_seq, |next| next.start)
        };
        while let Some(first) = self.queued.front().copied() {
            let end = end_of(&self.queued, *write_seq);
            if end == first.start && self.queued.len() > 1 {
                // Taken off again unused: the next one starts where it did.
                self.queued.pop_front();
                continue;
            }
            // One that holds no payload yet is not acknowledged.
            let passed = una.wrapping_sub(end).cast_signed() >= 0 && end != first.start;
            if !passed && !purged {
                break;
            }
            self.queued.pop_front();
            ended(first.life(
                event.time_ns,
                end,
                if passed {
                    End::Acknowledged
                } else {
                    End::Purged
                },
            ));
        }
    }

    /// The lives that have not ended by `end_ns`.
    pub fn unfinished(&self, end_ns: u64) -> impl Iterator<Item = Life> + '_ {
        let last = self.write_seq.unwrap_or_default();
        (0..self.queued.len()).filter_map(move |n| {
            let end = self.queued.get(n + 1).map_or(last, |next| next.start);
            Some(self.queued.get(n)?.life(end_ns, end, End::Open))
        })
    }
}

impl Queued {
    fn life(self, to_ns: u64, end: u32, how: End) -> Life {
        Life {
            from_ns: self.from_ns,
            to_ns: to_ns.max(self.from_ns),
            bytes: end.wrapping_sub(self.start),
            admitted: self.admitted,
            end: how,
        }
    }
}

/// How far an operation moved `write_seq`.
fn payload(op: &Op) -> u32 {
    let payload = Cause::from_u8(op.cause).is_some_and(Cause::is_payload);
    if op.kind == OP_BOOK && op.value > 0 && payload {
        op.value.cast_unsigned()
    } else {
        0
    }
}
