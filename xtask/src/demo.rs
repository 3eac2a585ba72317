//! `cargo xtask demo`: from a fresh clone to the explanation of a real socket.

use std::io;

use anyhow::Result;
use clap::Args;
use skmem_vm_init::Job;

use crate::paths;
use crate::setup::Setup;
use crate::vm::{MachineOptions, Streams, Vm};

/// Options of `cargo xtask demo`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    machine: MachineOptions,
    /// Arguments of `skmem demo`; `-- --help` lists them
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// Prepares, boots, explains.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    let vm = Vm::prepare(setup, &options.machine, &[])?;
    let mut argv = vec!["skmem".to_owned(), "demo".to_owned()];
    argv.extend(options.arguments.iter().cloned());
    let job = Job {
        argv,
        env: Vec::new(),
        send_out: false,
        terminal: None,
    };
    let done = vm.run(&job, || {
        Ok(Streams {
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            out: None,
        })
    })?;
    if done.status == 0 {
        eprintln!(
            "This was kernel {} in a VM with {}. On a machine of your own (kernel 5.10 or newer, with BTF), as root: {} demo",
            vm.kernel.release,
            vm.describe_accel(),
            paths::shown(&vm.skmem)
        );
    }
    Ok(done.status)
}
