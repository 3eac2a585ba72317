//! Samples within bounded memory.
//!
//! As long as there are few, all are kept. Beyond that, time is cut into
//! columns, and of each column these are kept, each a whole sample: the first,
//! the last, and for each curve ([`Curve`]) the one where it is least and the
//! one where it is greatest. So no extreme of any curve is ever lost, the
//! worst excess least of all, and a stack of causes still sums to its
//! `wmem_queued`.

use super::track::Sample;

/// What is drawn of a sample, and so must keep its extremes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// `wmem_queued - sndbuf`.
    Excess,
    /// `wmem_queued`.
    WmemQueued,
    /// `sndbuf`.
    Sndbuf,
    /// `send_q`.
    SendQ,
    /// `forward_alloc`.
    ForwardAlloc,
    /// `wmem_alloc`.
    WmemAlloc,
}

impl Curve {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Excess,
        Self::WmemQueued,
        Self::Sndbuf,
        Self::SendQ,
        Self::ForwardAlloc,
        Self::WmemAlloc,
    ];

    /// Its value in `sample`, in bytes.
    #[must_use]
    pub fn of(self, sample: &Sample) -> i64 {
        match self {
            Self::Excess => sample.excess(),
            Self::WmemQueued => sample.wmem_queued.into(),
            Self::Sndbuf => sample.sndbuf.into(),
            Self::SendQ => sample.send_q.into(),
            Self::ForwardAlloc => sample.forward_alloc.into(),
            Self::WmemAlloc => sample.wmem_alloc.into(),
        }
    }
}

/// Samples of one column.
#[derive(Debug, Clone)]
struct Column {
    /// First, last, and least and greatest of each curve, with their places in
    /// the order of arrival.
    first: (u64, Sample),
    last: (u64, Sample),
    least: [(u64, Sample); Curve::ALL.len()],
    greatest: [(u64, Sample); Curve::ALL.len()],
}

impl Column {
    fn new(at: (u64, Sample)) -> Self {
        Self {
            first: at,
            last: at,
            least: [at; Curve::ALL.len()],
            greatest: [at; Curve::ALL.len()],
        }
    }

    fn add(&mut self, at: (u64, Sample)) {
        self.last = at;
        for (n, curve) in Curve::ALL.into_iter().enumerate() {
            let value = curve.of(&at.1);
            if value < curve.of(&self.least[n].1) {
                self.least[n] = at;
            }
            if value > curve.of(&self.greatest[n].1) {
                self.greatest[n] = at;
            }
        }
    }

    /// What is kept, in the order of arrival.
    fn kept(&self) -> Vec<Sample> {
        let mut all = vec![self.first, self.last];
        all.extend(self.least);
        all.extend(self.greatest);
        all.sort_by_key(|(order, _)| *order);
        all.dedup_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, sample)| sample).collect()
    }
}

/// Samples between two instants.
#[derive(Debug, Clone)]
pub struct Thin {
    from_ns: u64,
    to_ns: u64,
    columns: usize,
    most: usize,
    arrived: u64,
    all: Vec<Sample>,
    thinned: Vec<Option<Box<Column>>>,
}

impl Thin {
    /// Keeps up to `most` samples as they are, and of more the extremes of
    /// each of `columns` columns between these instants, in ns of
    /// `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn new(from_ns: u64, to_ns: u64, columns: usize, most: usize) -> Self {
        Self {
            from_ns,
            to_ns: to_ns.max(from_ns),
            columns: columns.max(1),
            most,
            arrived: 0,
            all: Vec::new(),
            thinned: Vec::new(),
        }
    }

    /// Takes in the next sample.
    pub fn add(&mut self, sample: Sample) {
        self.arrived += 1;
        if self.thinned.is_empty() {
            self.all.push(sample);
            if self.all.len() > self.most {
                self.thinned = vec![None; self.columns];
                for (n, sample) in std::mem::take(&mut self.all).into_iter().enumerate() {
                    self.place(n as u64, sample);
                }
            }
            return;
        }
        self.place(self.arrived, sample);
    }

    /// How many have arrived.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Whether some were left out.
    #[must_use]
    pub fn is_thinned(&self) -> bool {
        !self.thinned.is_empty()
    }

    /// Those that were kept, in the order of arrival.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        if self.thinned.is_empty() {
            return self.all.clone();
        }
        let columns = self.thinned.iter().flatten();
        columns.flat_map(|column| column.kept()).collect()
    }

    fn place(&mut self, order: u64, sample: Sample) {
        let n = column(sample.time_ns, self.from_ns, self.to_ns, self.thinned.len());
        match self.thinned.get_mut(n) {
            Some(Some(column)) => column.add((order, sample)),
            Some(empty) => *empty = Some(Box::new(Column::new((order, sample)))),
            None => {}
        }
    }
}

/// The column of an instant; those outside go to the first and the last one.
#[must_use]
pub fn column(at_ns: u64, from_ns: u64, to_ns: u64, columns: usize) -> usize {
    let whole = u128::from(to_ns.saturating_sub(from_ns)) + 1;
    let part = u128::from(at_ns.saturating_sub(from_ns));
    let n = part * columns as u128 / whole;
    usize::try_from(n)
        .unwrap_or(usize::MAX)
        .min(columns.saturating_sub(1))
}
