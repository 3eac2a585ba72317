//! Queueing disciplines: `tbf` with `netem` below it.
//!
//! Their options are plain structures of `linux/pkt_sched.h`; netlink-packet-route knows neither,
//! so they are laid out here.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL, NlaBuffer, Parseable};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcHandle, TcMessage},
};

use super::netlink::{index_of, request};
use crate::workload::skip::Skip;

/// `TCA_OPTIONS`
const TCA_OPTIONS: u16 = 2;
/// `TCA_TBF_PARMS`
const TCA_TBF_PARMS: u16 = 1;
/// `TCA_TBF_BURST`: the burst in bytes, in place of a time that depends on the clock.
const TCA_TBF_BURST: u16 = 6;
/// The kernel's scheduler tick, 64 ns (`PSCHED_SHIFT` 6).
const TICK_NS: u128 = 64;

/// Token bucket filter (`net/sched/sch_tbf.c`).
pub(crate) struct Tbf {
    /// Bytes a second.
    pub rate: u32,
    /// Largest packet let through whole, bytes; larger ones are cut into segments first.
    pub burst: u32,
    /// Bytes queued before packets are dropped.
    pub limit: u32,
}

/// Network emulator (`net/sched/sch_netem.c`).
pub(crate) struct Netem {
    /// Share of packets dropped at random, per cent.
    pub loss_percent: f64,
    /// Delay of each packet.
    pub delay: Duration,
    /// Packets queued before packets are dropped.
    pub limit: u32,
}

/// Installs both at the root of `interface` in the calling thread's network namespace.
pub(super) fn tbf_over_netem(interface: &str, tbf: &Tbf, netem: &Netem) -> Result<()> {
    let root = TcHandle { major: 1, minor: 0 };
    let class = TcHandle { major: 1, minor: 1 };
    let below = TcHandle { major: 2, minor: 0 };
    add(interface, "tbf", TcHandle::ROOT, root, &tbf.options())?;
    add(interface, "netem", class, below, &netem.options())
}

/// Makes tbf the root queueing discipline of `interface`.
pub(super) fn tbf(interface: &str, tbf: &Tbf) -> Result<()> {
    let root = TcHandle { major: 1, minor: 0 };
    add(interface, "tbf", TcHandle::ROOT, root, &tbf.options())
}

/// Makes netem the root queueing discipline of `interface`.
pub(super) fn netem(interface: &str, netem: &Netem) -> Result<()> {
    let root = TcHandle { major: 1, minor: 0 };
    add(interface, "netem", TcHandle::ROOT, root, &netem.options())
}

fn add(
    interface: &str,
    kind: &str,
    parent: TcHandle,
    handle: TcHandle,
    options: &[u8],
) -> Result<()> {
    let index = i32::try_from(index_of(interface)?).context("an interface index beyond 2^31")?;
    let mut message = TcMessage::with_index(index);
    message.header.parent = parent;
    message.header.handle = handle;
    message.attributes = vec![
        TcAttribute::Kind(kind.to_owned()),
        TcAttribute::Other(raw_attribute(TCA_OPTIONS, options)?),
    ];
    request(
        RouteNetlinkMessage::NewQueueDiscipline(message),
        NLM_F_CREATE | NLM_F_EXCL,
    )?
    .map_err(|error| match error.raw_os_error() {
        // qdisc_create: the kind is not registered and no module brings it.
        Some(libc::ENOENT) => Skip::error(format!(
            "this kernel has no sch_{kind} (modprobe sch_{kind})"
        )),
        _ => anyhow!(error).context(format!("cannot put {kind} on {interface}")),
    })
}

/// An attribute whose value is already laid out.
fn raw_attribute(kind: u16, value: &[u8]) -> Result<DefaultNla> {
    let bytes = attribute(kind, value);
    let buffer =
        NlaBuffer::new_checked(&bytes).context("a netlink attribute of our own is malformed")?;
    DefaultNla::parse(&buffer).context("a netlink attribute of our own is malformed")
}

/// `struct nlattr`, the value and padding to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len() + 4).expect("options of a few dozen bytes");
    let mut bytes = Vec::with_capacity(usize::from(len).next_multiple_of(4));
    bytes.extend(len.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

impl Tbf {
    /// Nested `TCA_TBF_*`: `struct tc_tbf_qopt` and the burst.
    fn options(&self) -> Vec<u8> {
        let mut parms = Vec::with_capacity(36);
        // struct tc_ratespec rate: cell_log, linklayer (ethernet, so no rate table is needed),
        // overhead, cell_align, mpu, rate.
        parms.extend([0, 1]);
        parms.extend([0; 6]);
        parms.extend(self.rate.to_ne_bytes());
        // struct tc_ratespec peakrate: none.
        parms.extend([0; 12]);
        parms.extend(self.limit.to_ne_bytes());
        // buffer and mtu, in ticks: the burst attribute replaces the first, the second is
        // peakrate's.
        parms.extend([0; 8]);
        let mut options = attribute(TCA_TBF_PARMS, &parms);
        options.extend(attribute(TCA_TBF_BURST, &self.burst.to_ne_bytes()));
        options
    }
}

impl Netem {
    /// `struct tc_netem_qopt`.
    fn options(&self) -> Vec<u8> {
        let latency = u32::try_from(self.delay.as_nanos() / TICK_NS).unwrap_or(u32::MAX);
        // A share of 2^32-1; rounding down is as good as any.
        let loss = (self.loss_percent / 100.0 * f64::from(u32::MAX)) as u32;
        [latency, self.limit, loss, 0, 0, 0]
            .iter()
            .flat_map(|field| field.to_ne_bytes())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netem_counts_delay_in_ticks_and_loss_as_a_share_of_all_ones() {
        let options = Netem {
            loss_percent: 50.0,
            delay: Duration::from_millis(2),
            limit: 1000,
        }
        .options();
        assert_eq!(options.len(), 24);
        assert_eq!(options[..4], 31_250_u32.to_ne_bytes());
        assert_eq!(options[4..8], 1000_u32.to_ne_bytes());
        assert_eq!(options[8..12], 0x7fff_ffff_u32.to_ne_bytes());
    }

    #[test]
    fn tbf_is_parameters_of_36_bytes_and_a_burst() {
        let options = Tbf {
            rate: 7,
            burst: 4000,
            limit: 9,
        }
        .options();
        assert_eq!(options.len(), 4 + 36 + 8);
        assert_eq!(
            options[..4],
            [40_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat()
        );
        assert_eq!(options[12..16], 7_u32.to_ne_bytes());
        assert_eq!(options[28..32], 9_u32.to_ne_bytes());
        assert_eq!(options[44..], 4000_u32.to_ne_bytes());
    }
}
