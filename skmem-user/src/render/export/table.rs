//! Columns: names, types, meanings. CSV, Arrow, Parquet and the docs are made
//! from them.

use std::fmt::Write;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `BOOLEAN`
    Bool,
    /// `INT32`
    Int,
    /// `INT64`
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
pub enum Value {
    /// Nothing.
    Null,
    /// [`Kind::Bool`]
    Bool(bool),
    /// [`Kind::Int`]
    Int(i32),
    /// [`Kind::Long`]
    Long(i64),
    /// [`Kind::Unsigned`]
    Unsigned(u64),
    /// [`Kind::Text`]
    Text(String),
    /// [`Kind::Text`] that is one of few
    Name(&'static str),
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
    pub bytes: i32,
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
            Self::Int => "INT32",
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

impl Value {
    /// As text: what CSV has. Nothing is an empty cell.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(b) => b.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Long(n) => n.to_string(),
            Self::Unsigned(n) => n.to_string(),
            Self::Text(t) => t.clone(),
            Self::Name(t) => (*t).to_owned(),
            Self::Date(days) => date(*days),
            Self::Time(us) => instant(*us),
            Self::Ops(ops) => {
                let ops: Vec<String> = ops.iter().map(OpCell::text).collect();
                ops.join(" ")
            }
            Self::Sums(sums) => {
                let sum = |s: &SumCell| format!("{}:{:+}", s.cause, s.bytes);
                let sums: Vec<String> = sums.iter().map(sum).collect();
                sums.join(" ")
            }
        }
    }
}

impl OpCell {
    fn text(&self) -> String {
        let mark = if self.tier == Some("inferred") {
            "~"
        } else {
            ""
        };
        match (self.op, self.cause) {
            ("book", Some(cause)) => format!("{cause}:{mark}{:+}", self.bytes),
            (op, Some(cause)) => format!("{op}={}({cause}{mark})", self.bytes),
            (op, None) => format!("{op}<{}", self.bytes),
        }
    }
}

/// `2026-11-23`; nothing for a day that is none.
#[must_use]
pub fn date(days: i32) -> String {
    time::OffsetDateTime::from_unix_timestamp(i64::from(days) * 86_400)
        .map_or_else(|_| String::new(), |t| t.date().to_string())
}

/// `2026-11-23T15:00:00.000001Z`; nothing for an instant that is none.
#[must_use]
pub fn instant(us: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp(us.div_euclid(1_000_000)).map_or_else(
        |_| String::new(),
        |t| {
            let us = us.rem_euclid(1_000_000);
            let (h, m, s) = t.to_hms();
            format!("{}T{h:02}:{m:02}:{s:02}.{us:06}Z", t.date())
        },
    )
}
