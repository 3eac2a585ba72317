//! What is built to run in a guest: skmem, the first process, the VM tests. All of it optimised:
//! emulation is slow enough, and so they share the libraries they are built from.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{arch::Arch, rust};

/// skmem itself, with its eBPF side inside.
pub(crate) fn skmem(arch: &Arch) -> Result<PathBuf> {
    program(arch, "skmem", "skmem-user", "skmem")
}

/// skmem of another source, which is in `directory`; what it is built from is kept in `target`.
pub(crate) fn skmem_of(arch: &Arch, directory: &Path, target: &Path) -> Result<PathBuf> {
    let manifest = format!("--manifest-path={}", directory.join("Cargo.toml").display());
    let target = format!("--target-dir={}", target.display());
    let args = ["build", "--release", "--target", arch.target];
    let which = ["-p", "skmem-user", "--bin", "skmem", &manifest, &target];
    let built = rust::build("skmem of before", &[&args[..], &which].concat())?;
    built.executable("skmem")
}

/// The guest's first process.
pub(crate) fn init(arch: &Arch) -> Result<PathBuf> {
    program(arch, "the guest's init", "skmem-vm-init", "skmem-vm-init")
}

/// The eBPF programs of skmem, as its build leaves them.
pub(crate) fn object(arch: &Arch) -> Result<PathBuf> {
    let built = built(arch, "skmem", "skmem-user", "skmem")?;
    Ok(built.out_dir("skmem-user")?.join("skmem-programs"))
}

fn program(arch: &Arch, what: &str, package: &str, name: &str) -> Result<PathBuf> {
    built(arch, what, package, name)?.executable(name)
}

fn built(arch: &Arch, what: &str, package: &str, name: &str) -> Result<rust::Built> {
    let args = ["build", "--release", "--target", arch.target];
    let which = ["-p", package, "--bin", name];
    rust::build(what, &[&args[..], &which].concat())
}

/// The tests that need a kernel of their own, as one program, and the skmem that they run.
pub(crate) struct Tests {
    pub(crate) program: PathBuf,
    pub(crate) skmem: PathBuf,
}

/// Builds both at once: cargo builds a package's programs for its tests, and [`skmem`] would build
/// it again, because libraries that only tests need ask for more features of what both are built
/// from.
pub(crate) fn vm_tests(arch: &Arch) -> Result<Tests> {
    let args = ["test", "--no-run", "--release", "--target", arch.target];
    let which = ["-p", "skmem-user", "--test", "vm"];
    let built = rust::build("skmem and the VM tests", &[&args[..], &which].concat())?;
    Ok(Tests {
        program: built.executable("vm")?,
        skmem: built.executable("skmem")?,
    })
}
