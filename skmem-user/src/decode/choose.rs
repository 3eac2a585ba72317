//! Which sockets of a paste are shown.

use std::net::IpAddr;

use super::{Reading, command, kind::ip};
use crate::diag::TcpState;

/// All of it must hold; what is empty holds for all.
pub struct Filter {
    /// Held by one of these processes.
    pub pids: Vec<i64>,
    /// Held by a process of one of these names.
    pub comms: Vec<String>,
    /// In this cgroup or below, as printed.
    pub cgroup: Option<String>,
    /// Local port, as printed: a number or a service.
    pub sport: Option<String>,
    /// Remote port.
    pub dport: Option<String>,
    /// Local address.
    pub src: Option<Box<dyn Fn(IpAddr) -> bool>>,
    /// Remote address.
    pub dst: Option<Box<dyn Fn(IpAddr) -> bool>>,
    /// In one of these states.
    pub states: Vec<TcpState>,
}

impl Filter {
    /// Whether a socket is wanted. One that does not show what is asked for is not.
    #[must_use]
    pub fn holds(&self, socket: &Reading) -> bool {
        let port = |wanted: &Option<String>, end: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| {
                let port = end.as_ref().and_then(|end| end.rsplit_once(':'));
                port.is_some_and(|(_, port)| port.eq_ignore_ascii_case(wanted))
            })
        };
        let within = |wanted: &Option<Box<dyn Fn(IpAddr) -> bool>>, end: &Option<String>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| end.as_deref().and_then(ip).is_some_and(wanted))
        };
        let held = |wanted: &dyn Fn(&super::reading::User) -> bool| socket.users.iter().any(wanted);
        port(&self.sport, &socket.local)
            && port(&self.dport, &socket.remote)
            && within(&self.src, &socket.local)
            && within(&self.dst, &socket.remote)
            && (self.states.is_empty()
                || socket
                    .state
                    .is_some_and(|state| self.states.contains(&state)))
            && (self.pids.is_empty() || held(&|user| self.pids.contains(&user.pid)))
            && (self.comms.is_empty() || held(&|user| self.comms.contains(&user.comm)))
            && self.cgroup.as_ref().is_none_or(|top| {
                let below = socket
                    .cgroup
                    .as_ref()
                    .and_then(|path| path.strip_prefix(top.trim_end_matches('/')));
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}

/// A state by the names that ss and others give it.
#[must_use]
pub fn state(name: &str) -> Option<TcpState> {
    command::state(name)
}
