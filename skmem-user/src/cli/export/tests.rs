//! A recording made by hand, in all forms, read back.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::Parser;
use prost::Message as _;
use skmem_common::{cause::Cause, hook::Hook};

use super::{Options, run};
use crate::{
    cli::recorded::tests::{write, write_parts},
    model::record::Record,
    render::export::{
        events::EVENTS,
        perfetto_messages::{
            CLOCK_MONOTONIC, COUNTER, Data, SEQUENCE_CLOCK, SLICE_BEGIN, SLICE_END, Trace,
            TrackEventDefaults,
        },
        receives::RECEIVES,
        sockets::SOCKETS,
    },
    testing::story::{START, Story, article},
};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// Runs `skmem export FILE WORDS…`.
pub(super) fn export(file: &Path, words: &[&str]) -> anyhow::Result<()> {
    let line = ["export", file.to_str().expect("a name")];
    let line = Line::try_parse_from(line.iter().chain(words))?;
    run(&line.options).map(drop)
}

struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    /// Two sockets, one of them the article's.
    fn new() -> Self {
        let case = Self {
            dir: tempfile::tempdir().expect("a directory"),
        };
        let mut calm = Story::new(18, 100_000);
        calm.admit()
            .written(Cause::FirstFill, 100)
            .end(Hook::SendmsgLocked);
        write(&case.path("a.skm"), "db-1", &[&article(), &calm]);
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn export(&self, to: &str, words: &[&str]) -> PathBuf {
        let to = self.path(to);
        let words = [words, &["-o", to.to_str().expect("a name")]].concat();
        export(&self.path("a.skm"), &words).expect("an export");
        to
    }
}

#[test]
fn csv_has_all_columns_and_all_events() {
    let case = Case::new();
    let events = case.export("e.csv", &["--format", "csv"]);
    let mut csv = csv::Reader::from_path(&events).expect("CSV");
    let names: Vec<_> = EVENTS.columns.iter().map(|c| c.name).collect();
    assert_eq!(csv.headers().expect("names"), names);
    let rows: Vec<HashMap<String, String>> = csv.deserialize().map(|r| r.expect("a row")).collect();
    let events = article().records.len() - 1 + 1;
    assert_eq!(rows.len(), events);
    let slept: Vec<_> = rows.iter().filter(|r| !r["slept_ns"].is_empty()).collect();
    assert_eq!(slept.len(), 1);
    assert_eq!(slept[0]["slept_ns"], "400010000");
    assert_eq!(slept[0]["wait_reason"], "limit");
    assert!(rows.iter().any(|r| r["ops"] == "tail-append:+1024"));
    assert!(
        rows.iter()
            .any(|r| r["ops"] == "limit=16384(set-by-application)")
    );
    // The second before midnight has gone by.
    let days: Vec<_> = rows.iter().map(|r| r["date"].as_str()).collect();
    assert!(days.contains(&"2026-11-23") && !days.contains(&"2026-11-25"));
    assert_eq!(
        rows[0]["time"].as_str().split('T').next(),
        Some("2026-11-23")
    );

    let sockets = case.export("s.csv", &["--format", "csv", "--table", "sockets"]);
    let mut csv = csv::Reader::from_path(&sockets).expect("CSV");
    let names: Vec<_> = SOCKETS.columns.iter().map(|c| c.name).collect();
    assert_eq!(csv.headers().expect("names"), names);
    let rows: Vec<HashMap<String, String>> = csv.deserialize().map(|r| r.expect("a row")).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["socket"], "17");
    assert_eq!(rows[0]["worst_excess"], "5296");
    assert_eq!(rows[0]["cause"], "tail-append");
    assert_eq!(rows[0]["blocked_ns"], "400010000");
    assert_eq!(rows[0]["host"], "db-1");
    assert_eq!(rows[1]["over_limit"], "false");
    assert_eq!(rows[1]["cause"], "");
    assert!(rows[0]["verdict"].ends_with('.'), "{}", rows[0]["verdict"]);
}

/// A socket with three sleeps, in files that are cut within the second and the
/// third.
fn three_sleeps() -> (Story, Vec<usize>) {
    let mut story = Story::new(9, 10_000);
    story.admit().end(Hook::SendmsgLocked);
    for us in [1_000, 20_000, 300_000] {
        story.sleep_us(us).end(Hook::SendmsgLocked);
    }
    let begins = |r: &Record| matches!(r, Record::Event(e) if e.kind == 1);
    let cuts = (0..story.records.len()).filter(|n| begins(&story.records[*n]));
    let cuts = cuts.map(|n| n + 1).collect();
    (story, cuts)
}

