//! What `--json` prints against the schema that `skmem schema` prints, where no eBPF is needed for
//! it. What needs that is among the trials of the VM.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use serde_json::Value;

#[path = "support/schema.rs"]
mod schema;

const RECORDING: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/recordings/v1-article.skm"
);

/// What it prints; its exit status may say that this machine cannot trace.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_skmem"))
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!text.is_empty(), "{arguments:?}: {error}");
    text
}

fn described(what: &str) -> Value {
    serde_json::from_str(&printed(&["schema", what])).unwrap()
}

/// One object, or a list.
fn whole(what: &str, arguments: &[&str]) {
    let value = serde_json::from_str(&printed(arguments)).unwrap();
    schema::keeps(&value, &described(what), &arguments.join(" "));
}

/// An object a line.
fn lines(what: &str, arguments: &[&str]) {
    let described = described(what);
    for line in printed(arguments).lines() {
        let value = serde_json::from_str(line).unwrap();
        schema::keeps(&value, &described, &arguments.join(" "));
    }
}

#[test]
fn of_a_recording() {
    lines("report", &["report", RECORDING, "--json", "--all"]);
    lines("report", &["report", RECORDING, "--json", "--sockets"]);
    lines("report", &["report", RECORDING, "--json", "--about"]);
    lines("explain", &["report", RECORDING, "--json"]);
    lines("diff", &["diff", RECORDING, RECORDING, "--json"]);
    lines("export", &["export", RECORDING, "-f", "json", "-o", "-"]);
}

#[test]
fn of_lists() {
    whole("causes", &["causes", "--json"]);
    whole("demo", &["demo", "--list", "--json"]);
    whole(
        "demo",
        &["demo", "blocking-writer", "--list-fixes", "--json"],
    );
    whole("doctor", &["doctor", "--json"]);
    whole("why", &["why", "127.0.0.1", "--no-trace", "--json"]);
}

#[test]
#[should_panic(expected = "not valid under any")]
fn what_is_not_declared_is_found() {
    let mut verdicts: Value =
        serde_json::from_str(&printed(&["report", RECORDING, "--json"])).unwrap();
    verdicts["admission"]["more"] = 1.into();
    schema::keeps(&verdicts, &described("explain"), "a verdict with more");
}
