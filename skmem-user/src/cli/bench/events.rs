//! What the reading side spends on an event, one step at a time: a stream of
//! records is taken from a lockstep load and gone through again and again.

use std::{hint::black_box, time::Instant};

use anyhow::{Context as _, Result, ensure};
use schemars::JsonSchema;
use serde::Serialize;
use zerocopy::IntoBytes as _;

use super::{clock, load, load::Load, mode::Mode};
use crate::{
    cli::live,
    model::{record::Record, replay::Replay},
    recording::{Meta, Recording, Writer},
    render::{self, Style},
};

/// Events in the stream, at least.
const LEAST: usize = 4000;

/// A step's figure.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Step {
    /// What the reading side does with an event.
    step: &'static str,
    /// CPU time of an event, in ns.
    ns_per_event: f64,
}

impl Step {
    /// As a line of the table.
    pub fn line(&self) -> String {
        format!("{:38} {:>10.0}\n", self.step, self.ns_per_event)
    }
}

/// Takes a stream, and measures.
///
/// # Errors
/// Where tracing is not possible.
pub async fn measure(size: usize) -> Result<Vec<Step>> {
    let records = stream(size).await?;
    let n = records.len();
    let bytes: Vec<Vec<u8>> = records.iter().map(raw).collect();
    let mut steps = Vec::new();
    let mut step = |step, mut work: Box<dyn FnMut() -> Result<()> + '_>| -> Result<()> {
        // Once for the caches and the first allocations.
        work()?;
        let before = clock::this_thread();
        work()?;
        let ns = clock::this_thread() - before;
        steps.push(Step {
            step,
            ns_per_event: ns as f64 / n as f64,
        });
        Ok(())
    };
    step(
        "decode",
        Box::new(|| {
            for bytes in &bytes {
                black_box(Record::decode(black_box(bytes)))?;
            }
            Ok(())
        }),
    )?;
    step(
        "decode and ledger",
        Box::new(|| {
            let mut replay = Replay::default();
            for bytes in &bytes {
                replay.apply(&Record::decode(black_box(bytes))?);
            }
            black_box(&replay);
            Ok(())
        }),
    )?;
    step(
        "into a recording (packed, no disk)",
        Box::new(|| {
            black_box(pack(&records)?);
            Ok(())
        }),
    )?;
    let file = pack(&records)?;
    step(
        "out of a recording",
        Box::new(|| {
            let mut recording = Recording::new(&file[..])?;
            ensure!(recording.records().map(black_box).count() == n);
            Ok(())
        }),
    )?;
    let style = Style::PLAIN;
    step(
        "line of text",
        Box::new(|| {
            for record in &records {
                if let Record::Event(event) = record {
                    black_box(render::event_line(event, None, &style));
                }
            }
            Ok(())
        }),
    )?;
    step(
        "line of JSON",
        Box::new(|| {
            for record in &records {
                if let Record::Event(event) = record {
                    black_box(render::event_json_line(event, None, None));
                }
            }
            Ok(())
        }),
    )?;
    Ok(steps)
}

/// What a lockstep load leaves.
async fn stream(size: usize) -> Result<Vec<Record>> {
    let tracing = Mode::Records.options().context("a mode that traces")?;
    let mut session = live::attach(&tracing).await?;
    let mut records = Vec::new();
    let begin = Instant::now();
    while records.len() < LEAST {
        let mut work =
            tokio::task::spawn_blocking(move || load::run(Load::Lockstep, size, 1000, || {}));
        loop {
            tokio::select! {
                done = &mut work => {
                    done??;
                    break;
                }
                step = session.step(|record, _| records.push(*record)) => step?,
            }
        }
        session.finish(|record, _| records.push(*record));
        ensure!(begin.elapsed().as_secs() < 60, "no records came");
    }
    Ok(records)
}

/// A record as it lay in the ring.
fn raw(record: &Record) -> Vec<u8> {
    match record {
        Record::Event(event) => event.as_bytes()[..usize::from(event.header.len)].to_vec(),
        Record::Open(open) => open.as_bytes().to_vec(),
        Record::Task(task) => task.as_bytes().to_vec(),
        Record::Receive(receive) => receive.as_bytes().to_vec(),
    }
}

fn pack(records: &[Record]) -> Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), &Meta::default())?;
    for record in records {
        writer.record(black_box(record))?;
    }
    writer.flush()?;
    Ok(std::mem::take(writer.get_mut()))
}
