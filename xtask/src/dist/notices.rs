//! The licences of what is linked in, which want to go where the binary goes.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};

use super::metadata::{Metadata, Package};

/// How the files of a licence are called.
const NAMES: &[&str] = &["licen", "copying", "copyright", "notice", "unlicense"];

/// Each text once, under the packages that have it.
pub(super) fn text(metadata: &Metadata) -> Result<String> {
    let mut out = "skmem contains these packages, Rust's standard library (MIT or Apache-2.0) and the C library musl (MIT).\n\
                   Their licences follow.\n\n"
        .to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata
        .packages
        .iter()
        .filter(|package| package.checksum.is_some())
    {
        let Package {
            name,
            version,
            licence,
            authors,
            ..
        } = package;
        let found = licences(&package.directory)?;
        let licence = licence.as_deref().unwrap_or("see below");
        _ = write!(out, "{name} {version}: {licence}");
        if found.is_empty() && !authors.is_empty() {
            _ = write!(out, "; by {}", authors.join(", "));
        }
        out.push('\n');
        for text in found {
            let packages = texts.entry(text).or_default();
            packages.push(format!("{name} {version}"));
        }
    }
    let mut texts: Vec<(Vec<String>, String)> = texts
        .into_iter()
        .map(|(text, packages)| (packages, text))
        .collect();
    texts.sort();
    for (packages, text) in texts {
        let line = "-".repeat(80);
        _ = write!(out, "\n{line}\n{}\n{line}\n\n{text}\n", packages.join(", "));
    }
    Ok(out)
}

/// The texts in a package's directory.
fn licences(directory: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let is_licence = |path: &&std::path::PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        path.is_file() && NAMES.iter().any(|start| name.starts_with(start))
    };
    let mut texts = Vec::new();
    for path in files.iter().filter(is_licence) {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        // Ends of lines differ between copies of one text.
        let text = String::from_utf8_lossy(&bytes).replace('\r', "");
        texts.push(text.trim().to_owned());
    }
    Ok(texts)
}
