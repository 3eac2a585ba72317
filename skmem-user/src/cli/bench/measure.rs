//! One mode's turn: it is attached once, and all loads run within.

use std::{sync::mpsc, thread, time::Duration};

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    clock,
    load::{self, Load, Ran},
    mode::Mode,
    other_tracer::OtherTracer,
};
use crate::{
    cli::live,
    kernel::{counters::Runs, system, tracer::Tracer},
    trace::Session,
};

/// What attaching left to do is done after it.
const SETTLE: Duration = Duration::from_millis(500);

/// A load with a size of its writes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub load: Load,
    pub size: usize,
}

/// Who watches.
pub enum Watcher<'a> {
    /// skmem, in one of its modes.
    Mode(Mode),
    /// Another program.
    OtherTracer(&'a OtherTracer),
}

impl Watcher<'_> {
    /// In the table.
    pub fn name(&self) -> &str {
        match self {
            Self::Mode(mode) => mode.name(),
            Self::OtherTracer(other) => &other.name,
        }
    }
}

/// What a cell came to.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Sends, reads, and what tracing them takes, in ns for each send.
    pub ns_per_send: f64,
    /// CPU time of the thread that reads and processes what is traced, the kernel's
    /// part included, in ns for each send. It is part of the above on one CPU.
    pub watcher_ns_per_send: f64,
    /// Records (or lines) read.
    pub events_per_send: f64,
    /// Records lost.
    pub lost: u64,
    /// Sends, those before the clock started included.
    pub all_sends: u32,
}

/// What a turn came to.
#[derive(Debug, Default)]
pub struct Turn {
    /// One for each cell.
    pub samples: Vec<Sample>,
    /// Where asked for.
    pub programs: Vec<Timed>,
    /// What the verifier walked of each program; empty before 5.16.
    pub verified: Vec<Verified>,
}

/// What the kernel counted of a program (`bpf_stats_enabled`).
#[derive(Debug, Clone, JsonSchema, Serialize)]
pub struct Timed {
    /// The program.
    pub program: &'static str,
    /// The kernel function that it is attached to.
    pub function: &'static str,
    /// Its runs for each send.
    pub runs_per_send: f64,
    /// Time of a run, in ns.
    pub ns_per_run: u64,
}

/// What loading a program takes.
#[derive(Debug, Clone, JsonSchema, Serialize)]
pub struct Verified {
    /// The program.
    pub program: &'static str,
    /// The kernel function that it is attached to.
    pub function: &'static str,
    /// Instructions that the verifier walked.
    pub instructions: u32,
}

/// Attaches, and runs all cells. With `programs`, runs the first one again
/// while the kernel times each program, which costs every run something.
pub async fn turn(
    watcher: &Watcher<'_>,
    cells: &[Cell],
    sends: u32,
    programs: bool,
) -> Result<Turn> {
    let mode = match watcher {
        Watcher::OtherTracer(other) => {
            return Ok(Turn {
                samples: beside(other, cells, sends).await?,
                ..Turn::default()
            });
        }
        Watcher::Mode(mode) => mode,
    };
    let mut session = match mode.options() {
        Some(options) => {
            let session = live::attach_quietly(&options).await;
            let mut session = session.with_context(|| format!("cannot measure {}", mode.name()))?;
            if !mode.replays() {
                session.keep_sleepers_only();
            }
            Some(session)
        }
        None => None,
    };
    tokio::time::sleep(SETTLE).await;
    let mut turn = Turn::default();
    for cell in cells {
        turn.samples
            .push(traced(session.as_mut(), *cell, sends).await?);
    }
    let Some(session) = &mut session else {
        return Ok(turn);
    };
    turn.verified = verified(session.tracer());
    if let (true, Some(first)) = (programs, cells.first()) {
        let _timed = system::time_programs().context("cannot have programs timed")?;
        let before: Vec<Runs> = session.tracer().runs().map(|(_, runs)| runs).collect();
        let all = traced(Some(session), *first, sends).await?.all_sends;
        turn.programs = session
            .tracer()
            .runs()
            .zip(before)
            .filter(|((_, after), before)| after.count > before.count)
            .map(|((attachment, after), before)| {
                let count = after.count - before.count;
                Timed {
                    program: attachment.program,
                    function: attachment.function,
                    runs_per_send: count as f64 / f64::from(all),
                    ns_per_run: (after.time_ns - before.time_ns) / count,
                }
            })
            .collect();
    }
    Ok(turn)
}

