//! Asking the kernel: who holds what, and meanwhile the kernel's count, every socket of every
//! namespace, the kernel's count again.

use std::{
    collections::{HashMap, HashSet},
    panic::resume_unwind,
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};

use super::{
    account::{Account, Ground, Kernel, Tally, Visited, notification, shared},
    holders::{self, When},
    locks, multipath, path, probe,
    row::{Owner, Row},
    unlisted,
};
use crate::{
    decode::Limits,
    diag::{
        self, Protocol, SockstatTcp, TcpMem, UpperLayer,
        account_sources::{
            CpuReserve, MemcgSock, bypasses_prot_mem, max_orphans, mem_pcpu_rsv, root_cgroup,
            slab_caches, version,
        },
        inet_diag,
        netns::{self, Namespace, Namespaces},
        owners::{Owners, Since},
    },
    explain::window::Window,
    kernel::{
        descriptors,
        facts::{self, Fact},
    },
};

/// Looks for which MPTCP sockets are not asked for again by a user who is not shown which TCP
/// sockets are subflows, where there were none.
const WITHOUT_MPTCP: u32 = 9;

/// Holders are read again after this time in any case: descriptors are passed on.
const STALE: Duration = Duration::from_secs(30);

/// What to look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Every namespace, not only ours.
    pub all_netns: bool,
    /// UDP sockets too.
    pub udp: bool,
    /// Who holds each socket.
    pub owners: bool,
    /// Ask each socket whether its limit is locked, through a descriptor borrowed from its owner.
    pub locks: bool,
    /// Ask for the path below TCP, of sockets that queue.
    pub paths: bool,
    /// Leave out what only explains the account: slab and memory cgroups. The kernel holds a lock
    /// of all caches meanwhile (`slab_mutex`), which is not to be taken each second. And sockets
    /// that are bound and nothing else.
    pub brief: bool,
    /// What fills the receive buffer of each TCP socket, and what its window depends on: loads an
    /// eBPF program.
    pub windows: bool,
    /// Read w, r and f of each TCP socket under its lock, and what only the socket itself holds:
    /// loads an eBPF program.
    pub exact: bool,
}

/// What was found.
#[derive(Debug)]
pub struct Captured {
    /// Sockets, in the kernel's order.
    pub rows: Vec<Row>,
    /// The account.
    pub account: Account,
    /// Names of namespaces by inode.
    pub namespaces: HashMap<u64, String>,
    /// Ways into them, for `setns`.
    pub ways: HashMap<u64, PathBuf>,
    /// TCP sockets with something in their send queue that no file refers to.
    pub fileless: usize,
    /// The sysctls of the namespaces, by inode.
    pub limits: HashMap<u64, Limits>,
    /// `uname -r`
    pub kernel: String,
    /// When the listing began, ns since 1970.
    pub realtime_ns: u64,
    /// How long the listing took, ns.
    pub took_ns: u64,
    /// What could not be seen.
    pub notes: Vec<String>,
}

/// Looks once.
///
/// # Errors
/// Where the kernel answers no `sock_diag` question, or `/proc` is not mounted.
pub fn capture(options: Options) -> Result<Captured> {
    Looker::default().look(options)
}

/// Looks again and again. Who holds what is remembered from one look to the next: reading that from
/// `/proc` takes longer than all the rest.
#[derive(Debug, Default)]
pub struct Looker {
    held: Option<Held>,
    /// Paths of cgroups by their ids; None: there is no such cgroup.
    cgroups: HashMap<u64, Option<String>>,
    /// Looks to come for which there is taken to be no MPTCP socket that is not seen by its
    /// subflows.
    without_mptcp: u32,
}

/// Who held what, and when that was read.
#[derive(Debug)]
struct Held {
    owners: Owners,
    read: Instant,
    took: Duration,
    /// Sockets that nobody held then, as far as could be seen, by inode.
    unheld: HashSet<u32>,
    /// Others were seen since.
    strangers: bool,
}

impl Held {
    /// Whether it is read again. Reading it takes a hundredth of the time at most, whatever comes
    /// and goes.
    fn is_due(&self) -> bool {
        let age = self.read.elapsed();
        age >= STALE.max(self.took * 100) || self.strangers && age >= self.took * 100
    }
}

impl Looker {
    /// Reads who holds what, where that is due; true: it was.
    fn owners(&mut self) -> Result<bool> {
        if self.held.as_ref().is_some_and(|held| !held.is_due()) {
            return Ok(false);
        }
        let begun = Instant::now();
        let owners = descriptors::owners().context("cannot read /proc: is it mounted?")?;
        self.held = Some(Held {
            owners,
            read: Instant::now(),
            took: begun.elapsed(),
            unheld: HashSet::new(),
            strangers: false,
        });
        Ok(true)
    }

