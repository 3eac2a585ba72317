//! The command `skmem`: reads options, calls the library, prints.

// A panic where stdout is closed; `cli::print` says what is wrong instead.
#![warn(clippy::print_stdout)]

#[cfg(any(target_env = "musl", test))]
mod allocator;
mod cli;
#[cfg(any(target_env = "musl", test))]
mod memcmp;
#[cfg(test)]
#[expect(dead_code, reason = "the library's tests use the rest")]
mod testing;

#[cfg(feature = "serve")]
use skmem::serve;
use skmem::{
    decode, diag, explain, glossary, kernel, model, quantity, recording, render, selection,
    snapshot, top, trace, workload,
};

/// musl's own allocator is small, and slow.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: allocator::Direct<dlmalloc::GlobalDlmalloc> =
    allocator::Direct(dlmalloc::GlobalDlmalloc);

fn main() -> std::process::ExitCode {
    cli::main()
}
