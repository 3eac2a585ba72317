//! The receive side of one socket over time, within bounded memory.

use skmem_common::{
    hook::Hook,
    receive::ReceiveView,
    receive_cause::{RECEIVE_CAUSES, ReceiveCause},
    record::{FLAG_BOOKED, FLAG_LOCKLESS, OP_BOOK, Receive},
};

use super::{
    receive_stack::{ByReceiveCause, ReceiveStack},
    thin::column,
};
use crate::model::record::Record;

/// What a receive buffer holds at an instant, in bytes: `rmem_alloc` is the sum of `by_cause` and
/// `to_come`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filled {
    /// ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// By the cause that put it there.
    pub by_cause: ByReceiveCause,
    /// Not booked yet: a hook to come does that. All of it in recordings of format 1, which do not
    /// tell what was booked.
    pub to_come: i32,
    /// Not read yet: `rcv_nxt - copied_seq`.
    pub recv_q: u32,
    /// `sk_rmem_alloc`.
    pub rmem_alloc: i32,
    /// `sk_rcvbuf`.
    pub rcvbuf: i32,
    /// What is left of the window offered to the peer.
    pub window: u32,
}

impl Filled {
    fn of(time_ns: u64, view: &ReceiveView, stack: &ReceiveStack) -> Self {
        let (by_cause, to_come) = stack.at(view.rmem_alloc);
        Self {
            time_ns,
            by_cause,
            to_come,
            recv_q: view.recv_q(),
            rmem_alloc: view.rmem_alloc,
            rcvbuf: view.rcvbuf,
            window: view.window,
        }
    }

    /// What is there now that this cause put there.
    #[must_use]
    pub const fn of_cause(&self, cause: ReceiveCause) -> i32 {
        self.by_cause[cause as usize % RECEIVE_CAUSES]
    }
}

/// What is drawn of a sample, and keeps its extremes.
const CURVES: [fn(&Filled) -> i64; 3] = [
    |s| s.rmem_alloc.into(),
    |s| s.window.into(),
    |s| s.recv_q.into(),
];

/// The samples of one column, in the order of their numbers.
#[derive(Debug, Clone, Copy)]
struct Kept {
    first: (u64, Filled),
    last: (u64, Filled),
    least: [(u64, Filled); CURVES.len()],
    greatest: [(u64, Filled); CURVES.len()],
}

impl Kept {
    fn new(at: (u64, Filled)) -> Self {
        Self {
            first: at,
            last: at,
            least: [at; CURVES.len()],
            greatest: [at; CURVES.len()],
        }
    }

