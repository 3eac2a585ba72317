//! The sum over all sockets against the kernel's own count, and how far apart the two may be.
//!
//! `/proc/net/sockstat` says in pages what all TCP sockets of the machine are charged with
//! (`tcp_memory_allocated`). Each socket's w + r + f is its share, in whole pages. What comes
//! between the two works in one direction or in both:
//!
//! * Both: CPUs that hold back a reserve (6.0), and memory that moves while sockets are read one
//!   after the other.
//! * The kernel counts more: open TLS records, which are charged and in none of w, r and f. And a
//!   leak.
//! * The kernel counts less: memory in w or r that is not charged to TCP: zero-copy data, messages
//!   on the error queue, sockets that bypass the count. None of it is ever a leak.

use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Row, record::open_record};
use crate::{
    diag::{
        Protocol, SockstatTcp, TcpMem, UpperLayer,
        account_sources::{CpuReserve, MemcgSock, SlabCache},
    },
    kernel::facts::Fact,
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
    /// Sockets whose w + r + f is not whole pages: they moved while they were read, or hold
    /// error-queue messages or kTLS records. An MPTCP socket shares pages with its subflows:
    /// their sum is looked at
    pub uneven: u64,
    /// The most that these may be off, bytes; open TLS records are not in it
    pub uneven_bytes: i64,
    /// Sockets with option memory enough for a zero-copy notification, and data in w: perhaps
    /// zero-copy, whose data is not charged from 5.16 on
    pub maybe_zerocopy: u64,
    /// Their w, bytes: the kernel's count may be less by so much
    pub maybe_zerocopy_bytes: i64,
    /// Sockets with kernel TLS
    pub ktls: u64,
    /// Of them, those with a record that is open: charged twice to f, as plaintext and as
    /// ciphertext, and in none of w, r and f
    #[serde(default)]
    pub open_records: u64,
    /// What these records are charged with, from their sockets' f, bytes
    #[serde(default)]
    pub open_record_bytes: i64,
    /// How far that may be off, bytes
    #[serde(default)]
    pub open_record_slack_bytes: i64,
    /// Sockets that are charged to their memory cgroup and not to TCP (`net.core.bypass_prot_mem`,
    /// or a cgroup's BPF program), read from each (`--check` as root)
    #[serde(default)]
    pub bypassed: u64,
    /// Their w + r + f, bytes: not in the kernel's count
    #[serde(default)]
    pub bypassed_bytes: i64,
    /// Sockets in namespaces whose `net.core.bypass_prot_mem` is 1 now, where each socket's own
    /// bit was not read
    #[serde(default)]
    pub maybe_bypassed: u64,
    /// Their w + r + f, bytes: the kernel's count may be less by so much
    #[serde(default)]
    pub maybe_bypassed_bytes: i64,
    /// w + r + f of sockets made in a cgroup that is not the root: what memory cgroups are charged
    /// with, bytes
    #[serde(default)]
    pub in_cgroups_bytes: i64,
    /// r of sockets that were read under their lock and are not whole pages: messages on the error
    /// queue are in r and not charged, bytes
    #[serde(default)]
    pub error_queue_bytes: i64,
    /// Sockets whose w, r and f were read under their lock, of one moment (`--check` as root, from
    /// 5.15 on)
    #[serde(default)]
    pub exact: u64,
}

/// What the sum needs to know beside a row.
#[derive(Debug)]
pub struct Ground<'a> {
    /// Bytes in a page.
    pub page: i64,
    /// Least option memory of a socket with a zero-copy notification, bytes.
    pub notification: i32,
    /// What was read from sockets under their lock, by cookie.
    pub facts: &'a HashMap<u64, Fact>,
    /// Namespaces whose `net.core.bypass_prot_mem` is set.
    pub bypassing: &'a HashSet<u64>,
    /// MPTCP sockets and subflows whose connection as a whole holds whole pages, by cookie: one
    /// end of a page is in one of them and the other in another, as memory is handed from
    /// subflows to the MPTCP socket in bytes (`mptcp_borrow_fwdmem`), and nothing moved.
    pub shared: &'a HashSet<u64>,
    /// The root cgroup's id, whose sockets no memory cgroup is charged with.
    pub root_cgroup: Option<u64>,
}

