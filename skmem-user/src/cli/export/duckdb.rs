//! DuckDB reads a fleet's recordings, and answers the queries of the docs.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use skmem_common::{cause::Cause, hook::Hook};

use super::tests::export;
use crate::{
    cli::recorded::tests::{write, write_parts},
    testing::story::{O, Story, article},
};

/// Reads a query from its argument, prints the rows as JSON.
const ASK: &str = r#"
import duckdb, json, sys
db = duckdb.connect()
lake = sys.argv[1]
for table in ("events", "receives", "sockets"):
    db.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{lake}/{table}/**/*.parquet')")
rows = db.execute(f"SELECT CAST(to_json(answer) AS VARCHAR) FROM ({sys.argv[2]}) answer")
print(json.dumps([json.loads(row[0]) for row in rows.fetchall()]))
"#;

const WORST: &str = include_str!("../../../../docs/queries/worst-offenders.sql");
const CAUSE: &str = include_str!("../../../../docs/queries/dominant-cause.sql");
const BLOCKED: &str = include_str!("../../../../docs/queries/blocked-by-service.sql");
const READERS: &str = include_str!("../../../../docs/queries/slow-readers.sql");
const BY_DAY: &str = include_str!("../../../../docs/queries/causes-by-day.sql");
const RECEIVED_BY_DAY: &str = include_str!("../../../../docs/queries/receive-causes-by-day.sql");
const BEFORE_AFTER: &str = include_str!("../../../../docs/queries/before-after.sql");

fn ask(lake: &Path, query: &str) -> Vec<Value> {
    let python = std::env::var_os("SKMEM_TEST_DUCKDB")
        .expect("SKMEM_TEST_DUCKDB, the Python that has DuckDB: `cargo xtask test --host` sets it");
    let output = Command::new(python)
        .args(["-c", ASK])
        .arg(lake)
        .arg(query)
        .output()
        .expect("Python");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{query}\n{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Three recordings of two hosts: the article's on one; on the other a socket
/// that is over by less, twice, and one that is not over.
fn lake(dir: &Path) -> std::path::PathBuf {
    let lake = dir.join("lake");
    let mut refill = Story::new(4, 10_000);
    refill
        .admit()
        .written(Cause::TailRefill, 10_000)
        .end(Hook::SendmsgLocked)
        .sleep_us(2_000_000);
    let mut again = Story::new(5, 10_000);
    again
        .wait_us(10)
        .admit()
        .written(Cause::TailRefill, 11_000)
        .end(Hook::SendmsgLocked)
        .sleep_us(500_000);
    let mut calm = Story::new(6, 100_000);
    calm.admit().end(Hook::SendmsgLocked);
    let recordings: [(&str, &str, &[&Story]); 3] = [
        ("a.skm", "db-1", &[&article()]),
        ("b.skm", "web/2", &[&refill, &calm]),
        ("c.skm", "web/2", &[&again]),
    ];
    for (name, host, stories) in recordings {
        let file = dir.join(name);
        write(&file, host, stories);
        let to = lake.to_str().expect("a name");
        let words = ["--format", "parquet", "--partition", "host,date", "-o", to];
        export(&file, &words).expect("an export");
    }
    lake
}

#[test]
fn the_queries_of_the_docs_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let lake = lake(dir.path());

    let worst = ask(&lake, WORST);
    let found: Vec<_> = worst
        .iter()
        .map(|r| (&r["host"], &r["worst_excess"], &r["cause"]))
        .collect();
    assert_eq!(
        found,
        [
            (&json!("db-1"), &json!(5_296), &json!("tail-append")),
            (&json!("web/2"), &json!(1_000 + O), &json!("tail-refill")),
            (&json!("web/2"), &json!(O), &json!("tail-refill")),
        ]
    );

    let causes = ask(&lake, CAUSE);
    assert_eq!(causes.len(), 2);
    assert_eq!(causes[0]["cause"], "tail-refill");
    assert_eq!(causes[0]["sockets"], 2);
    assert_eq!(causes[0]["hosts"], 1);
    assert_eq!(causes[0]["bytes"].to_string().trim_matches('"'), "21000");

    let blocked = ask(&lake, BLOCKED);
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0]["service"], "client");
    assert_eq!(blocked[0]["hosts"], 2);
    let slept = blocked[0]["blocked_s"].as_f64().expect("a number");
    assert!((slept - 2.900_03).abs() < 1e-6, "{slept}");

    let booked = ask(&lake, BY_DAY);
    let refills = booked.iter().filter(|r| r["cause"] == "tail-refill");
    let refills: Vec<_> = refills
        .map(|r| r["bytes"].to_string().trim_matches('"').to_owned())
        .collect();
    // 21,000 of the refills, the rest of the article's.
    assert_eq!(refills, ["26120"]);

    let periods = ask(&lake, BEFORE_AFTER);
    let period: Vec<_> = periods.iter().map(|r| &r["period"]).collect();
    assert_eq!(period, ["before"]);
    assert_eq!(periods[0]["sockets"], 4);
    assert_eq!(ask(&lake, READERS), Vec::<Value>::new());
}

