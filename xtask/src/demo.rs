//! `cargo xtask demo`: from a fresh clone to the explanation of a real socket.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use skmem_vm_init::Job;

use crate::{
    paths,
    setup::Setup,
    vm::{self, MachineOptions, Vm},
};

/// Options of `cargo xtask demo`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    machine: MachineOptions,
    /// Leave a recording of it in this directory, and what can be made of one: plots and exports
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Arguments of `skmem demo`; `-- --help` lists them
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// In the guest: the demo, recorded, and the recording in every form.
const RECORD: &str = r#"
skmem demo --record "$OUT/demo.skm" "$@" || exit
cd "$OUT" || exit
echo
skmem plot demo.skm --text &&
for form in svg png html; do skmem plot demo.skm -o demo.$form || exit; done &&
skmem export demo.skm --format perfetto -o demo.pftrace &&
skmem export demo.skm --format parquet -o .
"#;

/// Prepares, boots, explains.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    let vm = Vm::prepare(setup, &options.machine, &[])?;
    let mut argv: Vec<String> = match &options.record {
        None => ["skmem", "demo"].map(str::to_owned).to_vec(),
        Some(_) => ["sh", "-c", RECORD, "demo"].map(str::to_owned).to_vec(),
    };
    argv.extend(options.arguments.iter().cloned());
    let job = Job {
        argv,
        env: Vec::new(),
        send_out: options.record.is_some(),
        terminal: None,
    };
    let done = vm::run_here(&vm, &job, options.record.as_deref())?;
    if done.status == 0 {
        eprintln!(
            "This was kernel {} in a VM with {}. On a machine of your own ({}, with BTF), as root: {} demo",
            vm.kernel.release,
            vm.describe_accel(),
            vm.arch().needs,
            paths::shown(&vm.skmem)
        );
        if let Some(directory) = &options.record {
            eprintln!(
                "In {}: demo.skm, the recording; demo.svg, .png and .html, plots of it; demo.pftrace for Perfetto's UI; events.parquet and sockets.parquet",
                directory.display()
            );
        }
    }
    Ok(done.status)
}
