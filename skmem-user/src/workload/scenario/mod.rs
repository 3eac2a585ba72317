//! The scenarios, one file per family, and what they share.

mod blocking;
mod bulk;
mod closing;
mod crowd;
mod fault;
mod holdups;
mod layered;
mod limits;
mod pages;
mod pressure;
mod receiving;
mod storm;
mod timing;

use std::{io, os::fd::AsFd, sync::Arc, thread, time::Duration};

use anyhow::{Context, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use socket2::Socket;
pub(super) use storm::{WORKER as STORM_WORKER, worker as storm_worker};

use super::{
    catalog::Scenario,
    net::{Net, Netns},
    protocol::Done,
    reader::Reader,
    sender::Sender,
    settle::settle,
    sockets::Setup,
    stage::Stage,
    writer::{Pace, Writer},
};
use crate::diag::Queues;

/// The table behind [`super::list`].
pub(super) const ALL: &[Scenario] = &[
    blocking::ARTICLE,
    blocking::SMALL_WRITES_NODELAY,
    blocking::ONE_LARGE_WRITE,
    blocking::BLOCKING_WRITER,
    bulk::AUTOTUNED,
    pages::SENDFILE,
    pages::SPLICE,
    pages::ZEROCOPY_SMALL,
    pages::ZEROCOPY_LARGE,
    blocking::EOR,
    blocking::MORE,
    blocking::GSO_OFF,
    blocking::GSO_MAX_SEGS,
    blocking::BIG_TCP,
    blocking::LOOPBACK,
    blocking::ACKS_BLACKHOLED,
    blocking::DATA_BLACKHOLED,
    crowd::FOUR_WRITERS,
    holdups::LONG_PATH,
    holdups::SLOW_LINK,
    holdups::PACED,
    holdups::SMALL_LIMIT,
    bulk::LOSS,
    bulk::CEILING_LOWERED,
    bulk::MTU_PROBING,
    limits::SNDBUF_LOWERED,
    limits::SNDBUF_FORCE,
    limits::SNDBUF_MINIMUM,
    limits::LISTENER_INHERIT,
    pressure::TCP_MEM,
    pressure::TCP_MEM_LOCKED,
    pressure::TCP_MEM_FRESH,
    pressure::MEMCG_LIMIT,
    timing::TFO,
    closing::FIN_FULL_QUEUE,
    closing::RST_FULL_QUEUE,
    fault::BAD_ADDRESS,
    layered::KTLS,
    layered::MPTCP,
    timing::OLDER_THAN_TRACER,
    timing::UNDER_TRAFFIC,
    crowd::MANY_SOCKETS,
    storm::STORM,
    receiving::SLOW_READER,
    receiving::ERROR_QUEUE,
];

/// The options of a scenario with one writer on a veth pair.
const ONE_WRITER: &[&str] = &[
    "interval",
    "sndbuf",
    "no-sndbuf",
    "rcvbuf",
    "write-size",
    "mtu",
    "gso-max-segs",
    "gso-off",
    "nodelay",
    "notsent-lowat",
    "eor",
];

/// The same where it plays [`never_reading_server`], whose server an option makes read.
const NEVER_READING: &[&str] = &[
    "interval",
    "sndbuf",
    "no-sndbuf",
    "rcvbuf",
    "write-size",
    "mtu",
    "gso-max-segs",
    "gso-off",
    "nodelay",
    "notsent-lowat",
    "eor",
    "reader",
];

/// The same where the data does not come by a plain `send`, so that there is no place for
/// `MSG_EOR`.
const NEVER_READING_NO_SEND: &[&str] = &[
    "interval",
    "sndbuf",
    "no-sndbuf",
    "rcvbuf",
    "write-size",
    "mtu",
    "gso-max-segs",
    "gso-off",
    "nodelay",
    "notsent-lowat",
    "reader",
];

/// The name of a writer's thread, as `comm` shows it.
const WRITER: &str = "demo-sender";

/// Writes after which a sender ends whose server reads: it would go on for ever.
const WRITES_READ: u64 = 64;

/// The sender's socket as the options want it.
fn client_setup(stage: &Stage) -> Setup {
    Setup {
        sndbuf: stage.params.sndbuf,
        nodelay: stage.params.nodelay,
        notsent_lowat: stage.params.notsent_lowat,
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
    let params = &stage.params;
    let read = || WRITES_READ * u64::from(params.write_size);
    Pace {
        interval: params.interval,
        bytes: params.bytes.or_else(|| params.reader.then(read)),
    }
}

/// A write as the options want it, with `flags`.
fn write(
    stage: &Stage,
    flags: libc::c_int,
) -> impl FnMut(&Socket) -> io::Result<usize> + Send + 'static {
    let eor = if stage.params.eor { libc::MSG_EOR } else { 0 };
    send(stage.params.write_len(), flags | eor)
}

/// A write of `len` bytes with `flags`. `MSG_NOSIGNAL`: a reset is an error here, not a signal.
fn send(
    len: usize,
    flags: libc::c_int,
) -> impl FnMut(&Socket) -> io::Result<usize> + Send + 'static {
    let payload = vec![b's'; len];
    move |socket| socket.send_with_flags(&payload, flags | libc::MSG_NOSIGNAL)
}

