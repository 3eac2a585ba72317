//! One rtnetlink request, one acknowledgement.

use std::io;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with};

/// Sends `message` in the calling thread's network namespace and waits for the kernel's verdict.
/// `Ok(Err(error))` is the kernel's refusal, which callers can tell apart by its errno.
pub(super) fn request(message: RouteNetlinkMessage, flags: u16) -> Result<io::Result<()>> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);

    let mut socket = Socket::new(NETLINK_ROUTE).context("cannot open a netlink socket")?;
    socket.bind_auto().context("cannot bind a netlink socket")?;
    socket
        .connect(&SocketAddr::new(0, 0))
        .context("cannot connect a netlink socket to the kernel")?;
    socket
        .send(&bytes, 0)
        .context("cannot send a netlink request")?;
    let (reply, _) = socket
        .recv_from_full()
        .context("cannot read a netlink reply")?;
    let reply = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&reply)
        .context("the kernel's netlink reply is malformed")?;
    match reply.payload {
        NetlinkPayload::Error(error) => Ok(match error.code {
            None => Ok(()),
            Some(_) => Err(error.to_io()),
        }),
        other => bail!("the kernel answered a netlink request with {other:?}"),
    }
}

/// Index of an interface of the calling thread's network namespace.
pub(super) fn index_of(name: &str) -> Result<u32> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .context("cannot open a socket for netdevice(7)")?;
    name_to_index(socket, name).with_context(|| format!("no interface {name}"))
}
