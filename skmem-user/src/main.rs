//! The command `skmem`; everything is in the library.

fn main() -> std::process::ExitCode {
    skmem::cli::main()
}
