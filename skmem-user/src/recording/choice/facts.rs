//! What a recording says of its sockets, as far as it helps to choose some of them.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use skmem_common::record::{FLAG_TASK, Ident};

use super::Threads;
use crate::{
    diag::TcpState,
    model::{places::Places, record::Record},
    recording::Item,
    selection::{End, Netns, Port, Subject},
};

/// Most sockets that are known: a file may claim any number.
const MOST: usize = 1 << 20;
/// Most threads of a socket.
const MOST_USERS: usize = 256;
/// Most threads with names.
const MOST_NAMES: usize = 1 << 16;

/// All sockets of a recording.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    all: HashMap<u64, Facts>,
    comms: HashMap<u32, [u8; 16]>,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub ident: Option<Ident>,
    /// Processes and threads that made calls on it.
    users: BTreeSet<(u32, u32)>,
}

impl Sockets {
    pub fn learn(&mut self, item: &Item) {
        match item {
            Item::Record(record) => self.record(record),
            Item::Accounts(accounts) => {
                for kept in &accounts.accounts {
                    self.ident(&kept.account.ident);
                }
            }
        }
    }

    pub fn len(&self) -> u64 {
        self.all.len() as u64
    }

    pub fn all(&self) -> impl Iterator<Item = (u64, &Facts)> {
        self.all.iter().map(|(id, facts)| (*id, facts))
    }

    /// The names of the threads that use these sockets.
    pub fn threads<'a>(&self, sockets: impl Iterator<Item = &'a Facts>) -> Threads {
        let users = sockets.flat_map(|facts| &facts.users);
        users
            .filter_map(|(_, tid)| Some((*tid, text(self.comms.get(tid)?))))
            .collect()
    }

    fn record(&mut self, record: &Record) {
        let user = match record {
            Record::Open(open) => {
                self.ident(&open.ident);
                return;
            }
            Record::Task(task) => {
                self.name(task.tid, task.comm);
                (task.pid, task.tid)
            }
            Record::Event(event) if event.header.flags & FLAG_TASK != 0 => (event.pid, event.tid),
            Record::Event(_) => (0, 0),
            Record::Receive(record) => (record.pid, record.tid),
        };
        if let Some(facts) = self.socket(record.socket())
            && user.0 != 0
            && facts.users.len() < MOST_USERS
        {
            facts.users.insert(user);
        }
    }

    fn ident(&mut self, ident: &Ident) {
        self.name(ident.tid, ident.comm);
        let Some(facts) = self.socket(ident.id) else {
            return;
        };
        // A later one knows more, unless it has lost who it is.
        if ident.pid != 0 || facts.ident.is_none_or(|known| known.pid == 0) {
            facts.ident = Some(*ident);
        }
        if ident.pid != 0 && facts.users.len() < MOST_USERS {
            facts.users.insert((ident.pid, ident.tid));
        }
    }

    fn socket(&mut self, id: u64) -> Option<&mut Facts> {
        if self.all.len() >= MOST && !self.all.contains_key(&id) {
            return None;
        }
        Some(self.all.entry(id).or_default())
    }

    fn name(&mut self, tid: u32, comm: [u8; 16]) {
        if tid != 0 && self.comms.len() < MOST_NAMES {
            self.comms.insert(tid, comm);
        }
    }
}

impl Facts {
    /// Says whose a socket is.
    pub fn name(&self, ident: &mut Ident) {
        if let Some(known) = self.ident.filter(|known| known.pid != 0) {
            (ident.pid, ident.tid, ident.comm) = (known.pid, known.tid, known.comm);
        }
    }

    pub fn subject<'a>(&'a self, sockets: &'a Sockets, places: &'a Places) -> Recorded<'a> {
        Recorded {
            facts: self,
            sockets,
            places,
        }
    }
}

/// A socket of a recording.
pub(super) struct Recorded<'a> {
    facts: &'a Facts,
    sockets: &'a Sockets,
    places: &'a Places,
}

impl Subject for Recorded<'_> {
    fn port(&self, end: End) -> Option<Port> {
        let ident = self.facts.ident?;
        Some(Port::Number(match end {
            End::Local => ident.sport,
            End::Remote => ident.dport,
        }))
    }

    fn address(&self, end: End) -> Option<IpAddr> {
        let ident = self.facts.ident?;
        let bytes = match end {
            End::Local => ident.saddr,
            End::Remote => ident.daddr,
        };
        Some(match i32::from(ident.family) {
            libc::AF_INET => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
            _ => Ipv6Addr::from(bytes).into(),
        })
    }

    fn is_in(&self, netns: &Netns) -> bool {
        let ident = self.facts.ident.as_ref();
        ident.is_some_and(|ident| netns.is(ident.netns.into(), self.places.namespace(ident)))
    }

    fn cgroup(&self) -> Option<&str> {
        self.places.cgroup(self.facts.ident.as_ref()?)
    }

    fn state(&self) -> Option<TcpState> {
        None
    }

    fn is_used_by(&self, wanted: &dyn Fn(u32, &str) -> bool) -> bool {
        let named = |tid: &u32| self.sockets.comms.get(tid).map(text).unwrap_or_default();
        let ident = self.facts.ident.filter(|ident| ident.pid != 0);
        ident.is_some_and(|ident| wanted(ident.pid, &text(&ident.comm)))
            || self
                .facts
                .users
                .iter()
                .any(|(pid, tid)| wanted(*pid, &named(tid)))
    }
}

/// A command name without its NULs.
fn text(comm: &[u8; 16]) -> String {
    let end = comm.iter().position(|b| *b == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end]).into_owned()
}
