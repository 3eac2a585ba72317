//! `/proc/kallsyms`: which functions this kernel has out of line. Names are
//! readable by anyone; addresses are not needed.

use std::collections::HashSet;

use super::plan;

/// What else than functions to hook skmem asks for: signs of what programs may
/// do on this kernel.
pub const STORAGE: &str = "bpf_sk_storage_get_tracing_proto";
/// The same for cookies.
pub const COOKIE: &str = "bpf_get_socket_ptr_cookie_proto";
/// The same for walks that hold each socket's lock.
pub const LOCKED_WALK: &str = "bpf_iter_tcp_batch";
/// The same for ftrace: a kernel with `CONFIG_FUNCTION_TRACER` has it.
pub const FTRACE: &str = "register_ftrace_function";
/// The same for ftrace direct calls, by which a program is attached to the entry
/// of a function that ftrace manages (`CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS`;
/// `register_fentry` in kernel/bpf/trampoline.c).
pub const DIRECT_CALLS: &str = "register_ftrace_direct";

/// Those of the names that skmem may ask for which this kernel has.
#[derive(Debug, Default)]
pub struct Symbols {
    found: HashSet<&'static str>,
    /// The list could be read.
    known: bool,
}

impl Symbols {
    /// Those of the running kernel; empty where the file cannot be read (then
    /// BTF alone decides).
    #[must_use]
    pub fn running() -> Self {
        std::fs::read_to_string("/proc/kallsyms")
            .map(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        // A kernel has some 150,000 symbols; a few dozen of them matter.
        let wanted: HashSet<&'static str> = plan::functions()
            .chain([STORAGE, COOKIE, LOCKED_WALK, FTRACE, DIRECT_CALLS])
            .collect();
        let found = text.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (_address, kind, name) = (words.next()?, words.next()?, words.next()?);
            let function = matches!(kind, "t" | "T") || name.ends_with("_proto");
            wanted.get(name).copied().filter(|_| function)
        });
        Self {
            found: found.collect(),
            known: !text.is_empty(),
        }
    }

    /// Whether there is such a symbol. Where they cannot be read, everything
    /// is thought to be there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        !self.known || self.found.contains(name)
    }

    /// Whether there certainly is such a symbol.
    #[must_use]
    pub fn surely_has(&self, name: &str) -> bool {
        self.found.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_survives_odd_lines() {
        let s = Symbols::parse(
            "0000000000000000 T tcp_ack\n\nx\n0000000000000000 d tcp_write_xmit\n0 t mptcp_sendmsg_frag\t[mptcp]\n0 r bpf_get_socket_ptr_cookie_proto\n",
        );
        assert!(s.surely_has("tcp_ack") && s.surely_has("mptcp_sendmsg_frag"));
        assert!(s.surely_has(COOKIE) && !s.surely_has(STORAGE));
        assert!(!s.has("tcp_write_xmit"), "no function");
        assert!(Symbols::default().has("anything") && !Symbols::default().surely_has("anything"));
    }
}