#[test]
fn parts_and_black_boxes_count_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut story = Story::new(9, 10_000);
    story
        .admit()
        .written(Cause::TailRefill, 10_000)
        .end(Hook::SendmsgLocked);
    for us in [1_000_000, 2_000_000, 4_000_000] {
        story.sleep_us(us).end(Hook::SendmsgLocked);
    }
    let n = story.records.len();
    for (name, flight_ns, cuts) in [
        ("rotated", 0, [0..3, 3..6, 6..n]),
        ("flight", 1_000, [0..4, 1..7, 0..n]),
    ] {
        let lake = dir.path().join(name);
        for run in ["", "a-run"] {
            for part in write_parts(dir.path(), run, flight_ns, &story, &cuts) {
                let to = lake.to_str().expect("a name");
                let words = ["--format", "parquet", "--partition", "host,date", "-o", to];
                export(&part, &words).expect("an export");
            }
        }
        // One socket in each of the two runs.
        let blocked = ask(&lake, BLOCKED);
        let of = |name: &str| blocked[0][name].to_string().trim_matches('"').to_owned();
        assert_eq!((of("sockets"), of("all_sleeps")), ("2".into(), "6".into()));
        let slept = blocked[0]["blocked_s"].as_f64().expect("a number");
        assert!((slept - 14.000_06).abs() < 1e-6, "{name}: {slept}");
        let causes = ask(&lake, CAUSE);
        assert_eq!((causes.len(), &causes[0]["sockets"]), (1, &json!(2)));
        assert_eq!(ask(&lake, WORST).len(), 2, "{name}");
        let booked = ask(&lake, BY_DAY);
        let refills = booked.iter().filter(|r| r["cause"] == "tail-refill");
        let refills: Vec<_> = refills
            .map(|r| r["bytes"].to_string().trim_matches('"').to_owned())
            .collect();
        assert_eq!(refills, ["20000"], "{name}");
        let events = ask(
            &lake,
            "SELECT COUNT(*) AS n, SUM(slept_ns) AS ns
             FROM (SELECT DISTINCT run, socket, event_no, time_ns, slept_ns FROM events
                   WHERE slept_ns IS NOT NULL)",
        );
        assert_eq!(events[0]["n"], 6, "{name}");
        assert_eq!(events[0]["ns"].to_string().trim_matches('"'), "14000060000");
    }
}

