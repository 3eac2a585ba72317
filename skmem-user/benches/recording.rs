//! What an event costs outside of the kernel: decoding, ledger, records into blocks and back, lines
//! of text and JSON; without disk or kernel. The records are those of a recording: of the sample in
//! `tests/`, or of the file that is named. Each figure is the fastest of a few rounds.
//!
//!     cargo bench --bench recording -- [FILE]

use std::{hint::black_box, path::PathBuf, time::Instant};

use skmem::{
    model::{record::Record, replay::Replay},
    recording::{Meta, Recording, Writer},
    render::{self, Style},
};
use zerocopy::IntoBytes as _;

/// Records for a round, at least: a small file is repeated.
const LEAST: usize = 1 << 20;
/// Rounds.
const TIMES: usize = 3;

fn main() {
    // cargo bench adds --bench.
    let file = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let file = file.map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/recordings/v1-article.skm"
            ))
        },
        PathBuf::from,
    );
    let mut recording = Recording::open(&file).expect("a recording");
    let records: Vec<Record> = recording.records().collect();
    assert!(!records.is_empty(), "{} holds no records", file.display());
    let rounds = LEAST.div_ceil(records.len());
    let n = rounds * records.len();

    let raw: Vec<Vec<u8>> = records.iter().map(raw).collect();

    println!(
        "{:<16} {:>9} {:>22}",
        "step", "ns/event", "million events/s"
    );
    time("decode", n, || {
        for bytes in (0..rounds).flat_map(|_| &raw) {
            black_box(Record::decode(black_box(bytes))).expect("what was recorded");
        }
    });
    time("ledger", n, || {
        let mut replay = Replay::default();
        for record in (0..rounds).flat_map(|_| &records) {
            replay.apply(black_box(record));
        }
    });
    let mut bytes = Vec::new();
    let took = time("record", n, || {
        let mut writer = Writer::new(Vec::new(), &Meta::default()).expect("memory");
        for record in (0..rounds).flat_map(|_| &records) {
            writer.record(black_box(record)).expect("memory");
        }
        writer.flush().expect("memory");
        bytes = std::mem::take(writer.get_mut());
    });
    time("read", n, || {
        let mut recording = Recording::new(&bytes[..]).expect("what was written");
        assert_eq!(recording.records().map(black_box).count(), n);
    });
    let events: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Event(event) => Some(event),
            _ => None,
        })
        .collect();
    // Lines take longer: a few of them tell as much.
    let few = (rounds / 8).max(1);
    time("line of text", few * events.len(), || {
        for event in (0..few).flat_map(|_| &events) {
            black_box(render::event_line(black_box(event), None, &Style::PLAIN));
        }
    });
    time("line of JSON", few * events.len(), || {
        for event in (0..few).flat_map(|_| &events) {
            black_box(render::event_json_line(black_box(event), None, None));
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let (each, speed) = (
        bytes.len() as f64 / n as f64,
        bytes.len() as f64 / took / 1e6,
    );
    println!("a recording has {each:.1} bytes an event: {speed:.1} MB/s to disk");
}

/// A record as it lies in the ring.
fn raw(record: &Record) -> Vec<u8> {
    match record {
        Record::Event(event) => event.as_bytes()[..usize::from(event.header.len)].to_vec(),
        Record::Open(open) => open.as_bytes().to_vec(),
        Record::Task(task) => task.as_bytes().to_vec(),
        Record::Receive(receive) => receive.as_bytes().to_vec(),
    }
}

/// Seconds that `work` takes for `n` records, the fastest of a few times.
fn time(what: &str, n: usize, mut work: impl FnMut()) -> f64 {
    let seconds = (0..TIMES)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let each = seconds / n as f64;
    println!("{what:<16} {:>9.1} {:>22.1}", each * 1e9, 1e-6 / each);
    seconds
}