    fn add(&mut self, at: (u64, Filled)) {
        self.last = at;
        for (n, of) in CURVES.iter().enumerate() {
            if of(&at.1) < of(&self.least[n].1) {
                self.least[n] = at;
            }
            if of(&at.1) > of(&self.greatest[n].1) {
                self.greatest[n] = at;
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = (u64, Filled)> {
        let ends = [self.first, self.last].into_iter();
        ends.chain(self.least).chain(self.greatest)
    }
}

/// One socket's receive side between two instants.
#[derive(Debug, Clone)]
pub struct Receiver {
    from_ns: u64,
    to_ns: u64,
    columns: Vec<Option<Box<Kept>>>,
    arrived: u64,
    before: Option<Filled>,
    fullest: Option<Filled>,
    stack: ReceiveStack,
    /// The number of the socket's next record.
    next: Option<u32>,
    /// Records are missing: the next one read under the lock says what is there.
    out_of_sync: bool,
    /// How many records are missing.
    missed: u64,
    rcv_nxt: Option<u32>,
    /// Since when the window is 0.
    shut_since: Option<u64>,
    /// When the window was 0, those that are close joined; how long together, and how often.
    shut: Vec<(u64, u64)>,
    shut_ns: u64,
    shut_count: u64,
    reads: u64,
    copied_seq: Option<u32>,
}

impl Receiver {
    /// Between these instants, in ns of `CLOCK_MONOTONIC`; of each of `columns` columns the
    /// extremes are kept.
    #[must_use]
    pub fn new(from_ns: u64, to_ns: u64, columns: usize) -> Self {
        Self {
            from_ns,
            to_ns: to_ns.max(from_ns),
            columns: vec![None; columns.max(1)],
            arrived: 0,
            before: None,
            fullest: None,
            stack: ReceiveStack::default(),
            next: None,
            out_of_sync: false,
            missed: 0,
            rcv_nxt: None,
            shut_since: None,
            shut: Vec::new(),
            shut_ns: 0,
            shut_count: 0,
            reads: 0,
            copied_seq: None,
        }
    }

    /// Takes in the socket's next record.
    pub fn feed(&mut self, record: &Record) {
        if let Some((_, number)) = record.place() {
            // What came before the recording's first record of a socket is not missing in it.
            let missed = self.next.map_or(0, |next| number.wrapping_sub(next));
            self.next = Some(number.wrapping_add(1));
            self.out_of_sync |= missed != 0;
            self.missed += u64::from(missed);
        }
        if let Record::Receive(record) = record {
            self.changed(record);
        }
    }

    fn changed(&mut self, record: &Receive) {
        self.book(record);
        let (view, at) = (&record.view, record.time_ns);
        let inside = (self.from_ns..=self.to_ns).contains(&at);
        if record.header.flags & FLAG_LOCKLESS == 0 {
            let read = self.copied_seq.replace(view.copied_seq);
            let read = read.is_some_and(|was| view.copied_seq.wrapping_sub(was).cast_signed() > 0);
            self.reads += u64::from(read && inside);
            match (view.is_shut(), self.shut_since) {
                (true, None) => self.shut_since = Some(at),
                (false, Some(since)) => {
                    self.shut_since = None;
                    self.was_shut(since, at);
                }
                _ => {}
            }
        }
        let sample = Filled::of(at, view, &self.stack);
        if at < self.from_ns {
            self.before = Some(sample);
        } else if inside {
            self.arrived += 1;
            if self
                .fullest
                .is_none_or(|f| sample.rmem_alloc > f.rmem_alloc)
            {
                self.fullest = Some(sample);
            }
            let n = column(at, self.from_ns, self.to_ns, self.columns.len());
            if let Some(place) = self.columns.get_mut(n) {
                match place {
                    Some(kept) => kept.add((self.arrived, sample)),
                    None => *place = Some(Box::new(Kept::new((self.arrived, sample)))),
                }
            }
        }
    }

    /// Books what the record says was done.
    fn book(&mut self, record: &Receive) {
        let locked = record.header.flags & FLAG_LOCKLESS == 0;
        if locked && record.header.hook == Hook::ReceiveSeen as u8 {
            self.stack.restart();
            self.rcv_nxt = None;
        }
        let used = usize::from(record.header.ops).min(record.ops.len());
        let mut in_order = 0_i32;
        for op in record.ops[..used].iter().filter(|op| op.kind == OP_BOOK) {
            let cause = ReceiveCause::from_u8(op.cause).unwrap_or(ReceiveCause::Unattributed);
            self.stack.book(cause, op.value);
            if cause.is_payload() {
                in_order = op.value.saturating_add(in_order);
            }
        }
        if !locked || record.header.flags & FLAG_BOOKED == 0 {
            return;
        }
        let to = record.view.rcv_nxt;
        let from = self.rcv_nxt.replace(to);
        let off = record.view.rmem_alloc.wrapping_sub(self.stack.height());
        if from.is_none() {
            // The record of its start was lost, or is not in this file.
            self.stack.book(ReceiveCause::ReceivedBefore, off);
        } else if std::mem::take(&mut self.out_of_sync) {
            self.stack.book(ReceiveCause::Unattributed, off);
        }
        // A FIN takes a sequence number.
        let arrived = to.wrapping_sub(from.unwrap_or(to)).cast_signed();
        if arrived.saturating_sub(in_order) > 1 {
            self.stack.join();
        }
    }

    /// The end of the records.
    pub fn finish(&mut self) {
        if let Some(since) = self.shut_since.take() {
            self.was_shut(since, self.to_ns);
        }
    }

    fn was_shut(&mut self, since: u64, until: u64) {
        let (from, to) = (since.max(self.from_ns), until.min(self.to_ns));
        if from >= to {
            return;
        }
        self.shut_count += 1;
        self.shut_ns += to - from;
        let gap = (self.to_ns - self.from_ns) / (2 * self.columns.len() as u64);
        match self.shut.last_mut() {
            // Closer than half a column, they look like one.
            Some(last) if from <= last.1.saturating_add(gap) => last.1 = to,
            _ => self.shut.push((from, to)),
        }
    }

    /// Start and end, in ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        (self.from_ns, self.to_ns)
    }

    /// The samples that were kept, oldest first; the first one is at the start where anything is
    /// known of it.
    #[must_use]
    pub fn samples(&self) -> Vec<Filled> {
        let mut all: Vec<(u64, Filled)> = self
            .columns
            .iter()
            .flatten()
            .flat_map(|kept| kept.all())
            .collect();
        all.sort_by_key(|(order, _)| *order);
        all.dedup_by_key(|(order, _)| *order);
        let opening = self.before.map(|s| Filled {
            time_ns: self.from_ns,
            ..s
        });
        let kept = all.into_iter().map(|(_, sample)| sample);
        opening.into_iter().chain(kept).collect()
    }

    /// The sample with the most in the buffer.
    #[must_use]
    pub fn fullest(&self) -> Option<&Filled> {
        self.fullest.as_ref()
    }

    /// Times in which the window was 0, oldest first, those that are close joined.
    #[must_use]
    pub fn shut(&self) -> &[(u64, u64)] {
        &self.shut
    }

    /// How often the window was 0, and for how long together, in ns.
    #[must_use]
    pub fn times_shut(&self) -> (u64, u64) {
        (self.shut_count, self.shut_ns)
    }

    /// How many of the socket's records are missing.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Times that the application took data.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads
    }
}

#[cfg(test)]
mod tests {
    use ReceiveCause as C;
    use skmem_common::record::{Header, Op};

