//! Instants of the wall clock.

use super::line_buffer::LineBuffer;

/// `2026-11-23 16:07:50.395 UTC`, of ns since 1970.
#[must_use]
pub fn utc(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:03} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60,
        ns / 1_000_000 % 1000
    )
}

/// Appends the time of day, `16:07:50.395123`, UTC, of ns since 1970.
pub(super) fn clock(out: &mut LineBuffer, ns: u64) {
    out.time_of_day((ns / 1_000_000_000 % 86_400) as u32);
    out.millionths((ns / 1_000 % 1_000_000) as u32);
}

/// Year, month and day of a number of days since 1970-01-01. Years begin in
/// March here, so that the odd day of leap years is their last.
fn civil(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01, in eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let january = month >= 10;
    let month = if january { month - 9 } else { month + 3 };
    (era * 400 + year + u64::from(january), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00.000 UTC"),
            (951_782_400, "2000-02-29 00:00:00.000 UTC"),
            (951_868_799, "2000-02-29 23:59:59.000 UTC"),
            (1_795_450_070, "2026-11-23 16:07:50.000 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00.000 UTC"),
        ] {
            assert_eq!(utc(seconds * 1_000_000_000), text);
        }
        assert!(utc(u64::MAX).starts_with("2554-"));
    }
}
