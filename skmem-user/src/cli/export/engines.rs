//! Engines beside DuckDB answer the queries of the docs, and alike.

use std::{path::Path, process::Command};

use serde_json::{Map, Value};
use skmem_common::{
    cause::{Cause, Tier},
    hook::Hook,
    receive::ReceiveView,
    receive_cause::{RcvbufCause, ReceiveCause},
    record::{FLAG_BOOKED, FLAG_LOCKLESS, Header, OP_LIMIT, Op, Receive, VERSION},
};

use super::tests::export;
use crate::{
    cli::recorded::tests::{write, write_parts},
    model::record::Record,
    testing::story::{Story, article},
};

/// The one that the others are held against comes first.
const ENGINES: &[&str] = &["DuckDB", "DataFusion", "polars", "ClickHouse", "Spark"];

/// Names that engines take for something else where they find them in a path.
const HOSTS: &[&str] = &[
    "db-1",
    "000123456789",
    "1e999999999",
    "2026-01-02",
    "größe 7/x%41",
    "NaN",
];

/// Recordings of all hosts, of two days; one run in parts, one as black boxes
/// that overlap; one with receive records; of each host also parts of a recording.
fn lake(dir: &Path) -> std::path::PathBuf {
    let lake = dir.join("lake");
    let keep = |file: &Path, part: &[&str]| {
        let to = lake.to_str().expect("a name");
        let words = ["--format", "parquet", "--partition", "host,date", "-o", to];
        export(file, &[&words, part].concat()).expect("an export");
    };
    for (n, host) in HOSTS.iter().enumerate() {
        let n = n as u64;
        let mut story = Story::new((1 << 63) + n, 10_000);
        story
            .admit()
            .written(Cause::TailRefill, 10_000 + n as i32)
            .end(Hook::SendmsgLocked)
            .sleep_us(900_000 + n);
        let mut reader = Story::new(100 + n, 10_000);
        reader.end(Hook::Ack);
        reader.records.extend(received(100 + n, reader.now + 5_000));
        let file = dir.join(format!("{n}.skm"));
        write(&file, host, &[&story, &reader, &article()]);
        keep(&file, &[]);
        // Parts of what is there as a whole.
        keep(&file, &["--socket", "17"]);
        keep(&file, &["--from", "1ms"]);
    }
    let mut long = Story::new(9, 10_000);
    long.admit()
        .written(Cause::TailRefill, 12_000)
        .end(Hook::SendmsgLocked);
    for us in [1_000, 2_000, 4_000_000] {
        long.sleep_us(us).end(Hook::SendmsgLocked);
    }
    let n = long.records.len();
    for (run, flight_ns, cuts) in [("a", 0, [0..3, 3..6, 6..n]), ("bb", 9, [0..4, 1..7, 0..n])] {
        for file in write_parts(dir, run, flight_ns, &long, &cuts) {
            keep(&file, &[]);
        }
    }
    lake
}

/// A segment that was merged into the receive queue, which moved the limit; then a message of the
/// error queue, which comes without the socket's lock and has no number.
fn received(socket: u64, time_ns: u64) -> [Record; 2] {
    let book = |cause: ReceiveCause, tier: Tier, value| Op {
        cause: cause as u8,
        tier: tier as u8,
        value,
        ..Op::default()
    };
    let limit = Op {
        kind: OP_LIMIT,
        cause: RcvbufCause::RaisedByArrival as u8,
        value: 131_072,
        ..Op::default()
    };
    let record = |hook: Hook, flags, ns, event_no, ops: [Op; 4], used| {
        let bytes: i32 = ops
            .iter()
            .filter(|op| op.kind != OP_LIMIT)
            .map(|op| op.value)
            .sum();
        Record::Receive(Receive {
            header: Header {
                len: size_of::<Receive>() as u16,
                version: VERSION,
                hook: hook as u8,
                cpu: 0,
                flags: FLAG_BOOKED | flags,
                ops: used,
            },
            time_ns: time_ns + ns,
            socket,
            event_no,
            slot: 1,
            pid: 0,
            tid: 0,
            truesize: 2_304,
            waiting: 0,
            ops,
            view: ReceiveView {
                rmem_alloc: bytes,
                rcvbuf: 131_072,
                rcv_nxt: 1_000,
                copied_seq: 1,
                window: 65_535,
                state: 1,
                ..ReceiveView::default()
            },
        })
    };
    let coalesced = [
        book(ReceiveCause::Coalesced, Tier::Observed, 999),
        book(ReceiveCause::CoalescedOverhead, Tier::Inferred, -99),
        limit,
        Op::default(),
    ];
    let error = book(ReceiveCause::ErrorQueued, Tier::Observed, 2_304);
    let error = [error, Op::default(), Op::default(), Op::default()];
    [
        record(Hook::QueueRcv, 0, 0, 3, coalesced, 3),
        record(Hook::ErrorQueue, FLAG_LOCKLESS, 1_000, 0, error, 1),
    ]
}

#[test]
#[ignore = "takes minutes and large packages: `cargo xtask test --engines`"]
fn engines_answer_alike() {
    let python = std::env::var_os("SKMEM_TEST_ENGINES").expect(
        "SKMEM_TEST_ENGINES, the Python that has them: `cargo xtask test --engines` sets it",
    );
    let dir = tempfile::tempdir().expect("a directory");
    let lake = lake(dir.path());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut first: Option<Map<String, Value>> = None;
    let mut different = Vec::new();
    for engine in ENGINES {
        let output = Command::new(&python)
            .arg(format!("{root}/skmem-user/tests/engines/ask.py"))
            .arg(engine)
            .arg(&lake)
            .arg(format!("{root}/docs"))
            .current_dir(dir.path())
            .output()
            .expect("Python");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{engine}: {said}");
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().expect("an answer");
        let answers: Map<String, Value> = serde_json::from_str(last).expect("JSON");
        assert!(answers.len() >= 10, "{engine}: {answers:?}");
        let Some(first) = &first else {
            for (name, rows) in &answers {
                assert!(
                    rows.as_array().is_some_and(|r| !r.is_empty()),
                    "{name}: {rows}"
                );
            }
            first = Some(answers);
            continue;
        };
        for (name, rows) in first {
            if answers.get(name) != Some(rows) {
                different.push(format!(
                    "{engine}, {name}: {:?}\nnot {rows}",
                    answers.get(name)
                ));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
