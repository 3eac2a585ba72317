//! What is linked into the binary: packages by cargo's own account.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::files::read;
use crate::{arch::Arch, paths, process, rust};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// As SPDX writes it.
    pub(super) licence: Option<String>,
    pub(super) authors: Vec<String>,
    /// The SHA-256 of the package on crates.io; None: part of this workspace.
    pub(super) checksum: Option<String>,
    /// Where its files are.
    pub(super) directory: PathBuf,
    /// What of the others it is built from, by their index.
    pub(super) needs: BTreeSet<usize>,
}

/// All packages that are linked, skmem itself among them, sorted by name and version.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) packages: Vec<Package>,
}

#[derive(Deserialize)]
struct CargoMetadata {
    packages: Vec<MetadataPackage>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    authors: Vec<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// The package of the binary.
const ROOT: &str = "skmem-user";
/// That of the eBPF programs, which are in the binary and which cargo knows as something that its
/// build needs.
const PROGRAMS: &str = "skmem-ebpf";

impl Metadata {
    /// Of the binary for this architecture, with default features.
    pub(super) fn of(arch: &Arch) -> Result<Self> {
        let mut command = rust::cargo();
        command
            .args(["metadata", "--locked", "--format-version", "1"])
            .args(["--filter-platform", arch.target]);
        let text = process::succeed(&mut command, None)?;
        let lock = read(&paths::root().join("Cargo.lock"))?;
        Self::read(&text, &checksums(&String::from_utf8_lossy(&lock)))
    }

    fn read(text: &str, sums: &BTreeMap<(String, String), String>) -> Result<Self> {
        let metadata: CargoMetadata =
            serde_json::from_str(text).context("cargo metadata cannot be read")?;
        let package = |id: &str| metadata.packages.iter().find(|package| package.id == id);
        let node = |id: &str| metadata.resolve.nodes.iter().find(|node| node.id == id);
        let id = |name: &str| {
            let found = metadata
                .packages
                .iter()
                .find(|package| package.name == name);
            let found = found.with_context(|| format!("cargo metadata does not name {name}"));
            found.map(|package| package.id.as_str())
        };
        let (root, programs) = (id(ROOT)?, id(PROGRAMS)?);
        let (mut linked, mut left) = (BTreeSet::new(), vec![root, programs]);
        while let Some(id) = left.pop() {
            // What derives code is run by the compiler, and no part of the result.
            let macros = |target: &Target| target.kind.iter().any(|kind| kind == "proc-macro");
            let runs = package(id).is_some_and(|package| package.targets.iter().any(macros));
            if runs || !linked.insert(id) {
                continue;
            }
            left.extend(node(id).into_iter().flat_map(normal));
        }
        let mut sorted: Vec<&MetadataPackage> =
            linked.iter().filter_map(|id| package(id)).collect();
        sorted.sort_by_key(|package| (&package.name, &package.version));
        let place = |id: &str| sorted.iter().position(|package| package.id == id);
        let made = |package: &&MetadataPackage| Package {
            name: package.name.clone(),
            version: package.version.clone(),
            licence: package.license.clone(),
            authors: package.authors.clone(),
            checksum: sums
                .get(&(package.name.clone(), package.version.clone()))
                .cloned(),
            directory: package
                .manifest_path
                .parent()
                .unwrap_or(&package.manifest_path)
                .to_owned(),
            needs: node(&package.id)
                .into_iter()
                .flat_map(normal)
                .chain((package.id == root).then_some(programs))
                .filter_map(place)
                .collect(),
        };
        let packages = sorted.iter().map(made).collect();
        Ok(Self { packages })
    }
}

/// What it links, not what its build or its tests run.
fn normal(node: &Node) -> impl Iterator<Item = &str> {
    let linked = |dep: &&Dependency| dep.dep_kinds.iter().any(|kind| kind.kind.is_none());
    node.deps.iter().filter(linked).map(|dep| dep.pkg.as_str())
}

/// The checksums in a Cargo.lock, by name and version.
pub(super) fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |entry: &str, wanted: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(wanted))?;
        Some(line.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
    };
    let entries = lock.split("[[package]]").skip(1);
    let read = |entry: &str| {
        let key = (field(entry, "name")?, field(entry, "version")?);
        Some((key, field(entry, "checksum")?))
    };
    entries.filter_map(read).collect()
}
