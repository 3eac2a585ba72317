//! `cargo xtask check`: formatting and lints, as CI wants them; and what skmem is made of, where
//! that is asked for.

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    arch::Arch,
    paths, process, rust,
    setup::{CARGO_DENY, Setup},
};

pub(crate) mod links;
mod text;

/// Options of `cargo xtask check`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Instead of formatting and lints: licences, sources and doubles of all dependencies, by
    /// cargo-deny and deny.toml
    #[arg(long)]
    supply_chain: bool,
    /// With --supply-chain: also faults that are known of them, from the RustSec database, which
    /// is fetched with git
    #[arg(long, requires = "supply_chain")]
    advisories: bool,
}

/// Runs what was asked for.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    if options.supply_chain {
        return supply_chain(setup, options.advisories);
    }
    lints(setup)
}

/// Runs rustfmt, clippy and rustdoc over the workspace. The eBPF crate is for another target: its
/// own build checks it.
fn lints(setup: &Setup) -> Result<u8> {
    text::check()?;
    links::check()?;
    setup.build_tools(Arch::host())?;
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
    // Cargo leaves out of all targets what it is not to test itself.
    let vm = [
        "clippy",
        "--package",
        "skmem-user",
        "--test",
        "vm",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ];
    let doc = [
        "doc",
        "--no-deps",
        "--package",
        "skmem-user",
        "--package",
        "skmem-common",
        "--lib",
        "--all-features",
    ];
    // The fuzz targets have a lock file of their own, which a new dependency leaves behind.
    let lock = ["fetch", "--locked", "--manifest-path", "fuzz/Cargo.toml"];
    let targets = ["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"];
    for arguments in [
        &["fmt", "--all", "--check"][..],
        &targets,
        &lock,
        &clippy,
        &vm,
        &doc,
    ] {
        eprintln!("check: cargo {}", arguments.join(" "));
        let mut cargo = rust::cargo();
        cargo.args(arguments).env("RUSTDOCFLAGS", "-D warnings");
        let status = process::foreground(&mut cargo)?;
        if !status.success() {
            bail!("`cargo {}` found something, see above", arguments.join(" "));
        }
    }
    Ok(0)
}

/// Runs cargo-deny over the workspace and over that of the fuzz targets.
fn supply_chain(setup: &Setup, advisories: bool) -> Result<u8> {
    let deny = setup.program(&CARGO_DENY)?;
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let mut command = rust::run(&deny.to_string_lossy());
        command
            .args(["--locked", "--manifest-path"])
            .arg(paths::root().join(manifest))
            .arg("--config")
            .arg(paths::root().join("deny.toml"))
            .args(["check", "licenses", "bans", "sources"])
            .args(advisories.then_some("advisories"));
        eprintln!("check: {manifest}: {}", process::shown(&command));
        if !process::foreground(&mut command)?.success() {
            bail!("cargo-deny found something in {manifest}, see above");
        }
    }
    Ok(0)
}
