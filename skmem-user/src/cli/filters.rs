//! Which sockets: the options that `explain` and `trace` share.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use skmem_common::filter::{
    BY_CGROUP, BY_COMM, BY_DADDR, BY_DPORT, BY_NETNS, BY_PID, BY_SADDR, BY_SPORT, Filter, Prefix,
};

use super::{hide::Hide, offers, snapshot::choose};
use crate::{
    diag::{
        netns,
        owners::{self, Owners},
    },
    kernel::tracer,
    quantity,
    snapshot::filter as rows,
};
pub use who::{Process, Who};

mod who;

/// Filters, applied in the kernel; several must all hold.
#[derive(Debug, Clone, Default, Args)]
pub struct Filters {
    /// Only sockets used by this process (may be given several times): its id, the name of its command or program
    /// (those that run now), or a systemd unit such as nginx.service
    #[arg(short, long, value_name = "PID|NAME", add = offers::processes(), help_heading = "Which sockets")]
    pub pid: Vec<Process>,
    /// Only sockets used by processes with this command name, 15 characters at most (may be given several times)
    #[arg(long, value_name = "NAME", value_parser = comm, add = offers::commands(), help_heading = "Which sockets")]
    pub comm: Vec<String>,
    /// Only sockets used in this cgroup (v2) or below it: a path, absolute or below /sys/fs/cgroup, its last
    /// component, or a container's id
    #[arg(long, value_name = "PATH", help_heading = "Which sockets")]
    pub cgroup: Option<PathBuf>,
    /// Only sockets of this network namespace: a name (ip netns), a pid, an inode number or a path
    #[arg(long, value_name = "NETNS", add = offers::namespaces(), help_heading = "Which sockets")]
    pub netns: Option<String>,
    /// Only this local port
    #[arg(long, value_name = "PORT", value_parser = port, help_heading = "Which sockets")]
    pub sport: Option<u16>,
    /// Only this remote port
    #[arg(long, value_name = "PORT", value_parser = port, help_heading = "Which sockets")]
    pub dport: Option<u16>,
    /// Only this local address or prefix, e.g. 10.0.0.0/8 or fd00::/8
    #[arg(long, value_name = "ADDR[/LEN]", help_heading = "Which sockets")]
    pub src: Option<Net>,
    /// Only this remote address or prefix
    #[arg(long, value_name = "ADDR[/LEN]", help_heading = "Which sockets")]
    pub dst: Option<Net>,
    /// Also trace the receive side: what arrives, what the application reads, whether it keeps up
    #[arg(long, help_heading = "What")]
    pub rx: bool,
    /// Ring buffer between kernel and skmem, e.g. 512K, 8M
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = size, help_heading = "Resources")]
    pub ring: u32,
    /// Sockets traced at the same time; each takes about 4 KiB of kernel memory
    #[arg(long, value_name = "N", default_value_t = 4096, help_heading = "Resources",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_sockets: u32,
    #[command(flatten)]
    pub hide: Hide,
}

impl Filters {
    /// What the kernel side is asked for.
    ///
    /// # Errors
    /// Where something named does not exist.
    pub fn options(&self) -> Result<tracer::Options> {
        let mut filter = Filter::default();
        let who = Who::of(&self.pid, self.cgroup.as_deref())?;
        if !who.pids.is_empty() {
            filter.flags |= BY_PID;
        }
        if !self.comm.is_empty() {
            filter.flags |= BY_COMM;
        }
        if let Some(path) = &who.cgroup {
            (filter.cgroup, filter.cgroup_level) = cgroup(path)?;
            filter.flags |= BY_CGROUP;
        }
        if let Some(name) = &self.netns {
            filter.netns = netns(name)?;
            filter.flags |= BY_NETNS;
        }
        if let Some(port) = self.sport {
            filter.sport = port;
            filter.flags |= BY_SPORT;
        }
        if let Some(port) = self.dport {
            filter.dport = port;
            filter.flags |= BY_DPORT;
        }
        if let Some(net) = self.src {
            filter.saddr = net.prefix();
            filter.flags |= BY_SADDR;
        }
        if let Some(net) = self.dst {
            filter.daddr = net.prefix();
            filter.flags |= BY_DADDR;
        }
        Ok(tracer::Options {
            filter,
            pids: who.pids,
            comms: self.comm.iter().map(|comm| padded(comm)).collect(),
            ring_bytes: self.ring,
            max_sockets: self.max_sockets,
            without: self.hide.without_hook.clone(),
            without_fields: self.hide.without_field.clone(),
            rx: self.rx,
            ..tracer::Options::default()
        })
    }

