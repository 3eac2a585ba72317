//! The commands of busybox: links to it, where no program of that name is there. The guest makes
//! them, for the machine that made its image may not be able to run its busybox.

use std::{collections::HashSet, fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context, Result, bail};

const BUSYBOX: &str = "/usr/bin/busybox";

/// Where programs are.
const PLACES: [&str; 3] = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];

/// Makes the links.
pub(crate) fn link_all() -> Result<()> {
    let listed = Command::new(BUSYBOX)
        .arg("--list-full")
        .output()
        .context("cannot run busybox")?;
    if !listed.status.success() {
        bail!("busybox does not list its applets: {}", listed.status);
    }
    let mut programs = HashSet::new();
    for place in PLACES {
        let Ok(entries) = fs::read_dir(place) else {
            continue;
        };
        programs.extend(entries.flatten().map(|entry| entry.file_name()));
    }
    for applet in String::from_utf8_lossy(&listed.stdout).lines() {
        let path = Path::new("/").join(applet);
        let (Some(name), true) = (path.file_name(), applet.contains('/')) else {
            continue;
        };
        if programs.insert(name.to_owned()) {
            symlink(BUSYBOX, &path).with_context(|| format!("cannot create {}", path.display()))?;
        }
    }
    Ok(())
}
