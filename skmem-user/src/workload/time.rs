//! Times on the command line.

use std::time::Duration;

use anyhow::{Result, bail};

/// A time with its unit: us, ms or s; a bare number is seconds.
pub(crate) fn parse_time(text: &str) -> Result<Duration> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        _ => bail!("unknown unit {unit:?}; use us, ms or s"),
    };
    let Ok(number) = number.parse::<f64>() else {
        bail!("not a time; write it like 10ms, 500us or 1.5s");
    };
    match Duration::try_from_secs_f64(number * scale) {
        Ok(time) if time <= Duration::from_secs(3600) => Ok(time),
        _ => bail!("longer than an hour"),
    }
}

/// The inverse of [`parse_time`], to the microsecond.
pub(super) fn print_time(time: Duration) -> String {
    match time.as_micros() {
        us if us % 1_000_000 == 0 => format!("{}s", us / 1_000_000),
        us if us % 1000 == 0 => format!("{}ms", us / 1000),
        us => format!("{us}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        assert_eq!(parse_time("500us").unwrap(), Duration::from_micros(500));
        assert_eq!(parse_time("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(parse_time("2").unwrap(), Duration::from_secs(2));
        for bad in ["", "ms", "1h", "-1s", "1.2.3s", "99999s", "."] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
