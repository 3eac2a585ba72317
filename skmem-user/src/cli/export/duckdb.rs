//! DuckDB reads a fleet's recordings, and answers the queries of the docs.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use skmem_common::{cause::Cause, hook::Hook};

use super::tests::export;
use crate::{
    cli::recorded::tests::write,
    model::timeline::tests::story::{O, Story, article},
};

/// Reads a query from its argument, prints the rows as JSON.
const ASK: &str = r#"
import duckdb, json, sys
db = duckdb.connect()
lake = sys.argv[1]
for table in ("events", "sockets"):
    db.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{lake}/{table}/**/*.parquet', hive_partitioning = true)")
rows = db.execute(f"SELECT CAST(to_json(answer) AS VARCHAR) FROM ({sys.argv[2]}) answer")
print(json.dumps([json.loads(row[0]) for row in rows.fetchall()]))
"#;

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

    let worst = ask(
        &lake,
        include_str!("../../../../docs/queries/worst-offenders.sql"),
    );
    let told: Vec<_> = worst
        .iter()
        .map(|r| (&r["host"], &r["worst_excess"], &r["cause"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("db-1"), &json!(5_296), &json!("tail-append")),
            (&json!("web/2"), &json!(1_000 + O), &json!("tail-refill")),
            (&json!("web/2"), &json!(O), &json!("tail-refill")),
        ]
    );

    let causes = ask(
        &lake,
        include_str!("../../../../docs/queries/dominant-cause.sql"),
    );
    assert_eq!(causes.len(), 2);
    assert_eq!(causes[0]["cause"], "tail-refill");
    assert_eq!(causes[0]["sockets"], 2);
    assert_eq!(causes[0]["hosts"], 1);
    assert_eq!(causes[0]["bytes"].to_string().trim_matches('"'), "21000");

    let blocked = ask(
        &lake,
        include_str!("../../../../docs/queries/blocked-by-service.sql"),
    );
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0]["service"], "client");
    assert_eq!(blocked[0]["hosts"], 2);
    let slept = blocked[0]["blocked_s"].as_f64().expect("a number");
    assert!((slept - 2.900_03).abs() < 1e-6, "{slept}");
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
