//! Which sockets are traced: each part of a filter lets the right one through and keeps the others
//! out.

use std::{
    fs,
    io::Write,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use libtest_mimic::{Completion, Failed, Trial};
use serde_json::Value;
use skmem::{
    diag::account_sources::version,
    kernel::{system, tracer::Options},
};
use skmem_common::{
    filter::{
        ANY_LEVEL, BY_CGROUP, BY_COMM, BY_DADDR, BY_DPORT, BY_SADDR, BY_SPORT, Filter, Prefix,
    },
    hook::Hook,
};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::{
    Outcome,
    bench::{self, Bench},
    case::SKMEM,
    check::Check,
    process::{self, Process},
    sender,
};

/// The command names asked for.
const NAME: &str = "wanted";
const SECOND: &str = "wanted-as-well";

/// A command name as the kernel has it.
fn padded(name: &str) -> [u8; 16] {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    comm
}

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("filters::task-and-remote-end", remote),
        Trial::test("filters::local-end-and-ipv6", local),
        Trial::ignorable_test("filters::cgroup-with-and-without-its-level", cgroups),
        Trial::test("filters::cgroup-by-its-name", by_name),
    ]
}

/// What a connection is made with.
#[derive(Clone, Copy)]
struct Connection {
    comm: &'static str,
    from: &'static str,
    to: &'static str,
    listener: usize,
    wanted: bool,
}

/// Only what a filter needs: each load of the programs takes seconds.
fn options(filter: Filter) -> Options {
    let needed = [
        Hook::SendmsgLocked,
        Hook::AllocSkb,
        Hook::MemSchedule,
        Hook::Connect,
        Hook::Destroy,
        Hook::Purge,
    ];
    Options {
        filter,
        comms: [NAME, SECOND].map(padded).to_vec(),
        without: Hook::ALL
            .iter()
            .copied()
            .filter(|h| !needed.contains(h))
            .collect(),
        ..Options::default()
    }
}

fn prefix(address: &str, bits: u32) -> Prefix {
    let mut prefix = Prefix::default();
    let (family, bytes) = match address.parse() {
        Ok(IpAddr::V4(v4)) => (2, v4.octets().to_vec()),
        Ok(IpAddr::V6(v6)) => (10, v6.octets().to_vec()),
        Err(error) => panic!("{address}: {error}"),
    };
    prefix.family = family;
    for (n, byte) in bytes.iter().enumerate() {
        let of_it = bits.saturating_sub(8 * n as u32).min(8);
        let mask = (0xff00_u16 >> of_it) as u8;
        let shift = 8 * (n % 4);
        prefix.mask[n / 4] |= u32::from_ne_bytes([mask, 0, 0, 0]) << shift;
        prefix.addr[n / 4] |= u32::from_ne_bytes([byte & mask, 0, 0, 0]) << shift;
    }
    prefix
}

/// Makes each connection, in a thread with its name, writes to it, and looks which have accounts.
fn play(filter: Filter, listeners: &[TcpListener], all: &[Connection]) -> Result<(), Failed> {
    let mut check = Check::default();
    let mut bench = Bench::start(options(filter)).map_err(bench::failed)?;
    let mut open = Vec::new();
    for connection in all {
        let port = listeners[connection.listener].local_addr()?.port();
        let Connection { comm, from, to, .. } = *connection;
        let made = thread::Builder::new()
            .name(comm.to_owned())
            .spawn(move || connect(from, to, port))?
            .join()
            .map_err(|_| Failed::from("a thread panicked"))?;
        open.push(made.map_err(|e| Failed::from(format!("{from} to {to}: {e}")))?);
    }
    bench.drain();
    // Port and family: two of them may share a port.
    let traced: Vec<(u16, bool)> = bench
        .accounts()
        .iter()
        .map(|a| (a.ident.sport, a.ident.family == 2))
        .collect();
    for (connection, socket) in all.iter().zip(&open) {
        let local = socket.local_addr()?;
        let port = local.port();
        let Connection { comm, from, to, .. } = connection;
        check.equal(
            format_args!("{comm}, {from}:{port} to {to}: traced"),
            traced.contains(&(port, local.is_ipv4())),
            connection.wanted,
        );
    }
    let wanted = all.iter().filter(|c| c.wanted).count();
    check.equal("sockets traced", traced.len(), wanted);
    check.done()
}

fn connect(from: &str, to: &str, port: u16) -> std::io::Result<TcpStream> {
    let from: SocketAddr = from.parse().map_err(std::io::Error::other)?;
    let to: IpAddr = to.parse().map_err(std::io::Error::other)?;
    let domain = if to.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(from))?;
    socket.connect(&SockAddr::from(SocketAddr::new(to, port)))?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(&[b's'; 1000])?;
    Ok(stream)
}

fn remote() -> Result<(), Failed> {
    let listeners = [
        TcpListener::bind("0.0.0.0:0")?,
        TcpListener::bind("0.0.0.0:0")?,
    ];
    let filter = Filter {
        flags: BY_COMM | BY_DPORT | BY_DADDR,
        dport: listeners[0].local_addr()?.port(),
        daddr: prefix("127.1.0.0", 16),
        ..Filter::default()
    };
    let right = Connection {
        comm: NAME,
        from: "127.0.0.1:0",
        to: "127.1.2.3",
        listener: 0,
        wanted: true,
    };
    let wrong = Connection {
        wanted: false,
        ..right
    };
    play(
        filter,
        &listeners,
        &[
            right,
            Connection {
                comm: "other",
                ..wrong
            },
            Connection {
                comm: SECOND,
                ..right
            },
            Connection {
                to: "127.2.0.1",
                ..wrong
            },
            Connection {
                listener: 1,
                ..wrong
            },
            right,
        ],
    )
}

