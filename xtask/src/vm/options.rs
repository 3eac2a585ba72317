//! The options of a machine: what to boot, and on what.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    arch::{Arch, Flavour},
    error,
    kernels::{self, Wanted},
};

/// The machine to boot.
#[derive(Debug, Clone, Args)]
pub(crate) struct MachineOptions {
    /// A release or its beginning (see `cargo xtask kernels`), sid for the newest there, or the
    /// path of a kernel image
    #[arg(long, global = true, value_name = "KERNEL", default_value = kernels::DEFAULT)]
    kernel: String,
    /// The guest's architecture; another one than this machine's is emulated
    #[arg(long, global = true, value_name = "ARCH", default_value_t = Arch::host(), value_parser = Arch::parser())]
    arch: &'static Arch,
    /// Which of Debian's kernels of this release [default: the one made for VMs]
    #[arg(long, global = true, value_name = "FLAVOUR")]
    flavour: Option<Flavour>,
    /// The modules of a kernel given by its path: its directory lib/modules/RELEASE
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) modules: Option<PathBuf>,
    /// Processors of the guest
    #[arg(long, global = true, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) cpus: u32,
    /// Memory of the guest: a number of MiB, or with a suffix M or G [default: 512M, or what its
    /// files need]
    #[arg(long, global = true, value_name = "SIZE", value_parser = parse_memory)]
    pub(super) memory: Option<u32>,
    /// How the guest's processors are made; auto takes KVM when a trial boot with it works
    #[arg(long, global = true, value_name = "HOW", default_value = "auto")]
    pub(super) accel: AccelChoice,
    /// Let the guest's clock count instructions: times in it are repeatable, and not those of a
    /// real machine
    #[arg(long, global = true)]
    pub(super) icount: bool,
    /// Stop the VM after this long, boot included [default: 300; none for `vm shell`]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub(super) timeout: Option<u64>,
    /// Debian packages to have in the guest: ip, tc, ss, ethtool, bpftrace, or any package's name
    #[arg(long, global = true, value_name = "PACKAGE", value_delimiter = ',')]
    pub(super) with: Vec<String>,
    /// Debian's release that they are of
    #[arg(long, global = true, value_name = "SUITE", default_value = SUITE)]
    pub(super) suite: String,
    /// Let Debian's systemd be the guest's first process
    #[arg(long, global = true)]
    pub(super) systemd: bool,
    /// Say nothing on stderr but CMD's own words and failures
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// The skmem to have on the PATH, where it is built already
    #[arg(skip)]
    pub(super) skmem: Option<PathBuf>,
    /// Stop the VM when its command has printed nothing for this long
    #[arg(skip)]
    pub(super) silence: Option<Duration>,
}

