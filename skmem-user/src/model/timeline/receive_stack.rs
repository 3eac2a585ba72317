//! Attributes each byte that is in the receive buffer now to the cause that put it there.
//!
//! The ledger books what comes and what is freed under causes of their own. For what r consists of
//! at an instant, each free is matched with what it takes back, as the kernel's queues work:
//!
//! * a read frees the first skbs of the receive queue: the **oldest bytes** that are in order;
//! * what came out of order waits beyond them, until `rcv_nxt` passes a hole: it is next after the
//!   segment that filled it then, all of it, for records do not tell which part;
//! * what is dropped there, or doubled, is the newest of it;
//! * payload that went into room that was charged before (`coalesced-overhead` below 0) takes the
//!   newest overhead;
//! * collapsing takes overhead, the oldest first, and then what was read and held: the oldest;
//! * the error queue, and what a sockmap put there, have ways out of their own.
//!
//! Where nothing came out of order and nothing was collapsed, that is what the kernel did, skb by
//! skb. The height is exact always: the sum of what was booked.

use std::collections::VecDeque;

use skmem_common::receive_cause::{RECEIVE_CAUSES, ReceiveCause};

/// Bytes in the buffer now, by the cause that put them there, in slots of their numbers.
pub type ByReceiveCause = [i32; RECEIVE_CAUSES];

/// What is in the buffer. Its memory is bounded by that: one entry for each run of bytes of one
/// cause.
#[derive(Debug, Clone, Default)]
pub struct ReceiveStack {
    /// In the order in which it will be read.
    queue: VecDeque<Run>,
    /// Out of order, beyond a hole.
    beyond: VecDeque<Run>,
    by_cause: ByReceiveCause,
    /// Bytes that were freed though nothing was known to be there: shown as negative
    /// `receive-unattributed`.
    deficit: i32,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    cause: ReceiveCause,
    bytes: i32,
}

type Which = fn(ReceiveCause) -> bool;

const ANY: Which = |_| true;

impl ReceiveStack {
    /// Takes in a booking: growth where `bytes` is positive.
    pub fn book(&mut self, cause: ReceiveCause, bytes: i32) {
        if bytes >= 0 {
            self.add(cause, bytes);
        } else {
            self.free(cause, bytes.saturating_neg());
        }
    }

    /// A hole was filled: what waited beyond it is next to be read.
    pub fn join(&mut self) {
        self.queue.append(&mut self.beyond);
    }

    /// A new account begins: only what is on the error queue is still known.
    pub fn restart(&mut self) {
        let mut anew = Self::default();
        anew.add(
            ReceiveCause::ErrorQueued,
            self.of(ReceiveCause::ErrorQueued),
        );
        *self = anew;
    }

    /// The sum of what was booked.
    #[must_use]
    pub fn height(&self) -> i32 {
        let sum = self.by_cause.iter().fold(0_i32, |a, n| a.wrapping_add(*n));
        sum.wrapping_sub(self.deficit)
    }

    /// What is there when `sk_rmem_alloc` is `r`, and what of r is not booked yet: the sum of all
    /// is `r`. What has gone and is not booked yet is taken to be the oldest.
    #[must_use]
    pub fn at(&self, r: i32) -> (ByReceiveCause, i32) {
        let mut all = self.by_cause;
        let slot = &mut all[ReceiveCause::Unattributed as usize];
        *slot = slot.wrapping_sub(self.deficit);
        let more = r.wrapping_sub(self.height());
        let mut gone = more.min(0).saturating_neg();
        for run in self.queue.iter().chain(&self.beyond) {
            if gone == 0 {
                break;
            }
            let taken = run.bytes.min(gone);
            let slot = &mut all[run.cause as usize % RECEIVE_CAUSES];
            *slot = slot.wrapping_sub(taken);
            gone -= taken;
        }
        (all, more.max(0).wrapping_sub(gone))
    }

    fn of(&self, cause: ReceiveCause) -> i32 {
        self.by_cause[cause as usize % RECEIVE_CAUSES]
    }

    fn slot(&mut self, cause: ReceiveCause) -> &mut i32 {
        &mut self.by_cause[cause as usize % RECEIVE_CAUSES]
    }

