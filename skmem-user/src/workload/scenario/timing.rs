//! Sockets that are older than the tracer, and data that is older than the connection.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{
    ONE_WRITER, Scenario, Stage, WRITER, client_setup, drain, pace, send, server_setup, write,
};
use crate::workload::{
    Params,
    net::{Net, set_sysctl},
    protocol::Done,
    reader::Reader,
    sender::Sender,
    settle::{settle, settle_empty},
    writer::{Pace, Writer},
};

pub(super) const OLDER_THAN_TRACER: Scenario = Scenario {
    name: "older-than-tracer",
    summary: "a writer asleep behind a full queue before the tracer comes; then the peer reads a little",
    provokes: &["pre-existing", "ack", "tail-append", "new-skb"],
    needs: &[],
    accepts: ONE_WRITER,
    defaults: Params {
        rcvbuf: Some(29_200),
        ..Params::BASE
    },
    play: older,
};

pub(super) const UNDER_TRAFFIC: Scenario = Scenario {
    name: "under-traffic",
    summary: "four connections busy before, while and after the tracer attaches",
    provokes: &["new-skb", "first-fill", "ack"],
    needs: &[],
    accepts: &[
        "interval",
        "sndbuf",
        "rcvbuf",
        "write-size",
        "mtu",
        "connections",
        "nodelay",
    ],
    defaults: Params {
        sndbuf: None,
        write_size: 16 << 10,
        connections: 4,
        interval: Duration::from_millis(1),
        ..Params::BASE
    },
    play: under_traffic,
};

pub(super) const TFO: Scenario = Scenario {
    name: "tfo",
    summary: "TCP Fast Open: the first write travels in the SYN, past the limit's only test",
    provokes: &["syn-data", "syn", "new-skb", "tail-append"],
    needs: &[],
    accepts: ONE_WRITER,
    defaults: Params {
        rcvbuf: Some(29_200),
        ..Params::BASE
    },
    play: tfo,
};

fn older(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    let write = write(stage, 0);
    let mut writers = [Writer::spawn(WRITER, &sender, pace(stage), write)?];
    let senders = [sender];
    settle(&senders, &mut writers)?;
    stage.ready(&net.client, &senders)?;

    // Enough for the window to open again, so that the writer wakes and goes back to sleep.
    Reader::spawn(&server, Some(24 << 10))?.join()?;
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    drain(stage, &net.client, &senders, &mut writers, &[server])
}

fn under_traffic(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    let listener = net.listen(server_setup(stage))?;
    let mut senders = Vec::new();
    let mut writers = Vec::new();
    for _ in 0..stage.params.connections {
        let (sender, server) = net.connect(&listener, client_setup(stage))?;
        Reader::spawn(&server, None)?;
        let endless = Pace {
            bytes: None,
            ..pace(stage)
        };
        let write = send(stage.params.write_len(), 0);
        writers.push(Writer::spawn(WRITER, &sender, endless, write)?);
        senders.push(sender);
    }
    stage.ready(&net.client, &senders)?;

    thread::sleep(Duration::from_secs(1));
    for writer in &writers {
        writer.stop();
    }
    for writer in &mut writers {
        writer.join()?;
    }
    let reason = settle_empty(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    stage.done(&net.client, &senders)
}

fn tfo(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    // Without cookies, so that the very first connection does it: TFO_CLIENT_ENABLE and
    // TFO_CLIENT_NO_COOKIE; TFO_SERVER_ENABLE, TFO_SERVER_COOKIE_NOT_REQD and
    // TFO_SERVER_WO_SOCKOPT1.
    set_sysctl(&net.client, "ipv4/tcp_fastopen", "5")?;
    set_sysctl(&net.server, "ipv4/tcp_fastopen", "1538")?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let client = net.client(client_setup(stage))?;
    client
        .send_to_with_flags(
            &vec![b's'; stage.params.write_len()],
            &listener.address.into(),
            libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL,
        )
        .context("cannot send with MSG_FASTOPEN")?;
    let server = listener.accept()?;
    let sender = Sender::new(client)?;
    let write = write(stage, 0);
    let mut writers = [Writer::spawn(WRITER, &sender, pace(stage), write)?];
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    drain(stage, &net.client, &senders, &mut writers, &[server])
}
