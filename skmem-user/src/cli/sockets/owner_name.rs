//! Processes and cgroups as people name them.

use std::{
    convert::Infallible,
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    diag::{
        cgroups::{Cgroup2, cgroup2},
        owners,
    },
    selection::{Cgroup, has_name},
};

/// What ends a systemd unit's name that is a cgroup.
const UNITS: [&str; 3] = [".service", ".scope", ".slice"];

/// Names that an error message lists.
const SHOWN: usize = 8;

/// A process, or several: by its id, by its name, or by a systemd unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// A process id.
    Pid(u32),
    /// A name: of a command, a program's file, or a unit.
    Name(String),
}

impl FromStr for Process {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text
            .parse()
            .map_or_else(|_| Self::Name(text.to_owned()), Self::Pid))
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(f, "{pid}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Who is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// Processes; empty: nobody was named.
    pub pids: Vec<u32>,
    /// A cgroup, with those below it.
    pub cgroup: Option<Cgroup>,
}

impl Who {
    /// Whom `processes` and `cgroup` name now.
    ///
    /// # Errors
    /// Where one of them does not exist.
    pub fn of(processes: &[Process], cgroup: Option<&Path>) -> Result<Self> {
        let mut who = Self {
            pids: Vec::new(),
            cgroup: cgroup.map(find).transpose()?,
        };
        for process in processes {
            match process {
                Process::Pid(pid) => {
                    ensure!(
                        fs::exists(format!("/proc/{pid}")).unwrap_or(false),
                        "no process {pid}: check with `ps {pid}` (in a container, give the pid as seen here)"
                    );
                    who.pids.push(*pid);
                }
                Process::Name(name) => match unit(name)? {
                    Some(path) => {
                        ensure!(processes.len() == 1 && cgroup.is_none(), one_unit(name));
                        who.cgroup = Some(path);
                    }
                    None => who.pids.extend(called(name)?),
                },
            }
        }
        who.pids.sort_unstable();
        who.pids.dedup();
        Ok(who)
    }
}

/// Why a unit is refused beside others.
pub(super) fn one_unit(name: &str) -> String {
    format!(
        "--pid {name}: a unit is a cgroup, and can be given once, without other processes and --cgroup"
    )
}

/// Whether a name is one of a systemd unit that is a cgroup.
pub(super) fn is_unit(name: &str) -> bool {
    UNITS.iter().any(|end| name.ends_with(end))
}

/// The cgroup of a unit, where the name is one's.
fn unit(name: &str) -> Result<Option<Cgroup>> {
    is_unit(name).then(|| find(Path::new(name))).transpose()
}

/// The processes of a name: of their command (`/proc/PID/comm`), of their
/// program's file, or of what they were started as.
fn called(name: &str) -> Result<Vec<u32>> {
    ensure!(
        !name.is_empty(),
        "--pid: give a process id, a name or a unit"
    );
    let own = std::process::id();
    let all = owners::processes()?;
    let found = all
        .into_iter()
        .filter(|pid| *pid != own && is_called(*pid, name));
    let found: Vec<u32> = found.collect();
    ensure!(
        !found.is_empty(),
        "no process is called {name:?}: check with `pgrep -a {name}`, or give a pid or a unit such as {name}.service"
    );
    Ok(found)
}

fn is_called(pid: u32, name: &str) -> bool {
    if *owners::command_name(pid) == *name {
        return true;
    }
    let is = |path: &Path| path.file_name().is_some_and(|file| file == name);
    let started = || {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let first = line.split(|b| *b == 0).next().unwrap_or_default();
        is(Path::new(&*String::from_utf8_lossy(first)))
    };
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| is(&exe)) || started()
}

/// A cgroup of this machine: by its path, absolute or below the root, by its last component, or by
/// a container's id.
///
/// # Errors
/// Where there is no such cgroup, or more than one.
fn find(path: &Path) -> Result<Cgroup> {
    let place = cgroup2().context(
        "--cgroup: no cgroup v2 in /proc/self/mountinfo; if it is mounted, --cgroup-root DIR says where",
    )?;
    let dir = find_below(place, path)?;
    let path = place
        .path_of(&dir)
        .context("--cgroup: not below the root of cgroup v2")?;
    Ok(Cgroup {
        // On 64-bit kernels the inode is the id (kernfs_ino).
        id: fs::metadata(&dir)?.ino(),
        level: place.level_of(&path),
        path,
    })
}

