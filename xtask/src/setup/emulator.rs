//! qemu: the one that this machine has, or else Debian's, unpacked into the cache with all that it depends on, down to
//! the C library. That takes no root, and removes nothing: installing it may, where its tools are of another version.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Setup, is_on_path};
use crate::debian::{self, Apt};
use crate::{paths, process};

/// The emulator's program.
pub(crate) const EMULATOR: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";
const SUITE: &str = "bookworm";

fn directory() -> PathBuf {
    paths::tools().join(format!("{PACKAGE}_{SUITE}"))
}

/// qemu's command, without any of its options.
pub(crate) fn command() -> Command {
    if is_on_path(EMULATOR) {
        return Command::new(EMULATOR);
    }
    let root = directory();
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    // The loader that came with its C library; this machine's may be older.
    let mut qemu = Command::new(root.join("lib64/ld-linux-x86-64.so.2"));
    qemu.arg("--library-path").arg(
        std::env::join_paths([
            root.join("lib/x86_64-linux-gnu"),
            libraries.clone(),
            libraries.join("pulseaudio"),
        ])
        .unwrap_or_default(),
    );
    qemu.arg(root.join("usr/bin").join(EMULATOR));
    for firmware in ["usr/share/qemu", "usr/share/seabios"] {
        qemu.arg("-L").arg(root.join(firmware));
    }
    // Emulation itself is a module.
    qemu.env("QEMU_MODULE_DIR", libraries.join("qemu"));
    qemu
}

/// Fetches it unless it is there.
pub(super) fn ensure(setup: &Setup) -> Result<()> {
    if is_on_path(EMULATOR) || directory().exists() {
        return Ok(());
    }
    setup.needs(&format!("{EMULATOR} (package {PACKAGE})"))?;
    debian::check_present()?;
    let apt = Apt::update(SUITE)?;
    debian::download_closure(&apt, &[PACKAGE.to_owned()], &directory())?;
    process::succeed(command().arg("--version"), None)
        .with_context(|| {
            format!(
                "the {PACKAGE} that was unpacked to {} does not run here: install it, as root `apt-get install {PACKAGE}`",
                paths::shown(&directory())
            )
        })
        .map(drop)
}
