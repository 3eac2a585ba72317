//! Recordings kept from real runs (`skmem demo article --all --json --record`, kernel 6.12, and
//! what is said below), in every version of the format: today's skmem reads them, and says what was
//! said live. And the program on files that are not recordings.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use skmem::recording::{self, Recording};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recordings")
        .join(name)
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

/// What `skmem` prints, as JSON, one object a line.
fn json(arguments: &[&str]) -> Vec<Value> {
    let output = skmem(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The facts of a verdict. Words may get better, and fields be added.
const FACTS: &[&str] = &[
    "kernel",
    "instant",
    "at_ns",
    "over_limit",
    "worst_excess",
    "so_sndbuf",
    "doubling",
    "limit_chain",
    "sndbuf",
    "wmem_queued",
    "send_q",
    "payload",
    "skb_overhead",
    "skb_truesize",
    "skbs",
    "untrimmed",
    "unsent",
    "forward_alloc",
    "wmem_alloc",
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
    "peer_window",
    "lost_events",
    "complete",
    "self_check",
];

#[test]
fn format_1_says_what_was_said_live() {
    let file = sample("v1-article.skm");
    let live: Value =
        serde_json::from_slice(&fs::read(sample("v1-article.json")).unwrap()).unwrap();
    let reported = json(&["report", file.to_str().unwrap(), "--all", "--json"]);
    assert_eq!(reported.len(), 1);
    for fact in FACTS {
        assert!(!live[*fact].is_null() || *fact == "blocked", "{fact}");
        holds(&reported[0][*fact], &live[*fact], fact);
    }
    for (key, value) in live["socket"].as_object().unwrap() {
        assert_eq!(&reported[0]["socket"][key], value, "socket.{key}");
    }
}

/// What was said then is said now; fields may have been added since.
fn holds(now: &Value, then: &Value, what: &str) {
    match then {
        Value::Object(fields) => {
            for (key, value) in fields {
                holds(&now[key], value, &format!("{what}.{key}"));
            }
        }
        other => assert_eq!(now, other, "{what}"),
    }
}

/// The facts of a receive side.
const RECEIVE_FACTS: &[&str] = &[
    "recv_q",
    "rmem_alloc",
    "rcvbuf",
    "window",
    "zero_windows",
    "segments",
    "reads",
    "slow",
];

/// `skmem demo error-queue --all --json --record`, kernel 6.12: its records tell what was booked.
#[test]
fn format_2_says_what_was_said_live() {
    error_queue("v2-error-queue.skm");
}

/// The same, by `skmem export --format skm`.
#[test]
fn format_3_says_what_was_said_live() {
    error_queue("v3-error-queue.skm");
}

/// Each version has the same records: those kept here, and of each what is written today.
#[test]
fn formats_hold_the_same_records() {
    let items = |bytes: &[u8]| {
        let mut recording = Recording::new(bytes).unwrap();
        let items: Vec<String> =
            std::iter::from_fn(|| recording.next_item().map(|i| format!("{i:?}"))).collect();
        assert_eq!(recording.damage(), None);
        (items, recording.end().map(|end| end.totals))
    };
    let read = |name: &str| fs::read(sample(name)).unwrap();
    for name in [
        "v1-article.skm",
        "v1-several.skm",
        "v2-error-queue.skm",
        "v3-error-queue.skm",
        "v3-loss.skm",
        "v3-slow-reader.skm",
    ] {
        let whole = read(name);
        let mut now = Vec::new();
        recording::copy(Recording::new(&whole[..]).unwrap(), &mut now).unwrap();
        assert_eq!(now[8], 3, "{name}");
        assert_eq!(items(&now), items(&whole), "{name}");
    }
    let (second, third) = (read("v2-error-queue.skm"), read("v3-error-queue.skm"));
    assert_eq!((second[8], third[8]), (2, 3));
    assert_eq!(items(&second).0, items(&third).0);
}

fn error_queue(name: &str) {
    let file = sample(name);
    let file = file.to_str().unwrap();
    let live = fs::read_to_string(sample("v2-error-queue.json")).unwrap();
    let live: Vec<Value> = live
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let reported = json(&["report", file, "--all", "--json"]);
    assert_eq!(reported.len(), live.len());
    for then in &live {
        let id = &then["socket"]["id"];
        let now = reported.iter().find(|v| &v["socket"]["id"] == id).unwrap();
        for fact in RECEIVE_FACTS {
            assert_eq!(now["receive"][fact], then["receive"][fact], "{fact}");
        }
        holds(
            &now["receive"]["account"],
            &then["receive"]["account"],
            "receive.account",
        );
        // The records alone tell the same sums.
        let id = id.to_string();
        let replayed = &json(&["report", file, "--json", "--socket", &id, "--at", "-0s"])[0];
        let (ours, kernels) = (&replayed["receive"]["account"], &then["receive"]["account"]);
        for fact in ["causes", "sum", "error_queue", "payload", "rcvbuf_moves"] {
            assert_eq!(ours[fact], kernels[fact], "{fact} by replay");
        }
    }
    let plotted = skmem(&["plot", file, "--rx", "--text"]);
    let said = text(&plotted.stdout);
    assert!(said.contains("error-queued 79,572"), "{said}");
}

#[test]
fn format_1_is_replayed_to_the_same_sums() {
    let file = sample("v1-article.skm");
    let file = file.to_str().unwrap();
    let end = &json(&["report", file, "--all", "--at-end", "--json"])[0];
    let id = end["socket"]["id"].to_string();
    let at = ["report", file, "--json", "--socket", &id, "--at"];
    let replayed = &json(&[&at[..], &["-0s"]].concat())[0];
    for fact in [
        "wmem_queued",
        "sndbuf",
        "worst_excess",
        "ledger",
        "send_q",
        "skb_truesize",
        "mss",
        "so_sndbuf",
    ] {
        assert_eq!(replayed[fact], end[fact], "{fact}");
    }
    // Before the end, there was less; before the beginning, nothing.
    let seen = end["socket"]["seen_ns"].as_u64().unwrap();
    let early = format!("@{}", seen + 1_000_000);
    let early = &json(&[&at[..], &[&early]].concat())[0];
    assert!(early["admission"]["count"].as_u64() < end["admission"]["count"].as_u64());
    let before = skmem(&[&at[..], &[&format!("@{}", seen - 1)]].concat());
    assert_eq!(before.status.code(), Some(1), "{}", text(&before.stderr));
    let outside = skmem(&[&at[..], &["99h"]].concat());
    assert_eq!(outside.status.code(), Some(2), "{}", text(&outside.stderr));
}

#[test]
fn text_lists_and_comparisons() {
    let file = sample("v1-article.skm");
    let file = file.to_str().unwrap();
    let said = |arguments: &[&str]| {
        let output = skmem(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(said(&["report", file]).contains("3.5 × the SO_SNDBUF of 4,096"));
    let list = said(&["report", file, "--sockets", "--sort", "blocked"]);
    assert_eq!(list.lines().count(), 2, "{list}");
    let about = said(&["report", file, "--about"]);
    assert!(
        about.contains("Linux 6.12") && about.contains("lost      0"),
        "{about}"
    );
    let diff = said(&["diff", file, file]);
    assert!(diff.starts_with("About the same excess"), "{diff}");
    let diff = &json(&["diff", file, file, "--json"])[0];
    assert_eq!(diff["outcome"], "same");
    assert_eq!(diff["change"]["peak_excess"], 0);
}

#[test]
fn bad_files_are_told_in_a_line() {
    let directory = std::env::temp_dir().join(format!("skmem-recording-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let good = fs::read(sample("v1-article.skm")).unwrap();
    let file = directory.join("bad.skm");
    let path = file.to_str().unwrap().to_owned();
    let report = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let output = skmem(&["report", &path, "--all"]);
        let words = text(&output.stderr).to_owned();
        assert!(words.lines().count() <= 2, "{words}");
        (output.status.code(), words)
    };
    let mut future = good.clone();
    future[8] = 4;
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for (bytes, code, words) in [
        (&b"text\n"[..], 1, "not an skmem recording"),
        (b"", 1, "not an skmem recording"),
        (&future, 1, "format 4; this skmem reads formats up to 3"),
        (
            &good[..40],
            1,
            "nothing of it can be read: stops at byte 16",
        ),
        (&good[..good.len() - 1], 0, "the file ends within a block"),
        (&flipped, 0, "checksum wrong; "),
    ] {
        let (status, said) = report(bytes);
        assert_eq!(status, Some(code), "{said}");
        assert!(said.contains(words) && said.contains("bad.skm"), "{said}");
    }
    let missing = skmem(&["report", "no-such-file.skm"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("No such file"));
    fs::remove_dir_all(directory).unwrap();
}
