//! A static busybox for the guest: Debian's package, unpacked into the cache, or else one that this
//! machine has.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use serde::{Deserialize, Serialize};

use super::{Setup, find_on_path};
use crate::{
    arch::Arch,
    debian::{self, Apt, Deb, Unreachable},
    paths,
};

const PACKAGE: &str = "busybox-static";
/// Any suite would do: the binary is static.
const SUITES: &[&str] = &["bookworm", "trixie"];

/// What was unpacked.
#[derive(Serialize, Deserialize)]
struct Note {
    deb: Deb,
}

/// The path of the binary.
pub(super) fn ensure(setup: &Setup, arch: &Arch) -> Result<PathBuf> {
    let directory = paths::tools().join(format!("{PACKAGE}_{}", arch.debian));
    let note = directory.join("package.json");
    if let Some(Note { deb }) = fs::read(&note)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
    {
        let Some(fault) = deb.fault()? else {
            return binary_in(&directory);
        };
        setup.warn_of(&format!("{} {fault}", paths::shown(&deb.path())));
    }
    setup.needs(&format!("{PACKAGE} ({})", arch.debian))?;
    match fetch(arch, &directory, &note) {
        Ok(binary) => Ok(binary),
        Err(failure) => {
            crate::process::check_interrupted()?;
            let own =
                find_on_path("busybox").filter(|busybox| arch.is_host() && is_static(busybox));
            match own {
                Some(busybox) => Ok(busybox),
                None => Err(failure)
                    .context("no static busybox on this machine, and none can be fetched"),
            }
        }
    }
}

fn fetch(arch: &Arch, directory: &Path, note: &Path) -> Result<PathBuf> {
    debian::check_present()?;
    let mut failure = None;
    for suite in SUITES {
        match Apt::update(suite, arch) {
            Ok(apt) => {
                let Some(candidate) = apt.candidate(PACKAGE)? else {
                    continue;
                };
                let deb = debian::download(&apt, &candidate)?;
                if directory.exists() {
                    fs::remove_dir_all(directory)
                        .with_context(|| format!("cannot remove {}", directory.display()))?;
                }
                debian::unpack(std::slice::from_ref(&deb), directory)?;
                let text = serde_json::to_vec_pretty(&Note { deb })
                    .context("cannot encode the package's note")?;
                fs::write(note, text)
                    .with_context(|| format!("cannot write {}", note.display()))?;
                return binary_in(directory);
            }
            Err(error) if error.is::<Unreachable>() => return Err(error),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| anyhow::anyhow!("Debian has no package {PACKAGE}")))
}

fn binary_in(directory: &Path) -> Result<PathBuf> {
    let places = ["bin/busybox", "usr/bin/busybox"];
    match places
        .into_iter()
        .map(|place| directory.join(place))
        .find(|path| path.is_file())
    {
        Some(binary) => Ok(binary),
        None => bail!(
            "{} holds no busybox: delete it, and run the same command again",
            paths::shown(directory)
        ),
    }
}

/// A program that names no interpreter needs no shared libraries.
fn is_static(binary: &Path) -> bool {
    let Ok(bytes) = fs::read(binary) else {
        return false;
    };
    let Ok(elf) = ElfFile64::<object::Endianness>::parse(&*bytes) else {
        return false;
    };
    let endian = elf.endian();
    let Ok(headers) = elf.elf_header().program_headers(endian, &*bytes) else {
        return false;
    };
    headers
        .iter()
        .all(|header| header.p_type(endian) != object::elf::PT_INTERP)
}
