//! Rows that came first, field by field: varints, a column for each word of a row, compressed
//! together.

use skmem_common::{
    hook::Hook,
    record::{OPS, SHORT_OPS},
};

use super::row::{self, FIRST, HEAD, MORE, OTHER, Row, WORDS};
use crate::recording::{
    block,
    error::FormatError,
    events::fields::{self, Plain},
    varint,
};

/// Columns. Those below [`WORDS`] are a row's words.
const COLUMNS: usize = 35;
/// Which words of a row are not 0.
const MASK: usize = 32;
/// Numbers of sockets that are new in the block, and all of records that open accounts and name
/// threads.
const REST: usize = 33;
/// Operations that a row has no room for.
const OTHERS: usize = 34;

const CUT: FormatError = FormatError::Content("a column of a block of events is too short");
const TOO_LARGE: FormatError =
    FormatError::Content("a number in a record is too large for its field");

/// Words that are written as they are, a bit each: flags and tags, of events and of changes of the
/// receive side. The others are signed.
const PLAIN: [u32; 2] = [
    1 << HEAD | 1 << 2 | 1 << 4,
    1 << HEAD | 1 << 20 | 1 << 22 | 1 << 24 | 1 << 26,
];

fn zigzag(n: u32) -> u64 {
    let n = n.cast_signed();
    u64::from(((n << 1) ^ (n >> 31)).cast_unsigned())
}

fn signed(n: u64) -> Result<u32, FormatError> {
    let n = u32::try_from(n).map_err(|_| TOO_LARGE)?;
    Ok((n >> 1) ^ (n & 1).wrapping_neg())
}

/// Columns that are written.
#[derive(Debug)]
pub(super) struct Writing([Vec<u8>; COLUMNS]);

impl Default for Writing {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Vec::new()))
    }
}

impl Writing {
    /// The first word of a row: that of a record which is written in full.
    pub fn first(&mut self, first: u32) {
        varint::put(&mut self.0[FIRST], first.into());
    }

    /// A row but its first word, and the operations that it has no room for.
    pub fn row(&mut self, row: &Row, more: &[u32; MORE], receive: bool) {
        let mut mask = 0_u32;
        for (word, n) in row.iter().enumerate().skip(1) {
            mask |= u32::from(*n != 0) << word;
        }
        varint::put(&mut self.0[MASK], u64::from(mask >> 1));
        while mask != 0 {
            let word = mask.trailing_zeros() as usize % WORDS;
            mask &= mask - 1;
            let n = match PLAIN[usize::from(receive)] >> word & 1 {
                1 => u64::from(row[word]),
                _ => zigzag(row[word]),
            };
            varint::put(&mut self.0[word], n);
        }
        let ops = (row[HEAD] & 0xf) as usize;
        if !receive && ops > SHORT_OPS {
            for [tag, value] in more.as_chunks().0.iter().take(ops - SHORT_OPS) {
                varint::put(&mut self.0[OTHERS], u64::from(*tag));
                varint::put(&mut self.0[OTHERS], zigzag(*value));
            }
        }
    }

    /// The number of a socket that is new in the block.
    pub fn socket(&mut self, id: u64) {
        varint::put(&mut self.0[REST], id);
    }

    /// Appends all of them to a payload; the next one starts afresh.
    pub fn take(&mut self, out: &mut Vec<u8>) {
        let length: usize = self.0.iter().map(Vec::len).sum();
        let mut plain = Vec::with_capacity(length + 3 * COLUMNS);
        varint::put(&mut plain, COLUMNS as u64);
        for column in &self.0 {
            varint::put(&mut plain, column.len() as u64);
        }
        for column in &mut self.0 {
            plain.append(column);
        }
        varint::put(out, plain.len() as u64);
        match block::compressed(&plain) {
            Some(packed) => out.extend_from_slice(&packed),
            None => out.extend_from_slice(&plain),
        }
    }
}

impl Plain for Writing {
    fn plain(&mut self, value: &mut u64) -> Result<(), FormatError> {
        varint::put(&mut self.0[REST], *value);
        Ok(())
    }
}

/// Columns that are read.
#[derive(Debug)]
pub(super) struct Reading {
    bytes: Vec<u8>,
    /// What is left of each: from, to.
    columns: [(usize, usize); COLUMNS],
}