    /// Looks.
    ///
    /// # Errors
    /// As for [`capture`].
    pub fn look(&mut self, options: Options) -> Result<Captured> {
        let proc = "cannot read /proc: is it mounted?";
        let release = rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned();
        let page = rustix::param::page_size() as u64;
        let realtime_ns = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| ns(time.as_nanos()));
        let begun = Instant::now();
        let guess = !options.brief || self.without_mptcp == 0;
        let since = Since::now();
        // Which namespaces there are is known only when all descriptors have been looked at; where
        // only ours is wanted, both go on at once.
        let (fresh, found, listed) = if options.all_netns {
            let fresh = self.owners()?;
            let nobody = HashMap::new();
            let held = self.held.as_ref();
            let namespaces = held.map_or(&nobody, |held| held.owners.held_namespaces());
            let found = netns::find(namespaces).context(proc)?;
            let listed = Gathered::list(&found, options, guess)?;
            (fresh, found, listed)
        } else {
            thread::scope(|scope| {
                let owners = scope.spawn(|| match options.owners {
                    true => self.owners(),
                    false => Ok(false),
                });
                let found = netns::find(&HashMap::new()).context(proc)?;
                let listed = Gathered::list(&found, options, guess)?;
                let fresh = owners.join().unwrap_or_else(|panic| resume_unwind(panic))?;
                anyhow::Ok((fresh, found, listed))
            })?
        };
        let took_ns = ns(begun.elapsed().as_nanos());
        let (mut gathered, before, after, visited) = listed;
        self.without_mptcp = match guess {
            true if gathered
                .rows
                .iter()
                .any(|row| row.protocol == Protocol::Mptcp) =>
            {
                0
            }
            true => WITHOUT_MPTCP,
            false => self.without_mptcp - 1,
        };
        let version = version(&release);
        multipath::link(&mut gathered.rows);
        let nobody = Owners::default();
        let owners = self.held.as_ref().map_or(&nobody, |held| &held.owners);
        let (mut rows, seen) = gathered.sum(page, notification(version));
        let missing = after.alloc > seen.sockets.saturating_sub(seen.mptcp);
        let kernel = Kernel {
            page,
            charges_zerocopy: version < (5, 16),
            before,
            after,
            reserve: CpuReserve::new(&release, page, gathered.reserve),
            tcp_mem: gathered.tcp_mem,
            memcg: (!options.brief).then(MemcgSock::read).flatten(),
            slab: (!options.brief).then(|| slab_caches(page)).flatten(),
            max_orphans: max_orphans(),
            unlisted_holders: if missing {
                let listed = rows.iter().map(|row| row.inode);
                unlisted::find(owners, &listed.collect())
            } else {
                Vec::new()
            },
        };
        let account = Account::new(seen, kernel, visited);
        let mut notes = gathered.notes;
        if options.owners {
            let when = match &self.held {
                Some(held) if !fresh => When::Before(&held.unheld),
                _ => When::Now(since),
            };
            holders::set(&mut rows, owners, when, &mut notes);
            if let Some(held) = &mut self.held {
                held.strangers = rows.iter().any(|row| row.owner == Owner::NotAsked);
                if fresh {
                    let without = rows
                        .iter()
                        .filter(|row| row.inode != 0 && row.holders.is_empty());
                    held.unheld = without.map(|row| row.inode).collect();
                }
            }
        }
        if options.windows {
            windows(&mut rows, &wanted(&found, options), &mut notes);
        }
        locks::judge(&mut rows, &gathered.limits);
        if options.owners && options.locks {
            locks::ask(&mut rows, &mut notes);
        }
        holders::set_cgroups(&mut rows, &mut self.cgroups);
        let ways: HashMap<u64, PathBuf> = found
            .all
            .iter()
            .map(|n| (n.inode, n.path.clone()))
            .collect();
        if options.paths {
            let ours = found.all.first().map_or(0, |namespace| namespace.inode);
            path::set(&mut rows, &ways, ours);
        }
        let fileless = |row: &&Row| row.inode == 0 && probe::is_candidate(row);
        Ok(Captured {
            fileless: rows.iter().filter(fileless).count(),
            rows,
            account,
            ways,
            namespaces: found.all.into_iter().map(|n| (n.inode, n.name)).collect(),
            limits: gathered.limits,
            kernel: release,
            realtime_ns,
            took_ns,
            notes,
        })
    }
}

