//! The payload of a block into records, one at a time.

use skmem_common::{
    hook::Hook,
    record::{Event, Open, Receive, SHORT_OPS, Task},
};
use zerocopy::transmute_mut;

use super::{
    ROWS,
    bits::Unpacker,
    context::Context,
    literals::{self, Reading},
    row::{self, Back, EVENT, FIRST, HEAD, MORE, OTHER, RECEIVE, Row, WORDS},
};
use crate::{
    model::record::Record,
    recording::{
        error::FormatError,
        events::{MOST, fields},
        varint,
    },
};

const CUT: FormatError = FormatError::Content("packed numbers of a block of events are cut");

/// A block that is being read.
#[derive(Debug)]
pub(in crate::recording) struct Decoder {
    payload: Vec<u8>,
    times: Unpacker,
    sockets: Unpacker,
    numbers: Unpacker,
    literals: Reading,
    rows: Vec<Row>,
    ids: Vec<u64>,
    contexts: Vec<Context>,
    /// The place of the last record's socket.
    place: usize,
    time_ns: u64,
    left: u64,
    /// The last one: it is not moved from hand to hand.
    record: Record,
}

/// Where the parts of a payload lie.
struct Parts {
    records: u64,
    /// Records of another socket than the one before.
    changes: u64,
    /// Packed numbers: from, to.
    packed: [(usize, usize); 3],
}

impl Parts {
    fn of(payload: &[u8]) -> Result<Self, FormatError> {
        let mut rest = payload;
        let records = varint::take(&mut rest).ok_or(CUT)?;
        if records > MOST {
            return Err(FormatError::Content("more records than a block may have"));
        }
        let changes = varint::take(&mut rest).ok_or(CUT)?;
        let mut packed = [(0, 0); 3];
        for (_, length) in &mut packed {
            let bytes = varint::take(&mut rest).ok_or(CUT)?;
            *length = usize::try_from(bytes).map_err(|_| CUT)?;
        }
        let mut at = payload.len() - rest.len();
        for (from, to) in &mut packed {
            let end = at.checked_add(*to).filter(|end| *end <= payload.len());
            (*from, *to) = (at, end.ok_or(CUT)?);
            at = *to;
        }
        Ok(Self {
            records,
            changes,
            packed,
        })
    }

    /// Where packed numbers end.
    fn end(&self) -> usize {
        self.packed[2].1
    }
}

/// A payload whose last part is not compressed: for tests.
pub(in crate::recording) fn flat(payload: &[u8]) -> Option<Vec<u8>> {
    let end = Parts::of(payload).ok()?.end();
    let plain = literals::plain(&payload[end..]).ok()?;
    let mut flat = payload[..end].to_vec();
    varint::put(&mut flat, plain.len() as u64);
    flat.extend(plain);
    Some(flat)
}

