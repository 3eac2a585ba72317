//! Records into rows and back.

use skmem_common::{
    cause::Cause,
    record::{
        Event, FLAG_LOCKLESS, FLAG_TASK, OP_ADMIT, OP_BOOK, OP_LIMIT, OPS, RECEIVE_OPS, Receive,
        SHORT_EVENT, SHORT_OPS, VERSION,
    },
};

use super::context::Context;

/// Words of a row.
pub(super) const WORDS: usize = 32;
/// Words of operations that a row has no room for.
pub(super) const MORE: usize = 2 * (OPS - SHORT_OPS);
/// Words of an [`Event`], of a [`Receive`].
pub(super) const EVENT: usize = size_of::<Event>() / 4;
pub(super) const RECEIVE: usize = size_of::<Receive>() / 4;

/// Bit of a row's first word, beside the hook: the socket is another one than that of the record
/// before.
pub(super) const OTHER: u32 = 1 << 8;

/// Words of a row, by number: hook, and [`OTHER`]; operations, flags and CPU; the operations of an
/// event.
pub(super) const FIRST: usize = 0;
pub(super) const HEAD: usize = 1;
pub(super) const EVENT_OPS: usize = 2;
/// Those of a change of the receive side.
const RECEIVE_OPS_AT: usize = 20;

/// Records and rows are read as words of 32 bits.
const _: () = assert!(cfg!(target_endian = "little"));

/// What a record misses of its predictions.
pub(super) type Row = [u32; WORDS];

/// The causes by which `write_seq` is predicted: part of the format.
const PAYLOAD: [u8; 4] = [
    Cause::FirstFill as u8,
    Cause::TailAppend as u8,
    Cause::TailRefill as u8,
    Cause::Splice as u8,
];

/// Which way a walk over a record's words goes. Each step has the number of a word in the record,
/// and gives its value there.
pub(super) trait Way {
    /// A word that has the same number in the row.
    fn word(&mut self, n: usize, predicted: u32) -> u32;
    /// Several of them, from number `n` on. By value, so that four are handled at once.
    fn words<const M: usize>(&mut self, n: usize, predicted: [u32; M]) -> [u32; M];
    /// The record's second word: CPU in bits 0 to 15, flags, operations; in a row operations in
    /// bits 0 to 3, flags in 4 to 11, CPU above. `most`: operations that it may have.
    fn head(&mut self, cpu: u16, most: usize) -> u32;
    /// A tag of an operation; `part`: where it lies in the row, or behind it.
    fn tag(&mut self, n: usize, part: usize) -> u32;
    /// Its value.
    fn value(&mut self, n: usize, part: usize, predicted: u32) -> u32;
    /// The record's first word: a row's is another one.
    fn first(&mut self, value: u32);
    /// A word that a row does not tell: it is 0 there.
    fn set(&mut self, n: usize, value: u32);
}

/// From a record to a row.
pub(super) struct There<'a, const N: usize> {
    pub words: &'a [u32; N],
    pub row: &'a mut Row,
    /// Operations that the row has no room for.
    pub more: &'a mut [u32; MORE],
}

/// From a row to a record.
pub(super) struct Back<'a, const N: usize> {
    pub words: &'a mut [u32; N],
    pub row: &'a Row,
    pub more: &'a [u32; MORE],
}

/// `M` words from number `n` on. Not `copy_from_slice`, which is a call where crates are optimised
/// each on its own.
#[inline(always)]
fn some<const N: usize, const M: usize>(words: &[u32; N], n: usize) -> [u32; M] {
    let from = words.get(n..).and_then(<[u32]>::first_chunk);
    from.copied().unwrap_or([0; M])
}

#[inline(always)]
fn put<const N: usize, const M: usize>(words: &mut [u32; N], n: usize, values: [u32; M]) {
    if let Some(to) = words.get_mut(n..).and_then(<[u32]>::first_chunk_mut) {
        *to = values;
    }
}

impl<const N: usize> There<'_, N> {
    #[inline(always)]
    fn part(&mut self, part: usize) -> &mut u32 {
        match part {
            0..WORDS => &mut self.row[part],
            _ => &mut self.more[(part - WORDS) % MORE],
        }
    }
}

