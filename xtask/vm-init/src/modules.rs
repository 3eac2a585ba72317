//! Kernel modules: loads those that the image lists, in the order it lists them.

use std::fs::{self, File};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    kmod::{ModuleInitFlags, finit_module},
};
use skmem_vm_init::MODULES_FILE;

/// Loads them all. One that cannot be loaded is named on the console and does no harm to the rest:
/// what needs it will say so in its own words.
pub(crate) fn load_all() -> Result<()> {
    let list =
        fs::read_to_string(MODULES_FILE).with_context(|| format!("cannot read {MODULES_FILE}"))?;
    for path in list.lines() {
        let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
        match finit_module(&file, c"", ModuleInitFlags::empty()) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => eprintln!("skmem-vm-init: cannot load {path}: {errno}"),
        }
    }
    Ok(())
}