#[test]
fn a_recording_and_parts_of_it_count_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let alone = lake(dir.path());
    let queries = [
        WORST,
        CAUSE,
        BLOCKED,
        READERS,
        BY_DAY,
        RECEIVED_BY_DAY,
        BEFORE_AFTER,
    ];
    let answers = queries.map(|query| ask(&alone, query));
    let rows = |lake: &Path| ask(lake, "SELECT COUNT(*) AS n FROM events")[0]["n"].as_u64();
    let before = rows(&alone);
    let to = alone.to_str().expect("a name");
    let words = ["--format", "parquet", "--partition", "host,date", "-o", to];
    for part in [
        &["--socket", "17"][..],
        &["--dport", "5001"],
        &["--from", "0.1s"],
        &["--to", "0.4s"],
    ] {
        for file in ["a.skm", "b.skm"] {
            let of_both = part[0] != "--socket" || file == "a.skm";
            if of_both {
                export(&dir.path().join(file), &[&words[..], part].concat()).expect("an export");
            }
        }
    }
    assert!(rows(&alone) > before.map(|n| 2 * n));
    for (query, alone_says) in queries.iter().zip(answers) {
        assert_eq!(ask(&alone, query), alone_says, "{query}");
    }
}

#[test]
fn every_byte_is_in_the_events() {
    let dir = tempfile::tempdir().expect("a directory");
    let lake = lake(dir.path());
    // Of each socket: what was booked, and what the last event says is queued.
    let sums = ask(
        &lake,
        "WITH booked AS (
             SELECT recording, socket, SUM(op.bytes) AS bytes
             FROM (SELECT recording, socket, UNNEST(ops) AS op FROM events)
             WHERE op.op = 'book' GROUP BY recording, socket)
         SELECT socket, bytes, ARG_MAX(wmem_queued, event_no) AS queued
         FROM events JOIN booked USING (recording, socket)
         GROUP BY socket, bytes ORDER BY socket",
    );
    assert_eq!(sums.len(), 4);
    for row in &sums {
        assert_eq!(
            row["bytes"].to_string().trim_matches('"'),
            row["queued"].to_string()
        );
    }
    let types = ask(
        &lake,
        "SELECT column_name, data_type AS column_type FROM information_schema.columns WHERE table_name = 'events'",
    );
    let of = |name: &str| {
        let row = types.iter().find(|r| r["column_name"] == name);
        row.map(|r| r["column_type"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(of("time").as_deref(), Some("TIMESTAMP WITH TIME ZONE"));
    assert_eq!(of("socket").as_deref(), Some("UBIGINT"));
    assert_eq!(of("date").as_deref(), Some("DATE"));
}

#[test]
fn every_byte_is_in_the_receives() {
    let dir = tempfile::tempdir().expect("a directory");
    let lake = dir.path().join("lake");
    let sampled = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/recordings/v2-error-queue.skm"
    );
    let to = lake.to_str().expect("a name");
    export(
        Path::new(sampled),
        &["--format", "parquet", "--partition", "date", "-o", to],
    )
    .expect("an export");
    // One socket's error queue is left full, the other's receive buffer is read empty.
    let number = |row: &Value, name: &str| row[name].to_string().trim_matches('"').to_owned();
    let sums = ask(
        &lake,
        "WITH booked AS (
             SELECT socket, SUM(op.bytes) AS bytes
             FROM (SELECT socket, UNNEST(ops) AS op FROM receives)
             WHERE op.op = 'book' GROUP BY socket)
         SELECT socket, bytes, ARG_MAX(rmem_alloc, time_ns) AS held
         FROM receives JOIN booked USING (socket)
         GROUP BY socket, bytes ORDER BY socket",
    );
    let of = |name| sums.iter().map(|row| number(row, name)).collect::<Vec<_>>();
    assert_eq!(of("bytes"), ["79572", "0"]);
    assert_eq!(of("bytes"), of("held"));
    let causes = ask(&lake, RECEIVED_BY_DAY);
    let causes: Vec<_> = causes
        .iter()
        .map(|row| {
            (
                row["cause"].as_str().unwrap_or_default(),
                number(row, "bytes"),
            )
        })
        .collect();
    let expected = [
        ("in-order-overhead", "180096"),
        ("in-order", "107240"),
        ("error-queued", "79572"),
        ("read", "-287336"),
    ];
    assert_eq!(
        causes,
        expected.map(|(cause, bytes)| (cause, bytes.to_owned()))
    );
}
