//! A receiver that reads, and a sender that something else than its window holds up: the congestion
//! window, the queueing discipline, pacing, or the limit itself. Rest is an empty queue.

use std::time::Duration;

use anyhow::Result;

use super::{
    Scenario, Stage, WRITER, client_setup, drain, pace, server_setup, wait_until_acknowledged,
    write,
};
use crate::workload::{
    Params,
    net::{Net, Netem, Tbf},
    protocol::Done,
    reader::Reader,
    settle::settle_empty,
    sockets::Setup,
    writer::Writer,
};

const OPTIONS: &[&str] = &[
    "interval",
    "sndbuf",
    "no-sndbuf",
    "rcvbuf",
    "write-size",
    "bytes",
    "mtu",
    "gso-max-segs",
    "nodelay",
    "notsent-lowat",
    "eor",
];

/// What [`PACED`] may send, bytes a second.
const RATE: u32 = 500_000;

pub(super) const LONG_PATH: Scenario = Scenario {
    name: "long-path",
    summary: "no SO_SNDBUF, 1 MiB writes, 100 ms each way: an ordinary sender over its tuned limit",
    provokes: &[
        "autotuned-up",
        "new-skb",
        "first-fill",
        "tail-refill",
        "ack",
    ],
    needs: &["sch_netem"],
    accepts: OPTIONS,
    defaults: Params {
        sndbuf: None,
        write_size: 1 << 20,
        bytes: Some(64 << 20),
        ..Params::BASE
    },
    play: |stage| {
        let net = Net::veth(&stage.params)?;
        net.delay(&netem(Duration::from_millis(100)))?;
        transfer(stage, &net, client_setup(stage))
    },
};

pub(super) const SLOW_LINK: Scenario = Scenario {
    name: "slow-link",
    summary: "SO_SNDBUF 65536 above tbf with 1 MB/s: the queueing discipline holds the sender up",
    provokes: &["new-skb", "first-fill", "ack"],
    needs: &["sch_tbf"],
    accepts: OPTIONS,
    defaults: Params {
        sndbuf: Some(65_536),
        write_size: 64 << 10,
        bytes: Some(1 << 20),
        ..Params::BASE
    },
    play: |stage| {
        let net = Net::veth(&stage.params)?;
        net.slow_down(&Tbf {
            rate: 1_000_000,
            burst: 4000,
            limit: 1 << 20,
        })?;
        transfer(stage, &net, client_setup(stage))
    },
};

pub(super) const PACED: Scenario = Scenario {
    name: "paced",
    summary: "SO_SNDBUF 65536 and SO_MAX_PACING_RATE 500000: pacing holds the sender up",
    provokes: &["new-skb", "first-fill", "ack"],
    needs: &[],
    accepts: OPTIONS,
    defaults: Params {
        sndbuf: Some(65_536),
        write_size: 64 << 10,
        bytes: Some(512 << 10),
        ..Params::BASE
    },
    play: |stage| {
        let net = Net::veth(&stage.params)?;
        let setup = Setup {
            max_pacing_rate: Some(RATE),
            ..client_setup(stage)
        };
        transfer(stage, &net, setup)
    },
};

pub(super) const SMALL_LIMIT: Scenario = Scenario {
    name: "small-limit",
    summary: "SO_SNDBUF 8192 over 10 ms each way: the limit holds less than the path does",
    provokes: &["new-skb", "first-fill", "ack"],
    needs: &["sch_netem"],
    accepts: OPTIONS,
    defaults: Params {
        sndbuf: Some(8192),
        write_size: 64 << 10,
        bytes: Some(1 << 20),
        // Small skbs, so that the limit and not the last skb says how much is in flight.
        gso_max_segs: Some(2),
        ..Params::BASE
    },
    play: |stage| {
        let net = Net::veth(&stage.params)?;
        net.delay(&netem(Duration::from_millis(10)))?;
        transfer(stage, &net, client_setup(stage))
    },
};

fn netem(delay: Duration) -> Netem {
    Netem {
        loss_percent: 0.0,
        delay,
        limit: 10_000,
    }
}

/// All is written, sent and read.
fn transfer(stage: &Stage, net: &Net, setup: Setup) -> Result<Done> {
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, setup)?;
    Reader::spawn(&server, None)?;
    let mut writers = [Writer::spawn(
        WRITER,
        &sender,
        pace(stage),
        write(stage, 0),
    )?];
    writers[0].join()?;
    let senders = [sender];
    wait_until_acknowledged(&senders)?;
    let reason = settle_empty(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    drain(stage, &net.client, &senders, &mut writers, &[])
}
