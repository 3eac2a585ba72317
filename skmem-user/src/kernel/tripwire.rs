//! Programs that are on their functions only while a socket has an account.

use aya::{Btf, Ebpf};

use super::{
    Result,
    attach::{Link, link, load, unload},
    plan::Attachment,
};

/// Programs that are attached only while a socket has an account.
#[derive(Default)]
pub(super) struct Tripwire {
    /// All of them, loaded.
    pub held: Vec<Attachment>,
    /// What keeps them attached.
    links: Vec<Link>,
    /// This kernel attaches a program once only (before 5.13): they stay attached.
    pub once: bool,
}

impl Tripwire {
    /// Attaches all, where they are not.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn attach(&mut self, ebpf: &mut Ebpf) -> Result<()> {
        if self.links.is_empty() {
            let links = self.held.iter().map(|to| link(ebpf, to));
            self.links = links.collect::<Result<_>>()?;
        }
        Ok(())
    }

    /// Tries whether this kernel attaches a program again that was detached; leaves all attached
    /// where it does not.
    ///
    /// # Errors
    /// Where the kernel refuses what it must not.
    pub fn attach_twice(&mut self, ebpf: &mut Ebpf, types: &Btf) -> Result<()> {
        let Some(first) = self.held.first() else {
            return Ok(());
        };
        drop(link(ebpf, first)?);
        self.once = link(ebpf, first).is_err();
        if self.once {
            unload(ebpf, first)?;
            load(ebpf, first, types)?;
            self.attach(ebpf)?;
        }
        Ok(())
    }

    /// Detaches all, where they can be attached again.
    pub fn detach(&mut self) {
        if !self.once {
            self.links.clear();
        }
    }
}
