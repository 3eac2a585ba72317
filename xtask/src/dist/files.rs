//! What is installed beside the binary, by its place under a prefix such as `/usr`.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::{archive, binary::Binary, metadata::Metadata, notices, release::Release};
use crate::{paths, process};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Its permissions.
    pub(super) mode: u32,
    /// What is in it.
    pub(super) bytes: Vec<u8>,
}

/// Files by their paths, which do not begin with a slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files(BTreeMap<String, File>);

impl Files {
    pub(super) fn add(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.0.insert(path.to_owned(), File { mode, bytes });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &File)> {
        self.0.iter()
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.0.get(path)
    }

    /// The same files in a directory.
    pub(super) fn under(&self, directory: &str) -> Self {
        let moved = self.0.iter();
        let moved = moved.map(|(path, file)| (format!("{directory}/{path}"), file.clone()));
        Self(moved.collect())
    }

    /// Adds all files of a directory here.
    pub(super) fn add_directory(&mut self, place: &str, directory: &Path) -> Result<()> {
        let entries = fs::read_dir(directory)
            .with_context(|| format!("cannot list {}", directory.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("cannot list {}", directory.display()))?
                .path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let place = format!("{place}/{name}");
            if path.is_dir() {
                self.add_directory(&place, &path)?;
            } else {
                self.add(&place, 0o644, read(&path)?);
            }
        }
        Ok(())
    }
}

/// The file's bytes.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Where each shell looks for completions.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "share/bash-completion/completions/skmem"),
    ("fish", "share/fish/vendor_completions.d/skmem.fish"),
    ("nushell", "share/nushell/vendor/autoload/skmem.nu"),
    ("powershell", "share/doc/skmem/completions/skmem.ps1"),
    ("zsh", "share/zsh/site-functions/_skmem"),
];

/// Documents of the root of the checkout.
const DOCUMENTS: &[&str] = &[
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-GPL2",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
];

/// Of `packaging/`: units of systemd, which nothing starts or enables but the administrator.
const UNITS: &[&str] = &["skmem-flight.service", "skmem-serve.service"];

/// Of `packaging/`: rules, dashboard and DaemonSet for `skmem serve`, to be copied from there.
const FOR_FLEETS: &[&str] = &["grafana", "kubernetes", "prometheus"];

/// All of them.
pub(super) fn tree(binary: &Binary, metadata: &Metadata, release: &Release) -> Result<Files> {
    let mut tree = Files::default();
    tree.add("bin/skmem", 0o755, binary.stripped.clone());
    let says = tempfile::tempdir().context("cannot create a directory for the man pages")?;
    let skmem = |arguments: &[&str]| {
        let mut command = Command::new(&binary.runs_here);
        command
            .args(arguments)
            .env("SOURCE_DATE_EPOCH", release.time.to_string());
        process::succeed(&mut command, None)
    };
    skmem(&["man", &says.path().display().to_string()])?;
    let mut pages = Files::default();
    pages.add_directory("", says.path())?;
    for (path, page) in pages.iter() {
        let name = path.trim_start_matches('/');
        let section = name.rsplit('.').next().unwrap_or_default();
        let place = format!("share/man/man{section}/{name}.gz");
        tree.add(&place, 0o644, archive::gzip(&page.bytes)?);
    }
    for (shell, place) in COMPLETIONS {
        tree.add(place, 0o644, skmem(&["completions", shell])?);
    }
    let root = paths::root();
    for name in DOCUMENTS {
        let place = format!("share/doc/skmem/{name}");
        tree.add(&place, 0o644, read(&root.join(name))?);
    }
    tree.add_directory("share/doc/skmem/docs", &root.join("docs"))?;
    tree.add(
        "share/doc/skmem/THIRD-PARTY",
        0o644,
        notices::text(metadata)?,
    );
    let packaging = root.join("packaging");
    for unit in UNITS {
        let place = format!("lib/systemd/system/{unit}");
        tree.add(&place, 0o644, read(&packaging.join(unit))?);
    }
    for name in FOR_FLEETS {
        let place = format!("share/doc/skmem/{name}");
        tree.add_directory(&place, &packaging.join(name))?;
    }
    Ok(tree)
}
