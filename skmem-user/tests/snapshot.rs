//! `skmem snapshot`, `decode` and `schema` as programs: against `ss` and `SO_MEMINFO` on the same
//! sockets, and against their own schema. Needs no eBPF and no root; what needs more is skipped by
//! name.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use skmem::{
    decode,
    diag::{self, MemInfo, TcpInfo, TcpState},
};

#[path = "support/schema.rs"]
mod schema;
#[path = "support/still.rs"]
mod still;

/// Longer than packets of the loopback take on a starved machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn skmem(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_skmem"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn json(arguments: &[&str], input: &str) -> Value {
    let output = skmem(arguments, input);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A sender with a small limit whose peer does not read, full.
struct Stuck {
    client: TcpStream,
    server: TcpStream,
    listener: TcpListener,
}

fn stuck() -> Stuck {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    socket2::SockRef::from(&client)
        .set_send_buffer_size(65_536)
        .unwrap();
    client.set_nonblocking(true).unwrap();
    let (server, _) = listener.accept().unwrap();
    while (&client).write(&[7; 1000]).is_ok() {}
    still::stand_still(&client, &server);
    Stuck {
        client,
        server,
        listener,
    }
}

fn port(socket: &TcpStream) -> String {
    socket.local_addr().unwrap().port().to_string()
}

#[test]
fn memory_is_what_so_meminfo_says_of_the_same_socket() {
    let pair = stuck();
    for socket in [&pair.client, &pair.server] {
        let peer = socket.peer_addr().unwrap().port().to_string();
        let arguments = [
            "snapshot",
            "--json",
            "--sport",
            &port(socket),
            "--dport",
            &peer,
        ];
        let snapshot = json(&arguments, "");
        let rows = snapshot["sockets"].as_array().unwrap();
        assert_eq!(rows.len(), 1);
        let truth = MemInfo::read(socket.as_fd()).unwrap();
        let memory = &rows[0]["memory"];
        for (name, value) in [
            ("rmem_alloc", truth.rmem_alloc),
            ("rcvbuf", truth.rcvbuf),
            ("wmem_alloc", truth.wmem_alloc),
            ("sndbuf", truth.sndbuf),
            ("forward_alloc", truth.fwd_alloc),
            ("wmem_queued", truth.wmem_queued),
            ("optmem", truth.optmem),
            ("backlog", truth.backlog),
        ] {
            assert_eq!(memory[name], value, "{name}");
        }
        let charged = truth.wmem_queued + truth.rmem_alloc + truth.fwd_alloc;
        assert_eq!(rows[0]["charged"], charged);
        assert_eq!(
            rows[0]["cookie"],
            diag::socket_cookie(socket.as_fd()).unwrap()
        );
        assert_eq!(rows[0]["owner"], "process");
        assert_eq!(rows[0]["holders"][0]["pid"], std::process::id());
        let data = rows[0]["payload"].as_i64().unwrap();
        let overhead = rows[0]["skb_overhead"].as_i64().unwrap();
        assert_eq!(data + overhead, i64::from(truth.wmem_queued));
        let (unsent, in_flight) = (&rows[0]["unsent"], &rows[0]["in_flight"]);
        assert_eq!(
            unsent.as_i64().unwrap() + in_flight.as_i64().unwrap(),
            rows[0]["send_q"].as_i64().unwrap()
        );
    }
}

