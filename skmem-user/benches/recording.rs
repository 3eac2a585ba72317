//! What an event costs outside of the kernel: decoding, ledger, records into blocks and back, lines
//! of text and JSON; without disk or kernel. The records are those of a recording: of the sample in
//! `tests/`, or of the file that is named. Each figure is the fastest of a few rounds.
//!
//!     cargo bench --bench recording -- [FILE]
//!     cargo bench --bench recording -- --instructions [FILE] [PROGRAM…]
//!
//! `--instructions` counts them with valgrind's callgrind, which has to be there: each step runs
//! twice, and the longer run less the shorter one is what its events cost. PROGRAM is this bench as
//! another build of skmem has it; its figures are those that ratios are to. `--lines` prints the
//! lines of text and JSON, for `cmp` of two builds.

use std::{
    collections::HashMap,
    hint::black_box,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use skmem::{
    model::{record::Record, replay::Replay},
    recording::{Meta, Recording, Writer},
    render::{self, EventLines, LineBuffer, Named, Names, Style},
};
use skmem_common::record::Event;
use zerocopy::IntoBytes as _;

/// Records that a step takes, at least: a small file is repeated.
const LEAST: usize = 1 << 20;
/// The same where instructions are counted, which takes fifty times as long.
const COUNTED: usize = 1 << 14;
/// Rounds.
const TIMES: usize = 3;

fn main() {
    let mut file = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/recordings/v1-article.skm"
    ));
    let (mut programs, mut one) = (Vec::new(), None);
    let (mut counted, mut printed) = (false, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--instructions" => counted = true,
            "--lines" => printed = true,
            // Of a run that is counted: the step, and how often it takes all records.
            "--step" => {
                let step = words.next().and_then(|n| n.parse().ok());
                one = step.zip(words.next().and_then(|n| n.parse().ok()));
            }
            // cargo bench adds --bench.
            word if word.starts_with("--") => {}
            word if Path::new(word).extension().is_some_and(|e| e == "skm") => file = word.into(),
            word => programs.push(PathBuf::from(word)),
        }
    }
    let load = Load::of(&file);
    match one {
        Some((step, rounds)) => {
            let step: usize = step;
            (STEPS[step].1)(&load, rounds);
        }
        None if printed => {
            load.lines_of_text(1, |line| println!("{}", String::from_utf8_lossy(line)));
            load.lines_of_json(1, |line| println!("{}", String::from_utf8_lossy(line)));
        }
        None if counted => count(&file, &load, &programs),
        None => time(&load),
    }
}

/// What is measured.
type Step = fn(&Load, usize);

const STEPS: [(&str, Step); 6] = [
    ("decode", |load, rounds| {
        for bytes in (0..rounds).flat_map(|_| &load.raw) {
            black_box(Record::decode(black_box(bytes))).expect("what was recorded");
        }
    }),
    ("ledger", |load, rounds| {
        let mut replay = Replay::default();
        for record in (0..rounds).flat_map(|_| &load.records) {
            replay.apply(black_box(record));
        }
    }),
    ("record", |load, rounds| {
        black_box(load.recorded(rounds));
    }),
    ("read", |load, rounds| {
        for _ in 0..rounds {
            let mut recording = Recording::new(&load.recorded[..]).expect("what was written");
            let records = recording.records().map(black_box).count();
            assert_eq!(records, load.records.len());
        }
    }),
    ("line of text", |load, rounds| {
        load.lines_of_text(rounds, |line| _ = black_box(line));
    }),
    ("line of JSON", |load, rounds| {
        load.lines_of_json(rounds, |line| _ = black_box(line));
    }),
];

/// What steps work on.
struct Load {
    records: Vec<Record>,
    events: Vec<Event>,
    /// As they lie in the ring.
    raw: Vec<Vec<u8>>,
    recorded: Vec<u8>,
    sockets: HashMap<u64, Socket>,
}

struct Socket {
    named: Named,
    ends: String,
}