/// [`Ground::shared`] of these sockets.
#[must_use]
pub fn shared(rows: &[Row], page: i64, facts: &HashMap<u64, Fact>) -> HashSet<u64> {
    let mut connections: HashMap<u64, (i64, Vec<u64>)> = HashMap::new();
    for row in rows {
        let connection = match row.protocol {
            Protocol::Mptcp => Some(row.cookie),
            _ => row.mptcp_socket,
        };
        if let (Some(connection), Some((w, r, f))) = (connection, held(row, facts)) {
            let (sum, members) = connections.entry(connection).or_default();
            *sum += w + r + f;
            members.push(row.cookie);
        }
    }
    connections
        .into_values()
        .filter(|(sum, members)| members.len() > 1 && sum.rem_euclid(page) == 0)
        .flat_map(|(_, members)| members)
        .collect()
}

/// w, r and f of a socket: those that were read under its lock, where they were.
fn held(row: &Row, facts: &HashMap<u64, Fact>) -> Option<(i64, i64, i64)> {
    let memory = row.memory.as_ref()?;
    let (w, r, f) = match facts.get(&row.cookie) {
        Some(fact) => (fact.wmem_queued, fact.rmem_alloc, fact.forward_alloc),
        None => (memory.wmem_queued, memory.rmem_alloc, memory.forward_alloc),
    };
    Some((w.into(), r.into(), f.into()))
}

/// Least option memory of a socket that holds a zero-copy notification: an skb of the size that
/// `msg_zerocopy_alloc` takes, 768 bytes on 5.10 and 6.1, 896 on 6.12 and 7.2. An MD5 key takes
/// 136, socket storage of a tracer some 250.
#[must_use]
pub fn notification(version: (u32, u32)) -> i32 {
    if version < (6, 12) { 768 } else { 896 }
}

impl Tally {
    /// Adds a socket.
    pub fn add(&mut self, row: &Row, ground: &Ground) {
        if row.protocol == Protocol::Udp {
            return;
        }
        let Some(memory) = &row.memory else {
            self.requests += 1;
            return;
        };
        let fact = ground.facts.get(&row.cookie);
        let locked = fact.is_some_and(|fact| fact.locked);
        let Some((w, r, f)) = held(row, ground.facts) else {
            return;
        };
        let (charged, page) = (w + r + f, ground.page);
        let even = charged.rem_euclid(page) == 0 || ground.shared.contains(&row.cookie);
        let tls = row.upper_layer == Some(UpperLayer::Tls);
        self.sockets += 1;
        self.mptcp += u64::from(row.protocol == Protocol::Mptcp);
        self.ktls += u64::from(tls);
        self.exact += u64::from(locked);
        self.wmem_queued += w;
        self.rmem_alloc += r;
        self.forward_alloc += f;
        self.wmem_alloc += i64::from(memory.wmem_alloc);
        // None before 5.8, which added the attribute of the id.
        if row.cgroup_id.is_some() && row.cgroup_id != ground.root_cgroup {
            self.in_cgroups_bytes += charged;
        }
        match fact {
            Some(fact) if fact.bypass => {
                self.bypassed += 1;
                self.bypassed_bytes += charged;
                // Whatever else is uncertain of it is so outside of the kernel's count.
                return;
            }
            None if ground.bypassing.contains(&row.netns) => {
                self.maybe_bypassed += 1;
                self.maybe_bypassed_bytes += charged;
            }
            _ => {}
        }
        if !even {
            self.uneven += 1;
            // A kernel that does not tell who has TLS may hide a record in any socket without
            // queues.
            let may_be_tls = tls || !row.privileged && w == 0 && r == 0;
            if may_be_tls {
                let (bytes, slack) = open_record(charged, f, page);
                self.open_records += u64::from(tls);
                self.open_record_bytes += bytes;
                self.open_record_slack_bytes += slack;
            }
            // A record has a bound of its own. Under the lock nothing moves: what is left is in r
            // and not charged.
            let most = if may_be_tls { 0 } else { page };
            self.uneven_bytes += if locked { most } else { w + r + most };
        } else if memory.optmem >= ground.notification
            && w > 0
            && fact.is_none_or(|fact| fact.zerocopy)
        {
            self.maybe_zerocopy += 1;
            self.maybe_zerocopy_bytes += w;
        }
        if locked && !tls && !even {
            self.error_queue_bytes += r;
        }
    }