    fn add(&mut self, cause: ReceiveCause, bytes: i32) {
        let owed = bytes.min(self.deficit);
        self.deficit -= owed;
        let bytes = bytes - owed;
        if bytes == 0 {
            return;
        }
        let slot = self.slot(cause);
        *slot = slot.wrapping_add(bytes);
        let queue = match cause {
            // In no order with what is read.
            ReceiveCause::ErrorQueued | ReceiveCause::SockmapQueued => return,
            ReceiveCause::OutOfOrder => &mut self.beyond,
            _ => &mut self.queue,
        };
        match queue.back_mut() {
            Some(last) if last.cause == cause && last.bytes.checked_add(bytes).is_some() => {
                last.bytes += bytes;
            }
            _ => queue.push_back(Run { cause, bytes }),
        }
    }

    fn free(&mut self, cause: ReceiveCause, bytes: i32) {
        use ReceiveCause as C;
        let overhead: Which = |c| matches!(c, C::InOrderOverhead | C::CoalescedOverhead);
        let mut rest = bytes;
        match cause {
            C::ErrorTaken => {
                rest = self.apart(C::ErrorQueued, rest);
                rest = self.oldest(|c| c == C::ReceivedBefore, rest);
            }
            C::SockmapRead => rest = self.apart(C::SockmapQueued, rest),
            C::OutOfOrderJoined | C::OutOfOrderDropped | C::Prune => {
                rest = self.newest(|c| c == C::OutOfOrder, rest);
            }
            C::InOrderOverhead | C::CoalescedOverhead => {
                rest = self.newest(|c| !c.is_payload(), rest);
                rest = self.newest(ANY, rest);
            }
            C::Collapse => {
                rest = self.newest(|c| c == C::Collapse, rest);
                rest = self.oldest(overhead, rest);
            }
            C::ReceivedBefore => rest = self.oldest(|c| c == C::ReceivedBefore, rest),
            C::Unattributed => rest = self.oldest(|c| c == C::Unattributed, rest),
            _ => {}
        }
        rest = self.oldest(ANY, rest);
        rest = self.apart(C::SockmapQueued, rest);
        rest = self.apart(C::ErrorQueued, rest);
        self.deficit = self.deficit.saturating_add(rest);
    }

    /// Takes bytes of what is in no order. Returns what is left to take, as the two below do.
    fn apart(&mut self, cause: ReceiveCause, bytes: i32) -> i32 {
        let slot = self.slot(cause);
        let taken = bytes.min((*slot).max(0));
        *slot -= taken;
        bytes - taken
    }

    /// Takes the oldest bytes of these causes.
    fn oldest(&mut self, which: Which, bytes: i32) -> i32 {
        let rest = take(&mut self.queue, &mut self.by_cause, which, bytes, false);
        take(&mut self.beyond, &mut self.by_cause, which, rest, false)
    }

    /// Takes the newest bytes of these causes.
    fn newest(&mut self, which: Which, bytes: i32) -> i32 {
        let rest = take(&mut self.beyond, &mut self.by_cause, which, bytes, true);
        take(&mut self.queue, &mut self.by_cause, which, rest, true)
    }
}