fn verified(tracer: &Tracer) -> Vec<Verified> {
    let attached = tracer.attached().iter();
    attached
        .filter_map(|a| {
            Some(Verified {
                program: a.program,
                function: a.function,
                instructions: tracer.verified_instructions(a.program)?,
            })
        })
        .collect()
}

/// Runs a cell while the session reads.
async fn traced(mut session: Option<&mut Session>, cell: Cell, sends: u32) -> Result<Sample> {
    let (mut work, mut warm, go) = start(cell, sends);
    let (mut cpu, mut seen, mut lost) = (0, 0, 0);
    let mut started = false;
    let ran: Ran = loop {
        tokio::select! {
            biased;
            _ = &mut warm, if !started => {
                started = true;
                if let Some(session) = session.as_deref_mut() {
                    session.finish(|_, _| {});
                    seen = session.seen();
                    lost = session.totals()?.all_lost();
                }
                cpu = clock::this_thread();
                // Where the load has failed, that is said below.
                let _ = go.send(());
            }
            done = &mut work => break done??,
            step = async {
                match session.as_deref_mut() {
                    Some(session) => session.step(|_, _| {}).await,
                    None => std::future::pending().await,
                }
            } => step?,
        }
    };
    let late = clock::this_thread();
    let Some(session) = session else {
        return Ok(ran.sample(0, 0, 0, 0));
    };
    session.finish(|_, _| {});
    let end = clock::this_thread();
    Ok(ran.sample(
        end - cpu,
        end - late,
        session.seen() - seen,
        session.totals()?.all_lost() - lost,
    ))
}

/// Runs all cells while another program watches.
async fn beside(other: &OtherTracer, cells: &[Cell], sends: u32) -> Result<Vec<Sample>> {
    let mut running = other.start()?;
    running.settle().await?;
    let mut samples = Vec::new();
    for cell in cells {
        let (work, warm, go) = start(*cell, sends);
        // Where the load has failed, that is said below.
        let _ = warm.await;
        running.settle().await?;
        let before = running.seen()?;
        let _ = go.send(());
        let ran = work.await??;
        let late = running.seen()?.cpu_ns;
        running.settle().await?;
        let after = running.seen()?;
        samples.push(ran.sample(
            after.cpu_ns.saturating_sub(before.cpu_ns),
            after.cpu_ns.saturating_sub(late),
            after.lines - before.lines,
            after.lost - before.lost,
        ));
    }
    Ok(samples)
}

type Started = (
    tokio::task::JoinHandle<Result<Ran>>,
    tokio::sync::oneshot::Receiver<()>,
    mpsc::Sender<()>,
);

/// Starts a load in a thread of its own. It says when its sockets are warm,
/// and waits then: what was traced so far does not count.
fn start(cell: Cell, sends: u32) -> Started {
    let (tell, warm) = tokio::sync::oneshot::channel();
    let (go, may_go) = mpsc::channel();
    let work = tokio::task::spawn_blocking(move || {
        load::run(cell.load, cell.size, sends, move || {
            // Without a receiver, the other end has failed and says so itself.
            let _ = tell.send(());
            let _ = may_go.recv();
        })
    });
    (work, warm, go)
}

impl Ran {
    /// `cpu` is that of the watcher, and `late` the part of it that came after
    /// the last send: on one CPU, what the load did not have to wait for.
    fn sample(&self, cpu: u64, late: u64, events: u64, lost: u64) -> Sample {
        let one = thread::available_parallelism().is_ok_and(|n| n.get() == 1);
        let ns = u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX);
        let each = |n: u64| n as f64 / f64::from(self.sends);
        Sample {
            ns_per_send: each(ns + if one { late } else { 0 }),
            watcher_ns_per_send: each(cpu),
            events_per_send: each(events),
            lost,
            all_sends: self.sends + self.warm,
        }
    }
}
