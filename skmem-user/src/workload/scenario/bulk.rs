//! A receiver that reads: what the queue does while data flows, and where it stands when the flow
//! stops.

use std::{net::Shutdown, time::Duration};

use anyhow::Result;

use super::{
    Scenario, Stage, WRITER, client_setup, drain, pace, server_setup, wait_until_acknowledged,
    write,
};
use crate::workload::{
    Params,
    net::{Net, Netem, Tbf, set_sysctl},
    protocol::Done,
    reader::Reader,
    settle::{settle, settle_empty},
    writer::{Pace, Writer},
};

/// The options of a bulk transfer.
const BULK: &[&str] = &[
    "interval",
    "sndbuf",
    "no-sndbuf",
    "rcvbuf",
    "write-size",
    "bytes",
    "mtu",
    "gso-max-segs",
    "gso-off",
    "nodelay",
    "notsent-lowat",
    "eor",
    "tcp-wmem",
];

/// A write by which a limit is autotuned up: much more than a congestion window. Only a sender that
/// this window holds back gets a larger one, and a larger limit with it (`tcp_is_cwnd_limited`,
/// `tcp_sndbuf_expand`); of small writes each is read before the next where writer and reader share
/// a CPU.
pub(super) const PASSED_AT_ONCE: u32 = 256 << 10;

pub(super) const AUTOTUNED: Scenario = Scenario {
    name: "autotuned",
    summary: "no SO_SNDBUF: the limit grows while the peer reads 4 MiB, then the peer stops",
    provokes: &["autotuned-up", "new-skb", "first-fill", "ack"],
    needs: &[],
    accepts: BULK,
    defaults: Params {
        sndbuf: None,
        write_size: PASSED_AT_ONCE,
        bytes: Some(4 << 20),
        ..Params::BASE
    },
    play: |stage| {
        let net = Net::veth(&stage.params)?;
        read_then_stop(stage, &net)
    },
};

pub(super) const MTU_PROBING: Scenario = Scenario {
    name: "mtu-probing",
    summary: "tcp_mtu_probing 2: segments grow by probes while the peer reads 4 MiB, then it stops",
    provokes: &["mtu-probe", "new-skb", "ack"],
    needs: &[],
    accepts: BULK,
    defaults: AUTOTUNED.defaults,
    play: |stage| {
        let net = Net::veth(&stage.params)?;
        set_sysctl(&net.client, "ipv4/tcp_mtu_probing", "2")?;
        read_then_stop(stage, &net)
    },
};

pub(super) const LOSS: Scenario = Scenario {
    name: "loss",
    summary: "8 MiB through 4 % loss and 2 ms delay, large packets cut on the way: SACK and retransmission",
    provokes: &[
        "ack",
        "partial-ack-trim",
        "sack-split",
        "sack-shift",
        "retransmit-fragment",
    ],
    needs: &["sch_netem", "sch_tbf"],
    accepts: &[
        "interval",
        "sndbuf",
        "no-sndbuf",
        "rcvbuf",
        "write-size",
        "bytes",
        "mtu",
        "gso-max-segs",
        "nodelay",
        "lossless",
    ],
    defaults: Params {
        sndbuf: None,
        write_size: 64 << 10,
        bytes: Some(8 << 20),
        ..Params::BASE
    },
    play: loss,
};

pub(super) const CEILING_LOWERED: Scenario = Scenario {
    name: "ceiling-lowered",
    summary: "tcp_wmem[2] lowered below a limit that was autotuned up: autotuning takes it down",
    provokes: &["autotuned-down", "autotuned-up", "new-skb", "ack"],
    needs: &[],
    accepts: &[
        "write-size",
        "bytes",
        "rcvbuf",
        "mtu",
        "nodelay",
        "tcp-wmem",
    ],
    defaults: Params {
        tcp_wmem: Some(32 << 10),
        ..AUTOTUNED.defaults
    },
    play: ceiling_lowered,
};

/// The server reads a given number of bytes and no more; the client writes until it is blocked.
fn read_then_stop(stage: &Stage, net: &Net) -> Result<Done> {
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    let reader = Reader::spawn(&server, stage.params.bytes)?;
    let until_blocked = Pace {
        bytes: None,
        ..pace(stage)
    };
    let write = write(stage, 0);
    let mut writers = [Writer::spawn(WRITER, &sender, until_blocked, write)?];
    reader.join()?;
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    drain(stage, &net.client, &senders, &mut writers, &[server])
}

/// The ceiling falls when the limit has risen once, with the handshake (`tcp_init_buffer_space`);
/// the congestion window grows on, and `tcp_sndbuf_expand` sets the smaller of what it wants and
/// the ceiling.
fn ceiling_lowered(stage: &Stage) -> Result<Done> {
    let high = Params {
        tcp_wmem: None,
        ..stage.params.clone()
    };
    let net = Net::veth(&high)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    if let Some(most) = stage.params.tcp_wmem {
        set_sysctl(&net.client, "ipv4/tcp_wmem", &format!("4096 16384 {most}"))?;
    }
    let until_blocked = Pace {
        bytes: None,
        ..pace(stage)
    };
    let mut writers = [Writer::spawn(
        WRITER,
        &sender,
        until_blocked,
        write(stage, 0),
    )?];
    Reader::spawn(&server, stage.params.bytes)?.join()?;
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    drain(stage, &net.client, &senders, &mut writers, &[server])
}

/// All is written, lost, sent again and read; rest is an empty queue.
fn loss(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    // A bucket that holds no more than two segments: tbf cuts every GSO packet, so that netem drops
    // single segments and ACKs end inside an skb.
    let tbf = Tbf {
        rate: 25_000_000,
        burst: 4000,
        limit: 1 << 20,
    };
    let netem = Netem {
        loss_percent: if stage.params.lossless { 0.0 } else { 4.0 },
        delay: Duration::from_millis(2),
        limit: 10_000,
    };
    net.shape(&tbf, &netem)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    let reader = Reader::spawn(&server, None)?;
    let write = write(stage, 0);
    let mut writers = [Writer::spawn(WRITER, &sender, pace(stage), write)?];
    writers[0].join()?;
    let senders = [sender];
    wait_until_acknowledged(&senders)?;
    let reason = settle_empty(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    // The FIN may be lost, too: the network must not go before the server has it.
    senders[0].socket.shutdown(Shutdown::Write)?;
    reader.join()?;
    stage.done(&net.client, &senders)
}
