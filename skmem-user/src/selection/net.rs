//! An address with a prefix length, as people write it: `10.0.0.0/8`, `fd00::/8`, `10.0.0.1`.

use std::{fmt, net::IpAddr, str::FromStr};

use skmem_common::filter::{Prefix, words};

/// An address with a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    addr: IpAddr,
    len: u8,
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let addr: IpAddr = addr
            .parse()
            .map_err(|_| format!("{addr:?} is not an IPv4 or IPv6 address"))?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let len =
            match len {
                None => most,
                Some(len) => len.parse().ok().filter(|n| *n <= most).ok_or_else(|| {
                    format!("prefix length {len:?}: 0 to {most} for this address")
                })?,
            };
        Ok(Self { addr, len })
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

/// An address as the kernel has it: its family and 16 bytes.
fn bytes(ip: IpAddr) -> (u16, [u8; 16]) {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            (libc::AF_INET as u16, bytes)
        }
        IpAddr::V6(ip) => (libc::AF_INET6 as u16, ip.octets()),
    }
}

impl Net {
    /// As the programs in the kernel compare it.
    #[must_use]
    pub fn prefix(self) -> Prefix {
        let (family, bytes) = bytes(self.addr);
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.len))
            .unwrap_or(0)
            .to_be_bytes();
        let (addr, mask) = (words(&bytes), words(&mask));
        Prefix {
            addr: std::array::from_fn(|n| addr[n] & mask[n]),
            mask,
            family: family.into(),
        }
    }

    /// Whether an address lies in it. An IPv4 address that an IPv6 socket uses (`::ffff:a.b.c.d`)
    /// counts as IPv4.
    #[must_use]
    pub fn holds(self, ip: IpAddr) -> bool {
        let (family, bytes) = bytes(ip);
        self.prefix().holds(family, &words(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let holds = |net: &str, ip: &str| {
            let net: Net = net.parse().unwrap();
            net.holds(ip.parse().unwrap())
        };
        for (net, ip) in [
            ("10.1.2.3/8", "10.9.9.9"),
            ("10.1.2.3/8", "::ffff:10.0.0.1"),
            ("0.0.0.0/0", "1.2.3.4"),
            ("10.0.0.1", "10.0.0.1"),
            ("fd00::/8", "fd01:203::1"),
            ("::/0", "fe80::1"),
        ] {
            assert!(holds(net, ip), "{ip} is in {net}");
        }
        for (net, ip) in [
            ("10.1.2.3/8", "11.9.9.9"),
            ("10.0.0.1", "10.0.0.2"),
            ("fd00::/8", "fe01:203::1"),
            ("fd00::/8", "10.0.0.1"),
            ("10.0.0.0/8", "fd00::1"),
        ] {
            assert!(!holds(net, ip), "{ip} is not in {net}");
        }
        for bad in ["", "x", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/-1"] {
            assert!(bad.parse::<Net>().is_err(), "{bad}");
        }
    }
}
