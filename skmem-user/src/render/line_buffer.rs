//! A line under way. Lines are put together from a hundred short pieces: each is a few moves of
//! fixed lengths here, where a `Vec` calls for room, and musl's memcpy, which the binary that is
//! given away has, takes longer to begin than most pieces are long.

use std::io;

/// Bytes of text, to be used again for the next line.
#[derive(Debug, Clone, Default)]
pub struct LineBuffer {
    /// Behind `used`: room.
    bytes: Vec<u8>,
    /// Not usize: a sum with a piece's length cannot overflow that, and is not checked.
    used: u32,
}

impl LineBuffer {
    /// What is in it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// How many bytes are in it.
    pub(super) fn len(&self) -> usize {
        self.used as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Keeps the first `length` bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        self.used = self.used.min(u32::try_from(length).unwrap_or(u32::MAX));
    }

    /// What is in it, to be changed.
    pub(super) fn as_mut_bytes(&mut self) -> &mut [u8] {
        let used = self.len();
        &mut self.bytes[..used]
    }

    /// Appends a piece whose length is known where this is compiled.
    #[inline(always)]
    pub(super) fn literal<const N: usize>(&mut self, piece: &[u8; N]) {
        let used = self.len();
        let room = self.bytes.get_mut(used..used + N);
        match room.and_then(<[u8]>::first_chunk_mut) {
            Some(room) => {
                // Not copy_from_slice(): that is a call, of memcpy.
                *room = *piece;
                self.used += N as u32;
            }
            None => self.grow_by(piece),
        }
    }

    /// Appends a piece of any length.
    #[inline]
    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// The same of bytes.
    pub(super) fn bytes(&mut self, piece: &[u8]) {
        let used = self.len();
        let room = self.bytes.get_mut(used..used + piece.len());
        let Some(room) = room else {
            return self.grow_by(piece);
        };
        self.used += piece.len() as u32;
        // Blocks, and one that ends where the piece does.
        match piece.len() {
            0..4 => {
                if let ([first, .., last], [a, .., b]) = (&mut *room, piece) {
                    (*first, *last) = (*a, *b);
                }
                // Of one, of two, or of three.
                if let ([middle] | [_, middle, _], [byte] | [_, byte, _]) = (room, piece) {
                    *middle = *byte;
                }
            }
            4..8 => ends::<4>(room, piece),
            8..16 => ends::<8>(room, piece),
            _ => {
                ends::<16>(room, piece);
                let blocks = room.as_chunks_mut::<16>().0.iter_mut();
                for (room, block) in blocks.zip(piece.as_chunks::<16>().0).skip(1) {
                    *room = *block;
                }
            }
        }
    }

    #[cold]
    fn grow_by(&mut self, piece: &[u8]) {
        let (used, to) = (self.len(), self.len() + piece.len());
        self.bytes.resize(to.next_power_of_two().max(1 << 10), 0);
        self.bytes[used..to].copy_from_slice(piece);
        self.used = u32::try_from(to).expect("a line of less than 4 GiB");
    }

    /// Appends `n` blanks.
    #[inline]
    pub(super) fn blanks(&mut self, n: usize) {
        const MOST: usize = 32;
        for _ in 0..n / MOST {
            self.literal(&[b' '; MOST]);
        }
        // As many as there are, in one move, and those that are too many taken back.
        self.literal(&[b' '; MOST]);
        self.used -= (MOST - n % MOST) as u32;
    }

    /// Appends a number in its decimal digits.
    #[inline]
    pub(super) fn number(&mut self, n: impl Into<i128>) {
        let n: i128 = n.into();
        if n < 0 {
            self.literal(b"-");
        }
        // Of 64 bits, or a negative one of them.
        self.digits(n.unsigned_abs() as u64);
    }

    #[inline]
    fn digits(&mut self, n: u64) {
        match n {
            // Half of all numbers.
            0..10 => self.literal(&[b'0' + n as u8]),
            10..BLOCK => self.some(n as u32),
            _ => self.many(n),
        }
    }

