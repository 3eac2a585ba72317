//! Which kernels the VM tests run on, which of the tests, and how many at a time.

use std::fs;

use super::Options;
use crate::{
    arch::{Arch, Flavour},
    kernels::{self, Wanted},
};

/// The kernels that the VM tests run on where none is named: those of this machine's architecture
/// run all of them, those of a foreign one, which is emulated everywhere, the reduced list. Those
/// that take longest come first.
const KERNELS: &[(&str, &str, Option<Flavour>)] = &[
    ("x86_64", "5.10", None),
    ("x86_64", "6.1", None),
    ("x86_64", "6.12", None),
    ("x86_64", "7.2", None),
    ("aarch64", "6.12", None),
    ("aarch64", "7.2", Some(Flavour::Pages16k)),
];

/// Machines at a time, where there is memory for them. An emulated one keeps one of our CPUs busy
/// while it loads programs, and waits for most of the rest.
const MACHINES: usize = 6;

/// What each of them takes, in KiB: all of its own memory, and the emulator's.
const MACHINE_MEMORY: u64 = 2560 << 10;

/// A kernel that tests run on, and which of them.
pub(super) struct Place {
    pub(super) wanted: Wanted,
    /// Those only that may come out differently on another architecture.
    pub(super) core: bool,
    /// Which half of the trials that come out alike on all kernels; None: both.
    pub(super) half: Option<usize>,
    /// systemd is the first process: those that need it, and no others.
    pub(super) systemd: bool,
}

impl Place {
    /// How tables call it.
    pub(super) fn name(&self) -> String {
        let systemd = if self.systemd { " systemd" } else { "" };
        format!("{}{systemd}", self.wanted)
    }

    fn with_systemd(kernel: &str) -> Self {
        Self {
            wanted: Wanted::usual(kernel, Arch::host()),
            core: false,
            half: None,
            systemd: true,
        }
    }
}

/// What the options ask for.
pub(super) fn places(options: &Options) -> Vec<Place> {
    if options.systemd {
        let kernels = options.kernel.iter().map(String::as_str);
        let usual = options.kernel.is_empty().then_some(kernels::DEFAULT);
        return kernels.chain(usual).map(Place::with_systemd).collect();
    }
    if !options.kernel.is_empty() {
        let place = |kernel: &String| Place {
            wanted: Wanted {
                kernel: kernel.clone(),
                arch: options.arch.unwrap_or_else(Arch::host),
                flavour: options.flavour,
            },
            core: options.core,
            half: None,
            systemd: false,
        };
        return options.kernel.iter().map(place).collect();
    }
    let place = |(n, &(arch, kernel, flavour)): (usize, &(&str, &str, _))| {
        let wanted = Wanted {
            kernel: kernel.to_owned(),
            arch: Arch::named(arch)?,
            flavour,
        };
        let reduced = options.arch.is_none() && !options.all && !wanted.arch.is_host();
        Some(Place {
            core: options.core || reduced,
            // The kernels stand in the order of their age: an older one and a newer one have the
            // same half.
            half: (!options.all && wanted.arch.is_host()).then_some(n % 2),
            wanted,
            systemd: false,
        })
    };
    let asked = |place: &Place| options.arch.is_none_or(|arch| arch == place.wanted.arch);
    let systemd =
        (options.arch.is_none() && !options.core).then(|| Place::with_systemd(kernels::DEFAULT));
    let places = KERNELS.iter().enumerate().filter_map(place).filter(asked);
    places.chain(systemd).collect()
}

/// How many machines run at a time.
pub(super) fn machines() -> usize {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    available.map_or(MACHINES, |kib| {
        usize::try_from(kib / MACHINE_MEMORY).map_or(MACHINES, |n| n.clamp(1, MACHINES))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arch;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    /// Kernels of this machine's architecture and of others, and which of both run the reduced
    /// list.
    fn planned(words: &[&str]) -> [(usize, usize); 2] {
        let line = Line::parse_from(["test"].iter().chain(words));
        let places = places(&line.options);
        [true, false].map(|host| {
            let ordinary = places.iter().filter(|p| !p.systemd);
            let those = ordinary.filter(|p| p.wanted.arch.is_host() == host);
            (those.clone().count(), those.filter(|p| p.core).count())
        })
    }

    #[test]
    fn foreign_kernels_run_a_part_unless_more_is_asked_for() {
        let foreign = arch::ALL.iter().find(|arch| !arch.is_host()).unwrap();
        let of = |arch: &Arch| {
            let rows = KERNELS.iter();
            rows.filter(|(name, ..)| *name == arch.name).count()
        };
        let (own, other) = (of(Arch::host()), of(foreign));
        assert!(own > 0 && other > 0);
        assert_eq!(planned(&[]), [(own, 0), (other, other)]);
        assert_eq!(planned(&["--all"]), [(own, 0), (other, 0)]);
        assert_eq!(planned(&["--core"]), [(own, own), (other, other)]);
        let only = ["--arch", foreign.name];
        assert_eq!(planned(&only), [(0, 0), (other, 0)]);
        let both = ["--arch", foreign.name, "--core"];
        assert_eq!(planned(&both), [(0, 0), (other, other)]);
        assert_eq!(planned(&["--kernel", "6.12"]), [(1, 0), (0, 0)]);
    }

    #[test]
    fn each_half_runs_on_an_older_and_a_newer_kernel() {
        let halves = |words: &[&str]| {
            let line = Line::parse_from(["test"].iter().chain(words));
            let places = places(&line.options).into_iter();
            let of = places.filter_map(|p| Some((p.half?, p.wanted.kernel)));
            of.map(|(half, kernel)| format!("{kernel}:{half}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(halves(&[]), "5.10:0 6.1:1 6.12:0 7.2:1");
        assert_eq!(halves(&["--all"]), "");
        assert_eq!(halves(&["--kernel", "6.12"]), "");
    }

    #[test]
    fn one_machine_has_systemd() {
        let planned = |words: &[&str]| {
            let line = Line::parse_from(["test"].iter().chain(words));
            let places = places(&line.options);
            let with: Vec<String> = places
                .iter()
                .filter(|p| p.systemd)
                .map(Place::name)
                .collect();
            (with.join(", "), places.len())
        };
        let (with, all) = planned(&[]);
        assert_eq!((with.as_str(), all), ("6.12 systemd", KERNELS.len() + 1));
        assert_eq!(planned(&["--kernel", "6.1"]), (String::new(), 1));
        assert_eq!(planned(&["--systemd"]), ("6.12 systemd".to_owned(), 1));
        let named = ["--systemd", "--kernel", "7.2"];
        assert_eq!(planned(&named), ("7.2 systemd".to_owned(), 1));
    }
}
