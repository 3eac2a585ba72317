//! Sockets that are older than the trace: an iterator program walks all TCP
//! sockets of a network namespace, and a dump of all MPTCP sockets makes the
//! kernel touch each of them. Another iterator serves [`super::facts`].

use std::{
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use aya::{
    Btf, Ebpf,
    maps::HashMap,
    programs::{Program, iter::IterLink},
};

use super::{
    Result,
    errors::{internal, refused},
};
use crate::diag::{Protocol, inet_diag, netns};

/// See [`super::tracer::Tracer::walk`].
///
/// # Errors
/// Where the kernel has no iterator over TCP sockets (5.8 on has).
pub(super) fn walk(
    ebpf: &mut Ebpf,
    types: Option<&Btf>,
    namespaces: &[PathBuf],
    inodes: &[u32],
) -> Result<Vec<String>> {
    let map = ebpf.map_mut("INODES").ok_or_else(|| internal("INODES"))?;
    let mut known =
        HashMap::<_, u32, u8>::try_from(map).map_err(|e| refused("cannot use INODES", &e))?;
    for inode in inodes {
        known
            .insert(inode, &1, 0)
            .map_err(|e| refused("cannot tell which sockets to look for", &e))?;
    }
    for namespace in namespaces {
        // The kernel calls `mptcp_diag_fill_info` for each, where our program is. Where the
        // namespace cannot be entered, a note says so below.
        let _ = inside(namespace, || {
            inet_diag::dump(Protocol::Mptcp, inet_diag::EVERY_STATE, |_| {})
                .map_err(io::Error::other)
        });
    }
    // The program writes nothing: reading to the end runs it.
    walk_all(ebpf, "existing", types, namespaces, |_| {})
}

/// Runs an iterator program over the sockets of these namespaces, and hands on what it writes. Says
/// what could not be looked at.
pub(super) fn walk_all(
    ebpf: &mut Ebpf,
    name: &str,
    types: Option<&Btf>,
    namespaces: &[PathBuf],
    mut each: impl FnMut(Vec<u8>),
) -> Result<Vec<String>> {
    let Some(Program::Iter(program)) = ebpf.program_mut(name) else {
        return Err(internal(name));
    };
    if program.fd().is_err() {
        let types = types.ok_or_else(|| internal(name))?;
        program
            .load("tcp", types)
            .map_err(|e| refused("cannot walk the sockets", &e))?;
    }
    let mut notes = Vec::new();
    for namespace in namespaces {
        let link = program
            .attach()
            .and_then(|id| program.take_link(id))
            .map_err(|e| refused("cannot walk the sockets", &e))?;
        match walk_one(link, namespace) {
            Ok(written) => each(written),
            Err(e) => notes.push(format!(
                "cannot walk the sockets in {}: {e}",
                namespace.display()
            )),
        }
    }
    Ok(notes)
}

/// Walks the sockets of one network namespace; what the program wrote.
fn walk_one(link: IterLink, namespace: &Path) -> io::Result<Vec<u8>> {
    inside(namespace, move || {
        let mut walk = link.into_file().map_err(io::Error::other)?;
        let mut written = Vec::new();
        walk.read_to_end(&mut written)?;
        Ok(written)
    })
}

/// Runs `ask` inside a network namespace: in a thread that enters it where it is not ours, for that
/// needs `CAP_SYS_ADMIN` even for ours.
fn inside<T: Send>(namespace: &Path, ask: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    if std::fs::metadata(namespace)?.ino() == netns::own()?.inode {
        return ask();
    }
    netns::inside(namespace, ask)?
}
