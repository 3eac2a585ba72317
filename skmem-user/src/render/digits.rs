//! Decimal digits of numbers, all of a number at once.

/// Eight digits at a time.
pub(super) const BLOCK: u64 = 100_000_000;
const BLOCK32: u32 = BLOCK as u32;
/// Makes text of eight digits.
pub(super) const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// The eight digits of a number below [`BLOCK`], a byte each, the first one lowest: all of a size
/// are divided at once, by multiplications that are exact below 10,000 and 100.
#[inline]
pub(super) fn eight(n: u32) -> u64 {
    let n = u64::from(n);
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - tens * 10) << 8)
}

/// The four of a number below 10,000.
#[inline]
pub(super) fn four(n: u32) -> u32 {
    let hundreds = n / 100;
    let twos = hundreds | ((n - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f;
    tens | ((twos - tens * 10) << 8)
}

/// The digits of a number below [`BLOCK`].
#[derive(Clone, Copy)]
pub(super) struct Digits {
    /// The first one lowest, and nothing behind them.
    pub text: u64,
    pub length: u32,
}

impl Digits {
    #[inline]
    pub fn of(n: u32) -> Self {
        // Half of all numbers have one digit, and most of the others no more than four.
        let digits = match n {
            0..10 => {
                return Self {
                    text: u64::from(b'0') + u64::from(n),
                    length: 1,
                };
            }
            10..10_000 => u64::from(four(n)) << 32,
            _ => eight(n),
        };
        let zeros = digits.trailing_zeros() & !7;
        Self {
            text: (digits | ZEROS) >> zeros,
            length: 8 - zeros / 8,
        }
    }

    /// Of a number that is not longer.
    #[inline]
    pub fn of_small(n: i64) -> Option<Self> {
        match u32::try_from(n) {
            Ok(n @ 0..BLOCK32) => Some(Self::of(n)),
            _ => None,
        }
    }
}

/// How many characters a number has, with its sign.
#[inline]
pub(super) fn length(n: i64) -> usize {
    digits_of(n) + usize::from(n < 0)
}

/// The same of one in groups of three.
#[inline]
pub(super) fn grouped_length(n: i64) -> usize {
    length(n) + (digits_of(n) - 1) / 3
}

#[inline]
fn digits_of(n: i64) -> usize {
    n.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1
}
