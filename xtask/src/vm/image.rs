//! The guest's initramfs: busybox, our init, skmem, kernel modules, and what a run adds.
//!
//! An image is named by the hash of what it is made of (each file's path, size and time), and made
//! only when none of that name is there. Modules are decompressed once for each kernel: the kernel
//! takes several archives in one file.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use skmem_vm_init::MODULES_FILE;

use super::tree::{Node, Tree, merged, write_archive};
use crate::{
    debian::hex,
    kernels::{self, Kernel},
    paths,
};

/// Modules to load, with what they depend on: the ports to the host, and what tests of TCP need.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_console",
    "veth",
    "sch_netem",
    "sch_tbf",
    "sch_fq",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "mptcp_diag",
    "tls",
    "gcm",
    "ctr",
    "ghash-generic",
    "tcp_bbr",
];

/// How many images stay: the last ones of a few kernels.
const KEPT: usize = 16;

/// Changes when images of the same parts would come out different.
const LAYOUT: u32 = 2;

/// A file of this machine that a run wants in the guest.
#[derive(Debug, Clone)]
pub(crate) struct Extra {
    /// Where in the guest: an absolute path.
    pub(crate) guest: String,
    /// Where here.
    pub(crate) source: PathBuf,
}

/// What an image is made of.
pub(crate) struct Parts<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) busybox: &'a Path,
    pub(crate) init: &'a Path,
    pub(crate) skmem: &'a Path,
    /// A directory of unpacked packages.
    pub(crate) extras: Option<&'a PathBuf>,
    pub(crate) extra: &'a [Extra],
}

/// Makes the image unless it is there; returns its path.
pub(crate) fn build(parts: &Parts<'_>) -> Result<PathBuf> {
    let directory = paths::tools().join("images");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let modules_key = key(|text| {
        writeln!(
            text,
            "{LAYOUT} {} {MODULES:?} {:?}",
            parts.kernel.release, parts.kernel.modules
        )?;
        stamp(text, &parts.kernel.image)
    })?;
    let image_key = key(|text| {
        writeln!(text, "{LAYOUT} {modules_key} {:?}", parts.extras)?;
        for file in [parts.busybox, parts.init, parts.skmem] {
            stamp(text, file)?;
        }
        for extra in parts.extra {
            writeln!(text, "{}", extra.guest)?;
            stamp(text, &extra.source)?;
        }
        Ok(())
    })?;
    let image = directory.join(format!("{image_key}.cpio"));
    if !touch(&image) {
        let modules = directory.join(format!("{modules_key}.cpio"));
        if !touch(&modules) {
            write_whole(&modules, |to| {
                write_archive(&module_files(parts.kernel)?, to)
            })?;
        }
        let files = user_land(parts)?;
        write_whole(&image, |to| {
            let mut from = File::open(&modules)
                .with_context(|| format!("cannot open {}", modules.display()))?;
            io::copy(&mut from, to).context("cannot copy the modules into the image")?;
            write_archive(&files, to)
        })?;
        prune(&directory)?;
    }
    Ok(image)
}