    /// Appends a number at the right of a cell that is `width` wide, or wider than that.
    pub(super) fn number_at_right(&mut self, width: usize, n: i64) {
        let Ok(small @ 0..BLOCK32) = u32::try_from(n) else {
            let length = n.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
            self.blanks(width.saturating_sub(length + usize::from(n < 0)));
            return self.number(n);
        };
        let (digits, zeros) = significant(small);
        let length = 8 - zeros as usize / 8;
        self.blanks(width.saturating_sub(length));
        self.literal(&digits.to_le_bytes());
        self.used -= zeros / 8;
    }

    #[inline(never)]
    fn many(&mut self, n: u64) {
        self.digits(n / BLOCK);
        let digits = eight((n % BLOCK) as u32) | ZEROS;
        self.literal(&digits.to_le_bytes());
    }

    /// Of a number below [`BLOCK`].
    #[inline]
    fn some(&mut self, n: u32) {
        let (digits, zeros) = significant(n);
        self.literal(&digits.to_le_bytes());
        self.used -= zeros / 8;
    }
}

const BLOCK: u64 = 100_000_000;
const BLOCK32: u32 = BLOCK as u32;
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// The eight digits of a number below [`BLOCK`], a byte each, the first one lowest: all of a size
/// are divided at once, by multiplications that are exact below 10,000 and 100.
#[inline]
fn eight(n: u32) -> u64 {
    let n = u64::from(n);
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - tens * 10) << 8)
}

/// The digits of a number below [`BLOCK`] without zeros before them, the first one lowest, and how
/// many bits those had.
#[inline]
fn significant(n: u32) -> (u64, u32) {
    let digits = eight(n);
    // A 0 has a digit, too.
    let zeros = (digits | (1 << 56)).trailing_zeros() & !7;
    ((digits | ZEROS) >> zeros, zeros)
}

/// Copies the first and the last `N` bytes, which meet, or lie over each other.
#[inline]
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to = *from;
    }
}

impl io::Write for LineBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(put: impl FnOnce(&mut LineBuffer)) -> String {
        let mut out = LineBuffer::default();
        out.literal(b"x");
        put(&mut out);
        String::from_utf8(out.as_bytes().to_vec()).expect("text")
    }

    #[test]
    fn pieces_of_all_lengths() {
        let text: String = ('!'..='~').collect();
        for to in 0..text.len() {
            assert_eq!(of(|out| out.text(&text[..to])), format!("x{}", &text[..to]));
            assert_eq!(of(|out| out.blanks(to)), format!("x{:to$}", ""));
        }
        let long = text.repeat(100);
        assert_eq!(of(|out| out.text(&long)), format!("x{long}"));
    }

    #[test]
    fn all_numbers_of_four_digits() {
        for n in 0..10_000_u32 {
            assert_eq!(of(|out| out.number(n)), format!("x{n}"));
            // In both halves of a block.
            let n = n * 10_000 + 9_999 - n;
            assert_eq!(of(|out| out.number(n)), format!("x{n}"));
        }
    }

    #[test]
    fn numbers_where_a_digit_more_begins() {
        for power in (0..20).map(|digits| 10_u64.pow(digits)) {
            for n in [power - 1, power, power + 1, u64::MAX - power] {
                assert_eq!(of(|out| out.number(n)), format!("x{n}"));
            }
        }
        for n in [i64::MIN, -1, i64::MAX] {
            assert_eq!(of(|out| out.number(n)), format!("x{n}"));
        }
    }

    proptest! {
        #[test]
        fn any_number(long in any::<u64>(), signed in any::<i64>(), short in any::<i32>()) {
            prop_assert_eq!(of(|out| out.number(long)), format!("x{long}"));
            prop_assert_eq!(of(|out| out.number(signed)), format!("x{signed}"));
            prop_assert_eq!(of(|out| out.number(short)), format!("x{short}"));
            for n in [signed, i64::from(short), signed >> 40] {
                let cell = of(|out| out.number_at_right(9, n));
                prop_assert_eq!(cell, format!("x{n:9}"));
            }
        }
    }
}
