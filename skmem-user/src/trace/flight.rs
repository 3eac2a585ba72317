//! The black box: the last seconds of records in memory, compressed, written
//! when something asks for it.
//!
//! Memory is a row of segments. Each begins with the accounts of all open
//! sockets, so that what is left when older segments were dropped can be
//! explained.

use std::{collections::VecDeque, io, time::Duration};

use super::writer_thread::Sink;
use crate::{
    model::{
        end::{End, SavedAccount},
        record::Record,
    },
    recording::{BlockEncoder, EncodedBlock, Medium, Meta, Role, Writer},
};

/// Segments that a black box is made of, about.
const SEGMENTS: u32 = 8;

/// Where a black box is written.
pub trait Outlet: Send {
    /// Writes it, for the `n`th time, from 1: begins a recording with `meta`, which `fill` goes on
    /// with to its end.
    ///
    /// # Errors
    /// Where it cannot be written; nothing is kept in memory any more then.
    fn write(&mut self, n: u32, meta: &Meta, fill: &Fill) -> io::Result<()>;
}

/// Writes what the box holds, and the end.
pub type Fill<'a> = dyn Fn(&mut Writer<Medium>) -> io::Result<()> + 'a;

/// The black box.
pub struct Flight {
    outlet: Box<dyn Outlet>,
    written: u32,
    packer: BlockEncoder,
    segments: VecDeque<Segment>,
    keep_ns: u64,
    most: u64,
}

#[derive(Default)]
struct Segment {
    begin_ns: u64,
    blocks: Vec<EncodedBlock>,
    bytes: u64,
    /// Those of them that are records: what it began with no new segment makes less.
    records: u64,
}

impl Flight {
    /// Keeps the last `keep`, in at most about `most` bytes.
    #[must_use]
    pub fn new(outlet: Box<dyn Outlet>, keep: Duration, most: u64) -> Self {
        Self {
            outlet,
            written: 0,
            packer: BlockEncoder::default(),
            segments: VecDeque::from([Segment::default()]),
            keep_ns: u64::try_from(keep.as_nanos()).unwrap_or(u64::MAX),
            most,
        }
    }

    /// How often a segment begins.
    #[must_use]
    pub fn segment(keep: Duration) -> Duration {
        (keep / SEGMENTS).clamp(Duration::from_millis(250), Duration::from_secs(5))
    }

    fn put(&mut self, block: EncodedBlock, is_records: bool) {
        if let Some(segment) = self.segments.back_mut() {
            let bytes = block.bytes();
            segment.bytes += bytes;
            segment.records += if is_records { bytes } else { 0 };
            segment.blocks.push(block);
        }
    }

    fn begin(&mut self, now_ns: u64) {
        self.segments.push_back(Segment {
            begin_ns: now_ns,
            ..Segment::default()
        });
        let since = now_ns.saturating_sub(self.keep_ns);
        while self.segments.len() > 2
            && (self.segments[1].begin_ns <= since || self.bytes().0 > self.most)
        {
            self.segments.pop_front();
        }
    }

    /// Writes what there is.
    fn write(&mut self, meta: &Meta, end: &End) -> io::Result<()> {
        self.flush()?;
        self.written += 1;
        let meta = Meta {
            part: self.written,
            ..meta.clone()
        };
        let segments = &self.segments;
        self.outlet.write(self.written, &meta, &|writer| {
            let mut blocks = segments.iter().flat_map(|s| &s.blocks);
            let written = blocks.try_for_each(|block| writer.sealed(block));
            let ended = writer.end(&end.open, &end.totals);
            written.and(ended)
        })
    }
}

impl Sink for Flight {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        if let Some(block) = self.packer.push(record) {
            self.put(block, true);
        }
        Ok(())
    }

    fn accounts(&mut self, role: Role, now_ns: u64, accounts: &[SavedAccount]) -> io::Result<()> {
        self.flush()?;
        // The accounts of one instant come in pieces.
        let begun = self.segments.back().map_or(0, |s| s.begin_ns);
        if role == Role::Checkpoint && begun != now_ns {
            self.begin(now_ns);
        }
        for block in EncodedBlock::accounts(role, now_ns, accounts) {
            self.put(block, false);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(block) = self.packer.flush() {
            self.put(block, true);
        }
        Ok(())
    }

    fn next(&mut self, meta: &Meta, end: &End) -> io::Result<()> {
        self.write(meta, end)
    }

    fn end(&mut self, meta: &Meta, end: &End) -> io::Result<()> {
        match meta.trigger {
            Some(_) => self.next(meta, end),
            None => Ok(()),
        }
    }

    fn bytes(&self) -> (u64, u64) {
        let all = self.segments.iter().map(|s| s.bytes).sum();
        (all, self.segments.back().map_or(0, |s| s.bytes))
    }

    fn is_full(&self) -> bool {
        // One segment alone: it must end, so that older ones can go.
        let records = self.segments.back().map_or(0, |s| s.records);
        records > self.most / u64::from(SEGMENTS)
    }
}

#[cfg(test)]
mod tests {
    use skmem_common::record::Event;

    use super::*;

    struct Nowhere;

    impl Outlet for Nowhere {
        fn write(&mut self, _n: u32, _meta: &Meta, _fill: &Fill) -> io::Result<()> {
            Ok(())
        }
    }

    fn event(time_ns: u64, word: u64) -> Record {
        // Numbers that nothing predicts: they do not compress.
        let noise = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut event = Event {
            time_ns,
            event_no: word as u32,
            ..Event::default()
        };
        event.view.write_seq = (noise >> 32) as u32;
        event.view.snd_una = noise as u32;
        event.header.hook = skmem_common::hook::Hook::Ack as u8;
        Record::Event(event)
    }

    #[test]
    fn only_the_last_seconds_stay() {
        let mut flight = Flight::new(Box::new(Nowhere), Duration::from_nanos(1000), u64::MAX);
        for n in 0..100 {
            flight
                .accounts(Role::Checkpoint, n * 100, &[])
                .unwrap_or_default();
            flight.record(&event(n * 100 + 1, n)).unwrap_or_default();
        }
        let begins: Vec<u64> = flight.segments.iter().map(|s| s.begin_ns).collect();
        assert_eq!((begins[0], begins.len()), (8900, 11), "{begins:?}");
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let most = 1 << 20;
        let mut flight = Flight::new(Box::new(Nowhere), Duration::from_secs(60), most);
        for n in 0..1_000_000 {
            flight.record(&event(n, n)).unwrap_or_default();
            if flight.is_full() {
                flight
                    .accounts(Role::Checkpoint, n, &[])
                    .unwrap_or_default();
            }
            assert!(flight.bytes().0 < most * 3 / 2);
        }
        assert!(flight.bytes().0 > most / 2);
    }
}
