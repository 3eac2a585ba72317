//! What the targets share: each is a name in `skmem::fuzz`.

pub use libfuzzer_sys::fuzz_target;
use skmem::fuzz;

/// Runs the target of that name on `bytes`.
///
/// # Panics
/// Where there is none, or a decoder panics: that is what is looked for.
pub fn run(name: &str, bytes: &[u8]) {
    let target = fuzz::target(name).expect("a name in skmem::fuzz::TARGETS");
    (target.run)(bytes);
}

/// The program of a target.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::fuzz_target!(|bytes: &[u8]| $crate::run($name, bytes));
    };
}
