//! `.deb` files: fetched to a temporary directory, moved into place, checked against the recorded
//! SHA-256 before use.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::apt::{Apt, Candidate};
use crate::{paths, process, progress::Step};

/// A package file in the cache, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deb {
    /// The package's name.
    pub(crate) package: String,
    /// Its version.
    pub(crate) version: String,
    /// The file's name in the cache.
    file: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// What the signed lists gave as its SHA-256.
    sha256: String,
}

impl Deb {
    fn of(candidate: &Candidate) -> Self {
        Self {
            package: candidate.name.clone(),
            version: candidate.version.clone(),
            // An epoch's colon is a nuisance in file names; apt writes it as %3a.
            file: format!(
                "{}_{}_{}.deb",
                candidate.name,
                candidate.version.replace(':', "%3a"),
                candidate.arch
            ),
            size: candidate.size,
            sha256: candidate.sha256.clone(),
        }
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> PathBuf {
        cache().join(&self.file)
    }

    /// Why the file cannot be used, if so.
    pub(crate) fn fault(&self) -> Result<Option<String>> {
        let path = self.path();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some("is missing".into()));
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot open {}", path.display()));
            }
        };
        let length = file
            .metadata()
            .with_context(|| format!("cannot read {}", path.display()))?
            .len();
        if length != self.size {
            return Ok(Some(format!("has {length} bytes instead of {}", self.size)));
        }
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file
                .read(&mut buffer)
                .with_context(|| format!("cannot read {}", path.display()))?
            {
                0 => break,
                length => hasher.update(&buffer[..length]),
            }
        }
        let found = hex(&hasher.finalize());
        Ok((found != self.sha256).then(|| {
            format!(
                "fails its checksum (SHA-256 {}… instead of {}…)",
                &found[..12],
                self.sha256.get(..12).unwrap_or(&self.sha256)
            )
        }))
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cache() -> PathBuf {
    paths::tools().join("debs")
}

/// Fetches a package unless a sound copy is in the cache.
pub(crate) fn download(apt: &Apt, candidate: &Candidate) -> Result<Deb> {
    let deb = Deb::of(candidate);
    if deb.fault()?.is_none() {
        return Ok(deb);
    }
    let megabytes = candidate.size.div_ceil(1_000_000);
    let step = Step::start(
        &*candidate.name,
        &format!("fetching version {} ({megabytes} MB)", candidate.version),
    );
    let directory = cache();
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let incoming =
        tempfile::tempdir_in(&directory).context("cannot create a directory for the download")?;
    apt.download(candidate, incoming.path(), &step)?;
    let fetched = fs::read_dir(incoming.path())
        .context("cannot list the download")?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let Some(fetched) = fetched else {
        bail!("apt fetched {} and left no file", candidate.name)
    };
    fs::rename(&fetched, deb.path())
        .with_context(|| format!("cannot write {}", deb.path().display()))?;
    if let Some(fault) = deb.fault()? {
        bail!(
            "{} {fault}, fresh from the mirror: try again later, or with another mirror",
            deb.file
        );
    }
    step.done("fetched");
    Ok(deb)
}

/// Fetches packages with all they depend on and unpacks them into `directory`, which must not exist
/// yet.
pub(crate) fn download_closure(apt: &Apt, packages: &[String], directory: &Path) -> Result<()> {
    let step = Step::start(packages.join(", "), "fetching with all they depend on");
    let tools = paths::tools();
    let archives = tempfile::tempdir_in(&tools)
        .with_context(|| format!("cannot write to {}", tools.display()))?;
    apt.download_closure(packages, archives.path(), &step)?;
    let mut debs: Vec<PathBuf> = fs::read_dir(&archives)
        .with_context(|| format!("cannot list {}", archives.path().display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    debs.sort();
    unpack_files(&debs, directory, &step)?;
    step.done("fetched and unpacked");
    Ok(())
}

/// Unpacks packages into `directory`, which must not exist yet: all of it appears at once, or
/// nothing does.
pub(crate) fn unpack(debs: &[Deb], directory: &Path) -> Result<()> {
    let names: Vec<&str> = debs.iter().map(|deb| deb.package.as_str()).collect();
    let step = Step::start(names.join(", "), "unpacking");
    let files: Vec<PathBuf> = debs.iter().map(Deb::path).collect();
    unpack_files(&files, directory, &step)?;
    step.done("unpacked");
    Ok(())
}

fn unpack_files(debs: &[PathBuf], directory: &Path, step: &Step) -> Result<()> {
    let parent = directory.parent().context("no directory to unpack in")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let incoming =
        tempfile::tempdir_in(parent).context("cannot create a directory to unpack in")?;
    for deb in debs {
        process::succeed(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(deb)
                .arg(incoming.path()),
            Some(step),
        )?;
    }
    // The directory changes its name and is no longer temporary.
    let unpacked = incoming.keep();
    if let Err(error) = fs::rename(&unpacked, directory) {
        _ = fs::remove_dir_all(&unpacked);
        return Err(error).with_context(|| format!("cannot write {}", directory.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_gives_a_plain_file_name() {
        let candidate = Candidate {
            name: "busybox-static".into(),
            version: "1:1.35".into(),
            arch: "arm64".into(),
            size: 1,
            sha256: "00".into(),
        };
        assert_eq!(
            Deb::of(&candidate).file,
            "busybox-static_1%3a1.35_arm64.deb"
        );
    }

    #[test]
    fn hexadecimal_as_the_lists_have_it() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }
}
