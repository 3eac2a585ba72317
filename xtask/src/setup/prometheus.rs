//! Prometheus and promtool, from Debian's package alone: what it depends on besides libc6 are parts
//! of its web pages.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::Setup;
use crate::{
    arch::Arch,
    debian::{self, Apt},
    paths,
};

const PACKAGE: &str = "prometheus";
/// That of the guest's other programs, for its libc.
const SUITE: &str = "bookworm";

/// The directory that both are in.
pub(super) fn ensure(setup: &Setup) -> Result<PathBuf> {
    let directory = paths::tools().join(format!("{PACKAGE}_{SUITE}"));
    if !directory.exists() {
        setup.needs(&format!("the package {PACKAGE}"))?;
        debian::check_present()?;
        let apt = Apt::update(SUITE, Arch::host())?;
        let candidate = apt
            .candidate(PACKAGE)?
            .with_context(|| format!("Debian's {SUITE} has no package {PACKAGE}"))?;
        let deb = debian::download(&apt, &candidate)?;
        debian::unpack(std::slice::from_ref(&deb), &directory)?;
    }
    Ok(directory.join("usr/bin"))
}
