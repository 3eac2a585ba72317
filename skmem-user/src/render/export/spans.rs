//! What a viewer of traces shows of a recording: for each socket its counters,
//! the times in which senders slept, and the lives of skbs.

use hashbrown::HashMap;
use skmem_common::{account::Account, record::Receive};

use crate::model::{
    record::Record,
    survey,
    timeline::{Life, LimitMove, Mark, Sample, Track},
};

/// A counter of a socket, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    /// `sk_wmem_queued`
    WmemQueued,
    /// `sk_sndbuf`
    Sndbuf,
    /// `wmem_queued - sndbuf`, 0 where it is not positive
    Excess,
    /// `write_seq - snd_una`
    SendQ,
    /// `sk_forward_alloc`
    ForwardAlloc,
    /// `sk_wmem_alloc - 1`
    WmemAlloc,
    /// `sk_rmem_alloc`
    RmemAlloc,
    /// `sk_rcvbuf`
    Rcvbuf,
    /// `rcv_nxt - copied_seq`
    RecvQ,
}

impl Counter {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::WmemQueued,
        Self::Sndbuf,
        Self::Excess,
        Self::SendQ,
        Self::ForwardAlloc,
        Self::WmemAlloc,
        Self::RmemAlloc,
        Self::Rcvbuf,
        Self::RecvQ,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WmemQueued => "wmem_queued",
            Self::Sndbuf => "sndbuf",
            Self::Excess => "excess",
            Self::SendQ => "send_q",
            Self::ForwardAlloc => "forward_alloc",
            Self::WmemAlloc => "wmem_alloc",
            Self::RmemAlloc => "rmem_alloc",
            Self::Rcvbuf => "rcvbuf",
            Self::RecvQ => "recv_q",
        }
    }
}

/// A value for each counter that has one, in bytes.
pub type Counts = [Option<i64>; Counter::ALL.len()];

/// Where slices and instants of a socket are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rail {
    /// Sleeps of a thread.
    Blocked(u32),
    /// Lives of skbs that do not overlap.
    Skbs(u32),
    /// Moves of the limit, and `EAGAIN`s.
    Marks,
}

/// A value that explains a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// A number.
    Number(i64),
    /// Words.
    Words(&'static str),
}

/// Something to show. Times are ns of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Counters have new values.
    Counts {
        /// When.
        at_ns: u64,
        /// By counter, in bytes; None: it has not moved.
        moved: Counts,
    },
    /// Something that lasted.
    Slice {
        /// Where.
        rail: Rail,
        /// Start.
        from_ns: u64,
        /// End.
        to_ns: u64,
        /// What.
        name: &'static str,
        /// Details.
        args: Vec<(&'static str, Arg)>,
    },
    /// Something that did not.
    Instant {
        /// Where.
        rail: Rail,
        /// When.
        at_ns: u64,
        /// What.
        name: &'static str,
        /// Details.
        args: Vec<(&'static str, Arg)>,
    },
}

/// One socket.
#[derive(Debug, Default)]
struct OpenSpans {
    track: Track,
    last: Counts,
    /// When each rail of skbs is free again.
    free: Vec<u64>,
}

/// Most sockets that are followed: a file may claim any number.
const MOST: usize = 1 << 16;

/// All sockets of a recording.
#[derive(Debug, Default)]
pub struct Spans {
    sockets: HashMap<u64, OpenSpans>,
    omitted: u64,
}

impl Spans {
    /// Takes in the next record, and hands on what it shows, with the socket's
    /// number.
    pub fn feed(&mut self, record: &Record, mut show: impl FnMut(u64, Shown)) {
        let id = survey::id(record);
        let Some(one) = self.one(id) else {
            self.omitted += 1;
            return;
        };
        let mut track = std::mem::take(&mut one.track);
        track.feed(record, |mark| one.mark(mark, &mut |shown| show(id, shown)));
        one.track = track;
        if let Record::Receive(record) = record {
            one.receive(record, &mut |shown| show(id, shown));
        }
    }

    /// Takes in an account that lies among the records, with the sleepers that it
    /// names.
    pub fn account(&mut self, account: &Account, sleepers: &[(u32, u64)]) {
        if let Some(one) = self.one(account.ident.id) {
            one.track.account(account, sleepers);
        }
    }

    fn one(&mut self, id: u64) -> Option<&mut OpenSpans> {
        if self.sockets.len() >= MOST && !self.sockets.contains_key(&id) {
            return None;
        }
        Some(self.sockets.entry(id).or_default())
    }

    /// Records of sockets for which there was no room.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// The end of the records.
    pub fn finish(&mut self, end_ns: u64, mut show: impl FnMut(u64, Shown)) {
        let mut ids: Vec<u64> = self.sockets.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(one) = self.sockets.get_mut(&id) else {
                continue;
            };
            let mut marks = Vec::new();
            one.track.finish(end_ns, |mark| marks.push(mark));
            for mark in marks {
                one.mark(mark, &mut |shown| show(id, shown));
            }
        }
    }
}

