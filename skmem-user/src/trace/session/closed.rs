//! Sockets that were destroyed: their accounts are kept, their slots are given back.

use std::{collections::HashMap, time::Instant};

use anyhow::Result;
use skmem_common::{
    account::Account,
    cause::{Cause, Tier},
    record::IDENT_CLOSED,
};

use super::Session;
use crate::{kernel::table::STABLE_READ_TIMEOUT, model::end::SavedAccount};

impl Session {
    /// Closed sockets from here on are kept for [`Session::take_closed`].
    pub fn keep_closed(&mut self) {
        self.just_closed = Some(Vec::new());
    }

    /// The sockets that were closed since this was last asked. All of their
    /// records were handed on before.
    pub fn take_closed(&mut self) -> Vec<SavedAccount> {
        self.just_closed.replace(Vec::new()).unwrap_or_default()
    }

    /// The slots of sockets that were destroyed.
    pub(super) fn destroyed_slots(&mut self) -> Vec<u32> {
        let now = Instant::now();
        let mut closing_since = HashMap::new();
        let slots = self.tracer.table().ending().filter(|socket| {
            if socket.closed {
                return true;
            }
            let since = self.closing_since.get(&socket.id).copied().unwrap_or(now);
            closing_since.insert(socket.id, since);
            now - since > STABLE_READ_TIMEOUT
        });
        let slots = slots.map(|socket| socket.slot).collect();
        self.closing_since = closing_since;
        slots
    }

    /// Keeps their accounts, and gives the slots back. One at a time: a machine
    /// that let skmem wait may have many.
    pub(super) fn collect_closed(&mut self, slots: Vec<u32>) -> Result<()> {
        for slot in slots {
            let Some(mut account) = self.tracer.table().read(slot) else {
                continue;
            };
            self.tracer.free_slot(slot)?;
            if account.ident.measures() {
                self.measuring.remove(&account.ident.id);
                continue;
            }
            let agrees = self.agrees(&account);
            self.compared.count(agrees);
            mark_destroyed(&mut account);
            self.replay.forget(account.ident.id);
            let kept = SavedAccount {
                account,
                stream_agrees: agrees,
                sleepers: Vec::new(),
            };
            if let Some(list) = &mut self.just_closed {
                list.push(kept.clone());
            }
            self.closed.push(kept);
        }
        Ok(())
    }
}

/// Closes the account of a socket that was destroyed, if the run that would
/// have done it was skipped: nothing is queued any more.
pub(super) fn mark_destroyed(account: &mut Account) {
    if account.ident.flags & IDENT_CLOSED != 0 {
        return;
    }
    account.ident.flags |= IDENT_CLOSED;
    let (ledger, now) = (&mut account.ledger, account.last_ns);
    let left = ledger.now.w;
    if left != 0 {
        ledger.book(Cause::Purge as u8, Tier::Inferred as u8, -left, now);
        account.last.wmem_queued = 0;
    }
}