impl Decoder {
    /// Looks at a payload's parts.
    ///
    /// # Errors
    /// Where the payload is not a block of events.
    pub fn new(payload: Vec<u8>) -> Result<Self, FormatError> {
        let parts = Parts::of(&payload)?;
        let [times, sockets, numbers] = parts.packed;
        let unpacker = |(from, to), count| Unpacker::new(from, to, count);
        Ok(Self {
            times: unpacker(times, parts.records),
            sockets: unpacker(sockets, parts.changes),
            numbers: unpacker(numbers, parts.records),
            literals: Reading::new(&payload[parts.end()..])?,
            rows: Vec::new(),
            ids: Vec::new(),
            contexts: Vec::new(),
            place: 0,
            time_ns: 0,
            left: parts.records,
            record: Record::Task(Task::default()),
            payload,
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
    /// Where the payload does not hold one.
    pub fn next(&mut self) -> Result<Option<&Record>, FormatError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let time = self.times.next(&self.payload)?;
        self.time_ns = self.time_ns.wrapping_add(time);
        let number = self.numbers.next(&self.payload)?;
        let Some(known) = number.checked_sub(1) else {
            self.literal()?;
            return Ok(Some(&self.record));
        };
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let Some([first, ..]) = self.rows.get(known) else {
            return Err(FormatError::Content("a record of a row that has no number"));
        };
        if first & OTHER != 0 {
            self.change()?;
        }
        let socket = socket(&self.ids, &mut self.contexts, self.place)?;
        if let Some(row) = self.rows.get(known) {
            make(&mut self.record, row, &[0; MORE], socket, self.time_ns);
        }
        Ok(Some(&self.record))
    }

    /// Goes to another socket.
    #[inline(never)]
    fn change(&mut self) -> Result<(), FormatError> {
        let place = self.sockets.next(&self.payload)?;
        self.place = usize::try_from(place).unwrap_or(usize::MAX);
        if self.place == self.ids.len() {
            self.ids.push(self.literals.socket()?);
            self.contexts.push(Context::default());
        }
        Ok(())
    }

    /// A record that is written in full.
    #[inline(never)]
    fn literal(&mut self) -> Result<(), FormatError> {
        let (first, hook) = self.literals.first()?;
        if first & OTHER != 0 {
            self.change()?;
        }
        match hook {
            Hook::Open => {
                let (id, context) = socket(&self.ids, &mut self.contexts, self.place)?;
                let mut open = Open::default();
                open.header.hook = hook as u8;
                (open.ident.id, open.time_ns) = (id, self.time_ns);
                fields::open(&mut self.literals, &mut open)?;
                context.opened(&open);
                self.record = Record::Open(open);
                Ok(())
            }
            Hook::Task => {
                let (id, context) = socket(&self.ids, &mut self.contexts, self.place)?;
                let mut task = Task::default();
                task.header.hook = hook as u8;
                (task.socket, task.time_ns) = (id, self.time_ns);
                fields::task(&mut self.literals, &mut task)?;
                context.named(&task);
                self.record = Record::Task(task);
                Ok(())
            }
            hook => {
                let mut more = [0; MORE];
                let row = self.literals.row((first, hook), &mut more)?;
                let fits = hook.is_receive() || row[HEAD] & 0xf <= SHORT_OPS as u32;
                if fits && self.rows.len() < ROWS {
                    self.rows.push(row);
                }
                let socket = socket(&self.ids, &mut self.contexts, self.place)?;
                make(&mut self.record, &row, &more, socket, self.time_ns);
                Ok(())
            }
        }
    }
}

/// Makes the record of a row.
#[inline(always)]
fn make(
    record: &mut Record,
    row: &Row,
    more: &[u32; MORE],
    (id, context): (u64, &mut Context),
    time_ns: u64,
) {
    let hook = row[FIRST] as u8;
    // All hooks of rows are known: they came as such.
    if Hook::from_u8(hook).is_some_and(Hook::is_receive) {
        if !matches!(record, Record::Receive(_)) {
            *record = Record::Receive(Receive::default());
        }
        if let Record::Receive(receive) = record {
            let words: &mut [u32; RECEIVE] = transmute_mut!(receive);
            words[20..].fill(0);
            row::receive(&mut Back { words, row, more }, context, hook);
            (receive.time_ns, receive.socket) = (time_ns, id);
        }
    } else {
        if !matches!(record, Record::Event(_)) {
            *record = Record::Event(Event::default());
        }
        if let Record::Event(event) = record {
            let words: &mut [u32; EVENT] = transmute_mut!(event);
            words[WORDS..].fill(0);
            row::event(&mut Back { words, row, more }, context, hook);
            (event.time_ns, event.socket) = (time_ns, id);
        }
    }
}

/// A socket's number, and what is known of it.
#[inline(always)]
fn socket<'a>(
    ids: &[u64],
    contexts: &'a mut [Context],
    place: usize,
) -> Result<(u64, &'a mut Context), FormatError> {
    match (ids.get(place), contexts.get_mut(place)) {
        (Some(id), Some(context)) => Ok((*id, context)),
        _ => Err(FormatError::Content(
            "a record of a socket that has no number",
        )),
    }
}
