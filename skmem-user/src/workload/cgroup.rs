//! A memory cgroup for sockets, on a mount that nobody else sees.
//!
//! `fsopen`, `fsmount` (5.2) give the cgroup2 hierarchy as a detached mount: it is reached through
//! its descriptor only and vanishes with it, so nothing is mounted even where `/sys/fs/cgroup` is
//! not.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    process,
};

use anyhow::{Context, Result};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::{
    skip::Skip,
    undo::{Guard, Undo},
};

/// The root of the cgroup2 hierarchy, as this process may see it.
pub(super) struct Root(OwnedFd);

impl Root {
    /// Mounts it for this process alone.
    pub fn open() -> Result<Self> {
        let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|error| Skip::error(format!("this kernel has no cgroup2: {error}")))?;
        let root = fsconfig_create(&context).and_then(|()| {
            let no_attributes = MountAttrFlags::empty();
            fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, no_attributes)
        });
        let root = root.context("cannot reach the cgroup2 hierarchy")?;
        Ok(Self(root))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }

    fn write(&self, name: &str, value: &str) -> Result<()> {
        fs::write(self.path(name), value)
            .with_context(|| format!("cannot write {value:?} to the cgroup file {name}"))
    }

    fn read(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.path(name))
            .with_context(|| format!("cannot read the cgroup file {name}"))
    }

    /// Gives the memory controller to the root's children, or takes it from them.
    pub fn set_memory_controller(&self, on: bool) -> Result<()> {
        self.write(
            "cgroup.subtree_control",
            if on { "+memory" } else { "-memory" },
        )
    }

    /// Removes the empty cgroup `name`; one that is gone is fine.
    pub fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_dir(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove the cgroup {name}"))
            }
            _ => Ok(()),
        }
    }
}

/// A memory cgroup of our own. Sockets made by [`Self::run`] are charged to it for life; no process
/// stays in it, so a tight limit refuses memory to sockets and kills nobody.
pub(super) struct MemoryCgroup {
    root: Root,
    name: String,
    /// The cgroup that this process came from, relative to the root.
    home: String,
    _guard: Guard,
}

impl MemoryCgroup {
    /// Makes one; a skip where cgroup2 has no memory controller to give.
    pub fn new() -> Result<Self> {
        let root = Root::open()?;
        if !has_memory(&root.read("cgroup.controllers")?) {
            return Err(Skip::error(
                "cgroup2 has no memory controller here (none built in, or cgroup1 holds it)",
            ));
        }
        let home = home(
            &fs::read_to_string("/proc/self/cgroup").context("cannot read /proc/self/cgroup")?,
        )
        .context("this process is in no cgroup2")?;
        let enable = !has_memory(&root.read("cgroup.subtree_control")?);
        let name = format!("skmem-{}", process::id());
        let guard = Guard::start(&Undo::Cgroup {
            name: name.clone(),
            disable_memory: enable,
        })?;
        if enable {
            root.set_memory_controller(true)?;
        }
        fs::create_dir(root.path(&name))
            .with_context(|| format!("cannot make the cgroup {name}"))?;
        Ok(Self {
            root,
            name,
            home,
            _guard: guard,
        })
    }

    /// Runs `work` with this process in the cgroup (`mem_cgroup_sk_alloc` notes it in each new
    /// socket).
    pub fn run<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let me = process::id().to_string();
        self.root
            .write(&format!("{}/cgroup.procs", self.name), &me)?;
        let result = work();
        self.root
            .write(&format!("{}/cgroup.procs", self.home), &me)?;
        result
    }

    /// Sets `memory.max`, bytes.
    pub fn limit(&self, bytes: u64) -> Result<()> {
        self.root
            .write(&format!("{}/memory.max", self.name), &bytes.to_string())
    }
}

fn has_memory(controllers: &str) -> bool {
    controllers.split_whitespace().any(|name| name == "memory")
}

/// The path of the `0::` line, without its leading slash.
fn home(cgroups: &str) -> Option<String> {
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(if path.is_empty() {
        ".".into()
    } else {
        path.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_line_names_the_home() {
        assert_eq!(
            home("8:pids:/\n0::/user.slice/a\n"),
            Some("user.slice/a".into())
        );
        assert_eq!(home("0::/\n"), Some(".".into()));
        assert_eq!(home("8:pids:/\n"), None);
    }

    #[test]
    fn a_controller_is_a_whole_word() {
        assert!(has_memory("cpu memory io\n"));
        assert!(!has_memory("memory_x cpu\n"));
        assert!(!has_memory(""));
    }
}
