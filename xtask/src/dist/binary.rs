//! The binary that is given away: small, and the same wherever it is built.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{files::read, release::Release};
use crate::{arch::Arch, guest, paths, process, rust};

/// Where debuggers find the source, if anybody puts it there.
const SOURCE: &str = "/usr/src/skmem";

/// What the build left.
pub(super) struct Binary {
    /// Without symbols; names the file of debug information.
    pub(super) stripped: Vec<u8>,
    /// The debug information alone.
    pub(super) debug: Vec<u8>,
    /// The eBPF programs in it.
    pub(super) object: Vec<u8>,
    /// The same with everything in one file.
    pub(super) whole: PathBuf,
    /// A skmem for this machine, which writes man pages and completions.
    pub(super) runs_here: PathBuf,
}

/// Builds the source in `root`, with cargo's files in `target`.
pub(super) fn build(
    root: &Path,
    arch: &'static Arch,
    release: &Release,
    target: &Path,
) -> Result<Binary> {
    let mut fetch = rust::cargo();
    // So that cargo's directory of sources is there to be named below.
    fetch
        .current_dir(root)
        .args(["fetch", "--locked", "--target", arch.target]);
    process::succeed(&mut fetch, None)?;
    let mut cargo = rust::cargo();
    cargo
        .current_dir(root)
        .args([
            "build",
            "--locked",
            "--profile",
            "dist",
            "--target",
            arch.target,
        ])
        .args(["-p", "skmem-user", "--bin", "skmem"])
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(root)?)
        .env("CARGO_INCREMENTAL", "0")
        // The linker that comes with the toolchain: this machine's C compiler would be part of the
        // result.
        .env(rust::linker_variable(arch.target), "rust-lld")
        .env("SKMEM_COMMIT", release.built_from());
    let built = rust::build_by("skmem as it is given away", "building (minutes)", cargo)?;
    let whole = built.executable("skmem")?;
    let directory = tempfile::tempdir_in(target)
        .with_context(|| format!("cannot write to {}", target.display()))?;
    let at = |name: &str| directory.path().join(name);
    objcopy(&["--only-keep-debug"], &whole, &at("skmem.debug"))?;
    let link = format!("--add-gnu-debuglink={}", at("skmem.debug").display());
    objcopy(&["--strip-all", &link], &whole, &at("skmem"))?;
    Ok(Binary {
        stripped: read(&at("skmem"))?,
        debug: read(&at("skmem.debug"))?,
        object: read(&built.out_dir("skmem-user")?.join("skmem-programs"))?,
        runs_here: if arch.is_host() {
            whole.clone()
        } else {
            guest::skmem(Arch::host())?
        },
        whole,
    })
}

/// No path of this machine stays in the binary, and debuggers tell binaries apart by their build
/// id.
fn flags(root: &Path) -> Result<OsString> {
    let mut flags = Vec::new();
    let mut renamed = |from: &Path, to: &str| {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    };
    renamed(root, SOURCE);
    for sources in registries()? {
        renamed(&sources, &format!("{SOURCE}/vendor"));
    }
    let sysroot = process::succeed(rust::run("rustc").args(["--print", "sysroot"]), None)?;
    let version = process::succeed(rust::run("rustc").arg("-vV"), None)?;
    let commit = version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "));
    renamed(
        &Path::new(sysroot.trim()).join("lib/rustlib/src/rust"),
        &format!("/rustc/{}", commit.unwrap_or_default()),
    );
    flags.push("-Clink-arg=--build-id=sha1".to_owned());
    // 700 KB of relocations in a few: musl knows these from 1.2.4 on, and Rust brings 1.2.5.
    flags.push("-Clink-arg=--pack-dyn-relocs=relr".to_owned());
    Ok(flags.join("\u{1f}").into())
}

/// Where cargo keeps the sources of packages, a directory for each registry.
fn registries() -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = home
        .context("neither CARGO_HOME nor HOME is set")?
        .join("registry/src");
    let Ok(entries) = fs::read_dir(&sources) else {
        // Vendored: they lie in the checkout.
        return Ok(Vec::new());
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}

/// The one of the toolchain, which knows all architectures.
fn objcopy(arguments: &[&str], from: &Path, to: &Path) -> Result<()> {
    let sysroot = process::succeed(rust::run("rustc").args(["--print", "sysroot"]), None)?;
    let host = format!("{}-unknown-linux-gnu", Arch::host().name);
    let program = Path::new(sysroot.trim()).join(format!("lib/rustlib/{host}/bin/rust-objcopy"));
    let mut command = rust::run(&program.to_string_lossy());
    command.args(arguments).arg(from).arg(to);
    process::succeed(&mut command, None).map(drop)
}

/// Says how large things came out.
pub(super) fn report(binary: &Binary, written: &[PathBuf]) -> Result<()> {
    let mut out = io::stderr();
    let megabytes = |bytes: u64| format!("{:6.2} MB", bytes as f64 / 1e6);
    let parts = [
        ("skmem, stripped", binary.stripped.len()),
        ("eBPF programs, packed in it", binary.object.len()),
        ("skmem.debug", binary.debug.len()),
    ];
    for (what, length) in parts {
        writeln!(out, "{}  {what}", megabytes(length as u64)).context("cannot write")?;
    }
    for path in written {
        let length = fs::metadata(path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .len();
        writeln!(out, "{}  {}", megabytes(length), paths::shown(path)).context("cannot write")?;
    }
    Ok(())
}