impl Load {
    fn of(file: &Path) -> Self {
        let mut recording = Recording::open(file).expect("a recording");
        let records: Vec<Record> = recording.records().collect();
        assert!(!records.is_empty(), "{} holds no records", file.display());
        let events = records.iter().filter_map(|record| match record {
            Record::Event(event) => Some(*event),
            _ => None,
        });
        let sockets = records.iter().filter_map(|record| match record {
            Record::Open(open) => {
                let (named, ends) = (Named::of(&open.ident), render::ends(&open.ident));
                Some((open.ident.id, Socket { named, ends }))
            }
            _ => None,
        });
        let mut load = Self {
            events: events.collect(),
            raw: records.iter().map(raw).collect(),
            sockets: sockets.collect(),
            recorded: Vec::new(),
            records,
        };
        load.recorded = load.recorded(1);
        load
    }

    fn recorded(&self, rounds: usize) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &Meta::default()).expect("memory");
        for record in (0..rounds).flat_map(|_| &self.records) {
            writer.record(black_box(record)).expect("memory");
        }
        writer.flush().expect("memory");
        std::mem::take(writer.get_mut())
    }

    /// As `skmem trace` prints them: of a socket whose names are text already, into one buffer.
    fn lines_of_text(&self, rounds: usize, each: impl Fn(&[u8])) {
        let mut lines = EventLines::plain(&Style::PLAIN);
        let mut line = LineBuffer::default();
        for event in (0..rounds).flat_map(|_| &self.events) {
            let socket = self.sockets.get(&event.socket);
            let names = Names {
                ends: socket.map(|s| s.ends.as_str()),
                task: socket.map_or("", |s| &s.named.comm),
            };
            line.clear();
            lines.write_event(&mut line, black_box(event), names);
            each(line.as_bytes());
        }
    }

    /// The same as JSON.
    fn lines_of_json(&self, rounds: usize, each: impl Fn(&[u8])) {
        let mut line = LineBuffer::default();
        for event in (0..rounds).flat_map(|_| &self.events) {
            let named = self.sockets.get(&event.socket).map(|s| &s.named);
            let comm = named.map(|n| n.comm.as_str());
            line.clear();
            render::put_event_json(
                &mut line,
                black_box(event),
                named,
                comm,
                Some(event.time_ns),
            );
            each(line.as_bytes());
        }
    }

    /// Records, or events, that a step takes in a round.
    fn each(&self, step: &str) -> usize {
        match step.starts_with("line") {
            true => self.events.len(),
            false => self.records.len(),
        }
    }
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

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn time(load: &Load) {
    println!(
        "{:<16} {:>9} {:>22}",
        "step", "ns/event", "million events/s"
    );
    for (name, step) in STEPS {
        let rounds = LEAST.div_ceil(load.records.len());
        let seconds = (0..TIMES)
            .map(|_| {
                let started = Instant::now();
                step(load, rounds);
                started.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min);
        let each = seconds / (rounds * load.each(name)) as f64;
        println!("{name:<16} {:>9.1} {:>22.1}", each * 1e9, 1e-6 / each);
    }
    let rounds = LEAST.div_ceil(load.records.len());
    let bytes = load.recorded(rounds).len() as f64;
    let each = bytes / (rounds * load.records.len()) as f64;
    println!("a recording has {each:.1} bytes an event");
}

/// Instructions an event, of this build and of others.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn count(file: &Path, load: &Load, others: &[PathBuf]) {
    let this = std::env::current_exe().expect("this program");
    println!(
        "{:<16} {:>13}  in another build, ratio to it",
        "step", "instructions"
    );
    for (at, (name, _)) in STEPS.iter().enumerate() {
        let rounds = COUNTED.div_ceil(load.records.len());
        let each = |program: &Path| {
            let [few, more] = [rounds, 3 * rounds].map(|n| instructions(program, file, at, n));
            more.saturating_sub(few) / (2 * rounds * load.each(name)) as u64
        };
        let ours = each(&this);
        let others = others.iter().map(|other| {
            let theirs = each(other);
            format!("  {theirs} {:.2} ×", ours as f64 / theirs as f64)
        });
        println!("{name:<16} {ours:>13}{}", others.collect::<String>());
    }
}

/// Instructions of a run, as callgrind counts them.
fn instructions(program: &Path, file: &Path, step: usize, rounds: usize) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(file)
        .args(["--step", &step.to_string(), &rounds.to_string()])
        .output()
        .expect("valgrind, which --instructions counts with (apt install valgrind)");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "valgrind failed:\n{text}");
    let collected = text.split("Collected : ").nth(1);
    let number = collected.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("valgrind did not say how many:\n{text}"))
}
