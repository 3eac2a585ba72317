//! Preparing a machine: each part is checked cheaply, and fetched, built or installed only when it
//! is missing.

mod browser;
mod busybox;
mod emulator;
mod linker;
mod packages;
mod programs;
mod prometheus;
mod python;
mod system;
mod toolchain;

use std::{
    cell::Cell,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
pub(crate) use emulator::command as emulator_command;
pub(crate) use packages::{JUDGES, Packages};
pub(crate) use programs::{CARGO_DENY, CARGO_FUZZ, CARGO_GENERATE_RPM, MDBOOK, Program};

use crate::{
    arch::Arch,
    cli::SetupOptions,
    kernels::{self, Kernel, Wanted},
    paths,
};

/// Programs that read exports.
pub(crate) struct Readers {
    /// The Python that has DuckDB.
    pub(crate) python: PathBuf,
    /// Node.js, for Perfetto's trace processor.
    pub(crate) node: PathBuf,
    /// Where that is.
    pub(crate) perfetto: PathBuf,
}

/// How far set-up may go, and the lock that keeps two of them from working on the same files.
pub(crate) struct Setup {
    assume_yes: bool,
    forbidden: bool,
    lock: File,
    locked: Cell<bool>,
}

impl Setup {
    /// Opens the cache.
    pub(crate) fn new(options: &SetupOptions) -> Result<Self> {
        let tools = paths::tools();
        fs::create_dir_all(&tools).with_context(|| format!("cannot create {}", tools.display()))?;
        let file = tools.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file);
        let in_ci =
            std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        Ok(Self {
            assume_yes: options.yes || in_ci,
            forbidden: options.no_setup,
            lock: lock.with_context(|| format!("cannot open {}", file.display()))?,
            locked: Cell::new(false),
        })
    }

    /// Says that something in the cache cannot be used, and what is done about it.
    pub(crate) fn warn_of(&self, fault: &str) {
        let remedy = if self.forbidden {
            "--no-setup forbids to fetch it again"
        } else {
            "fetching it again"
        };
        eprintln!("warning: {fault}: {remedy}");
    }

    /// May anything be fetched?
    pub(crate) fn may_fetch(&self) -> bool {
        !self.forbidden
    }

    /// Call before fetching, building or installing `what`: fails when that is not wanted.
    pub(crate) fn needs(&self, what: &str) -> Result<()> {
        if self.forbidden {
            bail!("{what} is missing: run the same command without --no-setup");
        }
        Ok(())
    }

    /// Runs `check` alone among all set-ups in this checkout.
    fn alone<T>(&self, check: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.locked.replace(true) {
            return check();
        }
        match self.lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("waiting for another set-up in this checkout to end");
                self.lock.lock().context("cannot lock .tools/lock")?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context("cannot lock .tools/lock");
            }
        }
        let result = check();
        self.locked.set(false);
        self.lock.unlock().context("cannot unlock .tools/lock")?;
        result
    }

    /// Everything that building skmem for `arch` needs.
    pub(crate) fn build_tools(&self, arch: &'static Arch) -> Result<()> {
        self.alone(|| {
            toolchain::ensure(self, arch)?;
            linker::ensure(self)
        })
    }

    /// qemu for guests of this architecture.
    pub(crate) fn emulator(&self, guest: &Arch) -> Result<()> {
        self.alone(|| emulator::ensure(self, guest))
    }

    /// A browser without a window, for a test: its program.
    pub(crate) fn browser(&self) -> Result<PathBuf> {
        self.alone(|| browser::ensure(self))
    }

    /// Shells and mandoc, for the tests of completions and man pages: where they are.
    pub(crate) fn shells(&self) -> Result<PathBuf> {
        self.packages(&packages::SHELLS)
    }

    /// Programs of Debian's: the directory that they are in.
    pub(crate) fn packages(&self, wanted: &Packages) -> Result<PathBuf> {
        self.alone(|| packages::ensure(self, wanted))
    }

    /// Prometheus and promtool, of Debian's: the directory that they are in.
    pub(crate) fn prometheus(&self) -> Result<PathBuf> {
        self.alone(|| prometheus::ensure(self))
    }

    /// What reads exports in every test run.
    pub(crate) fn readers(&self) -> Result<Readers> {
        self.alone(|| {
            let python = python::ensure(self, &python::READERS)?;
            Ok(Readers {
                node: python::node(self)?,
                perfetto: python::perfetto(&python)?,
                python,
            })
        })
    }

    /// The engines that read exports where that is asked for: the Python that has them.
    pub(crate) fn engines(&self) -> Result<PathBuf> {
        self.alone(|| {
            python::java(self)?;
            python::ensure(self, &python::ENGINES)
        })
    }

    /// What holds manifests against the schemas of Kubernetes: the Python that has it.
    pub(crate) fn manifests(&self) -> Result<PathBuf> {
        self.alone(|| python::ensure(self, &python::MANIFESTS))
    }

    /// A program from crates.io: where it is.
    pub(crate) fn program(&self, program: &Program) -> Result<PathBuf> {
        self.alone(|| {
            toolchain::ensure(self, Arch::host())?;
            programs::ensure(self, program)
        })
    }

    /// A static busybox, the guest's user land: the path of the binary.
    pub(crate) fn busybox(&self, guest: &Arch) -> Result<PathBuf> {
        self.alone(|| busybox::ensure(self, guest))
    }

    /// A kernel to boot.
    pub(crate) fn kernel(&self, wanted: &Wanted, modules: Option<&PathBuf>) -> Result<Kernel> {
        self.alone(|| kernels::get(self, wanted, modules))
    }
}

/// `cargo xtask setup`: everything for the demo.
pub(crate) fn run(setup: &Setup, arch: &'static Arch) -> Result<u8> {
    setup.emulator(arch)?;
    setup.build_tools(arch)?;
    setup.busybox(arch)?;
    let kernel = setup.kernel(&Wanted::usual(kernels::DEFAULT, arch), None)?;
    eprintln!(
        "ready: toolchain, bpf-linker, qemu, busybox, kernel {}",
        kernel.release
    );
    Ok(0)
}

/// Is there a program of this name?
pub(crate) fn is_on_path(program: &str) -> bool {
    find_on_path(program).is_some()
}

fn find_on_path(program: &str) -> Option<PathBuf> {
    // An ordinary user's PATH often lacks the directories of system programs.
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|directory| directory.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
