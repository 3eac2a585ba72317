//! The four clocks of a receive queue, against what its reader says of itself: how long its calls
//! of `recv` took by two clocks of the kernel's, and how long it was elsewhere.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::id,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use libtest_mimic::Failed;
use rustix::{
    io::ioctl_fionread,
    net::sockopt::set_socket_recv_buffer_size_force,
    time::{ClockId, clock_gettime},
};
use skmem::kernel::{plan::Set, tracer::Options};
use skmem_common::{
    account::Account,
    receive::{CLOCK_DATA_WAITS, CLOCK_IDLE, CLOCK_READER_INSIDE, CLOCK_READER_WAITS, CLOCKS},
};
use socket2::{Domain, Socket, Type};

use crate::{
    bench::{self, Bench},
    case::kernel,
    check::Check,
    process, verdict,
};

/// What waits to be read, in bytes.
const DATA: usize = 1 << 20;
/// What a read takes of it at most, in bytes.
const PART: usize = 64 << 10;
/// How long a reader is elsewhere.
const ELSEWHERE: Duration = Duration::from_millis(20);
/// How long one copies without a break.
const LONG: Duration = Duration::from_millis(300);

/// What a reader says of its time, in ns.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    /// Its calls of `recv`, by `CLOCK_MONOTONIC`.
    in_recv: u64,
    /// The same by `CLOCK_THREAD_CPUTIME_ID`.
    cpu: u64,
    /// It slept between them.
    elsewhere: u64,
}

impl Said {
    fn recv(&mut self, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        let (began, cpu) = (Instant::now(), cpu_ns());
        let got = call();
        self.cpu += cpu_ns() - cpu;
        self.in_recv += ns(began.elapsed());
        got
    }

