//! Numbers packed into bits, 128 at a time: as many bits each as suit most of them, and what is
//! above those behind, for the few that are larger.
//!
//! ```text
//! byte  0      bits 0 to 6: width, 0 to 64; bit 7: the numbers are signed, zigzag
//! byte  1      how many have bits above that
//! bytes 2..    the low `width` bits of each, from the lowest bit of a byte on
//! behind       for each that has more: its place in the batch (a byte), its higher bits (varint)
//! ```

use crate::recording::{error::FormatError, varint};

/// Numbers that are packed together.
pub(super) const BATCH: usize = 128;

/// Bit 7 of a batch's first byte.
const SIGNED: u8 = 0x80;

const CUT: FormatError = FormatError::Content("packed numbers of a block of events are cut");
const WRONG: FormatError = FormatError::Content("packed numbers that contradict themselves");

/// Packs numbers.
#[derive(Debug)]
pub(super) struct Packer {
    pending: [u64; BATCH],
    count: usize,
    out: Vec<u8>,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            pending: [0; BATCH],
            count: 0,
            out: Vec::new(),
        }
    }
}

impl Packer {
    /// Takes in a number; one with bit 63 is taken for a negative one.
    #[inline(always)]
    pub fn push(&mut self, number: u64) {
        let count = self.count;
        self.pending[count % BATCH] = number;
        self.count = count + 1;
        if count + 1 >= BATCH {
            self.pack();
        }
    }

    /// All that was taken in, packed; the next number starts afresh.
    pub fn take(&mut self) -> Vec<u8> {
        if self.count != 0 {
            self.pack();
        }
        std::mem::take(&mut self.out)
    }

    #[inline(never)]
    fn pack(&mut self) {
        pack(&mut self.pending[..self.count], &mut self.out);
        self.count = 0;
    }
}

fn bits_of(number: u64) -> u32 {
    number.bit_width()
}

fn low(width: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0)
}

fn pack(numbers: &mut [u64], out: &mut Vec<u8>) {
    let mut all = numbers.iter().fold(0, |all, n| all | n);
    if all == 0 {
        out.extend_from_slice(&[0, 0]);
        return;
    }
    let mut first = 0;
    if all >> 63 != 0 {
        first = SIGNED;
        for n in &mut *numbers {
            *n = (*n << 1) ^ ((n.cast_signed() >> 63).cast_unsigned());
        }
        all = numbers.iter().fold(0, |all, n| all | n);
    }
    let (width, larger) = width(numbers, bits_of(all));
    out.push(first | width as u8);
    out.push(larger as u8);
    if width != 0 {
        let mask = low(width);
        let (mut word, mut filled) = (0, 0);
        for n in &*numbers {
            let n = n & mask;
            word |= n << filled;
            filled += width;
            if filled >= u64::BITS {
                out.extend_from_slice(&word.to_le_bytes());
                filled -= u64::BITS;
                // What had no room.
                word = n.checked_shr(width - filled).unwrap_or(0);
            }
        }
        out.extend_from_slice(&word.to_le_bytes()[..filled.div_ceil(8) as usize]);
    }
    if larger != 0 {
        for (place, n) in numbers.iter().enumerate() {
            let high = n.checked_shr(width).unwrap_or(0);
            if high != 0 {
                out.push(place as u8);
                varint::put(out, high);
            }
        }
    }
}

/// The width with which `numbers` take least, and how many have bits above it; none has more than
/// `most` bits.
fn width(numbers: &[u64], most: u32) -> (u32, u32) {
    // By the highest bit that is set: one of none counts among those of one.
    let mut having = [0u32; 64];
    for n in numbers {
        having[(*n | 1).ilog2() as usize] += 1;
    }
    let count = numbers.len() as u32;
    // In bits, going down: those above the width, and the bits that they have above it. Of a varint
    // of them, about four are wasted.
    let (mut above, mut over) = (0, 0);
    let mut best = (most * count, most, 0);
    for width in (1..most).rev() {
        above += having[width as usize];
        over += above;
        let takes = width * count + 12 * above + over;
        if takes < best.0 {
            best = (takes, width, above);
        }
        // More of them only add to it.
        if 4 * above > count {
            break;
        }
    }
    (best.1, best.2)
}

/// Takes numbers out again.
#[derive(Debug)]
pub(super) struct Unpacker {
    /// What is left in the payload: from, to.
    at: usize,
    to: usize,
    /// Numbers behind the batch.
    left: u64,
    batch: [u64; BATCH],
    /// How many of the batch there are, and were taken.
    count: usize,
    next: usize,
}

impl Unpacker {
    /// `count` numbers in the bytes `at..to` of a payload.
    pub fn new(at: usize, to: usize, count: u64) -> Self {
        Self {
            at,
            to,
            left: count,
            batch: [0; BATCH],
            count: 0,
            next: 0,
        }
    }

