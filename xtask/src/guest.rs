//! What is built to run in a guest: skmem, the first process, the VM tests. All of it optimised: emulation is slow
//! enough, and so they share the libraries they are built from.

use std::path::PathBuf;

use anyhow::Result;

use crate::rust::{self, GUEST_TARGET};

/// skmem itself, with its eBPF side inside.
pub(crate) fn skmem() -> Result<PathBuf> {
    let args = [
        "build",
        "--release",
        "--target",
        GUEST_TARGET,
        "-p",
        "skmem-user",
        "--bin",
        "skmem",
    ];
    rust::build("skmem", &args, "skmem")
}

/// The guest's first process.
pub(crate) fn init() -> Result<PathBuf> {
    const NAME: &str = "skmem-vm-init";
    rust::build(
        "the guest's init",
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
    let args = ["test", "--no-run", "--release", "--target", GUEST_TARGET];
    let which = ["-p", "skmem-user", "--test", "vm"];
    rust::build("the VM tests", &[&args[..], &which].concat(), "vm")
}
