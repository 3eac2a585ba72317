//! bpf-linker, built against the LLVM that the pinned toolchain brings along.
//!
//! A plain `cargo install bpf-linker` looks for an LLVM of the system, and one older than the
//! compiler's cannot read what it writes. The toolchain ships its LLVM as a shared library, under a
//! name that the linker's build does not look for: two links make it findable, at build time
//! (`-lLLVM`) and at run time (its SONAME, through the rpath).

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::Setup;
use crate::{
    paths, process,
    progress::Step,
    rust::{self, TOOLCHAIN},
};

const VERSION: &str = "0.13.0";
/// The LLVM of the pinned toolchain, as bpf-linker's features name it.
const LLVM: &str = "llvm-23";

/// Builds the linker unless a working one is there.
pub(super) fn ensure(setup: &Setup) -> Result<()> {
    if works() {
        return Ok(());
    }
    setup.needs(&format!("bpf-linker {VERSION}"))?;
    let step = Step::start(
        format!("bpf-linker {VERSION}"),
        "building (a minute and a half)",
    );
    let prefix = paths::tools().join("llvm");
    link_llvm(&prefix.join("lib"))?;
    let mut install = rust::cargo();
    install
        .args([
            "install",
            "bpf-linker",
            "--version",
            VERSION,
            "--locked",
            "--force",
        ])
        .args(["--no-default-features", "--features", LLVM, "--root"])
        .arg(paths::tools())
        .env("LLVM_PREFIX", &prefix)
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        // Its own directory, even where the user has set a common one: what is built here is wanted
        // once.
        .env("CARGO_TARGET_DIR", paths::root().join("target/bpf-linker"));
    process::succeed(&mut install, Some(&step)).context("bpf-linker cannot be built")?;
    _ = fs::remove_dir_all(paths::root().join("target/bpf-linker"));
    if !works() {
        bail!(
            "bpf-linker was built and does not run: delete .tools/bin and .tools/llvm, and run `cargo xtask setup` again"
        );
    }
    step.done("built");
    Ok(())
}

/// It runs only when its LLVM is there, so that a toolchain removed or replaced shows here.
fn works() -> bool {
    let mut command = Command::new(paths::tools().join("bin/bpf-linker"));
    let expected = format!("bpf-linker {VERSION}");
    process::capture(command.arg("--version"), None)
        .is_ok_and(|captured| captured.status.success() && captured.stdout.trim() == expected)
}

fn link_llvm(directory: &Path) -> Result<()> {
    let sysroot = process::succeed(rust::run("rustc").args(["--print", "sysroot"]), None)?;
    let library = shared_llvm(&Path::new(sysroot.trim()).join("lib"))?;
    let soname = library.file_name().context("the library has no name")?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    for name in [OsStr::new("libLLVM.so"), soname] {
        let link = directory.join(name);
        _ = fs::remove_file(&link);
        symlink(&library, &link).with_context(|| format!("cannot create {}", link.display()))?;
    }
    Ok(())
}

fn shared_llvm(directory: &Path) -> Result<PathBuf> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let found = entries.flatten().find(|entry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with("libLLVM.so.") && name.contains("-rust-"))
    });
    match found {
        Some(entry) => Ok(entry.path()),
        None => bail!(
            "Rust {TOOLCHAIN} on this machine has no shared LLVM in {}, which bpf-linker needs",
            directory.display()
        ),
    }
}