/// A cgroup, of which in a cgroup namespace only the number is known, and not its depth: sockets
/// used in it and below it.
fn cgroups() -> Outcome {
    if version(&system::release()) < (5, 15) {
        return Ok(Completion::ignored_with(
            "no program may ask for cgroups above the task's own",
        ));
    }
    for level in [1, ANY_LEVEL] {
        cgroup(level)?;
    }
    Ok(Completion::Completed)
}

fn cgroup(level: u32) -> Result<(), Failed> {
    let outer = Path::new("/sys/fs/cgroup/skmem-outer");
    let (inner, beside) = (
        outer.join("inner"),
        Path::new("/sys/fs/cgroup/skmem-outer-2"),
    );
    fs::create_dir_all(&inner)?;
    fs::create_dir_all(beside)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let mut bench = Bench::start(options(Filter {
        flags: BY_CGROUP,
        cgroup: fs::metadata(outer)?.ino(),
        cgroup_level: level,
        ..Filter::default()
    }))
    .map_err(bench::failed)?;
    let own = std::process::id().to_string();
    let mut check = Check::default();
    let mut open = Vec::new();
    for (place, wanted) in [
        (Path::new("/sys/fs/cgroup"), false),
        (outer, true),
        (&inner, true),
        (beside, false),
    ] {
        fs::write(place.join("cgroup.procs"), &own)?;
        open.push((place, wanted, connect("127.0.0.1:0", "127.0.0.1", port)));
    }
    fs::write("/sys/fs/cgroup/cgroup.procs", &own)?;
    // A task may still be on its way out of it.
    for dir in [&*inner, outer, beside] {
        let gone = process::wait_for(|| fs::remove_dir(dir).is_ok());
        check.that(gone, || format!("{} cannot be removed", dir.display()));
    }
    bench.drain();
    let traced: Vec<u16> = bench.accounts().iter().map(|a| a.ident.sport).collect();
    for (place, wanted, socket) in open {
        let port = socket?.local_addr()?.port();
        let of = place.display();
        check.equal(
            format_args!("a socket used in {of}: traced"),
            traced.contains(&port),
            wanted,
        );
    }
    check.done()
}

/// `--cgroup NAME` on any kernel: the sockets of the process in it, none of the one beside it.
fn by_name() -> Result<(), Failed> {
    let place = Path::new("/sys/fs/cgroup/skmem-parent/skmem-bulk.scope");
    fs::create_dir_all(place)?;
    let start = |role: &str| {
        let mut command = Command::new(std::env::current_exe()?);
        Process::start(command.env(sender::ROLE, role).stdin(Stdio::piped()))
    };
    let mut inside = start(&format!("{}3600", sender::TRICKLE))?;
    let mut beside = start(sender::OVERFILL)?;
    fs::write(place.join("cgroup.procs"), inside.pid().to_string())?;
    let explained = Command::new(SKMEM)
        .args([
            "explain",
            "--cgroup",
            "skmem-bulk.scope",
            "--all",
            "--json",
            "--duration",
            "3s",
        ])
        .stdin(Stdio::null())
        .output()?;
    let pids = (inside.pid(), beside.pid());
    inside.kill()?;
    beside.kill()?;
    let parent = place.parent().unwrap_or(place);
    let gone = [place, parent]
        .into_iter()
        .all(|dir| process::wait_for(|| fs::remove_dir(dir).is_ok()));
    let mut check = Check::default();
    check.that(gone, || format!("{} cannot be removed", place.display()));
    let said = String::from_utf8_lossy(&explained.stdout).into_owned();
    let lines = said.lines().map(serde_json::from_str::<Value>);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>()?;
    let of = |pid: u32| lines.iter().filter(|v| v["socket"]["pid"] == pid).count();
    check.that(of(pids.0) > 0 && of(pids.0) == lines.len(), || {
        let errors = String::from_utf8_lossy(&explained.stderr);
        format!(
            "{} verdicts, {} of them on {}, {} on {}: {errors}",
            lines.len(),
            of(pids.0),
            pids.0,
            of(pids.1),
            pids.1
        )
    });
    check.done()
}

fn local() -> Result<(), Failed> {
    let listeners = [TcpListener::bind("[::]:0")?];
    let filter = Filter {
        flags: BY_SPORT | BY_SADDR,
        sport: 20_001,
        saddr: prefix("::1", 128),
        ..Filter::default()
    };
    let right = Connection {
        comm: NAME,
        from: "[::1]:20001",
        to: "::1",
        listener: 0,
        wanted: true,
    };
    play(
        filter,
        &listeners,
        &[
            right,
            Connection {
                from: "[::1]:20002",
                wanted: false,
                ..right
            },
            Connection {
                from: "127.0.0.1:20001",
                to: "127.0.0.1",
                wanted: false,
                ..right
            },
        ],
    )
}
