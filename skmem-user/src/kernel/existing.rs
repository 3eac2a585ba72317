//! Sockets that are older than the trace: an iterator program walks all TCP
//! sockets of a network namespace.

use std::{
    fs::File,
    io::{self, Read as _},
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
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
use crate::diag::netns;

/// See [`super::tracer::Tracer::walk`].
///
/// # Errors
/// Where the kernel has no iterator over TCP sockets (5.8 on has).
pub(super) fn walk(
    ebpf: &mut Ebpf,
    types: &Btf,
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
    let Some(Program::Iter(program)) = ebpf.program_mut("existing") else {
        return Err(internal("existing"));
    };
    if program.fd().is_err() {
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
        if let Err(e) = walk_one(link, namespace) {
            notes.push(format!(
                "cannot walk the sockets in {}: {e}",
                namespace.display()
            ));
        }
    }
    Ok(notes)
}

/// Walks the sockets of one network namespace: in a thread, which enters it where it is not ours (which needs
/// CAP_SYS_ADMIN even for ours).
fn walk_one(link: IterLink, namespace: &Path) -> io::Result<()> {
    let entered = File::open(namespace)?;
    let ours = entered.metadata()?.ino() == netns::own()?.inode;
    let walker = std::thread::spawn(move || {
        // SAFETY: the descriptor is open; only this thread changes namespace.
        if !ours && unsafe { libc::setns(entered.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut walk = link.into_file().map_err(io::Error::other)?;
        // The program writes nothing: reading to the end runs it.
        walk.read_to_end(&mut Vec::new()).map(drop)
    });
    match walker.join() {
        Ok(result) => result,
        Err(_) => Err(io::Error::other("the walker failed")),
    }
}