impl<const N: usize> Way for There<'_, N> {
    #[inline(always)]
    fn word(&mut self, n: usize, predicted: u32) -> u32 {
        let value = self.words[n];
        self.row[n] = value.wrapping_sub(predicted);
        value
    }

    #[inline(always)]
    fn words<const M: usize>(&mut self, n: usize, predicted: [u32; M]) -> [u32; M] {
        let values = some(self.words, n);
        let mut row = [0; M];
        for n in 0..M {
            row[n] = values[n].wrapping_sub(predicted[n]);
        }
        put(self.row, n, row);
        values
    }

    #[inline(always)]
    fn head(&mut self, cpu: u16, most: usize) -> u32 {
        let word = self.words[1];
        let ops = (word >> 24).min(most as u32);
        let other = (word as u16).wrapping_sub(cpu);
        self.row[HEAD] = ops | (word >> 12 & 0xff0) | u32::from(other) << 12;
        word & 0x00ff_ffff | ops << 24
    }

    #[inline(always)]
    fn tag(&mut self, n: usize, part: usize) -> u32 {
        // The last byte is reserved.
        let tag = self.words[n] & 0x00ff_ffff;
        *self.part(part) = tag;
        tag
    }

    #[inline(always)]
    fn value(&mut self, n: usize, part: usize, predicted: u32) -> u32 {
        let value = self.words[n];
        *self.part(part) = value.wrapping_sub(predicted);
        value
    }

    #[inline(always)]
    fn first(&mut self, _: u32) {}

    #[inline(always)]
    fn set(&mut self, n: usize, _: u32) {
        self.row[n] = 0;
    }
}

impl<const N: usize> Back<'_, N> {
    #[inline(always)]
    fn part(&self, part: usize) -> u32 {
        match part {
            0..WORDS => self.row[part],
            _ => self.more[(part - WORDS) % MORE],
        }
    }
}

impl<const N: usize> Way for Back<'_, N> {
    #[inline(always)]
    fn word(&mut self, n: usize, predicted: u32) -> u32 {
        let value = self.row[n].wrapping_add(predicted);
        self.words[n] = value;
        value
    }

    #[inline(always)]
    fn words<const M: usize>(&mut self, n: usize, predicted: [u32; M]) -> [u32; M] {
        let mut values = some(self.row, n);
        for n in 0..M {
            values[n] = values[n].wrapping_add(predicted[n]);
        }
        put(self.words, n, values);
        values
    }

    #[inline(always)]
    fn head(&mut self, cpu: u16, _: usize) -> u32 {
        let row = self.row[HEAD];
        let cpu = ((row >> 12) as u16).wrapping_add(cpu);
        self.words[1] = (row & 0xf) << 24 | (row & 0xff0) << 12 | u32::from(cpu);
        self.words[1]
    }

    #[inline(always)]
    fn tag(&mut self, n: usize, part: usize) -> u32 {
        self.words[n] = self.part(part);
        self.words[n]
    }

    #[inline(always)]
    fn value(&mut self, n: usize, part: usize, predicted: u32) -> u32 {
        let value = self.part(part).wrapping_add(predicted);
        self.words[n] = value;
        value
    }

    #[inline(always)]
    fn first(&mut self, value: u32) {
        self.words[0] = value;
    }

    #[inline(always)]
    fn set(&mut self, n: usize, value: u32) {
        self.words[n] = value;
    }
}

/// How many operations a record has whose row's second word this is, and whether its kind may have
/// them.
pub(super) fn ops(head: u32, receive: bool) -> Option<usize> {
    let ops = (head & 0xf) as usize;
    let most = if receive { RECEIVE_OPS } else { OPS };
    (head >> 28 == 0 && ops <= most).then_some(ops)
}

/// The words of a row that hold operations' tags.
pub(super) fn tags(ops: usize, receive: bool) -> impl Iterator<Item = usize> {
    let (from, room) = match receive {
        true => (RECEIVE_OPS_AT, RECEIVE_OPS),
        false => (EVENT_OPS, SHORT_OPS),
    };
    (0..ops.min(room)).map(move |n| from + 2 * n)
}

/// The first word of a record.
fn first(hook: u8, length: usize) -> u32 {
    length as u32 | u32::from(VERSION) << 16 | u32::from(hook) << 24
}