    /// The same for the rows of a snapshot, which know who holds a socket now.
    ///
    /// # Errors
    /// Where something named does not exist.
    pub fn of_rows(&self) -> Result<rows::Filter> {
        let who = Who::of(&self.pid, self.cgroup.as_deref())?;
        Ok(rows::Filter {
            pids: who.pids,
            comms: self.comm.clone(),
            cgroup: who.cgroup.as_deref().map(choose::cgroup).transpose()?,
            netns: self.netns.as_deref().map(netns).transpose()?.map(u64::from),
            sport: self.sport,
            dport: self.dport,
            src: self.src.map(Net::prefix),
            dst: self.dst.map(Net::prefix),
            states: Vec::new(),
        })
    }

    /// Where sockets may be that are older than the trace: network namespaces,
    /// and the inodes of the sockets that the processes asked for hold.
    #[must_use]
    pub fn older(&self) -> (Vec<PathBuf>, Vec<u32>) {
        // Who has ended since has taken its sockets along.
        let who = Who::of(&self.pid, self.cgroup.as_deref()).unwrap_or_default();
        let root = who::root();
        let below = who.cgroup.as_deref();
        let below = below.map(|path| path.strip_prefix(&root).unwrap_or(path));
        let by_task = !self.pid.is_empty() || !self.comm.is_empty() || self.cgroup.is_some();
        let pids: Vec<u32> = owners::processes()
            .unwrap_or_default()
            .into_iter()
            .filter(|pid| who.pids.is_empty() || who.pids.contains(pid))
            .filter(|pid| {
                let is = |comm: &String| **comm == *owners::command_name(*pid);
                self.comm.is_empty() || self.comm.iter().any(is)
            })
            .filter(|pid| below.is_none_or(|below| in_cgroup(*pid, below)))
            .collect();
        let held = match by_task {
            true => Owners::among(pids.clone()),
            false => Owners::default(),
        };
        let inodes = held.sockets().map(|(inode, _)| inode).collect();
        let namespaces = netns::of(&pids, &held);
        (namespaces, inodes)
    }

    /// What was asked for, by option.
    #[must_use]
    pub fn named(&self) -> Vec<(String, String)> {
        let mut named = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            named.extend(value.map(|v| (name.to_owned(), v)));
        };
        for pid in &self.pid {
            add("pid", Some(pid.to_string()));
        }
        for comm in &self.comm {
            add("comm", Some(comm.clone()));
        }
        add(
            "cgroup",
            self.cgroup.as_ref().map(|p| p.display().to_string()),
        );
        add("netns", self.netns.clone());
        add("sport", self.sport.map(|n| n.to_string()));
        add("dport", self.dport.map(|n| n.to_string()));
        add("src", self.src.map(|n| n.to_string()));
        add("dst", self.dst.map(|n| n.to_string()));
        named
    }

    /// Whether nothing was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pid.is_empty()
            && self.comm.is_empty()
            && self.cgroup.is_none()
            && self.netns.is_none()
            && self.sport.is_none()
            && self.dport.is_none()
            && self.src.is_none()
            && self.dst.is_none()
    }
}

/// A command name, as the kernel keeps it.
pub(super) fn comm(text: &str) -> Result<String, String> {
    match text.len() {
        1..=15 => Ok(text.to_owned()),
        _ => Err(
            "a command name has 1 to 15 bytes (the kernel cuts longer ones; see /proc/PID/comm)"
                .into(),
        ),
    }
}

/// The same, NUL-padded.
fn padded(comm: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(comm.bytes()).take(15) {
        *to = from;
    }
    bytes
}

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
            .map_err(|_| format!("{addr:?} is no IPv4 or IPv6 address"))?;
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

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl Net {
    pub(crate) fn prefix(self) -> Prefix {
        let mut bytes = [0; 16];
        let family = match self.addr {
            IpAddr::V4(a) => {
                bytes[..4].copy_from_slice(&a.octets());
                2
            }
            IpAddr::V6(a) => {
                bytes = a.octets();
                10
            }
        };
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.len))
            .unwrap_or(0)
            .to_be_bytes();
        let mut prefix = Prefix {
            family,
            ..Prefix::default()
        };
        for (n, (b, m)) in bytes.chunks(4).zip(mask.chunks(4)).enumerate() {
            let word = |w: &[u8]| u32::from_ne_bytes([w[0], w[1], w[2], w[3]]);
            prefix.mask[n] = word(m);
            prefix.addr[n] = word(b) & word(m);
        }
        prefix
    }
}

