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
    after_help = "Connections of one process come and go over loopback as fast as they can, and end in every way. For a third of the \
                  time skmem explains them with accounts only, for a third with a record of each call, for a third skmem serve counts \
                  them, and is asked each second. At the end its memory, and of skmem serve its descriptors and series, must be \
                  what they were after the first 2500 connections, slots of the table must have come back, no byte of a complete account \
                  may be without a name, and what was lost must be counted.\n\n\
                  Exit status: 0 where all of this holds, 1 where something of it is broken, 125 when the VM itself failed.\n\n\
                  Examples:\n  \
                  cargo xtask soak --minutes 3\n  \
                  cargo xtask soak --mode serve --minutes 30\n  \
                  cargo xtask soak --kernel 7.2 --minutes 480"
)]
pub(crate) struct Options {
    /// How long, all modes together; loading skmem and the warm-up come on top
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// Only this one, for all of the time
    #[arg(long, value_name = "MODE", value_parser = MODES)]
    mode: Option<String>,
    /// A release or its beginning, see `cargo xtask kernels`
    #[arg(long, value_name = "KERNEL", default_value = kernels::DEFAULT)]
    kernel: String,
}

/// What comes on top of the time asked for: boot, loading, warm-up, all of it emulated.
const ON_TOP: Duration = Duration::from_mins(15);

/// What is tried; each has its part of the time.
const MODES: [&str; 3] = ["aggregate", "records", "serve"];

/// Boots, soaks; the code is 1 when something is broken.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    let wanted = Wanted::usual(&options.kernel, Arch::host());
    setup.build_tools(wanted.arch)?;
    let seconds = options.minutes * 60;
    let timeout = seconds + ON_TOP.as_secs();
    let vm = test::ready(setup, &guest::vm_tests(wanted.arch)?, &wanted, timeout)?;
    let (filter, each) = match &options.mode {
        Some(mode) => (format!("soak::{mode}"), seconds),
        None => ("soak::".to_owned(), seconds / MODES.len() as u64),
    };
    let job = Job {
        argv: vec![
            test::IN_GUEST.to_owned(),
            "--test-threads=1".to_owned(),
            filter,
        ],
        env: vec![("SKMEM_TEST_SOAK".into(), each.to_string())],
        send_out: false,
        terminal: None,
    };
    // The tests' own code for a failure is 101.
    let done = vm::run_here(&vm, &job, None)?;
    Ok(u8::from(done.status != 0))
}