pub(super) fn rows(file: &Path) -> Vec<HashMap<String, String>> {
    let mut csv = csv::Reader::from_path(file).expect("CSV");
    csv.deserialize().map(|r| r.expect("a row")).collect()
}

#[test]
fn a_sleep_over_two_parts_is_in_one_row() {
    let (story, cuts) = three_sleeps();
    let (dir, all) = (
        tempfile::tempdir().expect("a directory"),
        story.records.len(),
    );
    for run in ["a-run", ""] {
        let cuts = [0..cuts[1], cuts[1]..cuts[2], cuts[2]..all];
        let parts = write_parts(dir.path(), run, 0, &story, &cuts);
        let (mut slept, mut accounts) = (Vec::new(), Vec::new());
        for (n, part) in parts.iter().enumerate() {
            let to = dir.path().join("rows.csv");
            let path = to.to_str().expect("a name");
            export(part, &["--format", "csv", "--force", "-o", path]).expect("events");
            for row in rows(&to) {
                assert_eq!(row["part"], (n + 1).to_string());
                assert_eq!(row["lost_before"], "0");
                assert!(row["wait_reason"].is_empty() || !row["slept_ns"].is_empty());
                slept.extend(row["slept_ns"].parse::<u64>());
            }
            let words = [
                "--format", "csv", "--table", "sockets", "--force", "-o", path,
            ];
            export(part, &words).expect("sockets");
            let row = rows(&to).remove(0);
            let of = |name: &str| row[name].parse::<u64>().expect(name);
            accounts.push((of("sleeps"), of("sleeps_before"), of("blocked_ns_before")));
        }
        assert_eq!(slept, [1_010_000, 20_010_000, 300_010_000], "{run}");
        assert_eq!(accounts[0], (2, 0, 0));
        assert_eq!((accounts[1].0, accounts[1].1), (3, 2));
        assert_eq!(accounts[1].2, 1_010_000);
        assert_eq!((accounts[2].0, accounts[2].1), (3, 3));
    }
}

#[test]
fn files_of_one_run_have_names_of_their_own() {
    let (story, cuts) = three_sleeps();
    let dir = tempfile::tempdir().expect("a directory");
    for run in ["a-run", ""] {
        let cuts = [0..cuts[0], 0..cuts[1], 0..cuts[2]];
        let mut names = Vec::new();
        for part in write_parts(dir.path(), run, 1_000_000, &story, &cuts) {
            let to = dir.path().join("rows.csv");
            let path = to.to_str().expect("a name");
            export(&part, &["--format", "csv", "--force", "-o", path]).expect("events");
            let row = rows(&to).remove(0);
            names.push((row["recording"].clone(), row["run"].clone()));
        }
        assert!(names.iter().all(|(_, run)| *run == names[0].1));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 3, "{names:?}");
    }
}

#[test]
fn parts_have_names_of_their_own_and_the_run_of_the_whole() {
    let case = Case::new();
    let named = |file: &str, words: &[&str]| {
        let to = case.path("rows.csv");
        let path = to.to_str().expect("a name");
        let words = [words, &["--format", "csv", "--force", "-o", path]].concat();
        export(&case.path(file), &words).expect("events");
        let row = rows(&to).remove(0);
        (row["run"].clone(), row["recording"].clone())
    };
    let (run, whole) = named("a.skm", &[]);
    let mut names = vec![whole.clone()];
    for words in [
        &["--socket", "17"][..],
        &["--socket", "18"],
        &["--from", "1ms"],
        &["--from", "2ms"],
        &["--from", "1ms", "--socket", "17"],
    ] {
        let (of, name) = named("a.skm", words);
        assert_eq!(of, run);
        assert!(name.starts_with(&format!("{whole}-selected-")), "{name}");
        // The same by way of a recording that holds the part.
        let part = case.export(
            "part.skm",
            &[words, &["--format", "skm", "--force"]].concat(),
        );
        assert_eq!(
            named("part.skm", &[]),
            (of, name.clone()),
            "{}",
            part.display()
        );
        names.push(name);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 6, "{names:?}");
    let head = case.export("a.jsonl", &["--format", "json", "--socket", "17"]);
    let head = fs::read_to_string(head).expect("text");
    let head: serde_json::Value =
        serde_json::from_str(head.lines().next().expect("a line")).expect("JSON");
    assert_eq!(head["selected"][0]["filters"][0][0], "socket");
    assert_eq!(head["selected"][0]["of"], 2);
}