/// A ring's size such as 512K or 8M, in bytes.
///
/// # Errors
/// Where the text is none, or out of range.
pub fn size(text: &str) -> Result<u32, String> {
    quantity::size(text, 4096..=1 << 30)
}

/// A file's size such as 512K, 100M or 20G, in bytes.
///
/// # Errors
/// Where the text is none, or out of range.
pub fn file_size(text: &str) -> Result<u64, String> {
    quantity::size(text, 64 << 10..=1 << 50)
}

/// A port's number.
///
/// # Errors
/// Where the text is none.
pub fn port(text: &str) -> Result<u16, String> {
    match text.parse::<u64>() {
        Ok(n) => u16::try_from(n)
            .ok()
            .filter(|n| *n != 0)
            .ok_or_else(|| "ports are 1 to 65535".to_owned()),
        Err(_) => Err("not a port number (names such as https are not supported)".to_owned()),
    }
}

/// A cgroup's id and its depth below the root of the hierarchy.
fn cgroup(full: &Path) -> Result<(u64, u32)> {
    let root = who::root();
    let below = full
        .strip_prefix(&root)
        .with_context(|| format!("{} is not below {}", full.display(), root.display()))?;
    Ok((fs::metadata(full)?.ino(), below.components().count() as u32))
}

/// Whether a process is in the cgroup or below it; `below` is its path below the
/// root of the hierarchy.
fn in_cgroup(pid: u32, below: &Path) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| {
        text.lines()
            .filter_map(|line| line.strip_prefix("0::/"))
            .any(|at| Path::new(at).starts_with(below))
    })
}

/// A network namespace's inode.
pub(super) fn netns(text: &str) -> Result<u32> {
    if let Ok(number) = text.parse::<u32>() {
        if let Ok(meta) = fs::metadata(format!("/proc/{number}/ns/net")) {
            return Ok(u32::try_from(meta.ino())?);
        }
        // Inode numbers of namespaces start far above any pid.
        ensure!(
            number >= 0xf000_0000,
            "--netns {number}: neither a process nor the inode of a namespace (see `lsns -t net`)"
        );
        return Ok(number);
    }
    for path in [PathBuf::from(text), PathBuf::from("/run/netns").join(text)] {
        if let Ok(meta) = fs::metadata(&path) {
            return Ok(u32::try_from(meta.ino())?);
        }
    }
    bail!("--netns {text:?}: no such namespace, process or file (see `ip netns` and `lsns -t net`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let p = |s: &str| s.parse::<Net>().map(Net::prefix);
        let words = |ip: [u8; 4]| [u32::from_ne_bytes(ip), 0, 0, 0];
        let ten = p("10.1.2.3/8").unwrap();
        assert!(ten.holds(2, &words([10, 9, 9, 9])));
        assert!(!ten.holds(2, &words([11, 9, 9, 9])));
        let mapped = [0, 0, 0xffff_u32.to_be(), u32::from_ne_bytes([10, 0, 0, 1])];
        assert!(ten.holds(10, &mapped), "::ffff:10.0.0.1 is in 10/8");
        assert!(p("0.0.0.0/0").unwrap().holds(2, &words([1, 2, 3, 4])));
        let six = p("fd00::/8").unwrap();
        let word = |b: [u8; 4]| u32::from_ne_bytes(b);
        assert!(six.holds(10, &[word([0xfd, 1, 2, 3]), 0, 0, 1]));
        assert!(!six.holds(10, &[word([0xfe, 1, 2, 3]), 0, 0, 1]));
        assert!(!six.holds(2, &words([10, 0, 0, 1])));
        for bad in ["", "x", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/-1"] {
            assert!(p(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("8M"), Ok(8 << 20));
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("512k"), Ok(512 << 10));
        for bad in ["", "K", "1", "0M", "9999G", "-1M", "4KK", "é"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
