//! `cargo xtask bench --against REV`: skmem as it was at a commit beside what is here, under the
//! same loads, and what each figure has come to since. What that commit does not have is said to be
//! not in it.

mod accounts;
mod host;
mod rows;
mod snapshot;
mod start;

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use clap::ValueEnum;
use rows::Row;
use serde::Serialize;

use super::{Options, job, table::Results};
use crate::{
    arch::Arch,
    error, guest,
    kernels::Wanted,
    paths, process,
    setup::Setup,
    vm::{Extra, MachineOptions, Vm},
};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    /// What accounts, records and filter misses add to a send, in a VM
    Accounts,
    /// Recordings, lines, the commands report and plot, on this machine
    Host,
    /// skmem snapshot beside ss -tam, in a VM
    Snapshot,
    /// From the start to the first call that is traced, from the answer to the prompt, in a VM
    Start,
}

impl Part {
    /// As `--only` has it.
    const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Host => "host",
            Self::Snapshot => "snapshot",
            Self::Start => "start",
        }
    }
}

/// Where skmem of that time is in the guest.
const THEN: &str = "/then/skmem";

/// Benches of `skmem-user/benches/`.
const RECORDING: &str = "recording";
const SNAPSHOT: &str = "snapshot";

/// skmem as it is built.
pub(super) struct Build {
    pub(super) skmem: PathBuf,
    /// The bench, where the source has it.
    recording: Option<PathBuf>,
}

/// Both builds.
pub(super) struct Against {
    /// The commit, as short as git prints it.
    pub(super) commit: String,
    pub(super) then: Build,
    pub(super) now: Build,
    /// The bench of what is here, which runs both.
    snapshot: PathBuf,
    parts: Vec<Part>,
    /// What is the same on all kernels, once it is there.
    host: Option<Vec<Row>>,
}

/// What came of it.
pub(super) struct Compared {
    pub(super) markdown: String,
    pub(super) json: String,
    /// Whether what is here could be measured in all parts.
    pub(super) whole: bool,
}

