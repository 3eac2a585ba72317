//! `cargo xtask check`: formatting and lints, as CI wants them.

use anyhow::{Result, bail};

use crate::setup::Setup;
use crate::{process, rust};

/// Runs rustfmt and clippy over the workspace. The eBPF crate is for another target: its own build checks it.
pub(crate) fn run(setup: &Setup) -> Result<u8> {
    setup.build_tools()?;
    let clippy = [
        "clippy",
        "--workspace",
        "--exclude",
        "skmem-ebpf",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ];
    for arguments in [&["fmt", "--all", "--check"][..], &clippy] {
        eprintln!("check: cargo {}", arguments.join(" "));
        let status = process::foreground(rust::cargo().args(arguments))?;
        if !status.success() {
            bail!("`cargo {}` found something, see above", arguments.join(" "));
        }
    }
    Ok(0)
}
