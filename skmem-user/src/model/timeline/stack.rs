//! Attributes each byte that is queued now to the cause that queued it.
//!
//! The ledger books growth and frees under causes of their own: its sums say
//! how `sk_wmem_queued` came about, but not what it consists of at an instant.
//! For that, each free is matched with the growth that it takes back. TCP frees
//! from the head of its queues, so the oldest bytes go first; only an skb that
//! was queued and not used, or that was merged into its neighbour before it
//! was sent, is taken off the tail, and so the newest go first.
//!
//! The kernel does not keep this: the split into causes is a presentation. Its height is exact: it
//! equals `sk_wmem_queued` to the byte, always.

use std::collections::VecDeque;

use skmem_common::cause::{CAUSES, Cause};

/// Bytes queued now, by the cause that put them there; the causes are those of
/// growth, in slots of their numbers.
pub type ByCause = [i32; CAUSES];

/// What is queued, oldest first. Its memory is bounded by the queue: one entry
/// for each run of bytes of one cause.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    runs: VecDeque<Run>,
    by_cause: ByCause,
    /// Bytes that were freed though nothing was known to be queued: records
    /// are missing. Shown as negative `unattributed` bytes.
    deficit: i32,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    cause: Cause,
    bytes: i32,
}

impl Stack {
    /// Takes in a booking: growth where `bytes` is positive.
    pub fn book(&mut self, cause: Cause, bytes: i32) {
        if bytes >= 0 {
            self.push(cause, bytes);
        } else if cause.frees_the_newest() {
            self.free(
                bytes.saturating_neg(),
                VecDeque::back_mut,
                VecDeque::pop_back,
            );
        } else {
            self.free(
                bytes.saturating_neg(),
                VecDeque::front_mut,
                VecDeque::pop_front,
            );
        }
    }

    /// What is queued now. The sum of all slots is `sk_wmem_queued`.
    #[must_use]
    pub fn by_cause(&self) -> ByCause {
        let mut all = self.by_cause;
        let slot = &mut all[Cause::Unattributed as usize];
        *slot = slot.wrapping_sub(self.deficit);
        all
    }

    /// `sk_wmem_queued`, in bytes.
    #[must_use]
    pub fn height(&self) -> i32 {
        self.by_cause
            .iter()
            .fold(0i32, |sum, n| sum.wrapping_add(*n))
            .wrapping_sub(self.deficit)
    }

    fn push(&mut self, cause: Cause, bytes: i32) {
        let owed = bytes.min(self.deficit);
        self.deficit -= owed;
        let bytes = bytes - owed;
        if bytes == 0 {
            return;
        }
        let slot = &mut self.by_cause[cause as usize % CAUSES];
        *slot = slot.wrapping_add(bytes);
        match self.runs.back_mut() {
            Some(last) if last.cause == cause && last.bytes.checked_add(bytes).is_some() => {
                last.bytes += bytes;
            }
            _ => self.runs.push_back(Run { cause, bytes }),
        }
    }

    fn free(
        &mut self,
        mut bytes: i32,
        end: impl Fn(&mut VecDeque<Run>) -> Option<&mut Run>,
        drop: impl Fn(&mut VecDeque<Run>) -> Option<Run>,
    ) {
        while bytes > 0 {
            let Some(run) = end(&mut self.runs) else {
                self.deficit = self.deficit.wrapping_add(bytes);
                return;
            };
            let taken = run.bytes.min(bytes);
            run.bytes -= taken;
            bytes -= taken;
            let slot = &mut self.by_cause[run.cause as usize % CAUSES];
            *slot = slot.wrapping_sub(taken);
            if run.bytes == 0 {
                drop(&mut self.runs);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(stack: &Stack, cause: Cause) -> i32 {
        stack.by_cause()[cause as usize]
    }

    #[test]
    fn acknowledgements_free_the_oldest_bytes() {
        let mut stack = Stack::default();
        stack.book(Cause::NewSkb, 896);
        stack.book(Cause::FirstFill, 1024);
        stack.book(Cause::TailAppend, 2048);
        stack.book(Cause::Ack, -1000);
        assert_eq!(of(&stack, Cause::NewSkb), 0);
        assert_eq!(of(&stack, Cause::FirstFill), 920);
        assert_eq!(of(&stack, Cause::TailAppend), 2048);
        assert_eq!(of(&stack, Cause::Ack), 0);
        assert_eq!(stack.height(), 2968);
    }

    #[test]
    fn an_unused_skb_is_the_newest() {
        let mut stack = Stack::default();
        stack.book(Cause::TailAppend, 2048);
        stack.book(Cause::NewSkb, 896);
        stack.book(Cause::UnusedSkb, -896);
        assert_eq!(of(&stack, Cause::NewSkb), 0);
        assert_eq!(of(&stack, Cause::TailAppend), 2048);
    }

    #[test]
    fn frees_of_what_was_never_seen_are_owed_by_unattributed() {
        let mut stack = Stack::default();
        stack.book(Cause::Ack, -100);
        assert_eq!(of(&stack, Cause::Unattributed), -100);
        assert_eq!(stack.height(), -100);
        stack.book(Cause::TailAppend, 150);
        assert_eq!(of(&stack, Cause::Unattributed), 0);
        assert_eq!(of(&stack, Cause::TailAppend), 50);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn its_height_is_the_sum_of_all_bookings(
            bookings in prop::collection::vec((0..Cause::ALL.len(), -70_000i32..70_000), 0..300)
        ) {
            let mut stack = Stack::default();
            let mut w = 0i32;
            for (n, bytes) in bookings {
                stack.book(Cause::ALL[n], bytes);
                w += bytes;
                prop_assert_eq!(stack.height(), w);
                let all = stack.by_cause();
                prop_assert_eq!(all.iter().sum::<i32>(), w);
                let negative = all.iter().enumerate().filter(|(_, n)| **n < 0);
                for (cause, _) in negative {
                    prop_assert_eq!(cause, Cause::Unattributed as usize);
                    prop_assert!(w < 0, "owed bytes while {} are queued", w);
                }
            }
        }
    }
}
