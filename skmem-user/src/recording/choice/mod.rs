//! A part of a recording: some of its sockets, some of its time. A reader that has a [`Choice`]
//! gives what a recording of that part alone would hold, so every command looks at a part as it
//! looks at the whole, and a part that is written is a recording like any other.
//!
//! * A kept socket keeps all of its records and accounts between the two instants; of one that is
//!   not kept, nothing stays. Numbers of records count within a socket, so none is missing.
//! * A part that begins later begins with the accounts as they stood then: replayed from what came
//!   before.
//! * A part that ends earlier ends with the accounts as they stood then, replayed the same way; the
//!   last accounts of the kernel are of a later time.
//! * What is counted for the whole trace (records by hook, records lost, skipped runs) stays that
//!   of the whole: the kernel does not count it by socket.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Read,
};

use facts::{Facts, Sockets};

use super::{Accounts, Clock, Item, Playback, Recording, Role, meta::Selected};
use crate::{
    model::{
        end::{End, KEEP_CLOSED, SavedAccount, TopAccounts, Totals},
        places::cgroup_id,
        record::Record,
    },
    selection::Subject,
};

mod facts;

/// The reason of an end that lies before that of the recording.
const CUT: &str = "cut";

/// What of a recording is wanted. Made by reading all of it; needed to read it again.
#[derive(Debug, Clone)]
pub struct Choice {
    sockets: HashSet<u64>,
    window: Window,
    /// The accounts at the beginning, where that is later than the recording's.
    opening: Option<Accounts>,
    /// The end, where that is earlier.
    end: Option<End>,
    selected: Selected,
    /// Numbers of the cgroups and network namespaces of kept sockets.
    cgroups: HashSet<u64>,
    namespaces: HashSet<u32>,
}

/// Two instants in ns of `CLOCK_MONOTONIC`; None: the recording's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// What is earlier is left out.
    pub from: Option<u64>,
    /// What is later is left out.
    pub to: Option<u64>,
}

/// Where records lie. Of several CPUs they do not lie quite in order of time, but those of a socket
/// are numbered: from the first one on that is in the window, all are, and after the first one
/// behind it, none is.
#[derive(Debug, Clone, Default)]
pub(super) struct Cursor {
    begun: HashSet<u64>,
    over: HashSet<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Within,
    Behind,
}

impl Window {
    fn of_account(self, now_ns: u64) -> Place {
        if self.from.is_some_and(|from| now_ns < from) {
            return Place::Before;
        }
        match self.to {
            Some(to) if now_ns > to => Place::Behind,
            _ => Place::Within,
        }
    }

    fn of_record(self, record: &Record, cursor: &mut Cursor) -> Place {
        let id = record.socket();
        match self.of_account(record.time_ns()) {
            _ if cursor.over.contains(&id) => Place::Behind,
            Place::Before if cursor.begun.contains(&id) => Place::Within,
            Place::Before => Place::Before,
            Place::Within => {
                if self.from.is_some() {
                    cursor.begun.insert(id);
                }
                Place::Within
            }
            Place::Behind => {
                cursor.over.insert(id);
                Place::Behind
            }
        }
    }
}

impl Choice {
    /// Reads a recording to its end, and chooses the sockets that `wanted` names, as far as
    /// something is known of them within `window`. `words` say what was asked for: options and
    /// their values.
    pub fn of<R: Read>(
        mut recording: Recording<R>,
        wanted: impl Fn(u64, &dyn Subject) -> bool,
        window: Window,
        words: Vec<(String, String)>,
    ) -> Self {
        let most = recording.meta().max_sockets;
        let mut states = States {
            window,
            before: window.from.map(|_| Playback::new(most)),
            until: window.to.map(|_| Playback::new(most)),
            alive: HashSet::new(),
            closed: Vec::new(),
        };
        let mut cursor = Cursor::default();
        let mut sockets = Sockets::default();
        while let Some(item) = recording.next_item() {
            sockets.learn(&item);
            states.take(&item, &mut cursor);
        }
        let totals = recording.end().map(|end| end.totals);
        let places = totals.clone().unwrap_or_default().places;
        let opening = states.before.map(|player| player.accounts());
        let mut alive = states.alive;
        alive.extend(opening.iter().flatten().map(|k| k.account.ident.id));
        let chosen: HashMap<u64, &Facts> = sockets
            .all()
            .filter(|(id, _)| alive.contains(id))
            .filter(|(id, facts)| wanted(*id, &facts.subject(&sockets, &places)))
            .collect();
        let named = |mut kept: SavedAccount| {
            // One that no call had named until then.
            if let (0, Some(facts)) = (kept.account.ident.pid, chosen.get(&kept.account.ident.id)) {
                facts.name(&mut kept.account.ident);
            }
            kept
        };
        let keep = |accounts: Vec<SavedAccount>| -> Vec<SavedAccount> {
            let kept = accounts.into_iter();
            let kept = kept.filter(|k| chosen.contains_key(&k.account.ident.id));
            kept.map(named).collect()
        };
        let opening = opening.map(|accounts| Accounts {
            role: Role::Checkpoint,
            now_ns: window.from.unwrap_or_default(),
            accounts: keep(accounts),
        });
        let end = states.until.map(|player| {
            let mut closed = TopAccounts::new(KEEP_CLOSED);
            keep(states.closed).into_iter().for_each(|k| closed.push(k));
            let meta = recording.meta();
            let now_ns = window.to.unwrap_or_default();
            End {
                totals: Totals {
                    now_ns,
                    wall_ns: meta.clock.wall_ns(now_ns),
                    reason: CUT.to_owned(),
                    wmem_max: meta.wmem_max,
                    notsent_lowat: meta.notsent_lowat,
                    ..totals.unwrap_or_default()
                },
                open: keep(player.accounts()),
                closed: closed.list(),
            }
        });
        let idents = || chosen.values().filter_map(|facts| facts.ident.as_ref());
        Self {
            window,
            opening,
            end,
            selected: Selected {
                filters: words,
                sockets: chosen.len() as u64,
                of: sockets.len(),
                from_ns: window.from,
                to_ns: window.to,
                threads: sockets.threads(chosen.values().copied()),
            },
            cgroups: idents().map(cgroup_id).collect(),
            namespaces: idents().map(|ident| ident.netns).collect(),
            sockets: chosen.into_keys().collect(),
        }
    }