#[test]
fn every_field_is_what_ss_prints_of_the_same_socket() {
    if Command::new("ss").arg("-V").output().is_err() {
        eprintln!("skipped: no ss here");
        return;
    }
    let pair = stuck();
    let filter = format!("sport = :{}", port(&pair.client));
    let ss = Command::new("ss")
        .args(["-tmionep", &filter])
        .output()
        .unwrap();
    let read = decode::parse(&String::from_utf8_lossy(&ss.stdout));
    assert_eq!(read.unread, []);
    let theirs = &read.sockets[0];
    let ours = json(&["snapshot", "--json", "--sport", &port(&pair.client)], "");
    let row = &ours["sockets"][0];
    let mut compared = 0;
    for (_, name, value) in theirs.memory.values() {
        assert_eq!(row["memory"][name], value, "{name}");
        compared += 1;
    }
    assert!(compared >= 7, "{theirs:?}");
    assert_eq!(row["send_q"].as_i64(), theirs.send_q);
    assert_eq!(row["recv_q"].as_i64(), theirs.recv_q);
    assert_eq!(row["inode"].as_i64(), theirs.inode);
    assert_eq!(row["flow"]["mss"].as_i64(), theirs.info.mss);
    assert_eq!(row["flow"]["cwnd"].as_i64(), theirs.info.cwnd);
    assert_eq!(row["unsent"].as_i64(), theirs.info.unsent);
    for user in &theirs.users {
        assert_eq!(row["holders"][0]["pid"], user.pid);
        assert_eq!(row["holders"][0]["fd"], user.fd.unwrap());
        assert_eq!(row["holders"][0]["comm"], *user.comm);
    }
}

#[test]
fn words_for_a_socket_are_the_same_from_ss_and_from_the_kernel() {
    let pair = stuck();
    let text = skmem(
        &["snapshot", "--explain", "--sport", &port(&pair.client)],
        "",
    );
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("everything waits in TCP"), "{text}");
    let ss = Command::new("ss")
        .args(["-tmio", &format!("sport = :{}", port(&pair.client))])
        .output();
    if let Ok(ss) = ss {
        let theirs = skmem(&["decode"], &String::from_utf8_lossy(&ss.stdout));
        let theirs = String::from_utf8(theirs.stdout).unwrap();
        let said = |text: &str| {
            text.lines()
                .find(|line| line.contains("everything waits"))
                .map(str::to_owned)
        };
        assert_eq!(said(&text), said(&theirs), "{theirs}");
    }
}

#[test]
fn json_keeps_to_the_schema_that_is_printed() {
    let pair = stuck();
    for (what, value) in [
        (
            "snapshot",
            json(&["snapshot", "--json", "--udp", "--mptcp"], ""),
        ),
        (
            "snapshot",
            json(&["snapshot", "--json", "--by", "state"], ""),
        ),
        (
            "decode",
            json(
                &["decode", "--json"],
                "ESTAB 0 0 a:1 b:2\n\tskmem:(r0,rb1,t0,tb1,f0,w0,o0,bl0,d0)\n",
            ),
        ),
    ] {
        let described = json(&["schema", what], "");
        schema::keeps(&value, &described, what);
    }
    drop(pair);
}

