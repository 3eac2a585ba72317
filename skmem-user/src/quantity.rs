//! Times and sizes as people write them: `90s`, `1h30m`, `64K`.

use std::{ops::RangeInclusive, time::Duration};

use anyhow::{Result, bail};

/// The units of times, in ns; longer names first where one begins with another.
const UNITS: [(&str, u64); 8] = [
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// A time with its unit: us, ms, s, m, h or d, also several (`1h30m`); a bare
/// number is seconds. At most what 64 bits of nanoseconds hold, 584 years.
///
/// # Errors
/// Where the text is not a time, or one longer than that.
pub fn parse_time(text: &str) -> Result<Duration> {
    if text.is_empty() {
        bail!("not a time; write it like 10ms, 1.5s, 5m or 1h30m");
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let scale = match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, scale)) => *scale,
            None if unit.is_empty() && number.len() == text.len() => 1_000_000_000,
            None if unit.is_empty() => bail!("{number:?} has no unit; use us, ms, s, m, h or d"),
            None => bail!("unknown unit {unit:?}; use us, ms, s, m, h or d"),
        };
        let Ok(number) = number.parse::<f64>() else {
            bail!("not a time; write it like 10ms, 1.5s, 5m or 1h30m");
        };
        #[expect(clippy::cast_precision_loss, reason = "units are whole below 2^53")]
        let part = Duration::try_from_secs_f64(number * (scale as f64 / 1e9)).ok();
        sum = part
            .and_then(|part| sum.checked_add(part))
            .filter(|sum| u64::try_from(sum.as_nanos()).is_ok())
            .ok_or_else(|| anyhow::anyhow!("a time can be 584 years at most"))?;
        rest = after;
    }
    Ok(sum)
}

/// The inverse of [`parse_time`], to the microsecond.
#[must_use]
pub fn print_time(time: Duration) -> String {
    match time.as_micros() {
        us if us % 1_000_000 == 0 => format!("{}s", us / 1_000_000),
        us if us % 1000 == 0 => format!("{}ms", us / 1000),
        us => format!("{us}us"),
    }
}

/// A number of bytes, with a unit (K, M, G: powers of 1024) or without.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let last = text.chars().next_back()?;
    let unit = match last.to_ascii_uppercase() {
        'K' => 1u64 << 10,
        'M' => 1 << 20,
        'G' => 1 << 30,
        _ => return text.parse().ok(),
    };
    text[..text.len() - 1]
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)
}

/// A number of bytes within `range`.
///
/// # Errors
/// Where the text is not a size, or out of range.
pub fn size<T>(text: &str, range: RangeInclusive<u64>) -> Result<T, String>
where
    T: TryFrom<u64>,
{
    let most = range.end();
    bytes(text)
        .filter(|n| range.contains(n))
        .and_then(|n| T::try_from(n).ok())
        .ok_or_else(|| {
            let least = print_size(*range.start());
            match *most {
                // All that 32 or 64 bits hold.
                0xffff_ffff.. => {
                    format!("{text:?} is not a size from {least} on, such as 64K or 1M")
                }
                most => format!(
                    "{text:?} is not a size from {least} to {}, such as 64K or 1M",
                    print_size(most)
                ),
            }
        })
}

/// A ring's size such as 512K or 8M, in bytes.
///
/// # Errors
/// Where the text is not a size, or out of range.
pub fn ring_size(text: &str) -> Result<u32, String> {
    size(text, 4096..=1 << 30)
}

/// A file's size such as 512K, 100M or 20G, in bytes.
///
/// # Errors
/// Where the text is not a size, or out of range.
pub fn file_size(text: &str) -> Result<u64, String> {
    size(text, 64 << 10..=1 << 50)
}

fn print_size(n: u64) -> String {
    for (shift, unit) in [(30, 'G'), (20, 'M'), (10, 'K')] {
        if n >= 1 << shift && n.is_multiple_of(1 << shift) {
            return format!("{}{unit}", n >> shift);
        }
    }
    n.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        for (text, time) in [
            ("500us", Duration::from_micros(500)),
            ("1.5s", Duration::from_millis(1500)),
            ("2", Duration::from_secs(2)),
            ("90s", Duration::from_secs(90)),
            ("5m", Duration::from_secs(300)),
            ("5min", Duration::from_secs(300)),
            ("1h", Duration::from_secs(3600)),
            ("1h30m", Duration::from_mins(90)),
            ("2d", Duration::from_hours(48)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(parse_time(text).unwrap(), time, "{text}");
        }
        for bad in [
            "", "ms", "1w", "-1s", "1.2.3s", "9999999d", ".", "1h30", "s1", "1 s",
        ] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units_and_bounds() {
        assert_eq!(bytes("64K"), Some(65_536));
        assert_eq!(
            (bytes("4KK"), bytes("é"), bytes(""), bytes("K")),
            (None, None, None, None)
        );
        assert_eq!(size::<u32>("4k", 0..=u64::from(u32::MAX)), Ok(4096));
        assert_eq!(size::<u64>("1M", 1..=u64::MAX), Ok(1 << 20));
        let wrong = size::<u32>("9G", 4096..=1 << 30).unwrap_err();
        assert_eq!(
            wrong,
            "\"9G\" is not a size from 4K to 1G, such as 64K or 1M"
        );
        assert!(
            size::<u64>("0", 1..=u64::MAX)
                .unwrap_err()
                .contains("from 1 on")
        );
    }

    #[test]
    fn sizes_of_rings() {
        assert_eq!(ring_size("8M"), Ok(8 << 20));
        assert_eq!(ring_size("4096"), Ok(4096));
        assert_eq!(ring_size("512k"), Ok(512 << 10));
        for bad in ["", "K", "1", "0M", "9999G", "-1M", "4KK", "é"] {
            assert!(ring_size(bad).is_err(), "{bad}");
        }
    }
}