impl Against {
    /// Builds what is here, and `revision`: once for each commit.
    pub(super) fn build(options: &Options, revision: &str) -> Result<Self> {
        let arch = options.arch;
        let parts = match &options.only[..] {
            [] if arch.is_host() => Part::value_variants().to_vec(),
            [] => vec![Part::Accounts, Part::Snapshot, Part::Start],
            only => only.to_vec(),
        };
        let whole = git(&["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{revision}^{{commit}}"))
            .output()
            .context("cannot run git")?;
        if !whole.status.success() {
            return Err(error::usage(format!(
                "--against {revision}: git knows no such commit"
            )));
        }
        let whole = String::from_utf8_lossy(&whole.stdout).trim().to_owned();
        // All at once, whatever the parts: others would have skmem compiled again.
        let now = guest::with_benches(arch, "skmem", None, &[RECORDING, SNAPSHOT])?;
        Ok(Self {
            commit: whole.chars().take(9).collect(),
            snapshot: now.executable(SNAPSHOT)?,
            now: Build {
                skmem: now.executable("skmem")?,
                recording: Some(now.executable(RECORDING)?),
            },
            then: then(arch, &whole)?,
            parts,
            host: None,
        })
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Measures all parts on a kernel, but for the accounts of what is here, which are there where
    /// they are wanted.
    pub(super) fn compare(
        &mut self,
        setup: &Setup,
        options: &Options,
        wanted: &Wanted,
        accounts: Option<&Results>,
    ) -> Result<Compared> {
        let mut rows = Vec::new();
        let mut whole = true;
        for part in Part::value_variants().iter().copied() {
            if !self.has(part) {
                continue;
            }
            let measured = match (part, accounts) {
                (Part::Accounts, None) => continue,
                (Part::Accounts, Some(now)) => accounts::measure(self, setup, options, wanted, now),
                (Part::Host, _) if self.host.is_some() => Ok(self.host.clone().unwrap_or_default()),
                (Part::Host, _) => host::measure(self, setup, options, wanted),
                (Part::Snapshot, _) => snapshot::measure(self, setup, options, wanted),
                (Part::Start, _) => start::measure(self, setup, options, wanted),
            };
            match measured {
                Ok(measured) => {
                    if part == Part::Host {
                        self.host = Some(measured.clone());
                    }
                    rows.extend(measured);
                }
                Err(error) => {
                    process::check_interrupted()?;
                    eprintln!("bench: {}: {error:#}", part.name());
                    whole = false;
                }
            }
        }
        let release = setup.kernel(wanted, None)?.release;
        Ok(Compared {
            markdown: rows::markdown(&self.commit, &release, &rows),
            json: rows::json(&self.commit, &release, &rows)?,
            whole,
        })
    }

    /// A VM whose clock counts instructions, with both builds and `more` in it.
    fn vm(
        &self,
        setup: &Setup,
        options: &Options,
        wanted: &Wanted,
        change: impl FnOnce(MachineOptions) -> MachineOptions,
        more: Option<Extra>,
    ) -> Result<Vm> {
        let machine = MachineOptions::for_bench(wanted, options.timeout, false);
        let machine = change(machine.counting()).running(&self.now.skmem);
        let then = Extra {
            guest: THEN.to_owned(),
            source: self.then.skmem.clone(),
        };
        let extra: Vec<Extra> = more.into_iter().chain([then]).collect();
        Vm::prepare(setup, &machine, &extra)
    }
}

/// Takes the source of a commit out of git, and builds it.
fn then(arch: &Arch, commit: &str) -> Result<Build> {
    let room = paths::root().join("target/bench/before");
    let source = room.join(commit);
    // Cargo goes by the times of files, which are new where another commit was built last: it would
    // take that one's libraries otherwise.
    let last = room.join("last");
    let is_last = fs::read_to_string(&last).is_ok_and(|last| last == commit);
    if !is_last || !source.exists() {
        _ = fs::remove_dir_all(&source);
        fs::create_dir_all(&room).with_context(|| format!("cannot create {}", room.display()))?;
        // Under its own name once all of it is there.
        let unpacked = tempfile::tempdir_in(&room).context("cannot make a directory")?;
        let archive = unpacked.path().join("source.tar");
        let tree = unpacked.path().join("tree");
        fs::create_dir(&tree).context("cannot make a directory")?;
        process::succeed(
            git(&["archive", "--format=tar", "-o"])
                .arg(&archive)
                .arg(commit),
            None,
        )?;
        let mut tar = Command::new("tar");
        process::succeed(tar.arg("-xmf").arg(&archive).arg("-C").arg(&tree), None)?;
        // Its build looks there for bpf-linker.
        symlink(paths::tools(), tree.join(".tools")).context("cannot make a link")?;
        fs::rename(&tree, &source)
            .with_context(|| format!("cannot create {}", source.display()))?;
        fs::write(&last, commit).with_context(|| format!("cannot write {}", last.display()))?;
    }
    let bench = source.join(format!("skmem-user/benches/{RECORDING}.rs"));
    let benches: &[&str] = if bench.exists() { &[RECORDING] } else { &[] };
    // What commits have in common is built once.
    let other = Some((&*source, &*room.join("target")));
    let built = guest::with_benches(arch, "skmem of before", other, benches)?;
    // The next commit's takes its place there.
    let keep = |name: &str| -> Result<PathBuf> {
        let kept = source.join(format!("{name}-built"));
        fs::copy(built.executable(name)?, &kept)
            .with_context(|| format!("cannot write {}", kept.display()))?;
        Ok(kept)
    };
    Ok(Build {
        skmem: keep("skmem")?,
        recording: benches.first().map(|name| keep(name)).transpose()?,
    })
}

fn git(args: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(paths::root()).args(args);
    git
}
