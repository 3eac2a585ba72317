//! Which device packets to an address leave by, and what its queueing disciplines hold: rtnetlink's
//! answers, in the calling thread's network namespace (`RTM_GETROUTE`, `RTM_GETQDISC`; any user may
//! ask).

use std::{io, net::IpAddr};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAttribute, RouteMessage},
    tc::{TcAttribute, TcMessage, TcStats2},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::{SocketType, netdevice::index_to_name};

/// A queueing discipline and what waits in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qdisc {
    /// Index of its device.
    pub device: u32,
    /// `netem`, `fq`, `tbf`, …
    pub kind: String,
    /// Bytes that wait in it, of all sockets together (`qstats.backlog`).
    pub backlog_bytes: u32,
    /// Packets that wait in it (`qstats.qlen`).
    pub backlog_packets: u32,
}

/// All queueing disciplines of the namespace.
///
/// # Errors
/// Where the kernel does not answer.
pub fn qdiscs() -> io::Result<Vec<Qdisc>> {
    let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
    let mut found = Vec::new();
    ask(request, NLM_F_DUMP, |answer| {
        if let RouteNetlinkMessage::NewQueueDiscipline(message) = answer {
            found.extend(qdisc(&message));
        }
    })?;
    Ok(found)
}

fn qdisc(message: &TcMessage) -> Option<Qdisc> {
    let mut qdisc = Qdisc {
        device: u32::try_from(message.header.index).ok()?,
        kind: String::new(),
        backlog_bytes: 0,
        backlog_packets: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            TcAttribute::Kind(kind) => qdisc.kind.clone_from(kind),
            TcAttribute::Stats2(all) => {
                for stats in all {
                    if let TcStats2::Queue(queue) = stats {
                        qdisc.backlog_bytes = queue.backlog;
                        qdisc.backlog_packets = queue.qlen;
                    }
                }
            }
            _ => {}
        }
    }
    Some(qdisc)
}

/// Index of the device by which packets to this address leave; `None` where there is no route.
///
/// # Errors
/// Where the kernel does not answer.
pub fn device_towards(to: IpAddr) -> io::Result<Option<u32>> {
    let mut message = RouteMessage::default();
    let to = to.to_canonical();
    (
        message.header.address_family,
        message.header.destination_prefix_length,
    ) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message
        .attributes
        .push(RouteAttribute::Destination(to.into()));
    let mut device = None;
    let asked = ask(RouteNetlinkMessage::GetRoute(message), 0, |answer| {
        if let RouteNetlinkMessage::NewRoute(route) = answer {
            device = route
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    RouteAttribute::Oif(index) => Some(*index),
                    _ => None,
                });
        }
    });
    match asked {
        Err(error) if error.raw_os_error() == Some(libc::ENETUNREACH) => Ok(None),
        other => other.map(|()| device),
    }
}

/// A device's name; its number where it has gone.
#[must_use]
pub fn device_name(index: u32) -> String {
    let any = rustix::net::socket(rustix::net::AddressFamily::INET, SocketType::DGRAM, None);
    any.and_then(|any| index_to_name(any, index))
        .unwrap_or_else(|_| index.to_string())
}

/// Sends a request, and hands on each answer.
fn ask(
    request: RouteNetlinkMessage,
    flags: u16,
    mut each: impl FnMut(RouteNetlinkMessage),
) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(request));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    loop {
        let (part, _) = socket.recv_from_full()?;
        let mut rest = &part[..];
        while rest.len() >= 16 {
            let length = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            let Some(one) = rest.get(..length).filter(|one| one.len() >= 16) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            // A message in a form that is not known is passed over.
            if let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(one) {
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::Error(error) => {
                        return error.code.map_or(Ok(()), |_| Err(error.to_io()));
                    }
                    NetlinkPayload::InnerMessage(answer) => each(answer),
                    _ => {}
                }
            }
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        }
        if flags & NLM_F_DUMP == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn loopback_is_reached_through_lo() {
        let device = device_towards(Ipv4Addr::LOCALHOST.into()).unwrap().unwrap();
        assert_eq!(device_name(device), "lo");
        assert!(qdiscs().unwrap().iter().all(|qdisc| !qdisc.kind.is_empty()));
        assert_eq!(device_name(u32::MAX), u32::MAX.to_string());
    }
}
