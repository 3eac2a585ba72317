//! Programs of Debian's, unpacked into the cache with all that they depend on: nothing of them is
//! installed.

use std::path::PathBuf;

use anyhow::Result;

use super::Setup;
use crate::{
    arch::Arch,
    debian::{self, Apt},
    paths,
};

/// Packages that are wanted together.
pub(crate) struct Packages {
    /// What their directory is called.
    name: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
}

/// Shells for the test of completions, and mandoc for that of man pages.
pub(super) const SHELLS: Packages = Packages {
    name: "shells",
    suite: "bookworm",
    packages: &["bash", "fish", "mandoc", "zsh"],
};

/// What judges packages of Debian's and of RPM's family. They are run with their directory as root,
/// and want a shell and what it calls.
pub(crate) const JUDGES: Packages = Packages {
    name: "judges",
    suite: "trixie",
    packages: &[
        "bash",
        "coreutils",
        "dash",
        "debianutils",
        "findutils",
        "grep",
        "gzip",
        "libc-bin",
        "lintian",
        "rpm",
        "sed",
        "tar",
    ],
};

/// The directory that they are in.
pub(super) fn ensure(setup: &Setup, wanted: &Packages) -> Result<PathBuf> {
    let Packages {
        name,
        suite,
        packages,
    } = wanted;
    let directory = paths::tools().join(format!("{name}_{suite}"));
    if !directory.exists() {
        setup.needs(&format!("the packages {}", packages.join(", ")))?;
        debian::check_present()?;
        let apt = Apt::update(suite, Arch::host())?;
        let packages: Vec<String> = packages.iter().map(|&package| package.into()).collect();
        debian::download_closure(&apt, &packages, &directory)?;
    }
    Ok(directory)
}
