//! The sum over all sockets against the kernel's own count, and how far apart the two may be.
//!
//! `/proc/net/sockstat` says in pages what all TCP sockets of the machine are charged with
//! (`tcp_memory_allocated`). Each socket's w + r + f is its share, in whole pages. Three things come between:
//! CPUs that hold back a reserve (6.0), memory that moves while sockets are read one after the other, and
//! memory that is in w but not charged, or charged but in none of the three. Each has a bound, and the account
//! closes if the difference is within their sum.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Row;
use crate::diag::{
    Protocol, SockstatTcp, TcpMem, UpperLayer,
    account_sources::{CpuReserve, MemcgSock, SlabCache},
};

/// Sums over the TCP and MPTCP sockets of every namespace that was visited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Sockets with buffers, listening ones included
    pub sockets: u64,
    /// Of them MPTCP sockets; their subflows count as TCP
    pub mptcp: u64,
    /// TIME-WAIT: small structures without buffers
    pub time_wait: u64,
    /// SYN-RECV: requests without buffers
    pub requests: u64,
    /// Sum of `wmem_queued` (w), bytes
    pub wmem_queued: i64,
    /// Sum of `rmem_alloc` (r), bytes
    pub rmem_alloc: i64,
    /// Sum of `forward_alloc` (f), bytes
    pub forward_alloc: i64,
    /// Sum of `wmem_alloc` (t), bytes: clones of packets in w, not to be added
    pub wmem_alloc: i64,
    /// Sockets whose w + r + f is not whole pages: they moved while they were read, are MPTCP sockets, or hold
    /// error-queue messages, kTLS records or (from 5.16 on) zero-copy data
    pub uneven: u64,
    /// The most that these may be off, bytes
    pub uneven_bytes: i64,
    /// Sockets with option memory and data in w: perhaps zero-copy, whose data is not charged from 5.16 on (before,
    /// it is, and the bound does not need this)
    pub maybe_zerocopy: u64,
    /// The most that these may be off, bytes
    pub maybe_zerocopy_bytes: i64,
    /// Sockets with kernel TLS
    pub ktls: u64,
}

impl Tally {
    /// Adds a socket.
    pub fn add(&mut self, row: &Row, page: i64) {
        if row.protocol == Protocol::Udp {
            return;
        }
        let Some(memory) = &row.memory else {
            self.requests += 1;
            return;
        };
        self.sockets += 1;
        self.mptcp += u64::from(row.protocol == Protocol::Mptcp);
        self.ktls += u64::from(row.upper_layer == Some(UpperLayer::Tls));
        let (queued, held) = (i64::from(memory.wmem_queued), i64::from(memory.rmem_alloc));
        self.wmem_queued += queued;
        self.rmem_alloc += held;
        self.forward_alloc += i64::from(memory.forward_alloc);
        self.wmem_alloc += i64::from(memory.wmem_alloc);
        if row.charged.rem_euclid(page) != 0 {
            self.uneven += 1;
            self.uneven_bytes += queued + held + page;
        } else if memory.optmem > 0 && queued > 0 {
            self.maybe_zerocopy += 1;
            self.maybe_zerocopy_bytes += queued;
        }
    }

    /// w + r + f over all of them, bytes.
    #[must_use]
    pub fn charged(&self) -> i64 {
        self.wmem_queued + self.rmem_alloc + self.forward_alloc
    }
}

/// Network namespaces, of which the sum needs all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Visited {
    /// Namespaces whose sockets were listed
    pub visited: u64,
    /// Namespaces that were found
    pub found: u64,
    /// Processes whose namespace may not be looked at: there may be more
    pub denied: u64,
}

/// A process that holds TCP sockets which no list shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stray {
    /// Process
    pub pid: u32,
    /// Command name
    pub comm: Box<str>,
    /// How many
    pub sockets: u64,
}

/// What came of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The difference is within its bound
    Closes,
    /// It is not
    Open,
    /// The kernel counts more than was seen, and not every namespace was visited
    PartlySeen,
}

/// Distance to the marks of `tcp_mem`, pages; negative beyond them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Marks {
    /// `tcp_mem[0]`: pressure ends below, pages
    pub low: u64,
    /// `tcp_mem[1]`: pressure begins above, pages
    pub pressure: u64,
    /// `tcp_mem[2]`: nothing more is given above, pages
    pub high: u64,
    /// Pages left before pressure begins
    pub to_pressure: i64,
    /// Pages left before nothing more is given
    pub to_high: i64,
}

