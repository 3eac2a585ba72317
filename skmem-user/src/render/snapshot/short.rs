//! Numbers of bytes in five columns.

use crate::explain::numbers::grouped;

/// How numbers of bytes look in tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bytes {
    /// `832`, `9.4K`, `655K`, `2.6M`: three digits of 1,024.
    Short,
    /// `14,480`
    Exact,
}

impl Bytes {
    pub(super) fn show(self, n: i64) -> String {
        match self {
            Self::Exact => grouped(n),
            Self::Short => short(n),
        }
    }

    /// With its sign: `+9.4K`, `0`.
    pub(super) fn change(self, n: i64) -> String {
        let plus = if n > 0 { "+" } else { "" };
        format!("{plus}{}", self.show(n))
    }
}

/// `832`, `9.4K`, `2.6M`: three digits of 1,024.
#[must_use]
pub fn short(n: i64) -> String {
    let sign = if n < 0 { "-" } else { "" };
    let bytes = n.unsigned_abs();
    if bytes < 1000 {
        return format!("{sign}{bytes}");
    }
    // Tenths of the unit, rounded; the unit grows before there are four digits.
    let mut tenths = u128::from(bytes) * 10;
    for unit in ["K", "M", "G", "T", "P"] {
        tenths = (tenths + 512) / 1024;
        if tenths < 100 {
            return format!("{sign}{}.{}{unit}", tenths / 10, tenths % 10);
        }
        if tenths < 9995 {
            return format!("{sign}{}{unit}", (tenths + 5) / 10);
        }
    }
    format!("{sign}{}E", (tenths + 5120) / 10240)
}

/// Bytes for a sentence: `1.2 MiB`, `832 bytes`.
#[must_use]
pub fn size(n: i64) -> String {
    let text = short(n);
    match text.chars().last() {
        Some(unit) if unit.is_ascii_alphabetic() => {
            format!("{} {unit}iB", &text[..text.len() - 1])
        }
        _ => format!("{text} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_columns_are_enough() {
        let all = [
            (0, "0"),
            (999, "999"),
            (1000, "1.0K"),
            (8192, "8.0K"),
            (87_040, "85K"),
            (1_023_999, "1.0M"),
            (3_939_840, "3.8M"),
            (-4096, "-4.0K"),
            (i64::MAX, "8E"),
            (i64::MIN, "-8E"),
        ];
        for (n, text) in all {
            assert_eq!(Bytes::Short.show(n), text, "{n}");
            assert!(text.trim_start_matches('-').len() <= 5);
        }
        assert_eq!(Bytes::Exact.change(1000), "+1,000");
        assert_eq!(
            (size(832).as_str(), size(1 << 20).as_str()),
            ("832 bytes", "1.0 MiB")
        );
    }
}
