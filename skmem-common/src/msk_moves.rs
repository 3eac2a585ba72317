//! What moves `sk_rmem_alloc` of an MPTCP socket, noted where it happens and booked later.
//!
//! Up to 6.12 data comes to an MPTCP socket under its spinlock (`mptcp_data_lock`), even while a
//! task owns it, whose hooks are at work on the same account then. So the functions that move `r`
//! only add to sums here, which that spinlock guards; what holds both, or the spinlock of a socket
//! that nobody owns, books them.

use crate::{receive_cause::ReceiveCause, receive_ledger::forward};

/// Causes that [`MskMoves`] has sums of, in their order there.
pub const MOVED: [ReceiveCause; MOVES] = [
    ReceiveCause::InOrder,
    ReceiveCause::InOrderOverhead,
    ReceiveCause::Coalesced,
    ReceiveCause::CoalescedOverhead,
    ReceiveCause::OutOfOrder,
    ReceiveCause::OutOfOrderJoined,
    ReceiveCause::OutOfOrderDropped,
    ReceiveCause::Read,
];

/// How many they are; a power of two.
pub const MOVES: usize = 8;

/// Sums since they were last booked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MskMoves {
    /// By cause ([`MOVED`]), in bytes.
    pub bytes: [i32; MOVES],
    /// `sk_rmem_alloc` as of the last note, in bytes.
    pub r: i32,
    /// [`crate::receive::ReceiveView::rcv_nxt`] as of the last note.
    pub rcv_nxt: u32,
}

/// What a function of MPTCP has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Moved {
    /// An skb was charged: it has joined the receive queue, or is about to, or the out-of-order
    /// queue.
    Charged = 0,
    /// One was merged into another.
    Merged = 1,
    /// What came out of order has joined the receive queue as far as it follows.
    Joined = 2,
    /// What was read was freed.
    Read = 3,
}

impl MskMoves {
    /// Begins anew: nothing is left to book.
    #[inline(always)]
    pub fn start(&mut self, r: i32, rcv_nxt: u32) {
        *self = Self {
            bytes: [0; MOVES],
            r,
            rcv_nxt,
        };
    }

    /// Whether data has come in sequence; the first half of the sums tells.
    #[inline(always)]
    #[must_use]
    pub const fn has_arrived(&self, half: usize) -> bool {
        half == 0 && self.bytes[0] | self.bytes[2] != 0
    }

    /// Notes what one call did. `size`: the truesize of the skb that was charged, where it is
    /// known; what `r` grew by less is what it replaced in the out-of-order queue. Returns what was
    /// noted, in bytes.
    #[inline(always)]
    pub fn note(&mut self, moved: Moved, r: i32, rcv_nxt: u32, size: i32) -> i32 {
        let grown = r.wrapping_sub(self.r);
        let arrived = forward(rcv_nxt, self.rcv_nxt);
        self.r = r;
        self.rcv_nxt = rcv_nxt;
        let [
            in_order,
            in_order_overhead,
            coalesced,
            coalesced_overhead,
            out_of_order,
            joined,
            dropped,
            read,
        ] = &mut self.bytes;
        let more = |sum: &mut i32, bytes: i32| *sum = sum.wrapping_add(bytes);
        match moved {
            Moved::Charged if arrived > 0 => {
                more(in_order, arrived);
                more(in_order_overhead, grown.wrapping_sub(arrived));
            }
            Moved::Charged => {
                more(out_of_order, size);
                more(dropped, grown.wrapping_sub(size));
            }
            // One that belonged to the socket before gives back its head, at least.
            Moved::Merged | Moved::Joined if grown < 0 => more(joined, grown),
            Moved::Merged if arrived > 0 => {
                more(coalesced, arrived);
                more(coalesced_overhead, grown.wrapping_sub(arrived));
            }
            Moved::Merged => more(out_of_order, grown),
            Moved::Read if grown < 0 => more(read, grown),
            // What nobody has noted has no name here.
            Moved::Joined | Moved::Read => return 0,
        }
        grown
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::receive_cause::ReceiveCause as C;

    fn sums(moves: &MskMoves) -> Vec<(ReceiveCause, i32)> {
        let sums = MOVED.into_iter().zip(moves.bytes);
        sums.filter(|(_, bytes)| *bytes != 0).collect()
    }

    #[test]
    fn in_order_merged_and_read() {
        let mut moves = MskMoves::default();
        moves.start(0, u32::MAX - 99);
        moves.note(Moved::Charged, 2_304, 900, 2_304);
        moves.note(Moved::Merged, 3_712, 1_900, 0);
        moves.note(Moved::Joined, 3_712, 1_900, 0);
        moves.note(Moved::Read, 0, 1_900, 0);
        assert_eq!(
            sums(&moves),
            [
                (C::InOrder, 1_000),
                (C::InOrderOverhead, 1_304),
                (C::Coalesced, 1_000),
                (C::CoalescedOverhead, 408),
                (C::Read, -3_712)
            ]
        );
    }

    #[test]
    fn what_fills_a_hole_is_in_order_and_what_waited_for_it_joins() {
        let mut moves = MskMoves::default();
        moves.start(0, 0);
        moves.note(Moved::Charged, 2_304, 0, 2_304);
        moves.note(Moved::Merged, 3_712, 0, 0);
        // Covers the first one, which is dropped.
        moves.note(Moved::Charged, 4_000, 0, 4_000);
        moves.note(Moved::Charged, 6_304, 1_000, 2_304);
        // Its head is given back, and what it holds follows; then all of a double.
        moves.note(Moved::Merged, 5_408, 1_000, 0);
        moves.note(Moved::Joined, 3_000, 3_000, 0);
        assert_eq!(
            sums(&moves),
            [
                (C::InOrder, 1_000),
                (C::InOrderOverhead, 1_304),
                (C::OutOfOrder, 2_304 + 1_408 + 4_000),
                (C::OutOfOrderJoined, -896 - 2_408),
                (C::OutOfOrderDropped, -3_712),
            ]
        );
        assert_eq!(moves.bytes.iter().sum::<i32>(), moves.r);
    }
}
