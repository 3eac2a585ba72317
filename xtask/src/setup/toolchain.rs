//! The pinned Rust toolchain, from rustup.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use super::{Setup, is_on_path};
use crate::{
    arch::Arch,
    process,
    progress::Step,
    rust::{self, TOOLCHAIN},
};

/// Installs the toolchain and the parts of it that are missing: the standard library's source (the
/// eBPF crate builds its own core), rustfmt and clippy, and the target of binaries for `arch`.
pub(super) fn ensure(setup: &Setup, arch: &'static Arch) -> Result<()> {
    if !is_on_path("rustup") {
        bail!(
            "there is no rustup, and skmem is built by Rust {TOOLCHAIN}: install rustup (your distribution may have it)"
        );
    }
    let missing = missing(arch)?;
    if missing.is_empty() {
        return Ok(());
    }
    setup.needs(&format!("Rust {TOOLCHAIN} ({})", missing.join(", ")))?;
    let step = Step::start(
        format!("Rust {TOOLCHAIN}"),
        &format!("installing {} (half a minute)", missing.join(", ")),
    );
    let mut install = Command::new("rustup");
    install.args([
        "toolchain",
        "install",
        TOOLCHAIN,
        "--profile",
        "minimal",
        "--no-self-update",
    ]);
    install.args([
        "--component",
        "rust-src,rustfmt,clippy",
        "--target",
        arch.target,
    ]);
    process::succeed(&mut install, Some(&step))?;
    step.done("installed");
    Ok(())
}

/// What of the toolchain is not there.
fn missing(arch: &'static Arch) -> Result<Vec<&'static str>> {
    let captured = process::capture(rust::run("rustc").args(["--print", "sysroot"]), None)?;
    if !captured.status.success() {
        return Ok(vec!["the toolchain"]);
    }
    let parts = [
        ("rust-src", "lib/rustlib/src/rust/library/core".to_owned()),
        ("rustfmt", "bin/cargo-fmt".to_owned()),
        ("clippy", "bin/cargo-clippy".to_owned()),
        (arch.target, format!("lib/rustlib/{}", arch.target)),
    ];
    let sysroot = Path::new(captured.stdout.trim());
    Ok(parts
        .into_iter()
        .filter(|(_, file)| !sysroot.join(file).exists())
        .map(|(part, _)| part)
        .collect())
}