    /// The next number.
    ///
    /// # Errors
    /// Where there is none.
    #[inline]
    pub fn next(&mut self, payload: &[u8]) -> Result<u64, FormatError> {
        if self.next >= self.count {
            self.unpack(payload)?;
        }
        let number = self.batch[self.next % BATCH];
        self.next += 1;
        Ok(number)
    }

    #[inline(never)]
    fn unpack(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        let count = self.left.min(BATCH as u64) as usize;
        let Some([first, larger, rest @ ..]) = payload.get(self.at..self.to) else {
            return Err(CUT);
        };
        let width = u32::from(first & !SIGNED);
        if count == 0 || width > u64::BITS || usize::from(*larger) > count {
            return Err(WRONG);
        }
        let length = (width as usize * count).div_ceil(8);
        let Some((packed, mut behind)) = rest.split_at_checked(length) else {
            return Err(CUT);
        };
        let numbers = &mut self.batch[..count];
        spread(packed, width, numbers);
        for _ in 0..*larger {
            let Some((place, after)) = behind.split_first() else {
                return Err(CUT);
            };
            behind = after;
            let Some(high) = varint::take(&mut behind) else {
                return Err(CUT);
            };
            let Some(number) = numbers.get_mut(usize::from(*place)) else {
                return Err(WRONG);
            };
            if bits_of(high) + width > u64::BITS {
                return Err(WRONG);
            }
            *number |= high.checked_shl(width).unwrap_or(0);
        }
        if first & SIGNED != 0 {
            for n in numbers {
                *n = (*n >> 1) ^ (*n & 1).wrapping_neg();
            }
        }
        self.at = self.to - behind.len();
        self.left -= count as u64;
        (self.count, self.next) = (count, 0);
        Ok(())
    }
}

/// Numbers of `width` bits each.
fn spread(packed: &[u8], width: u32, numbers: &mut [u64]) {
    if width == 0 {
        numbers.fill(0);
        return;
    }
    let mask = low(width);
    let mut words = packed.chunks(8);
    let (mut word, mut held) = (0, 0);
    for n in numbers {
        if held >= width {
            *n = word & mask;
            word >>= width;
            held -= width;
            continue;
        }
        let next = match words.next() {
            Some(&[a, b, c, d, e, f, g, h]) => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            Some(some) => some.iter().rfold(0, |word, b| word << 8 | u64::from(*b)),
            None => 0,
        };
        *n = (word | next << held) & mask;
        word = next.checked_shr(width - held).unwrap_or(0);
        held += u64::BITS - width;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn back(bytes: &[u8], count: usize) -> Result<Vec<u64>, FormatError> {
        let mut unpacker = Unpacker::new(0, bytes.len(), count as u64);
        let numbers = (0..count).map(|_| unpacker.next(bytes)).collect();
        assert!(unpacker.next(bytes).is_err(), "one too many");
        numbers
    }

    fn number() -> impl Strategy<Value = u64> {
        let any = (any::<u64>(), 0..64u32).prop_map(|(n, by)| n >> by);
        prop_oneof![8 => 0..16u64, 4 => 900..1100u64, 1 => any]
    }

    proptest! {
        #[test]
        fn there_and_back(numbers in vec(number(), 0..400)) {
            let mut packer = Packer::default();
            for _ in 0..2 {
                numbers.iter().for_each(|n| packer.push(*n));
                prop_assert_eq!(&back(&packer.take(), numbers.len()).unwrap(), &numbers);
            }
        }

        #[test]
        fn no_bytes_are_too_bad(bytes in vec(any::<u8>(), 0..200), count in 0..400usize) {
            let _ = back(&bytes, count);
        }
    }

    #[test]
    fn each_width_alone() {
        for width in 0..=64 {
            for count in [1, 2, 63, 64, 65, 127, 128, 129] {
                let numbers: Vec<u64> = (0..count as u64)
                    .map(|n| low(width) - (n & low(width)) / 2)
                    .collect();
                let mut packer = Packer::default();
                numbers.iter().for_each(|n| packer.push(*n));
                assert_eq!(
                    back(&packer.take(), count).unwrap(),
                    numbers,
                    "{width} {count}"
                );
            }
        }
    }

    #[test]
    fn a_few_large_ones_do_not_widen_the_others() {
        let mut packer = Packer::default();
        for n in 0..128 {
            packer.push(if n == 60 { 1 << 40 } else { n % 8 });
        }
        assert_eq!(packer.take().len(), 2 + 128 * 3 / 8 + 1 + 6);
    }

    #[test]
    fn what_contradicts_itself_is_told() {
        for (bytes, why) in [
            (&[][..], CUT),
            (&[3], CUT),
            (&[3, 0], CUT),
            (&[65, 0], WRONG),
            // More than there are numbers.
            (&[0, 2, 0, 1, 0, 1], WRONG),
            // A place behind the last; bits behind the last of a number.
            (&[0, 1, 1, 1], WRONG),
            (&[64, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], WRONG),
            (&[0, 1, 0], CUT),
        ] {
            assert_eq!(back(bytes, 1), Err(why), "{bytes:?}");
        }
    }
}
