//! The files of an image, and the archive they make: cpio of the kind that the kernel unpacks
//! ("newc").

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Cursor, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};
use cpio::newc::{self, ModeFileType};

/// A file of the image, by the path that it has there, without the leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    Symlink(String),
    Console,
    Copy { source: PathBuf, mode: u32 },
    Bytes(Vec<u8>),
}

/// The files by their paths, so that each comes once and after the directory it lies in.
#[derive(Debug, Default)]
pub(super) struct Tree(pub(super) BTreeMap<String, Node>);

impl Tree {
    pub(super) fn add(&mut self, path: &str, node: Node) {
        let path = merged(path.trim_start_matches("./").trim_matches('/'));
        let mut end = 0;
        while let Some(slash) = path[end..].find('/') {
            end += slash;
            self.0
                .entry(path[..end].to_owned())
                .or_insert(Node::Directory);
            end += 1;
        }
        if node == Node::Directory {
            self.0.entry(path).or_insert(node);
        } else {
            self.0.insert(path, node);
        }
    }

    pub(super) fn has_program(&self, name: &str) -> bool {
        ["usr/bin", "usr/sbin", "usr/local/bin"]
            .iter()
            .any(|place| self.0.contains_key(&format!("{place}/{name}")))
    }
}

/// Packages old and new agree on where a file is once `/bin`, `/sbin` and `/lib` are what they are
/// in `/usr`.
pub(super) fn merged(path: &str) -> String {
    match path.split('/').next() {
        Some("bin" | "sbin" | "lib" | "lib64") if path.contains('/') => format!("usr/{path}"),
        _ => path.to_owned(),
    }
}

pub(super) fn write_archive(tree: &Tree, to: &mut dyn Write) -> Result<()> {
    for (number, (path, node)) in (1..).zip(&tree.0) {
        let entry = |kind: ModeFileType, mode: u32| {
            newc::Builder::new(path)
                .ino(number)
                .nlink(1)
                .mode(mode)
                .set_mode_file_type(kind)
        };
        let written = match node {
            Node::Directory => finish(entry(ModeFileType::Directory, 0o755), &[], to),
            Node::Symlink(target) => {
                finish(entry(ModeFileType::Symlink, 0o777), target.as_bytes(), to)
            }
            Node::Console => finish(
                entry(ModeFileType::Char, 0o600).rdev_major(5).rdev_minor(1),
                &[],
                to,
            ),
            Node::Copy { source, mode } => {
                let bytes = fs::read(source)
                    .with_context(|| format!("cannot read {}", source.display()))?;
                finish(entry(ModeFileType::Regular, *mode), &bytes, to)
            }
            Node::Bytes(bytes) => finish(entry(ModeFileType::Regular, 0o644), bytes, to),
        };
        written.with_context(|| format!("cannot write {path} to the image"))?;
    }
    newc::trailer(to).context("cannot write the image's end")?;
    Ok(())
}

fn finish(entry: newc::Builder, content: &[u8], to: &mut dyn Write) -> io::Result<()> {
    let length =
        u32::try_from(content.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut writer = entry.write(to, length);
    io::copy(&mut Cursor::new(content), &mut writer)?;
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_comes_after_its_directories() {
        let mut tree = Tree::default();
        tree.add("/bin/x/y", Node::Bytes(b"1".to_vec()));
        tree.add("lib", Node::Symlink("usr/lib".into()));
        let paths: Vec<&str> = tree.0.keys().map(String::as_str).collect();
        assert_eq!(paths, ["lib", "usr", "usr/bin", "usr/bin/x", "usr/bin/x/y"]);
        assert!(!tree.has_program("y"));
    }

    #[test]
    fn the_archive_reads_back() {
        let mut tree = Tree::default();
        tree.add("etc/a", Node::Bytes(b"text".to_vec()));
        tree.add("link", Node::Symlink("etc/a".into()));
        tree.add("dev/console", Node::Console);
        let mut bytes = Vec::new();
        write_archive(&tree, &mut bytes).unwrap();
        let mut from: &[u8] = &bytes;
        let mut seen = Vec::new();
        loop {
            let reader = newc::Reader::new(from).unwrap();
            let entry = reader.entry().clone();
            if entry.is_trailer() {
                break;
            }
            let mut content = Vec::new();
            from = reader.to_writer(&mut content).unwrap();
            seen.push((
                entry.name().to_owned(),
                entry.mode(),
                entry.rdev_major(),
                content,
            ));
        }
        assert_eq!(
            seen,
            [
                ("dev".to_owned(), 0o040_755, 0, vec![]),
                ("dev/console".to_owned(), 0o020_600, 5, vec![]),
                ("etc".to_owned(), 0o040_755, 0, vec![]),
                ("etc/a".to_owned(), 0o100_644, 0, b"text".to_vec()),
                ("link".to_owned(), 0o120_777, 0, b"etc/a".to_vec()),
            ]
        );
    }
}
