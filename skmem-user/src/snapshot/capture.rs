//! Asking the kernel, in this order: who holds what (`/proc`), the kernel's count, every socket of every
//! namespace, the kernel's count again.

use std::{
    collections::{HashMap, HashSet},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};

use super::{
    account::{Account, Kernel, Tally, Visited},
    locks,
    row::{Holder, Limit, Owner, Row},
};
use crate::{
    decode::{Limits, origin},
    diag::{
        self, DiagSocket, Family, Protocol, SockstatTcp,
        account_sources::{CpuReserve, MemcgSock, slab_caches},
        cgroups,
        inet_diag::{self, Ask},
        netns::{self, Namespace, Namespaces},
        owners::{Owners, command_name},
    },
    explain::numbers::grouped,
};

/// What to look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Every namespace, not only ours.
    pub all_netns: bool,
    /// UDP sockets too.
    pub udp: bool,
    /// MPTCP sockets too; they are in the account in any case.
    pub mptcp: bool,
    /// Who holds each socket.
    pub owners: bool,
    /// Ask each socket whether its limit is locked, through a descriptor borrowed from its owner.
    pub locks: bool,
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

/// Sockets of one namespace.
struct Listed {
    rows: Vec<Row>,
    time_wait: u64,
    limits: Limits,
    notes: Vec<String>,
}

/// Looks once.
///
/// # Errors
/// Where the kernel answers no sock_diag question, or `/proc` is not mounted.
pub fn capture(options: Options) -> Result<Captured> {
    let mut notes = Vec::new();
    let mut owners = match options.owners || options.all_netns {
        true => Owners::read().context("cannot read /proc: is it mounted?")?,
        false => Owners::default(),
    };
    let found = netns::find(owners.held_namespaces()).context("cannot read /proc: is it mounted?")?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let page = rustix::param::page_size() as u64;
    let realtime_ns = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX));
    let begun = Instant::now();
    let before = SockstatTcp::read()?;
    let mut seen = Tally::default();
    let (mut rows, mut limits) = (Vec::new(), HashMap::new());
    // A socket is listed twice when the kernel's table changes between two parts of a dump.
    let mut cookies = HashSet::new();
    let visited = visit(&found, options, &mut notes, |namespace, listed| {
        seen.time_wait += listed.time_wait;
        notes_once(&listed.notes, namespace);
        limits.insert(namespace.inode, listed.limits);
        for row in listed.rows {
            if cookies.insert(row.cookie) {
                seen.add(&row, page as i64);
                if options.mptcp || row.protocol != Protocol::Mptcp {
                    rows.push(row);
                }
            }
        }
        listed.notes
    })?;
    let after = SockstatTcp::read()?;
    let took_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    drop(cookies);
    let kernel = Kernel {
        page,
        before,
        after,
        reserve: CpuReserve::read(&release, page),
        tcp_mem: diag::tcp_mem().ok(),
        memcg: MemcgSock::read(),
        slab: slab_caches(page),
    };
    let account = Account::new(seen, kernel, visited);
    if options.owners {
        give_owners(&mut rows, &mut owners, &mut notes);
        if options.locks {
            locks::ask(&mut rows, &mut notes);
        }
    }
    give_cgroups(&mut rows);
    Ok(Captured {
        rows,
        account,
        namespaces: found.all.into_iter().map(|n| (n.inode, n.name)).collect(),
        limits,
        kernel: release,
        realtime_ns,
        took_ns,
        notes,
    })
}