/// `1 process`, `7 processes`.
pub(super) fn processes(n: u64) -> String {
    let es = if n == 1 { "" } else { "es" };
    format!("{n} process{es}")
}

fn ns(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Sockets of one namespace.
struct Listed {
    rows: Vec<Row>,
    time_wait: u64,
    /// Some socket is a subflow. Each MPTCP socket that holds memory
    /// has one, so without any its own table, whose walk takes as long as thousands of
    /// sockets, need not be asked for.
    is_mptcp: bool,
    /// The kernel does not tell of each whether it is one.
    maybe_mptcp: bool,
    limits: Limits,
    /// Shown in the initial namespace only, as is the next.
    tcp_mem: Option<TcpMem>,
    reserve: Option<u64>,
    /// `net.core.bypass_prot_mem`
    bypasses: bool,
    notes: Vec<String>,
}

/// Sockets of all that were visited.
#[derive(Default)]
struct Gathered {
    rows: Vec<Row>,
    time_wait: u64,
    tcp_mem: Option<TcpMem>,
    reserve: Option<u64>,
    limits: HashMap<u64, Limits>,
    bypassing: HashSet<u64>,
    facts: HashMap<u64, Fact>,
    notes: Vec<String>,
}

impl Gathered {
    /// All sockets, with the kernel's count before and after. `guess`: also MPTCP sockets where it
    /// is not shown whether there are any.
    fn list(
        found: &Namespaces,
        options: Options,
        guess: bool,
    ) -> Result<(Self, SockstatTcp, SockstatTcp, Visited)> {
        let before = SockstatTcp::read()?;
        let mut gathered = Self::default();
        let visited = gathered.visit(found, options, guess)?;
        if options.exact {
            gathered.walk(found, options);
        }
        Ok((gathered, before, SockstatTcp::read()?, visited))
    }

    /// Reads what only the sockets themselves tell. Sockets have cookies by now: they were listed.
    fn walk(&mut self, found: &Namespaces, options: Options) {
        match facts::walk(&wanted(found, options)) {
            Ok(walked) => {
                self.facts = walked.sockets;
                self.notes.extend(walked.notes);
            }
            Err(error) => self.notes.push(format!(
                "w, r and f of each socket under its lock, and which of them bypass the kernel's count: {error}"
            )),
        }
    }

    /// Lists our own namespace, and the others where they are wanted.
    fn visit(&mut self, found: &Namespaces, options: Options, guess: bool) -> Result<Visited> {
        let (mut visited, mut refused) = (0, Vec::new());
        for (at, namespace) in found.all.iter().enumerate() {
            // Our own comes first, and needs no permission.
            let listed = match at {
                0 => list(namespace, options, guess)?,
                _ if !options.all_netns => continue,
                _ => match netns::inside(&namespace.path, || list(namespace, options, guess)) {
                    Ok(listed) => listed?,
                    Err(error) => {
                        refused.push(format!("{} ({}): {error}", namespace.name, namespace.inode));
                        continue;
                    }
                },
            };
            visited += 1;
            if self.rows.is_empty() {
                self.rows = listed.rows;
            } else {
                self.rows.extend(listed.rows);
            }
            self.time_wait += listed.time_wait;
            self.limits.insert(namespace.inode, listed.limits);
            if listed.bypasses {
                self.bypassing.insert(namespace.inode);
            }
            self.tcp_mem = self.tcp_mem.or(listed.tcp_mem);
            self.reserve = self.reserve.or(listed.reserve);
            for note in listed.notes {
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
        }
        let found_all = found.all.len() as u64;
        if let [first, rest @ ..] = &refused[..] {
            let more = match rest.len() {
                0 => String::new(),
                n => format!(", and {n} more"),
            };
            self.notes.push(format!(
                "network namespace {first}{more}: entering another needs CAP_SYS_ADMIN (run as root)"
            ));
        } else if !options.all_netns && found_all > 1 {
            self.notes.push(format!(
                "sockets of this network namespace only; {} more exist (--all-netns, as root)",
                found_all - 1
            ));
        }
        if found.denied > 0 {
            self.notes.push(format!(
                "the namespaces of {} that may not be looked at (root may, unless a security module objects)",
                processes(u64::from(found.denied))
            ));
        }
        Ok(Visited {
            visited,
            found: found_all,
            denied: u64::from(found.denied),
        })
    }

    /// Drops sockets that were listed twice, and adds up.
    fn sum(&mut self, page: u64, notification: i32) -> (Vec<Row>, Tally) {
        let mut seen = Tally {
            time_wait: self.time_wait,
            ..Tally::default()
        };
        let page = i64::try_from(page).unwrap_or(4096);
        let shared = shared(&self.rows, page, &self.facts);
        let ground = Ground {
            page,
            notification,
            facts: &self.facts,
            bypassing: &self.bypassing,
            shared: &shared,
            root_cgroup: root_cgroup(),
        };
        let mut cookies = hashbrown::HashSet::with_capacity(self.rows.len());
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(|row| {
            let new = cookies.insert(row.cookie);
            if new {
                seen.add(row, &ground);
            }
            new
        });
        (rows, seen)
    }
}

/// Ways into the namespaces that are looked at.
fn wanted(found: &Namespaces, options: Options) -> Vec<PathBuf> {
    let wanted = if options.all_netns { usize::MAX } else { 1 };
    let all = found.all.iter().take(wanted);
    all.map(|n| n.path.clone()).collect()
}

/// Sets what the receive buffer of each row holds. Sockets have cookies by now: they were listed.
fn windows(rows: &mut [Row], namespaces: &[PathBuf], notes: &mut Vec<String>) {
    let receivers = match facts::receivers(namespaces) {
        Ok((receivers, more)) => {
            notes.extend(more);
            receivers
        }
        Err(error) => {
            notes.push(format!("what fills each receive buffer: {error}"));
            return;
        }
    };
    for row in rows {
        let receiver = receivers.get(&row.cookie);
        row.window = receiver.and_then(Window::of).map(Box::new);
    }
}

/// Lists the calling thread's namespace, which is `namespace`.
fn list(namespace: &Namespace, options: Options, guess: bool) -> Result<Listed> {
    let mut listed = Listed {
        rows: Vec::new(),
        time_wait: 0,
        is_mptcp: false,
        maybe_mptcp: false,
        limits: limits(),
        tcp_mem: diag::tcp_mem().ok(),
        reserve: mem_pcpu_rsv(),
        bypasses: bypasses_prot_mem(),
        notes: Vec::new(),
    };
    let states = match options.brief {
        true => inet_diag::IN_USE,
        false => inet_diag::EVERY_STATE,
    };
    list_protocol(&mut listed, Protocol::Tcp, states, namespace)?;
    if (listed.is_mptcp || guess && listed.maybe_mptcp) && inet_diag::mptcp_is_known() {
        list_protocol(&mut listed, Protocol::Mptcp, states, namespace)?;
    }
    if options.udp {
        list_protocol(&mut listed, Protocol::Udp, states, namespace)?;
    }
    Ok(listed)
}

/// Lists the sockets of one protocol.
fn list_protocol(
    listed: &mut Listed,
    protocol: Protocol,
    states: u32,
    namespace: &Namespace,
) -> Result<()> {
    let dumped = inet_diag::dump(protocol, states, |socket| {
        if socket.time_wait {
            listed.time_wait += 1;
            return;
        }
        listed.is_mptcp |= socket.upper_layer == Some(UpperLayer::Mptcp);
        listed.maybe_mptcp |= !socket.privileged;
        listed.rows.push(Row::new(socket, namespace.inode));
    });
    match dumped {
        Ok(dumped) if dumped.unreadable > 0 => listed.notes.push(format!(
            "{} messages of sock_diag are in a form that skmem does not know",
            dumped.unreadable
        )),
        Ok(_) => {}
        // A protocol's module that is not loaded: there are no such sockets, or the kernel does not
        // tell.
        Err(error) if error.is_unsupported() && protocol != Protocol::Tcp => {
            let what = match protocol {
                Protocol::Udp => "UDP (module udp_diag)",
                _ => "MPTCP (module mptcp_diag)",
            };
            listed
                .notes
                .push(format!("this kernel does not list {what}"));
        }
        Err(error) => {
            return Err(error).context(
                "cannot list TCP sockets over sock_diag (is the module tcp_diag there? `modprobe tcp_diag`)",
            );
        }
    }
    Ok(())
}

/// The sysctls of the calling thread's namespace; the kernel's defaults where they cannot be read.
fn limits() -> Limits {
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let Ok(wmem) = diag::tcp_wmem() else {
        return Limits::DEFAULT;
    };
    Limits {
        wmem_default: whole(wmem.default),
        wmem_max: whole(wmem.max),
        // Not shown in a container; then twice its default is what hints are about.
        core_wmem_max: diag::wmem_max().map_or(Limits::DEFAULT.core_wmem_max, whole),
        read: true,
    }
}
