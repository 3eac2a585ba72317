//! A table as CSV: a line of names, then a line each row. Nothing is an empty
//! cell; lists are words (`tail-append:+1024`).

use std::io::{self, Write};

use super::table::{Table, Value};

/// A table under way.
pub struct Csv<W: Write> {
    out: csv::Writer<W>,
    cell: String,
}

impl<W: Write> Csv<W> {
    /// Starts with the names.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn new(table: &Table, out: W) -> io::Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(table.columns.iter().map(|c| c.name))?;
        Ok(Self {
            out,
            cell: String::new(),
        })
    }

    /// The next row.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        for value in values {
            self.cell.clear();
            value.write(&mut self.cell);
            self.out.write_field(&self.cell)?;
        }
        Ok(self.out.write_record(None::<&[u8]>)?)
    }

    /// The end.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
