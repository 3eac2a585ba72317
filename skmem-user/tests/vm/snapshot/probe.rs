//! `--probe`: the causes of what the worst send and receive queues hold.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use serde_json::Value;
use skmem::{diag::socket_cookie, workload::Options};

use super::{Rest, described, int, json};
use crate::{check::Check, schema, truth};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::test(
            "snapshot::probe-says-honestly-that-nothing-has-moved",
            stuck,
        ),
        Trial::test("snapshot::probe-names-what-is-queued-meanwhile", moving),
    ]
}

/// What every traced socket must keep.
fn adds_up(check: &mut Check, probed: &Value) {
    let traced = &probed["traced"];
    let ledger = traced["ledger"].as_array().map_or(&[][..], Vec::as_slice);
    let sum: i64 = ledger.iter().map(|part| int(part, "bytes")).sum();
    check.equal("Σ of causes, and w", sum, int(traced, "wmem_queued"));
    check.equal("closes", &traced["closes"], &true.into());
    check.equal("unattributed", int(traced, "unattributed"), 0);
    let parts = int(traced, "payload") + int(traced, "skb_overhead");
    check.equal(
        "payload + skb_overhead, and w",
        parts,
        int(traced, "wmem_queued"),
    );
    for part in ledger {
        let named = part["text"].as_str().is_some_and(|text| !text.is_empty());
        check.that(named, || format!("no words for {part}"));
    }
}

/// What every traced receiver must keep.
fn receiver_adds_up(check: &mut Check, probed: &Value) {
    let receive = &probed["receive"];
    let account = &receive["account"];
    let causes = account["causes"].as_array().map_or(&[][..], Vec::as_slice);
    let sum: i64 = causes.iter().map(|part| int(part, "bytes")).sum();
    check.equal("Σ of causes, and r", sum, int(receive, "rmem_alloc"));
    check.equal("r closes", &account["closes"], &true.into());
    check.equal("r unattributed", int(account, "unattributed_count"), 0);
}