#[test]
fn csv_has_a_head_and_as_many_columns_in_each_line() {
    let _pair = stuck();
    let output = skmem(&["snapshot", "--csv", "--state", "established"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().len();
    let lines: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert!(lines.len() >= 2 && lines.iter().all(|line| line.len() == columns));
}

#[test]
fn watch_tells_changes_and_ends_after_its_count() {
    let mut pair = stuck();
    let sport = port(&pair.client);
    let mut child = Command::new(env!("CARGO_BIN_EXE_skmem"))
        .args([
            "snapshot", "--json", "--watch", "700ms", "--count", "2", "--sport", &sport,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(350));
    pair.client.set_nonblocking(false).unwrap();
    let mut read = vec![0; 60_000];
    pair.server.read_exact(&mut read).unwrap();
    assert!(child.wait().unwrap().success());
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let looks: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(looks.len(), 2);
    assert_eq!(looks[0]["sockets"][0]["change"], Value::Null);
    let charged = |look: &Value| look["sockets"][0]["charged"].as_i64().unwrap();
    assert_eq!(
        looks[1]["sockets"][0]["change"],
        charged(&looks[1]) - charged(&looks[0])
    );
}

/// A socket that the peer has reset is in no list, and what was not read of it stays charged: with
/// enough of them the account is open, and closes when they are closed.
#[test]
fn an_account_that_does_not_close_is_status_3() {
    let look = || {
        let output = skmem(&["snapshot", "--check", "--json"], "");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), value)
    };
    // A process of others that comes and goes may hide its namespaces for a moment.
    let checked = || {
        for _ in 0..20 {
            let (status, value) = look();
            if value["account"]["outcome"] != "partly-seen" {
                return (status, value);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        look()
    };
    let (status, before) = checked();
    let bound = before["account"]["bound_bytes"].as_u64().unwrap();
    let pairs = usize::try_from(bound / 50_000).unwrap() + 20;
    if status != 0 || pairs > 400 {
        eprintln!(
            "skipped: status {status}, bound {bound}: needs root, a quiet machine, and not too many CPUs"
        );
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut left = Vec::new();
    for _ in 0..pairs {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        let sent = vec![7; 60_000];
        while (&client).write(&sent).is_ok() {}
        left.push((client, server));
    }
    std::thread::sleep(Duration::from_millis(300));
    let left: Vec<TcpStream> = left
        .into_iter()
        .map(|(client, server)| {
            let linger = Some(Duration::ZERO);
            socket2::SockRef::from(&client).set_linger(linger).unwrap();
            server
        })
        .collect();
    // The resets may be on their way.
    let sent = Instant::now();
    for server in &left {
        while TcpInfo::read(server.as_fd()).unwrap().state != TcpState::Close {
            assert!(sent.elapsed() < PATIENCE, "{server:?} is not reset");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let (status, open) = checked();
    assert_eq!(
        (status, &open["account"]["outcome"]),
        (3, &"open".into()),
        "{open}"
    );
    assert!(
        open["account"]["unlisted"].as_u64().unwrap() >= pairs as u64,
        "{open}"
    );
    let holders = open["account"]["unlisted_holders"].as_array().unwrap();
    let ours = holders
        .iter()
        .find(|holder| holder["pid"] == std::process::id());
    assert!(
        ours.unwrap()["sockets"].as_u64().unwrap() >= pairs as u64,
        "{open}"
    );
    drop(left);
    assert_eq!(checked().0, 0);
}

/// What people ask about `ss -m`, each with the one command that answers it.
#[test]
fn questions_that_people_ask_have_one_command() {
    let pair = stuck();
    let sport = port(&pair.client);
    let full = "ESTAB 0 3782144 a:1 b:2 timer:(persist,032ms,0)\n \
                skmem:(r0,rb131072,t0,tb4194304,f2368,w3847872,o0,bl0,d0)\n";
    let questions: [(&str, &[&str], &str, &[&str]); 7] = [
        (
            "what do r, rb, t, tb, f, w, o, bl, d mean?",
            &["fields", "r", "rb", "t", "tb", "f", "w", "o", "bl", "d"],
            "",
            &[
                "rmem_alloc, `r` in ss",
                "drops, `d` in ss",
                "A count of packets, not bytes",
            ],
        ),
        (
            "what is the difference between wmem_alloc and wmem_queued?",
            &["fields", "wmem_alloc", "wmem_queued"],
            "",
            &[
                "do not add t to w",
                "Not the same as wmem_alloc (t), which is below TCP",
            ],
        ),
        (
            "is it counted in RES or in buff/cache?",
            &["fields", "buff/cache"],
            "",
            &[
                "belong to the kernel, not to a process",
                "`free` shows them as used",
            ],
        ),
        (
            "the same, with this machine's numbers",
            &["snapshot", "--account"],
            "",
            &[
                "the kernel counts",
                "None of it is in any process's RES or in buff/cache",
            ],
        ),
        (
            "is data waiting in the socket, the qdisc or the NIC?",
            &["decode"],
            full,
            &["everything waits in TCP, unless something below took packets over"],
        ),
        (
            "the same, on this machine",
            &["snapshot", "--explain", "--sport", &sport],
            "",
            &["everything waits in TCP"],
        ),
        (
            "did my SO_SNDBUF stop autotuning?",
            &["snapshot", "--locks", "--sport", &sport],
            "",
            &["tb locked"],
        ),
    ];
    for (question, command, input, answers) in questions {
        let output = skmem(command, input);
        let text = String::from_utf8(output.stdout).unwrap();
        // Lines break where the terminal ends.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for answer in answers {
            assert!(
                text.contains(answer),
                "{question} {command:?}: no {answer:?} in {text}"
            );
        }
    }
}

/// Where tracing is not possible, the snapshot is there all the same, and the status says so.
#[test]
fn a_probe_that_is_not_possible_costs_the_status_and_not_the_snapshot() {
    let pair = stuck();
    let sport = port(&pair.client);
    let output = skmem(
        &[
            "snapshot",
            "--probe",
            "1",
            "--probe-time",
            "100ms",
            "--json",
            "--sport",
            &sport,
        ],
        "",
    );
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let described = json(&["schema", "snapshot"], "");
    schema::keeps(&value, &described, "snapshot");
    assert_eq!(value["sockets"].as_array().unwrap().len(), 1);
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.success() {
        // As root on a kernel that allows it.
        assert_eq!(value["probe"]["sockets"][0]["traced"]["untouched"], true);
        return;
    }
    assert_eq!(output.status.code(), Some(1));
    assert!(value["probe"]["failed"].is_string(), "{value}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("skmem: nothing was traced: "), "{said}");
    // Nothing queued: nothing to trace, and no rights needed.
    let listener = port_of(&pair.listener);
    let output = skmem(
        &[
            "snapshot", "--probe", "--state", "listen", "--sport", &listener,
        ],
        "",
    );
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("there is nothing to trace"));
}

fn port_of(listener: &TcpListener) -> String {
    listener.local_addr().unwrap().port().to_string()
}

#[test]
fn statuses_are_as_the_help_says() {
    let status = |arguments: &[&str], input: &str| skmem(arguments, input).status.code().unwrap();
    assert_eq!(status(&["snapshot", "--pid", "4294967295"], ""), 2);
    assert_eq!(status(&["snapshot", "--watch", "0s"], ""), 2);
    assert_eq!(status(&["snapshot", "--state", "time-wait"], ""), 2);
    assert_eq!(status(&["snapshot", "--probe", "0"], ""), 2);
    assert_eq!(status(&["snapshot", "--probe", "--by", "state"], ""), 2);
    assert_eq!(status(&["snapshot", "--probe-time", "1s"], ""), 2);
    assert_eq!(status(&["fields", "nonsense"], ""), 2);
    assert_eq!(status(&["fields", "w", "Send-Q"], ""), 0);
    assert_eq!(status(&["decode"], "nothing of ss\n"), 1);
    assert_eq!(status(&["decode"], ""), 1);
    assert_eq!(status(&["decode", "/no/such/file"], ""), 1);
    assert_eq!(
        status(&["decode"], "ESTAB 0 0 a:1 b:2\n mem:(r0,w0,f0,t0)\n"),
        0
    );
    let partly = skmem(
        &["decode"],
        "what?\nESTAB 0 0 a:1 b:2\n mem:(r0,w0,f0,t0)\n",
    );
    // A line that is not part of a socket does not make the reading of the others a failure.
    assert_eq!(partly.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&partly.stderr).contains("line 1"));
    assert!(String::from_utf8_lossy(&partly.stdout).contains("ESTABLISHED a:1"));
    assert_eq!(
        status(&["decode"], "ESTAB 0 0 a:1 b:2\n mem:(r0,wX,f0,t0)\n"),
        1
    );
    for command in ["snapshot", "decode", "fields", "schema"] {
        let help = skmem(&[command, "--help"], "");
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(
            text.contains("Examples:") && text.contains("Exit status:"),
            "{command}"
        );
    }
}

#[test]
fn the_glossary_in_docs_is_the_one_that_is_printed() {
    let printed = String::from_utf8(skmem(&["fields", "--markdown"], "").stdout).unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fields.md");
    let kept = std::fs::read_to_string(file).unwrap();
    assert!(
        kept == printed,
        "run `skmem fields --markdown > docs/fields.md`"
    );
}
