//! The file systems of the guest.

use std::{fs, os::unix::fs::symlink};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
};

struct Mount {
    kind: &'static str,
    at: &'static str,
    options: Option<&'static str>,
    /// Without it nothing works; the others exist in most kernels and tell by their absence.
    needed: bool,
}

const MOUNTS: &[Mount] = &[
    Mount {
        kind: "devtmpfs",
        at: "/dev",
        options: None,
        needed: true,
    },
    Mount {
        kind: "proc",
        at: "/proc",
        options: None,
        needed: true,
    },
    Mount {
        kind: "sysfs",
        at: "/sys",
        options: None,
        needed: true,
    },
    Mount {
        kind: "tmpfs",
        at: "/tmp",
        options: Some("mode=1777"),
        needed: true,
    },
    Mount {
        kind: "tmpfs",
        at: "/run",
        options: Some("mode=0755"),
        needed: true,
    },
    Mount {
        kind: "devpts",
        at: "/dev/pts",
        options: Some("ptmxmode=0666"),
        needed: false,
    },
    Mount {
        kind: "tmpfs",
        at: "/dev/shm",
        options: Some("mode=1777"),
        needed: false,
    },
    Mount {
        kind: "cgroup2",
        at: "/sys/fs/cgroup",
        options: None,
        needed: false,
    },
    Mount {
        kind: "bpf",
        at: "/sys/fs/bpf",
        options: None,
        needed: false,
    },
    Mount {
        kind: "tracefs",
        at: "/sys/kernel/tracing",
        options: None,
        needed: false,
    },
    Mount {
        kind: "debugfs",
        at: "/sys/kernel/debug",
        options: None,
        needed: false,
    },
    Mount {
        kind: "securityfs",
        at: "/sys/kernel/security",
        options: None,
        needed: false,
    },
];

/// Mounts everything that this kernel has.
pub(crate) fn mount_all() -> Result<()> {
    for Mount {
        kind,
        at,
        options,
        needed,
    } in MOUNTS
    {
        // sysfs and devtmpfs bring most mount points along; a kernel without the file system lacks
        // its mount point too.
        let prepared = fs::create_dir_all(at)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)));
        let mounted = prepared
            .and_then(|()| mount(Some("none"), *at, Some(*kind), MsFlags::empty(), *options));
        if let Err(errno) = mounted {
            if *needed {
                return Err(errno).with_context(|| format!("cannot mount {kind} at {at}"));
            }
            eprintln!("skmem-vm-init: no {kind} at {at}: {errno}");
        }
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ] {
        symlink(target, format!("/dev/{name}"))
            .with_context(|| format!("cannot create /dev/{name}"))?;
    }
    Ok(())
}
