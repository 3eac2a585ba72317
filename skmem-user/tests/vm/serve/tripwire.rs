//! The tripwire: no account until a socket reaches its limit or its sender sleeps; then all that
//! comes, to the byte; and none again once that is over.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsFd as _,
    thread,
    time::Duration,
};

use libtest_mimic::Failed;
use rustix::process::Signal;
use serde_json::Value;
use skmem::MemInfo;
use socket2::SockRef;

use super::answered;
use crate::{binary::parsed, case::SKMEM, check::Check, process::wait_for, serving::Serving};

/// The sum of a metric's series.
fn metric(serving: &Serving, name: &str) -> u64 {
    let text = serving.get("/metrics").body;
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let value = rest
            .starts_with([' ', '{'])
            .then(|| rest.rsplit(' ').next())?;
        value?.parse::<f64>().ok()
    };
    text.lines().filter_map(of).sum::<f64>() as u64
}

/// Two ends of a connection, with so small a window that a queue at its limit stays there: else it
/// may reach the limit for a moment, and be empty when its account begins.
fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    SockRef::from(&listener).set_recv_buffer_size(32_768)?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    SockRef::from(&client).set_send_buffer_size(65_536)?;
    Ok((client, listener.accept()?.0))
}

/// Writes until the kernel takes no more, and the peer's buffer is full, too: the queue stays.
fn fill(client: &mut TcpStream) -> io::Result<()> {
    client.set_nonblocking(true)?;
    let mut refused = 0;
    while refused < 3 {
        match client.write(&[b'x'; 1000]) {
            Ok(_) => refused = 0,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                refused += 1;
                thread::sleep(Duration::from_millis(200));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads until nothing comes any more and the sender's queue is empty.
fn empty(client: &TcpStream, server: &mut TcpStream) -> io::Result<()> {
    server.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut some = vec![0; 1 << 16];
    while !matches!(server.read(&mut some), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
        || MemInfo::read(client.as_fd()).is_ok_and(|m| m.wmem_queued != 0)
    {}
    Ok(())
}

/// Bytes by cause of a socket's verdict; empty: it has no account.
fn ledger(serving: &Serving, cookie: u64) -> Vec<(String, i64)> {
    let answer = answered(
        serving,
        &format!("/explain/{cookie}?format=json&at=end"),
        "",
    );
    let verdict = parsed("explain", &answer.body).unwrap_or_default();
    let causes = verdict["ledger"].as_array().into_iter().flatten();
    let of = |c: &Value| Some((c["cause"].as_str()?.to_owned(), c["bytes"].as_i64()?));
    causes.filter_map(of).collect()
}

pub(super) fn tripwire() -> Result<(), Failed> {
    let mut check = Check::default();
    let arguments = ["--tripwire", "--hold", "2s", "--interval", "500ms"];
    let serving = Serving::start(SKMEM, &arguments);
    let state = || {
        [
            "skmem_tripwire_armed",
            "skmem_tripwire_met_total",
            "skmem_accounts",
        ]
        .map(|name| metric(&serving, name))
    };
    // At its start it looks at all sockets.
    let there = wait_for(|| state() == [0, 0, 0]);
    check.that(there, || format!("never at rest: {:?}", state()));

    // What stays below its limit meets nothing.
    let (mut client, mut server) = connection()?;
    let mut some = [0; 1024];
    for _ in 0..200 {
        client.write_all(&[b'y'; 1024])?;
        server.read_exact(&mut some)?;
    }
    check.equal("after small sends", state(), [0, 0, 0]);

    // A queue that is full, of a sender that is turned away.
    let cookie = skmem::diag::socket_cookie(client.as_fd())?;
    fill(&mut client)?;
    let there = wait_for(|| state() == [1, 1, 1]);
    check.that(there, || format!("a full queue: {:?}", state()));
    let first = ledger(&serving, cookie);
    check.that(
        first
            .iter()
            .any(|(cause, bytes)| cause == "pre-existing" && *bytes > 0),
        || format!("{first:?}"),
    );
    // From here on each byte has a name.
    empty(&client, &mut server)?;
    fill(&mut client)?;
    let mut said = Vec::new();
    let closes = wait_for(|| {
        let before = MemInfo::read(client.as_fd()).map_or(0, |m| i64::from(m.wmem_queued));
        said = ledger(&serving, cookie);
        let after = MemInfo::read(client.as_fd()).map_or(1, |m| i64::from(m.wmem_queued));
        before == after && said.iter().map(|(_, bytes)| bytes).sum::<i64>() == after
    });
    let of = |cause: &str| {
        said.iter()
            .find(|(name, _)| name == cause)
            .map_or(0, |c| c.1)
    };
    check.that(
        closes && of("first-fill") > 0 && of("ack") < 0 && of("unattributed") == 0,
        || format!("the ledger: {said:?}"),
    );

    // While the sender waits, its account stays.
    thread::sleep(Duration::from_secs(3));
    check.equal("while a sender waits", state(), [1, 1, 1]);
    empty(&client, &mut server)?;
    let there = wait_for(|| state() == [0, 1, 0]);
    check.that(there, || format!("never over: {:?}", state()));
    let added = metric(&serving, "skmem_wmem_queued_added_bytes_total");
    let freed = metric(&serving, "skmem_wmem_queued_freed_bytes_total");
    check.that(added > 65_536 && added == freed, || {
        format!("{added} bytes added, {freed} freed")
    });
    check.that(ledger(&serving, cookie).is_empty(), || {
        "an account is left".into()
    });

    // The same socket again, and one whose sender sleeps.
    fill(&mut client)?;
    let (mut sleeper, mut reader) = connection()?;
    let other = sleeper.try_clone()?;
    let thread = thread::spawn(move || sleeper.write_all(&vec![b'z'; 4 << 20]));
    let there = wait_for(|| state() == [1, 2, 2]);
    check.that(there, || format!("a second time: {:?}", state()));
    let held = wait_for(|| metric(&serving, "skmem_sockets_held_up") == 2);
    check.that(held, || "nobody is held up".into());
    let later = metric(&serving, "skmem_wmem_queued_added_bytes_total");
    check.that(later > added, || {
        format!("{later} bytes added, {added} before")
    });
    empty(&other, &mut reader)?;
    let _ = thread.join();
    empty(&client, &mut server)?;
    // One socket closes meanwhile.
    other.shutdown(Shutdown::Both)?;
    drop((other, reader));
    let there = wait_for(|| state() == [0, 2, 0]);
    check.that(there, || format!("never over again: {:?}", state()));
    let (status, said) = serving.ended(Signal::TERM);
    check.that(status.success(), || format!("{status}: {said}"));
    check.done()
}
