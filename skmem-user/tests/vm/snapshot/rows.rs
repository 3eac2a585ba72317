//! What is said of sockets in states that are easily misread, on this kernel.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::Command,
};

use libtest_mimic::{Completion, Failed, Trial};
use rustix::net::{
    SendFlags, send,
    sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size_force, set_tcp_nodelay},
};
use serde_json::Value;
use skmem::diag::{MemInfo, TcpInfo, socket_cookie};

use super::{int, json, nothing_is_left, own::fill, rows};
use crate::{Outcome, check::Check, process::wait_for};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("snapshot::small-packets-are-no-shut-window", small_packets),
        Trial::test("snapshot::a-lowered-SO_RCVBUF-is-no-dead-peer", lowered),
        Trial::ignorable_test("snapshot::netem-on-the-way-is-named", netem),
        Trial::test("snapshot::locks-of-both-buffers-are-shown", locks),
    ]
}

pub(super) fn pair() -> Result<(TcpStream, TcpStream), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// A socket's row.
pub(super) fn row(socket: &TcpStream, arguments: &[&str]) -> Result<Value, Failed> {
    let cookie = socket_cookie(socket.as_fd())?;
    let all = [&["snapshot", "--json"], arguments].concat();
    let snapshot = json(&all)?;
    let row = rows(&snapshot).iter().find(|row| row["cookie"] == cookie);
    Ok(row.ok_or("the socket is not shown")?.clone())
}

/// The text of a finding.
pub(super) fn said<'a>(row: &'a Value, tag: &str) -> Option<&'a str> {
    let all = row["findings"].as_array()?;
    all.iter().find(|f| f["tag"] == tag)?["text"].as_str()
}

/// Segments of one byte: rb of a socket without SO_RCVBUF grows with r, and the window stays open.
fn small_packets() -> Result<(), Failed> {
    let mut check = Check::default();
    nothing_is_left()?;
    let (client, server) = pair()?;
    set_tcp_nodelay(&client, true)?;
    let before = MemInfo::read(server.as_fd())?.rcvbuf;
    // A sender that waits for its CPU would append to what it has not sent; MSG_EOR keeps each byte
    // a segment.
    let each = SendFlags::from_bits_retain(libc::MSG_EOR.cast_unsigned());
    for _ in 0..3000 {
        send(&client, b"x", each)?;
    }
    let arrived = wait_for(|| TcpInfo::read(client.as_fd()).is_ok_and(|info| info.unacked == 0));
    check.that(arrived, || "not all is acknowledged".into());
    let after = MemInfo::read(server.as_fd())?;
    let row = row(&server, &[])?;
    let text = said(&row, "small-packets").unwrap_or_default();
    eprintln!(
        "rb {before} → {}, r {}: {text}",
        after.rcvbuf, after.rmem_alloc
    );
    check.that(text.contains("for 3,000 bytes of data"), || row.to_string());
    check.equal("slow-reader", said(&row, "slow-reader"), None);
    check.done()
}

/// A reader that lowers SO_RCVBUF below what it offered takes its window back, and is alive.
fn lowered() -> Result<(), Failed> {
    let mut check = Check::default();
    nothing_is_left()?;
    let (mut client, server) = pair()?;
    set_socket_send_buffer_size_force(&client, 4 << 20)?;
    client.write_all(&[1; 40_000])?;
    let arrived = wait_for(|| TcpInfo::read(client.as_fd()).is_ok_and(|info| info.unacked == 0));
    check.that(arrived, || "not all is acknowledged".into());
    set_socket_recv_buffer_size(&server, 4096)?;
    client.set_nonblocking(true)?;
    for _ in 0..40 {
        if client.write(&[2; 100_000]).is_err() {
            break;
        }
    }
    // Two timeouts are what used to be called a dead peer. Where the peer's window went to 0 (6.12
    // on), the timer goes off without counting them (tcp_retransmit_timer: a window that
    // shrank).
    let stuck = wait_for(|| {
        TcpInfo::read(client.as_fd())
            .is_ok_and(|info| info.retransmits >= 2 || info.snd_wnd == Some(0) && info.unacked > 0)
    });
    check.that(stuck, || "the sender is not stuck".into());
    let sender = row(&client, &[])?;
    let reader = row(&server, &[])?;
    eprintln!(
        "sender: {}\nreader: {}",
        sender["findings"], reader["findings"]
    );
    let gone = |row: &Value| {
        row["findings"]
            .to_string()
            .contains("The peer or the path is gone")
    };
    check.that(!gone(&sender), || sender.to_string());
    if sender["flow"]["snd_wnd"] == 0 {
        check.that(said(&sender, "window-withdrawn").is_some(), || {
            sender.to_string()
        });
    } else {
        let text = said(&sender, "timeouts").unwrap_or_default();
        check.that(text.contains("the peer drops what arrives"), || {
            sender.to_string()
        });
    }
    let text = said(&reader, "slow-reader").unwrap_or_default();
    check.that(text.contains("wait for recv()"), || reader.to_string());
    check.done()
}

