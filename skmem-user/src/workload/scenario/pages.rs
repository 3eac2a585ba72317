//! Data that reaches the socket as pages instead of being copied: `sendfile`, `splice`,
//! `MSG_ZEROCOPY`.
//!
//! Spliced pages count with the bytes used of them (`do_tcp_sendpages` up to 6.1,
//! `MSG_SPLICE_PAGES` in `tcp_sendmsg_locked` after); zerocopy pages count whole
//! (`__zerocopy_sg_from_iter`).

use std::{
    fs::File,
    io::{self, Write},
    mem::MaybeUninit,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    net::{RecvAncillaryBuffer, RecvFlags, recvmsg},
    pipe::{self, SpliceFlags},
};
use socket2::Socket;

use super::{NEVER_READING_NO_SEND, Scenario, Stage, never_reading_server};
use crate::workload::{Params, net::Net, protocol::Done, skip::Skip, sockets::set_option};

/// The options of a scenario with `MSG_ZEROCOPY`.
const ZEROCOPY: &[&str] = &[
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
    "copy",
    "reader",
];

/// A pipe's default capacity (`PIPE_DEF_BUFFERS` pages): the most that one splice can carry.
const PIPE: usize = 64 << 10;

pub(super) const SENDFILE: Scenario = Scenario {
    name: "sendfile",
    summary: "sendfile from a file in memory, 64 KiB a call",
    provokes: &["splice", "new-skb"],
    needs: &[],
    accepts: NEVER_READING_NO_SEND,
    defaults: Params {
        write_size: 64 << 10,
        ..Params::BASE
    },
    play: sendfile,
};

pub(super) const SPLICE: Scenario = Scenario {
    name: "splice",
    summary: "splice from a pipe, 16 KiB a call",
    provokes: &["splice", "new-skb"],
    needs: &[],
    accepts: NEVER_READING_NO_SEND,
    defaults: Params {
        write_size: 16 << 10,
        ..Params::BASE
    },
    play: splice,
};

pub(super) const ZEROCOPY_SMALL: Scenario = Scenario {
    name: "zerocopy-small",
    summary: "MSG_ZEROCOPY with 1024-byte writes: each counts a whole page",
    provokes: &[
        "zerocopy-page-rounding",
        "new-skb",
        "first-fill",
        "tail-append",
    ],
    needs: &[],
    accepts: ZEROCOPY,
    defaults: Params {
        rcvbuf: Some(29_200),
        ..Params::BASE
    },
    play: zerocopy,
};

pub(super) const ZEROCOPY_LARGE: Scenario = Scenario {
    name: "zerocopy-large",
    summary: "MSG_ZEROCOPY with 64 KiB writes",
    provokes: ZEROCOPY_SMALL.provokes,
    needs: &[],
    accepts: ZEROCOPY,
    defaults: Params {
        sndbuf: Some(65_536),
        write_size: 64 << 10,
        ..Params::BASE
    },
    play: zerocopy,
};

fn sendfile(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    let len = stage.params.write_len();
    let file = file_in_memory(len)?;
    never_reading_server(
        stage,
        &net,
        |_| Ok(()),
        move |socket| Ok(rustix::fs::sendfile(socket, &file, Some(&mut 0), len)?),
    )
}

fn splice(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    let payload = vec![b's'; stage.params.write_len().min(PIPE)];
    let (from, mut to) = io::pipe().context("cannot make a pipe")?;
    let mut held = 0;
    never_reading_server(
        stage,
        &net,
        |_| Ok(()),
        move |socket| {
            if held == 0 {
                to.write_all(&payload)?;
                held = payload.len();
            }
            let moved = pipe::splice(&from, None, socket, None, held, SpliceFlags::MOVE)?;
            held -= moved;
            Ok(moved)
        },
    )
}

fn zerocopy(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    // Never written again, as zerocopy asks of its caller until the data is acknowledged. It begins
    // where a page does: each page that a write touches counts.
    let len = stage.params.write_len();
    let page = rustix::param::page_size();
    let payload = vec![b'z'; len + page];
    let start = payload.as_ptr().align_offset(page);
    let allow = |sender: &super::Sender| {
        set_option(&*sender.socket, libc::SOL_SOCKET, libc::SO_ZEROCOPY, &1_i32).map_err(|error| {
            match error.raw_os_error() {
                Some(libc::EOPNOTSUPP) => {
                    Skip::error("this kernel has no MSG_ZEROCOPY for this socket")
                }
                _ => anyhow::anyhow!(error).context("cannot set SO_ZEROCOPY"),
            }
        })
    };
    let how = if stage.params.copy {
        0
    } else {
        libc::MSG_ZEROCOPY
    };
    never_reading_server(stage, &net, allow, move |socket| {
        let sent = socket.send_with_flags(&payload[start..start + len], how | libc::MSG_NOSIGNAL);
        match sent {
            // Option memory (net.core.optmem_max) is full of completions that nobody fetched.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                fetch_completions(socket);
                thread::sleep(Duration::from_millis(1));
                Ok(0)
            }
            other => other,
        }
    })
}

/// Takes the completion notices off the error queue; what they say is of no use here.
fn fetch_completions(socket: &Socket) {
    let flags = RecvFlags::ERRQUEUE | RecvFlags::DONTWAIT;
    let mut control = [MaybeUninit::uninit(); 256];
    while recvmsg(
        socket,
        &mut [],
        &mut RecvAncillaryBuffer::new(&mut control),
        flags,
    )
    .is_ok()
    {}
}

/// A file of `len` bytes without a name.
fn file_in_memory(len: usize) -> Result<File> {
    let file =
        memfd_create("skmem", MemfdFlags::CLOEXEC).context("cannot make a file in memory")?;
    let mut file = File::from(file);
    file.write_all(&vec![b'f'; len])
        .context("cannot fill a file in memory")?;
    Ok(file)
}