fn find_below(place: &Cgroup2, path: &Path) -> Result<PathBuf> {
    let root = &place.at;
    let below_root = root.join(path.strip_prefix("/").unwrap_or(path));
    // As /proc/PID/cgroup has it, where the mount shows a part of the hierarchy.
    let of_proc = || path.to_str().and_then(|path| place.dir_of(path));
    let full = match path.strip_prefix(root) {
        Ok(_) => path.to_path_buf(),
        Err(_) if below_root.exists() => below_root,
        Err(_) => of_proc().unwrap_or(below_root),
    };
    if let Ok(full) = fs::canonicalize(&full) {
        ensure!(
            full.starts_with(root),
            "{} is not below {}",
            full.display(),
            root.display()
        );
        ensure!(
            full.join("cgroup.procs").exists(),
            "{} is not a cgroup (v2): it has no cgroup.procs",
            full.display()
        );
        return Ok(full);
    }
    let mut found = Vec::new();
    if path.components().count() == 1
        && let Some(name) = path.to_str()
    {
        walk(root, &mut |dir| {
            let last = dir.file_name().and_then(|n| n.to_str());
            if last.is_some_and(|last| has_name(last, name)) {
                found.push(dir.to_path_buf());
            }
        });
    }
    // Below a container's cgroup there may be others with its id.
    found.sort();
    let outer = found.first().cloned();
    found.retain(|dir| {
        outer
            .as_ref()
            .is_none_or(|o| dir == o || !dir.starts_with(o))
    });
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => bail!(
            "no cgroup {} below {}: see `systemd-cgls`",
            path.display(),
            root.display()
        ),
        many => {
            let names = many.iter().take(SHOWN);
            let names: Vec<_> = names.map(|dir| format!("  {}", dir.display())).collect();
            bail!(
                "{} cgroups are called {}; give a path:\n{}",
                many.len(),
                path.display(),
                names.join("\n")
            )
        }
    }
}

/// All directories below `dir`.
fn walk(dir: &Path, each: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each(&entry.path());
            walk(&entry.path(), each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_have_ids_and_names() {
        let own = std::process::id();
        assert_eq!("17".parse(), Ok(Process::Pid(17)));
        let nginx = Process::Name("nginx".into());
        assert_eq!("nginx".parse(), Ok(nginx.clone()));
        let who = |process: &Process| Who::of(std::slice::from_ref(process), None);
        assert_eq!(who(&Process::Pid(own)).unwrap().pids, [own]);
        let says = |process: &Process| who(process).unwrap_err().to_string();
        assert!(says(&Process::Pid(u32::MAX)).starts_with("no process 4294967295"));
        let none = says(&Process::Name("no-such-program-here".into()));
        assert!(none.starts_with("no process is called"), "{none}");
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        // Until it has become another program, it has this one's name.
        while !is_called(child.id(), "sleep") {
            std::thread::yield_now();
        }
        let found = who(&Process::Name("sleep".into())).unwrap();
        assert!(found.pids.contains(&child.id()) && !found.pids.contains(&own));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn cgroups_are_found_by_their_last_component() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let id = "3f2a9c0d1e4b3f2a9c0d1e4b";
        let made = |path: &str| {
            fs::create_dir_all(root.join(path)).unwrap();
            fs::write(root.join(path).join("cgroup.procs"), "").unwrap();
            root.join(path)
        };
        let service = made("system.slice/nginx.service");
        let container = made(&format!("system.slice/docker-{id}.scope"));
        made(&format!("system.slice/docker-{id}.scope/init-{id}"));
        made("a/twice");
        made("b/twice");
        let place = Cgroup2::whole(&root);
        let find = |name: &str| find_below(&place, Path::new(name));
        assert_eq!(find("nginx.service").unwrap(), service);
        assert_eq!(find("system.slice/nginx.service").unwrap(), service);
        assert_eq!(find("/system.slice/nginx.service").unwrap(), service);
        assert_eq!(find(service.to_str().unwrap()).unwrap(), service);
        assert_eq!(find(&id[..12]).unwrap(), container);
        let says = |name: &str| find(name).unwrap_err().to_string();
        assert!(says("twice").starts_with("2 cgroups are called twice; give a path:\n  "));
        assert!(says("none").starts_with("no cgroup none below"));
        assert!(says("a/none").starts_with("no cgroup a/none below"));
        assert!(says("..").contains("is not below"));
    }
}