/// A full queue that was there before, in another namespace.
fn stuck() -> Result<(), Failed> {
    let mut check = Check::default();
    let mut rest = Rest::of("article", &Options::default())?.map_err(Failed::from)?;
    let before = rest.truth()?;
    let output = [
        "snapshot",
        "--all-netns",
        "--probe",
        "1",
        "--probe-time",
        "1s",
        "--json",
    ];
    let snapshot = json(&output)?;
    let after = rest.truth()?;
    check.that(truth::at_rest(&before, &after), || {
        "it moved meanwhile".into()
    });
    schema::keeps(&snapshot, &described()?, "snapshot");
    let found = snapshot["probe"]["sockets"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    check.equal("sockets probed", found.len(), 1);
    for (probed, truth) in found.iter().zip(&after) {
        adds_up(&mut check, probed);
        let traced = &probed["traced"];
        check.equal("cookie", &probed["cookie"], &truth.endpoint.cookie.into());
        let queued = i64::from(truth.mem.wmem_queued);
        check.equal("pre-existing", int(traced, "pre_existing"), queued);
        check.equal("of it left", int(traced, "pre_existing_left"), queued);
        check.equal("untouched", &traced["untouched"], &true.into());
        check.equal("locked", &traced["limit_locked"], &true.into());
        let one = int(&snapshot["probe"], "skb_truesize");
        let overhead = queued - i64::from(truth.queues.outq);
        check.equal("packets", int(traced, "skbs") * one, overhead);
    }
    let receivers = snapshot["probe"]["receivers"].as_array();
    let receivers = receivers.map_or(&[][..], Vec::as_slice);
    check.equal("receivers probed", receivers.len(), 1);
    for probed in receivers {
        receiver_adds_up(&mut check, probed);
        let queued = int(probed, "rmem_alloc");
        let receive = &probed["receive"];
        check.equal("r, and sock_diag", int(receive, "rmem_alloc"), queued);
        let parts = receive["account"]["causes"].as_array().cloned();
        let parts = parts.unwrap_or_default();
        let names: Vec<_> = parts.iter().map(|part| part["cause"].clone()).collect();
        check.equal("causes of r", names, vec![Value::from("received-before")]);
    }
    let text = super::skmem(&["snapshot", "-A", "--probe", "1", "--probe-time", "1s"])?;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    eprintln!("tests: {text}");
    for word in [
        "What put it there",
        "pre-existing",
        "is not known",
        "packet",
        "What fills r",
        "received-before",
    ] {
        check.that(text.contains(word), || format!("no word of {word}: {text}"));
    }
    rest.finish()?;
    check.done()
}

/// A queue that holds something already and gets more while it is watched; others are left alone.
fn moving() -> Result<(), Failed> {
    let mut check = Check::default();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    socket2::SockRef::from(&listener).set_recv_buffer_size(4096)?;
    let pair = || -> std::io::Result<(TcpStream, TcpStream)> {
        let client = TcpStream::connect(listener.local_addr()?)?;
        // Room for all that the writer may come to write while others let skmem wait.
        set_socket_send_buffer_size_force(&client, 64 << 20)?;
        let (server, _) = listener.accept()?;
        (&client).write_all(&[7; 60_000])?;
        Ok((client, server))
    };
    let (client, server) = pair()?;
    let cookie = socket_cookie(client.as_fd())?;
    thread::sleep(Duration::from_millis(500));
    let stop = AtomicBool::new(false);
    let (snapshot, written, read) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0_i64;
            while !stop.load(SeqCst) {
                (&client).write_all(&[8; 100])?;
                written += 100;
                thread::sleep(Duration::from_millis(20));
            }
            Ok::<_, std::io::Error>(written)
        });
        let reader = scope.spawn(|| {
            // No more than is written, so that there is always something to read.
            let mut room = [0; 100];
            while !stop.load(SeqCst) {
                (&server).read_exact(&mut room)?;
                thread::sleep(Duration::from_millis(20));
            }
            Ok::<_, std::io::Error>(())
        });
        let pid = std::process::id().to_string();
        let snapshot = json(&[
            "snapshot",
            "--pid",
            &pid,
            "--probe",
            "--probe-time",
            "3s",
            "--json",
        ]);
        stop.store(true, SeqCst);
        let read = reader.join().map_err(|_| "the reader failed");
        (snapshot, writer.join(), read)
    });
    let snapshot = snapshot?;
    let written = written.map_err(|_| "the writer failed")??;
    read??;
    let receivers = snapshot["probe"]["receivers"].as_array();
    let receivers = receivers.map_or(&[][..], Vec::as_slice);
    let port = client.local_addr()?.port();
    let ours: Vec<_> = receivers.iter().filter(|r| r["dport"] == port).collect();
    check.equal("our receiver is probed", ours.len(), 1);
    for probed in ours {
        receiver_adds_up(&mut check, probed);
        let account = &probed["receive"]["account"];
        let causes = account["causes"].as_array().map_or(&[][..], Vec::as_slice);
        let by = |cause: &str| {
            let part = causes.iter().find(|part| part["cause"] == cause);
            part.map_or(0, |part| int(part, "bytes"))
        };
        check.that(by("received-before") > 0 && by("read") < 0, || {
            format!("read meanwhile, of what was there before: {account}")
        });
        check.that(int(&probed["receive"], "reads") > 0, || {
            "no read was seen".into()
        });
    }
    let found = snapshot["probe"]["sockets"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    check.equal("sockets probed", found.len(), 1);
    for probed in found {
        adds_up(&mut check, probed);
        check.equal("cookie", &probed["cookie"], &cookie.into());
        let traced = &probed["traced"];
        check.equal("untouched", &traced["untouched"], &false.into());
        let before = int(traced, "pre_existing");
        check.that(before > 20_000, || {
            format!("pre-existing {before}: {traced}")
        });
        let ledger = traced["ledger"].as_array().map_or(&[][..], Vec::as_slice);
        let by = |cause: &str| {
            let part = ledger.iter().find(|part| part["cause"] == cause);
            part.map_or(0, |part| int(part, "bytes"))
        };
        let put = by("tail-append") + by("first-fill") + by("tail-refill");
        // Tracing may begin in the middle of a write, whose first part is then among what was there
        // before.
        check.that(put > 100 && put <= written, || {
            format!("{put} bytes of 100-byte writes, of {written} in all: {traced}")
        });
    }
    check.done()
}