/// The commonest plot: one client writes to a server that never reads (unless `--reader` says so),
/// until it is blocked; then the server reads everything, and the account runs down to zero by
/// acknowledgements.
fn never_reading_server(
    stage: &Stage,
    net: &Net,
    prepare: impl FnOnce(&Sender) -> Result<()>,
    write: impl FnMut(&Socket) -> io::Result<usize> + Send + 'static,
) -> Result<Done> {
    never_reading_server_until(stage, net, prepare, write, || Ok(()))
}

/// As [`never_reading_server`], with something to put right before the server can read.
fn never_reading_server_until(
    stage: &Stage,
    net: &Net,
    prepare: impl FnOnce(&Sender) -> Result<()>,
    write: impl FnMut(&Socket) -> io::Result<usize> + Send + 'static,
    repair: impl FnOnce() -> Result<()>,
) -> Result<Done> {
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    prepare(&sender)?;
    let mut unread = vec![server];
    if stage.params.reader {
        for server in unread.drain(..) {
            Reader::spawn(&server, None)?;
        }
    }
    let mut writers = [Writer::spawn(WRITER, &sender, pace(stage), write)?];
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    repair()?;
    drain(stage, &net.client, &senders, &mut writers, &unread)
}

/// The usual end: no more writes, the receivers read all, and the queues run empty. `netns` is the
/// senders'.
fn drain(
    stage: &Stage,
    netns: &Netns,
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
    stage.done(netns, senders)
}

/// Waits until every byte is acknowledged. The watchdog bounds the wait.
///
/// # Errors
/// Where a connection has ended before: nothing is acknowledged any more, and `SIOCOUTQ` keeps the
/// bytes that were not.
fn wait_until_acknowledged(senders: &[Sender]) -> Result<()> {
    for sender in senders {
        let left = || Ok::<_, anyhow::Error>(Queues::read(sender.socket.as_fd())?.outq);
        while left()? > 0 {
            // The last acknowledgement may have come with the end.
            if has_ended(&sender.socket)? && left()? > 0 {
                let why = sender.socket.take_error()?;
                let why = why.unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into());
                return Err(why).with_context(|| {
                    format!(
                        "a connection ended with {} bytes not acknowledged",
                        left().unwrap_or_default()
                    )
                });
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// Whether the socket is closed (`TCP_CLOSE`), or both directions are shut.
fn has_ended(socket: &Socket) -> Result<bool> {
    let mut polled = [PollFd::new(socket, PollFlags::empty())];
    let now = Timespec::default();
    retry_on_intr(|| poll(&mut polled, Some(&now))).context("cannot poll a connection")?;
    Ok(polled[0].revents().contains(PollFlags::HUP))
}

/// Writes without blocking until the kernel takes no more, however long it is given.
fn fill_until_blocked(stage: &Stage, senders: &[Sender]) -> Result<()> {
    let mut write = write(stage, libc::MSG_DONTWAIT);
    loop {
        let mut written = 0;
        for sender in senders {
            written += fill(sender, &mut write, |_| true)?;
        }
        settle(senders, &mut [])?;
        if written == 0 {
            return Ok(());
        }
    }
}

/// Writes without blocking while `more` agrees, until the kernel takes no more; the bytes it took.
fn fill(
    sender: &Sender,
    write: &mut impl FnMut(&Socket) -> io::Result<usize>,
    more: impl Fn(u64) -> bool,
) -> Result<u64> {
    let mut written = 0;
    while more(written) {
        match write(&sender.socket) {
            Ok(n) => written += n as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error).context("cannot write to the socket"),
        }
    }
    Ok(written)
}

/// Allows this process (and those it starts) `count` open files.
fn raise_open_files(count: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.current.map(|n| n.max(count)),
        maximum: limit.maximum.map(|n| n.max(count)),
    };
    setrlimit(Resource::Nofile, raised)
        .with_context(|| format!("cannot allow {count} open files (ulimit -n)"))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn a_connection_that_was_reset_is_not_waited_for() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (peer, _) = listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        let chunk = [0; 1 << 16];
        while io::Write::write(&mut &client, &chunk).is_ok() {}
        let senders = [Sender::new(client.into()).unwrap()];
        assert!(!has_ended(&senders[0].socket).unwrap());
        // With data that nobody has read, closing resets the connection.
        drop(peer);
        let error = wait_until_acknowledged(&senders).unwrap_err();
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::ConnectionReset), "{error:#}");
        assert!(error.to_string().contains("bytes not acknowledged"));
    }
}