#[test]
fn numbers_of_lost_records_are_told() {
    let (mut story, _) = three_sleeps();
    story.records.drain(3..5);
    let dir = tempfile::tempdir().expect("a directory");
    let (file, to) = (dir.path().join("a.skm"), dir.path().join("a.csv"));
    write(&file, "h", &[&story]);
    let path = to.to_str().expect("a name");
    export(&file, &["--format", "csv", "-o", path]).expect("events");
    let lost: Vec<_> = rows(&to).iter().map(|r| r["lost_before"].clone()).collect();
    assert_eq!(lost.iter().filter(|n| *n == "2").count(), 1, "{lost:?}");
    assert!(lost.iter().all(|n| n == "0" || n == "2"));
}

#[test]
fn json_is_a_valid_object_a_line() {
    let case = Case::new();
    let file = case.export("a.jsonl", &["--format", "json"]);
    let text = fs::read_to_string(file).expect("text");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    let kinds = |kind: &str| lines.iter().filter(|l| l["type"] == kind).count();
    assert_eq!(lines[0]["type"], "recording");
    assert_eq!(kinds("socket"), 2);
    assert_eq!(kinds("event") + 3, lines.len());
    let worst = lines.iter().find(|l| l["type"] == "socket").expect("one");
    assert_eq!(worst["worst_excess"], 5296);
}

type Counters = HashMap<String, Vec<i64>>;
type Slices = HashMap<String, Vec<(String, u64, u64)>>;

/// Values of each counter and slices (name, from, to) by track, by the name of
/// the track's group and its own: as a reader of the format takes them together.
fn decoded(file: &Path) -> (Counters, Slices) {
    let trace = Trace::decode(&*fs::read(file).expect("a file")).expect("a trace");
    let mut tracks: HashMap<u64, String> = HashMap::new();
    let mut sequences: HashMap<u32, Sequence> = HashMap::new();
    let mut counters = Counters::new();
    let mut slices = Slices::new();
    for packet in &trace.packet {
        let id = packet.trusted_packet_sequence_id.expect("a sequence");
        let sequence = sequences.entry(id).or_default();
        if let Some(defaults) = &packet.trace_packet_defaults {
            assert_eq!(defaults.timestamp_clock_id, Some(SEQUENCE_CLOCK));
            sequence.tracks = defaults.track_event_defaults.clone().unwrap_or_default();
        }
        if let Some(new) = &packet.interned_data {
            let names = new.event_names.iter().cloned();
            sequence.names.extend(names.map(|n| (n.iid, n.name)));
        }
        match &packet.data {
            Some(Data::ClockSnapshot(snapshot)) => {
                let own = snapshot
                    .clocks
                    .iter()
                    .find(|c| c.is_incremental == Some(true));
                sequence.clock_ns = own.and_then(|c| c.timestamp).unwrap_or(0);
            }
            Some(Data::TrackDescriptor(d)) => {
                let own = d.name.clone().expect("a name");
                let name = match d.parent_uuid {
                    Some(parent) => format!("{}/{own}", tracks[&parent]),
                    None => own,
                };
                tracks.insert(d.uuid.expect("a number"), name);
            }
            Some(Data::TrackEvent(event)) => {
                let time = packet.timestamp.expect("a time");
                let at = if packet.timestamp_clock_id == Some(CLOCK_MONOTONIC) {
                    time
                } else {
                    sequence.clock_ns += time;
                    sequence.clock_ns
                };
                // A track is described before it is used.
                let track = event.track_uuid.or(sequence.tracks.track_uuid);
                let track = tracks[&track.expect("a track")].clone();
                match event.kind.expect("a kind") {
                    COUNTER => {
                        counters
                            .entry(track)
                            .or_default()
                            .extend(event.counter_value);
                        let mut extra = &event.extra_counter_track_uuids;
                        if extra.is_empty() {
                            extra = &sequence.tracks.extra_counter_track_uuids;
                        }
                        for (uuid, value) in extra.iter().zip(&event.extra_counter_values) {
                            let of = counters.entry(tracks[uuid].clone()).or_default();
                            of.push(*value);
                        }
                    }
                    SLICE_BEGIN => {
                        let name = sequence.names[&event.name_iid].clone().expect("a name");
                        slices.entry(track).or_default().push((name, at, 0));
                    }
                    SLICE_END => {
                        let list = slices.get_mut(&track).expect("a slice");
                        list.last_mut().expect("a slice").2 = at;
                    }
                    _ => {}
                }
            }
            None => {}
        }
    }
    // A counter that has not moved may be written again.
    counters.values_mut().for_each(Vec::dedup);
    (counters, slices)
}