    use super::*;

    /// What a socket's records say, one after another.
    #[derive(Default)]
    struct Stream(Vec<Receive>);

    impl Stream {
        fn add(&mut self, time_ns: u64, r: i32, seq: (u32, u32), window: u32, ops: &[(C, i32)]) {
            let mut record = Receive {
                header: Header {
                    flags: FLAG_BOOKED,
                    ops: ops.len().try_into().unwrap(),
                    ..Header::default()
                },
                time_ns,
                event_no: self.0.last().map_or(1, |last| last.event_no + 1),
                view: ReceiveView {
                    rmem_alloc: r,
                    rcvbuf: 8_192,
                    rcv_nxt: seq.0,
                    copied_seq: seq.1,
                    window,
                    state: 1,
                    ..ReceiveView::default()
                },
                ..Receive::default()
            };
            for (to, (cause, value)) in record.ops.iter_mut().zip(ops) {
                *to = Op {
                    cause: *cause as u8,
                    value: *value,
                    ..Op::default()
                };
            }
            self.0.push(record);
        }

        /// Read without the socket's lock, and not numbered.
        fn lockless(&mut self, time_ns: u64, r: i32, seq: (u32, u32), ops: &[(C, i32)]) {
            self.add(time_ns, r, seq, 4_000, ops);
            let last = self.0.last_mut().unwrap();
            last.header.flags |= FLAG_LOCKLESS;
            last.event_no -= 1;
        }

        fn between(&self, from_ns: u64, to_ns: u64, columns: usize) -> Receiver {
            let mut r = Receiver::new(from_ns, to_ns, columns);
            self.0
                .iter()
                .for_each(|record| r.feed(&Record::Receive(*record)));
            r.finish();
            for s in r.samples() {
                let sum = s.by_cause.iter().sum::<i32>() + s.to_come;
                assert_eq!(sum, s.rmem_alloc, "{s:?}");
            }
            r
        }
    }

    fn at(r: &Receiver, time_ns: u64) -> Filled {
        *r.samples().iter().find(|s| s.time_ns == time_ns).unwrap()
    }

    #[test]
    fn what_r_consists_of_adds_up() {
        let mut s = Stream::default();
        let arrived = [(C::InOrder, 1_000), (C::InOrderOverhead, 896)];
        s.add(50, 1_896, (1_000, 0), 4_000, &arrived);
        s.lockless(200, 2_700, (1_000, 0), &[(C::ErrorQueued, 804)]);
        s.add(300, 2_700, (1_000, 600), 0, &[]);
        s.add(500, 804, (1_000, 1_000), 4_000, &[(C::Read, -1_896)]);
        s.add(900, 804, (1_000, 1_000), 0, &[]);
        let r = s.between(100, 1_100, 10);
        let part =
            |of: &Filled| [C::InOrder, C::InOrderOverhead, C::ErrorQueued].map(|c| of.of_cause(c));
        assert_eq!(
            (part(&at(&r, 300)), at(&r, 300).recv_q),
            ([1_000, 896, 804], 400)
        );
        assert_eq!(part(&at(&r, 500)), [0, 0, 804]);
        assert_eq!(
            (at(&r, 100).recv_q, at(&r, 100).of_cause(C::InOrder)),
            (1_000, 1_000)
        );
        assert_eq!(r.times_shut(), (2, 400));
        assert_eq!(r.shut(), [(300, 500), (900, 1_100)]);
        assert_eq!((r.reads(), r.missed()), (2, 0));
    }

