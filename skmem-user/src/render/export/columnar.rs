//! A table as Arrow record batches, and as files of them: Parquet and Arrow
//! IPC.

use std::{io::Write, sync::Arc};

use arrow_array::RecordBatch;
use arrow_ipc::{
    CompressionType,
    writer::{FileWriter, IpcWriteOptions, StreamWriter},
};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use builder::Builder;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, Encoding, GzipLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::{
    sockets::SOCKETS,
    table::{Cells, Kind, OpCell, SumCell, Table},
};

mod builder;

/// Rows of a batch.
const BATCH: usize = 8 << 10;
/// Rows of a row group: what a writer holds in memory.
const GROUP: usize = 128 << 10;

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ColumnarError {
    /// Of Arrow.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// Of Parquet.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

/// A table's schema.
#[must_use]
pub fn schema(table: &Table) -> SchemaRef {
    let fields = table.columns.iter();
    let fields = fields.map(|c| Field::new(c.name, data_type(c.kind), c.null));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::Long => DataType::Int64,
        Kind::Unsigned => DataType::UInt64,
        Kind::Text => DataType::Utf8,
        Kind::Date => DataType::Date32,
        Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Ops => list(op_fields()),
        Kind::Sums => list(sum_fields()),
    }
}

fn list(fields: Fields) -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Struct(fields), true)))
}

fn op_fields() -> Fields {
    Fields::from(vec![
        Field::new("op", DataType::Utf8, false),
        Field::new("cause", DataType::Utf8, true),
        Field::new("tier", DataType::Utf8, true),
        Field::new("bytes", DataType::Int64, false),
    ])
}

fn sum_fields() -> Fields {
    Fields::from(vec![
        Field::new("cause", DataType::Utf8, false),
        Field::new("bytes", DataType::Int64, false),
        Field::new("count", DataType::Int64, false),
        Field::new("inferred", DataType::Int64, false),
    ])
}

/// The columns of a batch under way. A cell of another kind than its column's is
/// null there.
pub struct Batch {
    columns: Vec<Builder>,
    /// The column of the next cell.
    at: usize,
}

macro_rules! cell {
    ($self:ident, $kind:ident, |$builder:ident| $put:expr) => {{
        let at = $self.at;
        $self.at += 1;
        match $self.columns.get_mut(at) {
            Some(Builder::$kind($builder)) => $put,
            Some(other) => other.null(),
            None => {}
        }
    }};
}

impl Cells for Batch {
    #[inline]
    fn null(&mut self) {
        let at = self.at;
        self.at += 1;
        if let Some(column) = self.columns.get_mut(at) {
            column.null();
        }
    }

    #[inline]
    fn bool(&mut self, value: bool) {
        cell!(self, Bool, |b| b.append_value(value));
    }

    #[inline]
    fn long(&mut self, value: i64) {
        cell!(self, Long, |b| b.push(value));
    }

    #[inline]
    fn unsigned(&mut self, value: u64) {
        cell!(self, Unsigned, |b| b.push(value));
    }

    #[inline]
    fn text(&mut self, value: &str) {
        cell!(self, Text, |b| b.push(value));
    }

    #[inline]
    fn date(&mut self, days: i32) {
        cell!(self, Date, |b| b.push(days));
    }

    #[inline]
    fn time(&mut self, us: i64) {
        cell!(self, Time, |b| b.push(us));
    }

    #[inline]
    fn ops(&mut self, ops: impl Iterator<Item = OpCell>) {
        cell!(self, Ops, |list| {
            ops.for_each(|op| list.push(&op));
            list.end();
        });
    }

    #[inline]
    fn sums(&mut self, sums: impl Iterator<Item = SumCell>) {
        cell!(self, Sums, |list| {
            sums.for_each(|sum| list.push(&sum));
            list.end();
        });
    }
}

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Parquet.
    Parquet,
    /// Arrow IPC: a file (Feather 2), which ends with the places of its batches.
    Arrow {
        /// With LZ4.
        compressed: bool,
    },
    /// Arrow IPC: a stream, which can be read as it comes.
    ArrowStream {
        /// With LZ4.
        compressed: bool,
    },
}

