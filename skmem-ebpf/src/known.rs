//! Which slot a socket has, without a look-up.

use core::ptr;

use crate::{
    maps::{self, PLACES, SLOTS_KNOWN},
    socket::Sock,
};

/// A socket's place in [`SLOTS_KNOWN`], which spares most hooks the look-up of
/// its slot: that costs as much as all they do with a socket that has not
/// changed.
///
/// What a place holds is the socket's address, mixed with that of its storage,
/// and the slot. A socket that comes to lie at the address of one that is gone
/// has other storage; and a place is cleared when its socket is destroyed.
pub struct SlotCache {
    key: u64,
    place: u32,
}

/// Bits of a slot in a place; `--max-sockets` keeps below.
const SLOT_BITS: u32 = 20;

impl SlotCache {
    /// Of a socket; `storage` is where its storage lies, as a number.
    #[inline(always)]
    pub fn of(sk: Sock, storage: u64) -> Self {
        // Sockets are aligned to cache lines.
        let address = maps::number(sk.address()) >> 6;
        Self {
            key: (address ^ (storage << 17)) << SLOT_BITS,
            place: (address ^ (address >> 12)) as u32 & (PLACES - 1),
        }
    }

    /// Its slot, where that is known.
    #[inline(always)]
    pub fn slot(&self) -> Option<u32> {
        let held = *SLOTS_KNOWN.get(self.place)?;
        let slot = held ^ self.key;
        (slot >> SLOT_BITS == 0 && held != 0).then_some(slot as u32)
    }

    /// Keeps its slot.
    #[inline(always)]
    pub fn keep(&self, slot: u32) {
        if let Some(place) = SLOTS_KNOWN.get_ptr_mut(self.place) {
            // SAFETY: the map outlives the program; a word is written whole.
            unsafe { ptr::write_volatile(place, self.key | u64::from(slot)) };
        }
    }

    /// Forgets whatever is kept in its place.
    #[inline(always)]
    pub fn clear(&self) {
        if let Some(place) = SLOTS_KNOWN.get_ptr_mut(self.place) {
            // SAFETY: as above.
            unsafe { ptr::write_volatile(place, 0) };
        }
    }
}
