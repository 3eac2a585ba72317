//! A line under way. Lines are put together from a hundred short pieces: each is a few moves of
//! fixed lengths here, where a `Vec` calls for room, and musl's memcpy, which the binary that is
//! given away has, takes longer to begin than most pieces are long.

use std::io;

use super::digits::{BLOCK, Digits, ZEROS, eight, four, grouped_length, length};

/// Bytes of text, to be used again for the next line.
#[derive(Debug, Clone, Default)]
pub struct LineBuffer {
    /// Behind `used`: room.
    bytes: Vec<u8>,
    /// Not usize: a sum with a piece's length cannot overflow that, and is not checked.
    used: u32,
}

/// `→`, as a piece of a fixed length.
pub(super) const ARROW: &[u8; 3] = b"\xe2\x86\x92";

/// A column's place in a line: behind `gap` blanks, `width` letters wide, or wider where its text
/// is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub gap: usize,
    pub width: usize,
}

impl Cell {
    /// Blanks before a text of `letters` at the right of the cell.
    #[inline]
    fn before(self, letters: usize) -> usize {
        self.gap + self.width.saturating_sub(letters)
    }
}

impl LineBuffer {
    /// What is in it.
    #[inline]
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
    #[inline]
    pub(super) fn truncate(&mut self, length: usize) {
        if length < self.len() {
            self.used = length as u32;
        }
    }

    /// What is in it, to be changed.
    pub(super) fn as_mut_bytes(&mut self) -> &mut [u8] {
        let used = self.len();
        &mut self.bytes[..used]
    }

    /// The next `N` bytes behind the text; None: there are fewer.
    #[inline(always)]
    fn room<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        let used = self.len();
        let room = self.bytes.get_mut(used..used + N)?;
        room.first_chunk_mut()
    }

    /// Appends a piece whose length is known where this is compiled.
    #[inline(always)]
    pub(super) fn literal<const N: usize>(&mut self, piece: &[u8; N]) {
        match self.room() {
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
            16..=32 => ends::<16>(room, piece),
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
        match self.room() {
            // As many as there may be, in one move.
            Some(room) if n <= BLANKS.len() => {
                *room = BLANKS;
                self.used += n as u32;
            }
            _ => self.any_blanks(n),
        }
    }

    #[cold]
    fn any_blanks(&mut self, n: usize) {
        (0..n).for_each(|_| self.literal(b" "));
    }

    /// Puts a piece in, at `at`.
    pub(super) fn insert(&mut self, at: usize, piece: &[u8]) {
        self.bytes(piece);
        self.as_mut_bytes()[at..].rotate_right(piece.len());
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
            10..BLOCK => self.some(Digits::of(n as u32)),
            _ => self.many(n),
        }
    }

    /// Appends a number at the right of its cell. Not inlined: out of the loop over columns the
    /// compiler would take the digits of numbers that do not change in it, in all ways at once.
    #[inline(never)]
    pub(super) fn number_at_right(&mut self, cell: Cell, n: i64) {
        if let Some(digits) = Digits::of_small(n)
            && let Some(room) = self.room()
        {
            // More than a column is wide, in one move.
            *room = BLANKS;
            let blanks = cell.before(digits.length as usize);
            if let Some(room) = room.get_mut(blanks..).and_then(<[u8]>::first_chunk_mut) {
                *room = digits.text.to_le_bytes();
                self.used += blanks as u32 + digits.length;
                return;
            }
        }
        self.any_at_right(cell, n);
    }

    #[cold]
    fn any_at_right(&mut self, cell: Cell, n: i64) {
        self.blanks(cell.before(length(n)));
        self.number(n);
    }

    /// Appends what a number was, and what it is, at the right of their cell.
    pub(super) fn change_at_right(&mut self, cell: Cell, before: i64, now: i64) {
        let digits = Digits::of_small(now);
        let length = digits.map_or_else(|| length(now), |digits| digits.length as usize);
        let width = cell.width.saturating_sub(1 + length);
        self.number_at_right(Cell { width, ..cell }, before);
        self.literal(ARROW);
        match digits {
            Some(digits) => self.some(digits),
            None => self.number(now),
        }
    }

    /// The same in groups.
    #[inline(never)]
    pub(super) fn grouped_at_right(&mut self, cell: Cell, n: i64) {
        self.blanks(cell.before(grouped_length(n)));
        self.grouped(n);
    }

    /// A change in groups.
    #[inline(never)]
    pub(super) fn grouped_change_at_right(&mut self, cell: Cell, before: i64, now: i64) {
        let width = cell.width.saturating_sub(1 + grouped_length(now));
        self.grouped_at_right(Cell { width, ..cell }, before);
        self.literal(ARROW);
        self.grouped(now);
    }

    #[inline(never)]
    fn many(&mut self, n: u64) {
        self.digits(n / BLOCK);
        let digits = eight((n % BLOCK) as u32) | ZEROS;
        self.literal(&digits.to_le_bytes());
    }

    #[inline]
    fn some(&mut self, digits: Digits) {
        self.literal(&digits.text.to_le_bytes());
        self.used -= 8 - digits.length;
    }

    /// Appends a number with its digits in groups of three: `14,480`.
    pub(super) fn grouped(&mut self, n: i64) {
        if n < 0 {
            self.literal(b"-");
        }
        self.groups(n.unsigned_abs());
    }

    fn groups(&mut self, n: u64) {
        if n < 1000 {
            return self.digits(n);
        }
        self.groups(n / 1000);
        // Of four digits the first one's place, a 0, is that of the comma.
        let digits = four((n % 1000) as u32) | ZEROS as u32;
        self.literal(&(digits ^ u32::from(b'0' ^ b',')).to_le_bytes());
    }

    /// Appends a point and millionths, below a million, in six digits.
    #[inline]
    pub(super) fn millionths(&mut self, n: u32) {
        // Of eight digits the second one's place, a 0, is that of the point.
        let digits = (eight(n) | ZEROS) >> 8;
        self.literal(&(digits ^ u64::from(b'0' ^ b'.')).to_le_bytes());
        self.used -= 1;
    }

    /// Appends a time of day, `16:07:50`.
    pub(super) fn time_of_day(&mut self, second: u32) {
        let (hour, minute) = (second / 3600, second / 60 % 60);
        // The zeros between them are the places of the colons.
        let digits = eight(hour * 1_000_000 + minute * 1_000 + second % 60) | ZEROS;
        let colons = u64::from_le_bytes([0, 0, b'0' ^ b':', 0, 0, b'0' ^ b':', 0, 0]);
        self.literal(&(digits ^ colons).to_le_bytes());
    }
}

