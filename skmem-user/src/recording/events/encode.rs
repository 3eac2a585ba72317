//! Records into the payload of an events block.

use hashbrown::HashMap;
use skmem_common::{
    hook::Hook,
    record::{Event, OPS, RECEIVE_OPS},
};

use super::{
    context::Context,
    fields::{self, COLUMNS, Coder, Column, Plain},
};
use crate::{
    model::record::Record,
    recording::{error::FormatError, varint},
};

/// Collects the records of a block.
#[derive(Debug)]
pub(in crate::recording) struct Encoder {
    columns: Columns,
    places: HashMap<u64, u32>,
    contexts: Vec<Context>,
    socket: u32,
    time_ns: u64,
    records: u32,
}

#[derive(Debug)]
struct Columns {
    bytes: [Vec<u8>; COLUMNS],
    mask: u64,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            columns: Columns {
                bytes: std::array::from_fn(|_| Vec::new()),
                mask: 0,
            },
            places: HashMap::new(),
            contexts: Vec::new(),
            socket: 0,
            time_ns: 0,
            records: 0,
        }
    }
}

impl Encoder {
    /// Takes in a record. Fields that only fill a record up (reserved ones,
    /// operations beyond its count) are not kept.
    pub fn push(&mut self, record: &Record) {
        // A coder that writes refuses only events of more operations than
        // there is room for, and those are cut in `code`.
        let _ = self.code(record);
        self.records += 1;
    }

    /// How many there are.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// The payload; the next record starts another one.
    pub fn take(&mut self) -> Vec<u8> {
        let length: usize = self.columns.bytes.iter().map(Vec::len).sum();
        let mut out = Vec::with_capacity(length + 3 * COLUMNS);
        varint::put(&mut out, u64::from(self.records));
        varint::put(&mut out, COLUMNS as u64);
        for column in &self.columns.bytes {
            varint::put(&mut out, column.len() as u64);
        }
        for column in &mut self.columns.bytes {
            out.append(column);
        }
        self.places.clear();
        self.contexts.clear();
        (self.socket, self.time_ns, self.records) = (0, 0, 0);
        out
    }

    fn code(&mut self, record: &Record) -> Result<(), FormatError> {
        let (hook, id) = match record {
            Record::Event(e) => (e.header.hook, e.socket),
            Record::Open(o) => (Hook::Open as u8, o.ident.id),
            Record::Task(t) => (Hook::Task as u8, t.socket),
            Record::Receive(r) => (r.header.hook, r.socket),
        };
        self.columns.as_is(Column::Hook, &mut u64::from(hook))?;
        self.columns.mask = 0;
        let place = self.place(id)?;
        let time = record.time_ns();
        varint::put_signed(
            &mut self.columns.bytes[Column::Time as usize],
            time.wrapping_sub(self.time_ns).cast_signed(),
        );
        self.time_ns = time;
        let context = &mut self.contexts[place];
        match record {
            Record::Event(event) => {
                let mut event: Event = *event;
                event.header.ops = event.header.ops.min(OPS as u8);
                fields::event(&mut self.columns, context, &mut event)?;
                context.learn(&event);
            }
            Record::Open(open) => {
                let mut open = *open;
                fields::open(&mut self.columns, &mut open)?;
                (context.view, context.event_no) = (open.view, open.event_no);
                context.slot = open.slot;
                context.task = (open.ident.pid, open.ident.tid);
            }
            Record::Task(task) => {
                let mut task = *task;
                fields::task(&mut self.columns, &mut task)?;
                (context.event_no, context.slot) = (task.event_no, task.slot);
                context.task = (task.pid, task.tid);
            }
            Record::Receive(record) => {
                let mut record = *record;
                record.header.ops = record.header.ops.min(RECEIVE_OPS as u8);
                fields::receive(&mut self.columns, &mut record)?;
                context.passed(&record);
            }
        }
        let mut mask = self.columns.mask;
        self.columns.as_is(Column::Mask, &mut mask)
    }

    fn place(&mut self, id: u64) -> Result<usize, FormatError> {
        let new = self.contexts.len() as u32;
        let mut place = *self.places.entry(id).or_insert(new);
        self.columns
            .number(Column::Socket, self.socket, &mut place)?;
        if place == new {
            self.contexts.push(Context::default());
            self.columns.as_is(Column::Rest, &mut id.clone())?;
        }
        self.socket = place;
        Ok(place as usize)
    }
}

impl Plain for Columns {
    #[inline]
    fn plain(&mut self, value: &mut u64) -> Result<(), FormatError> {
        self.as_is(Column::Rest, value)
    }
}

impl Coder for Columns {
    #[inline]
    fn number(
        &mut self,
        column: Column,
        predicted: u32,
        value: &mut u32,
    ) -> Result<(), FormatError> {
        if *value != predicted {
            self.mask |= 1 << column as u32;
            let off = value.wrapping_sub(predicted).cast_signed();
            varint::put_signed(&mut self.bytes[column as usize], i64::from(off));
        }
        Ok(())
    }

    #[inline]
    fn as_is(&mut self, column: Column, value: &mut u64) -> Result<(), FormatError> {
        varint::put(&mut self.bytes[column as usize], *value);
        Ok(())
    }

    #[inline]
    fn distance(&mut self, column: Column, from: i32, value: &mut i32) -> Result<(), FormatError> {
        let off = value.wrapping_sub(from);
        varint::put_signed(&mut self.bytes[column as usize], i64::from(off));
        Ok(())
    }
}
