//! What a trace needs of a selection: the kernel's filter, and which sockets may be older than the
//! trace.

use std::path::PathBuf;

use skmem_common::{
    filter::{ADOPT, BY_CGROUP, BY_PID},
    layout::Records,
};

use crate::{
    diag::{
        account_sources::version,
        cgroups, netns,
        owners::{self, Owners},
    },
    kernel::{plan::Set, system, tracer::Options},
    selection::Selection,
};

/// Where sockets may be that are older than a trace.
#[derive(Debug, Clone, Default)]
pub struct Older {
    /// Ways into the network namespaces.
    pub namespaces: Vec<PathBuf>,
    /// Inodes of the sockets that the selected processes hold; empty where no processes are asked
    /// for.
    pub inodes: Vec<u32>,
}

/// From this version on, a program may ask whether the current task's cgroup lies below another
/// (`bpf_get_current_ancestor_cgroup_id` in `bpf_tracing_func_proto`).
const KNOWS_CGROUPS: (u32, u32) = (5, 15);

/// How to trace the selected sockets; everything else is as by default. Where this kernel's
/// programs cannot ask for cgroups, the processes in them are traced: [`cgroup_note`].
#[must_use]
pub fn options(selection: &Selection) -> Options {
    let mut options = asked(selection);
    if selection.cgroup.is_some() && !knows_cgroups() {
        options.filter.flags &= !BY_CGROUP;
        options.filter.flags |= BY_PID;
        options.pids = processes(selection);
        options.follow = true;
    }
    options
}

/// The same, and without a filter takes in all sockets that are older than the trace and hold
/// something.
pub fn take_all(options: &mut Options) {
    options.filter.flags |= ADOPT;
}

/// Has accounts kept of all matching sockets, those included that hold something already, and no
/// records: for who runs all the time.
pub fn accounts_alone(options: &mut Options) {
    options.records = Records::Transitions;
    options.set = Set::Lean;
    options.map_in_parts = true;
    take_all(options);
}

/// How to trace only the sockets that [`super::Session::adopt`] takes in: the filter is by process,
/// and no process passes it.
#[must_use]
pub fn options_of_none() -> Options {
    let mut options = Options::default();
    options.filter.flags |= BY_PID;
    options
}

/// What a cgroup means where this kernel's programs cannot ask for it, in a sentence; None where
/// they can.
#[must_use]
pub fn cgroup_note(selection: &Selection) -> Option<String> {
    let cgroup = selection.cgroup.as_ref().filter(|_| !knows_cgroups())?;
    Some(format!(
        "Linux {} does not say in which cgroup a task is (5.15 does): traced are the processes that are in {} now, and \
         their children",
        system::release(),
        cgroup.path
    ))
}

fn knows_cgroups() -> bool {
    version(&system::release()) >= KNOWS_CGROUPS
}

fn asked(selection: &Selection) -> Options {
    Options {
        filter: selection.filter(),
        pids: selection.pids.clone(),
        comms: selection.padded_comms(),
        ..Options::default()
    }
}

/// Looks through `/proc` for what the selected processes hold now. The sockets of a process that
/// has ended since are closed.
#[must_use]
pub fn older(selection: &Selection) -> Older {
    let by_task = selection.asks_for_users() || selection.cgroup.is_some();
    let pids = processes(selection);
    let held = match by_task {
        true => Owners::among(pids.clone()),
        false => Owners::default(),
    };
    Older {
        inodes: held.sockets().map(|(inode, _)| inode).collect(),
        namespaces: netns::of(&pids, &held),
    }
}

fn processes(selection: &Selection) -> Vec<u32> {
    let all = owners::processes().unwrap_or_default();
    all.into_iter()
        .filter(|pid| is_meant(selection, *pid))
        .collect()
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
