//! The shipped program, from outside: what it prints, and how it ends.

use std::{
    collections::BTreeSet,
    env,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio, id},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use skmem::{
    render::schemas,
    workload::{self, Options},
};

use crate::{
    case::{self, SKMEM},
    check::Check,
    schema, sender, truth,
};

/// The keys of the contract.
const KEYS: &[&str] = &[
    "schema",
    "kernel",
    "socket",
    "so_sndbuf",
    "sndbuf",
    "wmem_queued",
    "send_q",
    "payload",
    "skb_overhead",
    "forward_alloc",
    "size_goal",
    "mss",
    "excess",
    "admission",
    "causes",
    "ledger",
    "limit_moves",
    "inferred",
    "unattributed",
    "skipped_runs",
    "blocked",
    "lost_events",
    "complete",
    "advice",
];
const SOCKET_KEYS: &[&str] = &[
    "cookie", "pid", "comm", "family", "src", "sport", "dst", "dport", "netns",
];

/// Nobody, who may trace nothing.
const NOBODY: u32 = 65_534;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("binary::demo-json-is-one-object-that-adds-up", || {
            demo(&["demo", "--json"])
        }),
        Trial::test("binary::demo-json-ipv6", || {
            demo(&["demo", "--json", "--ipv6"])
        }),
        Trial::test("binary::demo-json-at-end", demo_at_end),
        Trial::test("binary::demo-text", demo_text),
        Trial::test("binary::demo-list", demo_list),
        Trial::test("binary::explain-json-runs-a-command", explain_command),
        Trial::test(
            "binary::explain-pid-finds-an-older-blocked-writer",
            explain_older,
        ),
        Trial::test("binary::trace-json-lines", trace),
        Trial::test("binary::wrong-usage-ends-with-2", usage),
        Trial::test("binary::failures-end-with-1", failures),
    ]
}

pub fn skmem(arguments: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new(SKMEM)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?)
}

/// How it ended, with what it said where that was not expected.
pub fn ended(check: &mut Check, what: &str, output: &Output, code: i32) {
    check.that(output.status.code() == Some(code), || {
        format!(
            "{what}: ended with {}, not {code}; stderr: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )
    });
}

/// What a command has printed with `--json`, or `skmem serve` has answered, which keeps to the
/// schema that `skmem schema COMMAND` prints.
pub fn parsed(command: &str, text: impl AsRef<[u8]>) -> Result<Value, Failed> {
    let text = text.as_ref();
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(text)))?;
    let described = skmem(&["schema", command])?;
    let described: Value = serde_json::from_slice(&described.stdout)?;
    schema::keeps(&value, &described, command);
    Ok(value)
}

/// Each line of stdout as JSON that keeps to its schema; anything else on it is wrong.
pub fn objects(check: &mut Check, output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    check.that(text.is_empty() || text.ends_with('\n'), || {
        "stdout does not end with a line's end".into()
    });
    let mut found = Vec::new();
    for line in text.lines() {
        match serde_json::from_str(line) {
            Ok(value @ Value::Object(_)) => {
                keeps_to_its_schema(&value);
                found.push(value);
            }
            Ok(other) => check.fails(format!("on stdout, no object: {other}")),
            Err(error) => check.fails(format!("on stdout, no JSON ({error}): {line:?}")),
        }
    }
    found
}

fn keeps_to_its_schema(value: &Value) {
    let (what, described) = if value["type"] == "event" || value["type"] == "receive" {
        ("trace", schemas::trace())
    } else if value["type"].is_string() {
        ("export", schemas::export())
    } else if value["admission"].is_object() || value["verdicts"].is_array() {
        ("explain", schemas::explain())
    } else if value["receive_causes"].is_array() {
        ("diff", schemas::diff())
    } else if value["damage"] != Value::Null || value["end"].is_object() {
        ("report", schemas::report())
    } else {
        return;
    };
    schema::keeps(value, described.as_value(), what);
}