impl OpenSpans {
    fn mark(&mut self, mark: Mark, show: &mut impl FnMut(Shown)) {
        match mark {
            Mark::Sample(sample) => self.sample(&sample, show),
            Mark::Sleep(s) => show(Shown::Slice {
                rail: Rail::Blocked(s.tid),
                from_ns: s.from_ns,
                to_ns: s.to_ns,
                name: match s.reason.name() {
                    "limit" => "blocked: wmem_queued had reached sndbuf",
                    "memory" => "blocked: memory was refused",
                    "notsent_lowat" => "blocked: notsent_lowat",
                    _ => "blocked",
                },
                args: vec![
                    ("reason", Arg::Words(s.reason.name())),
                    ("tid", Arg::Number(s.tid.into())),
                    (
                        "ended",
                        Arg::Words(if s.open {
                            "not in the recording"
                        } else {
                            "yes"
                        }),
                    ),
                ],
            }),
            Mark::Refusal(r) => show(Shown::Instant {
                rail: Rail::Marks,
                at_ns: r.at_ns,
                name: if r.short { "short write" } else { "EAGAIN" },
                args: vec![
                    ("reason", Arg::Words(r.reason.name())),
                    ("tid", Arg::Number(r.tid.into())),
                ],
            }),
            Mark::Limit(m) => show(limit(&m)),
            Mark::Life(life) => self.life(&life, show),
            Mark::Gap { at_ns, missed } => show(Shown::Instant {
                rail: Rail::Marks,
                at_ns,
                name: "records lost",
                args: vec![("count", Arg::Number(missed.cast_signed()))],
            }),
            Mark::Admission { .. } => {}
        }
    }

    fn sample(&mut self, sample: &Sample, show: &mut impl FnMut(Shown)) {
        let s = sample;
        self.count(
            s.time_ns,
            &[
                (Counter::WmemQueued, s.wmem_queued.into()),
                (Counter::Sndbuf, s.sndbuf.into()),
                (Counter::Excess, s.excess().max(0)),
                (Counter::SendQ, s.send_q.into()),
                (Counter::ForwardAlloc, s.forward_alloc.into()),
                (Counter::WmemAlloc, s.wmem_alloc.into()),
            ],
            show,
        );
    }

    fn receive(&mut self, record: &Receive, show: &mut impl FnMut(Shown)) {
        let view = &record.view;
        self.count(
            record.time_ns,
            &[
                (Counter::RmemAlloc, view.rmem_alloc.into()),
                (Counter::Rcvbuf, view.rcvbuf.into()),
                (Counter::RecvQ, view.recv_q().into()),
            ],
            show,
        );
    }

    /// Shows those that have moved.
    fn count(&mut self, at_ns: u64, now: &[(Counter, i64)], show: &mut impl FnMut(Shown)) {
        let mut moved = Counts::default();
        for (counter, value) in now {
            let last = &mut self.last[*counter as usize];
            if last.replace(*value) != Some(*value) {
                moved[*counter as usize] = Some(*value);
            }
        }
        if moved.iter().any(Option::is_some) {
            show(Shown::Counts { at_ns, moved });
        }
    }

    /// Lives end in the order in which they began, so the first rail that is
    /// free will do.
    fn life(&mut self, life: &Life, show: &mut impl FnMut(Shown)) {
        let free = self.free.iter().position(|until| *until <= life.from_ns);
        let n = free.unwrap_or(self.free.len());
        match self.free.get_mut(n) {
            Some(until) => *until = life.to_ns,
            None => self.free.push(life.to_ns),
        }
        show(Shown::Slice {
            rail: Rail::Skbs(u32::try_from(n).unwrap_or(u32::MAX)),
            from_ns: life.from_ns,
            to_ns: life.to_ns,
            name: if life.admitted {
                "skb, admitted"
            } else {
                "skb, queued without a test"
            },
            args: vec![
                ("payload_bytes", Arg::Number(life.bytes.into())),
                ("end", Arg::Words(life.end.name())),
            ],
        });
    }
}

fn limit(m: &LimitMove) -> Shown {
    Shown::Instant {
        rail: Rail::Marks,
        at_ns: m.at_ns,
        name: "sndbuf moved",
        args: vec![
            ("cause", Arg::Words(m.cause.name())),
            ("from_bytes", Arg::Number(m.from.into())),
            ("to_bytes", Arg::Number(m.to.into())),
        ],
    }
}
