//! Whether the socket of a verdict is one of those that were asked for.

use std::net::IpAddr;

use super::verdict::Socket;
use crate::{
    diag::TcpState,
    selection::{End, Netns, Port, Subject},
};

impl Subject for Socket {
    fn port(&self, end: End) -> Option<Port> {
        Some(Port::Number(match end {
            End::Local => self.sport,
            End::Remote => self.dport,
        }))
    }

    fn address(&self, end: End) -> Option<IpAddr> {
        let address = match end {
            End::Local => &self.src,
            End::Remote => &self.dst,
        };
        address.parse().ok()
    }

    fn is_in(&self, netns: &Netns) -> bool {
        netns.is(self.netns.into(), self.netns_name.as_deref())
    }

    fn cgroup(&self) -> Option<&str> {
        self.cgroup.as_deref()
    }

    fn state(&self) -> Option<TcpState> {
        None
    }

    fn is_used_by(&self, wanted: &dyn Fn(u32, &str) -> bool) -> bool {
        self.pid != 0 && wanted(self.pid, &self.comm)
    }
}