fn demo(arguments: &[&str]) -> Result<(), Failed> {
    let mut check = Check::default();
    let output = skmem(arguments)?;
    ended(&mut check, "skmem demo", &output, 0);
    let objects = objects(&mut check, &output);
    check.equal("objects on stdout", objects.len(), 1);
    for verdict in &objects {
        contract(&mut check, verdict);
        check.equal("so_sndbuf", &verdict["so_sndbuf"], &Value::from(4096));
        check.equal("sndbuf", &verdict["sndbuf"], &Value::from(8192));
        check.equal("complete", &verdict["complete"], &Value::from(true));
        check.equal("lost_events", &verdict["lost_events"], &Value::from(0));
        check.equal("unattributed", &verdict["unattributed"], &Value::from(0));
        check.that(int(verdict, "excess") > 0, || "no excess".into());
        check.that(verdict["blocked"].is_object(), || {
            format!(
                "the sender is blocked, and blocked is {}",
                verdict["blocked"]
            )
        });
        // The default case: what the article's reader sees, computed from what was observed.
        let (goal, send_q) = (int(verdict, "size_goal"), int(verdict, "send_q"));
        check.equal(
            "the size goal in whole segments",
            goal % int(verdict, "mss"),
            0,
        );
        check.that(send_q >= goal, || {
            format!("Send-Q {send_q} is less than one size goal {goal}")
        });
        let advice = verdict["advice"].as_array().map_or(0, Vec::len);
        check.that(advice > 0, || "no advice".into());
    }
    check.done()
}

/// All is read, acknowledged and closed, and what was thrown away is named.
fn demo_at_end() -> Result<(), Failed> {
    let mut check = Check::default();
    for (case, causes, sockets) in [
        ("article", &["new-skb", "ack", "fin"][..], 1),
        ("rst-full-queue", &["purge", "reset"], 2),
    ] {
        let output = skmem(&["demo", case, "--json", "--at-end"])?;
        ended(&mut check, "skmem demo --at-end", &output, 0);
        let said = String::from_utf8_lossy(&output.stderr);
        check.that(!said.contains("cannot"), || said.clone().into_owned());
        let objects = objects(&mut check, &output);
        check.equal(format_args!("{case}: sockets"), objects.len(), sockets);
        let mut named = BTreeSet::new();
        for verdict in &objects {
            contract(&mut check, verdict);
            check.equal("closed", &verdict["socket"]["closed"], &Value::from(true));
            check.equal("complete", &verdict["complete"], &Value::from(true));
            check.equal("unattributed", int(verdict, "unattributed"), 0);
            check.equal("wmem_queued", int(verdict, "wmem_queued"), 0);
            let ledger = verdict["ledger"].as_array().into_iter().flatten();
            named.extend(ledger.filter_map(|part| part["cause"].as_str()));
        }
        for cause in causes {
            check.that(named.contains(cause), || {
                format!("{case}: no {cause}: {named:?}")
            });
        }
    }
    check.done()
}

fn int(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or(i64::MIN)
}

fn sum(list: &Value, key: &str) -> i64 {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|item| int(item, key)).sum()
}

/// Keys, types and arithmetic of one object, computed anew from the JSON.
pub fn contract(check: &mut Check, verdict: &Value) {
    let mut keys = |value: &Value, what: &str, wanted: &[&str]| {
        let found: BTreeSet<&str> = value
            .as_object()
            .map(|object| object.keys().map(String::as_str).collect())
            .unwrap_or_default();
        for key in wanted {
            check.that(found.contains(key), || format!("{what} has no {key}"));
        }
    };
    keys(verdict, "the object", KEYS);
    keys(&verdict["socket"], "socket", SOCKET_KEYS);
    keys(
        &verdict["admission"],
        "admission",
        &["at_ns", "wmem_queued", "sndbuf"],
    );
    for cause in verdict["causes"].as_array().into_iter().flatten() {
        keys(cause, "a cause", &["cause", "bytes", "count", "first_ns"]);
    }
    for cause in verdict["ledger"].as_array().into_iter().flatten() {
        keys(cause, "a line of the ledger", &["cause", "bytes", "count"]);
    }
    for change in verdict["limit_moves"].as_array().into_iter().flatten() {
        keys(change, "a limit move", &["at_ns", "from", "to", "cause"]);
    }
    check.equal("schema", &verdict["schema"], &Value::from(1));
    for key in [
        "sndbuf",
        "wmem_queued",
        "send_q",
        "payload",
        "skb_overhead",
        "forward_alloc",
        "size_goal",
        "mss",
        "excess",
        "inferred",
        "unattributed",
        "skipped_runs",
        "lost_events",
    ] {
        check.that(verdict[key].is_i64(), || {
            format!("{key} is not an integer: {}", verdict[key])
        });
    }
    let (w, limit) = (int(verdict, "wmem_queued"), int(verdict, "sndbuf"));
    let admission = &verdict["admission"];
    let (w_admit, limit_admit) = (int(admission, "wmem_queued"), int(admission, "sndbuf"));
    check.equal(
        "excess, and wmem_queued - sndbuf",
        int(verdict, "excess"),
        w - limit,
    );
    check.equal(
        "excess, and (w_admit - S_admit) + (S_admit - S) + Σ causes",
        int(verdict, "excess"),
        (w_admit - limit_admit) + (limit_admit - limit) + sum(&verdict["causes"], "bytes"),
    );
    check.equal(
        "Σ ledger, and wmem_queued",
        sum(&verdict["ledger"], "bytes"),
        w,
    );
    check.equal(
        "payload + skb_overhead, and wmem_queued",
        int(verdict, "payload") + int(verdict, "skb_overhead"),
        w,
    );
}