#[derive(Default)]
struct Sequence {
    clock_ns: u64,
    tracks: TrackEventDefaults,
    names: HashMap<Option<u64>, Option<String>>,
}

#[test]
fn perfetto_has_counters_sleeps_and_lives() {
    let case = Case::new();
    let file = case.export(
        "a.pftrace",
        &["--format", "perfetto", "--uncompressed", "--socket", "17"],
    );
    let (counters, slices) = decoded(&file);
    let group = "10.0.0.1:40000>10.0.0.2:5001  client (pid 123)";
    let of = |name: &str| counters[&format!("{group}/{name}")].clone();
    assert_eq!(of("wmem_queued").iter().max(), Some(&13_488));
    assert_eq!(of("excess").iter().max(), Some(&5_296));
    assert_eq!(of("sndbuf"), [8_192, 16_384]);
    assert_eq!(of("wmem_alloc"), [0, 4_352, 0]);
    let blocked = &slices[&format!("{group}/blocked, thread 123")];
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0].2 - blocked[0].1, 400_010_000);
    let skbs = &slices[&format!("{group}/skbs, from admission to ACK")];
    assert_eq!(skbs.len(), 2);
    assert!(
        skbs.iter()
            .all(|(_, from, to)| from >= &START && to >= from)
    );
    assert!(!counters.keys().any(|k| k.contains("socket 18")));
}

