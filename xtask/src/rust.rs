//! The pinned toolchain, and how every inner cargo is called.
//!
//! There is no `rust-toolchain.toml`: it would make even `cargo xtask` fail on a machine that has
//! another stable and does not install toolchains by itself.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Result, anyhow, bail};
use serde::Deserialize;

use crate::{arch, paths, process, progress::Step};

/// The one place that names the toolchain which builds skmem.
pub(crate) const TOOLCHAIN: &str = "1.99.1";

/// `cargo` of the pinned toolchain, in the root of the checkout.
pub(crate) fn cargo() -> Command {
    run("cargo")
}

/// A program of the pinned toolchain.
pub(crate) fn run(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", TOOLCHAIN, program])
        .current_dir(paths::root());
    // `cargo xtask` passes on what concerns the run of xtask itself, by an older toolchain; to the
    // inner cargo it would mean that everything has changed, and its libraries are the wrong
    // ones.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_of_the_outer_cargo) {
            command.env_remove(name);
        }
    }
    for arch in arch::ALL.iter().filter(|arch| !arch.is_host()) {
        // This machine's C compiler links programs of its own architecture only. The toolchain's
        // linker links all, and the target brings its C library along.
        let variable = linker_variable(arch.target);
        if env::var_os(&variable).is_none() {
            command.env(variable, "rust-lld");
        }
    }
    command
}

/// Names the linker of a target for cargo.
pub(crate) fn linker_variable(target: &str) -> String {
    let target = target.to_ascii_uppercase().replace('-', "_");
    format!("CARGO_TARGET_{target}_LINKER")
}

fn is_of_the_outer_cargo(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "CARGO",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION_COUNT",
        "LD_LIBRARY_PATH",
    ];
    const PREFIXES: &[&str] = &[
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ];
    EXACT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// One line of `--message-format=json`, as far as it matters here.
#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    target: Option<CargoTarget>,
    executable: Option<PathBuf>,
    package_id: Option<String>,
    out_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
struct CargoTarget {
    name: String,
}

/// What a build made.
pub(crate) struct Built {
    /// Executables, by their targets' names.
    executables: Vec<(String, PathBuf)>,
    /// Where build scripts wrote, by the ids of their packages.
    out_dirs: Vec<(String, PathBuf)>,
}

impl Built {
    /// Where that one is.
    pub(crate) fn executable(&self, name: &str) -> Result<PathBuf> {
        let found = self.executables.iter().find(|(built, _)| built == name);
        found
            .map(|(_, path)| path.clone())
            .ok_or_else(|| anyhow!("cargo built {name} and did not say where"))
    }

    /// Where the build script of a package of this workspace wrote.
    pub(crate) fn out_dir(&self, package: &str) -> Result<PathBuf> {
        let is = |id: &str| id.starts_with("path+file") && id.contains(package);
        let found = self.out_dirs.iter().find(|(id, _)| is(id));
        found
            .map(|(_, path)| path.clone())
            .ok_or_else(|| anyhow!("cargo did not say where the build of {package} writes"))
    }
}

/// Builds with `cargo ARGS`. Silent when there is nothing to do.
pub(crate) fn build(what: &str, args: &[&str]) -> Result<Built> {
    let mut command = cargo();
    command.args(args);
    build_by(what, "building for the guest", command)
}

/// Builds with this command, which is cargo's; `hint` says what it does and how long it takes.
pub(crate) fn build_by(what: &str, hint: &str, mut command: Command) -> Result<Built> {
    command.arg("--message-format=json-render-diagnostics");
    let mut step = None;
    let captured = process::capture_lines(&mut command, |line| {
        if is_work(line) && !line.contains("Finished ") {
            let step = step.get_or_insert_with(|| Step::start(what, hint));
            step.output(line);
        }
    })?;
    if !captured.status.success() {
        drop(step);
        captured
            .stderr
            .lines()
            .filter(|line| !is_work(line))
            .for_each(|line| eprintln!("{line}"));
        bail!("{what} does not build, see above");
    }
    let mut built = Built {
        executables: Vec::new(),
        out_dirs: Vec::new(),
    };
    let messages = captured.stdout.lines();
    for message in messages.filter_map(|line| serde_json::from_str::<CargoMessage>(line).ok()) {
        let reason = message.reason.clone();
        match (reason.as_str(), message) {
            (
                "compiler-artifact",
                CargoMessage {
                    target: Some(target),
                    executable: Some(path),
                    ..
                },
            ) => {
                built.executables.push((target.name, path));
            }
            (
                "build-script-executed",
                CargoMessage {
                    package_id: Some(id),
                    out_dir: Some(path),
                    ..
                },
            ) => {
                built.out_dirs.push((id, path));
            }
            _ => {}
        }
    }
    if let Some(step) = step {
        step.done("built");
    }
    Ok(built)
}

/// Does cargo tell what it is doing? The build of the eBPF side does so from inside a build script,
/// as warnings.
fn is_work(line: &str) -> bool {
    const WORK: &[&str] = &[
        "Compiling ",
        "Downloading ",
        "Downloaded ",
        "Blocking ",
        "Finished ",
        "Updating ",
        "Locking ",
    ];
    let line = match line
        .strip_prefix("warning: ")
        .and_then(|warning| warning.split_once(": "))
    {
        Some((package, text)) if package.contains('@') => text,
        _ => line,
    };
    WORK.iter().any(|work| line.trim_start().starts_with(work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_diagnostics_are_told_apart() {
        assert!(is_work("   Compiling skmem-user v0.1.0"));
        assert!(is_work(
            "warning: skmem-user@0.1.0:    Compiling libc v0.2.191"
        ));
        assert!(!is_work("warning: unused variable: `x`"));
        assert!(!is_work("error[E0308]: mismatched types"));
    }

    #[test]
    fn the_outer_cargo_leaves_no_trace_and_the_users_settings_stay() {
        for name in [
            "CARGO",
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_NAME",
            "RUSTUP_TOOLCHAIN",
            "LD_LIBRARY_PATH",
        ] {
            assert!(is_of_the_outer_cargo(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_NET_OFFLINE",
            "RUSTUP_HOME",
            "RUSTFLAGS",
            "PATH",
        ] {
            assert!(!is_of_the_outer_cargo(name), "{name}");
        }
    }
}
