//! `skmem snapshot --window`: what fills a receive buffer and why the window is what it is, beside
//! what the kernel says of the socket and of its peer.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
};

use libtest_mimic::{Failed, Trial};
use rustix::{
    io::ioctl_fionread,
    net::{
        AddressFamily, SocketType, connect, socket,
        sockopt::{set_socket_recv_buffer_size, set_tcp_nodelay},
    },
};
use serde_json::Value;
use skmem::{
    diag::{MemInfo, TcpInfo},
    explain::window::Window,
};

use super::{
    account::option,
    between, int, nothing_is_left,
    rows::{pair, row, said},
};
use crate::{case, check::Check, process::wait_for};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::test(
            "snapshot::window-what-was-read-stays-until-its-skb-ends",
            held,
        ),
        Trial::test("snapshot::window-an-error-queue-shuts-it", error_queue),
        Trial::test(
            "snapshot::window-a-lowered-SO_RCVBUF-keeps-its-promise",
            lowered,
        ),
    ]
}

/// The row with its window, which adds up and is what the kernel says otherwise.
fn window(check: &mut Check, socket: &TcpStream) -> Result<(Value, Window), Failed> {
    let truth = || {
        let MemInfo {
            rmem_alloc, rcvbuf, ..
        } = MemInfo::read(socket.as_fd())?;
        Ok((rmem_alloc, rcvbuf, ioctl_fionread(socket)?))
    };
    let ((rmem_alloc, rcvbuf, unread), row) = between(truth, || row(socket, &["--window"]))?;
    let window: Window = serde_json::from_value(row["window"].clone())
        .map_err(|e| format!("{e}: {}", row["window"]))?;
    let sum: i64 = window.parts().iter().map(|(_, bytes)| bytes).sum();
    check.equal("sum of all parts and rb", sum, window.rcvbuf);
    check.equal("rb", window.rcvbuf, rcvbuf.into());
    check.equal("r", window.rmem_alloc, rmem_alloc.into());
    let unread = i64::try_from(unread)?;
    check.equal("unread and SIOCINQ", window.unread, unread);
    check.equal("whole", window.whole, true);
    eprintln!("{window:?}: {:?}", window.says());
    Ok((row, window))
}

/// Fills the receive buffer of the peer, and waits until nothing moves but the peer's window
/// probes.
fn fill(client: &mut TcpStream) -> Result<(), Failed> {
    client.set_nonblocking(true)?;
    let full = wait_for(|| {
        while client.write(&[7; 16 << 10]).is_ok() {}
        TcpInfo::read(client.as_fd()).is_ok_and(|info| info.snd_wnd == Some(0) && info.unacked == 0)
    });
    if full {
        Ok(())
    } else {
        Err("the peer's window is not full".into())
    }
}

fn held() -> Result<(), Failed> {
    let mut check = Check::default();
    nothing_is_left()?;
    let (mut client, mut server) = pair()?;
    // Locked: a read would raise rb, and more would arrive.
    option(&server, libc::SOL_SOCKET, libc::SO_RCVBUF, &65_536_i32)?;
    fill(&mut client)?;
    let (_, full) = window(&mut check, &server)?;
    check.equal("window", full.window, 0);
    check.equal("read but held before any read", full.held, 0);
    check.that(full.unread > full.rcvbuf / 4, || format!("{full:?}"));
    check.equal(
        "error queue and out of order",
        (full.error_queue, full.out_of_order),
        (0, 0),
    );
    // All but the last byte of the first skb.
    let most = usize::try_from(full.head_left - 1)?;
    server.read_exact(&mut vec![0; most])?;
    let (row, part) = window(&mut check, &server)?;
    if part.held > part.unread {
        let text = said(&row, "receive-window").unwrap_or_default();
        let read = "were read already, and stay until the last byte of their skb is read, 1 byte further on";
        check.that(text.contains(read), || row.to_string());
    }
    check.equal("read but held", part.held, full.head_left - 1);
    check.equal("bytes until it is freed", part.head_left, 1);
    check.equal(
        "r, though all that was read",
        part.rmem_alloc,
        full.rmem_alloc,
    );
    server.read_exact(&mut [0])?;
    let after = MemInfo::read(server.as_fd())?;
    check.that(i64::from(after.rmem_alloc) < part.rmem_alloc, || {
        format!("the last byte frees nothing: {after:?}, {part:?}")
    });
    drop((client, server));
    check.done()
}

fn error_queue() -> Result<(), Failed> {
    /// Software stamps when a packet is sent and acknowledged, each with its packet.
    const FLAGS: i32 = 1 << 1 | 1 << 4 | 1 << 7 | 1 << 9;
    let mut check = Check::default();
    nothing_is_left()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Before a window is offered.
    let client = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    set_socket_recv_buffer_size(&client, 20_000)?;
    connect(&client, &listener.local_addr()?)?;
    let mut client = TcpStream::from(client);
    let mut server = listener.accept()?.0;
    set_tcp_nodelay(&client, true)?;
    option(&client, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &FLAGS)?;
    for _ in 0..60 {
        client.write_all(&[1; 1000])?;
        server.read_exact(&mut [0; 1000])?;
        wait_for(|| TcpInfo::read(client.as_fd()).is_ok_and(|info| info.unacked == 0));
    }
    // What the peer sends makes the client announce its window.
    server.set_nonblocking(true)?;
    while server.write(&[2; 1000]).is_ok_and(|n| n == 1000)
        && TcpInfo::read(server.as_fd())?.notsent_bytes == Some(0)
    {}
    // Before 6.6 a window is not taken back for want of room: what was promised is dropped.
    let takes_back = case::kernel() >= (6, 6);
    if takes_back {
        // Nagle's algorithm may have ended that before a segment found no room, whose ACK takes it
        // back.
        let shut = wait_for(|| {
            let _ = server.write(&[2; 1000]);
            TcpInfo::read(server.as_fd()).is_ok_and(|i| i.snd_wnd == Some(0))
        });
        check.that(shut, || "the window is not shut".into());
    }
    let (row, window) = window(&mut check, &client)?;
    check.that(window.error_queue * 2 > window.rmem_alloc, || {
        format!("{window:?}")
    });
    check.that(window.error_skbs > 0, || format!("{window:?}"));
    let text = said(&row, "receive-window").unwrap_or_default();
    let said_so = match takes_back {
        true => "because of the error queue",
        false => "on the error queue",
    };
    check.that(text.contains(said_so), || row.to_string());
    check.that(said(&row, "slow-reader").is_none(), || row.to_string());
    drop((client, server));
    check.done()
}

fn lowered() -> Result<(), Failed> {
    let mut check = Check::default();
    nothing_is_left()?;
    let (mut client, server) = pair()?;
    client.write_all(&[1; 10_000])?;
    let arrived = wait_for(|| ioctl_fionread(&server).is_ok_and(|n| n == 10_000));
    check.that(arrived, || "not all arrives".into());
    option(&server, libc::SOL_SOCKET, libc::SO_RCVBUF, &2_000_i32)?;
    let (row, window) = window(&mut check, &server)?;
    let offered = TcpInfo::read(client.as_fd())?.snd_wnd;
    check.equal(
        "window here and at the peer",
        Some(window.window),
        offered.map(i64::from),
    );
    check.that(window.unannounced < -window.rcvbuf, || {
        format!("{window:?}")
    });
    let text = said(&row, "receive-window").unwrap_or_default();
    check.that(text.starts_with("rb was lowered to 4,000"), || {
        row.to_string()
    });
    check.equal("rb", int(&row["memory"], "rcvbuf"), window.rcvbuf);
    drop((client, server));
    check.done()
}
