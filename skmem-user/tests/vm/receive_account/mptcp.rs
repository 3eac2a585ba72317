//! The account of receive memory of MPTCP sockets, above their subflows.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd as _,
    process::id,
    thread,
    time::Duration,
};

use libtest_mimic::{Completion, Failed};
use skmem::{diag::MemInfo, kernel::tracer::Options};
use skmem_common::{account::Account, receive_cause::ReceiveCause, record::IDENT_CLOSED};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Played, account_line};
use crate::{
    bench::{self, Bench},
    case::TRIES,
    check::Check,
    formulas::is_mptcp,
};

/// A connection over loopback; the account is that of the server's end.
struct Case {
    name: &'static str,
    play: fn(&mut Played<'_>) -> anyhow::Result<()>,
    /// Causes that it brings about.
    causes: &'static [ReceiveCause],
    /// Its server closes while data is unread.
    closes: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "small writes, read in part, then at once",
        play: small_writes,
        causes: &[
            ReceiveCause::InOrder,
            ReceiveCause::InOrderOverhead,
            ReceiveCause::Read,
        ],
        closes: false,
    },
    Case {
        name: "a slow reader",
        play: slow_reader,
        causes: &[ReceiveCause::InOrder, ReceiveCause::Read],
        closes: false,
    },
    Case {
        name: "a writer and a reader at once",
        play: bulk,
        causes: &[ReceiveCause::InOrder, ReceiveCause::Read],
        closes: false,
    },
    Case {
        name: "closed with unread data",
        play: unread,
        causes: &[ReceiveCause::InOrder, ReceiveCause::ThrownAway],
        closes: true,
    },
];

pub(super) fn every_byte() -> Result<Completion, Failed> {
    let mut check = Check::default();
    let mut bench = Bench::start(Options {
        rx: true,
        pids: vec![id()],
        ..Bench::options()
    })
    .map_err(bench::failed)?;
    for case in CASES {
        for (domain, address) in [(Domain::IPV4, "127.0.0.1:0"), (Domain::IPV6, "[::1]:0")] {
            let Ok(listener) = Socket::new(domain, Type::STREAM, Some(Protocol::MPTCP)) else {
                return Ok(Completion::ignored_with("this kernel has no MPTCP"));
            };
            listener.bind(&address.parse::<SocketAddr>()?.into())?;
            listener.listen(16)?;
            let client = Socket::new(domain, Type::STREAM, Some(Protocol::MPTCP))?;
            client.connect(&listener.local_addr()?)?;
            let server = TcpStream::from(listener.accept()?.0);
            let port = server.peer_addr()?.port();
            let mut played = Played {
                bench: &mut bench,
                check: &mut check,
                name: format!("MPTCP, {}, {address}", case.name),
                client: TcpStream::from(client),
                server,
                seen: None,
                strict: true,
                mptcp: true,
            };
            (case.play)(&mut played).map_err(|e| format!("{}: {e:#}", played.name))?;
            let Played {
                name,
                client,
                server,
                ..
            } = played;
            drop(server);
            drop(client);
            ends(&mut bench, &mut check, &name, case, port)?;
        }
    }
    check.done().map(|()| Completion::Completed)
}

/// The account of the MPTCP socket whose peer has a port.
fn account_of(bench: &Bench, port: u16) -> Option<Box<Account>> {
    let mut all = bench.accounts().into_iter();
    all.find(|a| a.ident.dport == port && is_mptcp(a))
}

/// Looks at the account once the socket is gone: nothing is left.
fn ends(
    bench: &mut Bench,
    check: &mut Check,
    name: &str,
    case: &Case,
    port: u16,
) -> Result<(), Failed> {
    let mut account = None;
    for _ in 0..TRIES {
        bench.drain();
        account = account_of(bench, port).filter(|a| a.ident.flags & IDENT_CLOSED != 0);
        if account.is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let account = account.ok_or_else(|| format!("{name}: no account of a closed socket"))?;
    let r = &account.receiving;
    let line = account_line(r);
    eprintln!("tests: {name}: {line}");
    check.equal(
        format_args!("{name}: the causes at the end"),
        r.ledger.sum(),
        0,
    );
    check.that(r.total(ReceiveCause::Unattributed).count == 0, || {
        format!("{name}: bytes without a name: {line}")
    });
    check.equal(
        format_args!("{name}: whether close() threw data away"),
        r.total(ReceiveCause::ThrownAway).count != 0,
        case.closes,
    );
    for cause in case.causes {
        check.that(r.total(*cause).count != 0, || {
            format!("{name}: no {cause}: {line}")
        });
    }
    Ok(())
}

fn small_writes(played: &mut Played<'_>) -> anyhow::Result<()> {
    let mut written = 0;
    for n in [100, 4_000, 20_000, 1] {
        played.client.write_all(&vec![b'm'; n])?;
        written += n;
    }
    played.look("unread", false)?;
    let mut part = vec![0; 5_000];
    played.server.read_exact(&mut part)?;
    played.look("read in part", false)?;
    played
        .server
        .read_exact(&mut vec![0; written - part.len()])?;
    played.look("all read", false)?;
    played.is_empty()
}

fn slow_reader(played: &mut Played<'_>) -> anyhow::Result<()> {
    played.client.set_nonblocking(true)?;
    let mut written = 0;
    // Until both buffers are full.
    for _ in 0..TRIES {
        while let Ok(n) = played.client.write(&[b'm'; 16 << 10]) {
            written += n;
        }
        thread::sleep(Duration::from_millis(20));
    }
    played.look("full", false)?;
    let mut left = written;
    for n in 0..100 {
        let mut part = vec![0; 4_000];
        played.server.read_exact(&mut part)?;
        left -= part.len();
        if n % 50 == 10 {
            played.look("a few reads", false)?;
        }
    }
    played.server.read_exact(&mut vec![0; left])?;
    played.look("all read", false)?;
    played.is_empty()
}

fn bulk(played: &mut Played<'_>) -> anyhow::Result<()> {
    const BYTES: usize = 4 << 20;
    let mut client = played.client.try_clone()?;
    let writer = thread::spawn(move || client.write_all(&vec![b'm'; BYTES]));
    let mut left = BYTES;
    let mut part = vec![0; 30_000];
    while left != 0 {
        let n = left.min(part.len());
        let n = played.server.read(&mut part[..n])?;
        anyhow::ensure!(n != 0, "the connection ends early");
        left -= n;
    }
    writer
        .join()
        .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    played.look("all read", false)?;
    played.is_empty()
}

fn unread(played: &mut Played<'_>) -> anyhow::Result<()> {
    played.client.write_all(&[b'm'; 30_000])?;
    played.look("unread", false)
}

impl Played<'_> {
    /// All was read: r is 0.
    fn is_empty(&mut self) -> anyhow::Result<()> {
        let r = MemInfo::read(self.server.as_fd())?.rmem_alloc;
        self.check
            .equal(format_args!("{}: r at rest", self.name), r, 0);
        Ok(())
    }
}
