//! Columns of a batch under way. Most of an export's time is spent here, so cells go straight into
//! what becomes the array.

use std::{mem, sync::Arc};

use arrow_array::{
    ArrayRef, ArrowPrimitiveType, ListArray, PrimitiveArray, StringArray, StructArray,
    builder::BooleanBuilder,
    types::{Date32Type, Int64Type, TimestampMicrosecondType, UInt64Type},
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Fields};

use super::{BATCH, op_fields, sum_fields};
use crate::render::export::table::{Kind, OpCell, SumCell};

/// One column.
pub(super) enum Builder {
    Bool(BooleanBuilder),
    Long(Numbers<Int64Type>),
    Unsigned(Numbers<UInt64Type>),
    Text(Texts),
    Date(Numbers<Date32Type>),
    Time(Numbers<TimestampMicrosecondType>),
    Ops(List<OpColumns>),
    Sums(List<SumColumns>),
}

impl Builder {
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(BooleanBuilder::with_capacity(BATCH)),
            Kind::Long => Self::Long(Numbers::default()),
            Kind::Unsigned => Self::Unsigned(Numbers::default()),
            Kind::Text => Self::Text(Texts::default()),
            Kind::Date => Self::Date(Numbers::default()),
            Kind::Time => Self::Time(Numbers::default()),
            Kind::Ops => Self::Ops(List::default()),
            Kind::Sums => Self::Sums(List::default()),
        }
    }

    #[inline]
    pub fn null(&mut self) {
        match self {
            Self::Bool(b) => b.append_null(),
            Self::Long(b) => b.null(),
            Self::Unsigned(b) => b.null(),
            Self::Text(b) => b.null(),
            Self::Date(b) => b.null(),
            Self::Time(b) => b.null(),
            Self::Ops(b) => b.end(),
            Self::Sums(b) => b.end(),
        }
    }

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Long(b) => Arc::new(b.finish()?),
            Self::Unsigned(b) => Arc::new(b.finish()?),
            Self::Text(b) => b.finish()?,
            Self::Date(b) => Arc::new(b.finish()?),
            Self::Time(b) => Arc::new(b.finish()?.with_timezone("UTC")),
            Self::Ops(b) => b.finish(op_fields())?,
            Self::Sums(b) => b.finish(sum_fields())?,
        })
    }
}

/// Numbers, or nothing.
pub(super) struct Numbers<P: ArrowPrimitiveType> {
    values: Vec<P::Native>,
    missing: Vec<usize>,
}

impl<P: ArrowPrimitiveType> Default for Numbers<P> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            missing: Vec::new(),
        }
    }
}

impl<P: ArrowPrimitiveType> Numbers<P> {
    #[inline]
    pub fn push(&mut self, value: P::Native) {
        self.values.push(value);
    }

    #[inline]
    fn null(&mut self) {
        self.missing.push(self.values.len());
        self.values.push(P::Native::default());
    }

    fn finish(&mut self) -> Result<PrimitiveArray<P>, ArrowError> {
        let next = Vec::with_capacity(self.values.len());
        let values = mem::replace(&mut self.values, next);
        let nulls = nulls(values.len(), &mut self.missing);
        PrimitiveArray::try_new(values.into(), nulls)
    }
}

/// Words, or nothing. Where all cells of a batch are the same, as the names of host and run are,
/// the array is that of the batch before.
#[derive(Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<i32>,
    missing: Vec<usize>,
    /// As long as all cells are the same: the first one, which lies in `bytes` once.
    same: usize,
    before: Option<(Vec<u8>, ArrayRef)>,
}

