//! `skmem serve` as a program: what it answers, to whom, and that slow clients harm nobody. Needs
//! no eBPF and no root; accounts and Prometheus are in the VM tests.

#![cfg(feature = "serve")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use serving::Serving;

#[path = "support/schema.rs"]
mod schema;
#[path = "support/serving.rs"]
mod serving;

const PROGRAM: &str = env!("CARGO_BIN_EXE_skmem");

/// The value of a metric without labels.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
        .parse()
        .unwrap()
}

#[test]
fn each_path_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_server, _) = listener.accept().unwrap();
    client.write_all(&[7; 5000]).unwrap();
    let serving = Serving::start(PROGRAM, &[]);
    let plain = serving.get("/metrics");
    assert_eq!(plain.status, 200);
    // Without causes it says so, once.
    let without = serving
        .said
        .iter()
        .filter(|line| line.contains("without causes"));
    let traces = value(&plain.body, "skmem_tracing ");
    assert_eq!(
        without.count(),
        usize::from(traces == 0.0),
        "{:?}",
        serving.said
    );
    assert!(
        plain
            .head
            .contains("content-type: text/plain; version=0.0.4"),
        "{}",
        plain.head
    );
    assert!(value(&plain.body, "skmem_tcp_memory_bytes ") >= 0.0);
    let series = plain.body.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(
        value(&plain.body, "skmem_series "),
        series.count() as f64,
        "{}",
        plain.body
    );
    assert!(plain.body.contains("comm=\""), "{}", plain.body);
    let accept = "Accept: application/openmetrics-text; version=1.0.0\r\n";
    let open = serving.get_with("/metrics", accept);
    assert!(
        open.head
            .contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{}",
        open.head
    );
    assert!(open.body.ends_with("# EOF\n"));

    let sockets = serving.get("/sockets.json?top=3");
    let sockets: Value = serde_json::from_str(&sockets.body).unwrap();
    assert!(sockets["sockets"].as_array().unwrap().len() <= 3);
    let output = Command::new(PROGRAM)
        .args(["schema", "snapshot"])
        .output()
        .unwrap();
    let described = serde_json::from_slice(&output.stdout).unwrap();
    schema::keeps(&sockets, &described, "sockets.json");

    assert_eq!(serving.get("/healthz").body, "ok\n");
    assert_eq!(serving.get("/readyz").body, "ready\n");
    assert!(serving.get("/").body.contains("/metrics"));
    for (path, status) in [
        ("/nothing", 404),
        ("/explain/x", 400),
        ("/explain/1", 404),
        ("/explain/1?format=pdf", 400),
        ("/sockets.json?top=x", 400),
        ("/flight/", 404),
        ("/flight.json", 404),
        ("/flight/skmem-20261129-021530.skm", 404),
    ] {
        let answer = serving.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(
            answer.body.ends_with('\n') && answer.body.len() > 5,
            "{path}"
        );
    }
    let post = serving.send("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(post.status, 405);
    let (status, said) = serving.ended(Signal::TERM);
    assert!(status.success(), "{status}: {said}");
    assert_eq!(said, "");
}

#[test]
fn a_token_is_asked_for_and_probes_need_none() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("token");
    fs::write(&file, "s3cret\n").unwrap();
    let serving = Serving::start(PROGRAM, &["--bearer-token-file", file.to_str().unwrap()]);
    let refused = serving.get("/metrics");
    assert_eq!(refused.status, 401);
    assert!(
        refused.head.contains("www-authenticate: bearer"),
        "{}",
        refused.head
    );
    assert_eq!(serving.get("/sockets.json").status, 401);
    let with =
        |token: &str| serving.get_with("/metrics", &format!("Authorization: Bearer {token}\r\n"));
    assert_eq!(with("s3cret").status, 200);
    assert_eq!(with("s3creT").status, 401);
    assert_eq!(serving.get("/healthz").status, 200);
    assert_eq!(serving.get("/readyz").status, 200);
    let (status, _) = serving.ended(Signal::INT);
    assert!(status.success(), "{status}");
}

#[test]
fn slow_clients_and_storms_hold_up_nobody() {
    let serving = Serving::start(PROGRAM, &[]);
    // Slow ones: no head, a part of one, an answer that is not read.
    let slow: Vec<TcpStream> = (0..45)
        .map(|n| {
            let head = [
                "",
                "GET /metr",
                "GET /sockets.json?top=9999 HTTP/1.1\r\nHost: x\r\n\r\n",
            ];
            serving.connect(head[n % 3])
        })
        .collect();
    let looks = |text: &str| value(text, "skmem_looks_total ");
    let first = looks(&serving.get("/metrics").body);
    let begun = Instant::now();
    let answered: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let one = || {
                    (0..25)
                        .filter(|_| serving.get("/metrics").status == 200)
                        .count()
                };
                scope.spawn(one)
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    assert_eq!(answered, 200);
    // A look a second at most, however often it is asked; one may be under way at either end.
    let last = looks(&serving.get("/metrics").body);
    let most = begun.elapsed().as_secs_f64() + 2.0;
    assert!(last - first <= most, "{first} to {last} in {most} s");
    // More of them than there are places: their time ends, and others come in.
    let more: Vec<TcpStream> = (0..80).map(|_| serving.connect("GET /")).collect();
    assert_eq!(serving.get("/healthz").status, 200);
    drop((slow, more));

    // A head that is too large is refused, and is not kept.
    let large = "x".repeat(100 << 10);
    let mut stream = serving.connect("");
    let _ = write!(
        stream,
        "GET / HTTP/1.1\r\nHost: x\r\nCookie: {large}\r\n\r\n"
    );
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    assert!(text.is_empty() || text.contains(" 431 "), "{text}");
    assert_eq!(serving.get("/healthz").status, 200);
}

#[test]
fn a_textfile_is_written_and_wrong_usage_is_one_line() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("skmem.prom");
    let serving = Serving::start(
        PROGRAM,
        &["--interval", "100ms", "--textfile", file.to_str().unwrap()],
    );
    // There before anything is served.
    let first = fs::read_to_string(&file).unwrap();
    assert!(value(&first, "skmem_looks_total ") >= 1.0 && !first.contains("# EOF"));
    // node_exporter has these of its own.
    assert!(!first.contains("process_") && serving.get("/metrics").body.contains("process_"));
    let begun = Instant::now();
    while value(&fs::read_to_string(&file).unwrap(), "skmem_looks_total ") < 3.0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no more looks");
        thread::sleep(Duration::from_millis(20));
    }
    let run = |arguments: &[&str]| {
        let output = Command::new(PROGRAM)
            .arg("serve")
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = run(&["--listen", &serving.address]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("cannot listen on") && said.lines().count() == 1,
        "{said}"
    );
    for wrong in [
        &["--listen", "none"][..],
        &["--listen", "9464"],
        &["--textfile", "metrics.txt"],
        &["--max-series", "1"],
        &["--interval", "0s"],
        &["--when", "blocked>1s"],
        &["--flight", "/tmp", "--when", "blocked>0s"],
        &["--flight", "/tmp", "--max-files", "0"],
    ] {
        assert_eq!(run(wrong).0, Some(2), "{wrong:?}");
    }
    let (code, said) = run(&["--bearer-token-file", "/no/such/file"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("cannot read the token in /no/such/file"),
        "{said}"
    );
}
