//! Parts of a recording kept from a real run (kernel 6.12: `skmem record --cgroup /sys/fs/cgroup`,
//! three connections of `nc`, one of which is read by nobody): what is said of a kept socket is
//! what the whole says of it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The port that nobody reads, one that is read, and one over IPv6.
const STUCK: &str = "5002";
const READ: &str = "5001";
const SIX: &str = "5003";

fn whole() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/v1-several.skm");
    file.to_str().unwrap().to_owned()
}

fn skmem(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skmem"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What it prints, as JSON, one object a line; and what it says on stderr.
fn said(arguments: &[&str]) -> (Vec<Value>, String) {
    let output = skmem(arguments);
    let errors = text(&output.stderr).to_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let lines = text(&output.stdout).lines();
    let parsed = lines.map(|line| serde_json::from_str(line).unwrap());
    (parsed.collect(), errors)
}

fn json(arguments: &[&str]) -> Vec<Value> {
    said(arguments).0
}

/// The verdicts of a file on all of its sockets, in order of their numbers.
fn verdicts(file: &str, more: &[&str]) -> Vec<Value> {
    let mut all = json(&[&["report", file, "--all", "--json"], more].concat());
    all.sort_by_key(|v| v["socket"]["id"].as_u64());
    all
}

fn has_port(verdict: &Value, port: &str) -> bool {
    verdict["socket"]["dport"].as_u64() == port.parse().ok()
}

fn of_port(port: &str) -> Value {
    let all = verdicts(&whole(), &[]);
    let mut found = all.into_iter().filter(|v| has_port(v, port));
    found.next().unwrap()
}

struct Parts(tempfile::TempDir);

impl Parts {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a part of `from`, and gives its name.
    fn of(&self, from: &str, name: &str, which: &[&str]) -> String {
        let to = self.path(name).to_str().unwrap().to_owned();
        let output = skmem(&[&["export", from, "--format", "skm", "-o", &to], which].concat());
        assert!(
            output.status.success(),
            "{which:?}: {}",
            text(&output.stderr)
        );
        to
    }
}

#[test]
fn sockets_are_chosen_by_what_the_recording_holds() {
    let file = whole();
    let stuck = of_port(STUCK);
    let (pid, netns) = (
        stuck["socket"]["pid"].to_string(),
        stuck["socket"]["netns"].to_string(),
    );
    let ports = |which: &[&str]| -> Vec<String> {
        let found = verdicts(&file, which);
        found
            .iter()
            .map(|v| v["socket"]["dport"].to_string())
            .collect()
    };
    assert_eq!(ports(&["--dport", STUCK]), [STUCK]);
    assert_eq!(ports(&["-p", &pid]), [STUCK]);
    assert_eq!(ports(&["-p", "nc", "--src", "::1/128"]), [SIX]);
    assert_eq!(ports(&["--dst", "127.0.0.0/8"]), [STUCK, READ]);
    assert_eq!(
        ports(&["--comm", "nc", "--netns", &netns]),
        [STUCK, READ, SIX]
    );
    assert_eq!(ports(&["--cgroup", "/sys/fs/cgroup/web.slice"]), [READ]);
    assert_eq!(ports(&["-p", "shop.service"]), [READ]);
    assert_eq!(
        ports(&["--sport", &of_port(SIX)["socket"]["sport"].to_string()]),
        [SIX]
    );
    // What is chosen is said.
    let (_, errors) = said(&["report", &file, "--json", "--dport", STUCK]);
    assert_eq!(errors, "skmem: 1 of 3 sockets\n");
    // All commands that read recordings have the options.
    for command in [
        &["plot", &file, "--text"][..],
        &["diff", &file, &file, "--json"],
        &["export", &file, "--format", "csv"],
    ] {
        let output = skmem(&[command, &["--dport", STUCK]].concat());
        assert!(output.status.success(), "{command:?}");
        assert!(
            text(&output.stderr).contains("1 of 3 sockets"),
            "{command:?}"
        );
    }
    let (lines, _) = said(&["export", &file, "--format", "json", "--dport", STUCK]);
    let selected = &lines[0]["selected"][0];
    assert_eq!(
        (&selected["sockets"], &selected["of"]),
        (&1.into(), &3.into())
    );
    assert_eq!(selected["filters"][0][1], STUCK);
}

#[test]
fn what_matches_nothing_is_one_clear_line() {
    let file = whole();
    for (which, status, says) in [
        (&["--dport", "1"][..], 1, "no socket in"),
        (&["--comm", "nobody"], 1, "it holds 3:"),
        (
            &["--from", "5s", "--to", "2s"],
            2,
            "--from is not before --to",
        ),
        (&["--from", "1h"], 2, "nothing lies there: the recording is"),
        (&["--netns", "17"], 2, "in a recording, a network namespace"),
        (&["--dport", "no-such-service"], 2, "no such TCP service"),
    ] {
        let output = skmem(&[&["report", &file], which].concat());
        assert_eq!(output.status.code(), Some(status), "{which:?}");
        let errors = text(&output.stderr);
        assert!(
            errors.contains(says) && errors.lines().count() == 1,
            "{which:?}: {errors}"
        );
    }
    // Nothing is written of it.
    let parts = Parts::new();
    let to = parts.path("none.skm");
    let to = to.to_str().unwrap();
    let output = skmem(&["export", &file, "--format", "skm", "-o", to, "--dport", "1"]);
    assert_eq!(
        (output.status.code(), fs::exists(to).unwrap()),
        (Some(1), false)
    );
}

#[test]
fn a_kept_socket_comes_to_the_same() {
    let (file, parts) = (whole(), Parts::new());
    for port in [STUCK, READ, SIX] {
        let part = parts.of(&file, &format!("{port}.skm"), &["--dport", port]);
        let live = of_port(port);
        assert_eq!(verdicts(&part, &[]), std::slice::from_ref(&live), "{port}");
        // Read in passing or written and read, a part is the same.
        assert_eq!(
            verdicts(&file, &["--dport", port]),
            std::slice::from_ref(&live),
            "{port}"
        );
        let id = live["socket"]["id"].to_string();
        let one = parts.of(&file, &format!("{port}-socket.skm"), &["--socket", &id]);
        assert_eq!(verdicts(&one, &[]), [live], "{port}");
        // Of the records, each of the socket's is there, and none is missing among them.
        let events = |file: &str| -> Vec<Value> {
            let lines = json(&["export", file, "--format", "json", "--socket", &id]);
            lines
                .into_iter()
                .filter(|line| line["hook"].is_string())
                .collect()
        };
        assert_eq!(events(&part), events(&file), "{port}");
    }
    let about = skmem(&[
        "report",
        &parts.of(&file, "about.skm", &["--dport", STUCK]),
        "--about",
    ]);
    let about = text(&about.stdout).replace('\n', " ");
    assert!(about.contains("1 of 3 sockets (--dport 5002)"), "{about}");
}

#[test]
fn a_part_of_the_time_begins_and_ends_with_the_accounts_of_then() {
    let (file, parts) = (whole(), Parts::new());
    let stuck = of_port(STUCK);
    let id = stuck["socket"]["id"].to_string();
    let at = |file: &str, ns: u64| -> Value {
        let at = format!("@{ns}");
        json(&["report", file, "--json", "--socket", &id, "--at", &at]).remove(0)
    };
    let lines = json(&["export", &file, "--format", "json", "--socket", &id]);
    let times: Vec<u64> = lines
        .iter()
        .filter_map(|line| line["time_ns"].as_u64())
        .collect();
    assert!(times.len() > 100, "{}", times.len());
    // Many instants, for a cut may fall between any two records.
    for n in (1..times.len()).step_by(times.len() / 5) {
        let (from, last) = (times[n], *times.iter().max().unwrap());
        let part = parts.of(
            &file,
            &format!("from-{n}.skm"),
            &["--from", &format!("@{from}"), "--socket", &id],
        );
        let kept = json(&["export", &part, "--format", "json"]);
        let kept: Vec<u64> = kept
            .iter()
            .filter_map(|line| line["time_ns"].as_u64())
            .collect();
        assert!(
            kept.len() < times.len() && kept.iter().all(|ns| *ns >= from),
            "{n}"
        );
        // Its end is the kernel's.
        assert_eq!(verdicts(&part, &[]), std::slice::from_ref(&stuck), "{n}");
        for later in [from + 1, from + (last - from) / 2, last] {
            assert_eq!(at(&part, later), at(&file, later), "{n}: {from} to {later}");
        }
        let until = parts.of(
            &file,
            &format!("to-{n}.skm"),
            &["--to", &format!("@{from}"), "--socket", &id],
        );
        let end = verdicts(&until, &["--at-end"]).remove(0);
        let then = at(&file, from);
        for fact in [
            "ledger",
            "wmem_queued",
            "sndbuf",
            "worst_excess",
            "blocked",
            "complete",
            "self_check",
        ] {
            assert_eq!(end[fact], then[fact], "{n}: {fact}");
        }
        // In one go, in two, or without writing.
        let narrow = [
            "--from",
            &format!("@{}", times[n / 2]),
            "--to",
            &format!("@{from}"),
        ];
        let both = parts.of(&file, &format!("both-{n}.skm"), &narrow);
        let again = parts.of(&until, &format!("again-{n}.skm"), &["--from", narrow[1]]);
        let facts = |file: &str, more: &[&str]| {
            let mut found =
                verdicts(file, &[&["--at-end", "--socket", &id], more].concat()).remove(0);
            found["ledger"].take()
        };
        assert_eq!(facts(&both, &[]), facts(&again, &[]), "{n}");
        assert_eq!(facts(&both, &[]), facts(&file, &narrow), "{n}");
    }
}

#[test]
fn a_recording_without_an_end_has_parts_without_an_end() {
    let (file, parts) = (whole(), Parts::new());
    let bytes = fs::read(&file).unwrap();
    let cut = parts.path("cut.skm");
    fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let cut = cut.to_str().unwrap();
    let part = parts.of(cut, "part.skm", &["--dport", STUCK]);
    let of = |file: &str| {
        let all = verdicts(file, &[]);
        let mut found = all.into_iter().filter(|v| has_port(v, STUCK));
        found.next().unwrap()
    };
    let (whole, part) = (of(cut), of(&part));
    assert_eq!(
        (&part["complete"], &part["ledger"]),
        (&false.into(), &whole["ledger"])
    );
}
