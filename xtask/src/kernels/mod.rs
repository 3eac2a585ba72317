//! The kernels that skmem is tested on: which there are, which of them are on this machine, how to
//! get one.

mod cache;
mod modules;
mod release;
mod resolve;

use std::{fmt, io::Write, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
pub(crate) use modules::collect as collect_modules;
use release::Request;
use serde_json::json;

use crate::{
    arch::{self, Arch, Flavour},
    error, process,
    setup::Setup,
};

/// The kernels that skmem is tested on, by what their releases begin with.
const LISTED: &[(&str, &str, Flavour)] = &[
    ("x86_64", "5.10", Flavour::Cloud),
    ("x86_64", "6.1", Flavour::Cloud),
    ("x86_64", "6.12", Flavour::Cloud),
    ("x86_64", "7", Flavour::Cloud),
    ("aarch64", "6.12", Flavour::Cloud),
    ("aarch64", "7", Flavour::Pages16k),
];
/// The one to use where none is named.
pub(crate) const DEFAULT: &str = "6.12";

/// `--kernel`, `--arch` and `--flavour`.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// A release or its beginning, a suite, or a path.
    pub(crate) kernel: String,
    pub(crate) arch: &'static Arch,
    pub(crate) flavour: Option<Flavour>,
}

impl Wanted {
    /// That kernel in its usual flavour.
    pub(crate) fn usual(kernel: &str, arch: &'static Arch) -> Self {
        Self {
            kernel: kernel.to_owned(),
            arch,
            flavour: None,
        }
    }

    fn request(&self) -> Result<Request> {
        let Self {
            kernel,
            arch,
            flavour,
        } = self;
        let whole = release::parts(kernel);
        if let Some(parts) = whole
            && (parts.arch != *arch || flavour.is_some_and(|flavour| flavour != parts.flavour))
        {
            return Err(error::usage(format!(
                "{kernel} is of --arch {} and --flavour {}",
                parts.arch,
                parts.flavour.name()
            )));
        }
        let flavour = flavour
            .or(whole.map(|parts| parts.flavour))
            .unwrap_or_else(|| arch.usual_flavour());
        if arch.suffix(flavour).is_none() {
            let known: Vec<_> = arch
                .flavours
                .iter()
                .map(|(known, _)| known.name())
                .collect();
            return Err(error::usage(format!(
                "Debian has no kernel of --flavour {} for {arch}: there are {}",
                flavour.name(),
                known.join(", ")
            )));
        }
        Request::parse(kernel, arch, flavour).ok_or_else(|| {
            error::usage(format!(
                "unknown kernel {kernel:?}: `cargo xtask kernels` lists the known ones; also any MAJOR.MINOR that Debian \
                 carries, `sid` for the newest there, or the path of a kernel image (with a slash in it)"
            ))
        })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kernel)?;
        // What is not said is amd64, on every machine: tables and docs go from one to the other.
        if self.arch != &arch::ALL[0] {
            write!(formatter, " {}", self.arch.debian)?;
        }
        match self.flavour {
            Some(flavour) if flavour != self.arch.usual_flavour() => {
                write!(formatter, " {}", flavour.name())
            }
            _ => Ok(()),
        }
    }
}

/// A kernel that a VM can boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// What `uname -r` says, or the file's name for a kernel of the user's own.
    pub(crate) release: String,
    /// The image that qemu boots.
    pub(crate) image: PathBuf,
    /// The directory under which its modules lie; None when it has everything built in.
    pub(crate) modules: Option<PathBuf>,
}

/// Finds a kernel here, or fetches it.
pub(crate) fn get(setup: &Setup, wanted: &Wanted, modules: Option<&PathBuf>) -> Result<Kernel> {
    if wanted.kernel.contains('/') {
        return own(&wanted.kernel, modules);
    }
    if modules.is_some() {
        return Err(error::usage(
            "--modules goes with a path: `--kernel PATH --modules DIR`",
        ));
    }
    let request = wanted.request()?;
    let cached = match cache::newest(&request)? {
        None => None,
        Some(cached) => match cached.fault()? {
            None => Some(cached),
            Some(fault) => {
                setup.warn_of(&fault);
                None
            }
        },
    };
    let Some(cached) = cached else {
        setup.needs(&format!("kernel {request}"))?;
        return resolve::fetch(&request)?.kernel();
    };
    // The newest of a suite changes: the lists are asked each time, where there is a way to them.
    if request.suite().is_some() && setup.may_fetch() {
        match resolve::fetch_newer(&request, &cached) {
            Ok(Some(newer)) => return newer.kernel(),
            Ok(None) => {}
            Err(failure) => {
                process::check_interrupted()?;
                eprintln!(
                    "warning: {failure:#}: booting {}, the newest on this machine",
                    cached.release
                );
            }
        }
    }
    cached.kernel()
}

