//! Axes: round numbers, and where they are.

use crate::explain::numbers::grouped;

/// A linear axis from numbers to places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    /// Numbers from `from` to `to` lie between places `start` and `end`.
    pub fn new(from: f64, to: f64, start: f64, end: f64) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        Self {
            from,
            to,
            start,
            end,
        }
    }

    /// The place of `n`.
    pub fn at(&self, n: f64) -> f64 {
        self.start + (n - self.from) / (self.to - self.from) * (self.end - self.start)
    }
}

/// Round numbers from `from` to `to`, about `count` of them, and their step.
pub(super) fn ticks(from: f64, to: f64, count: usize) -> (Vec<f64>, f64) {
    let span = (to - from).max(f64::MIN_POSITIVE);
    let rough = span / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|s| *s >= rough * 0.999)
        .unwrap_or(power * 10.0);
    let first = (from / step).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    let ticks = (first..=last).map(|n| n as f64 * step).collect();
    (ticks, step)
}

/// The round number at or above `n` that an axis should end with.
pub(super) fn ceiling(n: f64, count: usize) -> f64 {
    let (_, step) = ticks(0.0, n.max(1.0), count);
    (n.max(1.0) / step).ceil() * step
}

/// Bytes at an axis.
pub(super) fn bytes(n: f64) -> String {
    grouped(n.round() as i64)
}

/// A unit of time that leaves a span readable: its name, and how many ns it
/// has.
pub(super) fn unit(span_ns: u64) -> (&'static str, f64) {
    match span_ns {
        0..2_000 => ("ns", 1.0),
        2_000..2_000_000 => ("µs", 1e3),
        2_000_000..2_000_000_000 => ("ms", 1e6),
        _ => ("s", 1e9),
    }
}

/// A time in such a unit, with as many digits as steps of `step` need.
pub(super) fn time(n: f64, step: f64) -> String {
    let digits = if step >= 1.0 {
        0
    } else {
        (-step.log10()).ceil() as usize
    };
    if digits == 0 {
        grouped(n.round() as i64)
    } else {
        format!("{n:.digits$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 15_376.0, 5).0, [0.0, 5000.0, 10_000.0, 15_000.0]);
        assert_eq!(ticks(1.3, 2.9, 4).0, [1.5, 2.0, 2.5]);
        assert_eq!(ticks(0.0, 1.0, 5).0.len(), 6);
        assert_eq!(ceiling(15_376.0, 5), 20_000.0);
        assert_eq!(ceiling(0.0, 5), 1.0);
    }

    #[test]
    fn times_keep_the_digits_they_need() {
        assert_eq!(time(1.5, 0.5), "1.5");
        assert_eq!(time(1500.0, 500.0), "1,500");
        assert_eq!(unit(1_204_000_000), ("ms", 1e6));
        assert_eq!(unit(31_204_000_000), ("s", 1e9));
    }

    #[test]
    fn an_axis_of_nothing_has_places_all_the_same() {
        assert!(Axis::new(3.0, 3.0, 0.0, 10.0).at(3.0).is_finite());
        assert_eq!(Axis::new(0.0, 10.0, 100.0, 0.0).at(5.0), 50.0);
    }
}
