//! The command line: one enum of tasks, each with its own options.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::{
    arch::Arch, bench, check, demo, dist, docs, fuzz, guest, kernels, setup, setup::Setup, soak,
    test, vm,
};

/// Tasks around skmem: preparing a machine, booting test VMs, the demo, the tests.
///
/// Everything that is fetched or built for these tasks goes to `.tools/` and `target/` in this
/// checkout.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    setup: SetupOptions,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SetupOptions {
    /// Install missing system packages without asking (also: CI=true, and for root without a
    /// terminal)
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    /// Install, fetch and build no tools: fail when one is missing
    #[arg(long, global = true)]
    pub(crate) no_setup: bool,
}

#[derive(Debug, Args)]
struct ArchOption {
    /// What machines it is for
    #[arg(long, value_name = "ARCH", default_value_t = Arch::host(), value_parser = Arch::parser())]
    arch: &'static Arch,
}

#[derive(Debug, Args)]
struct BuildOptions {
    #[command(flatten)]
    arch: ArchOption,
    /// Also put the eBPF programs into this file: `SKMEM_EBPF_OBJECT=FILE cargo build -p
    /// skmem-user` then needs no xtask
    #[arg(long, value_name = "FILE")]
    object: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Prepare this machine: toolchain, bpf-linker, qemu, and what the VMs are made of
    Setup(ArchOption),
    /// Build skmem, one static binary, and print where it is
    Build(BuildOptions),
    /// List the kernels that VMs can run, and what of them is on this machine
    Kernels(kernels::Options),
    /// Run a command in a VM with a kernel of your choice, with skmem on its PATH
    Vm(vm::Options),
    /// Show what skmem is for: a real socket on a real kernel, explained
    Demo(demo::Options),
    /// Run the tests, on this machine and in VMs
    Test(test::Options),
    /// Measure what tracing costs: in VMs whose clock counts instructions, and on this machine
    Bench(bench::Options),
    /// Give the decoders of bytes from outside to libFuzzer
    Fuzz(fuzz::Options),
    /// Trace connections that come and go as fast as they can, and see that nothing grows or fills
    Soak(soak::Options),
    /// Check formatting and lints; with --supply-chain, what skmem is made of
    Check(check::Options),
    /// Build the documents as a web site, links checked; --record draws its terminals again
    Docs(docs::Options),
    /// Make what is given away: archives, packages, a container image, the source
    Dist(dist::Options),
}

/// Runs the task; the code is that of the process.
pub(crate) fn run(cli: Cli) -> Result<u8> {
    let setup = Setup::new(&cli.setup)?;
    match cli.task {
        Task::Setup(ArchOption { arch }) => setup::run(&setup, arch),
        Task::Build(options) => build(&setup, &options),
        Task::Kernels(options) => kernels::run(&options),
        Task::Vm(options) => vm::run(&setup, &options),
        Task::Demo(options) => demo::run(&setup, &options),
        Task::Test(options) => test::run(&setup, &options),
        Task::Bench(options) => bench::run(&setup, &options),
        Task::Fuzz(options) => fuzz::run(&setup, &options),
        Task::Soak(options) => soak::run(&setup, &options),
        Task::Check(options) => check::run(&setup, &options),
        Task::Docs(options) => docs::run(&setup, &options),
        Task::Dist(options) => dist::run(&setup, &options),
    }
}

/// Builds the binary; its path goes to stdout.
fn build(setup: &Setup, options: &BuildOptions) -> Result<u8> {
    let arch = options.arch.arch;
    setup.build_tools(arch)?;
    let skmem = guest::skmem(arch)?;
    if let Some(path) = &options.object {
        let written = fs::copy(guest::object(arch)?, path);
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    writeln!(io::stdout(), "{}", skmem.display()).context("cannot write to stdout")?;
    Ok(0)
}