const BLANKS: [u8; 32] = [b' '; 32];

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
    use crate::explain::numbers::grouped;

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

    #[test]
    fn millionths_and_times_of_day() {
        for n in [0, 1, 90, 1_000, 123_456, 999_999] {
            assert_eq!(of(|out| out.millionths(n)), format!("x.{n:06}"));
        }
        for (second, time) in [(0, "00:00:00"), (58_070, "16:07:50"), (86_399, "23:59:59")] {
            assert_eq!(of(|out| out.time_of_day(second)), format!("x{time}"));
        }
    }

    #[test]
    fn pieces_in_between() {
        for at in 0..=3 {
            let text = of(|out| {
                out.literal(b"yz");
                out.insert(at, "→".as_bytes());
            });
            assert_eq!(text, format!("{}→{}", &"xyz"[..at], &"xyz"[at..]));
        }
    }

    #[test]
    fn cells_of_any_width() {
        for width in 0..100 {
            let cell = Cell { gap: 0, width };
            assert_eq!(
                of(|out| out.number_at_right(cell, 12)),
                format!("x{:width$}", 12)
            );
        }
    }

    const CELL: Cell = Cell { gap: 1, width: 9 };

    proptest! {
        #[test]
        fn any_number(long in any::<u64>(), signed in any::<i64>(), short in any::<i32>()) {
            prop_assert_eq!(of(|out| out.number(long)), format!("x{long}"));
            prop_assert_eq!(of(|out| out.number(signed)), format!("x{signed}"));
            prop_assert_eq!(of(|out| out.number(short)), format!("x{short}"));
            let numbers = [signed, i64::from(short), signed >> 40];
            for n in numbers {
                let text = grouped(n);
                prop_assert_eq!(of(|out| out.grouped(n)), format!("x{text}"));
                prop_assert_eq!(of(|out| out.number_at_right(CELL, n)), format!("x {n:9}"));
                prop_assert_eq!(of(|out| out.grouped_at_right(CELL, n)), format!("x {text:>9}"));
                for before in numbers {
                    let change = format!("{before}→{n}");
                    let cell = of(|out| out.change_at_right(CELL, before, n));
                    prop_assert_eq!(cell, format!("x {change:>9}"));
                    let change = format!("{}→{text}", grouped(before));
                    let cell = of(|out| out.grouped_change_at_right(CELL, before, n));
                    prop_assert_eq!(cell, format!("x {change:>9}"));
                }
            }
        }
    }
}
