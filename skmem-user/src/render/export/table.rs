//! Columns: names, types, meanings. CSV, Arrow, Parquet and the docs are made
//! from them.

use std::{borrow::Cow, fmt::Write};

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

/// What is in a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// [`Kind::Bool`]
    Bool(bool),
    /// [`Kind::Long`]
    Long(i64),
    /// [`Kind::Unsigned`]
    Unsigned(u64),
    /// [`Kind::Text`]
    Text(Cow<'a, str>),
    /// [`Kind::Date`]: days since 1970-01-01
    Date(i32),
    /// [`Kind::Time`]: microseconds since 1970-01-01 UTC
    Time(i64),
    /// [`Kind::Ops`]
    Ops(Vec<OpCell>),
    /// [`Kind::Sums`]
    Sums(Vec<SumCell>),
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

impl<'a> Value<'a> {
    /// [`Kind::Text`]
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// [`Kind::Long`] of a count.
    #[must_use]
    pub fn count(n: u64) -> Self {
        Self::Long(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// Appends it as text: what CSV has. Nothing is an empty cell.
    pub fn write(&self, out: &mut String) {
        let mut digits = itoa::Buffer::new();
        match self {
            Self::Null => {}
            Self::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Self::Long(n) => out.push_str(digits.format(*n)),
            Self::Unsigned(n) => out.push_str(digits.format(*n)),
            Self::Text(t) => out.push_str(t),
            Self::Date(days) => write_date(*days, out),
            Self::Time(us) => write_instant(*us, out),
            Self::Ops(ops) => words(ops, out, OpCell::write),
            Self::Sums(sums) => words(sums, out, |s, out| {
                out.push_str(s.cause);
                out.push(':');
                signed(s.bytes, out);
            }),
        }
    }
}

fn words<T>(list: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    for (n, item) in list.iter().enumerate() {
        if n > 0 {
            out.push(' ');
        }
        write(item, out);
    }
}

fn signed(n: i64, out: &mut String) {
    if n >= 0 {
        out.push('+');
    }
    out.push_str(itoa::Buffer::new().format(n));
}

impl OpCell {
    fn write(&self, out: &mut String) {
        let mark = if self.tier == Some("inferred") {
            "~"
        } else {
            ""
        };
        let mut digits = itoa::Buffer::new();
        match (self.op, self.cause) {
            ("book", Some(cause)) => {
                out.push_str(cause);
                out.push(':');
                out.push_str(mark);
                signed(self.bytes, out);
            }
            (op, cause) => {
                out.push_str(op);
                out.push(if cause.is_some() { '=' } else { '<' });
                out.push_str(digits.format(self.bytes));
                if let Some(cause) = cause {
                    out.push('(');
                    out.push_str(cause);
                    out.push_str(mark);
                    out.push(')');
                }
            }
        }
    }
}

/// `2026-11-23`; nothing for a day that is none.
#[must_use]
pub fn date(days: i32) -> String {
    let mut out = String::new();
    write_date(days, &mut out);
    out
}

fn write_date(days: i32, out: &mut String) {
    let Ok(t) = time::OffsetDateTime::from_unix_timestamp(i64::from(days) * 86_400) else {
        return;
    };
    let (year, month, day) = t.to_calendar_date();
    if !(0..=9999).contains(&year) {
        out.push_str(&t.date().to_string());
        return;
    }
    let year = year.unsigned_abs();
    pair(year / 100, out);
    pair(year % 100, out);
    out.push('-');
    pair(u8::from(month).into(), out);
    out.push('-');
    pair(day.into(), out);
}

/// `2026-11-23T15:00:00.000001Z`; nothing for an instant that is none.
#[must_use]
pub fn instant(us: i64) -> String {
    let mut out = String::new();
    write_instant(us, &mut out);
    out
}

fn write_instant(us: i64, out: &mut String) {
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
        ('T', seconds / 3600),
        (':', seconds / 60 % 60),
        (':', seconds % 60),
        ('.', of_day / 10_000),
    ] {
        out.push(sign);
        pair(two(n), out);
    }
    pair(two(of_day / 100), out);
    pair(two(of_day), out);
    out.push('Z');
}

/// Two digits.
fn pair(n: u32, out: &mut String) {
    out.push(char::from_digit(n / 10 % 10, 10).unwrap_or('0'));
    out.push(char::from_digit(n % 10, 10).unwrap_or('0'));
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