    /// Between which instants.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// How many sockets it keeps.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.selected.sockets
    }

    /// How many the recording has.
    #[must_use]
    pub fn of_all(&self) -> u64 {
        self.selected.of
    }

    pub(super) fn selected(&self) -> &Selected {
        &self.selected
    }

    pub(super) fn opening(&self) -> Option<Accounts> {
        self.opening.clone()
    }

    /// Whether a record is kept.
    pub(super) fn keeps(&self, record: &Record, cursor: &mut Cursor) -> bool {
        self.sockets.contains(&record.socket())
            && self.window.of_record(record, cursor) == Place::Within
    }

    /// What is kept of accounts.
    pub(super) fn kept_of(&self, mut accounts: Accounts) -> Option<Accounts> {
        if self.window.of_account(accounts.now_ns) != Place::Within {
            return None;
        }
        let had = !accounts.accounts.is_empty();
        let kept = |kept: &SavedAccount| self.sockets.contains(&kept.account.ident.id);
        accounts.accounts.retain(kept);
        (!had || !accounts.accounts.is_empty()).then_some(accounts)
    }

    /// The end: that of the recording, or an earlier one.
    pub(super) fn end(&self, whole: Option<End>, records: u64) -> Option<End> {
        let mut end = self.end.clone().or(whole)?;
        end.totals.sockets = self.selected.sockets;
        end.totals.records = records;
        let places = &mut end.totals.places;
        places.cgroups.retain(|id, _| self.cgroups.contains(id));
        places
            .namespaces
            .retain(|inode, _| self.namespaces.contains(inode));
        Some(end)
    }
}

/// What sockets come to, at the two instants.
struct States {
    window: Window,
    before: Option<Playback>,
    until: Option<Playback>,
    /// Sockets of which something lies in the window.
    alive: HashSet<u64>,
    closed: Vec<SavedAccount>,
}

impl States {
    fn take(&mut self, item: &Item, cursor: &mut Cursor) {
        let place = match item {
            Item::Record(record) => self.window.of_record(record, cursor),
            Item::Accounts(accounts) => self.window.of_account(accounts.now_ns),
        };
        let before = self.before.as_mut().filter(|_| place == Place::Before);
        let until = self.until.as_mut().filter(|_| place != Place::Behind);
        before
            .into_iter()
            .chain(until)
            .for_each(|player| player.take(item));
        if place != Place::Within {
            return;
        }
        match item {
            Item::Record(record) => {
                self.alive.insert(record.socket());
            }
            Item::Accounts(accounts) => {
                let all = accounts.accounts.iter();
                self.alive.extend(all.map(|k| k.account.ident.id));
                if accounts.role == Role::Closed && self.until.is_some() {
                    self.closed.extend(accounts.accounts.iter().cloned());
                }
            }
        }
    }
}

/// First and last instant of a recording, in ns of `CLOCK_MONOTONIC`; None where it holds nothing.
/// Reads all of it.
pub fn span<R: Read>(recording: &mut Recording<R>) -> Option<(u64, u64)> {
    let mut span: Option<(u64, u64)> = None;
    while let Some(item) = recording.next_item() {
        if let Item::Record(record) = item {
            let at = record.time_ns();
            let (from, to) = span.unwrap_or((at, at));
            span = Some((from.min(at), to.max(at)));
        }
    }
    let now = recording.end().map(|end| end.totals.now_ns);
    let (from, to) = span.or(now.map(|now| (now, now)))?;
    let meta = recording.meta();
    let from = began(meta.clock, meta.flight_ns, from);
    Some((from, to.max(now.unwrap_or(0))))
}

/// When a recording began whose first record is of `first`. A black box begins before it was
/// written, and so before its clock.
#[must_use]
pub fn began(clock: Clock, flight_ns: u64, first: u64) -> u64 {
    match flight_ns == 0 && clock.monotonic_ns != 0 {
        true => first.min(clock.monotonic_ns),
        false => first,
    }
}

/// Names of threads, by their ids.
pub(super) type Threads = BTreeMap<u32, String>;
