//! Builds the eBPF programs, with the toolchain that builds this crate and the bpf-linker that `cargo xtask setup`
//! installed; or takes those that `SKMEM_EBPF_OBJECT` names, so that plain `cargo build` needs neither.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aya_build::{Package, Toolchain};

#[path = "build/object.rs"]
mod object;

/// Names a file with the eBPF programs, built from the same sources before.
const OBJECT: &str = "SKMEM_EBPF_OBJECT";

fn main() -> Result<()> {
    println!("cargo::rerun-if-env-changed={OBJECT}");
    match env::var_os(OBJECT) {
        Some(path) => take(Path::new(&path)),
        None => build(),
    }
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
    // Relative to this crate, so that a checkout that was copied together with its target/ watches its own files.
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
    // SAFETY: a build script's main is its only thread.
    unsafe {
        // Stable Rust, with core built for the BPF target.
        env::set_var("RUSTC_BOOTSTRAP", "1");
        // aya-build turns each line of the inner cargo into a warning.
        env::set_var("CARGO_TERM_QUIET", "true");
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
    )
}