/// How a table lies in Parquet: numbers of records as differences, in few bits; nearly all of it
/// deflated.
fn properties(table: &Table) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::GZIP(
            GzipLevel::try_new(DEFLATE).unwrap_or_default(),
        ))
        // Of a chunk, for readers that skip row groups: of each page, they cost more than they
        // save.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(GROUP));
    // A file has few sockets: there is nothing to be won, and fastparquet 2026.9.0 does not survive
    // that table's nulls among differences.
    let columns = match table.name == SOCKETS.name {
        true => &[],
        false => table.columns,
    };
    for column in columns {
        let path = ColumnPath::from(column.name);
        if matches!(column.kind, Kind::Long | Kind::Unsigned | Kind::Time) {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), FEW.contains(&column.name))
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
        }
        if column.name == "time_ns" {
            // Its differences have no pattern: deflating them takes time, and no bytes away.
            builder = builder.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
        }
        if NO_RANGE.contains(&column.name) {
            builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        if column.kind == Kind::Ops {
            for name in ["op", "cause", "tier"] {
                let path = item(column.name, name);
                builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
            }
            let bytes = item(column.name, "bytes");
            builder = builder.set_column_dictionary_enabled(bytes, true);
        }
    }
    builder.build()
}

/// Where a field of a list's structs lies.
fn item(list: &str, field: &str) -> ColumnPath {
    ColumnPath::new([list, "list", "item", field].map(str::to_owned).to_vec())
}

/// Words of a few kinds, all of which every row group has, or that a file has one of, as `run` has
/// it: their first and last tell a reader nothing that it could skip, and cost two comparisons a
/// cell.
const NO_RANGE: &[&str] = &[
    "recording",
    "hook",
    "comm",
    "src",
    "dst",
    "state",
    "wait_reason",
];

/// Numbers of which a file has few: a dictionary of them is smaller.
const FEW: &[&str] = &[
    "socket",
    "cpu",
    "pid",
    "tid",
    "sport",
    "dport",
    "sndbuf",
    "rcvbuf",
    "mss",
    "arg",
    "size_goal",
];

/// As fast as can be: the numbers are small already.
const DEFLATE: u32 = 1;

enum Sink<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Arrow(Box<FileWriter<W>>),
    ArrowStream(Box<StreamWriter<W>>),
}

fn ipc(compressed: bool) -> Result<IpcWriteOptions, ArrowError> {
    let codec = compressed.then_some(CompressionType::LZ4_FRAME);
    IpcWriteOptions::default().try_with_compression(codec)
}

/// A file under way.
pub struct Columnar<W: Write + Send> {
    schema: SchemaRef,
    batch: Batch,
    rows: usize,
    sink: Sink<W>,
}

impl<W: Write + Send> Columnar<W> {
    /// Starts a file of `table`.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn new(table: &Table, form: Form, out: W) -> Result<Self, ColumnarError> {
        let schema = schema(table);
        let columns = table.columns.iter().map(|c| Builder::new(c.kind));
        let sink = match form {
            Form::Parquet => {
                let options = ArrowWriterOptions::new()
                    .with_properties(properties(table))
                    // Readers take the types from Parquet's own schema.
                    .with_skip_arrow_metadata(true);
                let writer = ArrowWriter::try_new_with_options(out, Arc::clone(&schema), options)?;
                Sink::Parquet(Box::new(writer))
            }
            Form::Arrow { compressed } => {
                let options = ipc(compressed)?;
                let writer = FileWriter::try_new_with_options(out, &schema, options)?;
                Sink::Arrow(Box::new(writer))
            }
            Form::ArrowStream { compressed } => {
                let options = ipc(compressed)?;
                let writer = StreamWriter::try_new_with_options(out, &schema, options)?;
                Sink::ArrowStream(Box::new(writer))
            }
        };
        Ok(Self {
            batch: Batch {
                columns: columns.collect(),
                at: 0,
            },
            schema,
            rows: 0,
            sink,
        })
    }

    /// The next row.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn row(&mut self, put: impl FnOnce(&mut Batch)) -> Result<(), ColumnarError> {
        self.batch.at = 0;
        put(&mut self.batch);
        while self.batch.at < self.batch.columns.len() {
            self.batch.null();
        }
        self.rows += 1;
        if self.rows >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// The end.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> Result<(), ColumnarError> {
        self.flush()?;
        match self.sink {
            Sink::Parquet(writer) => {
                writer.close()?;
            }
            Sink::Arrow(mut writer) => writer.finish()?,
            Sink::ArrowStream(mut writer) => writer.finish()?,
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ColumnarError> {
        if self.rows == 0 {
            return Ok(());
        }
        self.rows = 0;
        let arrays = self.batch.columns.iter_mut().map(Builder::finish);
        let arrays = arrays.collect::<Result<_, _>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        match &mut self.sink {
            Sink::Parquet(writer) => writer.write(&batch)?,
            Sink::Arrow(writer) => writer.write(&batch)?,
            Sink::ArrowStream(writer) => writer.write(&batch)?,
        }
        Ok(())
    }
}
