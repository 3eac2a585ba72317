//! Kernel modules for a guest: found by name, decompressed, in an order in which they can be
//! loaded.
//!
//! What a module depends on is read from the module itself: `modules.dep` is made when a kernel
//! package is installed, and these are only unpacked.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use object::{Object, ObjectSection};

/// A module, ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    /// Its name as the kernel has it: with underscores.
    pub(crate) name: String,
    /// The decompressed `.ko`.
    pub(crate) image: Vec<u8>,
}

/// The modules called `wanted` and those they depend on, each after its dependencies. What this
/// kernel does not have as a module is left out: it is built in, or does not exist there.
pub(crate) fn collect(directory: &Path, wanted: &[&str]) -> Result<Vec<Module>> {
    let mut files = HashMap::new();
    find_files(directory, &mut files)
        .with_context(|| format!("cannot list {}", directory.display()))?;
    let mut images: HashMap<String, Vec<u8>> = HashMap::new();
    let order = in_order(wanted, &mut |name| {
        let Some(file) = files.get(name) else {
            return Ok(None);
        };
        let image = decompress(file)
            .with_context(|| format!("cannot read the module {}", file.display()))?;
        let dependencies =
            depends(&image).with_context(|| format!("{} is not a module", file.display()))?;
        images.insert(name.to_owned(), image);
        Ok(Some(dependencies))
    })?;
    order
        .into_iter()
        .map(|name| {
            let image = images
                .remove(&name)
                .ok_or_else(|| anyhow!("module {name} is listed twice"))?;
            Ok(Module { name, image })
        })
        .collect()
}

/// File names use dashes or underscores as they like; the kernel knows underscores only.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

fn find_files(directory: &Path, files: &mut HashMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find_files(&entry.path(), files)?;
        } else if let Some((name, rest)) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.split_once('.'))
            && (rest == "ko" || rest.starts_with("ko."))
        {
            files.insert(canonical(name), entry.path());
        }
    }
    Ok(())
}

fn decompress(file: &Path) -> Result<Vec<u8>> {
    let mut reader = BufReader::new(File::open(file)?);
    let mut image = Vec::new();
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => reader.read_to_end(&mut image)?,
        Some("xz") => lzma_rust2::XzReader::new(reader, true).read_to_end(&mut image)?,
        Some("zst") => ruzstd::decoding::StreamingDecoder::new(reader)?.read_to_end(&mut image)?,
        _ => bail!("it is compressed in a way that is not known here (.xz and .zst are)"),
    };
    Ok(image)
}

/// The names in `depends=` of the module's `.modinfo`, a list of `key=value` strings with a NUL
/// after each.
fn depends(image: &[u8]) -> Result<Vec<String>> {
    let elf = object::File::parse(image)?;
    let section = elf
        .section_by_name(".modinfo")
        .context("it has no .modinfo")?;
    Ok(parse_depends(section.data()?))
}

fn parse_depends(modinfo: &[u8]) -> Vec<String> {
    modinfo
        .split(|&byte| byte == 0)
        .filter_map(|field| std::str::from_utf8(field).ok()?.strip_prefix("depends="))
        .flat_map(|names| names.split(','))
        .filter(|name| !name.is_empty())
        .map(canonical)
        .collect()
}

/// Depth first; `dependencies` says what a module needs, or None when there is no such module.
fn in_order(
    wanted: &[&str],
    dependencies: &mut dyn FnMut(&str) -> Result<Option<Vec<String>>>,
) -> Result<Vec<String>> {
    fn visit(
        name: &str,
        seen: &mut HashSet<String>,
        order: &mut Vec<String>,
        dependencies: &mut dyn FnMut(&str) -> Result<Option<Vec<String>>>,
    ) -> Result<()> {
        // Marked before its dependencies are: a circle, which the kernel's build forbids, would
        // still end.
        if !seen.insert(name.to_owned()) {
            return Ok(());
        }
        let Some(needed) = dependencies(name)? else {
            return Ok(());
        };
        for dependency in needed {
            visit(&dependency, seen, order, dependencies)?;
        }
        order.push(name.to_owned());
        Ok(())
    }
    let (mut seen, mut order) = (HashSet::new(), Vec::new());
    for name in wanted {
        visit(&canonical(name), &mut seen, &mut order, dependencies)?;
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(wanted: &[&str], known: &[(&str, &[&str])]) -> Vec<String> {
        in_order(wanted, &mut |name| {
            let found = known.iter().find(|(known, _)| *known == name);
            Ok(found.map(|(_, needed)| needed.iter().map(|&needed| needed.to_owned()).collect()))
        })
        .unwrap()
    }

    #[test]
    fn each_after_what_it_needs_and_once() {
        let known: &[(&str, &[&str])] = &[
            ("virtio_console", &["virtio_ring", "virtio"]),
            ("virtio_ring", &["virtio"]),
            ("virtio", &[]),
            ("tcp_diag", &["inet_diag"]),
            ("inet_diag", &[]),
        ];
        assert_eq!(
            order(&["virtio-console", "tcp_diag", "inet_diag"], known),
            [
                "virtio",
                "virtio_ring",
                "virtio_console",
                "inet_diag",
                "tcp_diag"
            ]
        );
    }

    #[test]
    fn what_the_kernel_does_not_have_is_left_out_and_a_circle_ends() {
        assert_eq!(
            order(&["tls", "veth"], &[("veth", &["built_in"])]),
            ["veth"]
        );
        assert_eq!(order(&["a"], &[("a", &["b"]), ("b", &["a"])]), ["b", "a"]);
    }

    #[test]
    fn modinfo_fields() {
        let modinfo = b"license=GPL\0depends=virtio-ring,virtio\0intree=Y\0";
        assert_eq!(parse_depends(modinfo), ["virtio_ring", "virtio"]);
        assert_eq!(parse_depends(b"depends=\0"), Vec::<String>::new());
        assert_eq!(parse_depends(b""), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_elf_file_is_an_error() {
        assert!(depends(b"not a module").is_err());
    }
}
