//! Which state of the source is packaged: a version, a commit and its time.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, process};

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Release {
    /// As Cargo.toml has it.
    pub(super) version: String,
    /// The commit, shortened; with a plus sign where files differ from it.
    pub(super) commit: String,
    /// The commit's time, in seconds since 1970: that of every file.
    pub(super) time: u64,
    /// The same time as RFC 3339 has it, in UTC.
    pub(super) stamp: String,
    /// And as RFC 5322 has it, for Debian's changelog.
    pub(super) date: String,
    /// Who packages: DEBFULLNAME and DEBEMAIL, or else who made the commit.
    pub(super) maintainer: String,
}

impl Release {
    /// The commit that is checked out.
    pub(super) fn of_checkout(allow_dirty: bool) -> Result<Self> {
        // A shortened name of fixed length: how many digits git finds enough depends on how much it
        // has.
        let format = "--format=%H%n%ct%n%cd%n%an <%ae>";
        let date = "--date=format-local:%a, %d %b %Y %H:%M:%S +0000";
        let shown = git(&["log", "-1", date, format])
            .context("packages are made of a commit, and git names none here")?;
        let stamp = git(&[
            "log",
            "-1",
            "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
            "--format=%cd",
        ])?;
        let mut lines = shown.lines();
        let mut next = || lines.next().context("git log printed too little");
        let mut commit = next()?.chars().take(12).collect::<String>();
        let time = next()?.parse().context("git log printed no time")?;
        let date = next()?.to_owned();
        let author = next()?.to_owned();
        let changed = git(&["status", "--porcelain"])?;
        if let Some(first) = changed.lines().next() {
            if !allow_dirty {
                bail!(
                    "files differ from the commit ({}{}): commit them, or pass --allow-dirty",
                    first.get(3..).unwrap_or(first),
                    if changed.lines().count() > 1 {
                        " and more"
                    } else {
                        ""
                    }
                );
            }
            commit.push('+');
        }
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit,
            time,
            stamp: stamp.trim().to_owned(),
            date,
            maintainer: named_maintainer().unwrap_or(author),
        })
    }

    /// What the binary says it is made of.
    pub(super) fn built_from(&self) -> String {
        let day = self.stamp.split('T').next().unwrap_or_default();
        format!("{} of {day}", self.commit)
    }
}

/// As Debian's tools have it.
fn named_maintainer() -> Option<String> {
    let name = std::env::var("DEBFULLNAME").ok()?;
    let mail = std::env::var("DEBEMAIL").ok()?;
    Some(format!("{name} <{mail}>"))
}

pub(super) fn git(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(paths::root())
        .env("TZ", "UTC")
        .env("LC_ALL", "C");
    process::succeed(&mut command, None)
}