/// The machine's TCP memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Bytes in a page
    pub page_bytes: u64,
    /// What was seen
    pub seen: Tally,
    /// w + r + f over all sockets seen, bytes
    pub charged_bytes: i64,
    /// `TCP: mem` in `/proc/net/sockstat` before the sockets were listed, pages
    pub kernel_pages_before: u64,
    /// The same afterwards
    pub kernel_pages: u64,
    /// The same in bytes
    pub kernel_bytes: i64,
    /// `kernel_bytes - charged_bytes`
    pub difference_bytes: i64,
    /// How large the difference may be
    pub bound_bytes: i64,
    /// Of it: what CPUs may hold back from the kernel's count
    pub cpu_reserve: CpuReserve,
    /// Of it: how far the kernel's count moved meanwhile, bytes
    pub drift_bytes: i64,
    /// Zero-copy data is charged like any other here (before 5.16): it needs no part of the bound
    pub charges_zerocopy: bool,
    /// Whether it closes
    pub outcome: Outcome,
    /// Times that sockets were listed, with `--check`, until it closed
    pub attempts: u32,
    /// Sockets that are allocated (`TCP: alloc`) and in no list: not bound, in a namespace not visited, or
    /// reset by the peer and still open, whose unread data is charged; negative where sockets were
    /// closed meanwhile
    pub unlisted: i64,
    /// Processes that hold TCP sockets which are in no list, the most first; looked for where `unlisted` is not 0
    pub unlisted_holders: Vec<Stray>,
    /// `TCP: orphan`: sockets that their application has closed and the kernel still finishes
    pub orphans: u64,
    /// Namespaces
    pub namespaces: Visited,
    /// `tcp_mem`; absent in a container, where it is not shown
    pub tcp_mem: Option<Marks>,
    /// Socket memory charged to memory cgroups
    pub memcg_sock: Option<MemcgSock>,
    /// TCP's slab caches; absent without root
    pub slab: Option<Vec<SlabCache>>,
}