fn demo_text() -> Result<(), Failed> {
    let mut check = Check::default();
    let output = skmem(&["demo", "--interval", "0", "--all"])?;
    ended(&mut check, "skmem demo", &output, 0);
    let text = String::from_utf8_lossy(&output.stdout);
    for word in ["SO_SNDBUF", "tail-append", "unattributed"] {
        check.that(text.contains(word), || {
            format!("the text has no word of {word}:\n{text}")
        });
    }
    check.that(!text.contains('\u{1b}'), || "colours into a pipe".into());
    check.done()
}

fn demo_list() -> Result<(), Failed> {
    let mut check = Check::default();
    let output = skmem(&["demo", "--list", "--json"])?;
    ended(&mut check, "skmem demo --list --json", &output, 0);
    let listed = parsed("demo", &output.stdout)?;
    let names: Vec<&str> = listed
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|case| case["name"].as_str())
        .collect();
    let known: Vec<&str> = workload::list().iter().map(|case| case.name).collect();
    check.equal("names", names, known);
    check.done()
}

fn explain_command() -> Result<(), Failed> {
    let mut check = Check::default();
    let this = env::current_exe()?;
    let output = Command::new(SKMEM)
        .args(["explain", "--json", "--"])
        .arg(&this)
        .env(sender::ROLE, sender::OVERFILL)
        .stdin(Stdio::null())
        .output()?;
    ended(
        &mut check,
        "skmem explain -- CMD",
        &output,
        sender::CODE.into(),
    );
    let objects = objects(&mut check, &output);
    for verdict in &objects {
        contract(&mut check, verdict);
    }
    let (over, other): (Vec<&Value>, Vec<&Value>) =
        (objects.iter()).partition(|verdict| verdict["over_limit"] == true);
    check.equal("sockets over their limit", over.len(), 1);
    // The command has the other end, too, and does not read from it.
    check.that(other.len() <= 1, || format!("others: {other:?}"));
    for verdict in other {
        let slow = &verdict["receive"]["slow"];
        check.equal("the other end's slow", slow, &Value::from(true));
    }
    for verdict in over {
        check.equal("so_sndbuf", &verdict["so_sndbuf"], &Value::from(4096));
        check.equal("unattributed", &verdict["unattributed"], &Value::from(0));
        check.equal("complete", &verdict["complete"], &Value::from(true));
        check.equal(
            "socket.dst",
            &verdict["socket"]["dst"],
            &Value::from("127.0.0.1"),
        );
    }
    check.done()
}

/// A writer that was blocked before skmem came: the numbers are those that the kernel reports.
fn explain_older() -> Result<(), Failed> {
    let mut check = Check::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut driver = runtime.block_on(async { case::spawn("article", &Options::default()) })?;
    let ready = runtime.block_on(driver.ready())?;
    runtime.block_on(driver.go())?;
    runtime.block_on(driver.settled())?;
    let before = runtime.block_on(driver.truth())?;
    let pid = ready.pid.to_string();
    let output = skmem(&["explain", "--json", "-p", &pid, "--duration", "1s"])?;
    let after = runtime.block_on(driver.truth())?;
    ended(&mut check, "skmem explain -p", &output, 0);
    check.that(truth::at_rest(&before, &after), || {
        format!("the writer moved meanwhile: {before:?}, {after:?}")
    });
    let objects = objects(&mut check, &output);
    check.equal("sockets over their limit", objects.len(), 1);
    for (verdict, truth) in objects.iter().zip(&after) {
        contract(&mut check, verdict);
        for (key, value) in [
            ("wmem_queued", truth.mem.wmem_queued),
            ("sndbuf", truth.mem.sndbuf),
            ("forward_alloc", truth.mem.fwd_alloc),
            ("send_q", truth.queues.outq),
            ("excess", truth.mem.wmem_queued - truth.mem.sndbuf),
        ] {
            check.equal(key, int(verdict, key), value.into());
        }
        check.equal(
            "socket.pid",
            int(&verdict["socket"], "pid"),
            ready.pid.into(),
        );
        check.equal(
            "socket.sport",
            int(&verdict["socket"], "sport"),
            truth.endpoint.sport.into(),
        );
        check.equal(
            "socket.older",
            &verdict["socket"]["older"],
            &Value::from(true),
        );
        check.equal("unattributed", &verdict["unattributed"], &Value::from(0));
    }
    runtime.block_on(driver.finish())?;
    check.done()
}