impl Texts {
    #[inline]
    pub fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        if self.ends.is_empty() {
            if self.same == 0 {
                self.bytes.extend_from_slice(text);
                self.same = 1;
                return;
            }
            if equal(&self.bytes, text) {
                self.same += 1;
                return;
            }
        }
        self.differ();
        append(&mut self.bytes, text);
        self.end();
    }

    fn null(&mut self) {
        self.differ();
        self.missing.push(self.ends.len());
        self.end();
    }

    #[inline]
    fn end(&mut self) {
        self.ends
            .push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
    }

    /// The cells so far were the same, and now another one comes.
    fn differ(&mut self) {
        if self.same != 0 {
            self.spread();
        }
    }

    #[cold]
    fn spread(&mut self) {
        let same = mem::take(&mut self.same);
        let len = self.bytes.len();
        let text = self.bytes.clone();
        self.bytes.reserve(len * (same - 1));
        self.end();
        for _ in 1..same {
            self.bytes.extend_from_slice(&text);
            self.end();
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let same = self.same;
        if same != 0
            && let Some((text, array)) = &self.before
            && *text == self.bytes
            && array.len() == same
        {
            self.bytes.clear();
            self.same = 0;
            return Ok(Arc::clone(array));
        }
        let text = (same != 0).then(|| self.bytes.clone());
        self.differ();
        let bytes = mem::take(&mut self.bytes);
        let ends = mem::take(&mut self.ends);
        if text.is_none() {
            (self.bytes, self.ends) = (
                Vec::with_capacity(bytes.len()),
                Vec::with_capacity(ends.len()),
            );
        }
        let mut offsets = Vec::with_capacity(ends.len() + 1);
        offsets.push(0);
        offsets.extend_from_slice(&ends);
        let nulls = nulls(ends.len(), &mut self.missing);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let array = StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls)?;
        let array: ArrayRef = Arc::new(array);
        self.before = text.map(|text| (text, Arc::clone(&array)));
        Ok(array)
    }
}

/// Whether a few bytes are the same: musl's memcmp takes them one by one.
#[inline]
fn equal(a: &[u8], b: &[u8]) -> bool {
    // Blocks, and one that ends where the text does.
    a.len() == b.len()
        && match a.len() {
            0..4 => a.iter().eq(b),
            4..8 => same_ends::<4>(a, b),
            8..16 => same_ends::<8>(a, b),
            _ => {
                let mut blocks = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0);
                same_ends::<16>(a, b) && blocks.all(|(a, b)| a == b)
            }
        }
}

#[inline]
fn same_ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    a.first_chunk::<N>() == b.first_chunk() && a.last_chunk::<N>() == b.last_chunk()
}

/// Appends a few bytes: musl's memcpy is slow to begin.
#[inline]
fn append(out: &mut Vec<u8>, text: &[u8]) {
    let (blocks, rest) = text.as_chunks::<8>();
    for block in blocks {
        out.extend_from_slice(block);
    }
    let (blocks, rest) = rest.as_chunks::<2>();
    for block in blocks {
        out.extend_from_slice(block);
    }
    if let [last] = rest {
        out.push(*last);
    }
}

/// What is there of `len` cells; None: all.
fn nulls(len: usize, missing: &mut Vec<usize>) -> Option<NullBuffer> {
    if missing.is_empty() {
        return None;
    }
    let mut there = vec![true; len];
    for cell in missing.drain(..) {
        if let Some(there) = there.get_mut(cell) {
            *there = false;
        }
    }
    Some(NullBuffer::from(there))
}

/// The columns of a struct.
pub(super) trait Columns: Default {
    type Item;
    fn push(&mut self, item: &Self::Item);
    fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError>;
}

/// A column of lists of structs; none of them is null.
#[derive(Default)]
pub(super) struct List<C> {
    items: C,
    /// Items of all lists so far.
    len: usize,
    lengths: Vec<usize>,
    begun: usize,
}

impl<C: Columns> List<C> {
    #[inline]
    pub fn push(&mut self, item: &C::Item) {
        self.items.push(item);
        self.len += 1;
    }

    /// The end of a row's list.
    pub fn end(&mut self) {
        self.lengths.push(self.len - self.begun);
        self.begun = self.len;
    }

    fn finish(&mut self, fields: Fields) -> Result<ArrayRef, ArrowError> {
        let offsets = OffsetBuffer::from_lengths(mem::take(&mut self.lengths));
        (self.len, self.begun) = (0, 0);
        let columns = self.items.finish()?;
        let items = StructArray::try_new(fields.clone(), columns, None)?;
        let field = Arc::new(Field::new("item", DataType::Struct(fields), true));
        Ok(Arc::new(ListArray::try_new(
            field,
            offsets,
            Arc::new(items),
            None,
        )?))
    }
}

