//! What is built to run in a guest: skmem, the first process, the VM tests. All of it optimised:
//! emulation is slow enough, and so they share the libraries they are built from.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{arch::Arch, rust};

/// skmem itself, with its eBPF side inside.
pub(crate) fn skmem(arch: &Arch) -> Result<PathBuf> {
    program(arch, "skmem", "skmem-user", "skmem")
}

/// skmem and benches of it, of this checkout or of another source: its directory, and where what is
/// built from it is kept. Both at once, for the same reason as [`vm_tests`].
pub(crate) fn with_benches(
    arch: &Arch,
    what: &str,
    other: Option<(&Path, &Path)>,
    benches: &[&str],
) -> Result<rust::Built> {
    let mut args: Vec<String> = match benches {
        [] => vec!["build".into(), "--release".into(), "--bin=skmem".into()],
        _ => vec!["bench".into(), "--no-run".into()],
    };
    args.push(format!("--target={}", arch.target));
    args.push("--package=skmem-user".into());
    args.extend(benches.iter().map(|bench| format!("--bench={bench}")));
    if let Some((directory, target)) = other {
        let manifest = directory.join("Cargo.toml");
        args.push(format!("--manifest-path={}", manifest.display()));
        args.push(format!("--target-dir={}", target.display()));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    rust::build(what, &args)
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
