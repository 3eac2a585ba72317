//! What a trace under way still needs, and giving up the rest.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{Session, holders::Holders};
use crate::{
    diag::netns,
    kernel::rights::{self, Rights},
};

impl Session {
    /// Gives up all rights that nothing needs any more, for good; `also` are kept. Comes after
    /// [`Session::adopt`], and before this process starts threads that last.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn drop_rights(&mut self, also: Rights) -> Result<()> {
        let held = rights::held()?;
        // What needs them would need the rights, too.
        self.tracer.forget_types();
        // Other users' descriptors cannot be looked at later.
        let accounts: Vec<_> = self.tracer.table().accounts().collect();
        self.holders = Holders::learn(&accounts);
        let mut keep = also;
        // Accounts are brought up to date at the end, which for another namespace means to enter
        // it. To hold it open instead would keep it alive, with its devices, for as long as
        // skmem runs.
        let ours = netns::own()?;
        let elsewhere =
            |path: &PathBuf| fs::metadata(path).is_ok_and(|meta| meta.ino() != ours.inode);
        if !held.contains(Rights::SYS_ADMIN) {
            self.namespaces.retain(|path| !elsewhere(path));
        } else if self.namespaces.iter().any(elsewhere) {
            // To enter it, and to open it by /proc/PID.
            keep |= Rights::SYS_ADMIN | Rights::SYS_PTRACE | Rights::DAC_READ_SEARCH;
        }
        // Ours may have been found by another's /proc/PID, too.
        for path in self.namespaces.iter_mut().filter(|path| !elsewhere(path)) {
            path.clone_from(&ours.path);
        }
        // Before 5.19 bpf(2) asks for rights even on a descriptor that one holds, where
        // kernel.unprivileged_bpf_disabled is set: the kernel is asked whether it does.
        let unprivileged = rights::without(Rights::BPF | Rights::SYS_ADMIN, || self.totals())?;
        if unprivileged.is_err() && !(keep & held).contains(Rights::SYS_ADMIN) {
            keep |= Rights::BPF;
        }
        rights::keep_only(keep).context("cannot give up rights")
    }
}
