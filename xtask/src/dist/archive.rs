//! Archives that come out the same each time: sorted, root's, of one time.

use std::io::Write;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use lzma_rust2::{XzOptions, XzWriter};
use tar::{Builder, EntryType, Header};

use super::files::Files;

/// As small as the format goes at a bearable pace.
const XZ: u32 = 6;

/// A tar of the files and of the directories they lie in.
pub(super) fn tar(files: &Files, time: u64) -> Result<Vec<u8>> {
    tar_with(files, time, "")
}

/// The same with a prefix before each path: `./`, as dpkg wants it.
pub(super) fn tar_with(files: &Files, time: u64, prefix: &str) -> Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    if !prefix.is_empty() {
        append(&mut builder, time, EntryType::Directory, prefix, 0o755, &[])?;
    }
    let mut done = std::collections::BTreeSet::new();
    for (path, file) in files.iter() {
        for (end, _) in path.match_indices('/') {
            if done.insert(path[..end].to_owned()) {
                let directory = format!("{prefix}{}/", &path[..end]);
                append(
                    &mut builder,
                    time,
                    EntryType::Directory,
                    &directory,
                    0o755,
                    &[],
                )?;
            }
        }
        let path = format!("{prefix}{path}");
        append(
            &mut builder,
            time,
            EntryType::Regular,
            &path,
            file.mode,
            &file.bytes,
        )?;
    }
    builder.into_inner().context("cannot end a tar archive")
}

fn append(
    builder: &mut Builder<Vec<u8>>,
    time: u64,
    kind: EntryType,
    path: &str,
    mode: u32,
    bytes: &[u8],
) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(time);
    header.set_size(bytes.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root").context("cannot name root")?;
    header.set_groupname("root").context("cannot name root")?;
    if path.starts_with("./") {
        // The library would clean the path; dpkg and others want it as it is.
        let name = &mut header.as_old_mut().name;
        if path.len() <= name.len() {
            name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            return builder
                .append(&header, bytes)
                .with_context(|| format!("cannot archive {path}"));
        }
    }
    builder
        .append_data(&mut header, path, bytes)
        .with_context(|| format!("cannot archive {path}"))
}

/// A tar of the files, compressed.
pub(super) fn tar_xz(files: &Files, time: u64) -> Result<Vec<u8>> {
    xz(&tar(files, time)?)
}

/// The bytes, compressed by xz.
pub(super) fn xz(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(XZ))
        .context("cannot begin to compress")?;
    writer.write_all(bytes).context("cannot compress")?;
    writer.finish().context("cannot compress")
}

/// The bytes, compressed as `gzip -9n` does: without a name and a time.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::best());
    writer.write_all(bytes).context("cannot compress")?;
    writer.finish().context("cannot compress")
}
