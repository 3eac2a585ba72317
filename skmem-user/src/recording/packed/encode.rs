//! Records into the payload of a block.

use hashbrown::HashMap;
use skmem_common::{
    hook::Hook,
    record::{Event, SHORT_OPS},
};
use zerocopy::transmute_ref;

use super::{
    ROWS,
    bits::Packer,
    context::Context,
    literals::Writing,
    row::{self, EVENT, EVENT_OPS, FIRST, MORE, OTHER, RECEIVE, Row, There, WORDS},
};
use crate::{
    model::record::Record,
    recording::{
        events::{FULL, fields},
        varint,
    },
};

/// Collects the records of a block.
#[derive(Debug, Default)]
pub(in crate::recording) struct Encoder {
    times: Packer,
    sockets: Packer,
    numbers: Packer,
    literals: Writing,
    known: Known,
    places: HashMap<u64, usize>,
    contexts: Vec<Context>,
    /// The row that is made, and operations that it has no room for.
    row: Row,
    more: [u32; MORE],
    /// The place of the last record's socket, and its number.
    place: usize,
    id: u64,
    time_ns: u64,
    records: u32,
    /// Those of another socket than the record before.
    changes: u32,
}

impl Encoder {
    /// Takes in a record. Fields that only fill a record up (reserved ones, operations beyond its
    /// count) are not kept.
    pub fn push(&mut self, record: &Record) {
        match record {
            Record::Event(event) => self.event(event),
            other => self.other(other),
        }
    }

    #[inline(always)]
    fn event(&mut self, event: &Event) {
        let (hook, ops) = (event.header.hook, usize::from(event.header.ops));
        let first = self.begin(event.socket, event.time_ns) | u32::from(hook);
        let Some(context) = self.contexts.get_mut(self.place) else {
            return;
        };
        self.row[FIRST] = first;
        self.row[EVENT_OPS..EVENT_OPS + 2 * SHORT_OPS].fill(0);
        let words: &[u32; EVENT] = transmute_ref!(event);
        let mut way = There {
            words,
            row: &mut self.row,
            more: &mut self.more,
        };
        row::event(&mut way, context, hook);
        match if ops <= SHORT_OPS {
            self.known.find(&self.row)
        } else {
            None
        } {
            Some(number) => self.numbers.push(u64::from(number) + 1),
            None => self.literal(false),
        }
    }

    #[inline(never)]
    fn other(&mut self, record: &Record) {
        match record {
            Record::Event(_) => {}
            Record::Receive(receive) => {
                let hook = receive.header.hook;
                let first = self.begin(receive.socket, receive.time_ns) | u32::from(hook);
                self.row = [0; WORDS];
                self.row[FIRST] = first;
                let words: &[u32; RECEIVE] = transmute_ref!(receive);
                let mut way = There {
                    words,
                    row: &mut self.row,
                    more: &mut self.more,
                };
                row::receive(&mut way, &mut self.contexts[self.place], hook);
                match self.known.find(&self.row) {
                    Some(number) => self.numbers.push(u64::from(number) + 1),
                    None => self.literal(true),
                }
            }
            Record::Open(open) => {
                let mut open = *open;
                let first = self.begin(open.ident.id, open.time_ns) | Hook::Open as u32;
                self.numbers.push(0);
                self.literals.first(first);
                // What is written is never refused.
                let _ = fields::open(&mut self.literals, &mut open);
                self.contexts[self.place].opened(&open);
            }
            Record::Task(task) => {
                let mut task = *task;
                let first = self.begin(task.socket, task.time_ns) | Hook::Task as u32;
                self.numbers.push(0);
                self.literals.first(first);
                let _ = fields::task(&mut self.literals, &mut task);
                self.contexts[self.place].named(&task);
            }
        }
    }

    /// The row is written in full.
    #[inline(never)]
    fn literal(&mut self, receive: bool) {
        self.numbers.push(0);
        self.literals.first(self.row[FIRST]);
        self.literals.row(&self.row, &self.more, receive);
    }

