//! Replays records into ledgers.

use std::collections::HashMap;

use skmem_common::{
    account::Account,
    cause::{CAUSES, Cause, LimitCause, Tier},
    ledger::{Ledger, Standing},
    record::{Event, Ident, OP_ADMIT, OP_BOOK, OP_LIMIT, OPS, Op, View},
};

use crate::collect::decode::Record;

/// A socket as the records tell it.
#[derive(Debug, Clone)]
pub struct Socket {
    /// Who; None where the record that says so was lost.
    pub ident: Option<Ident>,
    /// The account.
    pub ledger: Box<Ledger>,
    /// The fields in its last record.
    pub last: View,
    /// Command names by thread, as far as told.
    pub comms: HashMap<u32, [u8; 16]>,
    /// Records that are missing by their numbers.
    pub missed: u64,
    next: Option<u32>,
}

/// All sockets of a stream.
#[derive(Debug, Default)]
pub struct Replay {
    sockets: HashMap<u64, Socket>,
}

impl Replay {
    /// Takes in the stream's next record.
    pub fn apply(&mut self, record: &Record) {
        let id = match record {
            Record::Event(e) => e.socket,
            Record::Open(o) => o.ident.id,
            Record::Task(t) => t.socket,
        };
        let socket = self.sockets.entry(id).or_insert_with(Socket::new);
        if let Some((_, number)) = record.place() {
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
                socket.comms.insert(open.ident.tid, open.ident.comm);
                if first {
                    socket.last = open.view;
                    socket
                        .ledger
                        .start(open.view.wmem_queued, open.view.sndbuf, open.time_ns);
                }
            }
            Record::Task(task) => {
                socket.comms.insert(task.tid, task.comm);
            }
            Record::Event(event) => socket.event(event),
        }
    }

    /// The socket with this number.
    #[must_use]
    pub fn socket(&self, id: u64) -> Option<&Socket> {
        self.sockets.get(&id)
    }

    /// Forgets a socket.
    pub fn forget(&mut self, id: u64) {
        self.sockets.remove(&id);
    }

    /// Whether the records of a socket tell the same account as the kernel's,
    /// to the byte; None where they cannot, some being lost or not read yet.
    #[must_use]
    pub fn agrees(&self, account: &Account) -> Option<bool> {
        let socket = self.sockets.get(&account.ident.id)?;
        let all = socket.next == Some(account.event_no.wrapping_add(1));
        if !all || socket.missed != 0 || socket.ident.is_none() {
            return None;
        }
        let kernel = &account.ledger;
        Some(
            same(&socket.ledger.now, &kernel.now)
                && same(socket.ledger.at_worst(), kernel.at_worst()),
        )
    }
}

impl Socket {
    fn new() -> Self {
        Self {
            ident: None,
            ledger: Box::new(Account::EMPTY.ledger),
            last: View::default(),
            comms: HashMap::new(),
            missed: 0,
            next: None,
        }
    }

    fn event(&mut self, event: &Event) {
        for op in event
            .ops
            .iter()
            .take(usize::from(event.header.ops).min(OPS))
        {
            self.operation(op, event.time_ns);
        }
        if self.ledger.view_wanted != 0 {
            self.ledger.view_wanted = 0;
            self.ledger.worst_view = event.view;
        }
        self.last = event.view;
    }

    fn operation(&mut self, op: &Op, now: u64) {
        let tier = if op.tier == Tier::Inferred as u8 {
            Tier::Inferred
        } else {
            Tier::Observed
        };
        match op.kind {
            OP_BOOK => {
                let cause = Cause::from_u8(op.cause).unwrap_or(Cause::Unattributed);
                self.ledger.book(cause as u8, op.tier, op.value, now);
            }
            OP_LIMIT => {
                if let Some(cause) = LimitCause::from_u8(op.cause) {
                    self.ledger.limit(cause, tier, op.value, now);
                }
            }
            OP_ADMIT => self.ledger.admit(op.value, now),
            _ => {}
        }
    }
}

/// Whether two standings are the same but for times.
fn same(a: &Standing, b: &Standing) -> bool {
    let total = |n: usize| a.total[n] == b.total[n];
    let since = |n: usize| {
        let of = |s: &Standing| {
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
