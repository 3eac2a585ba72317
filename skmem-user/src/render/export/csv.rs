//! A table as CSV (RFC 4180): a line of names, then a line each row. Nothing is
//! an empty cell; lists are words (`tail-append:+1024`).

use std::io::{self, Write};

use super::table::{Cells, OpCell, SumCell, Table, write_date, write_instant};

/// A table under way.
pub struct Csv<W: Write> {
    out: W,
    line: Line,
}

/// A row under way: a comma behind each cell.
#[derive(Debug, Default)]
pub struct Line(Vec<u8>);

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
        if let Some(last) = line.last_mut() {
            *last = b'\n';
        }
        self.out.write_all(line)
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
    fn cell(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.0);
        self.0.push(b',');
    }
}

impl Cells for Line {
    fn null(&mut self) {
        self.cell(|_| {});
    }

    fn bool(&mut self, value: bool) {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.cell(|out| out.extend_from_slice(word));
    }

    fn long(&mut self, value: i64) {
        self.cell(|out| number(value, out));
    }

    fn unsigned(&mut self, value: u64) {
        self.cell(|out| number(value, out));
    }

    fn text(&mut self, value: &str) {
        let plain = |b: u8| !matches!(b, b'"' | b',' | b'\n' | b'\r');
        self.cell(|out| {
            if value.bytes().all(plain) {
                out.extend_from_slice(value.as_bytes());
                return;
            }
            out.push(b'"');
            for byte in value.bytes() {
                if byte == b'"' {
                    out.push(b'"');
                }
                out.push(byte);
            }
            out.push(b'"');
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
                out.extend_from_slice(sum.cause.as_bytes());
                out.push(b':');
                signed(sum.bytes, out);
            });
        });
    }
}

fn number(n: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// The names of operations and causes are plain: nothing in them is quoted.
fn words<T>(list: impl Iterator<Item = T>, out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
    for (n, item) in list.enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        put(&item, out);
    }
}

fn signed(n: i64, out: &mut Vec<u8>) {
    if n >= 0 {
        out.push(b'+');
    }
    number(n, out);
}

fn op(op: &OpCell, out: &mut Vec<u8>) {
    let mark: &[u8] = match op.tier {
        Some("inferred") => b"~",
        _ => b"",
    };
    match (op.op, op.cause) {
        ("book", Some(cause)) => {
            out.extend_from_slice(cause.as_bytes());
            out.push(b':');
            out.extend_from_slice(mark);
            signed(op.bytes, out);
        }
        (what, cause) => {
            out.extend_from_slice(what.as_bytes());
            out.push(if cause.is_some() { b'=' } else { b'<' });
            number(op.bytes, out);
            if let Some(cause) = cause {
                out.push(b'(');
                out.extend_from_slice(cause.as_bytes());
                out.extend_from_slice(mark);
                out.push(b')');
            }
        }
    }
}