impl MachineOptions {
    /// The kernel to boot.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            kernel: self.kernel.clone(),
            arch: self.arch,
            flavour: self.flavour,
        }
    }

    /// All packages that it has.
    pub(super) fn packages(&self) -> Vec<String> {
        let systemd = self.systemd.then(|| "systemd".to_owned());
        self.with.iter().cloned().chain(systemd).collect()
    }

    /// Memory of the guest, in MiB, whose image is of this many bytes: it lies there as it is
    /// loaded, and files may take half of the rest.
    ///
    /// # Errors
    /// Where what was asked for does not hold it.
    pub(super) fn memory_for(&self, image: u64) -> Result<u32> {
        let files = u32::try_from(image >> 20).unwrap_or(u32::MAX);
        let least = files.saturating_mul(3).saturating_add(ROOM);
        match self.memory {
            None => Ok(least.max(DEFAULT_MEMORY)),
            Some(asked) if asked >= least => Ok(asked),
            Some(asked) => Err(error::usage(format!(
                "--memory {asked}M does not hold the guest's files ({files} MiB, three times that while they \
                 are unpacked): give it {least}M or more"
            ))),
        }
    }

    /// What the tests run on.
    pub(crate) fn for_tests(wanted: &Wanted, timeout: u64) -> Self {
        let Wanted {
            kernel,
            arch,
            flavour,
        } = wanted.clone();
        Self {
            kernel,
            arch,
            flavour,
            modules: None,
            cpus: 2,
            // tcp_mem goes by it, and the cases with thousands of connections are not about
            // tcp_mem.
            memory: Some(2048),
            accel: AccelChoice::Auto,
            icount: false,
            timeout: Some(timeout),
            with: WITH.iter().map(|&tool| tool.to_owned()).collect(),
            suite: SUITE.to_owned(),
            systemd: false,
            quiet: false,
            skmem: None,
            silence: None,
        }
    }

    /// The same with a skmem that is built already.
    pub(crate) fn running(self, skmem: &Path) -> Self {
        Self {
            skmem: Some(skmem.to_owned()),
            ..self
        }
    }

    /// The same, stopped when its command has printed nothing for this long.
    pub(crate) fn stopped_when_silent(self, silence: Duration) -> Self {
        Self {
            silence: Some(silence),
            ..self
        }
    }

    /// The same with other packages in it, of this release.
    pub(crate) fn with(self, suite: &str, packages: &[&str]) -> Self {
        Self {
            with: packages.iter().map(|&name| name.to_owned()).collect(),
            suite: suite.to_owned(),
            ..self
        }
    }

    /// The same with systemd as the first process and Podman, and none of the usual packages.
    pub(crate) fn with_systemd(self) -> Self {
        Self {
            systemd: true,
            ..self.with(SUITE, SYSTEMD_TESTS)
        }
    }

    /// The same with more packages in it.
    pub(crate) fn with_more(&self, packages: &[&str]) -> Self {
        let mut options = self.clone();
        let more = packages.iter().map(|&name| name.to_owned());
        options.with.extend(more);
        options
    }

    /// What the bench runs on.
    pub(crate) fn for_bench(wanted: &Wanted, timeout: u64, bpftrace: bool) -> Self {
        Self {
            // bpftrace and its libraries lie in it.
            memory: Some(1536),
            accel: AccelChoice::Tcg,
            with: if bpftrace {
                vec!["bpftrace".to_owned()]
            } else {
                Vec::new()
            },
            ..Self::for_tests(wanted, timeout)
        }
    }

    /// The same with this much memory, in MiB.
    pub(crate) fn sized(&self, memory: u32) -> Self {
        Self {
            memory: Some(memory),
            ..self.clone()
        }
    }

    /// The same with one processor and a clock that counts instructions.
    pub(crate) fn counting(&self) -> Self {
        Self {
            cpus: 1,
            icount: true,
            ..self.clone()
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum AccelChoice {
    Auto,
    Kvm,
    Tcg,
}

/// What tests have in their guest: `ss`, which skmem's numbers are held against, and programs that
/// people run, which it watches.
const WITH: &[&str] = &["ss", "iperf3", "mptcpize", "nginx", "redis-server", "socat"];

/// What tests have where systemd is the first process: Podman, and the bus over which it asks for
/// cgroups.
const SYSTEMD_TESTS: &[&str] = &["dbus", "podman"];

/// Where packages come from where no release is named, whatever the guest's kernel is: old enough
/// for programs that the oldest kernel can run.
const SUITE: &str = "bookworm";

/// Seconds that a command may take where nothing else is said.
pub(super) const TIMEOUT: u64 = 300;

/// Memory of a guest where nothing else is said, in MiB.
const DEFAULT_MEMORY: u32 = 512;

/// What its kernel and its programs need beside its files, in MiB.
const ROOM: u32 = 64;

/// Less than this does not hold the image, and more than this is a slip of the pen.
const MEMORY: std::ops::RangeInclusive<u32> = 128..=65536;

fn parse_memory(text: &str) -> Result<u32, String> {
    let (number, unit) = match text.to_ascii_uppercase().strip_suffix(['M', 'G']) {
        Some(number) => (
            number.to_owned(),
            if text.ends_with(['g', 'G']) { 1024 } else { 1 },
        ),
        None => (text.to_owned(), 1),
    };
    let number: u32 = number
        .parse()
        .map_err(|_| "not a number of MiB (512, 512M, 1G)".to_owned())?;
    match number.checked_mul(unit) {
        Some(mebibytes) if MEMORY.contains(&mebibytes) => Ok(mebibytes),
        _ => Err(format!(
            "must be from {} MiB to {} MiB",
            MEMORY.start(),
            MEMORY.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_holds_the_files_of_the_guest() {
        let options = |memory| MachineOptions {
            memory,
            ..MachineOptions::for_tests(
                &Wanted {
                    kernel: kernels::DEFAULT.to_owned(),
                    arch: Arch::host(),
                    flavour: None,
                },
                1,
            )
        };
        assert_eq!(options(None).memory_for(30 << 20).unwrap(), 512);
        assert_eq!(options(None).memory_for(300 << 20).unwrap(), 964);
        assert_eq!(options(Some(1000)).memory_for(300 << 20).unwrap(), 1000);
        let refused = options(Some(512)).memory_for(300 << 20).unwrap_err();
        assert!(refused.to_string().contains("964M"), "{refused}");
    }

    #[test]
    fn memory_in_mebibytes() {
        assert_eq!(parse_memory("512"), Ok(512));
        assert_eq!(parse_memory("512m"), Ok(512));
        assert_eq!(parse_memory("2G"), Ok(2048));
        for wrong in ["", "G", "0", "-1", "64", "4T", "4294967295G", "1.5G"] {
            assert!(parse_memory(wrong).is_err(), "{wrong:?}");
        }
    }
}
