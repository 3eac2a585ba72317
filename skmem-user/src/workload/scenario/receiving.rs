//! What fills a receive buffer and shuts its window: a reader that is too slow, and an error queue
//! that nobody reads.

use std::{
    io::{self, Read as _},
    os::fd::AsRawFd as _,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use socket2::Socket;

use super::{
    Scenario, Stage, WRITER, client_setup, drain, pace, send, server_setup,
    wait_until_acknowledged, write,
};
use crate::workload::{
    Params, net::Net, protocol::Done, reader::Reader, sender::Sender, settle::settle,
    sockets::Setup, writer::Writer,
};

pub(super) const SLOW_READER: Scenario = Scenario {
    name: "slow-reader",
    summary: "a reader takes 4 KiB every 10 ms, then stops: what r holds, and why the window is 0",
    provokes: &["in-order", "coalesced", "read"],
    needs: &[],
    accepts: &[
        "interval",
        "sndbuf",
        "no-sndbuf",
        "rcvbuf",
        "write-size",
        "mtu",
        "nodelay",
    ],
    defaults: Params {
        sndbuf: None,
        write_size: 16 << 10,
        ..Params::BASE
    },
    play: slow_reader,
};

pub(super) const ERROR_QUEUE: Scenario = Scenario {
    name: "error-queue",
    summary: "timestamps that nobody collects fill the receive buffer: the window is 0 with Recv-Q 0",
    provokes: &["error-queued"],
    needs: &[],
    accepts: &["rcvbuf", "write-size", "mtu"],
    defaults: Params {
        sndbuf: None,
        rcvbuf: Some(40_000),
        write_size: 500,
        ..Params::BASE
    },
    play: error_queue,
};

/// Bytes of one read of the slow reader.
const PIECE: usize = 4096;
/// Its pause between two reads.
const PAUSE: Duration = Duration::from_millis(10);
/// Reads after which it stops.
const READS: usize = 64;

fn slow_reader(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    let mut writers = [Writer::spawn(
        WRITER,
        &sender,
        pace(stage),
        write(stage, 0),
    )?];
    let reading = Arc::clone(&server);
    let reader = thread::Builder::new()
        .name("demo-receiver".into())
        .spawn(move || -> io::Result<()> {
            let mut piece = [0; PIECE];
            for _ in 0..READS {
                (&*reading).read_exact(&mut piece)?;
                thread::sleep(PAUSE);
            }
            Ok(())
        })
        .context("cannot start a reader thread")?;
    reader
        .join()
        .map_err(|_| anyhow!("the reader panicked"))?
        .context("cannot read from the socket")?;
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    drain(stage, &net.client, &senders, &mut writers, &[server])
}

/// Requests that are sent with timestamps: more than the error queue has room for.
const REQUESTS: usize = 200;

/// `SOF_TIMESTAMPING_TX_SOFTWARE`, `_SOFTWARE`, `_OPT_ID`, `_TX_SCHED`, `_TX_ACK` of
/// include/uapi/linux/net_tstamp.h: three stamps a request.
const STAMPS: libc::c_int = 1 << 1 | 1 << 4 | 1 << 7 | 1 << 8 | 1 << 9;

fn error_queue(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(Setup::PLAIN)?;
    let client = net.client(Setup {
        rcvbuf: stage.params.rcvbuf,
        nodelay: true,
        ..Setup::PLAIN
    })?;
    crate::workload::sockets::connect(&client, listener.address)?;
    let server = listener.accept()?;
    let client = Arc::new(client);
    timestamp(&client)?;
    let mut request = send(stage.params.write_len(), 0);
    let mut room = vec![0; stage.params.write_len()];
    for _ in 0..REQUESTS {
        request(&client).context("cannot write to the socket")?;
        (&*server)
            .read_exact(&mut room)
            .context("cannot read from the socket")?;
    }
    // The client reads all that it is sent, at once.
    Reader::spawn(&client, None)?;
    let answering = Sender::shared(server)?;
    let answer = send(16 << 10, 0);
    let mut writers = [Writer::spawn(WRITER, &answering, pace(stage), answer)?];
    let senders = [answering];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.server, reason, &senders)?;
    for writer in &writers {
        writer.stop();
    }
    collect(&client);
    for writer in &mut writers {
        writer.join()?;
    }
    wait_until_acknowledged(&senders)?;
    stage.done(&net.server, &senders)
}

/// Asks for a timestamp of each packet that the socket sends.
fn timestamp(socket: &Socket) -> Result<()> {
    let flags = STAMPS;
    // SAFETY: the option is an int, which outlives the call.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPING,
            (&raw const flags).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if rc != 0 {
        return Err(io::Error::last_os_error()).context("cannot set SO_TIMESTAMPING");
    }
    Ok(())
}

/// Collects the timestamps.
fn collect(socket: &Socket) {
    let mut room = [0_u8; 2048];
    loop {
        let mut part = libc::iovec {
            iov_base: room.as_mut_ptr().cast(),
            iov_len: room.len(),
        };
        // SAFETY: all of msghdr is integers and pointers, for which 0 is a value.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        // SAFETY: the message points to room that outlives the call.
        let n = unsafe {
            libc::recvmsg(
                socket.as_raw_fd(),
                &raw mut message,
                libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
            )
        };
        if n < 0 {
            return;
        }
    }
}
