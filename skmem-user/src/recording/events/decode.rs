//! The payload of an events block into records, one at a time.

use skmem_common::{
    hook::Hook,
    record::{Event, Open, Receive, Task},
};

use super::{
    MOST,
    context::Context,
    fields::{self, COLUMNS, Coder, Column, Plain},
};
use crate::{
    model::record::Record,
    recording::{error::FormatError, varint},
};

const CUT: FormatError = FormatError::Content("a column of a block of events is too short");

/// A block that is being read.
#[derive(Debug)]
pub(in crate::recording) struct Decoder {
    payload: Vec<u8>,
    /// What is left of each column: from, to.
    columns: [(usize, usize); COLUMNS],
    ids: Vec<u64>,
    contexts: Vec<Context>,
    socket: u32,
    time_ns: u64,
    left: u64,
    /// The last one: it is not moved from hand to hand.
    record: Record,
}

/// The columns of the record that is being read. Those that are skimmed hold a number only in
/// fields that a survey asks for ([`Column::is_surveyed`]); the others stay 0.
struct Columns<'a, const SKIMMED: bool> {
    payload: &'a [u8],
    columns: &'a mut [(usize, usize); COLUMNS],
    mask: u64,
}

impl Decoder {
    /// Looks at a payload's table of columns.
    ///
    /// # Errors
    /// Where the payload is not a block of events.
    pub fn new(payload: Vec<u8>) -> Result<Self, FormatError> {
        let mut rest = &payload[..];
        let left = varint::take(&mut rest).ok_or(CUT)?;
        if left > MOST {
            return Err(FormatError::Content("more records than a block may have"));
        }
        if varint::take(&mut rest) != Some(COLUMNS as u64) {
            return Err(FormatError::Content(
                "a block of events without its columns",
            ));
        }
        let mut lengths = [0; COLUMNS];
        for length in &mut lengths {
            let bytes = varint::take(&mut rest).ok_or(CUT)?;
            *length = usize::try_from(bytes).map_err(|_| CUT)?;
        }
        let mut at = payload.len() - rest.len();
        let mut columns = [(0, 0); COLUMNS];
        for (column, length) in columns.iter_mut().zip(lengths) {
            let end = at.checked_add(length).filter(|end| *end <= payload.len());
            let end = end.ok_or(CUT)?;
            *column = (at, end);
            at = end;
        }
        Ok(Self {
            payload,
            columns,
            ids: Vec::new(),
            contexts: Vec::new(),
            socket: 0,
            time_ns: 0,
            left,
            record: Record::Task(Task::default()),
        })
    }

    /// The last one.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Records that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next record; None after the last.
    ///
    /// # Errors
    /// Where the columns do not hold one.
    pub fn next(&mut self) -> Result<Option<&Record>, FormatError> {
        self.read::<false>()
    }

    /// The next record, with what [`Recording::skim`] promises. Columns of a block are either read
    /// or skimmed.
    ///
    /// # Errors
    /// Where the columns do not hold one.
    ///
    /// [`Recording::skim`]: crate::recording::Recording::skim
    pub fn skim(&mut self) -> Result<Option<&Record>, FormatError> {
        self.read::<true>()
    }

