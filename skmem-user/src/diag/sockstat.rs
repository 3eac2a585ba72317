//! `/proc/net/sockstat`: TCP's memory as a whole.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::{DiagError, Result};

/// The `TCP:` line (`sockstat_seq_show`). `inuse` counts this network namespace's sockets; the rest
/// is the whole machine's, IPv4 and IPv6 together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SockstatTcp {
    /// Sockets in use in the reader's network namespace.
    pub inuse: u64,
    /// Sockets that no process holds any more (`tcp_orphan_count_sum`).
    pub orphan: u64,
    /// Sockets in TIME-WAIT.
    pub tw: u64,
    /// Sockets allocated (`sockets_allocated`).
    pub alloc: u64,
    /// `memory_allocated`, pages. From 6.1 each CPU keeps up to `net.core.mem_pcpu_rsv` (1 MiB)
    /// beside it.
    pub mem_pages: u64,
}

impl SockstatTcp {
    /// Reads the calling thread's namespace.
    ///
    /// # Errors
    /// Where the kernel refuses, or answers otherwise than it should.
    pub fn read() -> Result<Self> {
        let path = Path::new("/proc/thread-self/net/sockstat");
        let text = fs::read_to_string(path).map_err(|source| DiagError::File {
            path: path.into(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Finds the `TCP:` line in the file's text.
    ///
    /// # Errors
    /// Where the kernel refuses, or answers otherwise than it should.
    pub fn parse(text: &str) -> Result<Self> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("TCP:"))
            .ok_or_else(|| DiagError::format("/proc/net/sockstat", text))?;
        let field = |name: &str| {
            let mut words = line.split_whitespace();
            words
                .find(|word| *word == name)
                .and_then(|_| words.next()?.parse().ok())
                .ok_or_else(|| DiagError::format("/proc/net/sockstat, TCP line", line))
        };
        Ok(Self {
            inuse: field("inuse")?,
            orphan: field("orphan")?,
            tw: field("tw")?,
            alloc: field("alloc")?,
            mem_pages: field("mem")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tcp_line_is_found_among_the_others() {
        let text =
            "sockets: used 12\nTCP: inuse 3 orphan 1 tw 2 alloc 5 mem 7\nUDP: inuse 0 mem 9\n";
        let stat = SockstatTcp::parse(text).unwrap();
        assert_eq!(
            (stat.inuse, stat.orphan, stat.tw, stat.alloc, stat.mem_pages),
            (3, 1, 2, 5, 7)
        );
    }

    #[test]
    fn a_text_without_the_line_or_a_field_is_refused() {
        assert!(SockstatTcp::parse("UDP: inuse 0 mem 9\n").is_err());
        assert!(SockstatTcp::parse("TCP: inuse 3 orphan 1 tw 2 alloc 5\n").is_err());
        assert!(SockstatTcp::parse("TCP: inuse x orphan 1 tw 2 alloc 5 mem 1\n").is_err());
        assert!(SockstatTcp::parse("").is_err());
    }
}
