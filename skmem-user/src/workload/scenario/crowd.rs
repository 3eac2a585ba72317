//! Many writers on one socket, and many sockets of one writer.

use anyhow::Result;

use super::{
    ONE_WRITER, Scenario, Stage, WRITER, client_setup, drain, fill, pace, raise_open_files, send,
    server_setup, write,
};
use crate::workload::{
    Params,
    net::Net,
    protocol::{Done, Reason},
    settle::settle,
    writer::Writer,
};

pub(super) const FOUR_WRITERS: Scenario = Scenario {
    name: "four-writers",
    summary: "four threads block in writes on one socket and take turns as room appears",
    provokes: &["new-skb", "first-fill"],
    needs: &[],
    accepts: ONE_WRITER,
    defaults: Params {
        sndbuf: Some(16_384),
        write_size: 4096,
        ..Params::BASE
    },
    play: four_writers,
};

pub(super) const MANY_SOCKETS: Scenario = Scenario {
    name: "many-sockets",
    summary: "2000 connections at once, each with a little that its peer has no room for",
    provokes: &["new-skb", "first-fill", "syn"],
    needs: &[],
    accepts: &[
        "sndbuf",
        "rcvbuf",
        "write-size",
        "bytes",
        "mtu",
        "nodelay",
        "connections",
    ],
    defaults: Params {
        connections: 2000,
        // The smallest receive buffer, and three writes: little enough that 2000 of them stay below
        // tcp_mem on a machine with half a gigabyte.
        rcvbuf: Some(1),
        bytes: Some(3 * 1024),
        ..Params::BASE
    },
    play: many_sockets,
};

fn four_writers(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    let mut writers = Vec::new();
    for number in 1..=4 {
        let write = write(stage, 0);
        let name = format!("{WRITER}-{number}");
        writers.push(Writer::spawn(&name, &sender, pace(stage), write)?);
    }
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    drain(stage, &net.client, &senders, &mut writers, &[server])
}

fn many_sockets(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    raise_open_files(u64::from(stage.params.connections) * 2 + 64)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let mut senders = Vec::new();
    let mut servers = Vec::new();
    let mut write = send(stage.params.write_len(), libc::MSG_DONTWAIT);
    for _ in 0..stage.params.connections {
        let (sender, server) = net.connect(&listener, client_setup(stage))?;
        fill(&sender, &mut write, |written| {
            stage.params.bytes.is_none_or(|all| written < all)
        })?;
        senders.push(sender);
        servers.push(server);
    }
    settle(&senders, &mut [])?;
    stage.settled(&net.client, Reason::Done, &senders)?;
    // No drain: closing 2000 connections with data unread is the quicker end, and the busier one.
    drop(servers);
    drop(listener);
    stage.done(&net.client, &[])
}
