//! Which sockets are meant: one description, wherever sockets come from.
//!
//! The kernel's filter is made of it ([`Selection::filter`]); a [`Subject`] is held against it
//! ([`Selection::holds`]): a row of `sock_diag`, a socket that `ss` printed, a socket of a
//! recording; and [`crate::trace::older`] finds by it whose descriptors may be sockets older than a
//! trace.

use std::net::IpAddr;

use skmem_common::filter::{
    ANY_LEVEL, BY_CGROUP, BY_COMM, BY_DADDR, BY_DPORT, BY_NETNS, BY_PID, BY_SADDR, BY_SPORT, Filter,
};

use crate::diag::TcpState;

mod net;
mod port;
#[cfg(test)]
mod tests;

pub use net::Net;
pub use port::Port;

/// Digits of a container's id from which on a part of it is enough.
pub(crate) const CONTAINER: usize = 12;

/// Which sockets: all of it must hold; what is empty holds for all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// Used by one of these processes …
    pub pids: Vec<u32>,
    /// … or by one of these command names: where processes are known by what was written down of
    /// them.
    pub names: Vec<String>,
    /// Used by a task of one of these command names, 15 bytes at most.
    pub comms: Vec<String>,
    /// Used in this cgroup (v2) or below it.
    pub cgroup: Option<Cgroup>,
    /// In this network namespace.
    pub netns: Option<Netns>,
    /// Local port.
    pub sport: Option<Port>,
    /// Remote port.
    pub dport: Option<Port>,
    /// Local address.
    pub src: Option<Net>,
    /// Remote address.
    pub dst: Option<Net>,
    /// In one of these states.
    pub states: Vec<TcpState>,
}

/// A cgroup (v2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    /// Its path below the root of the hierarchy, beginning with `/`. Without that, what any part
    /// of a path may be called: a unit, a container, or 12 or more digits of a container's id.
    pub path: String,
    /// The kernel's number for it, which is the inode of its directory; 0: not looked up.
    pub id: u64,
    /// Its depth below the root; [`ANY_LEVEL`]: not known.
    pub level: u32,
}

/// A network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Netns {
    /// By its inode.
    Inode(u32),
    /// By the name that `ip netns` gave it.
    Name(String),
}

/// An end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The local one.
    Local,
    /// The remote one.
    Remote,
}

/// A socket as far as it is known where it is looked at. What is not known is not what was asked
/// for.
pub trait Subject {
    /// The port of an end.
    fn port(&self, end: End) -> Option<Port>;
    /// The address of an end.
    fn address(&self, end: End) -> Option<IpAddr>;
    /// Whether it is in this network namespace.
    fn is_in(&self, netns: &Netns) -> bool;
    /// The path of its cgroup below the root of the hierarchy.
    fn cgroup(&self) -> Option<&str>;
    /// Its state.
    fn state(&self) -> Option<TcpState>;
    /// Whether one of its users, by process id and command name, is `wanted`.
    fn is_used_by(&self, wanted: &dyn Fn(u32, &str) -> bool) -> bool;
}