impl Reading {
    /// Of the last part of a payload.
    ///
    /// # Errors
    /// Where it is no such part.
    pub fn new(part: &[u8]) -> Result<Self, FormatError> {
        let bytes = plain(part)?;
        let mut rest = &bytes[..];
        if varint::take(&mut rest) != Some(COLUMNS as u64) {
            return Err(FormatError::Content(
                "a block of events without its columns",
            ));
        }
        let mut columns = [(0, 0); COLUMNS];
        for (_, length) in &mut columns {
            let bytes = varint::take(&mut rest).ok_or(CUT)?;
            *length = usize::try_from(bytes).map_err(|_| CUT)?;
        }
        let mut at = bytes.len() - rest.len();
        for (from, to) in &mut columns {
            let end = at.checked_add(*to).filter(|end| *end <= bytes.len());
            (*from, *to) = (at, end.ok_or(CUT)?);
            at = *to;
        }
        Ok(Self { bytes, columns })
    }

    fn take(&mut self, column: usize) -> Result<u64, FormatError> {
        let (from, to) = &mut self.columns[column];
        let mut rest = &self.bytes[*from..*to];
        let Some(number) = varint::take(&mut rest) else {
            return Err(CUT);
        };
        *from = *to - rest.len();
        Ok(number)
    }

    /// The first word of a row, and the hook that it has.
    ///
    /// # Errors
    /// Where the columns do not hold one, as everywhere below.
    pub fn first(&mut self) -> Result<(u32, Hook), FormatError> {
        let first = self.take(FIRST)?;
        let other = u64::from(OTHER);
        Ok((first as u32, fields::hook(first & !other)?))
    }

    /// A row that begins so, and the operations that it has no room for: as many as its second word
    /// says.
    pub fn row(
        &mut self,
        (first, hook): (u32, Hook),
        more: &mut [u32; MORE],
    ) -> Result<Row, FormatError> {
        let receive = hook.is_receive();
        let mask = self.take(MASK)?;
        if mask >> (WORDS - 1) != 0 {
            return Err(TOO_LARGE);
        }
        let mut row = [0; WORDS];
        row[FIRST] = first;
        let mut mask = (mask as u32) << 1;
        while mask != 0 {
            let word = mask.trailing_zeros() as usize % WORDS;
            mask &= mask - 1;
            let n = self.take(word)?;
            row[word] = match PLAIN[usize::from(receive)] >> word & 1 {
                1 => u32::try_from(n).map_err(|_| TOO_LARGE)?,
                _ => signed(n)?,
            };
        }
        let ops = row::ops(row[HEAD], receive);
        let ops = ops.ok_or(FormatError::Content("a record with too many operations"))?;
        if row::tags(ops, receive).any(|word| row[word] >> 24 != 0) {
            return Err(TOO_LARGE);
        }
        if !receive && ops > SHORT_OPS {
            for [tag, value] in more
                .as_chunks_mut()
                .0
                .iter_mut()
                .take(ops.min(OPS) - SHORT_OPS)
            {
                let n = self.take(OTHERS)?;
                *tag = u32::try_from(n)
                    .ok()
                    .filter(|n| n >> 24 == 0)
                    .ok_or(TOO_LARGE)?;
                *value = signed(self.take(OTHERS)?)?;
            }
        }
        Ok(row)
    }

    /// The number of a socket that is new in the block.
    pub fn socket(&mut self) -> Result<u64, FormatError> {
        self.take(REST)
    }
}

impl Plain for Reading {
    fn plain(&mut self, value: &mut u64) -> Result<(), FormatError> {
        *value = self.take(REST)?;
        Ok(())
    }
}

/// The columns, decompressed: their length, and then as many bytes, or fewer where compressed.
pub(super) fn plain(mut part: &[u8]) -> Result<Vec<u8>, FormatError> {
    let length = varint::take(&mut part).ok_or(CUT)?;
    match usize::try_from(length) {
        Ok(length) if length == part.len() => Ok(part.to_vec()),
        Ok(length) if length <= block::LARGEST => block::decompress(part, length),
        _ => Err(FormatError::Length(length)),
    }
}
