//! Replays records into ledgers.

use hashbrown::{HashMap, HashSet};
use skmem_common::{
    account::Account,
    cause::{CAUSES, Cause, LimitCause, Tier},
    ledger::{Balance, Ledger},
    record::{Event, FLAG_LOCKLESS, Ident, OP_ADMIT, OP_BOOK, OP_LIMIT, OPS, Op, View},
};

use super::calls::Calls;
use crate::model::record::Record;

/// A socket as its records show it.
#[derive(Debug, Clone)]
pub struct Socket {
    /// Who; None where the record that says so was lost.
    pub ident: Option<Ident>,
    /// The account.
    pub ledger: Box<Ledger>,
    /// The fields in its last record.
    pub last: View,
    /// Records that are missing by their numbers.
    pub missed: u64,
    calls: Calls,
    next: Option<u32>,
    /// Goes on from the kernel's account, not from the first record.
    base: Option<Base>,
}

/// The kernel's account that a replay goes on from.
#[derive(Debug, Clone, Copy)]
struct Base {
    /// The account's last record: what comes later is not in it.
    event_no: u32,
    /// Operations in the account that the record after that one carries.
    pending: usize,
    lost: u32,
    ops_lost: u32,
}

/// Sockets without room that are counted: a file may claim any number.
const MOST_OMITTED: usize = 1 << 20;

/// All sockets of a stream.
#[derive(Debug)]
pub struct Replay {
    sockets: HashMap<u64, Socket>,
    most: usize,
    omitted: HashSet<u64>,
}

impl Default for Replay {
    fn default() -> Self {
        Self::bounded(usize::MAX)
    }
}

impl Replay {
    /// A replay that follows at most `most` sockets at the same time: a file
    /// may claim any number.
    #[must_use]
    pub fn bounded(most: usize) -> Self {
        Self {
            sockets: HashMap::new(),
            most,
            omitted: HashSet::new(),
        }
    }

    /// Takes in the stream's next record.
    pub fn apply(&mut self, record: &Record) {
        let id = record.socket();
        if self.is_full_for(id) {
            return;
        }
        let socket = self.sockets.entry(id).or_insert_with(Socket::new);
        if let Some((_, number)) = record.place() {
            if socket.is_past(number) {
                return;
            }
            if socket.next.is_some_and(|next| next != number)
                && let Some(base) = &mut socket.base
            {
                base.pending = 0;
            }
            if let Some(next) = socket.next {
                socket.missed += u64::from(number.wrapping_sub(next));
            } else if !matches!(record, Record::Open(_)) {
                socket.missed += u64::from(number.saturating_sub(1));
            }
            socket.next = Some(number.wrapping_add(1));
        }
        match record {
            Record::Open(open) => {
                // A second one completes the identity.
                let first = socket.ident.replace(open.ident).is_none();
                if first {
                    socket.last = open.view;
                    socket.calls.open(&open.view, open.time_ns);
                    socket
                        .ledger
                        .start(open.view.wmem_queued, open.view.sndbuf, open.time_ns);
                }
            }
            // A thread's name is not part of an account.
            Record::Task(_) => {}
            Record::Event(event) => socket.event(event),
            Record::Receive(record) => socket.calls.receive(record),
        }
    }

    /// Takes in an account that the kernel gave while the stream was recorded.
    /// It is only needed where records of the socket were lost, or came before
    /// the stream begins: replay goes on from it then.
    pub fn checkpoint(&mut self, account: &Account) {
        let id = account.ident.id;
        if self.is_full_for(id) {
            return;
        }
        let lossy = account.lost != 0 || account.ops_lost != 0;
        match self.sockets.get_mut(&id) {
            Some(socket) if socket.ident.is_some() && !lossy => {}
            Some(socket) if socket.is_ahead_of(account) => {}
            Some(socket) => socket.go_on_from(account),
            None => {
                let mut socket = Socket::new();
                socket.go_on_from(account);
                self.sockets.insert(id, socket);
            }
        }
    }

    fn is_full_for(&mut self, id: u64) -> bool {
        let full = self.sockets.len() >= self.most && !self.sockets.contains_key(&id);
        if full && self.omitted.len() < MOST_OMITTED {
            self.omitted.insert(id);
        }
        full
    }

    /// Sockets for which there was no room: those that came first have it.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        self.omitted.len() as u64
    }

    /// All sockets, with their numbers.
    pub fn sockets(&self) -> impl Iterator<Item = (u64, &Socket)> {
        self.sockets.iter().map(|(id, socket)| (*id, socket))
    }

    /// The socket with this number.
    #[must_use]
    pub fn socket(&self, id: u64) -> Option<&Socket> {
        self.sockets.get(&id)
    }

    /// Forgets a socket.
    pub fn forget(&mut self, id: u64) {
        self.sockets.remove(&id);
        self.omitted.remove(&id);
    }

    /// Whether the records of a socket tell the same account as the kernel's,
    /// to the byte; None where they cannot, some being lost or not read yet.
    ///
    /// Operations that still await a record are part of the account: where a
    /// run of a program was skipped, the call that would have reported them
    /// ended without a record.
    #[must_use]
    pub fn agrees(&self, account: &Account) -> Option<bool> {
        let socket = self.sockets.get(&account.ident.id)?;
        let all = socket.next == Some(account.event_no.wrapping_add(1));
        if !all || socket.missed != 0 || account.ops_lost != 0 || socket.ident.is_none() {
            return None;
        }
        let mut replayed = socket.ledger.clone();
        for op in account.ops.iter().take(account.op_count as usize) {
            operation(&mut replayed, op, account.last_ns);
        }
        let kernel = &account.ledger;
        let sent = same(&replayed.now, &kernel.now) && same(replayed.at_worst(), kernel.at_worst());
        Some(sent && socket.calls.received_the_same(&account.receiving))
    }
}