    /// What all records have: time and socket. Gives what a row says of the latter.
    #[inline(always)]
    fn begin(&mut self, id: u64, time_ns: u64) -> u32 {
        self.records += 1;
        self.times.push(time_ns.wrapping_sub(self.time_ns));
        self.time_ns = time_ns;
        if id == self.id && !self.contexts.is_empty() {
            return 0;
        }
        self.go_to(id);
        OTHER
    }

    #[inline(never)]
    fn go_to(&mut self, id: u64) {
        (self.id, self.changes) = (id, self.changes + 1);
        let new = self.contexts.len();
        self.place = *self.places.entry(id).or_insert(new);
        self.sockets.push(self.place as u64);
        if self.place == new {
            self.contexts.push(Context::default());
            self.literals.socket(id);
        }
    }

    /// How many there are.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Whether the block should be written now.
    pub fn is_full(&self) -> bool {
        self.records >= FULL
    }

    /// The payload; the next record starts another one.
    pub fn take(&mut self) -> Vec<u8> {
        let packed = [&mut self.times, &mut self.sockets, &mut self.numbers].map(Packer::take);
        let mut out = Vec::with_capacity(packed.iter().map(Vec::len).sum::<usize>() + 16);
        varint::put(&mut out, u64::from(self.records));
        varint::put(&mut out, u64::from(self.changes));
        for numbers in &packed {
            varint::put(&mut out, numbers.len() as u64);
        }
        for numbers in &packed {
            out.extend_from_slice(numbers);
        }
        self.literals.take(&mut out);
        self.known.clear();
        self.places.clear();
        self.contexts.clear();
        (self.place, self.id, self.time_ns) = (0, 0, 0);
        (self.records, self.changes) = (0, 0);
        out
    }
}

/// The rows of a block that have a number, from 0, in the order in which they came.
#[derive(Debug)]
struct Known {
    rows: Vec<Row>,
    /// Their numbers and 1, each at a place that follows from the row; 0: none.
    places: Box<[u16; PLACES]>,
}

/// Places: one half stays free.
const PLACES: usize = 2 * ROWS;

impl Default for Known {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            places: Box::new([0; PLACES]),
        }
    }
}

/// Places that are looked at for a row: one that finds none of them free is not found again.
const TRIES: usize = 8;

impl Known {
    /// The number of a row; None where it has none, or gets it here.
    #[inline(always)]
    fn find(&mut self, row: &Row) -> Option<u16> {
        let first = place(row);
        for at in first..first + TRIES {
            let number = self.places[at % PLACES].checked_sub(1);
            let Some(known) = number.and_then(|n| self.rows.get(usize::from(n))) else {
                self.add(row, Some(at));
                return None;
            };
            if same(row, known) {
                return number;
            }
        }
        // It has a number all the same: who reads counts all that come.
        self.add(row, None);
        None
    }

    #[inline(never)]
    fn add(&mut self, row: &Row, at: Option<usize>) {
        if self.rows.len() < ROWS {
            self.rows.push(*row);
            if let Some(at) = at {
                self.places[at % PLACES] = self.rows.len() as u16;
            }
        }
    }

    fn clear(&mut self) {
        if !self.rows.is_empty() {
            self.rows.clear();
            self.places.fill(0);
        }
    }
}

/// Where a row is looked for first: by those of its words that differ most.
#[inline(always)]
fn place(row: &Row) -> usize {
    // The golden ratio.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = 0_u64;
    for n in [0, 2, 10, 16, 18, 20, 28] {
        let word = u64::from(row[n]) | u64::from(row[n + 1]) << 32;
        sum = (sum ^ word).wrapping_mul(STEP);
    }
    (sum ^ sum >> 32) as usize % PLACES
}

/// Whether two rows are equal: without a way out on the way, so that four words are compared at
/// once.
#[inline(always)]
fn same(one: &Row, other: &Row) -> bool {
    let (one, other) = (*one, *other);
    let mut unlike = 0;
    for n in 0..WORDS {
        unlike |= one[n] ^ other[n];
    }
    unlike == 0
}
