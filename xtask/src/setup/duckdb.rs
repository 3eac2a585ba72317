//! DuckDB, which reads what `skmem export` writes in a test: its Python package, in an environment of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Setup, is_on_path, system};
use crate::paths;
use crate::process;
use crate::progress::Step;

/// What pip installs: the version and what its files must be.
const REQUIREMENTS: &str = include_str!("duckdb.txt");

const PYTHON: &str = "python3";
/// Debian's Python makes no environments without it.
const VENV: &str = "python3-venv";

/// The Python that has it.
pub(super) fn ensure(setup: &Setup) -> Result<PathBuf> {
    let directory = paths::tools().join("duckdb");
    let python = directory.join("bin/python");
    // Written last: an environment without it is not whole, or of another version.
    let note = directory.join("requirements.txt");
    if fs::read_to_string(&note).is_ok_and(|has| has == REQUIREMENTS) && imports(&python) {
        return Ok(python);
    }
    setup.needs("DuckDB (from PyPI, for the tests of `skmem export`)")?;
    if !is_on_path(PYTHON) {
        system::install(setup, PYTHON, VENV)?;
    }
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    let step = Step::start("DuckDB", "installing (half a minute)");
    if environment(&directory, &step).is_err() {
        process::check_interrupted()?;
        system::install(setup, "python3 -m venv", VENV)?;
        environment(&directory, &step).context("cannot make an environment for DuckDB")?;
    }
    let wanted = directory.join("wanted.txt");
    fs::write(&wanted, REQUIREMENTS)
        .with_context(|| format!("cannot write {}", wanted.display()))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args(["--disable-pip-version-check", "--no-deps"])
        .args([
            "--only-binary",
            ":all:",
            "--require-hashes",
            "--requirement",
        ])
        .arg(&wanted);
    process::succeed(&mut pip, Some(&step)).context("DuckDB cannot be installed from PyPI")?;
    fs::rename(&wanted, &note).with_context(|| format!("cannot write {}", note.display()))?;
    step.done("installed");
    Ok(python)
}

fn environment(directory: &Path, step: &Step) -> Result<()> {
    let mut venv = Command::new(PYTHON);
    venv.args(["-m", "venv"]).arg(directory);
    process::succeed(&mut venv, Some(step)).map(drop)
}

/// A Python that was replaced since leaves an environment that does not run.
fn imports(python: &Path) -> bool {
    let mut command = Command::new(python);
    process::capture(command.args(["-c", "import duckdb"]), None)
        .is_ok_and(|captured| captured.status.success())
}
