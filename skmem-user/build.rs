//! Builds the eBPF programs, with the toolchain that builds this crate and the
//! bpf-linker that `cargo xtask setup` installed.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain};

fn main() -> Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("no CARGO_MANIFEST_DIR")?)
        .parent()
        .context("this crate has no parent directory")?
        .to_path_buf();
    let linker = root.join(".tools/bin/bpf-linker");
    // Relative to this crate, so that a checkout that was copied together with its target/ watches its own files.
    println!("cargo::rerun-if-changed=../.tools/bin/bpf-linker");
    println!("cargo::rerun-if-env-changed=RUSTUP_TOOLCHAIN");
    for dir in ["skmem-ebpf", "skmem-common"] {
        println!("cargo::rerun-if-changed=../{dir}");
    }
    if !linker.exists() {
        bail!("bpf-linker is missing: run `cargo xtask setup`, which installs it into .tools/");
    }
    let toolchain = env::var("RUSTUP_TOOLCHAIN")
        .context("not run through rustup: use `cargo xtask`, which pins the toolchain")?;
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
