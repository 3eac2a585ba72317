//! qemu: the one that this machine has, or else Debian's, unpacked into the cache with all that it
//! depends on, down to the C library. That takes no root, and removes nothing: installing it may,
//! where its tools are of another version.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use super::{Setup, is_on_path};
use crate::{
    arch::Arch,
    debian::{self, Apt},
    paths, process,
};

const SUITE: &str = "bookworm";

fn directory(guest: &Arch) -> PathBuf {
    paths::tools().join(format!("{}_{SUITE}", guest.emulator_package))
}

/// qemu's command for guests of this architecture, without any of its options.
pub(crate) fn command(guest: &Arch) -> Command {
    if is_on_path(guest.emulator) {
        return Command::new(guest.emulator);
    }
    let (root, host) = (directory(guest), Arch::host());
    let libraries = root.join("usr/lib").join(host.multiarch);
    // The loader that came with its C library; this machine's may be older.
    let mut qemu = Command::new(root.join(host.loader));
    qemu.arg("--library-path").arg(
        std::env::join_paths([
            root.join("lib").join(host.multiarch),
            libraries.clone(),
            libraries.join("pulseaudio"),
        ])
        .unwrap_or_default(),
    );
    qemu.arg(root.join("usr/bin").join(guest.emulator));
    for firmware in ["usr/share/qemu", "usr/share/seabios"] {
        qemu.arg("-L").arg(root.join(firmware));
    }
    // Emulation itself is a module.
    qemu.env("QEMU_MODULE_DIR", libraries.join("qemu"));
    qemu
}

/// Fetches it unless it is there.
pub(super) fn ensure(setup: &Setup, guest: &Arch) -> Result<()> {
    let directory = directory(guest);
    if is_on_path(guest.emulator) || directory.exists() {
        return Ok(());
    }
    let package = guest.emulator_package;
    setup.needs(&format!("{} (package {package})", guest.emulator))?;
    debian::check_present()?;
    let apt = Apt::update(SUITE, Arch::host())?;
    debian::download_closure(&apt, &[package.to_owned()], &directory)?;
    process::succeed(command(guest).arg("--version"), None)
        .with_context(|| {
            format!(
                "the {package} that was unpacked to {} does not run here: install it, as root `apt-get install {package}`",
                paths::shown(&directory)
            )
        })
        .map(drop)
}
