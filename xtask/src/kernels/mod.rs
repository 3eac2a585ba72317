//! The kernels that skmem is tested on: which there are, which of them are on this machine, how to get one.

mod cache;
mod modules;
mod release;
mod resolve;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

pub(crate) use modules::collect as collect_modules;

use crate::error;
use crate::setup::Setup;
use release::Request;

/// The kernels that skmem promises to work on, by what their releases begin with. The last is the newest 7.x.
pub(crate) const MATRIX: &[&str] = &["5.10", "6.1", "6.12", "7"];
/// The one to use where none is named.
pub(crate) const DEFAULT: &str = "6.12";

/// A kernel that a VM can boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// What `uname -r` says, or the file's name for a kernel of the user's own.
    pub(crate) release: String,
    /// The bzImage.
    pub(crate) image: PathBuf,
    /// The directory under which its modules lie; None when it has everything built in.
    pub(crate) modules: Option<PathBuf>,
}

/// `--kernel`: a release such as `6.12`, or a path to a bzImage.
pub(crate) fn get(setup: &Setup, wanted: &str, modules: Option<&PathBuf>) -> Result<Kernel> {
    if wanted.contains('/') {
        return own(wanted, modules);
    }
    if modules.is_some() {
        return Err(error::usage(
            "--modules goes with a path: `--kernel PATH --modules DIR`",
        ));
    }
    let request = Request::parse(wanted).ok_or_else(|| {
        error::usage(format!(
            "unknown kernel {wanted:?}: `cargo xtask kernels` lists the known ones; also any MAJOR.MINOR that Debian \
             carries, or the path of a bzImage (with a slash in it)"
        ))
    })?;
    if let Some(cached) = cache::newest(&request)? {
        match cached.fault()? {
            None => return cached.kernel(),
            Some(fault) => setup.warn_of(&fault),
        }
    }
    setup.needs(&format!("kernel {wanted}"))?;
    resolve::fetch(&request)?.kernel()
}

fn own(path: &str, modules: Option<&PathBuf>) -> Result<Kernel> {
    let image = PathBuf::from(path);
    if !image.is_file() {
        bail!("there is no kernel image {path}: give the path of a bzImage");
    }
    if let Some(directory) = modules.filter(|directory| !directory.is_dir()) {
        bail!(
            "there is no directory {}: give the one that holds the kernel's modules (lib/modules/RELEASE)",
            directory.display()
        );
    }
    let release = image
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(Kernel {
        release,
        image,
        modules: modules.cloned(),
    })
}

/// Options of `cargo xtask kernels`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// A line of the list: a known kernel and the cached copy of it, if any, or a cached one outside of the matrix.
struct Row {
    key: String,
    cached: Option<cache::Cached>,
}

/// Lists the kernels. Touches no network.
pub(crate) fn run(options: &Options) -> Result<u8> {
    let rows = rows()?;
    let text = if options.json {
        as_json(&rows)
    } else {
        as_table(&rows)
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to stdout")?;
    Ok(0)
}

fn rows() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut others = cache::all()?;
    for name in MATRIX {
        let request = Request::parse(name).with_context(|| format!("{name} is no release"))?;
        let cached = cache::newest(&request)?;
        others.retain(|other| !request.matches(&other.release));
        let key = match &cached {
            Some(cached) => release::series(&cached.release),
            None => (*name).to_owned(),
        };
        rows.push(Row { key, cached });
    }
    rows.extend(others.into_iter().map(|cached| Row {
        key: release::series(&cached.release),
        cached: Some(cached),
    }));
    Ok(rows)
}

fn as_json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|Row { key, cached }| match cached {
            Some(cached) => json!({
                "kernel": key, "cached": true, "default": key == DEFAULT, "release": cached.release,
                "version": cached.version(), "suite": cached.suite, "package_bytes": cached.package_bytes(),
            }),
            None => json!({ "kernel": key, "cached": false, "default": key == DEFAULT }),
        })
        .collect();
    format!("{:#}\n", serde_json::Value::Array(rows))
}

fn as_table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<8} {:<34} {:<18} {:>6}  {}\n",
        "kernel", "release", "from", "MB", "package version"
    );
    for Row { key, cached } in rows {
        let name = if key == DEFAULT {
            format!("{key} *")
        } else {
            key.clone()
        };
        text.push_str(&match cached {
            Some(cached) => format!(
                "{name:<8} {:<34} {:<18} {:>6}  {}\n",
                cached.release,
                cached.suite,
                cached.package_bytes().div_ceil(1_000_000),
                cached.version()
            ),
            None => format!(
                "{name:<8} {:<34} {}\n",
                "not on this machine", "fetched when first used"
            ),
        });
    }
    text.push_str("* used where no --kernel is given\n");
    text
}
