//! Where the limit comes from, and what happens when it moves under a full queue.

use anyhow::{Context, Result};

use super::{
    NEVER_READING, ONE_WRITER, Scenario, Stage, WRITER, client_setup, drain, never_reading_server,
    pace, server_setup, write,
};
use crate::{
    diag,
    workload::{
        Params,
        net::Net,
        protocol::Done,
        sender::Sender,
        settle::settle,
        sockets::{Setup, connect, set_option, set_sndbuf},
        writer::Writer,
    },
};

pub(super) const SNDBUF_LOWERED: Scenario = Scenario {
    name: "sndbuf-lowered",
    summary: "SO_SNDBUF lowered to 4096 when 64 KiB and more are queued already",
    provokes: &["lowered-below-queue"],
    needs: &[],
    accepts: ONE_WRITER,
    defaults: Params {
        sndbuf: Some(65_536),
        write_size: 16 << 10,
        rcvbuf: Some(29_200),
        ..Params::BASE
    },
    play: lowered,
};

pub(super) const SNDBUF_FORCE: Scenario = Scenario {
    name: "sndbuf-force",
    summary: "SO_SNDBUF beyond wmem_max, clamped, then SO_SNDBUFFORCE with the same value",
    provokes: &["set-by-application", "doubled"],
    needs: &[],
    accepts: &[
        "interval",
        "rcvbuf",
        "write-size",
        "bytes",
        "mtu",
        "nodelay",
    ],
    defaults: Params {
        sndbuf: None,
        write_size: 16 << 10,
        bytes: Some(256 << 10),
        ..Params::BASE
    },
    play: forced,
};

pub(super) const SNDBUF_MINIMUM: Scenario = Scenario {
    name: "sndbuf-minimum",
    summary: "SO_SNDBUF 1, which the kernel raises to its minimum",
    provokes: &["raised-to-minimum", "new-skb", "first-fill", "tail-append"],
    needs: &[],
    accepts: NEVER_READING,
    defaults: Params {
        sndbuf: Some(1),
        rcvbuf: Some(29_200),
        ..Params::BASE
    },
    play: |stage| {
        let net = Net::veth(&stage.params)?;
        never_reading_server(stage, &net, |_| Ok(()), write(stage, 0))
    },
};

pub(super) const LISTENER_INHERIT: Scenario = Scenario {
    name: "listener-inherit",
    summary: "SO_SNDBUF set on a listener; the accepted socket inherits limit and lock, and sends",
    provokes: &["inherited-from-listener", "new-skb", "tail-append"],
    needs: &[],
    accepts: ONE_WRITER,
    defaults: Params {
        rcvbuf: Some(29_200),
        ..Params::BASE
    },
    play: inherited,
};

fn lowered(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    let write = write(stage, 0);
    let mut writers = [Writer::spawn(WRITER, &sender, pace(stage), write)?];
    let senders = [sender];
    settle(&senders, &mut writers)?;
    set_sndbuf(&senders[0].socket, 4096)?;
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    drain(stage, &net.client, &senders, &mut writers, &[server])
}

fn forced(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    // Read here: kernels up to 6.1 do not show it inside a namespace of ours, though it binds there
    // too.
    let clamp = diag::wmem_max()?;
    // Beyond the clamp, and far from the point where doubling would overflow an int.
    let beyond =
        i32::try_from((clamp + (64 << 10)).min(256 << 20)).context("wmem_max is beyond use")?;
    let set = |sender: &Sender| {
        for (name, what) in [
            (libc::SO_SNDBUF, "SO_SNDBUF"),
            (libc::SO_SNDBUFFORCE, "SO_SNDBUFFORCE"),
        ] {
            set_option(&*sender.socket, libc::SOL_SOCKET, name, &beyond)
                .with_context(|| format!("cannot set {what} to {beyond}"))?;
        }
        Ok(())
    };
    never_reading_server(stage, &net, set, write(stage, 0))
}

fn inherited(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    // The server sends here, so its namespace is the one to watch.
    stage.ready(&net.server, &[])?;
    let listener = net.listen(client_setup(stage))?;
    let client = net.client(Setup {
        rcvbuf: stage.params.rcvbuf,
        ..Setup::PLAIN
    })?;
    connect(&client, listener.address)?;
    let sender = Sender::shared(listener.accept()?)?;
    let write = write(stage, 0);
    let mut writers = [Writer::spawn(WRITER, &sender, pace(stage), write)?];
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.server, reason, &senders)?;
    drain(stage, &net.server, &senders, &mut writers, &[client.into()])
}