impl Selection {
    /// The sockets of these processes.
    #[must_use]
    pub fn of_processes(pids: impl IntoIterator<Item = u32>) -> Self {
        Self {
            pids: pids.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The same, in these states only.
    #[must_use]
    pub fn in_states(self, states: &[TcpState]) -> Self {
        Self {
            states: states.to_vec(),
            ..self
        }
    }

    /// Whether it leaves nothing out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it asks who uses a socket.
    #[must_use]
    pub fn asks_for_users(&self) -> bool {
        !self.pids.is_empty() || !self.names.is_empty() || !self.comms.is_empty()
    }

    /// Whether a socket is meant.
    #[must_use]
    pub fn holds(&self, socket: &(impl Subject + ?Sized)) -> bool {
        let port = |wanted: &Option<Port>, end| {
            let is = |wanted: &Port| socket.port(end).is_some_and(|port| wanted.is(&port));
            wanted.as_ref().is_none_or(is)
        };
        let within = |wanted: Option<Net>, end| {
            wanted.is_none_or(|net| socket.address(end).is_some_and(|ip| net.holds(ip)))
        };
        let in_state = || socket.state().is_some_and(|is| self.states.contains(&is));
        port(&self.sport, End::Local)
            && port(&self.dport, End::Remote)
            && within(self.src, End::Local)
            && within(self.dst, End::Remote)
            && self.netns.as_ref().is_none_or(|netns| socket.is_in(netns))
            && (self.states.is_empty() || in_state())
            && self.is_used(socket)
            && self.cgroup.as_ref().is_none_or(|cgroup| {
                let is = socket.cgroup();
                is.is_some_and(|path| cgroup.holds(path))
            })
    }

    fn is_used(&self, socket: &(impl Subject + ?Sized)) -> bool {
        let any = |names: &[String], comm: &str| names.iter().any(|name| name == comm);
        let by_process = self.pids.is_empty() && self.names.is_empty();
        (by_process
            || socket.is_used_by(&|pid, comm| self.pids.contains(&pid) || any(&self.names, comm)))
            && (self.comms.is_empty() || socket.is_used_by(&|_, comm| any(&self.comms, comm)))
    }

    /// As the programs in the kernel take it, beside the process ids and the command names, which
    /// lie in maps. States are not part of it: a socket is chosen when it is first seen.
    #[must_use]
    pub fn filter(&self) -> Filter {
        let mut filter = Filter::default();
        let mut by = |flag, is: bool| filter.flags |= if is { flag } else { 0 };
        by(BY_PID, !self.pids.is_empty());
        by(BY_COMM, !self.comms.is_empty());
        by(BY_CGROUP, self.cgroup.is_some());
        by(BY_NETNS, self.netns.is_some());
        by(BY_SPORT, self.sport.is_some());
        by(BY_DPORT, self.dport.is_some());
        by(BY_SADDR, self.src.is_some());
        by(BY_DADDR, self.dst.is_some());
        if let Some(cgroup) = &self.cgroup {
            (filter.cgroup, filter.cgroup_level) = (cgroup.id, cgroup.level);
        }
        if let Some(Netns::Inode(inode)) = self.netns {
            filter.netns = inode;
        }
        let number = |port: &Option<Port>| port.as_ref().and_then(Port::number).unwrap_or(0);
        (filter.sport, filter.dport) = (number(&self.sport), number(&self.dport));
        filter.saddr = self.src.map(Net::prefix).unwrap_or_default();
        filter.daddr = self.dst.map(Net::prefix).unwrap_or_default();
        filter
    }

    /// The command names as the kernel keeps them: padded with NULs.
    #[must_use]
    pub fn padded_comms(&self) -> Vec<[u8; 16]> {
        let padded = |comm: &String| {
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip(comm.bytes()).take(15) {
                *to = from;
            }
            bytes
        };
        self.comms.iter().map(padded).collect()
    }
}

impl Cgroup {
    /// One of which only the name or the path is known.
    #[must_use]
    pub fn named(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            id: 0,
            level: ANY_LEVEL,
        }
    }

    /// Whether the cgroup with this path below the root is it, or below it.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        if self.path.starts_with('/') {
            let top = self.path.trim_end_matches('/');
            let rest = path.strip_prefix(top);
            return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        }
        path.split('/').any(|part| has_name(part, &self.path))
    }
}

/// Whether a cgroup's last component is this name, or that of the container with this id.
#[must_use]
pub fn has_name(component: &str, name: &str) -> bool {
    let id = name.len() >= CONTAINER && name.bytes().all(|b| b.is_ascii_hexdigit());
    component == name || (id && component.contains(name))
}

impl Netns {
    /// Whether it is the one with this inode and, where it has one, this name.
    #[must_use]
    pub fn is(&self, inode: u64, name: Option<&str>) -> bool {
        match self {
            Self::Inode(wanted) => u64::from(*wanted) == inode,
            Self::Name(wanted) => name == Some(wanted),
        }
    }
}
