//! The command `skmem`; everything is in the library.

#[cfg(any(target_env = "musl", test))]
mod allocator;
#[cfg(any(target_env = "musl", test))]
mod memcmp;

/// musl's own allocator is small, and slow.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: allocator::Direct<dlmalloc::GlobalDlmalloc> =
    allocator::Direct(dlmalloc::GlobalDlmalloc);

fn main() -> std::process::ExitCode {
    skmem::cli::main()
}
