//! Programs from crates.io, built by the pinned toolchain into the cache: cargo-fuzz, cargo-deny,
//! cargo-generate-rpm, mdbook.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::Setup;
use crate::{paths, process, progress::Step, rust};

/// One of them, as crates.io has it.
pub(crate) struct Program {
    name: &'static str,
    version: &'static str,
    /// What of it is wanted, where not all is.
    features: Option<&'static str>,
    /// How long it takes, for the user who waits.
    takes: &'static str,
}

/// Builds fuzz targets with libFuzzer.
pub(crate) const CARGO_FUZZ: Program = Program {
    name: "cargo-fuzz",
    version: "0.13.2",
    features: None,
    takes: "building (a minute)",
};

/// Looks at licences, sources and known faults of what skmem is made of.
pub(crate) const CARGO_DENY: Program = Program {
    name: "cargo-deny",
    version: "0.20.2",
    features: None,
    takes: "building (several minutes)",
};

/// Makes packages of RPM's family.
pub(crate) const CARGO_GENERATE_RPM: Program = Program {
    name: "cargo-generate-rpm",
    version: "0.21.1",
    features: None,
    takes: "building (two minutes)",
};

/// Makes pages of documents.
pub(crate) const MDBOOK: Program = Program {
    name: "mdbook",
    version: "0.5.4",
    // Not its web server.
    features: Some("search"),
    takes: "building (two minutes)",
};

/// Builds it unless it is there in the right version; says where it is.
pub(super) fn ensure(setup: &Setup, program: &Program) -> Result<PathBuf> {
    let Program { name, version, .. } = program;
    let path = paths::tools().join("bin").join(name);
    if works(&path, program) {
        return Ok(path);
    }
    setup.needs(&format!("{name} {version}"))?;
    let step = Step::start(format!("{name} {version}"), program.takes);
    let target = paths::root().join("target").join(name);
    let mut install = rust::cargo();
    install
        .args(["install", name, "--version", version, "--locked", "--force"])
        .arg("--root")
        .arg(paths::tools())
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        // They work for seconds: quickly built is better than quick.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_TARGET_DIR", &target);
    if let Some(features) = program.features {
        install.args(["--no-default-features", "--features", features]);
    }
    process::succeed(&mut install, Some(&step))
        .with_context(|| format!("{name} cannot be built"))?;
    // What is built here is wanted once.
    _ = std::fs::remove_dir_all(&target);
    if !works(&path, program) {
        bail!(
            "{name} was built and does not run: delete {}, and try again",
            path.display()
        );
    }
    step.done("built");
    Ok(path)
}

fn works(path: &Path, program: &Program) -> bool {
    // "mdbook v0.5.4", "cargo-deny 0.20.2".
    let is_it = |said: &str| {
        let said = said.trim().split_once(' ');
        said.is_some_and(|(name, version)| {
            name == program.name && version.trim_start_matches('v') == program.version
        })
    };
    process::capture(Command::new(path).arg("--version"), None)
        .is_ok_and(|captured| captured.status.success() && is_it(&captured.stdout))
}
