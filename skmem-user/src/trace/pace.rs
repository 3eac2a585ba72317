//! When a look at all accounts is due again.

use std::time::{Duration, Instant};

/// The pause after a look, in durations of it: it takes longer the more sockets there are. So each
/// kind of look takes a fiftieth of a processor at most.
const PAUSE: u32 = 50;

/// Looks that are made again and again.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often at most.
    every: Duration,
    /// When the next one is due.
    next: Instant,
}

impl Pace {
    /// The first look is due after `every`.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            next: Instant::now() + every,
        }
    }

    /// Whether a look is due.
    #[must_use]
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// A look that began at `begun` has ended.
    pub fn looked(&mut self, begun: Instant) {
        self.next = Instant::now() + self.pause(begun.elapsed());
    }

    fn pause(&self, took: Duration) -> Duration {
        self.every.max(took.saturating_mul(PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_look_is_made_less_often() {
        let pace = Pace::new(Duration::from_millis(500));
        assert!(!pace.is_due());
        let short = pace.pause(Duration::from_micros(200));
        assert_eq!(short, Duration::from_millis(500));
        let long = pace.pause(Duration::from_millis(30));
        assert_eq!(long, Duration::from_millis(1500));
        assert!(Pace::new(Duration::ZERO).is_due());
    }
}
