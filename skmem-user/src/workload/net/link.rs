//! The veth pair, its addresses, neighbours and routes, by rtnetlink.

use std::{io, net::IpAddr, time::Duration};

use anyhow::{Context, Result, anyhow};
use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{
        RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope,
        RouteType,
    },
};

use super::{
    Netns,
    netlink::{index_of, request},
};
use crate::workload::{Params, skip::Skip};

/// The name of either end, each in its own namespace.
pub(super) const VETH: &str = "veth0";
/// Locally administered station addresses: fixed, so that neighbours can be set instead of learnt
/// and no ARP or neighbour discovery mixes with what is observed.
pub(super) const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(super) const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(super) const NOBODY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xff];

/// linux/rtnetlink.h
const RTAX_RTO_MIN: u32 = 13;

/// linux/netdevice.h: more in one packet is BIG TCP.
const GSO_LEGACY_MAX_SIZE: u32 = 65_536;

/// `linux/if_link.h`; netlink-packet-route does not know it.
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;

/// Makes the pair, one end in each namespace; limits of GSO are for the client's end.
pub(super) fn create_veth(client: &Netns, server: &Netns, params: &Params) -> Result<()> {
    let mtu = params.mtu;
    let end = |mac: [u8; 6]| {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(VETH.to_owned()),
            LinkAttribute::Address(mac.to_vec()),
        ];
        message.attributes.extend(mtu.map(LinkAttribute::Mtu));
        message
    };
    let mut peer = end(SERVER_MAC);
    peer.attributes
        .push(LinkAttribute::NetNsFd(server.as_raw_fd()));
    let mut link = end(CLIENT_MAC);
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    client.run(|| {
        request(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)?.map_err(|error| {
            match error.raw_os_error() {
                Some(libc::EOPNOTSUPP) => anyhow!(
                    "this kernel cannot make a veth pair: the veth module is missing or not loaded (modprobe veth)"
                ),
                Some(libc::EINVAL | libc::ERANGE) => anyhow!(error).context(format!(
                    "cannot make a veth pair with MTU {mtu:?} (68 to 65535 is possible)"
                )),
                _ => anyhow!(error).context("cannot make a veth pair"),
            }
        })?;
        if let Some(size) = params.gso_max_size {
            set_gso_max_size(size)?;
        }
        if let Some(segments) = params.gso_max_segs {
            change(VETH, vec![LinkAttribute::GsoMaxSegs(segments)])?
                .with_context(|| format!("cannot set gso_max_segs {segments} (1 to 65535)"))?;
        }
        Ok(())
    })
}

/// For both families. A kernel before 6.3 has no limit of its own for IPv4, and passes over it.
fn set_gso_max_size(size: u32) -> Result<()> {
    let ipv4 = DefaultNla::new(IFLA_GSO_IPV4_MAX_SIZE, size.to_ne_bytes().to_vec());
    let sizes = vec![LinkAttribute::GsoMaxSize(size), LinkAttribute::Other(ipv4)];
    change(VETH, sizes)?.map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL | libc::ERANGE) if size > GSO_LEGACY_MAX_SIZE => Skip::error(format!(
            "this kernel has no BIG TCP (5.19 on): it refuses a gso_max_size of {size}"
        )),
        _ => anyhow!(error).context(format!("cannot set gso_max_size {size}")),
    })
}

/// Gives `address` to the veth end in `netns` and brings it and its loopback up.
pub(super) fn configure(netns: &Netns, address: IpAddr) -> Result<()> {
    loopback_up(netns, None)?;
    netns.run(|| {
        let mut message = AddressMessage::default();
        message.header.index = index_of(VETH)?;
        message.header.family = family(address);
        message.header.prefix_len = if address.is_ipv4() { 24 } else { 64 };
        // Without duplicate address detection an IPv6 address is of use at once.
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
        ];
        request(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )?
        .with_context(|| format!("cannot give {address} to {VETH}"))?;
        up(VETH)
    })
}

/// Brings the loopback up, with `mtu` if given.
pub(super) fn loopback_up(netns: &Netns, mtu: Option<u32>) -> Result<()> {
    netns.run(|| {
        if let Some(mtu) = mtu {
            change("lo", vec![LinkAttribute::Mtu(mtu)])?
                .with_context(|| format!("cannot set the loopback's MTU to {mtu}"))?;
        }
        up("lo")
    })
}

/// Sets, once and for all, at which station `address` is to be found.
pub(super) fn set_neighbour(netns: &Netns, address: IpAddr, mac: [u8; 6]) -> Result<()> {
    netns.run(|| {
        let mut message = NeighbourMessage::default();
        message.header.family = family(address);
        message.header.ifindex = index_of(VETH)?;
        message.header.state = NeighbourState::Permanent;
        message.attributes = vec![
            NeighbourAttribute::Destination(address.into()),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
        ];
        request(
            RouteNetlinkMessage::NewNeighbour(message),
            NLM_F_CREATE | NLM_F_REPLACE,
        )?
        .with_context(|| format!("cannot set the neighbour {address}"))
    })
}

/// From now on connections to `address` wait at least `time` for an acknowledgement
/// (`tcp_rto_min`).
pub(super) fn set_rto_min(netns: &Netns, address: IpAddr, time: Duration) -> Result<()> {
    netns.run(|| {
        let mut message = RouteMessage::default();
        message.header.address_family = family(address);
        message.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Link;
        message.header.kind = RouteType::Unicast;
        let milliseconds = u32::try_from(time.as_millis())?;
        message.attributes = vec![
            RouteAttribute::Destination(address.into()),
            RouteAttribute::Oif(index_of(VETH)?),
            RouteAttribute::Metrics(vec![
                // What is not locked is not asked (dst_metric_locked).
                RouteMetric::Lock(1 << RTAX_RTO_MIN),
                RouteMetric::RtoMin(milliseconds),
            ]),
        ];
        request(
            RouteNetlinkMessage::NewRoute(message),
            NLM_F_CREATE | NLM_F_REPLACE,
        )?
        .with_context(|| format!("cannot set a route to {address}"))
    })
}

fn up(name: &str) -> Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index_of(name)?;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    request(RouteNetlinkMessage::SetLink(message), 0)?
        .with_context(|| format!("cannot bring {name} up"))
}

fn change(name: &str, attributes: Vec<LinkAttribute>) -> Result<io::Result<()>> {
    let mut message = LinkMessage::default();
    message.header.index = index_of(name)?;
    message.attributes = attributes;
    request(RouteNetlinkMessage::SetLink(message), 0)
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}
