//! What a scenario changes outside its own namespaces, and how that is put back whatever happens.
//!
//! A process that is killed cannot clean up after itself. So before such a change a second process
//! is started, the guard: it learns what to put back, and does so when its stdin closes, which the
//! kernel sees to when the scenario's process ends in any way. It is in a process group of its own
//! and ignores the signals of a terminal.

use std::{
    fs,
    io::{BufRead, Read, Write, stdin},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{SUBCOMMAND, cgroup};

/// The name under which [`super::run`] becomes the guard.
pub(super) const NAME: &str = "undo";

/// A change to take back.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Undo {
    /// Write `value` to the file `path`.
    Write {
        /// A sysctl.
        path: PathBuf,
        /// What it held.
        value: String,
    },
    /// Remove the cgroup `name` below the root.
    Cgroup {
        /// A directory name.
        name: String,
        /// Also take the memory controller off the root's `subtree_control`: it was not there
        /// before.
        disable_memory: bool,
    },
}

/// The guard, seen from the scenario. Dropping it puts things back, and waits for that.
pub(super) struct Guard(Child);

impl Guard {
    /// Starts a guard that will do `undo`. Change things only after this.
    pub fn start(undo: &Undo) -> Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg(SUBCOMMAND)
            .arg(NAME)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the process that puts things back")?;
        let mut line = serde_json::to_vec(undo).context("cannot word what to put back")?;
        line.push(b'\n');
        child
            .stdin
            .as_mut()
            .context("the process that puts things back has no stdin")?
            .write_all(&line)
            .context("cannot tell what to put back")?;
        Ok(Self(child))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Its own message, if any, is on stderr.
        let _ = self.0.wait();
    }
}

/// The guard's life.
#[expect(
    clippy::print_stderr,
    reason = "a process of its own, whose parent may be gone"
)]
pub(super) fn guard() -> ExitCode {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: SIG_IGN is a valid disposition for these signals.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let mut input = stdin().lock();
    let mut line = String::new();
    let was_read = input.read_line(&mut line).is_ok();
    let Some(undo) = was_read
        .then(|| serde_json::from_str::<Undo>(&line).ok())
        .flatten()
    else {
        // The scenario died before it changed anything.
        return ExitCode::FAILURE;
    };
    // Until the end of input, whatever it is.
    let _ = input.read_to_end(&mut Vec::new());
    match undo.apply() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("skmem: {error:#}; put it back by hand: {}", line.trim());
            ExitCode::FAILURE
        }
    }
}

impl Undo {
    fn apply(&self) -> Result<()> {
        match self {
            Self::Write { path, value } => fs::write(path, value)
                .with_context(|| format!("cannot write {value:?} to {}", path.display())),
            Self::Cgroup {
                name,
                disable_memory,
            } => {
                let root = cgroup::Root::open()?;
                // Sockets of a process that just died may hold the cgroup for a moment.
                for _ in 0..50 {
                    if root.remove(name).is_ok() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(100));
                }
                root.remove(name)?;
                if *disable_memory {
                    root.set_memory_controller(false)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_put_back_survives_the_pipe() {
        let undo = Undo::Write {
            path: "/proc/sys/net/ipv4/tcp_mem".into(),
            value: "1\t2\t3\n".into(),
        };
        let line = serde_json::to_string(&undo).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Undo>(&line).unwrap(), undo);
    }

    #[test]
    fn a_file_gets_its_value_back() {
        let path = std::env::temp_dir().join(format!("skmem-undo-{}", std::process::id()));
        fs::write(&path, "changed").unwrap();
        let undo = Undo::Write {
            path: path.clone(),
            value: "before".into(),
        };
        undo.apply().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        fs::remove_file(path).unwrap();
    }
}
