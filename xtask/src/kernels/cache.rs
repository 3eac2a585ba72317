//! Kernels on this machine: `.tools/kernels/ARCHITECTURE/RELEASE/`, each with a note of the
//! packages it came from.

use std::{fs, io, path::PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::{
    Kernel,
    release::{self, Request},
};
use crate::{
    arch::Arch,
    debian::{self, Deb},
    paths,
};

/// Written last: a directory without it is not complete.
const NOTE: &str = "kernel.json";

/// A kernel that has been fetched and unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cached {
    /// What `uname -r` says in the guest.
    pub(crate) release: String,
    /// Debian's name of its architecture.
    arch: String,
    /// The suite of Debian it came from.
    pub(crate) suite: String,
    debs: Vec<Deb>,
}

fn directory(arch: &Arch) -> PathBuf {
    paths::tools().join("kernels").join(arch.debian)
}

/// All of an architecture, the newest first.
pub(crate) fn all(arch: &Arch) -> Result<Vec<Cached>> {
    let directory = directory(arch);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot list {}", directory.display()));
        }
    };
    // An unreadable note is like none: the kernel is fetched again.
    let note = |entry: fs::DirEntry| {
        let cached = serde_json::from_slice(&fs::read(entry.path().join(NOTE)).ok()?);
        cached
            .ok()
            .filter(|cached: &Cached| cached.arch == arch.debian)
    };
    let mut all: Vec<Cached> = entries.flatten().filter_map(note).collect();
    all.sort_by_key(|cached| std::cmp::Reverse(release::order(&cached.release)));
    Ok(all)
}

/// The newest that answers the request.
pub(crate) fn newest(request: &Request) -> Result<Option<Cached>> {
    Ok(all(request.arch)?
        .into_iter()
        .find(|cached| request.matches(&cached.release)))
}

impl Cached {
    /// Unpacks a kernel's packages and notes where they came from.
    pub(crate) fn unpack(release: &str, arch: &Arch, suite: &str, debs: Vec<Deb>) -> Result<Self> {
        let cached = Self {
            release: release.to_owned(),
            arch: arch.debian.to_owned(),
            suite: suite.to_owned(),
            debs,
        };
        cached.remove_unpacked()?;
        debian::unpack(&cached.debs, &cached.path())?;
        let note = cached.path().join(NOTE);
        let text = serde_json::to_vec_pretty(&cached).context("cannot encode the kernel's note")?;
        fs::write(&note, text).with_context(|| format!("cannot write {}", note.display()))?;
        Ok(cached)
    }

    /// What is to boot.
    pub(crate) fn kernel(&self) -> Result<Kernel> {
        let (root, release) = (self.path(), &self.release);
        let find = |places: [String; 2]| {
            places
                .into_iter()
                .map(|place| root.join(place))
                .find(|path| path.exists())
        };
        let image = find([
            format!("boot/vmlinuz-{release}"),
            format!("usr/lib/modules/{release}/vmlinuz"),
        ])
        .ok_or_else(|| {
            anyhow!(
                "the packages of kernel {release} hold no kernel image: delete {}",
                paths::shown(&root)
            )
        })?;
        let modules = find([
            format!("lib/modules/{release}"),
            format!("usr/lib/modules/{release}"),
        ]);
        Ok(Kernel {
            release: release.clone(),
            image,
            modules,
        })
    }

    /// What is wrong with the packages in the cache, if anything.
    pub(crate) fn fault(&self) -> Result<Option<String>> {
        for deb in &self.debs {
            if let Some(fault) = deb.fault()? {
                return Ok(Some(format!("{} {fault}", paths::shown(&deb.path()))));
            }
        }
        Ok(None)
    }

    fn remove_unpacked(&self) -> Result<()> {
        match fs::remove_dir_all(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.path().display()))
            }
            _ => Ok(()),
        }
    }

    /// The version of the package with the kernel in it.
    pub(crate) fn version(&self) -> &str {
        self.debs.first().map_or("", |deb| &deb.version)
    }

    /// The size of the packages.
    pub(crate) fn package_bytes(&self) -> u64 {
        self.debs.iter().map(|deb| deb.size).sum()
    }

    fn path(&self) -> PathBuf {
        paths::tools()
            .join("kernels")
            .join(&self.arch)
            .join(&self.release)
    }
}