    #[inline]
    fn read<const SKIMMED: bool>(&mut self) -> Result<Option<&Record>, FormatError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut columns = Columns::<SKIMMED> {
            payload: &self.payload,
            columns: &mut self.columns,
            mask: 0,
        };
        let mut number = 0;
        columns.as_is(Column::Mask, &mut number)?;
        columns.mask = number;
        columns.as_is(Column::Hook, &mut number)?;
        let hook = fields::hook(number)?;
        let mut place = 0;
        columns.number(Column::Socket, self.socket, &mut place)?;
        if place as usize == self.ids.len() {
            columns.as_is(Column::Rest, &mut number)?;
            self.ids.push(number);
            self.contexts.push(Context::default());
        }
        self.socket = place;
        let (Some(id), Some(context)) = (
            self.ids.get(place as usize),
            self.contexts.get_mut(place as usize),
        ) else {
            return Err(FormatError::Content(
                "a record of a socket that has no number",
            ));
        };
        let since = columns.signed(Column::Time)?;
        let time_ns = self.time_ns.wrapping_add(since.cast_unsigned());
        self.time_ns = time_ns;
        match hook {
            Hook::Open => {
                let mut open = Open::default();
                (open.header.hook, open.ident.id, open.time_ns) = (hook as u8, *id, time_ns);
                fields::open(&mut columns, &mut open)?;
                (context.view, context.event_no) = (open.view, open.event_no);
                context.slot = open.slot;
                context.task = (open.ident.pid, open.ident.tid);
                self.record = Record::Open(open);
            }
            Hook::Task => {
                let mut task = Task::default();
                (task.header.hook, task.socket, task.time_ns) = (hook as u8, *id, time_ns);
                fields::task(&mut columns, &mut task)?;
                (context.event_no, context.slot) = (task.event_no, task.slot);
                context.task = (task.pid, task.tid);
                self.record = Record::Task(task);
            }
            hook if hook.is_receive() => {
                let mut record = Receive::default();
                (record.header.hook, record.socket, record.time_ns) = (hook as u8, *id, time_ns);
                fields::receive(&mut columns, &mut record)?;
                context.passed(&record);
                self.record = Record::Receive(record);
            }
            _ => {
                self.record = Record::Event(Event::default());
                if let Record::Event(event) = &mut self.record {
                    (event.header.hook, event.socket, event.time_ns) = (hook as u8, *id, time_ns);
                    fields::event(&mut columns, context, event)?;
                    context.learn(event);
                }
            }
        }
        Ok(Some(&self.record))
    }
}

impl<const SKIMMED: bool> Columns<'_, SKIMMED> {
    #[inline]
    fn take<T>(
        &mut self,
        column: Column,
        number: impl Fn(&mut &[u8]) -> Option<T>,
    ) -> Result<T, FormatError> {
        let (from, to) = &mut self.columns[column as usize];
        let mut rest = &self.payload[*from..*to];
        // Not ok_or(): a flaw would be made, and dropped again, for each number.
        let Some(value) = number(&mut rest) else {
            return Err(CUT);
        };
        *from = *to - rest.len();
        Ok(value)
    }

    #[inline]
    fn signed(&mut self, column: Column) -> Result<i64, FormatError> {
        self.take(column, varint::take_signed)
    }

    /// A distance between two numbers of 32 bits. Not inlined: a record has some thirty places for
    /// one, and a few of them.
    #[inline(never)]
    fn off(&mut self, column: Column) -> Result<i32, FormatError> {
        let off = self.signed(column)?;
        i32::try_from(off).map_err(|_| FormatError::Content("a difference of more than 32 bits"))
    }
}

impl<const SKIMMED: bool> Plain for Columns<'_, SKIMMED> {
    #[inline]
    fn plain(&mut self, value: &mut u64) -> Result<(), FormatError> {
        self.as_is(Column::Rest, value)
    }
}

impl<const SKIMMED: bool> Coder for Columns<'_, SKIMMED> {
    #[inline(always)]
    fn number(
        &mut self,
        column: Column,
        predicted: u32,
        value: &mut u32,
    ) -> Result<(), FormatError> {
        // Each field has a column of its own, so none has to be passed over.
        if SKIMMED && !column.is_surveyed() {
            return Ok(());
        }
        *value = predicted;
        if self.mask & 1 << column as u32 != 0 {
            *value = predicted.wrapping_add(self.off(column)?.cast_unsigned());
        }
        Ok(())
    }

    #[inline]
    fn as_is(&mut self, column: Column, value: &mut u64) -> Result<(), FormatError> {
        *value = self.take(column, varint::take)?;
        Ok(())
    }

    #[inline]
    fn distance(&mut self, column: Column, from: i32, value: &mut i32) -> Result<(), FormatError> {
        *value = from.wrapping_add(self.off(column)?);
        Ok(())
    }
}
