//! What a trace needs of a selection: the kernel's filter, and which sockets may be older than the trace.

use std::path::PathBuf;

use crate::{
    diag::{
        cgroups, netns,
        owners::{self, Owners},
    },
    kernel::tracer::Options,
    selection::Selection,
};

/// Where sockets may be that are older than a trace.
#[derive(Debug, Clone, Default)]
pub struct Older {
    /// Ways into the network namespaces.
    pub namespaces: Vec<PathBuf>,
    /// Inodes of the sockets that the selected processes hold; empty where no processes are asked for.
    pub inodes: Vec<u32>,
}

/// How to trace the selected sockets; everything else is left as it is by default.
#[must_use]
pub fn options(selection: &Selection) -> Options {
    Options {
        filter: selection.filter(),
        pids: selection.pids.clone(),
        comms: selection.padded_comms(),
        ..Options::default()
    }
}

/// Looks through `/proc` for what the selected processes hold now. A process that has ended since took its sockets
/// along.
#[must_use]
pub fn older(selection: &Selection) -> Older {
    let by_task = selection.asks_for_users() || selection.cgroup.is_some();
    let all = owners::processes().unwrap_or_default();
    let pids: Vec<u32> = all
        .into_iter()
        .filter(|pid| is_meant(selection, *pid))
        .collect();
    let held = match by_task {
        true => Owners::among(pids.clone()),
        false => Owners::default(),
    };
    Older {
        inodes: held.sockets().map(|(inode, _)| inode).collect(),
        namespaces: netns::of(&pids, &held),
    }
}

/// Whether a process is one of those whose sockets are meant.
fn is_meant(selection: &Selection, pid: u32) -> bool {
    let called = |comm: &String| **comm == *owners::command_name(pid);
    (selection.pids.is_empty() || selection.pids.contains(&pid))
        && (selection.comms.is_empty() || selection.comms.iter().any(called))
        && selection.cgroup.as_ref().is_none_or(|cgroup| {
            let path = cgroups::path_of_process(pid);
            path.is_some_and(|path| cgroup.holds(&path))
        })
}