/// Fifty lines of our own traffic.
fn trace() -> Result<(), Failed> {
    let mut check = Check::default();
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || chatter(&stop))
    };
    let pid = id().to_string();
    let output = skmem(&["trace", "-p", &pid, "--count", "50", "--json"]);
    stop.store(true, SeqCst);
    let talked = traffic.join();
    let output = output?;
    check.that(matches!(talked, Ok(Ok(()))), || {
        format!("our own traffic: {talked:?}")
    });
    ended(&mut check, "skmem trace", &output, 0);
    let lines = objects(&mut check, &output);
    check.equal("lines", lines.len(), 50);
    let own = lines.iter().find(|line| line["src"] == "127.115.107.109");
    check.that(own.is_none(), || format!("skmem's own connection: {own:?}"));
    for line in &lines {
        for key in [
            "schema",
            "time_ns",
            "cpu",
            "hook",
            "socket",
            "event_no",
            "wmem_queued",
            "sndbuf",
            "ops",
        ] {
            check.that(line.get(key).is_some(), || format!("no {key} in {line}"));
        }
    }
    let said = String::from_utf8_lossy(&output.stderr);
    check.that(said.contains("lost"), || {
        format!("stderr says nothing of lost records: {said}")
    });
    check.done()
}

/// Writes to ourselves until it is stopped.
pub fn chatter(stop: &AtomicBool) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let reader = thread::spawn(move || std::io::copy(&mut server, &mut std::io::sink()));
    while !stop.load(SeqCst) {
        client.write_all(&[b's'; 1000])?;
        // What skmem measures by is nobody's traffic.
        let _ = skmem::diag::empty_skb();
        thread::sleep(Duration::from_millis(5));
    }
    drop(client);
    reader.join().map_or(Ok(()), |read| read.map(drop))
}

fn usage() -> Result<(), Failed> {
    let mut check = Check::default();
    let wrong: &[&[&str]] = &[
        &["explain", "-p", "999999"],
        &["explain", "--duration", "0s"],
        &["explain", "--dst", "10.0.0.0/33"],
        &["explain", "--netns", "no-such-netns"],
        &["explain", "--cgroup", "no/such/cgroup"],
        &["explain", "--no-such-option"],
        &["trace", "--count", "0"],
        &["demo", "no-such-case"],
        &["demo", "--processes", "2"],
        &["no-such-command"],
    ];
    for arguments in wrong {
        let what = format!("skmem {}", arguments.join(" "));
        let output = skmem(arguments)?;
        ended(&mut check, &what, &output, 2);
        check.that(output.stdout.is_empty(), || {
            format!("{what}: something on stdout")
        });
        let said = String::from_utf8_lossy(&output.stderr);
        check.that(!said.trim().is_empty(), || {
            format!("{what}: not a word on stderr")
        });
    }
    let output = skmem(&["explain", "-p", "999999"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    check.that(said.lines().count() == 1 && said.contains("999999"), || {
        format!("skmem explain -p 999999: not one line that names the pid: {said}")
    });
    check.done()
}

fn failures() -> Result<(), Failed> {
    let mut check = Check::default();
    let one_line = |check: &mut Check, what: &str, output: &Output| {
        ended(check, what, output, 1);
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said
            .lines()
            .filter(|line| !line.contains("programs attached"))
            .collect();
        check.that(said.len() == 1, || {
            format!("{what}: not one line: {said:?}")
        });
        check.that(output.stdout.is_empty(), || {
            format!("{what}: something on stdout")
        });
    };
    let nobody = Command::new(SKMEM)
        .args(["trace", "--duration", "1s"])
        .uid(NOBODY)
        .gid(NOBODY)
        .stdin(Stdio::null())
        .output()?;
    one_line(&mut check, "skmem trace as nobody", &nobody);
    let output = skmem(&["explain", "--", "/no/such/command"])?;
    one_line(&mut check, "skmem explain -- /no/such/command", &output);
    check.done()
}
