//! A table as CSV (RFC 4180): a line of names, then a line each row. Nothing is
//! an empty cell; lists are words (`tail-append:+1024`).

use std::io::{self, Write};

use super::table::{Cells, OpCell, SumCell, Table, write_date, write_instant};
use crate::render::LineBuffer;

/// A table under way.
pub struct Csv<W: Write> {
    out: W,
    line: Line,
}

/// A row under way: a comma behind each cell.
#[derive(Debug, Default)]
pub struct Line(LineBuffer);

impl<W: Write> Csv<W> {
    /// Starts with the names.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn new(table: &Table, out: W) -> io::Result<Self> {
        let mut csv = Self {
            out,
            line: Line::default(),
        };
        csv.row(|line| table.columns.iter().for_each(|c| line.text(c.name)))?;
        Ok(csv)
    }

    /// The next row.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn row(&mut self, put: impl FnOnce(&mut Line)) -> io::Result<()> {
        let Line(line) = &mut self.line;
        line.clear();
        put(&mut self.line);
        let Line(line) = &mut self.line;
        if let Some(last) = line.as_mut_bytes().last_mut() {
            *last = b'\n';
        }
        self.out.write_all(line.as_bytes())
    }

    /// The end.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Line {
    fn cell(&mut self, put: impl FnOnce(&mut LineBuffer)) {
        put(&mut self.0);
        self.0.literal(b",");
    }
}

impl Cells for Line {
    fn null(&mut self) {
        self.cell(|_| {});
    }

    fn bool(&mut self, value: bool) {
        let word = if value { "true" } else { "false" };
        self.cell(|out| out.text(word));
    }

    fn long(&mut self, value: i64) {
        self.cell(|out| out.number(value));
    }

    fn unsigned(&mut self, value: u64) {
        self.cell(|out| out.number(value));
    }

    fn text(&mut self, value: &str) {
        let plain = |b: u8| !matches!(b, b'"' | b',' | b'\n' | b'\r');
        self.cell(|out| {
            if value.bytes().all(plain) {
                out.text(value);
                return;
            }
            out.literal(b"\"");
            for (n, part) in value.split('"').enumerate() {
                if n > 0 {
                    out.literal(b"\"\"");
                }
                out.text(part);
            }
            out.literal(b"\"");
        });
    }

    fn date(&mut self, days: i32) {
        self.cell(|out| write_date(days, out));
    }

    fn time(&mut self, us: i64) {
        self.cell(|out| write_instant(us, out));
    }

    fn ops(&mut self, ops: impl Iterator<Item = OpCell>) {
        self.cell(|out| words(ops, out, op));
    }

    fn sums(&mut self, sums: impl Iterator<Item = SumCell>) {
        self.cell(|out| {
            words(sums, out, |sum, out| {
                out.text(sum.cause);
                out.literal(b":");
                signed(sum.bytes, out);
            });
        });
    }
}

/// The names of operations and causes are plain: nothing in them is quoted.
fn words<T>(
    list: impl Iterator<Item = T>,
    out: &mut LineBuffer,
    put: impl Fn(&T, &mut LineBuffer),
) {
    for (n, item) in list.enumerate() {
        if n > 0 {
            out.literal(b" ");
        }
        put(&item, out);
    }
}

fn signed(n: i64, out: &mut LineBuffer) {
    if n >= 0 {
        out.literal(b"+");
    }
    out.number(n);
}

fn op(op: &OpCell, out: &mut LineBuffer) {
    let mark = match op.tier {
        Some("inferred") => "~",
        _ => "",
    };
    match (op.op, op.cause) {
        ("book", Some(cause)) => {
            out.text(cause);
            out.literal(b":");
            out.text(mark);
            signed(op.bytes, out);
        }
        (what, cause) => {
            out.text(what);
            out.literal(if cause.is_some() { b"=" } else { b"<" });
            out.number(op.bytes);
            if let Some(cause) = cause {
                out.literal(b"(");
                out.text(cause);
                out.text(mark);
                out.literal(b")");
            }
        }
    }
}
