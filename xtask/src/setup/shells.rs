//! Shells for the test of completions, and mandoc for that of man pages: Debian's, unpacked into the cache with all that
//! they depend on, and run from there by their own loader.

use std::path::PathBuf;

use anyhow::Result;

use super::Setup;
use crate::arch::Arch;
use crate::debian::{self, Apt};
use crate::paths;

const SUITE: &str = "bookworm";
const PACKAGES: &[&str] = &["bash", "fish", "mandoc", "zsh"];

/// The directory that they are in.
pub(super) fn ensure(setup: &Setup) -> Result<PathBuf> {
    let directory = paths::tools().join(format!("shells_{SUITE}"));
    if !directory.exists() {
        setup.needs(&format!("the packages {}", PACKAGES.join(", ")))?;
        debian::check_present()?;
        let apt = Apt::update(SUITE, Arch::host())?;
        let packages: Vec<String> = PACKAGES.iter().map(|&package| package.into()).collect();
        debian::download_closure(&apt, &packages, &directory)?;
    }
    Ok(directory)
}
