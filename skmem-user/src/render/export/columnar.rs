//! A table as Arrow record batches, and as files of them: Parquet and Arrow
//! IPC.

use std::{io::Write, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{
        BooleanBuilder, Date32Builder, Int64Builder, ListBuilder, StringBuilder, StructBuilder,
        TimestampMicrosecondBuilder, UInt64Builder,
    },
};
use arrow_ipc::{
    CompressionType,
    writer::{FileWriter, IpcWriteOptions, StreamWriter},
};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, Encoding, GzipLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::table::{Kind, OpCell, SumCell, Table, Value};

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

/// One column of a batch under way. A value of another kind is null there: it
/// would be a bug, which the tests would show.
enum Builder {
    Bool(BooleanBuilder),
    Long(Int64Builder),
    Unsigned(UInt64Builder),
    Text(StringBuilder),
    Date(Date32Builder),
    Time(TimestampMicrosecondBuilder),
    Ops(ListBuilder<StructBuilder>),
    Sums(ListBuilder<StructBuilder>),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        let list = |fields| ListBuilder::new(StructBuilder::from_fields(fields, BATCH));
        match kind {
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Long => Self::Long(Int64Builder::new()),
            Kind::Unsigned => Self::Unsigned(UInt64Builder::new()),
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Date => Self::Date(Date32Builder::new()),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Kind::Ops => Self::Ops(list(op_fields())),
            Kind::Sums => Self::Sums(list(sum_fields())),
        }
    }

    fn push(&mut self, value: &Value<'_>) {
        match (self, value) {
            (Self::Bool(b), Value::Bool(v)) => b.append_value(*v),
            (Self::Bool(b), _) => b.append_null(),
            (Self::Long(b), Value::Long(v)) => b.append_value(*v),
            (Self::Long(b), _) => b.append_null(),
            (Self::Unsigned(b), Value::Unsigned(v)) => b.append_value(*v),
            (Self::Unsigned(b), _) => b.append_null(),
            (Self::Text(b), Value::Text(v)) => b.append_value(v),
            (Self::Text(b), _) => b.append_null(),
            (Self::Date(b), Value::Date(v)) => b.append_value(*v),
            (Self::Date(b), _) => b.append_null(),
            (Self::Time(b), Value::Time(v)) => b.append_value(*v),
            (Self::Time(b), _) => b.append_null(),
            (Self::Ops(b), Value::Ops(v)) => push_list(b, v, push_op),
            (Self::Ops(b), _) => b.append_null(),
            (Self::Sums(b), Value::Sums(v)) => push_list(b, v, push_sum),
            (Self::Sums(b), _) => b.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Long(b) => Arc::new(b.finish()),
            Self::Unsigned(b) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Ops(b) | Self::Sums(b) => Arc::new(b.finish()),
        }
    }
}

fn push_list<T>(
    list: &mut ListBuilder<StructBuilder>,
    items: &[T],
    push: impl Fn(&mut StructBuilder, &T),
) {
    for item in items {
        push(list.values(), item);
        list.values().append(true);
    }
    list.append(true);
}

fn push_op(to: &mut StructBuilder, op: &OpCell) {
    text(to, 0, Some(op.op));
    text(to, 1, op.cause);
    text(to, 2, op.tier);
    if let Some(b) = to.field_builder::<Int64Builder>(3) {
        b.append_value(op.bytes);
    }
}

fn push_sum(to: &mut StructBuilder, sum: &SumCell) {
    text(to, 0, Some(sum.cause));
    for (n, value) in [(1, sum.bytes), (2, sum.count), (3, sum.inferred)] {
        if let Some(b) = to.field_builder::<Int64Builder>(n) {
            b.append_value(value);
        }
    }
}

fn text(to: &mut StructBuilder, n: usize, value: Option<&str>) {
    if let Some(b) = to.field_builder::<StringBuilder>(n) {
        b.append_option(value);
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

/// How a table lies in Parquet: numbers as differences, in few bits; all of it
/// deflated.
fn properties(table: &Table) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::GZIP(
            GzipLevel::try_new(DEFLATE).unwrap_or_default(),
        ))
        // Of a chunk, for readers that skip row groups: of each page, they cost more than they save.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(GROUP));
    for column in table.columns {
        let path = ColumnPath::from(column.name);
        if matches!(column.kind, Kind::Long | Kind::Unsigned | Kind::Time) {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), FEW.contains(&column.name))
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        if column.kind == Kind::Ops {
            let bytes = ["ops", "list", "item", "bytes"].map(str::to_owned);
            builder = builder.set_column_dictionary_enabled(ColumnPath::new(bytes.to_vec()), true);
        }
    }
    builder.build()
}

/// Numbers of which a file has few: a dictionary of them is smaller.
const FEW: &[&str] = &[
    "part",
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
    columns: Vec<Builder>,
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
            columns: columns.collect(),
            schema,
            rows: 0,
            sink,
        })
    }

    /// The next row, in the order of the table's columns.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn row(&mut self, values: &[Value<'_>]) -> Result<(), ColumnarError> {
        for (n, builder) in self.columns.iter_mut().enumerate() {
            builder.push(values.get(n).unwrap_or(&Value::Null));
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
        let arrays = self.columns.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        match &mut self.sink {
            Sink::Parquet(writer) => writer.write(&batch)?,
            Sink::Arrow(writer) => writer.write(&batch)?,
            Sink::ArrowStream(writer) => writer.write(&batch)?,
        }
        Ok(())
    }
}