impl Socket {
    fn new() -> Self {
        Self {
            ident: None,
            ledger: Box::new(Account::EMPTY.ledger),
            last: View::default(),
            missed: 0,
            calls: Calls::default(),
            next: None,
            base: None,
        }
    }

    /// An account such as the kernel's, from the records: good enough for a verdict. Where nothing
    /// was lost, it differs from the kernel's in times (a record holds the time of its call's end)
    /// and in the fields at the worst instant, which records do not carry.
    #[must_use]
    pub fn account(&self, id: u64) -> Box<Account> {
        let mut account = Box::new(Account::EMPTY);
        account.ident = self.ident.unwrap_or(Ident {
            id,
            seen_ns: self.ledger.now.admission.at_ns,
            ..Ident::default()
        });
        account.ledger = *self.ledger;
        self.calls.fill(&mut account);
        let missed = u32::try_from(self.missed).unwrap_or(u32::MAX);
        let (lost, ops_lost) = self.base.map_or((0, 0), |b| (b.lost, b.ops_lost));
        account.lost = lost.saturating_add(missed);
        account.ops_lost = ops_lost;
        // In the ledger already, and in the next record: who goes on from this account must know.
        account.op_count = self.base.map_or(0, |b| b.pending as u32);
        account.event_no = self.next.unwrap_or_default().wrapping_sub(1);
        account
    }

    /// Threads asleep for want of send memory, in order, and since when, in ns
    /// of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn sleepers(&self) -> Vec<(u32, u64)> {
        self.calls.sleepers()
    }

    /// Whether there are any.
    #[must_use]
    pub fn has_sleepers(&self) -> bool {
        self.calls.has_sleepers()
    }

    fn go_on_from(&mut self, account: &Account) {
        self.ident = Some(account.ident);
        *self.ledger = account.ledger;
        self.last = account.last;
        self.calls.go_on_from(account);
        self.missed = 0;
        self.next = Some(account.event_no.wrapping_add(1));
        self.base = Some(Base {
            event_no: account.event_no,
            pending: (account.op_count as usize).min(OPS),
            lost: account.lost,
            ops_lost: account.ops_lost,
        });
    }

    /// Whether the base has taken in the record with this number.
    fn is_past(&self, number: u32) -> bool {
        self.base
            .is_some_and(|b| number.wrapping_sub(b.event_no).cast_signed() <= 0)
    }

    /// Whether the replay has taken in later records than an account.
    fn is_ahead_of(&self, account: &Account) -> bool {
        let next = account.event_no.wrapping_add(1);
        self.next
            .is_some_and(|n| n.wrapping_sub(next).cast_signed() > 0)
    }

    fn event(&mut self, event: &Event) {
        let lockless = event.header.flags & FLAG_LOCKLESS != 0;
        let booked = match &mut self.base {
            Some(base) if !lockless => std::mem::take(&mut base.pending),
            _ => 0,
        };
        for op in event
            .ops
            .iter()
            .take(usize::from(event.header.ops).min(OPS))
            .skip(booked)
        {
            operation(&mut self.ledger, op, event.time_ns);
        }
        self.calls.event(event, self.ident.as_mut());
        if self.ledger.view_wanted != 0 {
            self.ledger.view_wanted = 0;
            self.ledger.worst_view = event.view;
        }
        self.last = event.view;
    }
}

fn operation(ledger: &mut Ledger, op: &Op, now: u64) {
    let tier = if op.tier == Tier::Inferred as u8 {
        Tier::Inferred
    } else {
        Tier::Observed
    };
    match op.kind {
        OP_BOOK => {
            let cause = Cause::from_u8(op.cause).unwrap_or(Cause::Unattributed);
            ledger.book(cause as u8, op.tier, op.value, now);
        }
        OP_LIMIT => {
            if let Some(cause) = LimitCause::from_u8(op.cause) {
                ledger.limit(cause, tier, op.value, now);
            }
        }
        OP_ADMIT => ledger.admit(op.value, now),
        _ => {}
    }
}

/// Whether two standings are the same but for times.
fn same(a: &Balance, b: &Balance) -> bool {
    let total = |n: usize| a.total[n] == b.total[n];
    let since = |n: usize| {
        let of = |s: &Balance| {
            (s.since_mask & (1 << n) != 0).then(|| {
                let cell = &s.since[n];
                (cell.bytes, cell.inferred, cell.count)
            })
        };
        of(a) == of(b)
    };
    (
        a.w,
        a.sndbuf,
        a.admission.w,
        a.admission.sndbuf,
        a.admission.count,
    ) == (
        b.w,
        b.sndbuf,
        b.admission.w,
        b.admission.sndbuf,
        b.admission.count,
    ) && (0..CAUSES).all(|n| total(n) && since(n))
}
