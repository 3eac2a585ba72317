//! Numbers in sentences.

/// An integer with its digits in groups of three: `14,480`.
#[must_use]
pub fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time span in a unit that leaves it readable.
#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
#[must_use]
pub fn span(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        1_000_000_000..120_000_000_000 => format!("{:.3} s", ns as f64 / 1e9),
        _ => {
            let seconds = ns / 1_000_000_000;
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped_by_three() {
        let all = [0, 7, 999, 1000, 14480, -123_456, i64::MIN].map(grouped);
        assert_eq!(all[..6], ["0", "7", "999", "1,000", "14,480", "-123,456"]);
        assert_eq!(all[6], "-9,223,372,036,854,775,808");
    }
}
