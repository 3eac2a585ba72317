//! `/proc/kallsyms`: which functions this kernel has out of line. Names are
//! readable by anyone; addresses are not needed.

use std::collections::HashSet;

/// The names that skmem may ask for.
#[derive(Debug, Default)]
pub struct Symbols(HashSet<String>);

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
        let names = text.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (_address, kind, name) = (words.next()?, words.next()?, words.next()?);
            let wanted = matches!(kind, "t" | "T") || name.ends_with("_proto");
            wanted.then(|| name.to_string())
        });
        Self(names.collect())
    }

    /// Whether there is such a symbol. Without any symbols at all, everything
    /// is thought to be there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.contains(name)
    }

    /// Whether there certainly is such a symbol.
    #[must_use]
    pub fn surely_has(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_survives_odd_lines() {
        let s = Symbols::parse(
            "0000000000000000 T tcp_ack\n\nx\n0000000000000000 d jiffies\n0 t mptcp_sendmsg_frag\t[mptcp]\n0 r bpf_get_socket_ptr_cookie_proto\n",
        );
        assert!(s.surely_has("tcp_ack") && s.surely_has("mptcp_sendmsg_frag"));
        assert!(s.surely_has("bpf_get_socket_ptr_cookie_proto"));
        assert!(!s.has("jiffies"));
        assert!(Symbols::default().has("anything") && !Symbols::default().surely_has("anything"));
    }
}