fn take(
    runs: &mut VecDeque<Run>,
    by_cause: &mut ByReceiveCause,
    which: Which,
    mut bytes: i32,
    newest: bool,
) -> i32 {
    let some = ReceiveCause::ALL
        .iter()
        .any(|c| which(*c) && by_cause[*c as usize % RECEIVE_CAUSES] != 0);
    let mut n = 0;
    while some && bytes > 0 && n < runs.len() {
        let place = if newest { runs.len() - 1 - n } else { n };
        let run = &mut runs[place];
        if !which(run.cause) {
            n += 1;
            continue;
        }
        let taken = run.bytes.min(bytes);
        run.bytes -= taken;
        bytes -= taken;
        let slot = &mut by_cause[run.cause as usize % RECEIVE_CAUSES];
        *slot = slot.wrapping_sub(taken);
        if run.bytes == 0 {
            runs.remove(place);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ReceiveCause as C, *};

    fn after(bookings: &[(C, i32)]) -> ReceiveStack {
        let mut stack = ReceiveStack::default();
        bookings.iter().for_each(|(c, n)| stack.book(*c, *n));
        stack
    }

    #[test]
    fn a_read_frees_the_oldest() {
        let stack = after(&[
            (C::ReceivedBefore, 500),
            (C::InOrder, 1_000),
            (C::InOrderOverhead, 896),
            (C::Coalesced, 1_000),
            (C::CoalescedOverhead, 24),
            (C::ErrorQueued, 804),
            (C::Read, -1_500),
        ]);
        let of = |c| stack.of(c);
        assert_eq!((of(C::ReceivedBefore), of(C::InOrder)), (0, 0));
        assert_eq!((of(C::InOrderOverhead), of(C::Coalesced)), (896, 1_000));
        assert_eq!((of(C::ErrorQueued), stack.height()), (804, 2_724));
    }

    #[test]
    fn payload_copied_into_room_takes_the_room() {
        let stack = after(&[
            (C::InOrder, 100),
            (C::InOrderOverhead, 1_900),
            (C::Coalesced, 700),
            (C::CoalescedOverhead, -700),
        ]);
        assert_eq!(stack.of(C::InOrderOverhead), 1_200);
        assert_eq!((stack.of(C::Coalesced), stack.height()), (700, 2_000));
    }

    #[test]
    fn what_is_beyond_a_hole_is_read_after_what_fills_it() {
        let mut stack = after(&[
            (C::OutOfOrder, 3_000),
            (C::InOrder, 1_000),
            (C::OutOfOrderJoined, -896),
        ]);
        stack.join();
        stack.book(C::InOrder, 50);
        stack.book(C::Read, -2_000);
        let left = (stack.of(C::OutOfOrder), stack.of(C::InOrder));
        assert_eq!(left, (1_104, 50));
    }

    #[test]
    fn the_error_queue_and_a_sockmap_have_their_own_ways_out() {
        let stack = after(&[
            (C::ReceivedBefore, 900),
            (C::ErrorQueued, 800),
            (C::SockmapQueued, 700),
            (C::ErrorTaken, -1_000),
            (C::SockmapRead, -300),
        ]);
        assert_eq!(stack.of(C::ReceivedBefore), 700);
        assert_eq!(
            (stack.of(C::ErrorQueued), stack.of(C::SockmapQueued)),
            (0, 400)
        );
    }

    #[test]
    fn collapsing_takes_overhead_and_then_what_was_read_and_held() {
        let stack = after(&[
            (C::InOrder, 1_000),
            (C::InOrderOverhead, 300),
            (C::Coalesced, 2_000),
            (C::CoalescedOverhead, 40),
            (C::Collapse, -800),
        ]);
        assert_eq!(
            (stack.of(C::InOrder), stack.of(C::InOrderOverhead)),
            (540, 0)
        );
        assert_eq!(
            (stack.of(C::Coalesced), stack.of(C::CoalescedOverhead)),
            (2_000, 0)
        );
    }

    #[test]
    fn what_is_not_booked_yet_is_shown_apart_and_what_has_gone_is_the_oldest() {
        let stack = after(&[(C::InOrder, 100), (C::Coalesced, 200)]);
        let (all, to_come) = stack.at(350);
        assert_eq!((all[C::InOrder as usize], to_come), (100, 50));
        let (all, to_come) = stack.at(150);
        let left = (
            all[C::InOrder as usize],
            all[C::Coalesced as usize],
            to_come,
        );
        assert_eq!(left, (0, 150, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn its_height_is_the_sum_of_all_bookings(
            bookings in prop::collection::vec(
                (0..C::ALL.len(), -70_000_i32..70_000, any::<bool>(), -9_000_i32..9_000), 0..300)
        ) {
            let mut stack = ReceiveStack::default();
            let mut r = 0_i32;
            for (n, bytes, joins, off) in bookings {
                stack.book(C::ALL[n], bytes);
                if joins {
                    stack.join();
                }
                r += bytes;
                prop_assert_eq!(stack.height(), r);
                let (all, to_come) = stack.at(r + off);
                prop_assert_eq!(all.iter().sum::<i32>() + to_come, r + off);
                let runs = stack.queue.iter().chain(&stack.beyond);
                let apart = stack.of(C::ErrorQueued) + stack.of(C::SockmapQueued);
                let kept: i32 = runs.map(|run| run.bytes).sum::<i32>() + apart;
                prop_assert_eq!(kept - stack.deficit, r);
            }
        }
    }
}