/// What the operations of a record make of the fields before it.
struct Made {
    queued: u32,
    limit: u32,
    payload: u32,
}

impl Made {
    /// An operation, whose tag is word `n` of the record and `part` of the row.
    #[inline(always)]
    fn op(&mut self, way: &mut impl Way, booked: &mut [u32; 32], n: usize, part: usize) {
        let tag = way.tag(n, part);
        let (kind, cause) = (tag as u8, (tag >> 8) as u8);
        let last = &mut booked[usize::from(cause) & 31];
        let predicted = match kind {
            OP_BOOK => *last,
            OP_ADMIT | OP_LIMIT => self.limit,
            _ => 0,
        };
        let value = way.value(n + 1, part + 1, predicted);
        if kind == OP_BOOK {
            *last = value;
            self.queued = self.queued.wrapping_add(value);
            if PAYLOAD.contains(&cause) {
                self.payload = self.payload.wrapping_add(value);
            }
        } else if kind == OP_LIMIT {
            self.limit = value;
        }
    }
}

/// All of an event but its socket and time.
#[inline(always)]
pub(super) fn event(way: &mut impl Way, context: &mut Context, hook: u8) {
    let call = context.call(hook);
    let head = way.head(call.cpu, OPS);
    call.cpu = head as u16;
    call.words = way.words(28, call.words);
    let (flags, ops) = ((head >> 16) as u8, (head >> 24) as usize);
    let length = match ops {
        0..=SHORT_OPS => SHORT_EVENT,
        _ => size_of::<Event>(),
    };
    way.first(first(hook, length));
    let lockless = flags & FLAG_LOCKLESS != 0;

    let next = context.event_no.wrapping_add(u32::from(!lockless));
    context.event_no = way.word(6, next);
    context.slot = way.word(7, context.slot);
    if flags & FLAG_TASK != 0 {
        let [pid, tid] = context.task;
        context.task = [way.word(8, pid), way.word(9, tid)];
    } else {
        way.word(8, 0);
        way.word(9, 0);
    }

    let known = context.view;
    let mut made = Made {
        queued: known[0],
        limit: known[1],
        payload: known[4],
    };
    for n in 0..ops.min(OPS) {
        let part = match n {
            0..SHORT_OPS => EVENT_OPS + 2 * n,
            _ => WORDS + 2 * (n - SHORT_OPS),
        };
        made.op(way, &mut context.booked, WORDS + 2 * n, part);
    }

    let was = match lockless {
        true => [0; 5],
        false => [known[0], known[1], known[2], known[4], known[5]],
    };
    way.words(10, was);
    // Reserved.
    way.set(15, 0);

    let queued = way.word(16, made.queued);
    // What is queued is taken from what is charged already.
    let left = known[2].wrapping_sub(queued.wrapping_sub(known[0]));
    let mut predicted = known;
    predicted[0] = made.queued;
    predicted[1] = made.limit;
    predicted[2] = left;
    predicted[4] = made.payload;
    // Untrimmed bytes, read now and then.
    predicted[9] = 0;
    context.view = way.words(16, predicted);
}

/// All of a change of the receive side but its socket and time.
#[inline(always)]
pub(super) fn receive(way: &mut impl Way, context: &mut Context, hook: u8) {
    let call = context.call(hook);
    let head = way.head(call.cpu, RECEIVE_OPS);
    call.cpu = head as u16;
    call.words = way.words(8, call.words);
    way.first(first(hook, size_of::<Receive>()));
    context.event_no = way.word(6, context.event_no.wrapping_add(1));
    context.slot = way.word(7, context.slot);

    let received = context.received.get_or_insert_default();
    let known = received.view;
    let mut made = Made {
        queued: known[0],
        limit: known[1],
        payload: 0,
    };
    for at in tags((head >> 24) as usize, true) {
        made.op(way, &mut received.booked, at, at);
    }
    let queued = way.word(12, made.queued);
    let mut predicted = known;
    predicted[0] = made.queued;
    predicted[1] = made.limit;
    predicted[3] = known[3].wrapping_sub(queued.wrapping_sub(known[0]));
    received.view = way.words(12, predicted);
}