fn own(path: &str, modules: Option<&PathBuf>) -> Result<Kernel> {
    let image = PathBuf::from(path);
    if !image.is_file() {
        bail!(
            "there is no kernel image {path}: give the path of a bzImage (x86_64) or an Image (aarch64)"
        );
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

/// A line of the list: a known kernel and the cached copy of it, if any, or a cached one outside of
/// the list.
struct Row {
    key: String,
    arch: &'static Arch,
    flavour: Flavour,
    cached: Option<cache::Cached>,
}

impl Row {
    fn is_default(&self) -> bool {
        self.key == DEFAULT && self.arch.is_host() && self.flavour == self.arch.usual_flavour()
    }
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
    let mut others = Vec::new();
    for arch in arch::ALL {
        others.extend(cache::all(arch)?);
    }
    for &(arch, name, flavour) in LISTED {
        let arch = Arch::named(arch).with_context(|| format!("{arch} is not an architecture"))?;
        let request = Request::parse(name, arch, flavour)
            .with_context(|| format!("{name} is not a release"))?;
        let cached = cache::newest(&request)?;
        others.retain(|other| !request.matches(&other.release));
        let key = match &cached {
            Some(cached) => release::series(&cached.release),
            None => name.to_owned(),
        };
        rows.push(Row {
            key,
            arch,
            flavour,
            cached,
        });
    }
    rows.extend(others.into_iter().filter_map(|cached| {
        let parts = release::parts(&cached.release)?;
        Some(Row {
            key: release::series(&cached.release),
            arch: parts.arch,
            flavour: parts.flavour,
            cached: Some(cached),
        })
    }));
    Ok(rows)
}

fn as_json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut object = json!({
                "kernel": row.key, "arch": row.arch.name, "flavour": row.flavour.name(), "default": row.is_default(),
                "cached": row.cached.is_some(),
            });
            if let Some(cached) = &row.cached {
                object["release"] = json!(cached.release);
                object["version"] = json!(cached.version());
                object["suite"] = json!(cached.suite);
                object["package_bytes"] = json!(cached.package_bytes());
            }
            object
        })
        .collect();
    format!("{:#}\n", serde_json::Value::Array(rows))
}

fn as_table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<8} {:<8} {:<8} {:<30} {:<18} {:>4}  {}\n",
        "kernel", "arch", "flavour", "release", "from", "MB", "package version"
    );
    for row in rows {
        let name = if row.is_default() {
            format!("{} *", row.key)
        } else {
            row.key.clone()
        };
        let (arch, flavour) = (row.arch.name, row.flavour.name());
        text.push_str(&match &row.cached {
            Some(cached) => format!(
                "{name:<8} {arch:<8} {flavour:<8} {:<30} {:<18} {:>4}  {}\n",
                cached.release,
                cached.suite,
                cached.package_bytes().div_ceil(1_000_000),
                cached.version()
            ),
            None => format!(
                "{name:<8} {arch:<8} {flavour:<8} {:<30} {}\n",
                "not on this machine", "fetched when first used"
            ),
        });
    }
    text.push_str("* used where no --kernel is given\n\nAlso --kernel with any MAJOR.MINOR that Debian carries, or sid: the newest there.\n");
    for arch in arch::ALL {
        let flavours: Vec<_> = arch
            .flavours
            .iter()
            .map(|(known, _)| known.name())
            .collect();
        text.push_str(&format!(
            "--arch {}: --flavour {}\n",
            arch.name,
            flavours.join(", ")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(kernel: &str, arch: &str, flavour: Option<Flavour>) -> Result<Request> {
        let arch = Arch::named(arch).unwrap();
        Wanted {
            kernel: kernel.to_owned(),
            arch,
            flavour,
        }
        .request()
    }

    #[test]
    fn the_usual_flavour_a_named_one_and_that_of_a_whole_release() {
        assert_eq!(
            wanted("6.12", "x86_64", None).unwrap().flavour,
            Flavour::Cloud
        );
        let found = wanted("6.12", "aarch64", Some(Flavour::Pages16k)).unwrap();
        assert_eq!(found.flavour, Flavour::Pages16k);
        let whole = wanted("6.12.118+deb13-rt-amd64", "x86_64", None).unwrap();
        assert_eq!(whole.flavour, Flavour::Rt);
    }

    #[test]
    fn what_contradicts_itself_or_does_not_exist_says_so() {
        let says = |found: Result<Request>| found.unwrap_err().to_string();
        let other = says(wanted("6.12.118+deb13-arm64-16k", "x86_64", None));
        assert!(
            other.contains("--arch aarch64 and --flavour 16k"),
            "{other}"
        );
        let none = says(wanted("6.12", "x86_64", Some(Flavour::Pages16k)));
        assert!(none.contains("there are cloud, rt, generic"), "{none}");
        assert!(says(wanted("latest", "x86_64", None)).contains("unknown kernel"));
    }

    #[test]
    fn what_is_listed_can_be_asked_for() {
        for (arch, kernel, flavour) in LISTED {
            wanted(kernel, arch, Some(*flavour)).unwrap();
        }
    }
}
