//! Where the kernel counts socket memory beside `/proc/net/sockstat`: memory cgroups, slab caches,
//! and what each CPU may hold back.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cgroups::cgroup2;

/// `SK_MEMORY_PCPU_RESERVE`: 1 MiB, the value of kernels without the sysctl (6.0 to 6.3).
const RESERVE_BYTES: u64 = 1 << 20;

/// What the CPUs may hold back from `memory_allocated`, in either direction
/// (`sk_memory_allocated_add`, `proto_memory_pcpu_drain`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CpuReserve {
    /// CPUs that may come up (`num_possible_cpus`).
    pub cpus: u64,
    /// `net.core.mem_pcpu_rsv` in bytes; 0 before 6.0, where the count is exact.
    pub bytes_per_cpu: u64,
    /// The sysctl could not be read (it is shown in the initial network namespace only, from 6.4
    /// on)
    pub assumed: bool,
}

impl CpuReserve {
    /// For this kernel, `release` being `uname -r`; `set` is the sysctl in pages, where it was
    /// seen.
    #[must_use]
    pub fn new(release: &str, page: u64, set: Option<u64>) -> Self {
        let possible = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
        let cpus = cpus_in(possible.trim())
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u64));
        let version = version(release);
        let bytes_per_cpu = match set {
            Some(pages) => pages.saturating_mul(page),
            None if version < (6, 0) => 0,
            None => RESERVE_BYTES,
        };
        Self {
            cpus,
            bytes_per_cpu,
            assumed: set.is_none() && version >= (6, 4),
        }
    }

    /// How far the kernel's count may be off, bytes.
    #[must_use]
    pub fn bound(self) -> u64 {
        self.cpus.saturating_mul(self.bytes_per_cpu)
    }
}

/// `net.core.mem_pcpu_rsv`, pages; shown in the initial network namespace only, from 6.4 on.
#[must_use]
pub fn mem_pcpu_rsv() -> Option<u64> {
    let pages = fs::read_to_string("/proc/sys/net/core/mem_pcpu_rsv").ok()?;
    pages.trim().parse().ok()
}

/// `net.core.bypass_prot_mem` of the calling thread's namespace (6.19): whether new sockets in
/// memory cgroups are left out of the kernel's count. `false` where there is no such sysctl.
#[must_use]
pub fn bypasses_prot_mem() -> bool {
    fs::read_to_string("/proc/sys/net/core/bypass_prot_mem").is_ok_and(|set| set.trim() == "1")
}

/// `net.ipv4.tcp_max_orphans`, of the whole machine: with more orphans, those that come are reset.
#[must_use]
pub fn max_orphans() -> Option<u64> {
    let most = fs::read_to_string("/proc/sys/net/ipv4/tcp_max_orphans").ok()?;
    most.trim().parse().ok()
}

/// The id of the root cgroup (v2), whose sockets no memory cgroup is charged with; `None` in a
/// container, which sees another one in its place.
#[must_use]
pub fn root_cgroup() -> Option<u64> {
    let root = &cgroup2()?.at;
    // Every other one has it.
    let is_root = !root.join("cgroup.events").exists();
    is_root.then(|| fs::metadata(root).ok().map(|meta| meta.ino()))?
}

/// Major and minor number of a kernel release; zeros where it cannot be read.
#[must_use]
pub fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// How many CPUs a list such as `0-3,8` names.
fn cpus_in(list: &str) -> Option<u64> {
    let mut count = 0_u64;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// Socket memory that memory cgroups are charged with (`mem_cgroup_charge_skmem`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemcgSock {
    /// Bytes.
    pub bytes: u64,
    /// The file that says so.
    pub source: String,
}

impl MemcgSock {
    /// `sock` of the root cgroup's `memory.stat`, which is the sum below it (cgroup v2), or
    /// `memory.kmem.tcp.usage_in_bytes` (v1). `None` where neither is there.
    #[must_use]
    pub fn read() -> Option<Self> {
        let found = |path: &Path, bytes| Self {
            bytes,
            source: path.display().to_string(),
        };
        if let Some(place) = cgroup2() {
            let path = place.at.join("memory.stat");
            if let Some(bytes) = sock_of(&path) {
                return Some(found(&path, bytes));
            }
        }
        let path = Path::new("/sys/fs/cgroup/memory/memory.kmem.tcp.usage_in_bytes");
        let text = fs::read_to_string(path).ok()?;
        Some(found(path, text.trim().parse().ok()?))
    }
}

/// `sock` in a cgroup's `memory.stat`, bytes.
fn sock_of(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("sock "));
    line?.trim().parse().ok()
}

/// One of the slab allocator's caches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlabCache {
    /// Name, as in `/proc/slabinfo`.
    pub name: String,
    /// Objects in use.
    pub objects: u64,
    /// Bytes of one object.
    pub object_bytes: u64,
    /// Bytes of the pages that the cache has taken.
    pub total_bytes: u64,
}

/// Caches that TCP lives in: sockets, their small forms, and the heads of packets. Payload is in
/// none.
const CACHES: [&str; 14] = [
    "TCP",
    "TCPv6",
    "MPTCP",
    "MPTCPv6",
    "tw_sock_TCP",
    "tw_sock_TCPv6",
    "request_sock_TCP",
    "request_sock_TCPv6",
    "tcp_bind_bucket",
    "sock_inode_cache",
    "skbuff_head_cache",
    "skbuff_fclone_cache",
    "skbuff_small_head",
    "skbuff_ext_cache",
];

/// Reads TCP's caches from `/proc/slabinfo`, which only root may; `None` otherwise. A cache that
/// the allocator merged with another has no line of its own.
#[must_use]
pub fn slab_caches(page: u64) -> Option<Vec<SlabCache>> {
    let text = fs::read_to_string("/proc/slabinfo").ok()?;
    Some(parse_slab(&text, page))
}

fn parse_slab(text: &str, page: u64) -> Vec<SlabCache> {
    text.lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let name = *words.first().filter(|name| CACHES.contains(name))?;
            let number = |at: usize| words.get(at)?.parse::<u64>().ok();
            // "slabdata <active_slabs> <num_slabs>"
            let data = words.iter().position(|word| *word == "slabdata")?;
            Some(SlabCache {
                name: name.to_owned(),
                objects: number(1)?,
                object_bytes: number(3)?,
                total_bytes: number(data + 2)?
                    .saturating_mul(number(5)?)
                    .saturating_mul(page),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_and_releases() {
        assert_eq!(cpus_in("0-3,8"), Some(5));
        assert_eq!(cpus_in("0"), Some(1));
        for bad in ["", "3-1", "x", "0-18446744073709551615"] {
            assert_eq!(cpus_in(bad), None, "{bad}");
        }
        assert_eq!(version("5.10.0-30-cloud-amd64"), (5, 10));
        assert_eq!(version("6.1"), (6, 1));
        assert_eq!(version(""), (0, 0));
    }

    #[test]
    fn slab_lines_are_found_by_name() {
        let text = "slabinfo - version: 2.1\n# name <active_objs>\n\
            TCP 79 143 2368 13 8 : tunables 0 0 0 : slabdata 11 11 0\n\
            dentry 9 9 192 21 1 : tunables 0 0 0 : slabdata 1 1 0\n\
            TCPv6 x\n";
        let caches = parse_slab(text, 4096);
        assert_eq!(caches.len(), 1);
        assert_eq!((caches[0].objects, caches[0].object_bytes), (79, 2368));
        assert_eq!(caches[0].total_bytes, 11 * 8 * 4096);
    }
}
