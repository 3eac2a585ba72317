//! systemd as the first process, where the kernel's command line asks for it. It leaves alone what
//! ran before it, so a child that was started in time gets the job.

use std::{
    env, fs, os::unix::process::CommandExt, path::Path, process::Command, thread, time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    mount::{MsFlags, mount},
    unistd::{chdir, chroot},
};
use skmem_vm_init::SYSTEMD;

/// How the child is called.
const CHILD: &str = "job";
const PROGRAM: &str = "/usr/lib/systemd/systemd";
/// It is there as soon as systemd takes orders.
const TAKES_ORDERS: &str = "/run/systemd/private";

/// Whether systemd is to be the first process.
pub(crate) fn is_wanted() -> Result<bool> {
    let line = fs::read_to_string("/proc/cmdline").context("cannot read /proc/cmdline")?;
    Ok(line.split_whitespace().any(|word| word == SYSTEMD))
}

/// Whether this is the child.
pub(crate) fn has_handed_over() -> bool {
    env::args().nth(1).is_some_and(|word| word == CHILD)
}

/// Starts the child, and becomes systemd. Returns only with an error.
pub(crate) fn hand_over() -> Result<()> {
    // Without this file it would ask the questions of a first boot.
    fs::write("/etc/machine-id", "").context("cannot write /etc/machine-id")?;
    leave_rootfs().context("cannot move / onto itself")?;
    Command::new("/proc/self/exe")
        .arg(CHILD)
        .spawn()
        .context("cannot start what runs the job")?;
    let error = Command::new(PROGRAM)
        // Without the terminals of multi-user.target.
        .args(["--unit=basic.target", "--show-status=no"])
        .env_clear()
        .exec();
    Err(error).with_context(|| format!("cannot run {PROGRAM}"))
}

/// Puts `/` onto itself as an ordinary mount: the kernel's first one cannot be left by pivot_root,
/// with which containers begin.
fn leave_rootfs() -> nix::Result<()> {
    let none = None::<&str>;
    mount(
        Some("/"),
        "/mnt",
        none,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        none,
    )?;
    chdir("/mnt")?;
    mount(Some("/mnt"), "/", none, MsFlags::MS_MOVE, none)?;
    chroot(".")?;
    chdir("/")
}

/// Waits until systemd has started all that belongs to its target.
pub(crate) fn wait_until_it_is_up() -> Result<()> {
    while !Path::new(TAKES_ORDERS).exists() {
        thread::sleep(Duration::from_millis(50));
    }
    let output = Command::new("/usr/bin/systemctl")
        .args(["is-system-running", "--wait"])
        .output()
        .context("cannot run systemctl")?;
    // Degraded: units failed that need what this small system does not have.
    match String::from_utf8_lossy(&output.stdout).trim() {
        "running" | "degraded" => Ok(()),
        state => bail!(
            "systemd is {state}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
    }
}
