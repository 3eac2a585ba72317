//! `cargo xtask docs`: the documents as a web site, and the pictures of terminals in them.

mod book;
mod record;
mod svg;

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::Args;

use crate::{setup::Setup, vm::MachineOptions};

/// Options of `cargo xtask docs`.
#[derive(Debug, Args)]
#[command(
    after_help = "Writes the site into target/docs/html/ and prints the path of its first page. It is made of README.md and\n\
        docs/ by mdBook; every link in it is checked.\n\
        --record runs `skmem demo`, `explain`, `snapshot` and `top` on a terminal in a VM, and draws what they\n\
        show into docs/terminal/NAME.svg: commit those that changed for a reason."
)]
pub(crate) struct Options {
    /// First make the pictures in docs/terminal again, from real runs in a VM
    #[arg(long)]
    record: bool,
    #[command(flatten)]
    machine: MachineOptions,
}

/// Runs it.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    if options.record {
        for path in record::run(setup, &options.machine)? {
            eprintln!("wrote {}", crate::paths::shown(&path));
        }
    }
    let page = book::build(setup)?;
    writeln!(io::stdout(), "{}", page.display()).context("cannot write to stdout")?;
    Ok(0)
}
