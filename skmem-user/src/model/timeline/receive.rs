//! The receive side of one socket over time, within bounded memory.

use skmem_common::{
    receive::ReceiveView,
    receive_cause::ReceiveCause,
    record::{FLAG_LOCKLESS, OP_BOOK, Receive},
};

use super::thin::column;

/// What a receive buffer holds at an instant, in bytes: `rmem_alloc` is the sum of the first three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filled {
    /// ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Not read yet: `rcv_nxt - copied_seq`, at most what is left of `rmem_alloc`.
    pub unread: i32,
    /// On the error queue, as far as it came there during the trace.
    pub errors: i32,
    /// Read in part and held, heads of skbs, room in pages, out of order.
    pub rest: i32,
    /// `sk_rmem_alloc`.
    pub rmem_alloc: i32,
    /// `sk_rcvbuf`.
    pub rcvbuf: i32,
    /// What is left of the window offered to the peer.
    pub window: u32,
}

impl Filled {
    fn of(time_ns: u64, view: &ReceiveView, errors: i32) -> Self {
        let rmem_alloc = view.rmem_alloc;
        let errors = errors.clamp(0, rmem_alloc.max(0));
        let unread = view
            .recv_q()
            .cast_signed()
            .clamp(0, (rmem_alloc - errors).max(0));
        Self {
            time_ns,
            unread,
            errors,
            rest: rmem_alloc.wrapping_sub(unread).wrapping_sub(errors),
            rmem_alloc,
            rcvbuf: view.rcvbuf,
            window: view.window,
        }
    }
}

/// The samples of one column, in the order of their numbers.
#[derive(Debug, Clone, Copy)]
struct Kept {
    first: (u64, Filled),
    last: (u64, Filled),
    fullest: (u64, Filled),
    emptiest: (u64, Filled),
    widest: (u64, Filled),
    narrowest: (u64, Filled),
}

impl Kept {
    fn new(at: (u64, Filled)) -> Self {
        Self {
            first: at,
            last: at,
            fullest: at,
            emptiest: at,
            widest: at,
            narrowest: at,
        }
    }

    fn add(&mut self, at: (u64, Filled)) {
        self.last = at;
        let now = &at.1;
        if now.rmem_alloc > self.fullest.1.rmem_alloc {
            self.fullest = at;
        }
        if now.rmem_alloc < self.emptiest.1.rmem_alloc {
            self.emptiest = at;
        }
        if now.window > self.widest.1.window {
            self.widest = at;
        }
        if now.window < self.narrowest.1.window {
            self.narrowest = at;
        }
    }

    fn all(&self) -> [(u64, Filled); 6] {
        [
            self.first,
            self.last,
            self.fullest,
            self.emptiest,
            self.widest,
            self.narrowest,
        ]
    }
}

/// One socket's receive side between two instants.
#[derive(Debug, Clone)]
pub struct Receiver {
    from_ns: u64,
    to_ns: u64,
    columns: Vec<Option<Kept>>,
    arrived: u64,
    before: Option<Filled>,
    fullest: Option<Filled>,
    errors: i32,
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
            errors: 0,
            shut_since: None,
            shut: Vec::new(),
            shut_ns: 0,
            shut_count: 0,
            reads: 0,
            copied_seq: None,
        }
    }

    /// Takes in the socket's next record of the receive side.
    pub fn feed(&mut self, record: &Receive) {
        let ops = record.ops.iter().take(record.header.ops.into());
        for op in ops.filter(|op| op.kind == OP_BOOK) {
            if matches!(
                ReceiveCause::from_u8(op.cause),
                Some(ReceiveCause::ErrorQueued | ReceiveCause::ErrorTaken)
            ) {
                self.errors = self.errors.saturating_add(op.value).max(0);
            }
        }
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
        let sample = Filled::of(at, view, self.errors);
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
                    None => *place = Some(Kept::new((self.arrived, sample))),
                }
            }
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
        let mut all: Vec<(u64, Filled)> =
            self.columns.iter().flatten().flat_map(Kept::all).collect();
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

    /// Times that the application took data.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads
    }
}

#[cfg(test)]
mod tests {
    use skmem_common::record::{FLAG_BOOKED, Header, Op};

    use super::*;

    fn record(time_ns: u64, rmem_alloc: i32, received: u32, read: u32, window: u32) -> Receive {
        Receive {
            header: Header {
                flags: FLAG_BOOKED,
                ..Header::default()
            },
            time_ns,
            view: ReceiveView {
                rmem_alloc,
                rcvbuf: 8_192,
                rcv_nxt: received,
                copied_seq: read,
                window,
                state: 1,
                ..ReceiveView::default()
            },
            ..Receive::default()
        }
    }

    #[test]
    fn what_r_consists_of_adds_up() {
        let mut r = Receiver::new(100, 1_100, 10);
        r.feed(&record(50, 1_896, 1_000, 0, 4_000));
        let mut stamp = record(200, 2_700, 1_000, 0, 4_000);
        stamp.header.ops = 1;
        stamp.header.flags |= FLAG_LOCKLESS;
        stamp.ops[0] = Op {
            cause: ReceiveCause::ErrorQueued as u8,
            value: 804,
            ..Op::default()
        };
        r.feed(&stamp);
        r.feed(&record(300, 2_700, 1_000, 600, 0));
        r.feed(&record(500, 804, 1_000, 1_000, 4_000));
        r.feed(&record(900, 804, 1_000, 1_000, 0));
        r.finish();
        let samples = r.samples();
        for s in &samples {
            assert_eq!(s.unread + s.errors + s.rest, s.rmem_alloc, "{s:?}");
        }
        let held = samples.iter().find(|s| s.time_ns == 300).unwrap();
        assert_eq!((held.unread, held.errors, held.rest), (400, 804, 1_496));
        assert_eq!((samples[0].time_ns, samples[0].unread), (100, 1_000));
        assert_eq!(r.times_shut(), (2, 400));
        assert_eq!(r.shut(), [(300, 500), (900, 1_100)]);
        assert_eq!(r.reads(), 2);
    }

    #[test]
    fn extremes_stay_however_many_samples_there_are() {
        let mut r = Receiver::new(0, 100_000, 4);
        for n in 0..100_000_u32 {
            let rmem = if n == 31_007 { 999_999 } else { 1_000 };
            r.feed(&record(n.into(), rmem, n, n, 1 + n % 50));
        }
        r.finish();
        let samples = r.samples();
        assert!(samples.len() <= 4 * 6, "{}", samples.len());
        assert!(samples.iter().any(|s| s.rmem_alloc == 999_999));
        assert_eq!(r.fullest().map(|s| s.time_ns), Some(31_007));
    }
}
