//! The source as packagers want it: all crates and the eBPF programs in it, so that any Rust from
//! 1.98 on builds it without a network, rustup or bpf-linker.

use std::{collections::BTreeSet, fs, io::Read as _, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;
use tar::Archive;

use super::{
    archive,
    files::{Files, read},
    metadata::checksums,
    release::{Release, git},
};
use crate::{arch, paths, process, progress::Step, rust};

/// The file's name.
pub(super) fn name(release: &Release) -> String {
    format!("skmem-{}-source.tar.xz", release.version)
}

/// Settings of cargo that make it look nowhere else; they stand before those of the checkout.
const CONFIG: &str = "\
# What this archive adds to the repository: crates, and the eBPF programs that were built of the same source.
[source.crates-io]
replace-with = \"vendored\"

[source.vendored]
directory = \"vendor\"

[env]
SKMEM_EBPF_OBJECT = { value = \"skmem-programs.o\", relative = true }

";

/// Makes the archive.
pub(super) fn write(release: &Release, object: &[u8], to: &Path) -> Result<()> {
    let step = Step::start(
        "the source",
        "collecting its crates, and compressing (a minute)",
    );
    let directory = to.parent().context("no directory to write in")?;
    let mut files = committed(directory)?;
    let config = files
        .get(".cargo/config.toml")
        .context("there is no .cargo/config.toml")?;
    let config = [CONFIG.as_bytes(), &config.bytes].concat();
    files.add(".cargo/config.toml", 0o644, config);
    files.add("skmem-programs.o", 0o644, object);
    files.add("COMMIT", 0o644, format!("{}\n", release.built_from()));
    let vendor = directory.join("vendor");
    let mut command = rust::cargo();
    command
        .args(["vendor", "--locked", "--versioned-dirs"])
        .arg(&vendor);
    process::succeed(&mut command, Some(&step))?;
    add_vendored(&mut files, &vendor)?;
    let base = format!("skmem-{}", release.version);
    let bytes = archive::tar_xz(&files.under(&base), release.time)?;
    fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    step.done("written");
    Ok(())
}

/// The files of the commit.
fn committed(directory: &Path) -> Result<Files> {
    let archive = directory.join("commit.tar");
    git(&[
        "archive",
        "--format=tar",
        "-o",
        &archive.display().to_string(),
        "HEAD",
    ])?;
    let file =
        fs::File::open(&archive).with_context(|| format!("cannot open {}", archive.display()))?;
    let mut files = Files::default();
    for entry in Archive::new(file)
        .entries()
        .context("cannot read git's archive")?
    {
        let mut entry = entry.context("cannot read git's archive")?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry
            .path()
            .context("cannot read git's archive")?
            .display()
            .to_string();
        let mode = if entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0) {
            0o755
        } else {
            0o644
        };
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .context("cannot read git's archive")?;
        files.add(&path, mode, bytes);
    }
    Ok(files)
}

/// Adds crates. Of those that no Linux needs (two thirds of all bytes are import libraries of
/// Windows) only what cargo asks for to read the lock file: the manifest and an empty library.
fn add_vendored(files: &mut Files, vendor: &Path) -> Result<()> {
    let needed = needed()?;
    let lock = read(&paths::root().join("Cargo.lock"))?;
    for ((name, version), sum) in checksums(&String::from_utf8_lossy(&lock)) {
        let directory = format!("{name}-{version}");
        let place = format!("vendor/{directory}");
        let from = vendor.join(&directory);
        if needed.contains(&directory) {
            files.add_directory(&place, &from)?;
            continue;
        }
        files.add(
            &format!("{place}/Cargo.toml"),
            0o644,
            read(&from.join("Cargo.toml"))?,
        );
        files.add(&format!("{place}/src/lib.rs"), 0o644, *b"");
        let note = serde_json::json!({ "files": {}, "package": sum });
        files.add(
            &format!("{place}/.cargo-checksum.json"),
            0o644,
            note.to_string(),
        );
    }
    Ok(())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// Crates that building or testing on one of our architectures may need.
fn needed() -> Result<BTreeSet<String>> {
    let mut needed = BTreeSet::new();
    for arch in arch::ALL {
        for libc in ["gnu", "musl"] {
            let target = format!("{}-unknown-linux-{libc}", arch.name);
            let mut command = rust::cargo();
            command
                .args([
                    "metadata",
                    "--locked",
                    "--format-version",
                    "1",
                    "--filter-platform",
                ])
                .arg(&target);
            let text = process::succeed(&mut command, None)?;
            let metadata: Metadata =
                serde_json::from_str(&text).context("cargo metadata cannot be read")?;
            let directory = |package: Package| format!("{}-{}", package.name, package.version);
            needed.extend(metadata.packages.into_iter().map(directory));
        }
    }
    Ok(needed)
}
