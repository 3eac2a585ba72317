//! `/proc/net/netstat` and `/proc/net/snmp`: the kernel's own counts of what happened to TCP.

use std::{collections::BTreeMap, fs};

use super::{DiagError, Result};

/// TCP counters of one network namespace by kernel name (`TCPSackMerged`, `RetransSegs`, …); those
/// at 0 are left out. In a namespace of our own they count our traffic alone.
pub type Counters = BTreeMap<String, i64>;

/// Reads the `Tcp`, `TcpExt` and `MPTcpExt` counters of the calling thread's network namespace
/// (`netstat_seq_show`, `snmp_seq_show`).
///
/// # Errors
/// Where the kernel refuses, or answers otherwise than it should.
pub fn read() -> Result<Counters> {
    let mut counters = Counters::new();
    for path in [
        "/proc/thread-self/net/snmp",
        "/proc/thread-self/net/netstat",
    ] {
        let text = fs::read_to_string(path).map_err(|source| DiagError::File {
            path: path.into(),
            source,
        })?;
        counters.extend(parse(&text)?);
    }
    Ok(counters)
}

/// Pairs each line of names with the line of values that follows it.
fn parse(text: &str) -> Result<Counters> {
    let mut counters = Counters::new();
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let bad = || DiagError::format("/proc/net/netstat", names);
        let (group, names) = names.split_once(':').ok_or_else(bad)?;
        let (same, values) = values.split_once(':').ok_or_else(bad)?;
        if group != same {
            return Err(bad());
        }
        if !matches!(group, "Tcp" | "TcpExt" | "MPTcpExt") {
            continue;
        }
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            let value = value.parse().map_err(|_| bad())?;
            // Settings, printed among the counters.
            let setting = matches!(name, "RtoAlgorithm" | "RtoMin" | "RtoMax" | "MaxConn");
            if value != 0 && !setting {
                counters.insert(name.to_owned(), value);
            }
        }
    }
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_meet_their_values_and_zeros_are_dropped() {
        let text = "TcpExt: SyncookiesSent TCPSackMerged\nTcpExt: 0 7\n\
                    IpExt: InOctets\nIpExt: 9\n\
                    Tcp: RtoMin MaxConn RetransSegs\nTcp: 200 -1 3\n";
        let counters = parse(text).unwrap();
        assert_eq!(
            counters.into_iter().collect::<Vec<_>>(),
            [
                ("RetransSegs".to_owned(), 3),
                ("TCPSackMerged".to_owned(), 7)
            ]
        );
    }

    #[test]
    fn lines_that_do_not_pair_are_refused() {
        assert!(parse("TcpExt: A\nIpExt: 1\n").is_err());
        assert!(parse("nonsense\nmore\n").is_err());
        assert!(parse("TcpExt: A\nTcpExt: x\n").is_err());
    }
}
