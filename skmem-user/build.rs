//! Builds the eBPF programs, with the toolchain that builds this crate and the bpf-linker that
//! `cargo xtask setup` installed; or takes those that `SKMEM_EBPF_OBJECT` names, so that plain
//! `cargo build` needs neither. And says which commit it is, where it is given that.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use aya_build::{Package, Toolchain};

#[path = "build/object.rs"]
mod object;

/// Names a file with the eBPF programs, built from the same sources before.
const OBJECT: &str = "SKMEM_EBPF_OBJECT";

/// Names the commit that is built, for `skmem --version`.
const COMMIT: &str = "SKMEM_COMMIT";

fn main() -> Result<()> {
    version();
    println!("cargo::rerun-if-env-changed={OBJECT}");
    match env::var_os(OBJECT) {
        Some(path) => take(Path::new(&path)),
        None => build(),
    }?;
    pack()
}

/// Packs the programs; what is linked in is that.
fn pack() -> Result<()> {
    let out = env::var_os("OUT_DIR").context("no OUT_DIR")?;
    let programs = Path::new(&out).join("skmem-programs");
    let bytes = fs::read(&programs).context("the programs are not there")?;
    let packed = lz4_flex::block::compress_prepend_size(&bytes);
    fs::write(programs.with_extension("lz4"), packed)?;
    Ok(())
}

/// Says what is built: the version, and the commit, which who packages a checkout names in a
/// variable, and an archive of the source in a file. Git is not asked: each commit would compile
/// everything anew.
fn version() {
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let file = Path::new("../COMMIT");
    let commit = env::var(COMMIT).or_else(|_| {
        let text = fs::read_to_string(file);
        if text.is_ok() {
            println!("cargo::rerun-if-changed={}", file.display());
        }
        text
    });
    let from = match &commit {
        Ok(commit) => format!("commit {}", commit.trim()),
        Err(_) => "built from a checkout".to_owned(),
    };
    let version = env!("CARGO_PKG_VERSION");
    println!("cargo::rustc-env=SKMEM_VERSION={version} ({from})");
}

/// Puts a file that is there where the crate looks for the programs.
fn take(path: &Path) -> Result<()> {
    let name = path.display();
    // Relative to where cargo runs this: the crate's directory.
    println!("cargo::rerun-if-changed={name}");
    let bytes = fs::read(path).map_err(|e| anyhow!("{OBJECT}={name}: cannot be read: {e}"))?;
    let little_endian = env::var("CARGO_CFG_TARGET_ENDIAN").is_ok_and(|order| order == "little");
    object::check(&bytes, little_endian).map_err(|e| {
        anyhow!("{OBJECT}={name}: {e}; `cargo xtask build --object FILE` writes one")
    })?;
    let out = env::var_os("OUT_DIR").context("no OUT_DIR")?;
    fs::write(Path::new(&out).join("skmem-programs"), bytes)?;
    Ok(())
}

fn build() -> Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("no CARGO_MANIFEST_DIR")?)
        .parent()
        .context("this crate has no parent directory")?
        .to_path_buf();
    let linker = root.join(".tools/bin/bpf-linker");
    // Relative to this crate, so that a checkout that was copied together with its target/ watches
    // its own files.
    println!("cargo::rerun-if-changed=../.tools/bin/bpf-linker");
    println!("cargo::rerun-if-env-changed=RUSTUP_TOOLCHAIN");
    println!("cargo::rerun-if-changed=build");
    for dir in ["skmem-ebpf", "skmem-common"] {
        println!("cargo::rerun-if-changed=../{dir}");
    }
    if !linker.exists() {
        bail!(
            "bpf-linker is missing: run `cargo xtask setup`, which installs it into .tools/, or name built eBPF programs \
             by {OBJECT}"
        );
    }
    let toolchain = env::var("RUSTUP_TOOLCHAIN").context(
        "not run through rustup: use `cargo xtask`, which pins the toolchain, or name built eBPF programs by \
         SKMEM_EBPF_OBJECT",
    )?;
    let given_away = env::var_os(COMMIT).is_some();
    // SAFETY: a build script's main is its only thread.
    unsafe {
        // Stable Rust, with core built for the BPF target.
        env::set_var("RUSTC_BOOTSTRAP", "1");
        // aya-build turns each line of the inner cargo into a warning.
        env::set_var("CARGO_TERM_QUIET", "true");
        if given_away {
            // BTF holds the names of source files: those within the checkout, so that it does not
            // matter where that is.
            env::set_var("CARGO_UNSTABLE_TRIM_PATHS", "true");
            env::set_var("CARGO_PROFILE_RELEASE_TRIM_PATHS", "all");
        }
        env::set_var("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &linker);
        env::set_var("CARGO_TARGET_BPFEB_UNKNOWN_NONE_LINKER", &linker);
    }
    aya_build::build_ebpf(
        [Package {
            name: "skmem-ebpf",
            root_dir: "../skmem-ebpf",
            no_default_features: false,
            features: &[],
        }],
        Toolchain::Custom(&toolchain),
    )?;
    if given_away {
        let out = env::var_os("OUT_DIR").context("no OUT_DIR")?;
        strip(&Path::new(&out).join("skmem-programs"))?;
    }
    Ok(())
}

/// Takes DWARF out of the programs, which is four fifths of them: the kernel reads BTF, and so does
/// everybody else.
fn strip(programs: &Path) -> Result<()> {
    let rustc = env::var_os("RUSTC").context("no RUSTC")?;
    let host = env::var("HOST").context("no HOST")?;
    let sysroot = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .context("cannot run rustc")?;
    let sysroot = String::from_utf8(sysroot.stdout)?;
    let lib = Path::new(sysroot.trim()).join("lib");
    let objcopy = lib.join("rustlib").join(host).join("bin/rust-objcopy");
    let status = Command::new(&objcopy)
        .arg("--strip-debug")
        .arg(programs)
        .env("LD_LIBRARY_PATH", lib)
        .status()
        .with_context(|| format!("cannot run {}", objcopy.display()))?;
    ensure!(status.success(), "{} failed: {status}", objcopy.display());
    Ok(())
}
