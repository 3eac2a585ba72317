//! skmem's own tasks: `cargo xtask setup`, `build`, `vm`, `demo`, `test`, `fuzz`, `soak`, `check`,
//! `kernels`, `docs`, `dist`.
//!
//! This crate builds on any stable Rust from 1.95 on, and installs the pinned toolchain that the
//! rest of the workspace needs. Nothing here is part of what skmem ships.

mod arch;
mod bench;
mod check;
mod cli;
mod debian;
mod demo;
mod dist;
mod docs;
mod error;
mod fuzz;
mod guest;
mod kernels;
mod paths;
mod process;
mod progress;
mod rust;
mod setup;
mod soak;
mod test;
mod vm;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Err(failure) = process::stop_on_signals() {
        return error::report(&failure);
    }
    let cli = cli::Cli::parse();
    match cli::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => error::report(&failure),
    }
}