    /// w + r + f over all of them, bytes.
    #[must_use]
    pub fn charged(&self) -> i64 {
        self.wmem_queued + self.rmem_alloc + self.forward_alloc
    }

    /// What of it the kernel's count should hold, with what is charged and in none of the three,
    /// bytes.
    #[must_use]
    pub fn counted(&self) -> i64 {
        self.charged() - self.bypassed_bytes + self.open_record_bytes
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
pub struct UnlistedHolder {
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
    /// The difference is within its bounds
    Closes,
    /// The kernel counts more than the sockets hold, by more than the bound: memory is charged to
    /// no socket that a list shows
    Open,
    /// The sockets hold more than the kernel counts, by more than what is known not to be charged.
    /// Never a leak
    Uncharged,
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
    /// What of the sockets' memory the kernel's count should hold: `charged_bytes`, less what
    /// bypasses it, and open TLS records, bytes
    #[serde(default)]
    pub counted_bytes: i64,
    /// `kernel_bytes - counted_bytes`
    pub difference_bytes: i64,
    /// How large the difference may be
    pub bound_bytes: i64,
    /// How much less than that the kernel may count besides: zero-copy data and the like, which is
    /// not charged
    #[serde(default)]
    pub uncharged_bytes: i64,
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
    /// Sockets that are allocated (`TCP: alloc`) and in no list: not bound, in a namespace not
    /// visited, or reset by the peer and still open, whose unread data is charged; negative
    /// where sockets were closed meanwhile
    pub unlisted: i64,
    /// Processes that hold TCP sockets which are in no list, the most first; looked for where
    /// `unlisted` is not 0
    pub unlisted_holders: Vec<UnlistedHolder>,
    /// `TCP: orphan`: sockets that their application has closed and the kernel still finishes
    pub orphans: u64,
    /// `tcp_max_orphans`: beyond it, the kernel resets what would become an orphan; absent in a
    /// container, where it is not shown
    #[serde(default)]
    pub max_orphans: Option<u64>,
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
    /// `tcp_max_orphans`
    pub max_orphans: Option<u64>,
    /// Who holds sockets that are in no list.
    pub unlisted_holders: Vec<UnlistedHolder>,
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
        let counted_bytes = seen.counted();
        let difference_bytes = kernel_bytes.saturating_sub(counted_bytes);
        let bound_bytes = signed(kernel.reserve.bound())
            .saturating_add(drift_bytes)
            .saturating_add(seen.uneven_bytes)
            .saturating_add(seen.open_record_slack_bytes);
        let zerocopy = match kernel.charges_zerocopy {
            true => 0,
            false => seen.maybe_zerocopy_bytes,
        };
        let uncharged_bytes = zerocopy
            .saturating_add(seen.maybe_bypassed_bytes)
            .saturating_add(seen.error_queue_bytes);
        let listed = signed(seen.sockets.saturating_sub(seen.mptcp));
        let unlisted = signed(kernel.after.alloc).saturating_sub(listed);
        // Processes that may not be looked at matter only where sockets are missing that no other
        // holds.
        let held: u64 = kernel
            .unlisted_holders
            .iter()
            .map(|holder| holder.sockets)
            .sum();
        let hidden = namespaces.denied > 0 && unlisted > signed(held);
        let partly = namespaces.visited < namespaces.found || hidden;
        let outcome = if difference_bytes > bound_bytes {
            if partly {
                Outcome::PartlySeen
            } else {
                Outcome::Open
            }
        } else if difference_bytes < -bound_bytes.saturating_add(uncharged_bytes) {
            Outcome::Uncharged
        } else {
            Outcome::Closes
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
            counted_bytes,
            difference_bytes,
            bound_bytes,
            uncharged_bytes,
            cpu_reserve: kernel.reserve,
            drift_bytes,
            charges_zerocopy: kernel.charges_zerocopy,
            outcome,
            attempts: 1,
            unlisted,
            unlisted_holders: kernel.unlisted_holders,
            orphans: kernel.after.orphan,
            max_orphans: kernel.max_orphans,
            namespaces,
            tcp_mem,
            memcg_sock: kernel.memcg,
            slab: kernel.slab,
            seen,
        }
    }
}

impl Account {
    /// Whether the bounds are as narrow as they can be: a leak of more than the CPUs' reserve and a
    /// hundredth of what the sockets hold would show.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        let least = signed(self.cpu_reserve.bound())
            .saturating_add(self.drift_bytes)
            .saturating_add(self.charged_bytes / 100);
        self.bound_bytes.saturating_add(self.uncharged_bytes) <= least
    }

