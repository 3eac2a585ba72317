//! The files that a recording is written to, and those of an older one in their place.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    cli::output::{self, Target},
    recording::{Medium, Meta, Writer, parts::Parts},
    trace::flight::{Fill, Outlet},
};

/// Where a recording goes.
pub(super) struct Files {
    target: Target,
    parts: Parts,
    /// Files of an older recording, which give way when the first one is begun.
    old: Vec<PathBuf>,
}

impl Files {
    /// Looks whether they may be written; changes nothing.
    pub fn new(output: &Path, force: bool) -> Result<Self> {
        let target = Target::new(output, force)?;
        let parts = Parts::new(target.file().unwrap_or(output));
        let old = match target.file() {
            Some(_) => parts
                .existing()
                .with_context(|| format!("cannot write {target}"))?,
            None => Vec::new(),
        };
        match old.first() {
            Some(first) if !force => Err(output::there(first)),
            _ => Ok(Self { target, parts, old }),
        }
    }

    /// What it is written to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The name of part `n`, from 1.
    pub fn path(&self, n: u32) -> PathBuf {
        self.parts.path(n)
    }

    /// Begins part `n`, readable by its owner only. Older files go once the first one is begun.
    pub fn begin(&mut self, n: u32, meta: &Meta) -> io::Result<Writer<Medium>> {
        if self.target.file().is_none() {
            return Writer::new(Medium::Stream(self.target.stream()?), meta);
        }
        let path = self.path(n);
        let replace = self.old.contains(&path);
        let writer = output::begun(&path, replace, |file| Writer::new(Medium::File(file), meta))?;
        for old in self.old.drain(..).filter(|old| *old != path) {
            fs::remove_file(old)?;
        }
        Ok(writer)
    }
}

/// A black box is written to one after the other.
impl Outlet for Files {
    fn write(&mut self, n: u32, meta: &Meta, fill: &Fill) -> io::Result<()> {
        let mut writer = self.begin(n, meta)?;
        fill(&mut writer).and(writer.get_mut().sync())?;
        eprintln!("skmem: {} written", self.path(n).display());
        Ok(())
    }
}
