//! What `skmem --version` says: which state of the source, and for which kernels.

/// `-V`: one line. The build script knows the commit.
pub const SHORT: &str = env!("SKMEM_VERSION");

/// `--version`: also which kernels it traces.
pub const LONG: &str = concat!(
    env!("SKMEM_VERSION"),
    "\nTraces kernels with BTF: x86-64 from 5.10 on, arm64 from 6.4 on (experimental).",
    "\nTested on 5.10, 6.1, 6.12 and 7.2. What needs no eBPF (snapshot, decode, report) works on older ones."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_one_line_and_the_long_one_begins_with_it() {
        assert!(SHORT.starts_with(env!("CARGO_PKG_VERSION")), "{SHORT}");
        assert_eq!(SHORT.lines().count(), 1);
        assert!(LONG.starts_with(SHORT));
        assert!(LONG.contains("from 5.10 on"));
    }
}
