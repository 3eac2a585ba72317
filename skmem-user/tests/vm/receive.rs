//! The receive side (`--rx`), against what the kernel reports of the same socket.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd},
    process::id,
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use skmem::{diag::MemInfo, explain::window::Window, kernel::tracer::Options};
use skmem_common::account::Account;

use crate::{
    bench::{self, Bench},
    binary,
    check::Check,
    process,
};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("receive::what-is-unread-is-what-the-kernel-says", unread),
        Trial::test("receive::a-reader-that-does-not-read-is-named", slow_reader),
    ]
}

/// `SIOCINQ`: received and not read, in bytes.
fn inq(socket: &TcpStream) -> Result<i32, Failed> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD (which SIOCINQ is) writes one int.
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    if rc == 0 {
        Ok(bytes)
    } else {
        Err(std::io::Error::last_os_error().into())
    }
}

fn unread() -> Result<(), Failed> {
    let mut check = Check::default();
    let mut bench = Bench::start(Options {
        rx: true,
        pids: vec![id()],
        ..Bench::options()
    })
    .map_err(bench::failed)?;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address)?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (mut server, peer) = listener.accept()?;
        let mut written = 0;
        for n in [100, 4_000, 20_000, 1] {
            client.write_all(&vec![b's'; n])?;
            written += n;
        }
        check.that(
            process::wait_for(|| inq(&server).is_ok_and(|n| n as usize == written)),
            || format!("{address}: not all arrives"),
        );
        // The data waits this long to be read.
        thread::sleep(Duration::from_millis(100));
        bench.drain();
        let account = account_of(&bench, peer.port())?;
        let r = &account.receiving;
        let truth = MemInfo::read(server.as_fd())?;
        let mut equal = |what: &str, ours: i64, theirs: i64| {
            check.equal(
                format_args!("{address}: {what} as traced and as the kernel reports"),
                ours,
                theirs,
            );
        };
        equal(
            "recv_q (SIOCINQ)",
            r.now.recv_q().into(),
            inq(&server)?.into(),
        );
        equal("recv_q, as written", r.now.recv_q().into(), written as i64);
        equal(
            "rmem_alloc",
            r.now.rmem_alloc.into(),
            truth.rmem_alloc.into(),
        );
        equal("rcvbuf", r.now.rcvbuf.into(), truth.rcvbuf.into());
        equal(
            "the fullest",
            r.fullest.rmem_alloc.into(),
            truth.rmem_alloc.into(),
        );
        equal("reads", r.reads as i64, 0);
        check.that(r.segments > 0 && r.unread_since_ns != 0, || {
            format!("{address}: {r:?}")
        });
        check.that(r.granted > 0 && r.bytes > 0, || {
            format!(
                "{address}: no memory was granted for {} bytes: {r:?}",
                truth.rmem_alloc
            )
        });

        server.read_exact(&mut vec![0; written])?;
        bench.drain();
        let account = account_of(&bench, peer.port())?;
        let r = &account.receiving;
        let truth = MemInfo::read(server.as_fd())?;
        check.equal(
            format_args!("{address}: all is read: recv_q, rmem_alloc, since when it waits"),
            (r.now.recv_q(), r.unread_since_ns),
            (0, 0),
        );
        check.that(r.reads > 0 && r.longest_unread_ns >= 50_000_000, || {
            format!("{address}: {r:?}")
        });
        check.equal(
            format_args!("{address}: rmem_alloc at rest"),
            truth.rmem_alloc,
            0,
        );
    }
    check.done()
}

/// The account of the server's end, which `port` is remote to.
fn account_of(bench: &Bench, port: u16) -> Result<Box<Account>, Failed> {
    let found = bench.accounts().into_iter().find(|a| a.ident.dport == port);
    found.ok_or_else(|| format!("no account of the accepted socket, peer port {port}").into())
}

fn slow_reader() -> Result<(), Failed> {
    let mut check = Check::default();
    let output = binary::skmem(&["demo", "article", "--rx", "--json"])?;
    binary::ended(&mut check, "skmem demo article --rx", &output, 0);
    let objects = binary::objects(&mut check, &output);
    let (receivers, senders): (Vec<&Value>, Vec<&Value>) = objects
        .iter()
        .partition(|v| v["receive"]["slow"] == Value::Bool(true));
    check.equal(
        "senders, and receivers that do not read",
        (senders.len(), receivers.len()),
        (1, 1),
    );
    for v in receivers {
        let r = &v["receive"];
        check.equal("reads", &r["reads"], &Value::from(0));
        check.equal("window", &r["window"], &Value::from(0));
        check.that(r["recv_q"].as_i64() > Some(0), || format!("{r}"));
        check.that(r["unread_ns"].as_u64() > Some(200_000_000), || {
            format!("{r}")
        });
        binary::contract(&mut check, v);
        // 5.10 gives a socket its cookie when somebody asks for it.
        if v["socket"]["cookie"].is_null() {
            check.equal("receive buffer", &r["buffer"], &Value::Null);
            continue;
        }
        let window: Window = serde_json::from_value(r["buffer"].clone())?;
        let sum: i64 = window.parts().iter().map(|(_, bytes)| bytes).sum();
        check.equal("sum of the receive buffer's parts", sum, window.rcvbuf);
        check.equal("r", &r["rmem_alloc"], &Value::from(window.rmem_alloc));
        check.equal("Recv-Q", &r["recv_q"], &Value::from(window.unread));
        check.equal("window there", &r["window"], &Value::from(window.window));
    }
    check.done()
}
