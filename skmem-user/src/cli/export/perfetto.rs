//! Perfetto's trace processor loads both traces, as its UI does, and has what
//! the table of events has.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use skmem_common::hook::Hook;

use super::tests::{export, rows};
use crate::{
    cli::recorded::tests::write,
    testing::story::{Story, article},
};

/// Rows of each query; numbers stay below 2⁵³.
fn ask(trace: &Path, queries: &[&str]) -> Vec<Vec<Value>> {
    let of = |name| {
        std::env::var_os(name).unwrap_or_else(|| panic!("{name}: `cargo xtask test` sets it"))
    };
    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/cli/export/trace_processor.js"
    );
    let output = Command::new(of("SKMEM_TEST_NODE"))
        .arg(program)
        .arg(of("SKMEM_TEST_PERFETTO"))
        .arg(trace)
        .args(queries)
        .output()
        .expect("Node.js");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

const ERRORS: &str =
    "SELECT name, value FROM stats WHERE severity IN ('error', 'data_loss') AND value > 0";
const SLICES: &str = "SELECT s.name, COUNT(*) AS n, SUM(s.dur) AS ns, MIN(s.dur) AS shortest
    FROM slice s GROUP BY s.name ORDER BY s.name";
/// Sleeps that have ended in the recording: each is in a row of events.
const ENDED: &str = "SELECT SUM(dur) AS ns FROM slice
    WHERE name LIKE 'blocked%'
    AND 'yes' IN (EXTRACT_ARG(arg_set_id, 'debug.ended'), EXTRACT_ARG(arg_set_id, 'args.ended'))";
const COUNTERS: &str = "SELECT t.name, c.ts, CAST(c.value AS INT) AS value
    FROM counter c JOIN counter_track t ON c.track_id = t.id ORDER BY t.name, c.ts, c.id";

/// Values that follow each other, each once.
fn moves(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut all: Vec<i64> = values.collect();
    all.dedup();
    all
}

#[test]
fn the_trace_processor_has_all_slices_and_counters() {
    let dir = tempfile::tempdir().expect("a directory");
    let recording = dir.path().join("a.skm");
    // Sixty skbs at a time, with a sleep now and then.
    let mut busy = Story::new(3, 50_000);
    for n in 0..60 {
        busy.admit()
            .written(skmem_common::cause::Cause::FirstFill, 700 + n)
            .end(Hook::SendmsgLocked);
        if n % 20 == 9 {
            busy.sleep_us(1_000);
        }
    }
    write(&recording, "db-1", &[&busy, &article()]);
    let sampled = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/recordings/v1-article.skm"
    );
    for (n, file) in [recording.as_path(), Path::new(sampled)]
        .into_iter()
        .enumerate()
    {
        let to = |name: &str| dir.path().join(format!("{n}{name}"));
        let make = |format: &str, name: &str| {
            let path = to(name);
            let words = ["--format", format, "-o", path.to_str().expect("a name")];
            export(file, &words).expect("an export");
            path
        };
        let events = rows(&make("csv", ".csv"));
        let native = ask(
            &make("perfetto", ".pftrace"),
            &[ERRORS, SLICES, COUNTERS, ENDED],
        );
        let plain = to("plain.pftrace");
        let words = ["--format", "perfetto", "--uncompressed", "-o"];
        let words = [&words[..], &[plain.to_str().expect("a name")]].concat();
        export(file, &words).expect("an export");
        let plain = ask(&plain, &[ERRORS, SLICES, COUNTERS, ENDED]);
        assert_eq!(native, plain);
        let chrome = ask(&make("chrome", ".json"), &[ERRORS, SLICES, COUNTERS, ENDED]);
        assert_eq!(native[0], Vec::<Value>::new());
        assert_eq!(chrome[0], Vec::<Value>::new());
        let counts = |slices: &[Value]| {
            let of = |s: &Value| json!([s["name"], s["n"]]);
            slices.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(counts(&native[1]), counts(&chrome[1]));
        assert_ne!(native[1].len(), 0);
        // None is unfinished.
        assert!(native[1].iter().all(|s| s["shortest"].as_i64() >= Some(0)));
        let slept: i64 = events
            .iter()
            .filter_map(|e| e["slept_ns"].parse::<i64>().ok())
            .sum();
        for trace in [&native, &chrome] {
            assert_eq!(trace[3][0]["ns"].as_i64().unwrap_or(0), slept);
        }
        // One socket alone: the tracks of several have the same names.
        for socket in ["3", "17"] {
            if !events.iter().any(|e| e["socket"] == socket) {
                continue;
            }
            let path = to(&format!("{socket}.pftrace"));
            let words = ["--format", "perfetto", "--socket", socket, "-o"];
            let words = [&words[..], &[path.to_str().expect("a name")]].concat();
            export(file, &words).expect("an export");
            let counters = ask(&path, &[COUNTERS]).remove(0);
            let own = || {
                events
                    .iter()
                    .filter(|e| e["socket"] == socket && e["lockless"] == "false")
            };
            for name in [
                "wmem_queued",
                "sndbuf",
                "send_q",
                "forward_alloc",
                "wmem_alloc",
            ] {
                let traced = counters.iter().filter(|c| c["name"] == name);
                let traced = moves(traced.filter_map(|c| c["value"].as_i64()));
                let listed = moves(own().filter_map(|e| e[name].parse().ok()));
                // The trace has every step of a call, the table its end.
                let mut steps = traced.iter();
                for value in &listed {
                    assert!(
                        steps.any(|step| step == value),
                        "{name} {value}: {traced:?}"
                    );
                }
            }
        }
    }
}
