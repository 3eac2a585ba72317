//! Which socket: addresses, ports and cookie.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
};

use serde::{Deserialize, Serialize};
use socket2::{SockAddr, SockRef};

use super::{DiagError, Result, socket_cookie};

/// Address family, as printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// `AF_INET`
    Ipv4,
    /// `AF_INET6`
    Ipv6,
}

/// A connected socket's identity, seen from its own side.
///
/// Read once while connected and kept: after a reset `getpeername` has nothing more to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address family of the addresses below.
    pub family: Family,
    /// Local address.
    pub src: IpAddr,
    /// Local port.
    pub sport: u16,
    /// Remote address.
    pub dst: IpAddr,
    /// Remote port.
    pub dport: u16,
    /// `SO_COOKIE`.
    pub cookie: u64,
}

impl Endpoint {
    /// Asks a connected socket who it is (`inet_getname`, `inet6_getname`, `sock_gen_cookie`).
    ///
    /// # Errors
    /// Where the kernel refuses, or answers otherwise than it should.
    pub fn of(socket: &impl AsFd) -> Result<Self> {
        let names = SockRef::from(socket);
        let src = internet(names.local_addr(), "getsockname")?;
        let dst = internet(names.peer_addr(), "getpeername")?;
        Ok(Self {
            family: if src.is_ipv4() {
                Family::Ipv4
            } else {
                Family::Ipv6
            },
            src: src.ip(),
            sport: src.port(),
            dst: dst.ip(),
            dport: dst.port(),
            cookie: socket_cookie(socket.as_fd())?,
        })
    }
}

fn internet(name: io::Result<SockAddr>, what: &'static str) -> Result<SocketAddr> {
    name.map_err(|source| DiagError::Socket { what, source })?
        .as_socket()
        .ok_or_else(|| DiagError::format(what, "not an IPv4 or IPv6 address"))
}