/// Packets that netem delays are in no t.
fn netem() -> Outcome {
    nothing_is_left()?;
    let tc = |words: &[&str]| Command::new("tc").args(words).output();
    let delay = [
        "qdisc", "add", "dev", "lo", "root", "netem", "delay", "400ms",
    ];
    if !tc(&delay)?.status.success() {
        return Ok(Completion::ignored_with("this kernel has no netem"));
    }
    let looked = || -> Result<Value, Failed> {
        let (mut client, mut server) = pair()?;
        set_socket_send_buffer_size_force(&client, 1 << 20)?;
        client.set_nonblocking(true)?;
        server.set_nonblocking(true)?;
        let mut seen = Value::Null;
        let mut read = vec![0; 1 << 20];
        // The first flight may be out when the look comes; the next one is on its way for 400 ms,
        // as long as the peer reads.
        for _ in 0..20 {
            let _ = client.write(&[1; 200_000]);
            while server.read(&mut read).is_ok_and(|n| n > 0) {}
            seen = row(&client, &[])?;
            let held = seen["path"]["qdiscs"].to_string();
            if said(&seen, "netem").is_some() && !held.contains("\"backlog_bytes\":0") {
                break;
            }
        }
        drop(server);
        Ok(seen)
    };
    let seen = looked();
    tc(&["qdisc", "del", "dev", "lo", "root"])?;
    let seen = seen?;
    let mut check = Check::default();
    let text = said(&seen, "netem").unwrap_or_default();
    eprintln!("{text} {}", seen["memory"]);
    check.equal("device", &seen["path"]["device"], &Value::from("lo"));
    check.that(
        text.contains("leave by lo, which has netem: it holds"),
        || seen.to_string(),
    );
    check.that(!text.contains("holds no packet"), || seen.to_string());
    let all = seen["findings"].to_string();
    check.that(!all.contains("nothing is in the queueing"), || all.clone());
    check.done().map(|()| Completion::Completed)
}

fn locks() -> Result<(), Failed> {
    let mut check = Check::default();
    nothing_is_left()?;
    let (client, server) = pair()?;
    set_socket_recv_buffer_size(&client, 30_000)?;
    set_socket_send_buffer_size_force(&server, 30_000)?;
    fill(&client)?;
    let (first, second) = (row(&client, &["--locks"])?, row(&server, &["--locks"])?);
    // SO_BUF_LOCK came with 5.14.
    if first["rcvbuf_limit"].is_null() {
        let snapshot = json(&["snapshot", "--json", "--locks"])?;
        let notes = snapshot["notes"].to_string();
        check.that(notes.contains("SO_BUF_LOCK"), || notes.clone());
        return check.done();
    }
    for (row, tb, rb) in [
        (&first, "autotuned", "locked"),
        (&second, "locked", "autotuned"),
    ] {
        check.equal("tb", &row["limit"], &tb.into());
        check.equal("rb", &row["rcvbuf_limit"], &rb.into());
    }
    check.that(int(&first["memory"], "wmem_queued") > 0, || {
        first.to_string()
    });
    check.done()
}
