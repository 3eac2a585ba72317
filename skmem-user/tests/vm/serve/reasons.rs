//! Why senders slept, and for how long: beside the verdicts of the same sockets, to the nanosecond.
//!
//! One sender sleeps since its queue has reached its limit; one in a network namespace with a
//! `net.ipv4.tcp_notsent_lowat` of its own, which no option of its socket shows.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use libtest_mimic::Failed;
use rustix::{
    process::Signal,
    thread::{UnshareFlags, unshare_unsafe},
};
use serde_json::Value;
use socket2::SockRef;

use super::answered;
use crate::{
    binary::parsed,
    case::SKMEM,
    check::Check,
    process::{Process, wait_for},
    serving::Serving,
};

const SYSCTL: &str = "/proc/sys/net/ipv4/tcp_notsent_lowat";

/// Sleeps of all senders by reason, ns.
fn slept(serving: &Serving) -> BTreeMap<String, u64> {
    let text = serving.get("/metrics").body;
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("skmem_sender_blocked_seconds_total{") else {
            continue;
        };
        let reason = rest.split_once("reason=\"").map(|(_, rest)| rest);
        let reason = reason.and_then(|rest| rest.split('"').next());
        let seconds = rest.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok());
        let sum: &mut u64 = sums.entry(reason.unwrap_or("none").to_owned()).or_default();
        *sum += (seconds.unwrap_or(0.0) * 1e9).round() as u64;
    }
    sums
}

/// What the verdict of a socket says of the same.
fn verdict(serving: &Serving, cookie: u64) -> Value {
    let answer = answered(
        serving,
        &format!("/explain/{cookie}?format=json&at=end"),
        "",
    );
    let mut verdict = parsed("explain", &answer.body).unwrap_or_default();
    verdict["blocked"].take()
}

/// A sender that sleeps until `read` is sent: gives the socket's cookie first.
fn sleeper(
    sndbuf: Option<usize>,
    cookie: &mpsc::Sender<u64>,
    read: &mpsc::Receiver<()>,
) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let mut server = listener.accept()?.0;
    if let Some(sndbuf) = sndbuf {
        SockRef::from(&client).set_send_buffer_size(sndbuf)?;
    }
    let own = skmem::diag::socket_cookie(client.as_fd()).map_err(io::Error::other)?;
    cookie.send(own).map_err(io::Error::other)?;
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for _ in 0..4096 {
                client.write_all(&[b'x'; 1024])?;
            }
            io::Result::Ok(client)
        });
        read.recv().map_err(io::Error::other)?;
        server.read_exact(&mut vec![0; 4096 * 1024])?;
        // Open until its account was looked at.
        let _client = writer.join().expect("the writer ends")?;
        let _ = read.recv();
        Ok(())
    })
}

/// The calling thread goes into a network namespace where unsent bytes hold senders up. Gives a
/// process that is in there, too: skmem finds namespaces by processes.
fn with_lowat() -> io::Result<Process> {
    // SAFETY: no descriptors or memory are unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("ip link set lo up: {status}")));
    }
    fs::write(SYSCTL, "4096")?;
    Process::start(Command::new("sleep").arg("1000"))
        .map_err(|_| io::Error::other("sleep does not start"))
}

pub(super) fn reasons() -> Result<(), Failed> {
    let mut check = Check::default();
    let serving = Serving::start(SKMEM, &["--interval", "500ms"]);
    let unseen = |line: &&String| line.contains("will not be seen");
    let unseen: Vec<_> = serving.said.iter().filter(unseen).collect();
    check.that(unseen.is_empty(), || format!("{unseen:?}"));
    let (tell, cookies) = mpsc::channel();
    let mut threads = Vec::new();
    let mut reads = Vec::new();
    let mut own = Vec::new();
    for lowat in [false, true] {
        let (read, reader) = mpsc::channel();
        let tell = tell.clone();
        threads.push(thread::spawn(move || match lowat {
            false => sleeper(Some(16_384), &tell, &reader),
            true => {
                let _process = with_lowat()?;
                sleeper(None, &tell, &reader)
            }
        }));
        reads.push(read);
        own.push(cookies.recv_timeout(Duration::from_secs(30))?);
    }
    let asleep = || {
        own.iter()
            .map(|cookie| verdict(&serving, *cookie)["asleep"].as_u64())
    };
    let there = wait_for(|| asleep().all(|asleep| asleep == Some(1)));
    check.that(there, || {
        format!("asleep: {:?}", asleep().collect::<Vec<_>>())
    });

    // A sleep that lasts is counted as it passes.
    let half = 500_000_000;
    let both = |s: &BTreeMap<String, u64>| ["limit", "lowat"].map(|why| s.get(why).copied());
    let there = wait_for(|| both(&slept(&serving)).iter().all(|ns| *ns > Some(half)));
    check.that(there, || format!("while they sleep: {:?}", slept(&serving)));

    for read in &reads {
        read.send(())?;
    }
    // At rest, what is counted is what the verdicts say.
    let mut said = String::new();
    let there = wait_for(|| {
        let verdicts: Vec<Value> = own.iter().map(|c| verdict(&serving, *c)).collect();
        let counted = slept(&serving);
        said = format!("{counted:?}; the verdicts: {verdicts:?}");
        let of = |key: &str| {
            let each = verdicts.iter().map(|v| v["reasons_ns"][key].as_u64());
            each.sum::<Option<u64>>()
        };
        let now = ["limit", "lowat", "memory"].map(|why| counted.get(why).copied());
        let rest = verdicts.iter().all(|v| v["asleep"] == 0);
        rest && now == ["limit", "notsent_lowat", "memory"].map(of) && now[2] == Some(0)
    });
    check.that(there, || format!("never the same: {said}"));
    eprintln!("tests: serve: {said}");
    let lowat = verdict(&serving, own[1]);
    check.equal(
        "what the sysctl held up",
        &lowat["on"],
        &Value::from("notsent_lowat"),
    );
    check.equal("is inferred", &lowat["lowat_inferred"], &Value::from(false));
    let total = lowat["reasons_ns"]["notsent_lowat"].as_u64();
    check.equal("its time", total, lowat["total_ns"].as_u64());

    drop(reads);
    for thread in threads {
        thread.join().map_err(|_| "a sender panicked")??;
    }
    let (status, said) = serving.ended(Signal::TERM);
    check.that(status.success(), || format!("{status}: {said}"));
    check.done()
}