    #[test]
    fn what_no_record_names_is_said_to_be_so() {
        let mut s = Stream::default();
        // The first record of the file: what it does not book was there before.
        s.add(10, 5_000, (1_000, 0), 4_000, &[(C::InOrder, 100)]);
        // Under way, and booked by the next one.
        s.lockless(20, 5_900, (1_000, 0), &[(C::ErrorQueued, 800)]);
        s.add(30, 5_900, (1_100, 0), 4_000, &[(C::InOrder, 100)]);
        // Two records are lost.
        s.add(40, 9_000, (2_000, 0), 4_000, &[]);
        let last = s.0.last_mut().unwrap();
        last.event_no += 2;
        s.add(50, 9_000, (2_000, 0), 4_000, &[]);
        let r = s.between(0, 100, 100);
        assert_eq!(at(&r, 10).of_cause(C::ReceivedBefore), 4_900);
        assert_eq!((at(&r, 20).to_come, at(&r, 30).to_come), (100, 0));
        assert_eq!(at(&r, 40).of_cause(C::Unattributed), 3_100);
        assert_eq!(r.missed(), 2);
    }

    #[test]
    fn data_beyond_a_hole_joins_when_it_is_filled() {
        let mut s = Stream::default();
        s.add(10, 0, (1_000, 1_000), 4_000, &[]);
        s.add(20, 2_000, (1_000, 1_000), 4_000, &[(C::OutOfOrder, 2_000)]);
        s.add(
            30,
            3_500,
            (2_000, 1_000),
            4_000,
            &[(C::InOrder, 1_000), (C::InOrderOverhead, 500)],
        );
        s.add(40, 3_500, (3_000, 1_000), 4_000, &[]);
        s.add(50, 4_500, (4_000, 1_000), 4_000, &[(C::InOrder, 1_000)]);
        // What filled the hole goes first, then what had waited for it.
        s.add(60, 1_000, (4_000, 3_000), 4_000, &[(C::Read, -3_500)]);
        let r = s.between(0, 100, 100);
        assert_eq!(at(&r, 50).of_cause(C::OutOfOrder), 2_000);
        assert_eq!(
            (
                at(&r, 60).of_cause(C::OutOfOrder),
                at(&r, 60).of_cause(C::InOrder)
            ),
            (0, 1_000)
        );
    }

    #[test]
    fn an_account_that_begins_anew_keeps_the_error_queue() {
        let mut s = Stream::default();
        s.add(10, 1_000, (1_000, 0), 4_000, &[(C::InOrder, 1_000)]);
        s.lockless(20, 1_800, (1_000, 0), &[(C::ErrorQueued, 800)]);
        s.add(
            30,
            1_500,
            (9_000, 8_500),
            4_000,
            &[(C::ReceivedBefore, 700)],
        );
        s.0.last_mut().unwrap().header.hook = Hook::ReceiveSeen as u8;
        let r = s.between(0, 100, 100);
        let now = at(&r, 30);
        assert_eq!(
            (now.of_cause(C::InOrder), now.of_cause(C::ReceivedBefore)),
            (0, 700)
        );
        assert_eq!((now.of_cause(C::ErrorQueued), now.to_come), (800, 0));
    }

    #[test]
    fn a_recording_of_format_1_tells_no_cause() {
        let mut s = Stream::default();
        s.add(10, 1_000, (1_000, 0), 4_000, &[]);
        s.0.last_mut().unwrap().header.flags = 0;
        let r = s.between(0, 100, 100);
        assert_eq!((at(&r, 10).to_come, at(&r, 10).recv_q), (1_000, 1_000));
    }

    #[test]
    fn extremes_stay_however_many_samples_there_are() {
        let mut s = Stream::default();
        for n in 0..100_000_u32 {
            let rmem = if n == 31_007 { 999_999 } else { 1_000 };
            let read = if n == 72_011 { n - 777 } else { n };
            s.add(n.into(), rmem, (n, read), 1 + n % 50, &[]);
        }
        let r = s.between(0, 100_000, 4);
        let samples = r.samples();
        assert!(samples.len() <= 4 * 8, "{}", samples.len());
        assert!(samples.iter().any(|s| s.rmem_alloc == 999_999));
        assert!(samples.iter().any(|s| s.recv_q == 777));
        assert_eq!(r.fullest().map(|s| s.time_ns), Some(31_007));
    }
}