    fn sleep(&mut self, time: Duration) {
        let began = Instant::now();
        thread::sleep(time);
        self.elsewhere += ns(began.elapsed());
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    (now.tv_sec * 1_000_000_000 + now.tv_nsec).cast_unsigned()
}

/// Copies all of it again and again, and reads it then.
fn copies(server: &mut TcpStream) -> anyhow::Result<Said> {
    let mut said = Said::default();
    let mut room = vec![0; DATA];
    let began = Instant::now();
    while began.elapsed() < LONG {
        let n = said.recv(|| server.peek(&mut room))?;
        anyhow::ensure!(n == DATA, "a peek of {n} bytes");
    }
    for _ in 0..DATA / PART {
        let n = said.recv(|| server.read(&mut room[..PART]))?;
        anyhow::ensure!(n == PART, "a read of {n} bytes");
    }
    Ok(said)
}

/// Does something else before each read.
fn is_elsewhere(server: &mut TcpStream) -> anyhow::Result<Said> {
    let mut said = Said::default();
    let mut room = vec![0; PART];
    for _ in 0..DATA / PART {
        said.sleep(ELSEWHERE);
        let n = said.recv(|| server.read(&mut room))?;
        anyhow::ensure!(n == PART, "a read of {n} bytes");
    }
    Ok(said)
}

pub(super) fn four_clocks() -> Result<(), Failed> {
    let mut check = Check::default();
    for set in [Set::All, Set::Lean] {
        let mut bench = Bench::start(Options {
            rx: true,
            pids: vec![id()],
            set,
            ..Bench::options()
        })
        .map_err(bench::failed)?;
        play(&mut check, &mut bench, true).map_err(bench::failed)?;
        play(&mut check, &mut bench, false).map_err(bench::failed)?;
        waits(&mut check, &mut bench).map_err(bench::failed)?;
    }
    check.done()
}

/// A connection whose receiver has room for all of [`DATA`].
fn connection() -> anyhow::Result<(TcpStream, TcpStream)> {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    set_socket_recv_buffer_size_force(&listener, 4 * DATA)?;
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>()?.into())?;
    listener.listen(1)?;
    let listener = TcpListener::from(listener);
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// The account of the end whose peer is `client`, as of its last hook.
fn account(bench: &mut Bench, client: &TcpStream) -> anyhow::Result<Box<Account>> {
    bench.drain();
    let port = client.local_addr()?.port();
    let mut accounts = bench.accounts().into_iter();
    let found = accounts.find(|a| a.ident.dport == port);
    found.with_context(|| format!("no account of the end with peer port {port}"))
}

/// What the clocks have moved on, and whether all time since the socket was seen is on them.
fn moved(check: &mut Check, what: &str, before: &Account, after: &Account) -> [u64; CLOCKS] {
    let r = &after.receiving;
    check.equal(
        format_args!("{what}: the sum of the clocks, and the time since skmem saw the socket"),
        r.clocks.iter().sum::<u64>(),
        r.clocks_ns - after.ident.seen_ns,
    );
    let known = verdict::of(after, true)
        .receive
        .and_then(|r| r.account)
        .and_then(|account| account.reader_inside_ns);
    check.equal(
        format_args!("{what}: what the verdict has of readers inside"),
        known,
        tells_entries().then_some(r.clocks[CLOCK_READER_INSIDE]),
    );
    let mut moved = r.clocks;
    for (n, then) in moved.iter_mut().zip(before.receiving.clocks) {
        *n -= then;
    }
    moved
}

/// Whether the kernel has `tcp_recvmsg_locked`.
fn tells_entries() -> bool {
    kernel() >= (5, 12)
}

fn play(check: &mut Check, bench: &mut Bench, copying: bool) -> anyhow::Result<()> {
    let what = if copying { "copies" } else { "is elsewhere" };
    let (mut client, mut server) = connection()?;
    client.write_all(&vec![b'd'; DATA])?;
    let arrived = || ioctl_fionread(&server).is_ok_and(|n| n == DATA as u64);
    anyhow::ensure!(process::wait_for(arrived), "not all arrives");
    let before = account(bench, &client)?;
    let said = match copying {
        true => copies(&mut server)?,
        false => is_elsewhere(&mut server)?,
    };
    let after = account(bench, &client)?;
    let moved = moved(check, what, &before, &after);
    let (waited, inside) = (moved[CLOCK_DATA_WAITS], moved[CLOCK_READER_INSIDE]);
    eprintln!("tests: {what}: clocks {moved:?}, the reader {said:?}");
    let story = || format!("{what}: clocks {moved:?}, the reader says {said:?}");
    check.that(waited + inside >= said.elsewhere, story);
    if !tells_entries() {
        return Ok(());
    }
    // Inside recv is within the call, and all but the way there is.
    check.that(inside <= said.in_recv, story);
    if copying {
        check.that(inside >= said.cpu / 5 * 4, story);
        check.that(inside / 3 > waited, story);
    } else {
        check.that(waited >= said.elsewhere, story);
        check.that(waited / 3 > inside, story);
    }
    Ok(())
}

/// A reader that always waits for more.
fn waits(check: &mut Check, bench: &mut Bench) -> anyhow::Result<()> {
    let (mut client, mut server) = connection()?;
    client.write_all(b"w")?;
    server.read_exact(&mut [0])?;
    let before = account(bench, &client)?;
    let reader = thread::spawn(move || {
        let read = server.read_exact(&mut [0; 20]);
        read.map(|()| server)
    });
    for _ in 0..20 {
        thread::sleep(ELSEWHERE);
        client.write_all(b"w")?;
    }
    let server = reader.join().map_err(|_| anyhow::anyhow!("a panic"))??;
    let after = account(bench, &client)?;
    let moved = moved(check, "waits", &before, &after);
    let there = moved[CLOCK_DATA_WAITS] + moved[CLOCK_READER_INSIDE];
    let idle = moved[CLOCK_IDLE];
    eprintln!("tests: waits: clocks {moved:?}");
    check.that(moved[CLOCK_READER_WAITS] / 3 > there + idle, || {
        format!("waits: clocks {moved:?}")
    });
    drop(server);
    Ok(())
}
