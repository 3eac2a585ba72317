//! All records of a recording, one by one, with what else is known of each.

use anyhow::Result;
use hashbrown::{HashMap, hash_map::Entry};
use skmem_common::record::{Event, Receive};

use super::{Export, REPLAYED, verdicts::Verdicts};
use crate::{
    model::{
        record::Record,
        replay::Replay,
        survey,
        timeline::waits::{Wait, Waits},
    },
    recording::{Accounts, Item, Role},
    render::{self, Named, export::Row},
};

/// Sockets, and threads, that are followed at a time: a file may claim any
/// number.
const MOST: usize = 1 << 17;

/// A record, with what else is known of it.
pub(super) enum Exported<'a> {
    /// A call, and what it says of sleeping.
    Event(Row<'a, Event>, Option<Wait>),
    /// A change of the receive side.
    Receive(Row<'a, Receive>),
}

/// What is followed while records are read.
struct Walk<'a> {
    export: &'a Export,
    sockets: HashMap<u64, Socket>,
    comms: HashMap<u32, Option<String>>,
}

struct Socket {
    who: Option<Named>,
    /// The recording holds its last account.
    kept: bool,
    waits: Waits,
    next: Option<u32>,
    lost: u64,
}

impl Export {
    /// Hands on all events and receives, and gives what is known of sockets in
    /// the end.
    pub(super) fn records(
        &self,
        mut each: impl FnMut(&Exported<'_>) -> Result<()>,
    ) -> Result<Verdicts<'_>> {
        let mut walk = Walk {
            export: self,
            sockets: HashMap::new(),
            comms: HashMap::new(),
        };
        let mut replay = Replay::bounded(REPLAYED);
        self.recorded.again(|item| match item {
            Item::Record(record) => walk.record(&record, &mut replay, &mut each),
            Item::Accounts(accounts) => {
                walk.accounts(&accounts, &mut replay);
                Ok(())
            }
        })?;
        Ok(Verdicts {
            export: self,
            replay,
        })
    }
}

impl Walk<'_> {
    fn record(
        &mut self,
        record: &Record,
        replay: &mut Replay,
        each: &mut impl FnMut(&Exported<'_>) -> Result<()>,
    ) -> Result<()> {
        let socket = self.socket(survey::id(record));
        socket.count(record);
        if !socket.kept {
            replay.apply(record);
        }
        let (pid, tid) = match record {
            Record::Event(event) => (event.pid, event.tid),
            Record::Receive(receive) => (receive.pid, receive.tid),
            Record::Open(_) | Record::Task(_) => return Ok(()),
        };
        let lost_before = std::mem::take(&mut socket.lost);
        let wait = match record {
            Record::Event(event) => socket.waits.feed(event),
            _ => None,
        };
        self.learn(tid);
        // Not the one from above: the name of the thread lies beside it.
        let socket = self.sockets.get(&survey::id(record));
        let who = socket.and_then(|s| s.who.as_ref());
        let named = self.comms.get(&tid).and_then(Option::as_deref);
        let comm = named.or_else(|| who.filter(|w| w.ident.pid == pid).map(|w| w.comm.as_str()));
        each(&match record {
            Record::Receive(record) => Exported::Receive(Row {
                record,
                who,
                comm,
                lost_before,
            }),
            Record::Event(record) => Exported::Event(
                Row {
                    record,
                    who,
                    comm,
                    lost_before,
                },
                wait,
            ),
            Record::Open(_) | Record::Task(_) => return Ok(()),
        })
    }

    fn accounts(&mut self, accounts: &Accounts, replay: &mut Replay) {
        for kept in &accounts.accounts {
            let id = kept.account.ident.id;
            let socket = self.socket(id);
            if accounts.role == Role::Checkpoint {
                socket.waits.account(&kept.account, &kept.sleepers);
            }
            if !socket.kept {
                replay.checkpoint(&kept.account);
            }
        }
    }

    fn socket(&mut self, id: u64) -> &mut Socket {
        if self.sockets.len() >= MOST && !self.sockets.contains_key(&id) {
            self.sockets.clear();
        }
        match self.sockets.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let recorded = &self.export.recorded;
                let who = recorded.survey.socket(id).and_then(|s| s.ident.as_ref());
                new.insert(Socket {
                    who: who.map(Named::of),
                    kept: recorded.kept(id).is_some(),
                    waits: Waits::default(),
                    next: None,
                    lost: 0,
                })
            }
        }
    }

    fn learn(&mut self, tid: u32) {
        if self.comms.len() >= MOST {
            self.comms.clear();
        }
        let survey = &self.export.recorded.survey;
        self.comms
            .entry(tid)
            .or_insert_with(|| survey.comm(tid).map(render::comm));
    }
}

impl Socket {
    /// What came before the file's first record of a socket is not missing in it.
    fn count(&mut self, record: &Record) {
        let Some((_, number)) = record.place() else {
            return;
        };
        let missed = self.next.map_or(0, |next| number.wrapping_sub(next));
        // A number that comes a second time is not a loss.
        self.lost += u64::from(missed.cast_signed().max(0).cast_unsigned());
        self.next = Some(number.wrapping_add(1));
    }
}
