//! The network that a scenario runs on: anonymous namespaces joined by a veth pair, or one
//! loopback.
//!
//! Nothing has a name in the file system and nothing is mounted: a namespace lives as long as the
//! file descriptor and the sockets that this process holds, so it is gone when the process is,
//! however it dies; with its last sockets, where the process waits for them.

mod ending;
mod ethtool;
mod link;
mod netlink;
mod netns;
mod qdisc;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
pub(crate) use netns::Netns;
pub(crate) use qdisc::{Netem, Tbf};

use super::Params;

/// RFC 5737 and RFC 3849: addresses for documentation, which collide with nobody's network.
const CLIENT: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(192, 0, 2, 1),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
);
const SERVER: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(192, 0, 2, 2),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
);

/// linux/ipv6.h: below it a link speaks no IPv6 (`addrconf_notify`).
const IPV6_MIN_MTU: u32 = 1280;

/// As a retransmission timeout: five times the least of TCP's (`TCP_RTO_MIN`).
const LATE: Duration = Duration::from_secs(1);

/// Two ends that can talk TCP to each other. To be dropped after the sockets in it: see [`ending`].
pub(crate) struct Net {
    /// Where the client's sockets are made.
    pub client: Arc<Netns>,
    /// Where the server's sockets are made; the same as `client` on a loopback.
    pub server: Arc<Netns>,
    /// The address that the server listens on.
    pub server_address: IpAddr,
    client_address: IpAddr,
}

impl Net {
    /// Two namespaces with a veth pair between them, addresses and neighbours set, both ends up.
    pub fn veth(params: &Params) -> Result<Self> {
        check_mtu(params)?;
        let client = Arc::new(Netns::new()?);
        let server = Arc::new(Netns::new()?);
        link::create_veth(&client, &server, params)?;
        let pick = |pair: (Ipv4Addr, Ipv6Addr)| -> IpAddr {
            if params.ipv6 {
                pair.1.into()
            } else {
                pair.0.into()
            }
        };
        let net = Self {
            client_address: pick(CLIENT),
            server_address: pick(SERVER),
            client,
            server,
        };
        link::configure(&net.client, net.client_address)?;
        link::configure(&net.server, net.server_address)?;
        link::set_neighbour(&net.client, net.server_address, link::SERVER_MAC)?;
        link::set_neighbour(&net.server, net.client_address, link::CLIENT_MAC)?;
        if params.gso_off {
            net.disable_gso()?;
        }
        if let Some(most) = params.tcp_wmem {
            // What a socket starts with may not be more.
            let start = most.min(16 << 10);
            set_sysctl(
                &net.client,
                "ipv4/tcp_wmem",
                &format!("4096 {start} {most}"),
            )?;
        }
        Ok(net)
    }

    /// One namespace with its `lo` up, MTU 65536 unless `params` says otherwise.
    pub fn loopback(params: &Params) -> Result<Self> {
        check_mtu(params)?;
        let both = Arc::new(Netns::new()?);
        link::loopback_up(&both, params.mtu)?;
        let address = if params.ipv6 {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        };
        Ok(Self {
            client: Arc::clone(&both),
            server: both,
            server_address: address,
            client_address: address,
        })
    }

    /// From now on nothing that the server sends reaches the client: its neighbour entry for the
    /// client names a station that is not there, and the client's `eth_type_trans` calls such
    /// frames somebody else's. This needs no queueing discipline and no packet filter, so it
    /// works on every kernel.
    pub fn blackhole_acks(&self) -> Result<()> {
        link::set_neighbour(&self.server, self.client_address, link::NOBODY_MAC)
            .context("cannot cut the way back from the server")
    }

    /// Makes the client's connections retransmit late: what is lost is not sent again before the
    /// scenario has reached its state, however long the machine makes it wait.
    pub fn retransmit_late(&self) -> Result<()> {
        link::set_rto_min(&self.client, self.server_address, LATE)
    }

    /// Undoes [`Self::blackhole_acks`].
    pub fn restore_acks(&self) -> Result<()> {
        link::set_neighbour(&self.server, self.client_address, link::CLIENT_MAC)
            .context("cannot mend the way back from the server")
    }

    /// As [`Self::blackhole_acks`], the other way: nothing that the client sends reaches the
    /// server.
    pub fn blackhole_data(&self) -> Result<()> {
        link::set_neighbour(&self.client, self.server_address, link::NOBODY_MAC)
            .context("cannot cut the way from the client")
    }

    /// Undoes [`Self::blackhole_data`].
    pub fn restore_data(&self) -> Result<()> {
        link::set_neighbour(&self.client, self.server_address, link::SERVER_MAC)
            .context("cannot mend the way from the client")
    }

    /// Turns segmentation offload off on both ends, as `ethtool -K veth0 gso off tso off` would.
    fn disable_gso(&self) -> Result<()> {
        for end in [&self.client, &self.server] {
            end.run(|| ethtool::disable_segmentation(link::VETH))?;
        }
        Ok(())
    }

    /// Puts `tbf` with a small burst, which cuts large packets into segments (`tbf_segment`), above
    /// `netem`, which delays and drops them, at the client's end.
    pub fn shape(&self, tbf: &Tbf, netem: &Netem) -> Result<()> {
        self.client
            .run(|| qdisc::tbf_over_netem(link::VETH, tbf, netem))
    }

    /// Puts `tbf` at the client's end.
    pub fn slow_down(&self, tbf: &Tbf) -> Result<()> {
        self.client.run(|| qdisc::tbf(link::VETH, tbf))
    }

    /// Puts `netem` at both ends.
    pub fn delay(&self, netem: &Netem) -> Result<()> {
        for end in [&self.client, &self.server] {
            end.run(|| qdisc::netem(link::VETH, netem))?;
        }
        Ok(())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        ending::wait([&self.client, &self.server]);
    }
}

fn check_mtu(params: &Params) -> Result<()> {
    match params.mtu {
        Some(mtu) if params.ipv6 && mtu < IPV6_MIN_MTU => {
            bail!("an MTU of {mtu} is too small for IPv6; give --mtu {IPV6_MIN_MTU} or more")
        }
        _ => Ok(()),
    }
}

/// Writes a sysctl of `netns`, given as a path below `/proc/sys/net`.
pub(crate) fn set_sysctl(netns: &Netns, name: &str, value: &str) -> Result<()> {
    // /proc/sys/net shows the namespace of the thread that opens it (net_ctl_root.lookup).
    netns.run(|| {
        let path = format!("/proc/sys/net/{name}");
        fs::write(&path, value).with_context(|| format!("cannot write {value:?} to {path}"))
    })
}
