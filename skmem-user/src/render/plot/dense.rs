//! Pictures of more samples than there are columns to draw them in: of each
//! column the samples with most and with least queued, and the extremes of
//! what is drawn as a line. What is shorter than a column is drawn all the
//! same, a column wide.

use crate::model::timeline::{Sample, thin::column};

/// One column: what was in force in it.
pub(super) trait Column: Copy {
    /// What is drawn.
    type Sample: Copy;
    /// One that begins at `from_ns`, in ns of `CLOCK_MONOTONIC`, with this sample in force.
    fn new(from_ns: u64, sample: Self::Sample) -> Self;
    /// Takes in the next sample of it.
    fn add(&mut self, sample: Self::Sample);
    /// The sample that is in force at its end.
    fn last(&self) -> Self::Sample;
}

/// A column of the send side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SendColumn {
    /// When it begins, in ns of `CLOCK_MONOTONIC`.
    pub from_ns: u64,
    /// The sample with most queued.
    pub most: Sample,
    /// The sample with least queued.
    pub least: Sample,
    /// The last one: the limit that was in force at the end.
    pub last: Sample,
    /// The greatest Send-Q, in bytes.
    pub send_q: u32,
    /// The least and the greatest `forward_alloc`, in bytes.
    pub forward_alloc: (i32, i32),
    /// The greatest `wmem_alloc`, in bytes.
    pub wmem_alloc: i32,
}

impl Column for SendColumn {
    type Sample = Sample;

    fn new(from_ns: u64, sample: Sample) -> Self {
        Self {
            from_ns,
            most: sample,
            least: sample,
            last: sample,
            send_q: sample.send_q,
            forward_alloc: (sample.forward_alloc, sample.forward_alloc),
            wmem_alloc: sample.wmem_alloc,
        }
    }

    fn add(&mut self, sample: Sample) {
        if sample.wmem_queued > self.most.wmem_queued {
            self.most = sample;
        }
        if sample.wmem_queued < self.least.wmem_queued {
            self.least = sample;
        }
        self.last = sample;
        self.send_q = self.send_q.max(sample.send_q);
        let (least, most) = self.forward_alloc;
        self.forward_alloc = (
            least.min(sample.forward_alloc),
            most.max(sample.forward_alloc),
        );
        self.wmem_alloc = self.wmem_alloc.max(sample.wmem_alloc);
    }

    fn last(&self) -> Sample {
        self.last
    }
}

/// `samples`, oldest first, in `count` columns between two instants, in ns of
/// `CLOCK_MONOTONIC`. Columns before the first sample are left out.
pub(super) fn columns<C: Column>(
    samples: &[C::Sample],
    time_ns: impl Fn(&C::Sample) -> u64,
    from_ns: u64,
    to_ns: u64,
    count: usize,
) -> Vec<C> {
    let mut all = Vec::with_capacity(count);
    let mut next = samples.iter().peekable();
    let mut in_force: Option<C::Sample> = None;
    let place = |n: usize| {
        let part = u128::from(to_ns.saturating_sub(from_ns)) * n as u128 / count.max(1) as u128;
        from_ns.saturating_add(u64::try_from(part).unwrap_or(u64::MAX))
    };
    for n in 0..count {
        let mut this = in_force.map(|sample| C::new(place(n), sample));
        while let Some(sample) = next.next_if(|s| column(time_ns(s), from_ns, to_ns, count) <= n) {
            match &mut this {
                Some(this) => this.add(*sample),
                None => this = Some(C::new(place(n), *sample)),
            }
        }
        in_force = this.map(|this| this.last());
        all.extend(this);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time_ns: u64, wmem_queued: i32) -> Sample {
        Sample {
            time_ns,
            wmem_queued,
            forward_alloc: wmem_queued / 2,
            send_q: wmem_queued.unsigned_abs(),
            ..Sample::default()
        }
    }

    #[test]
    fn a_spike_within_a_column_and_what_is_in_force_at_its_start_are_kept() {
        // Ten columns of 100 ns: a spike in the fourth, and nothing after.
        let samples = [sample(0, 50), sample(310, 900), sample(311, 20)];
        let columns: Vec<SendColumn> = columns(&samples, |s: &Sample| s.time_ns, 0, 999, 10);
        assert_eq!(columns.len(), 10);
        let height = |n: usize| (columns[n].least.wmem_queued, columns[n].most.wmem_queued);
        assert_eq!(height(2), (50, 50));
        assert_eq!(height(3), (20, 900));
        assert_eq!(height(4), (20, 20));
        assert_eq!(columns[3].send_q, 900);
        assert_eq!(columns[3].forward_alloc, (10, 450));
        assert_eq!(columns[9].last.wmem_queued, 20);
    }

    #[test]
    fn columns_before_the_first_sample_are_left_out() {
        let columns: Vec<SendColumn> =
            columns(&[sample(500, 7)], |s: &Sample| s.time_ns, 0, 999, 10);
        assert_eq!(columns.len(), 5);
        assert!(columns[0].from_ns >= 499, "{}", columns[0].from_ns);
        assert!(super::columns::<SendColumn>(&[], |s: &Sample| s.time_ns, 0, 999, 10).is_empty());
    }
}
