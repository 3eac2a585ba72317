//! The scenarios, one file per family, and what they share.

mod blocking;

use std::{io, sync::Arc, thread, time::Duration};

use anyhow::Result;
use socket2::Socket;

use super::{
    catalog::Scenario,
    net::Net,
    proto::Done,
    reader::Reader,
    sender::Sender,
    settle::settle,
    sockets::Setup,
    stage::Stage,
    writer::{Pace, Writer},
};
use crate::diag::Queues;

/// The table behind [`super::list`].
pub(super) const ALL: &[Scenario] = &[blocking::ARTICLE];

/// The options of a scenario with one writer on a veth pair.
const ONE_WRITER: &[&str] = &[
    "interval",
    "sndbuf",
    "rcvbuf",
    "write-size",
    "mtu",
    "gso-max-segs",
    "nodelay",
];

/// The name of a writer's thread, as `comm` shows it.
const WRITER: &str = "skmem-writer";

/// The sender's socket as the options want it.
fn client_setup(stage: &Stage) -> Setup {
    Setup {
        sndbuf: stage.params.sndbuf,
        nodelay: stage.params.nodelay,
        ..Setup::PLAIN
    }
}

/// The listener, hence the receiver, as the options want it.
fn server_setup(stage: &Stage) -> Setup {
    Setup {
        rcvbuf: stage.params.rcvbuf,
        ..Setup::PLAIN
    }
}

/// The writer's pace as the options want it.
fn pace(stage: &Stage) -> Pace {
    Pace {
        interval: stage.params.interval,
        bytes: stage.params.bytes,
    }
}

/// A write of `len` bytes with `flags`. `MSG_NOSIGNAL`: a reset is an error here, not a signal.
fn send(len: usize, flags: libc::c_int) -> impl FnMut(&Socket) -> io::Result<usize> + Send + 'static {
    let payload = vec![b's'; len];
    move |socket| socket.send_with_flags(&payload, flags | libc::MSG_NOSIGNAL)
}

/// The commonest plot: one client writes to a server that never reads, until it is blocked; then the
/// server reads everything, and the account runs down to zero by acknowledgements.
fn never_reading_server<W>(
    stage: &Stage,
    net: &Net,
    prepare: impl FnOnce(&Sender) -> Result<()>,
    write: W,
) -> Result<Done>
where
    W: FnMut(&Socket) -> io::Result<usize> + Send + 'static,
{
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    prepare(&sender)?;
    let mut writers = [Writer::spawn(WRITER, &sender, pace(stage), write)?];
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    drain(stage, net, &senders, &mut writers, &[server])
}

/// The usual end: no more writes, the receivers read all, and the queues run empty.
fn drain(
    stage: &Stage,
    net: &Net,
    senders: &[Sender],
    writers: &mut [Writer],
    receivers: &[Arc<Socket>],
) -> Result<Done> {
    for writer in writers.iter() {
        writer.stop();
    }
    for receiver in receivers {
        Reader::spawn(receiver, None)?;
    }
    for writer in writers.iter_mut() {
        writer.join()?;
    }
    wait_until_acknowledged(senders)?;
    stage.done(&net.client, senders)
}

/// Waits until every byte is acknowledged. The watchdog bounds the wait.
fn wait_until_acknowledged(senders: &[Sender]) -> Result<()> {
    use std::os::fd::AsFd;
    for sender in senders {
        while Queues::read(sender.socket.as_fd())?.outq > 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}
