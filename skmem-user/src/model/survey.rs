//! Which sockets a stream of records is about, and how far each went over its
//! limit: what must be known before one of them is looked at closely.

use hashbrown::HashMap;
use skmem_common::record::{Event, FLAG_LOCKLESS, Ident, OP_BOOK, OP_LIMIT, OPS};

use crate::model::record::Record;

/// Most sockets that are surveyed: a file may claim any number. Those beyond
/// are counted.
const MOST: usize = 1 << 20;

/// Most threads whose names are kept.
const MOST_COMMS: usize = 1 << 16;

/// A socket in a stream.
#[derive(Debug, Clone, Copy)]
pub struct SocketSummary {
    /// Who; None where nothing says so.
    pub ident: Option<Ident>,
    /// Its first record, in ns of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
    /// Its last record, in ns of `CLOCK_MONOTONIC`.
    pub last_ns: u64,
    /// Its records.
    pub records: u64,
    /// The worst `wmem_queued - sndbuf`, in bytes; negative where it never
    /// went over its limit.
    pub worst_excess: i64,
    now: Option<(i32, i32)>,
}

/// All sockets of a stream.
#[derive(Debug, Default)]
pub struct Survey {
    sockets: HashMap<u64, SocketSummary>,
    comms: HashMap<u32, [u8; 16]>,
    span: Option<(u64, u64)>,
    omitted: u64,
}

impl Survey {
    /// Takes in the stream's next record.
    pub fn feed(&mut self, record: &Record) {
        let at = record.time_ns();
        let (from, to) = self.span.unwrap_or((at, at));
        self.span = Some((from.min(at), to.max(at)));
        let id = id(record);
        if self.sockets.len() >= MOST && !self.sockets.contains_key(&id) {
            self.omitted += 1;
            return;
        }
        let socket = self
            .sockets
            .entry(id)
            .or_insert_with(|| SocketSummary::new(at));
        socket.last_ns = socket.last_ns.max(at);
        socket.first_ns = socket.first_ns.min(at);
        socket.records += 1;
        match record {
            Record::Open(open) => {
                socket.ident = Some(open.ident);
                if socket.now.is_none() {
                    socket.stands(open.view.wmem_queued, open.view.sndbuf);
                }
                self.learn(open.ident.tid, open.ident.comm);
            }
            Record::Task(task) => self.learn(task.tid, task.comm),
            Record::Event(event) => socket.event(event),
            // The receive side moves nothing that is surveyed.
            Record::Receive(_) => {}
        }
    }

    /// Takes in what else says who a socket is, and how far it went over its
    /// limit: an account of it.
    pub fn account(&mut self, ident: &Ident, worst_excess: i32) {
        self.learn(ident.tid, ident.comm);
        if let Some(socket) = self.sockets.get_mut(&ident.id) {
            let known = socket.ident.is_some_and(|known| known.pid != 0);
            if !known || ident.pid != 0 {
                socket.ident = Some(*ident);
            }
            // What came before the first record counts as well.
            if worst_excess > 0 {
                socket.worst_excess = socket.worst_excess.max(worst_excess.into());
            }
        }
    }

    /// First and last instant, in ns of `CLOCK_MONOTONIC`; None without
    /// records.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        self.span
    }

    /// Records of sockets for which there was no room.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// The socket with this number.
    #[must_use]
    pub fn socket(&self, id: u64) -> Option<&SocketSummary> {
        self.sockets.get(&id)
    }

    /// The command name of a thread, NUL-padded.
    #[must_use]
    pub fn comm(&self, tid: u32) -> Option<&[u8; 16]> {
        self.comms.get(&tid)
    }

    /// All sockets, the worst excess first.
    #[must_use]
    pub fn worst_first(&self) -> Vec<(u64, SocketSummary)> {
        let mut all: Vec<_> = self.sockets.iter().map(|(id, s)| (*id, *s)).collect();
        all.sort_by_key(|(id, s)| (std::cmp::Reverse(s.worst_excess), s.first_ns, *id));
        all
    }

    /// Takes in the name of a thread that no record names.
    pub fn name(&mut self, tid: u32, comm: &str) {
        let mut padded = [0; 16];
        for (to, from) in padded.iter_mut().zip(comm.bytes()).take(15) {
            *to = from;
        }
        self.learn(tid, padded);
    }

    fn learn(&mut self, tid: u32, comm: [u8; 16]) {
        if tid != 0 && self.comms.len() < MOST_COMMS {
            self.comms.insert(tid, comm);
        }
    }
}

/// The number of the socket that a record is of.
#[must_use]
pub fn id(record: &Record) -> u64 {
    match record {
        Record::Event(e) => e.socket,
        Record::Open(o) => o.ident.id,
        Record::Task(t) => t.socket,
        Record::Receive(r) => r.socket,
    }
}

impl SocketSummary {
    fn new(at: u64) -> Self {
        Self {
            ident: None,
            first_ns: at,
            last_ns: at,
            records: 0,
            worst_excess: i64::MIN,
            now: None,
        }
    }

    fn stands(&mut self, w: i32, sndbuf: i32) {
        self.now = Some((w, sndbuf));
        self.worst_excess = self.worst_excess.max(i64::from(w) - i64::from(sndbuf));
    }

    fn event(&mut self, event: &Event) {
        if event.header.flags & FLAG_LOCKLESS != 0 {
            return;
        }
        if let Some((mut w, mut sndbuf)) = self.now {
            let used = usize::from(event.header.ops).min(OPS);
            for op in &event.ops[..used] {
                match op.kind {
                    OP_BOOK => w = w.wrapping_add(op.value),
                    OP_LIMIT => sndbuf = op.value,
                    _ => continue,
                }
                self.stands(w, sndbuf);
            }
        }
        self.stands(event.view.wmem_queued, event.view.sndbuf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::story::{START, Story, article};

    #[test]
    fn the_worst_socket_comes_first() {
        let mut survey = Survey::default();
        let mut calm = Story::new(3, 100_000);
        calm.admit().end(skmem_common::hook::Hook::SendmsgLocked);
        let story = article();
        for record in calm.records.iter().chain(&story.records) {
            survey.feed(record);
        }
        let all = survey.worst_first();
        let ids: Vec<_> = all.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [17, 3]);
        assert_eq!(all[0].1.worst_excess, 13_488 - 8_192);
        assert!(all[1].1.worst_excess < 0);
        assert_eq!(
            survey.span(),
            Some((START, story.records.last().map_or(0, Record::time_ns)))
        );
        assert_eq!(survey.comm(123).map(|c| &c[..6]), Some(&b"client"[..]));
    }
}