/// What the kernel says beside the sockets.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Bytes in a page.
    pub page: u64,
    /// `MSG_ZEROCOPY` data is charged like any other (`SKBFL_PURE_ZEROCOPY` came with 5.16).
    pub charges_zerocopy: bool,
    /// Before listing.
    pub before: SockstatTcp,
    /// After it.
    pub after: SockstatTcp,
    /// What CPUs may hold back.
    pub reserve: CpuReserve,
    /// `tcp_mem`
    pub tcp_mem: Option<TcpMem>,
    /// Memory cgroups.
    pub memcg: Option<MemcgSock>,
    /// Slab.
    pub slab: Option<Vec<SlabCache>>,
    /// Who holds sockets that are in no list.
    pub strays: Vec<Stray>,
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Account {
    /// Compares.
    #[must_use]
    pub fn new(seen: Tally, kernel: Kernel, namespaces: Visited) -> Self {
        let bytes = |pages: u64| signed(pages.saturating_mul(kernel.page));
        let kernel_bytes = bytes(kernel.after.mem_pages);
        let drift_bytes = bytes(kernel.after.mem_pages.abs_diff(kernel.before.mem_pages));
        let charged_bytes = seen.charged();
        let difference_bytes = kernel_bytes.saturating_sub(charged_bytes);
        let bound_bytes = signed(kernel.reserve.bound())
            .saturating_add(drift_bytes)
            .saturating_add(seen.uneven_bytes)
            .saturating_add(if kernel.charges_zerocopy {
                0
            } else {
                seen.maybe_zerocopy_bytes
            });
        let listed = signed(seen.sockets.saturating_sub(seen.mptcp));
        let unlisted = signed(kernel.after.alloc).saturating_sub(listed);
        // Processes that may not be looked at matter only where sockets are missing that no other holds.
        let held: u64 = kernel.strays.iter().map(|stray| stray.sockets).sum();
        let hidden = namespaces.denied > 0 && unlisted > signed(held);
        let partly = namespaces.visited < namespaces.found || hidden;
        let outcome = if difference_bytes.saturating_abs() <= bound_bytes {
            Outcome::Closes
        } else if difference_bytes > 0 && partly {
            Outcome::PartlySeen
        } else {
            Outcome::Open
        };
        let pages = signed(kernel.after.mem_pages);
        let tcp_mem = kernel.tcp_mem.map(|mem| Marks {
            low: mem.low,
            pressure: mem.pressure,
            high: mem.high,
            to_pressure: signed(mem.pressure).saturating_sub(pages),
            to_high: signed(mem.high).saturating_sub(pages),
        });
        Self {
            page_bytes: kernel.page,
            charged_bytes,
            kernel_pages_before: kernel.before.mem_pages,
            kernel_pages: kernel.after.mem_pages,
            kernel_bytes,
            difference_bytes,
            bound_bytes,
            cpu_reserve: kernel.reserve,
            drift_bytes,
            charges_zerocopy: kernel.charges_zerocopy,
            outcome,
            attempts: 1,
            unlisted,
            unlisted_holders: kernel.strays,
            orphans: kernel.after.orphan,
            namespaces,
            tcp_mem,
            memcg_sock: kernel.memcg,
            slab: kernel.slab,
            seen,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        diag::TcpState,
        snapshot::row::tests::{mem, socket},
    };

    fn kernel(pages: u64, cpus: u64) -> Kernel {
        let stat = SockstatTcp {
            inuse: 1,
            orphan: 0,
            tw: 0,
            alloc: 3,
            mem_pages: pages,
        };
        Kernel {
            page: 4096,
            charges_zerocopy: false,
            before: stat,
            after: stat,
            reserve: CpuReserve {
                cpus,
                bytes_per_cpu: 1 << 20,
                assumed: false,
            },
            tcp_mem: Some(TcpMem {
                low: 1,
                pressure: 20,
                high: 30,
            }),
            memcg: None,
            slab: None,
            strays: Vec::new(),
        }
    }

    pub(crate) fn account(charged: i32, pages: u64, cpus: u64, namespaces: Visited) -> Account {
        let mut seen = Tally::default();
        let row = Row::new(&socket(TcpState::Established, mem(charged, 0, 0, 1)), 1);
        seen.add(&row, 4096);
        Account::new(seen, kernel(pages, cpus), namespaces)
    }

    const ALL: Visited = Visited {
        visited: 1,
        found: 1,
        denied: 0,
    };

    #[test]
    fn exact_where_cpus_hold_nothing_back() {
        let exact = account(10 * 4096, 10, 0, ALL);
        assert_eq!((exact.difference_bytes, exact.bound_bytes), (0, 0));
        assert_eq!((exact.outcome, exact.unlisted), (Outcome::Closes, 2));
        assert_eq!(account(10 * 4096, 11, 0, ALL).outcome, Outcome::Open);
        assert_eq!(account(10 * 4096, 9, 0, ALL).outcome, Outcome::Open);
        let marks = exact.tcp_mem.unwrap();
        assert_eq!((marks.to_pressure, marks.to_high), (10, 20));
    }

    #[test]
    fn each_cpu_may_hold_back_its_reserve() {
        assert_eq!(account(4096, 1 + 512, 2, ALL).outcome, Outcome::Closes);
        assert_eq!(account(4096, 2 + 512, 2, ALL).outcome, Outcome::Open);
    }

    #[test]
    fn what_other_namespaces_may_hold_is_not_called_an_error() {
        let partly = Visited { found: 2, ..ALL };
        assert_eq!(account(4096, 9, 0, partly).outcome, Outcome::PartlySeen);
        // Nor what may be in a process that cannot be looked at, unless no socket is missing.
        let denied = Visited { denied: 1, ..ALL };
        assert_eq!(account(4096, 9, 0, denied).outcome, Outcome::PartlySeen);
        // More than the kernel counts is an error wherever sockets are.
        assert_eq!(account(9 * 4096, 1, 0, partly).outcome, Outcome::Open);
    }

    #[test]
    fn a_socket_that_moved_or_may_be_zerocopy_widens_the_bound() {
        assert_eq!(account(5000, 1, 0, ALL).seen.uneven_bytes, 9096);
        let mut zero_copy = mem(8192, 0, 0, 1);
        zero_copy.optmem = 100;
        let mut seen = Tally::default();
        let row = Row::new(&socket(TcpState::Established, zero_copy), 1);
        seen.add(&row, 4096);
        assert_eq!((seen.maybe_zerocopy, seen.maybe_zerocopy_bytes), (1, 8192));
        let bound = |charges_zerocopy| {
            let kernel = Kernel {
                charges_zerocopy,
                ..kernel(2, 0)
            };
            Account::new(seen.clone(), kernel, ALL).bound_bytes
        };
        assert_eq!((bound(false), bound(true)), (8192, 0));
    }
}
