//! Columns: names, types, meanings. CSV, Arrow, Parquet and the docs are made
//! from them.

use std::fmt::Write;

use crate::render::LineBuffer;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `BOOLEAN`
    Bool,
    /// `INT64`: all numbers have its width, for an engine may sum 32 bits in 32
    /// bits
    Long,
    /// `INT64`, unsigned: only for numbers whose top bit may be set
    Unsigned,
    /// `STRING`
    Text,
    /// `DATE`
    Date,
    /// `TIMESTAMP`, microseconds, UTC
    Time,
    /// `LIST` of `STRUCT(op, cause, tier, bytes)`
    Ops,
    /// `LIST` of `STRUCT(cause, bytes, count, inferred)`
    Sums,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Whether it may be null.
    pub null: bool,
    /// What it means, with its unit.
    pub meaning: &'static str,
}

/// A table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [Column],
}

/// Takes the cells of a row, in the order of the table's columns. A cell of
/// another kind than its column's is a bug, which the tests would show.
pub trait Cells {
    /// Nothing.
    fn null(&mut self);
    /// Of [`Kind::Bool`].
    fn bool(&mut self, value: bool);
    /// Of [`Kind::Long`].
    fn long(&mut self, value: i64);
    /// Of [`Kind::Unsigned`].
    fn unsigned(&mut self, value: u64);
    /// Of [`Kind::Text`].
    fn text(&mut self, value: &str);
    /// Of [`Kind::Date`]: days since 1970-01-01.
    fn date(&mut self, days: i32);
    /// Of [`Kind::Time`]: microseconds since 1970-01-01 UTC.
    fn time(&mut self, us: i64);
    /// Of [`Kind::Ops`].
    fn ops(&mut self, ops: impl Iterator<Item = OpCell>);
    /// Of [`Kind::Sums`].
    fn sums(&mut self, sums: impl Iterator<Item = SumCell>);

    /// Of [`Kind::Long`], or nothing.
    fn maybe_long(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.long(value),
            None => self.null(),
        }
    }

    /// Of [`Kind::Text`], or nothing.
    fn maybe_text(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    /// A count, of [`Kind::Long`].
    fn count(&mut self, n: u64) {
        self.long(i64::try_from(n).unwrap_or(i64::MAX));
    }
}

/// An operation on the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpCell {
    /// `book`, `admit`, `limit` or `unknown`.
    pub op: &'static str,
    /// The cause; None for `admit`.
    pub cause: Option<&'static str>,
    /// `observed` or `inferred`; None for `admit`.
    pub tier: Option<&'static str>,
    /// `book`: bytes of `wmem_queued`; `admit`, `limit`: `sndbuf`, in bytes.
    pub bytes: i64,
}

/// Bytes under one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumCell {
    /// Its name.
    pub cause: &'static str,
    /// Bytes of `wmem_queued`; frees are negative.
    pub bytes: i64,
    /// How many times.
    pub count: i64,
    /// The part of `bytes` that was inferred from the fields.
    pub inferred: i64,
}

/// A column that is never null.
pub(super) const fn column(name: &'static str, kind: Kind, meaning: &'static str) -> Column {
    Column {
        name,
        kind,
        null: false,
        meaning,
    }
}

/// A column that may be null.
pub(super) const fn optional(name: &'static str, kind: Kind, meaning: &'static str) -> Column {
    Column {
        name,
        kind,
        null: true,
        meaning,
    }
}

impl Kind {
    /// As Parquet and the docs call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOLEAN",
            Self::Long => "INT64",
            Self::Unsigned => "UINT64",
            Self::Text => "STRING",
            Self::Date => "DATE",
            Self::Time => "TIMESTAMP(MICROS, UTC)",
            Self::Ops => "LIST<STRUCT<op, cause, tier, bytes>>",
            Self::Sums => "LIST<STRUCT<cause, bytes, count, inferred>>",
        }
    }
}

impl Table {
    /// The table of its columns, in Markdown, for `docs/export.md`.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::from("| column | type | null | meaning |\n|---|---|---|---|\n");
        for c in self.columns {
            let null = if c.null { "yes" } else { "" };
            let _ = writeln!(
                out,
                "| `{}` | `{}` | {null} | {} |",
                c.name,
                c.kind.name(),
                c.meaning
            );
        }
        out
    }
}

/// `2026-11-23`; empty for a day that the calendar does not have.
#[must_use]
pub fn date(days: i32) -> String {
    let mut out = LineBuffer::default();
    write_date(days, &mut out);
    String::from_utf8(out.as_bytes().to_vec()).unwrap_or_default()
}

pub(super) fn write_date(days: i32, out: &mut LineBuffer) {
    let Ok(t) = time::OffsetDateTime::from_unix_timestamp(i64::from(days) * 86_400) else {
        return;
    };
    let (year, month, day) = t.to_calendar_date();
    if !(0..=9999).contains(&year) {
        out.text(&t.date().to_string());
        return;
    }
    let year = year.unsigned_abs();
    pair(year / 100, out);
    pair(year % 100, out);
    out.literal(b"-");
    pair(u8::from(month).into(), out);
    out.literal(b"-");
    pair(day.into(), out);
}

/// `2026-11-23T15:00:00.000001Z`; empty for a time that the calendar does not have.
#[must_use]
pub fn instant(us: i64) -> String {
    let mut out = LineBuffer::default();
    write_instant(us, &mut out);
    String::from_utf8(out.as_bytes().to_vec()).unwrap_or_default()
}

pub(super) fn write_instant(us: i64, out: &mut LineBuffer) {
    const DAY: i64 = 86_400_000_000;
    let before = out.len();
    write_date(i32::try_from(us.div_euclid(DAY)).unwrap_or(i32::MAX), out);
    if out.len() == before {
        return;
    }
    // Less than a day: it fits.
    let of_day = us.rem_euclid(DAY);
    let two = |n: i64| u32::try_from(n % 100).unwrap_or_default();
    let seconds = of_day / 1_000_000;
    for (sign, n) in [
        (b"T", seconds / 3600),
        (b":", seconds / 60 % 60),
        (b":", seconds % 60),
        (b".", of_day / 10_000),
    ] {
        out.literal(sign);
        pair(two(n), out);
    }
    pair(two(of_day / 100), out);
    pair(two(of_day), out);
    out.literal(b"Z");
}

/// Two digits.
fn pair(n: u32, out: &mut LineBuffer) {
    let digit = |n: u32| b'0' + u8::try_from(n % 10).unwrap_or_default();
    out.literal(&[digit(n / 10), digit(n)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_days() {
        assert_eq!(instant(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(
            instant(1_795_478_399_012_345),
            "2026-11-23T23:59:59.012345Z"
        );
        assert_eq!(date(20_780), "2026-11-23");
        assert_eq!((date(i32::MAX), instant(i64::MAX)), Default::default());
    }
}
