//! Threads that slept in a send call before the trace.

use std::{collections::HashSet, path::PathBuf};

use skmem_common::account::Account;

use crate::{
    diag::sleepers::{self, Sleeper},
    kernel::{self, tracer::Tracer},
};

/// More threads than this on one socket are not counted in: each takes a walk.
const MOST_A_SOCKET: usize = 8;

/// Those that were found when the trace began.
#[derive(Debug, Default)]
pub struct Sleepers(Vec<Sleeper>);

impl Sleepers {
    /// Looks which threads sleep on sockets that were adopted, and has the programs count them in.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn find(&mut self, tracer: &mut Tracer, namespaces: &[PathBuf]) -> kernel::Result<()> {
        let waited_for: HashSet<u32> = tracer
            .table()
            .accounts()
            .filter(|account| account.blocked.nospace != 0 && account.ident.inode != 0)
            .map(|account| account.ident.inode)
            .collect();
        self.0 = sleepers::on(&waited_for);
        let mut left: Vec<(u32, u32)> = self.0.iter().map(|s| (s.inode, s.tid)).collect();
        for _ in 0..MOST_A_SOCKET {
            let mut seen = HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(inode, _)| seen.insert(*inode));
            left = later;
            if now.is_empty() {
                break;
            }
            tracer.find_asleep(&now)?;
            tracer.walk(namespaces, &[])?;
        }
        Ok(())
    }

    /// Takes a sleeper out of an account that woke up while it was being counted in: nothing was
    /// there to see it wake.
    pub fn correct(&self, account: &mut Account) {
        let blocked = &mut account.blocked;
        if blocked.older == 0 {
            return;
        }
        let inode = account.ident.inode;
        let ours = self.0.iter().filter(|s| s.inode == inode);
        let asleep = ours.filter(|s| s.still_sleeps()).count();
        let gone = blocked
            .older
            .saturating_sub(u32::try_from(asleep).unwrap_or(u32::MAX));
        blocked.older -= gone;
        blocked.asleep = blocked.asleep.saturating_sub(gone);
        if blocked.asleep == 0 {
            blocked.since_ns = 0;
        }
    }
}
