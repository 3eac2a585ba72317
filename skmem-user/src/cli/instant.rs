//! An instant of a recording, as people write it.

use std::{str::FromStr, time::Duration};

use anyhow::{Result, anyhow};
use time::{Date, Month, Time};

use super::Usage;
use crate::{quantity::parse_time, recording::Clock, render};

/// An instant of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingInstant {
    /// Time since its start: `12.5s`.
    SinceStart(Duration),
    /// Time before its end: `-2s`.
    BeforeEnd(Duration),
    /// An `at_ns` of a verdict: `@123`.
    Monotonic(u64),
    /// A time of the wall clock, UTC; without a date the first one since the
    /// recording began.
    Wall(Option<Date>, Time),
}

impl FromStr for RecordingInstant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = |text: &str| parse_time(text).map_err(|e| e.to_string());
        if let Some(ns) = text.strip_prefix('@') {
            let ns = ns.parse().map(Self::Monotonic);
            return ns.map_err(|_| format!("{text:?} is not @ and a number of ns"));
        }
        if text.contains(':') {
            return wall(text).ok_or_else(|| {
                format!(
                    "{text:?} is not a time of day such as 03:12:22.5 or 2026-11-28T03:12:22 (UTC)"
                )
            });
        }
        match text.strip_prefix('-') {
            Some(before) => time(before).map(Self::BeforeEnd),
            None => time(text).map(Self::SinceStart),
        }
    }
}

/// `[2026-11-28T]03:12[:22[.5]][Z]`, a blank for the T, `UTC` for the Z.
fn wall(text: &str) -> Option<RecordingInstant> {
    let text = text
        .trim_end_matches("UTC")
        .trim_end_matches('Z')
        .trim_end();
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (Some(date), time),
        None => (None, text),
    };
    let date = match date {
        None => None,
        Some(date) => {
            let mut parts = date.splitn(3, '-');
            let year = parts.next()?.parse().ok()?;
            let month = Month::try_from(parts.next()?.parse::<u8>().ok()?).ok()?;
            Some(Date::from_calendar_date(year, month, parts.next()?.parse().ok()?).ok()?)
        }
    };
    let mut parts = time.splitn(3, ':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let (second, part) = match parts.next() {
        None => ("0", ""),
        Some(seconds) => seconds.split_once('.').unwrap_or((seconds, "")),
    };
    if part.len() > 9 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanosecond = format!("{part:0<9}").parse().ok()?;
    let time = Time::from_hms_nano(hour, minute, second.parse().ok()?, nanosecond).ok()?;
    Some(RecordingInstant::Wall(date, time))
}

impl RecordingInstant {
    /// The instant in ns of `CLOCK_MONOTONIC`, in a recording from `start` to
    /// `end`.
    #[must_use]
    pub fn ns(self, (start, end): (u64, u64), clock: &Clock) -> u64 {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        match self {
            Self::SinceStart(time) => start.saturating_add(ns(time)),
            Self::BeforeEnd(time) => end.saturating_sub(ns(time)),
            Self::Monotonic(time) => time,
            Self::Wall(date, time) => {
                let began = i128::from(clock.wall_ns(start));
                let day = 86_400_000_000_000;
                let in_day = (time - Time::MIDNIGHT).whole_nanoseconds();
                let midnight = match date {
                    Some(date) => date.midnight().assume_utc().unix_timestamp_nanos(),
                    // To the microsecond, as times are printed.
                    None if began.rem_euclid(day) / 1_000 <= in_day / 1_000 => {
                        began - began.rem_euclid(day)
                    }
                    None => began - began.rem_euclid(day) + day,
                };
                let then =
                    midnight + in_day - i128::from(clock.wall_ns) + i128::from(clock.monotonic_ns);
                u64::try_from(then).unwrap_or(0)
            }
        }
    }

    /// The same, which must lie in the recording; `option` asked for it.
    ///
    /// # Errors
    /// Where it does not.
    pub fn within(self, span: (u64, u64), clock: &Clock, option: &str) -> Result<u64> {
        let ns = self.ns(span, clock);
        if (span.0..=span.1).contains(&ns) {
            return Ok(ns);
        }
        let wall = |ns| render::utc(clock.wall_ns(ns));
        Err(Usage(anyhow!(
            "{option}: the recording is {} long, from {} to {}",
            render::time_span(span.1.saturating_sub(span.0)),
            wall(span.0),
            wall(span.1)
        ))
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        let of = |text: &str| text.parse::<RecordingInstant>();
        let ms = Duration::from_millis;
        assert_eq!(of("12.5s"), Ok(RecordingInstant::SinceStart(ms(12_500))));
        assert_eq!(of("1h"), Ok(RecordingInstant::SinceStart(ms(3_600_000))));
        assert_eq!(of("-2s"), Ok(RecordingInstant::BeforeEnd(ms(2000))));
        assert_eq!(of("@17"), Ok(RecordingInstant::Monotonic(17)));
        for bad in [
            "",
            "@",
            "@x",
            "-",
            "25:00",
            "12:61",
            "2026-13-01T00:00:00",
            "1:2:3:4",
            "12:00:00.x",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        // From 03:12:25 to a minute later, 5 s after boot.
        let clock = Clock {
            monotonic_ns: 5_000_000_000,
            wall_ns: 1_795_835_545_000_000_000,
        };
        let span = (5_000_000_000, 65_000_000_000);
        for (text, ns) in [
            ("1.5s", 6_500_000_000),
            ("-1s", 64_000_000_000),
            ("@7", 7),
            ("03:12:26.25", 6_250_000_000),
            ("03:12:25", 5_000_000_000),
            ("03:13", 40_000_000_000),
            ("2026-11-28T03:12:30Z", 10_000_000_000),
            ("2026-11-28 03:12:30 UTC", 10_000_000_000),
            // The next day's.
            ("03:12:24", 5_000_000_000 + 86_399_000_000_000),
            ("1970-01-01T00:00:00", 0),
        ] {
            assert_eq!(of(text).unwrap().ns(span, &clock), ns, "{text}");
        }
        let outside = of("03:12:24").unwrap().within(span, &clock, "--at");
        assert_eq!(
            outside.unwrap_err().to_string(),
            "--at: the recording is 60.000 s long, from 2026-11-28 03:12:25.000 UTC to 2026-11-28 \
             03:13:25.000 UTC"
        );
    }
}