    /// Socket memory that memory cgroups are charged with, less what TCP sockets made in cgroups
    /// hold: UDP's share, and what CPUs hold back; bytes. Where sockets bypass the kernel's
    /// count, this is what closes their account.
    #[must_use]
    pub fn memcg_difference(&self) -> Option<i64> {
        let memcg = self.memcg_sock.as_ref()?;
        Some(signed(memcg.bytes).saturating_sub(self.seen.in_cgroups_bytes))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        diag::TcpState,
        testing::rows::{mem, socket},
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
            max_orphans: Some(100),
            unlisted_holders: Vec::new(),
        }
    }

    /// Of a machine without sockets.
    pub(crate) fn empty() -> Account {
        Account::new(Tally::default(), kernel(0, 1), Visited::default())
    }

    /// Adds a socket of a kernel of today.
    fn add(seen: &mut Tally, row: &Row) {
        let ground = Ground {
            page: 4096,
            notification: 896,
            facts: &HashMap::new(),
            bypassing: &HashSet::new(),
            shared: &HashSet::new(),
            root_cgroup: None,
        };
        seen.add(row, &ground);
    }

    #[test]
    fn pages_that_an_mptcp_socket_shares_with_its_subflow_are_whole() {
        // Measured on 6.18: an unread receiver, and a stalled sender.
        let mut rows: Vec<Row> = [(1, 85_197, 0), (2, 0, 819), (3, 0, 4096)]
            .into_iter()
            .map(|(cookie, r, f)| {
                let mut one = socket(TcpState::Established, mem(0, r, f, 1));
                one.cookie = cookie;
                Row::new(&one, 1)
            })
            .collect();
        rows[0].protocol = Protocol::Mptcp;
        rows[1].mptcp_socket = Some(1);
        let facts = HashMap::new();
        let all = shared(&rows, 4096, &facts);
        assert_eq!(all, HashSet::from([1, 2]));
        let ground = Ground {
            page: 4096,
            notification: 896,
            facts: &facts,
            bypassing: &HashSet::new(),
            shared: &all,
            root_cgroup: None,
        };
        let mut seen = Tally::default();
        rows.iter().for_each(|row| seen.add(row, &ground));
        assert_eq!((seen.uneven, seen.uneven_bytes), (0, 0));
        assert_eq!(seen.charged(), 22 * 4096);
        // One of them moved.
        let mut memory = rows[1].memory.unwrap();
        memory.forward_alloc = 800;
        rows[1].memory = Some(memory);
        assert!(shared(&rows, 4096, &facts).is_empty());
    }

    pub(crate) fn account(charged: i32, pages: u64, cpus: u64, namespaces: Visited) -> Account {
        let mut seen = Tally::default();
        let row = Row::new(&socket(TcpState::Established, mem(charged, 0, 0, 1)), 1);
        add(&mut seen, &row);
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
        // Less than the sockets hold is not a leak.
        assert_eq!(account(10 * 4096, 9, 0, ALL).outcome, Outcome::Uncharged);
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
        // What is not counted is not a leak, wherever sockets are.
        assert_eq!(account(9 * 4096, 1, 0, partly).outcome, Outcome::Uncharged);
    }

    #[test]
    fn a_socket_that_moved_widens_the_bound() {
        assert_eq!(account(5000, 1, 0, ALL).seen.uneven_bytes, 9096);
    }

    fn of(optmem: i32, facts: &HashMap<u64, Fact>, bypassing: &[u64]) -> Tally {
        let mut memory = mem(8192, 0, 0, 1);
        memory.optmem = optmem;
        let mut seen = Tally::default();
        let ground = Ground {
            page: 4096,
            notification: 896,
            facts,
            bypassing: &bypassing.iter().copied().collect(),
            shared: &HashSet::new(),
            root_cgroup: None,
        };
        let row = Row::new(&socket(TcpState::Established, memory), 1);
        seen.add(&row, &ground);
        seen
    }

    #[test]
    fn zero_copy_lets_the_kernel_count_less_and_never_more() {
        let none = HashMap::new();
        let seen = of(896, &none, &[]);
        assert_eq!((seen.maybe_zerocopy, seen.maybe_zerocopy_bytes), (1, 8192));
        let account = |pages, charges_zerocopy| {
            let kernel = Kernel {
                charges_zerocopy,
                ..kernel(pages, 0)
            };
            Account::new(seen.clone(), kernel, ALL)
        };
        assert_eq!(account(0, false).outcome, Outcome::Closes);
        assert_eq!(account(0, true).outcome, Outcome::Uncharged);
        // A leak is not hidden by what may be zero-copy.
        assert_eq!(account(3, false).outcome, Outcome::Open);
        // An MD5 key, a tracer's storage: no zero-copy.
        assert_eq!(of(136 + 260, &none, &[]).maybe_zerocopy, 0);
    }

    #[test]
    fn what_a_socket_itself_tells_is_taken_before_what_is_guessed() {
        let fact = Fact {
            wmem_queued: 4096,
            rmem_alloc: 0,
            forward_alloc: 0,
            zerocopy: false,
            bypass: false,
            locked: true,
        };
        let one = |fact| HashMap::from([(1, fact)]);
        // Its option memory is something else, and the sum takes what was read under its lock.
        let plain = of(896, &one(fact), &[1]);
        assert_eq!((plain.maybe_zerocopy, plain.charged()), (0, 4096));
        assert_eq!((plain.maybe_bypassed, plain.exact), (0, 1));
        let bypassed = of(
            0,
            &one(Fact {
                bypass: true,
                ..fact
            }),
            &[],
        );
        assert_eq!((bypassed.bypassed_bytes, bypassed.counted()), (4096, 0));
        // Without rights, the namespace's sysctl is all there is.
        let guessed = of(0, &HashMap::new(), &[1]);
        assert_eq!(
            (guessed.maybe_bypassed_bytes, guessed.counted()),
            (8192, 8192)
        );
        let account = Account::new(guessed, kernel(0, 0), ALL);
        assert_eq!(
            (account.outcome, account.is_tight()),
            (Outcome::Closes, false)
        );
    }

    #[test]
    fn open_records_are_counted_from_what_is_left_of_f() {
        let mut seen = Tally::default();
        // Measured: 300 records of 8,000 bytes each, f -7,837.
        for cookie in 0..300 {
            let mut one = socket(TcpState::Established, mem(0, 0, -7837, 1));
            one.upper_layer = Some(UpperLayer::Tls);
            one.cookie = cookie;
            add(&mut seen, &Row::new(&one, 1));
        }
        assert_eq!(seen.open_records, 300);
        let account = Account::new(seen, kernel(300 * 2, 0), ALL);
        assert_eq!(account.outcome, Outcome::Closes, "{account:?}");
        assert_eq!(account.seen.open_record_bytes, 300 * (2 * 8000 + 29));
        let leaks = Account::new(account.seen, kernel(600 + 600, 0), ALL);
        assert_eq!(leaks.outcome, Outcome::Open, "{leaks:?}");
    }
}
