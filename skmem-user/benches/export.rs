//! What `skmem export` costs: CPU time, bytes and peak memory of each form, for a recording of many
//! events.
//!
//!     cargo bench --bench export -- [--once] [FILE.skm] [EVENTS] [SKMEM…]
//!
//! The recording is FILE's (else the sample's in `tests/`), repeated until it has EVENTS (else
//! 1,000,000), with times and numbers that go on. Other builds of skmem, given by their paths,
//! export it in the same run, in turns with this one. Each figure is that of the fastest of three
//! runs, with `--once` of one run.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use skmem::{
    model::{end::Totals, record::Record},
    recording::{Item, Playback, Recording, Writer},
};

const FORMATS: [&str; 7] = [
    "perfetto",
    "chrome",
    "json",
    "csv",
    "parquet",
    "arrow",
    "arrow-stream",
];
/// Runs of each.
const RUNS: usize = 3;
/// How often a running export's peak memory is read.
const LOOK: Duration = Duration::from_millis(5);

fn main() -> Result<()> {
    let mut file = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/recordings/v1-article.skm"
    ));
    let mut events = 1_000_000;
    let mut programs = vec![PathBuf::from(env!("CARGO_BIN_EXE_skmem"))];
    let mut runs = RUNS;
    for word in std::env::args().skip(1) {
        if word == "--once" {
            runs = 1;
        } else if word.starts_with("--") {
            // cargo bench adds --bench.
        } else if let Ok(n) = word.parse() {
            events = n;
        } else if Path::new(&word).extension().is_some_and(|e| e == "skm") {
            file = word.into();
        } else {
            programs.push(word.into());
        }
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let long = dir.path().join("long.skm");
    let records = repeat(&file, &long, events)?;
    let bytes = fs::metadata(&long)?.len();
    println!(
        "{records} records of {}: {:.1} bytes each in the recording",
        file.display(),
        each(bytes, records)
    );
    println!(
        "{:<13} {:<40} {:>8} {:>9} {:>9} {:>9}",
        "format", "skmem", "CPU", "ns/record", "B/record", "peak"
    );
    for format in FORMATS {
        let mut best: Vec<Option<Cost>> = vec![None; programs.len()];
        for _ in 0..runs {
            for (program, best) in programs.iter().zip(&mut best) {
                // An older build may not know a form.
                let Some(cost) = export(program, &long, format, dir.path())? else {
                    continue;
                };
                if best.is_none_or(|best| cost.cpu < best.cpu) {
                    *best = Some(cost);
                }
            }
        }
        for (program, cost) in programs.iter().zip(best) {
            let Some(cost) = cost else { continue };
            let name = program.to_string_lossy();
            let short = name.len().saturating_sub(40);
            println!(
                "{format:<13} {:<40} {:>6.2} s {:>9.0} {:>9.1} {:>6.1} MB",
                name.get(short..).unwrap_or(&name),
                cost.cpu.as_secs_f64(),
                cost.cpu.as_secs_f64() * 1e9 / records as f64,
                each(cost.bytes, records),
                cost.peak_bytes as f64 / 1e6
            );
        }
    }
    Ok(())
}

fn each(bytes: u64, records: u64) -> f64 {
    bytes as f64 / records as f64
}

/// Writes `events` records at least: those of `from`, again and again.
fn repeat(from: &Path, to: &Path, events: u64) -> Result<u64> {
    let mut recording = Recording::open(from)?;
    let meta = recording.meta().clone();
    let records: Vec<Record> = recording.records().collect();
    ensure!(!records.is_empty(), "{} holds no records", from.display());
    let mut next: HashMap<u64, u32> = HashMap::new();
    for record in &records {
        if let Some((socket, number)) = record.place() {
            next.insert(socket, number + 1);
        }
    }
    let times = || records.iter().map(Record::time_ns);
    let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let mut writer = Writer::new(File::create(to)?, &meta)?;
    let mut player = Playback::new(u32::MAX);
    let mut written = 0;
    let mut round = 0_u32;
    while written < events {
        for record in &records {
            let mut record = *record;
            let socket = record.socket();
            let shift = u64::from(round) * (last - first + 1_000);
            let numbers = round.wrapping_mul(next.get(&socket).copied().unwrap_or(0));
            match &mut record {
                // Sockets and threads are seen for the first time once.
                Record::Open(_) | Record::Task(_) if round != 0 => continue,
                Record::Open(_) | Record::Task(_) => {}
                Record::Event(event) => {
                    event.time_ns += shift;
                    event.event_no = event.event_no.wrapping_add(numbers);
                }
                Record::Receive(receive) => {
                    receive.time_ns += shift;
                    receive.event_no = receive.event_no.wrapping_add(numbers);
                }
            }
            writer.record(&record)?;
            player.take(&Item::Record(record));
            written += 1;
        }
        round += 1;
    }
    let totals = Totals {
        now_ns: player.now_ns,
        ..Totals::default()
    };
    writer.end(&player.accounts(), &totals)?;
    Ok(written)
}

#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    bytes: u64,
    peak_bytes: u64,
}

/// Exports once; None where this skmem cannot.
fn export(program: &Path, from: &Path, format: &str, dir: &Path) -> Result<Option<Cost>> {
    let to = dir.join("exported");
    let before = children()?;
    let mut child = Command::new(program)
        .args(["export", "--format", format])
        .arg(from)
        .arg("-o")
        .arg(&to)
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_bytes = 0;
    let exit = loop {
        if let Some(exit) = child.try_wait()? {
            break exit;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak_bytes = peak_bytes.max(kib.unwrap_or(0) * 1024);
        thread::sleep(LOOK);
    };
    let cpu = children()?.saturating_sub(before);
    let bytes = length(&to)?;
    if to.is_dir() {
        fs::remove_dir_all(&to)?;
    } else if to.exists() {
        fs::remove_file(&to)?;
    }
    Ok(exit.success().then_some(Cost {
        cpu,
        bytes,
        peak_bytes,
    }))
}

/// Bytes of a file, or of all files in a directory.
fn length(path: &Path) -> Result<u64> {
    if !path.exists() {
        return Ok(0);
    }
    if !path.is_dir() {
        return Ok(fs::metadata(path)?.len());
    }
    fs::read_dir(path)?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .sum()
}

/// CPU time of all children so far, user and system (proc_pid_stat(5): cutime, cstime).
fn children() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(13)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<_, _>>()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}
