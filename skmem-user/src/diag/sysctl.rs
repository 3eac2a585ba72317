//! The sysctls that bound TCP's memory.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::{DiagError, Result};

/// `net.ipv4.tcp_mem`: pages, for all TCP sockets of the machine together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpMem {
    /// At or below: no pressure.
    pub low: u64,
    /// Above: `tcp_enter_memory_pressure`.
    pub pressure: u64,
    /// Above: `__sk_mem_raise_allocated` refuses, or shrinks `sk_sndbuf` and goes on.
    pub high: u64,
}

/// `net.ipv4.tcp_wmem` of the calling thread's network namespace: bytes, per socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpWmem {
    /// Always granted, even under pressure (`tcp_wmem_schedule`, `__sk_mem_raise_allocated`).
    pub min: u64,
    /// `sk_sndbuf` of a new socket (`tcp_init_sock`).
    pub default: u64,
    /// How far autotuning raises it (`tcp_sndbuf_expand`).
    pub max: u64,
}

/// Reads `net.ipv4.tcp_mem`. It exists in the initial network namespace only.
///
/// # Errors
/// Where the kernel refuses, or answers otherwise than it should.
pub fn tcp_mem() -> Result<TcpMem> {
    let [low, pressure, high] = read("/proc/sys/net/ipv4/tcp_mem")?;
    Ok(TcpMem {
        low,
        pressure,
        high,
    })
}

/// Reads `net.ipv4.tcp_wmem`.
///
/// # Errors
/// Where the kernel refuses, or answers otherwise than it should.
pub fn tcp_wmem() -> Result<TcpWmem> {
    let [min, default, max] = read("/proc/sys/net/ipv4/tcp_wmem")?;
    Ok(TcpWmem { min, default, max })
}

/// Reads `net.core.wmem_max`, bytes: what `SO_SNDBUF` is clamped to before doubling
/// (`sk_setsockopt`).
///
/// # Errors
/// Where the kernel refuses, or answers otherwise than it should.
pub fn wmem_max() -> Result<u64> {
    let [bytes] = read("/proc/sys/net/core/wmem_max")?;
    Ok(bytes)
}

/// Reads `net.ipv4.tcp_notsent_lowat` of the calling thread's network namespace, bytes: unsent data
/// beyond which no new skb is let in, unless a socket has its own (`tcp_notsent_lowat`, 4294967295:
/// no bound).
///
/// # Errors
/// Where the kernel refuses, or answers otherwise than it should.
pub fn notsent_lowat() -> Result<u64> {
    let [bytes] = read("/proc/sys/net/ipv4/tcp_notsent_lowat")?;
    Ok(bytes)
}

fn read<const N: usize>(path: &'static str) -> Result<[u64; N]> {
    let text = fs::read_to_string(Path::new(path)).map_err(|source| DiagError::File {
        path: path.into(),
        source,
    })?;
    parse(path, &text)
}

/// Exactly `N` non-negative numbers.
fn parse<const N: usize>(what: &'static str, text: &str) -> Result<[u64; N]> {
    let values: std::result::Result<Vec<u64>, _> =
        text.split_whitespace().map(str::parse).collect();
    values
        .ok()
        .and_then(|values| values.try_into().ok())
        .ok_or_else(|| DiagError::format(what, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sysctl_is_so_many_numbers_and_no_more() {
        assert_eq!(
            parse::<3>("tcp_mem", "5316\t7088\t10632\n").unwrap(),
            [5316, 7088, 10632]
        );
        assert_eq!(parse::<1>("wmem_max", "212992\n").unwrap(), [212_992]);
        assert!(parse::<3>("tcp_mem", "1 2\n").is_err());
        assert!(parse::<1>("wmem_max", "1 2\n").is_err());
        assert!(parse::<1>("wmem_max", "-1\n").is_err());
    }
}