/// Hashes the text that `describe` writes.
fn key(describe: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<String> {
    let mut text = Vec::new();
    describe(&mut text)?;
    Ok(hex(&Sha256::digest(&text)[..12]))
}

fn stamp(text: &mut Vec<u8>, file: &Path) -> Result<()> {
    let metadata = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    writeln!(
        text,
        "{} {} {}.{:09}",
        file.display(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec()
    )?;
    Ok(())
}

/// Marks an image as used now; false when there is none.
fn touch(image: &Path) -> bool {
    File::options()
        .append(true)
        .open(image)
        .is_ok_and(|file| file.set_modified(SystemTime::now()).is_ok())
}

/// Writes a file that appears whole or not at all.
fn write_whole(file: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let directory = file.parent().context("no directory to write in")?;
    let incoming = tempfile::NamedTempFile::new_in(directory)
        .with_context(|| format!("cannot write to {}", directory.display()))?;
    let mut to = BufWriter::with_capacity(1 << 20, incoming);
    write(&mut to)?;
    let incoming = to.into_inner().context("cannot write the image")?;
    incoming
        .persist(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}

fn prune(directory: &Path) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut images: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    images.sort();
    for (_, image) in images.iter().rev().skip(KEPT) {
        // Another run may have been faster.
        _ = fs::remove_file(image);
    }
    Ok(())
}

fn module_files(kernel: &Kernel) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut list = String::new();
    if let Some(directory) = &kernel.modules {
        for module in kernels::collect_modules(directory, MODULES)? {
            let path = format!("/usr/lib/modules/{}.ko", module.name);
            list.push_str(&path);
            list.push('\n');
            tree.add(&path, Node::Bytes(module.image));
        }
    }
    tree.add(MODULES_FILE, Node::Bytes(list.into_bytes()));
    Ok(tree)
}

fn user_land(parts: &Parts<'_>) -> Result<Tree> {
    let mut tree = Tree::default();
    for directory in [
        "dev",
        "proc",
        "sys",
        "tmp",
        "run",
        "root",
        "out",
        "mnt",
        "var",
        "etc",
        "usr/bin",
        "usr/sbin",
        "usr/lib64",
    ] {
        tree.add(directory, Node::Directory);
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        tree.0
            .insert(name.to_owned(), Node::Symlink(format!("usr/{name}")));
    }
    tree.add("var/run", Node::Symlink("/run".into()));
    // The first process has no stdout and stderr without it, for it mounts /dev itself.
    tree.add("dev/console", Node::Console);
    tree.add(
        "init",
        Node::Copy {
            source: parts.init.to_owned(),
            mode: 0o755,
        },
    );
    tree.add(
        "usr/bin/busybox",
        Node::Copy {
            source: parts.busybox.to_owned(),
            mode: 0o755,
        },
    );
    tree.add(
        "usr/local/bin/skmem",
        Node::Copy {
            source: parts.skmem.to_owned(),
            mode: 0o755,
        },
    );
    tree.add(
        "etc/passwd",
        Node::Bytes(
            b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n".to_vec(),
        ),
    );
    tree.add(
        "etc/group",
        Node::Bytes(b"root:x:0:\nnogroup:x:65534:\n".to_vec()),
    );
    tree.add(
        "etc/hosts",
        Node::Bytes(b"127.0.0.1 localhost skmem\n::1 localhost\n".to_vec()),
    );
    if let Some(directory) = parts.extras {
        add_packages(&mut tree, directory)?;
    }
    for extra in parts.extra {
        let mode = fs::metadata(&extra.source)
            .map_or(0o755, |metadata| metadata.permissions().mode() & 0o7777);
        tree.add(
            &extra.guest,
            Node::Copy {
                source: extra.source.clone(),
                mode,
            },
        );
    }
    // busybox's shell prefers its own applets to the PATH, so with real ones a real shell is needed
    // too. The first process adds links for the applets that no program here is called like.
    if tree.has_program("dash") {
        tree.add("usr/bin/sh", Node::Symlink("dash".into()));
    }
    Ok(tree)
}

/// What packages bring along that no command looks at.
const SKIPPED: &[&str] = &[
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl",
    "usr/share/perl5",
    "var",
];

/// The same in the directory of an architecture's libraries.
const SKIPPED_LIBRARIES: &[&str] = &["gconv", "perl", "perl-base"];

fn is_skipped(path: &str) -> bool {
    let library = |rest: &str| {
        let (_, name) = rest.split_once('/')?;
        Some(SKIPPED_LIBRARIES.contains(&name))
    };
    SKIPPED.contains(&path) || path.strip_prefix("usr/lib/").and_then(library) == Some(true)
}

fn add_packages(tree: &mut Tree, root: &Path) -> Result<()> {
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        let entries = fs::read_dir(&directory)
            .with_context(|| format!("cannot list {}", directory.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", directory.display()))?;
            let source = entry.path();
            let path = source
                .strip_prefix(root)
                .context("a file outside of its directory")?
                .display()
                .to_string();
            let kind = entry
                .file_type()
                .with_context(|| format!("cannot read {}", source.display()))?;
            if is_skipped(&merged(&path)) {
                continue;
            }
            if kind.is_dir() {
                left.push(source);
            } else if kind.is_symlink() {
                // Merged directories are links already.
                if !matches!(path.as_str(), "bin" | "sbin" | "lib" | "lib64") {
                    let target = fs::read_link(&source)
                        .with_context(|| format!("cannot read {}", source.display()))?;
                    tree.add(&path, Node::Symlink(target.display().to_string()));
                }
            } else if kind.is_file() {
                let mode = entry
                    .metadata()
                    .with_context(|| format!("cannot read {}", source.display()))?
                    .mode()
                    & 0o7777;
                tree.add(&path, Node::Copy { source, mode });
            }
        }
    }
    Ok(())
}
