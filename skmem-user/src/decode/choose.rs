//! A pasted socket as a selection looks at it: what is not printed is not known.

use std::net::IpAddr;

use super::{Reading, kind::ip};
use crate::{
    diag::TcpState,
    selection::{End, Netns, Port, Subject},
};

impl Reading {
    fn end(&self, end: End) -> Option<&str> {
        match end {
            End::Local => self.local.as_deref(),
            End::Remote => self.remote.as_deref(),
        }
    }
}

impl Subject for Reading {
    fn port(&self, end: End) -> Option<Port> {
        let (_, port) = self.end(end)?.rsplit_once(':')?;
        // A number or a service, as printed; 0 and * are not ports.
        port.parse().ok()
    }

    fn address(&self, end: End) -> Option<IpAddr> {
        self.end(end).and_then(ip)
    }

    fn is_in(&self, _: &Netns) -> bool {
        false
    }

    fn cgroup(&self) -> Option<&str> {
        self.cgroup.as_deref()
    }

    fn state(&self) -> Option<TcpState> {
        self.state
    }

    fn is_used_by(&self, wanted: &dyn Fn(u32, &str) -> bool) -> bool {
        let mut users = self.users.iter();
        users.any(|user| u32::try_from(user.pid).is_ok_and(|pid| wanted(pid, &user.comm)))
    }
}
