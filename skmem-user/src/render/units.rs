//! Numbers with their units.

use crate::explain::numbers::grouped;
pub(super) use crate::explain::numbers::span;

/// `14,480 bytes`, `1 byte`.
pub(super) fn bytes(n: i64) -> String {
    counted(n, "byte")
}

/// `3 sleeps`, `1 sleep`.
pub(super) fn counted(n: i64, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {what}{s}", grouped(n))
}

/// A count that the kernel keeps unsigned.
pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Bytes with their sign: `+896`, `-8,192`, `0`.
pub(super) fn change(n: i64) -> String {
    let plus = if n > 0 { "+" } else { "" };
    format!("{plus}{}", grouped(n))
}

/// How many times `b` fits into `a`: `3.5`, `120`.
#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
pub(super) fn ratio(a: i64, b: i64) -> String {
    let ratio = a as f64 / b as f64;
    if ratio < 100.0 {
        format!("{ratio:.1}")
    } else {
        grouped(a / b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_keep_three_or_four_digits() {
        let all = [0, 999, 1_500, 2_340_000, 1_204_000_000, 3_723_000_000_000].map(span);
        assert_eq!(
            all,
            [
                "0 ns",
                "999 ns",
                "1.5 µs",
                "2.3 ms",
                "1.204 s",
                "62 min 3 s"
            ]
        );
    }

    #[test]
    fn signs_and_plurals() {
        assert_eq!(
            [change(896), change(-8192), change(0)],
            ["+896", "-8,192", "0"]
        );
        assert_eq!(
            [bytes(1), bytes(0), counted(2, "sleep")],
            ["1 byte", "0 bytes", "2 sleeps"]
        );
        assert_eq!(
            [ratio(14480, 4096), ratio(1_000_000, 2)],
            ["3.5", "500,000"]
        );
    }
}
