//! The tables: as text, and as JSON lines, each with its `kind`.

use std::thread;

use anyhow::Result;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

#[cfg(feature = "serve")]
use super::serve::Served;
use super::{
    events::Step,
    measure::{Cell, Sample, Timed, Verified},
};
use crate::kernel::system;

/// A mode under a load.
#[derive(Debug, JsonSchema, Serialize)]
struct Cost {
    /// What sends.
    load: String,
    /// Bytes a send.
    write_size: usize,
    /// Who watches, and how.
    mode: String,
    /// Median of the rounds: a send, its read, and what tracing them takes.
    ns_per_send: u64,
    /// The fastest and the slowest round.
    range_ns: [u64; 2],
    /// Over the first mode, in ns for each send.
    added_ns: i64,
    /// To the first mode.
    ratio: f64,
    /// For 1,000,000 bytes.
    ns_per_mb: u64,
    /// Sends a second.
    sends_per_s: u64,
    /// Bytes a second.
    bytes_per_s: u64,
    /// Records for each send.
    events_per_send: f64,
    /// Records lost in all rounds.
    lost: u64,
    /// CPU time of the thread that reads the records, in ns for each send.
    reader_ns_per_send: u64,
}

/// A program under a mode.
#[derive(Debug, JsonSchema, Serialize)]
struct Program {
    /// The mode of tracing.
    mode: String,
    #[serde(flatten)]
    timed: Timed,
}

