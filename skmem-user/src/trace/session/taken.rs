//! What a record changes in a session.

use std::collections::HashSet;

use skmem_common::hook::Hook;

use crate::model::{record::Record, replay::Replay};

/// What a record changes.
pub(super) struct Taken<'a> {
    pub replay: &'a mut Replay,
    pub ended: &'a mut u32,
    pub measuring: &'a mut HashSet<u64>,
    /// Of a socket on which nobody sleeps nothing is kept.
    pub sleepers_only: bool,
}

impl Taken<'_> {
    /// Takes in a record, counts the ends of sockets, and hands it on.
    pub fn take(&mut self, record: &Record, each: &mut impl FnMut(&Record, &Replay)) {
        *self.ended += u32::from(is_end(record));
        if self.is_of_measuring(record) {
            return;
        }
        let id = record.socket();
        if !self.sleepers_only || is_wait(record) || self.replay.socket(id).is_some() {
            self.replay.apply(record);
        }
        each(record, self.replay);
        if self.sleepers_only
            && let Some(socket) = self.replay.socket(id)
            && !socket.has_sleepers()
        {
            self.replay.forget(id);
        }
    }

    /// Whether it is about a connection that a skmem measures by.
    fn is_of_measuring(&mut self, record: &Record) -> bool {
        if let Record::Open(open) = record
            && open.ident.measures()
        {
            self.measuring.insert(open.ident.id);
            return true;
        }
        !self.measuring.is_empty() && self.measuring.contains(&record.socket())
    }
}

/// Whether a record is of the end of a socket's queues, which is the last
/// of a socket.
fn is_end(record: &Record) -> bool {
    matches!(record, Record::Event(e) if e.header.hook == Hook::Purge as u8)
}

/// Whether a record is of a sleep for want of send memory.
fn is_wait(record: &Record) -> bool {
    matches!(record, Record::Event(e) if e.header.hook == Hook::WaitMemory as u8)
}
