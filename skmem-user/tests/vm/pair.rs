//! Both ends of a connection (`explain --pair`), against what the kernel says of each.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::{Output, id},
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use rustix::{io::ioctl_fionread, process::Signal};
use serde_json::Value;
use skmem::diag::Queues;

use crate::{binary, check::Check, process::Process, still::stand_still};

/// Watches of new connections until nothing moved at the end of one.
const TRIES: usize = 3;

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("pair::bytes-are-where-the-kernel-says", places)]
}

/// A connection over the loopback.
struct Connection {
    what: &'static str,
    client: TcpStream,
    server: TcpStream,
    written: usize,
    read: usize,
}

impl Connection {
    fn new(what: &'static str, address: &str) -> Result<Self, Failed> {
        let listener = TcpListener::bind(address)?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        Ok(Self {
            what,
            client,
            server,
            written: 0,
            read: 0,
        })
    }

    fn write(&mut self, bytes: usize) -> Result<(), Failed> {
        self.client.write_all(&vec![b'p'; bytes])?;
        self.written += bytes;
        Ok(())
    }

    /// Until the kernel takes no more.
    fn fill(&mut self) -> Result<(), Failed> {
        self.client.set_nonblocking(true)?;
        loop {
            match self.client.write(&[b'p'; 16_384]) {
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            }
            // What is under way arrives before there is no room.
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn read(&mut self, bytes: usize) -> Result<(), Failed> {
        self.server.read_exact(&mut vec![0; bytes])?;
        self.read += bytes;
        Ok(())
    }

    fn holds(&self) -> Result<Holds, Failed> {
        Ok(Holds {
            unread: ioctl_fionread(&self.server)?.try_into()?,
            not_sent: Queues::read(self.client.as_fd())?.outq_nsd.into(),
        })
    }
}

/// Where bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holds {
    unread: i64,
    not_sent: i64,
}

/// Some connections, and what skmem that watched them says of them.
struct Watched {
    connections: Vec<Connection>,
    /// Where the bytes were before skmem ended.
    held: Vec<Holds>,
    output: Output,
}

impl Watched {
    fn new() -> Result<Self, Failed> {
        let pid = id().to_string();
        let mut skmem = Process::skmem(&["explain", "--pair", "--json", "--pid", &pid])?;
        skmem.attached()?;
        let connections = connections()?;
        for Connection { client, server, .. } in &connections {
            stand_still(client, server);
        }
        let held = holds(&connections)?;
        skmem.signal(Signal::INT)?;
        Ok(Self {
            connections,
            held,
            output: skmem.output()?,
        })
    }
}

fn holds(connections: &[Connection]) -> Result<Vec<Holds>, Failed> {
    connections.iter().map(Connection::holds).collect()
}

/// Of all kinds, over IPv4 and IPv6.
fn connections() -> Result<Vec<Connection>, Failed> {
    let mut all = Vec::new();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let mut stuck = Connection::new("reader", address)?;
        stuck.write(100)?;
        stuck.read(60)?;
        stuck.fill()?;
        all.push(stuck);
        let mut idle = Connection::new("writer", address)?;
        idle.write(5_000)?;
        idle.read(5_000)?;
        all.push(idle);
        // Data that waits, and a window with room for more.
        let mut waits = Connection::new("nowhere", address)?;
        waits.write(5_000)?;
        waits.read(1_000)?;
        all.push(waits);
    }
    Ok(all)
}

/// Those between whose two readings nothing moved.
fn watched() -> Result<Watched, Failed> {
    let mut moved = String::new();
    for _ in 0..TRIES {
        let watched = Watched::new()?;
        let after = holds(&watched.connections)?;
        if after == watched.held {
            return Ok(watched);
        }
        moved = format!("{:?}, then {after:?}", watched.held);
    }
    Err(format!("bytes moved in each of {TRIES} tries: {moved}").into())
}

fn places() -> Result<(), Failed> {
    let mut check = Check::default();
    let watched = watched()?;
    binary::ended(&mut check, "skmem explain --pair", &watched.output, 0);
    let pairs = binary::objects(&mut check, &watched.output);
    check.equal("connections", pairs.len(), watched.connections.len());
    for (connection, holds) in watched.connections.iter().zip(&watched.held) {
        compare(&mut check, connection, *holds, &pairs)?;
    }
    // These are older than the watch.
    let pid = id().to_string();
    let text = binary::skmem(&["explain", "--pair", "--duration", "100ms", "--pid", &pid])?;
    binary::ended(&mut check, "skmem explain --pair, as text", &text, 0);
    let text = String::from_utf8_lossy(&text.stdout);
    eprintln!("tests: {text}");
    check.that(text.contains("The reader holds it up"), || text.to_string());
    check.done()
}

fn compare(
    check: &mut Check,
    connection: &Connection,
    holds: Holds,
    pairs: &[Value],
) -> Result<(), Failed> {
    let (what, port) = (connection.what, connection.client.local_addr()?.port());
    let pair = pairs
        .iter()
        .find(|p| p["ends"][0]["socket"]["sport"] == port);
    let Some(pair) = pair else {
        check.fails(format!(
            "{what}: no connection from port {port}, or the server is its sender"
        ));
        return Ok(());
    };
    let way = &pair["ways"][0];
    let mut equal = |name: &str, truth: i64| {
        check.equal(
            format_args!("{what}, port {port}: {name}, and the kernel's"),
            way[name].as_i64(),
            Some(truth),
        );
    };
    let Holds { unread, not_sent } = holds;
    let (written, read) = (connection.written as i64, connection.read as i64);
    equal("outstanding", written - read);
    equal("not_read", unread);
    equal("not_sent", not_sent);
    equal("on_the_way", written - read - unread - not_sent);
    check.equal(
        format_args!("{what}: held at"),
        &way["held_at"],
        &Value::from(what),
    );
    check.equal(
        format_args!("{what}: joined by"),
        &pair["joined_by"],
        &Value::from("addresses"),
    );
    Ok(())
}
