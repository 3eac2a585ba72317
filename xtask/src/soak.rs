//! `cargo xtask soak`: the trials `soak::…` of the VM tests, for as long as one likes. They print
//! their tables.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use skmem_vm_init::Job;

use crate::{
    arch::Arch,
    guest,
    kernels::{self, Wanted},
    setup::Setup,
    test, vm,
};

/// Options of `cargo xtask soak`.
#[derive(Debug, Args)]
#[command(
    after_help = "Connections of one process come and go over loopback as fast as they can, and end in every way. skmem explains them, \
                  for half of the time with accounts only, for the other half with a record of each call. At the end its memory must be \
                  what it was after the first 2500 connections, slots of the table must have come back, no byte of a complete account \
                  may be without a name, and what was lost must be counted.\n\n\
                  Exit status: 0 where all of this holds, 1 where something of it is broken, 125 when the VM itself failed.\n\n\
                  Examples:\n  \
                  cargo xtask soak --minutes 2\n  \
                  cargo xtask soak --kernel 7.2 --minutes 480"
)]
pub(crate) struct Options {
    /// How long, both modes together; loading skmem and the warm-up come on top
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// A release or its beginning, see `cargo xtask kernels`
    #[arg(long, value_name = "KERNEL", default_value = kernels::DEFAULT)]
    kernel: String,
}

/// What comes on top of the time asked for: boot, loading, warm-up, all of it emulated.
const ON_TOP: Duration = Duration::from_mins(15);

/// Both modes have half of the time each.
const MODES: u64 = 2;

/// Boots, soaks; the code is 1 when something is broken.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    let wanted = Wanted::usual(&options.kernel, Arch::host());
    setup.build_tools(wanted.arch)?;
    let seconds = options.minutes * 60;
    let timeout = seconds + ON_TOP.as_secs();
    let vm = test::ready(setup, &guest::vm_tests(wanted.arch)?, &wanted, timeout)?;
    let job = Job {
        argv: [test::IN_GUEST, "--test-threads=1", "soak::"]
            .map(str::to_owned)
            .to_vec(),
        env: vec![("SKMEM_TEST_SOAK".into(), (seconds / MODES).to_string())],
        send_out: false,
        terminal: None,
    };
    // The tests' own code for a failure is 101.
    let done = vm::run_here(&vm, &job, None)?;
    Ok(u8::from(done.status != 0))
}
