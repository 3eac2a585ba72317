//! What is built to run in a guest: skmem, the first process, the VM tests.

use std::path::PathBuf;

use anyhow::Result;

use crate::rust::{self, GUEST_TARGET};

/// skmem itself, with its eBPF side inside.
pub(crate) fn skmem() -> Result<PathBuf> {
    rust::build(
        &[
            "build",
            "--release",
            "--target",
            GUEST_TARGET,
            "-p",
            "skmem-user",
            "--bin",
            "skmem",
        ],
        "skmem",
    )
}

/// The guest's first process.
pub(crate) fn init() -> Result<PathBuf> {
    const NAME: &str = "skmem-vm-init";
    rust::build(
        &[
            "build",
            "--release",
            "--target",
            GUEST_TARGET,
            "-p",
            NAME,
            "--bin",
            NAME,
        ],
        NAME,
    )
}

/// The tests that need a kernel of their own, as one program.
pub(crate) fn vm_tests() -> Result<PathBuf> {
    let test = [
        "test",
        "--no-run",
        "--target",
        GUEST_TARGET,
        "-p",
        "skmem-user",
        "--features",
        "vm-tests",
        "--test",
        "vm",
    ];
    rust::build(&test, "vm")
}
