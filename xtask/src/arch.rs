//! The architectures that skmem is built for and its VMs have. All that differs between them is in
//! one row each.
//!
//! Another one is another row: the target must come with the toolchain, and Debian must have
//! kernels and a busybox of it.

use std::fmt;

use clap::{
    ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arch {
    /// As the kernel (`uname -m`), Rust and qemu have it.
    pub(crate) name: &'static str,
    /// As Debian has it.
    pub(crate) debian: &'static str,
    /// Debian's directory of its libraries.
    pub(crate) multiarch: &'static str,
    /// The dynamic loader in a tree of Debian's packages, to run programs of this machine from
    /// one.
    pub(crate) loader: &'static str,
    /// What Rust builds for it: static binaries, as a guest has no C library.
    pub(crate) target: &'static str,
    /// qemu's program that emulates it.
    pub(crate) emulator: &'static str,
    /// Debian's package of that.
    pub(crate) emulator_package: &'static str,
    /// qemu's machine.
    pub(crate) machine: &'static str,
    /// The processor in software emulation.
    pub(crate) cpu: &'static str,
    /// What it is without where instructions are not counted, because emulation is slow at it.
    pub(crate) slow: &'static str,
    /// The serial port of the kernel's log.
    pub(crate) console: &'static str,
    /// The kernels that skmem traces on it, in words.
    pub(crate) needs: &'static str,
    /// Debian's kernels of it, each by what its release ends with; the first is used where none is
    /// named.
    pub(crate) flavours: &'static [(Flavour, &'static str)],
}

/// What Debian builds from one source: for VMs, for all machines, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flavour {
    /// Made for VMs: smaller, and with what they need built in
    Cloud,
    /// For all machines
    Generic,
    /// With PREEMPT_RT
    Rt,
    /// arm64 with pages of 16 KiB (93 MB to fetch)
    #[value(name = "16k")]
    Pages16k,
}

impl Flavour {
    /// As `--flavour` reads it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Generic => "generic",
            Self::Rt => "rt",
            Self::Pages16k => "16k",
        }
    }
}

/// All of them.
pub(crate) const ALL: &[Arch] = &[
    Arch {
        name: "x86_64",
        debian: "amd64",
        multiarch: "x86_64-linux-gnu",
        loader: "lib64/ld-linux-x86-64.so.2",
        target: "x86_64-unknown-linux-musl",
        emulator: "qemu-system-x86_64",
        emulator_package: "qemu-system-x86",
        // Of the x86 machines it boots fastest; microvm, which should, hangs with these kernels.
        machine: "q35",
        cpu: "max",
        // String instructions a byte at a time, and more to do at each access to memory.
        slow: ",erms=off,smap=off,la57=off",
        console: "ttyS0",
        needs: "x86-64, kernel 5.10 or newer",
        flavours: &[
            (Flavour::Cloud, "-cloud-amd64"),
            (Flavour::Rt, "-rt-amd64"),
            (Flavour::Generic, "-amd64"),
        ],
    },
    Arch {
        name: "aarch64",
        debian: "arm64",
        multiarch: "aarch64-linux-gnu",
        loader: "lib/ld-linux-aarch64.so.1",
        target: "aarch64-unknown-linux-musl",
        emulator: "qemu-system-aarch64",
        emulator_package: "qemu-system-arm",
        machine: "virt",
        // Pointer authentication by a cheap function: with the architecture's own, attaching takes
        // 117 s and not 4. With cortex-a72, which has none, kernels with pages of 16 KiB
        // hang without a word.
        cpu: "max,pauth-impdef=on",
        slow: "",
        console: "ttyAMA0",
        // Without ftrace direct calls the kernel refuses fentry and fexit.
        needs: "arm64, kernel 6.4 or newer",
        flavours: &[
            (Flavour::Cloud, "-cloud-arm64"),
            (Flavour::Rt, "-rt-arm64"),
            (Flavour::Pages16k, "-arm64-16k"),
            (Flavour::Generic, "-arm64"),
        ],
    },
];

impl Arch {
    /// This machine's.
    pub(crate) fn host() -> &'static Self {
        Self::named(std::env::consts::ARCH)
            .expect("xtask is compiled for a known architecture only")
    }

    /// Is it this machine's?
    pub(crate) fn is_host(&self) -> bool {
        self == Self::host()
    }

    /// By one of its names.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ALL.iter()
            .find(|arch| arch.name == name || arch.debian == name)
    }

    /// How `--arch` reads one.
    pub(crate) fn parser() -> impl TypedValueParser<Value = &'static Self> {
        PossibleValuesParser::new(
            ALL.iter()
                .map(|arch| PossibleValue::new(arch.name).alias(arch.debian)),
        )
        .map(|name| Self::named(&name).expect("clap lets known names through only"))
    }

    /// The release's ending of a flavour; None where there is no such kernel of this architecture.
    pub(crate) fn suffix(&self, flavour: Flavour) -> Option<&'static str> {
        let found = self.flavours.iter().find(|(known, _)| *known == flavour);
        found.map(|(_, suffix)| *suffix)
    }

    /// The flavour to use where none is named.
    pub(crate) fn usual_flavour(&self) -> Flavour {
        self.flavours[0].0
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "skmem is built on x86-64 and arm64: for another machine, add a row to xtask/src/arch.rs"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_both_names_and_one_of_them_is_this_machines() {
        assert_eq!(Arch::named("arm64"), Arch::named("aarch64"));
        assert_eq!(Arch::named("s390x"), None);
        assert_eq!(ALL.iter().filter(|arch| arch.is_host()).count(), 1);
        for arch in ALL {
            assert!(arch.suffix(arch.usual_flavour()).is_some(), "{arch}");
            assert!(arch.target.starts_with(arch.name), "{arch}");
        }
    }
}