#[test]
fn chrome_is_json_with_the_same() {
    let case = Case::new();
    let file = case.export("a.json", &["--format", "chrome"]);
    let trace: serde_json::Value =
        serde_json::from_slice(&fs::read(file).expect("a file")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let most = events
        .iter()
        .filter(|e| e["ph"] == "C" && e["name"] == "wmem_queued")
        .filter_map(|e| e["args"]["bytes"].as_i64())
        .max();
    assert_eq!(most, Some(13_488));
    let slept = events
        .iter()
        .find(|e| e["ph"] == "X" && e["name"].as_str().is_some_and(|n| n.starts_with("blocked")));
    assert_eq!(slept.expect("a sleep")["dur"], 400_010.0);
    let tid = |e: &serde_json::Value| e["tid"].as_u64();
    assert!(events.iter().filter_map(tid).all(|n| n < 1 << 32));
    // Marks have a track of their own.
    let marks: Vec<_> = events.iter().filter(|e| e["ph"] == "i").collect();
    let slices = || events.iter().filter(|e| e["ph"] == "X");
    assert!(!marks.is_empty());
    assert!(marks.iter().all(|m| slices().all(|s| tid(s) != tid(m))));
}

#[cfg(feature = "parquet")]
mod columnar {
    use arrow_array::{Array as _, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::render::export::{Table, columnar::schema};

    pub(super) fn read(file: &Path) -> Vec<RecordBatch> {
        let file = fs::File::open(file).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        let reader = reader.build().expect("Parquet");
        reader.map(|batch| batch.expect("a batch")).collect()
    }

    fn of<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> &'a T {
        let column = batch.column_by_name(name).expect(name);
        column.as_any().downcast_ref().expect(name)
    }

    #[test]
    fn parquet_reads_back_to_the_byte() {
        let case = Case::new();
        let dir = case.export("out", &["--format", "parquet"]);
        let check = |table: &Table, name: &str| {
            let batches = read(&dir.join(name));
            let [batch] = &batches[..] else {
                return RecordBatch::new_empty(schema(table));
            };
            let fields = schema(table);
            assert_eq!(batch.schema().fields(), fields.fields());
            batch.clone()
        };
        let events = check(&EVENTS, "events.parquet");
        assert_eq!(events.num_rows(), article().records.len());
        assert_eq!(check(&RECEIVES, "receives.parquet").num_rows(), 0);
        let sockets = check(&SOCKETS, "sockets.parquet");
        assert_eq!(of::<Int64Array>(&sockets, "worst_excess").value(0), 5_296);
        assert_eq!(of::<StringArray>(&sockets, "cause").value(0), "tail-append");
        assert!(of::<StringArray>(&sockets, "cause").is_null(1));
        // What was booked sums to what was queued in the end.
        let ops = of::<ListArray>(&events, "ops").values();
        let ops: &StructArray = ops.as_any().downcast_ref().expect("structs");
        assert!(ops.len() > 15);
    }

    #[test]
    fn partitions_are_directories_and_columns() {
        let case = Case::new();
        let words = ["--format", "parquet", "--partition", "date,host"];
        let dir = case.export("lake", &words);
        let days: Vec<_> = ["2026-11-23", "2026-11-24"]
            .iter()
            .map(|day| dir.join(format!("events/by_host=h-db-1/by_date={day}")))
            .collect();
        let mut rows = 0;
        for day in days.iter().filter(|d| d.exists()) {
            let files: Vec<_> = fs::read_dir(day).expect("a directory").collect();
            assert_eq!(files.len(), 1);
            for batch in read(&files[0].as_ref().expect("a file").path()) {
                let host: &StringArray = of(&batch, "host");
                assert!(host.iter().all(|h| h == Some("db-1")));
                assert!(batch.column_by_name("date").is_some());
                rows += batch.num_rows();
            }
        }
        assert_eq!(rows, article().records.len());
        for table in ["sockets", "receives"] {
            let of_day = dir.join(format!("{table}/by_host=h-db-1/by_date=2026-11-23"));
            assert!(of_day.exists(), "{}", of_day.display());
        }
    }

    #[test]
    fn a_file_is_no_place_for_tables() {
        let case = Case::new();
        let file = case.export("a.csv", &["--format", "csv"]);
        for to in [file.clone(), file.join("b")] {
            let words = ["--format", "parquet", "-o", to.to_str().expect("a name")];
            let error = export(&case.dir.path().join("a.skm"), &words).expect_err("an error");
            assert!(
                error.to_string().contains("a.csv: it is not a directory"),
                "{error:#}"
            );
        }
    }

    #[test]
    fn arrow_files_read_back() {
        let case = Case::new();
        let dir = case.export("out", &["--format", "arrow"]);
        let file = fs::File::open(dir.join("sockets.arrow")).expect("a file");
        let mut reader = arrow_ipc::reader::FileReader::try_new(file, None).expect("Arrow");
        let batch = reader.next().expect("a batch").expect("a batch");
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(of::<Int64Array>(&batch, "worst_excess").value(0), 5_296);
        for words in [
            &["--format", "arrow-stream"][..],
            &["--format", "arrow-stream", "--uncompressed"],
        ] {
            let dir = case.export(&format!("stream{}", words.len()), words);
            let file = fs::File::open(dir.join("sockets.arrows")).expect("a file");
            let mut reader = arrow_ipc::reader::StreamReader::try_new(file, None).expect("Arrow");
            assert_eq!(reader.next().expect("a batch").expect("a batch"), batch);
        }
    }
}

#[test]
fn files_are_their_owners_and_whole() {
    let case = Case::new();
    let file = case.export("a.csv", &["--format", "csv"]);
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let there: Vec<_> = fs::read_dir(case.dir.path())
        .expect("a directory")
        .map(|e| e.expect("a file").file_name())
        .collect();
    assert_eq!(there.len(), 2, "{there:?}");
}

#[test]
fn what_cannot_be_is_said_before_anything_is_read() {
    let file = Path::new("/nonexistent.skm");
    for (words, why) in [
        (&["--format", "parquet"][..], "-o DIR"),
        (&["--format", "csv", "--partition", "host"], "--partition"),
        (&["--format", "json", "--table", "sockets"], "--table"),
        (&["--format", "csv", "--uncompressed"], "--uncompressed"),
    ] {
        let error = export(file, words).expect_err("an error");
        assert!(error.to_string().contains(why), "{error:#}");
    }
}

#[test]
fn the_docs_have_every_column() {
    let docs = include_str!("../../../../docs/export.md");
    for table in [EVENTS, RECEIVES, SOCKETS] {
        let markdown = table.markdown();
        assert!(
            docs.contains(&markdown),
            "docs/export.md lacks this table of {}:\n{markdown}",
            table.name
        );
    }
}
