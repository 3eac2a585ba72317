//! Fields of sockets that no other interface shows: an iterator program writes them for each
//! socket, with w, r and f of one moment. Another one writes the fields that receive windows depend
//! on.

use std::{collections::HashMap, path::PathBuf};

use aya::EbpfLoader;
use skmem_common::{
    facts::{self, Facts},
    layout::Offsets,
    window::{self, Receiver},
};
use zerocopy::FromBytes as _;

use super::{
    Result,
    btf::KernelBtf,
    errors::refused,
    existing,
    programs::Programs,
    symbols::{self, Symbols},
    system,
    tracer::Bytes,
};

/// Facts of sockets by cookie.
#[derive(Debug, Default)]
pub struct Walked {
    /// Those that have a cookie: all that `sock_diag` has listed.
    pub sockets: HashMap<u64, Fact>,
    /// What could not be looked at.
    pub notes: Vec<String>,
}

/// One socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// `sk_wmem_queued`, bytes
    pub wmem_queued: i32,
    /// `sk_rmem_alloc`, bytes
    pub rmem_alloc: i32,
    /// `sk_forward_alloc`, bytes
    pub forward_alloc: i32,
    /// `SO_ZEROCOPY` is set.
    pub zerocopy: bool,
    /// Charged to its memory cgroup alone (`skc_bypass_prot_mem`).
    pub bypass: bool,
    /// Read under the socket's lock (5.15 on): w, r and f are of one moment.
    pub locked: bool,
}

/// Walks the TCP sockets of these network namespaces (paths for `setns`). Loads one program, and
/// takes it out again.
///
/// # Errors
/// Where rights are missing, or the kernel has no iterator over TCP sockets.
pub fn walk(namespaces: &[PathBuf]) -> Result<Walked> {
    let mut sockets = HashMap::new();
    let notes = walk_with("facts", namespaces, |written, offsets| {
        for bytes in written.as_chunks::<{ facts::BYTES }>().0 {
            let facts = Facts::read(bytes);
            if facts.cookie != 0 {
                let fact = Fact {
                    wmem_queued: facts.wmem_queued,
                    rmem_alloc: facts.rmem_alloc,
                    forward_alloc: facts.forward_alloc,
                    zerocopy: facts.zero_copies(),
                    bypass: facts.bypasses(offsets),
                    locked: facts.locked != 0,
                };
                sockets.insert(facts.cookie, fact);
            }
        }
    })?;
    Ok(Walked { sockets, notes })
}

/// What receive windows depend on, by cookie, and what could not be looked at. Loads one program,
/// and takes it out again.
///
/// # Errors
/// As for [`walk`].
pub fn receivers(namespaces: &[PathBuf]) -> Result<(HashMap<u64, Receiver>, Vec<String>)> {
    let mut sockets = HashMap::new();
    let notes = walk_with(WINDOW, namespaces, |written, _| {
        sockets.extend(read_receivers(written));
    })?;
    Ok((sockets, notes))
}

/// The program that [`receivers`] runs.
pub(super) const WINDOW: &str = "window";

/// What it wrote, by cookie.
pub(super) fn read_receivers(written: &[u8]) -> impl Iterator<Item = (u64, Receiver)> {
    let all = written.as_chunks::<{ window::BYTES }>().0.iter();
    all.filter_map(|bytes| Receiver::read_from_bytes(bytes).ok())
        .filter(|receiver| receiver.cookie != 0)
        .map(|receiver| (receiver.cookie, receiver))
}

/// Loads the iterator program `name`, and hands on what it writes.
fn walk_with(
    name: &str,
    namespaces: &[PathBuf],
    mut each: impl FnMut(&[u8], &Offsets),
) -> Result<Vec<String>> {
    system::lift_memlock();
    let types = KernelBtf::running()?;
    let offsets = types.offsets();
    let locked = u32::from(Symbols::running().surely_has(symbols::LOCKED_WALK));
    let mut ebpf = EbpfLoader::new()
        .override_global("OFFSETS", &Bytes(offsets), true)
        .override_global("LOCKED_WALK", &locked, true)
        .load(&Programs::unpack())
        .map_err(|e| refused("cannot load the programs' maps", &e))?;
    existing::walk_all(
        &mut ebpf,
        name,
        Some(&types.targets()?),
        namespaces,
        |written| {
            each(&written, &offsets);
        },
    )
}