/// A line of JSON.
#[derive(JsonSchema, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Machine(&'a Machine),
    Cost(&'a Cost),
    Program(&'a Program),
    Verifier(&'a Verified),
    Event(&'a Step),
    #[cfg(feature = "serve")]
    Serve(&'a Served),
}

/// The schema of a line.
pub fn schema() -> Schema {
    schema_for!(Line<'static>)
}

/// What all figures depend on.
#[derive(Debug, JsonSchema, Serialize)]
struct Machine {
    /// `uname -r`.
    kernel: String,
    /// CPUs that are online.
    cpus: usize,
    /// Rounds of each mode.
    rounds: u32,
    /// Sends in a round.
    sends: u32,
}

/// All that was measured.
pub struct Report {
    machine: Machine,
    costs: Vec<Cost>,
    programs: Vec<Program>,
    verified: Vec<Verified>,
    events: Vec<Step>,
    #[cfg(feature = "serve")]
    served: Option<Served>,
}

impl Report {
    /// With nothing measured yet.
    pub fn new(rounds: u32, sends: u32) -> Self {
        Self {
            machine: Machine {
                kernel: system::release(),
                cpus: thread::available_parallelism().map_or(0, usize::from),
                rounds,
                sends,
            },
            costs: Vec::new(),
            programs: Vec::new(),
            verified: Vec::new(),
            events: Vec::new(),
            #[cfg(feature = "serve")]
            served: None,
        }
    }

    /// Adds all modes under a load; the first one is what the others are
    /// compared with.
    pub fn cell(&mut self, cell: Cell, modes: &[(&str, &[Sample])]) {
        let mut first = None;
        for (mode, samples) in modes {
            let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value).collect());
            let ns = of(|s| s.ns_per_send);
            let base = *first.get_or_insert(ns);
            let times = || samples.iter().map(|s| s.ns_per_send);
            self.costs.push(Cost {
                load: cell.load.to_string(),
                write_size: cell.size,
                mode: (*mode).to_owned(),
                ns_per_send: ns.round() as u64,
                range_ns: [
                    times().fold(f64::INFINITY, f64::min).round() as u64,
                    times().fold(0.0, f64::max).round() as u64,
                ],
                added_ns: (ns - base).round() as i64,
                ratio: ns / base,
                ns_per_mb: (ns * 1e6 / cell.size as f64).round() as u64,
                sends_per_s: (1e9 / ns).round() as u64,
                bytes_per_s: (1e9 / ns * cell.size as f64).round() as u64,
                events_per_send: of(|s| s.events_per_send),
                lost: samples.iter().map(|s| s.lost).sum(),
                reader_ns_per_send: of(|s| s.watcher_ns_per_send).round() as u64,
            });
        }
    }

    /// Adds what the kernel timed.
    pub fn timed(&mut self, mode: &str, programs: &[Timed]) {
        self.programs.extend(programs.iter().map(|timed| Program {
            mode: mode.to_owned(),
            timed: timed.clone(),
        }));
    }

    /// Sets what the verifier walked.
    pub fn verified(&mut self, verified: Vec<Verified>) {
        self.verified = verified;
    }

    /// Sets what the reading side spends.
    pub fn events(&mut self, steps: Vec<Step>) {
        self.events = steps;
    }

    /// Sets what `skmem serve` takes.
    #[cfg(feature = "serve")]
    pub fn served(&mut self, served: Served) {
        self.served = Some(served);
    }

    /// An object a line.
    ///
    /// # Errors
    /// None that are known: numbers and plain words.
    pub fn json(&self) -> Result<String> {
        let lines = std::iter::once(Line::Machine(&self.machine))
            .chain(self.costs.iter().map(Line::Cost))
            .chain(self.programs.iter().map(Line::Program))
            .chain(self.verified.iter().map(Line::Verifier))
            .chain(self.events.iter().map(Line::Event));
        #[cfg(feature = "serve")]
        let lines = lines.chain(self.served.iter().map(Line::Serve));
        let mut text = String::new();
        for line in lines {
            text += &serde_json::to_string(&line)?;
            text.push('\n');
        }
        Ok(text)
    }

    /// Tables for people.
    pub fn text(&self) -> String {
        let Machine {
            kernel,
            cpus,
            rounds,
            sends,
        } = &self.machine;
        let mut text = format!("kernel {kernel}, {cpus} CPU{}", plural(*cpus));
        // Nothing was sent where something else is measured.
        match *rounds {
            0 => text.push('\n'),
            rounds => {
                let s = plural(rounds as usize);
                text += &format!(", {rounds} round{s} of {sends} sends\n");
            }
        }
        let mut of = None;
        for cost in &self.costs {
            let cell = (&cost.load, cost.write_size);
            if of != Some(cell) {
                of = Some(cell);
                text += &format!(
                    "\n{:38} {:>10} {:>10} {:>8} {:>11} {:>11} {:>6} {:>10}\n",
                    format!("{}, {} bytes a send", cost.load, cost.write_size),
                    "ns/send",
                    "added ns",
                    "ratio",
                    "ns/MB",
                    "events/send",
                    "lost",
                    "reader ns"
                );
            }
            text += &format!(
                "{:38} {:>10} {:>+10} {:>8.3} {:>11} {:>11.2} {:>6} {:>10}\n",
                cost.mode,
                cost.ns_per_send,
                cost.added_ns,
                cost.ratio,
                cost.ns_per_mb,
                cost.events_per_send,
                cost.lost,
                cost.reader_ns_per_send
            );
        }
        let mut mode = None;
        for Program { mode: name, timed } in &self.programs {
            if mode != Some(name) {
                mode = Some(name);
                text += &format!("\n{name:38} {:>10} {:>8}\n", "runs/send", "ns/run");
            }
            text += &format!(
                "{:38} {:>10.2} {:>8}\n",
                timed.program, timed.runs_per_send, timed.ns_per_run
            );
        }
        if !self.verified.is_empty() {
            text += &format!("\n{:38} {:>10}\n", "program", "verified");
            for verified in &self.verified {
                text += &format!("{:38} {:>10}\n", verified.program, verified.instructions);
            }
        }
        if !self.events.is_empty() {
            text += &format!("\n{:38} {:>10}\n", "reading side", "ns/event");
            for step in &self.events {
                text += &step.line();
            }
        }
        #[cfg(feature = "serve")]
        if let Some(served) = &self.served {
            text += &served.lines();
        }
        text
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// The middle one; of an even number, the mean of both.
fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    let half = of.len() / 2;
    match of.len() {
        0 => 0.0,
        n if n % 2 == 1 => of[half],
        _ => f64::midpoint(of[half - 1], of[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::load::Load;

    fn sample(ns: f64) -> Sample {
        Sample {
            ns_per_send: ns,
            watcher_ns_per_send: 0.0,
            events_per_send: 0.0,
            lost: 1,
            all_sends: 1,
        }
    }

    #[test]
    fn medians_are_compared_with_the_first_mode() {
        let mut report = Report::new(3, 10);
        let cell = Cell {
            load: Load::Lockstep,
            size: 500,
        };
        let nothing = [sample(900.0), sample(1000.0), sample(5000.0)];
        let traced = [sample(1500.0), sample(1400.0), sample(1600.0)];
        report.cell(cell, &[("nothing", &nothing), ("traced", &traced)]);
        let cost = &report.costs[1];
        assert_eq!((cost.ns_per_send, cost.added_ns), (1500, 500));
        assert_eq!((cost.range_ns, cost.lost), ([1400, 1600], 3));
        assert_eq!((cost.ns_per_mb, cost.bytes_per_s), (3_000_000, 333_333_333));
        assert!((cost.ratio - 1.5).abs() < 1e-9);
    }

    #[test]
    fn median_of_an_even_number() {
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).abs() < 1e-9);
    }

    #[test]
    fn every_line_of_json_says_what_it_is() {
        let mut report = Report::new(1, 10);
        let cell = Cell {
            load: Load::Acks,
            size: 1,
        };
        report.cell(cell, &[("nothing", &[sample(1.0)])]);
        let json = report.json().expect("plain numbers");
        let kinds: Vec<_> = json
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")["kind"].clone())
            .collect();
        assert_eq!(kinds, ["machine", "cost"]);
    }
}
