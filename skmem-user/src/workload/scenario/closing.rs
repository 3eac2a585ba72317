//! Ends of a connection whose queue is full: FIN behind it, or RST instead of it.

use std::{net::Shutdown, os::fd::AsFd, thread, time::Duration};

use anyhow::{Context, Result};

use super::{ONE_WRITER, Scenario, Stage, client_setup, drain, fill_until_blocked, server_setup};
use crate::{
    diag::{TcpInfo, TcpState},
    workload::{
        Params,
        net::Net,
        protocol::{Done, Reason},
        settle::settle,
    },
};

pub(super) const FIN_FULL_QUEUE: Scenario = Scenario {
    name: "fin-full-queue",
    summary: "shutdown behind a full queue: the FIN rides on the last skb or brings its own",
    provokes: &["new-skb", "tail-append", "ack"],
    needs: &[],
    accepts: &[
        "sndbuf",
        "rcvbuf",
        "write-size",
        "mtu",
        "gso-max-segs",
        "nodelay",
    ],
    defaults: Params {
        rcvbuf: Some(29_200),
        ..Params::BASE
    },
    play: fin,
};

pub(super) const RST_FULL_QUEUE: Scenario = Scenario {
    name: "rst-full-queue",
    summary: "two full queues thrown away: one by SO_LINGER 0 and close, one by the peer's RST",
    provokes: &["purge", "reset", "new-skb", "tail-append"],
    needs: &[],
    accepts: ONE_WRITER,
    defaults: FIN_FULL_QUEUE.defaults,
    play: rst,
};

fn fin(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    let senders = [sender];
    fill_until_blocked(stage, &senders)?;
    senders[0]
        .socket
        .shutdown(Shutdown::Write)
        .context("cannot shut the sender down")?;
    settle(&senders, &mut [])?;
    stage.settled(&net.client, Reason::Blocked, &senders)?;
    drain(stage, &net.client, &senders, &mut [], &[server])
}

fn rst(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (ours, _server) = net.connect(&listener, client_setup(stage))?;
    let (theirs, server) = net.connect(&listener, client_setup(stage))?;
    let senders = [ours, theirs];
    fill_until_blocked(stage, &senders)?;
    stage.settled(&net.client, Reason::Blocked, &senders)?;

    let [ours, theirs] = senders;
    ours.socket
        .set_linger(Some(Duration::ZERO))
        .context("cannot set SO_LINGER")?;
    drop(ours);
    // Closed with data unread, the server resets (tcp_close).
    drop(server);
    while TcpInfo::read(theirs.socket.as_fd())?.state != TcpState::Close {
        thread::sleep(Duration::from_millis(5));
    }
    stage.done(&net.client, &[theirs])
}