/// Of [`op_fields`].
#[derive(Default)]
pub(super) struct OpColumns {
    op: Texts,
    cause: Texts,
    tier: Texts,
    bytes: Numbers<Int64Type>,
}

impl Columns for OpColumns {
    type Item = OpCell;

    #[inline]
    fn push(&mut self, op: &OpCell) {
        self.op.push(op.op);
        self.cause.maybe(op.cause);
        self.tier.maybe(op.tier);
        self.bytes.push(op.bytes);
    }

    fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        Ok(vec![
            self.op.finish()?,
            self.cause.finish()?,
            self.tier.finish()?,
            Arc::new(self.bytes.finish()?),
        ])
    }
}

impl Texts {
    #[inline]
    fn maybe(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.push(text),
            None => self.null(),
        }
    }
}

/// Of [`sum_fields`].
#[derive(Default)]
pub(super) struct SumColumns {
    cause: Texts,
    bytes: Numbers<Int64Type>,
    count: Numbers<Int64Type>,
    inferred: Numbers<Int64Type>,
}

impl Columns for SumColumns {
    type Item = SumCell;

    fn push(&mut self, sum: &SumCell) {
        self.cause.push(sum.cause);
        self.bytes.push(sum.bytes);
        self.count.push(sum.count);
        self.inferred.push(sum.inferred);
    }

    fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        Ok(vec![
            self.cause.finish()?,
            Arc::new(self.bytes.finish()?),
            Arc::new(self.count.finish()?),
            Arc::new(self.inferred.finish()?),
        ])
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray as _;

    use super::*;

    fn read(texts: &mut Texts) -> (ArrayRef, Vec<Option<String>>) {
        let array = texts.finish().expect("an array");
        let cells = array.as_string::<i32>().iter();
        let cells = cells.map(|cell| cell.map(str::to_owned)).collect();
        (array, cells)
    }

    #[test]
    fn words_come_back_whether_they_are_the_same_or_not() {
        let long = "0123456789abcdefghi";
        let same = [Some(long); 5];
        let batches: [&[Option<&str>]; 9] = [
            &[],
            &same,
            &same,
            &same[..3],
            &[Some(""), Some(""), Some("")],
            &[Some(long), Some(long), Some("0123456789abcdefgh"), None],
            &[None, Some("a"), Some("a"), Some("größe")],
            &[Some(""), None, Some("")],
            &same,
        ];
        let mut texts = Texts::default();
        for batch in batches {
            batch.iter().for_each(|text| texts.maybe(*text));
            let (_, cells) = read(&mut texts);
            let cells: Vec<_> = cells.iter().map(Option::as_deref).collect();
            assert_eq!(cells, batch);
        }
    }

    #[test]
    fn every_byte_is_compared() {
        let text: Vec<u8> = (0..100).collect();
        for to in 0..text.len() {
            assert!(equal(&text[..to], &text[..to]));
            assert!(!equal(&text[..to], &text[..=to]));
            for byte in 0..to {
                let mut other = text[..to].to_vec();
                other[byte] ^= 1;
                assert!(!equal(&text[..to], &other), "{byte} of {to}");
            }
        }
    }

    #[test]
    fn a_batch_like_the_one_before_is_not_made_again() {
        let mut texts = Texts::default();
        let mut of = |text: &str, n| {
            (0..n).for_each(|_| texts.push(text));
            read(&mut texts).0
        };
        let first = of("db-1", 4);
        assert!(Arc::ptr_eq(&first, &of("db-1", 4)));
        assert!(!Arc::ptr_eq(&first, &of("db-1", 3)));
        assert!(!Arc::ptr_eq(&first, &of("db-2", 4)));
    }

    #[test]
    fn numbers_and_nothing() {
        let mut numbers = Numbers::<Int64Type>::default();
        for batch in [&[Some(1), None, Some(-3)][..], &[Some(4)], &[None, None]] {
            for number in batch {
                match number {
                    Some(n) => numbers.push(*n),
                    None => numbers.null(),
                }
            }
            let array = numbers.finish().expect("an array");
            assert_eq!(array.iter().collect::<Vec<_>>(), batch);
        }
    }
}
