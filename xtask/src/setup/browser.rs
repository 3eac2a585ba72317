//! A browser without a window, which loads the pages of `skmem plot` in a test.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Setup, find_on_path, system};

/// Programs that will do, the same browser under different names.
const PROGRAMS: &[&str] = &[
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];
const PACKAGE: &str = "chromium";

/// The browser's program.
pub(super) fn ensure(setup: &Setup) -> Result<PathBuf> {
    let find = || PROGRAMS.iter().find_map(|program| find_on_path(program));
    if let Some(browser) = find() {
        return Ok(browser);
    }
    system::install(setup, PROGRAMS[0], PACKAGE)?;
    find().with_context(|| format!("{PACKAGE} is installed, and not on the PATH"))
}
