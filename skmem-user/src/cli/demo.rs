//! `skmem demo`: a case reproduced on this kernel, and explained.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::{
    Skip, Usage, duration,
    explain::{print_json, print_text},
    interrupted,
    live::{self, Detaching},
    offers, print, record,
    screen::Length,
    style,
};
use crate::{
    diag::{netns, owners::Owners},
    explain::{Verdict, compare::Comparison},
    kernel::tracer,
    quantity,
    render::{self, schemas::NoVerdicts},
    selection::{Netns, Selection},
    trace::{self, Older},
    workload::{
        self, Driver, DriverError,
        fix::{Choice, Fix},
    },
};

mod fixed;

/// Reproduce a case on this kernel, with real sockets, and explain it
#[derive(Debug, Args)]
#[command(after_help = "\
The default case: a client sets SO_SNDBUF to 4096 and sends 1024 bytes at a time to a server that
never reads; when it blocks, ss shows a Send-Q several times the limit. The sockets live in network
namespaces of their own, which end with the demo. On a terminal one screen is printed, with --full
and in a pipe everything.

Examples:
  skmem demo
  skmem demo --sndbuf 65536 --write-size 100
  skmem demo --list
  skmem demo --fix gso-max-segs        the case without and with a fix, side by side
  skmem demo blocking-writer --fix rcvbuf=16384,notsent-lowat
  skmem demo --json | jq .causes
  skmem demo autotuned --record run.skm    and keep everything for skmem report

Exit status: 0, 1 for a failure, 2 for wrong usage, 77 where this kernel cannot run the case.")]
pub struct Options {
    /// Which case (see --list)
    #[arg(value_name = "NAME", default_value = "article", add = offers::cases())]
    name: String,
    /// List the cases
    #[arg(long)]
    list: bool,
    /// Run the case without and with a fix, and compare (see --list-fixes); with several fixes,
    /// each by itself
    #[arg(long, value_name = "FIX[=N]", value_delimiter = ',', add = offers::fixes(),
          conflicts_with_all = ["list", "at_end", "all"])]
    fix: Vec<Choice>,
    /// List the fixes that can be tried on the case
    #[arg(long, conflicts_with_all = ["list", "fix"])]
    list_fixes: bool,
    /// Measure the figures of the advice again, of these cases or of all, and print the rows of
    /// this kernel for explain/measured.tsv
    #[arg(long, value_name = "CASE", num_args = 0.., hide = true,
          conflicts_with_all = ["list", "list_fixes", "fix", "json"])]
    measure: Option<Vec<String>>,
    /// Explain the end of the case, when its sockets are closed, instead of the worst instant
    #[arg(long)]
    at_end: bool,
    /// Also explain sockets that never went over their limit
    #[arg(short, long)]
    all: bool,
    /// Print JSON: one object a socket, or a fix, or the list
    #[arg(long)]
    json: bool,
    /// Also trace the receive side; the cases that are about it need no --rx
    #[arg(long)]
    rx: bool,
    /// Record the case into this file, too, for skmem report
    #[arg(long, value_name = "FILE", conflicts_with_all = ["list", "list_fixes", "fix"])]
    record: Option<PathBuf>,
    /// Replace the file of --record if it is there
    #[arg(long, requires = "record")]
    force: bool,
    /// Ring buffer between kernel and skmem, e.g. 512K, 8M
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = quantity::ring_size)]
    ring: u32,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "600s", value_parser = duration)]
    timeout: std::time::Duration,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    workload: workload::Options,
}

/// What follows a screen that does not hold all.
const MORE: &str = "the same command with --full prints all; with --record FILE it keeps the trace for `skmem report`";

/// Runs it.
///
/// # Errors
/// Where tracing is not possible or the case fails.
pub async fn run(mut options: Options, verbose: bool) -> Result<ExitCode> {
    if options.list {
        list(options.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let scenario = workload::find(&options.name).map_err(Usage)?;
    options.rx |= scenario.is_of_receiving();
    if options.list_fixes {
        list_fixes(scenario, options.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    options.workload.resolve(scenario).map_err(Usage)?;
    let stop = interrupted()?;
    let play = async {
        if let Some(cases) = &options.measure {
            fixed::measure(&options, cases, verbose).await
        } else if options.fix.is_empty() {
            play(&options, verbose).await
        } else {
            fixed::play(&options, scenario, verbose).await
        }
    };
    let detaching = tokio::select! {
        done = play => done?,
        () = stop => {
            eprintln!("skmem: interrupted: the case has ended, and nothing is explained");
            return Ok(ExitCode::from(130));
        }
        () = tokio::time::sleep(options.timeout) => {
            anyhow::bail!("case {:?} took longer than {:?}; --timeout allows more", options.name, options.timeout)
        }
    };
    // All was said: neither a signal nor the time allowed changes that any more.
    if let Some(detaching) = detaching {
        detaching.done().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Plays the case and explains it; None: nothing is attached any more.
async fn play(options: &Options, verbose: bool) -> Result<Option<Detaching>> {
    // Before anything is started.
    let file = match &options.record {
        Some(path) => Some(record::DemoFile::new(path, options.force)?),
        None => None,
    };
    let this = std::env::current_exe().context("cannot find this program to start it again")?;
    let mut driver = Driver::spawn(&this, &options.name, &options.workload).map_err(failed)?;
    let ready = driver.ready().await.map_err(failed)?;
    // The receivers live in the same processes, but in another namespace.
    let selection = match options.rx {
        true => Selection::of_processes(ready.pids.iter().copied().chain([ready.pid])),
        false => Selection {
            netns: Some(Netns::Inode(u32::try_from(ready.netns)?)),
            ..Selection::default()
        },
    };
    let tracing = tracer::Options {
        ring_bytes: options.ring,
        rx: options.rx,
        verbose,
        ..trace::options(&selection)
    };
    let mut session = live::attach(&tracing).await?;
    let held = Owners::among(ready.pids.clone());
    let older = Older {
        namespaces: netns::of(&ready.pids, &held),
        inodes: Vec::new(),
    };
    live::adopt(&mut session, older);
    let mut tape = match file {
        Some(file) => Some(file.tape(&mut session, &tracing)?),
        None => None,
    };
    driver.go().await.map_err(failed)?;
    let mut step = async || match &mut tape {
        Some(tape) => tape.step(&mut session, |_, _| {}).await,
        None => session.step(|_, _| {}).await,
    };
    traced(driver.settled(), &mut step).await?;
    let driver = if options.at_end {
        traced(driver.finish(), &mut step).await?;
        None
    } else {
        Some(driver)
    };
    match &mut tape {
        Some(tape) => tape.finish(&mut session, |_, _| {}),
        None => session.finish(|_, _| {}),
    }
    live::say(&mut session);
    let end = session.end("command-ended")?;
    let verdicts = session.judge(&end, options.all, options.at_end);
    if let (Some(tape), Some(path)) = (tape, &options.record) {
        tape.end(end, None)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let printed = if options.json {
        print_json(&verdicts, session.release(), session.sockets() as u64)
    } else if verdicts.is_empty() {
        print("No socket went over its limit; --all explains them.\n")
    } else {
        print_text(&verdicts, options.length, MORE)
    };
    // Of a case that was only killed, sockets could go on to retransmit to nobody for a quarter of
    // an hour.
    if let Some(driver) = driver {
        driver.finish().await.map_err(failed)?;
    }
    let detaching = live::detach(session);
    printed?;
    Ok(Some(detaching))
}

/// Waits for a phase of the case while its sockets are traced, `step` by step.
async fn traced<T>(
    phase: impl Future<Output = Result<T, DriverError>>,
    mut step: impl AsyncFnMut() -> Result<()>,
) -> Result<T> {
    let mut phase = std::pin::pin!(phase);
    loop {
        tokio::select! {
            done = &mut phase => return done.map_err(failed),
            step = step() => step?,
        }
    }
}

/// A scenario that this kernel cannot run is not a failure.
fn failed(error: DriverError) -> anyhow::Error {
    match error {
        DriverError::Skip(why) => Skip(format!("this kernel cannot run the case: {why}")).into(),
        other => other.into(),
    }
}

/// A fix that can be tried.
#[derive(JsonSchema, Serialize)]
struct Listed {
    /// Its name
    fix: &'static str,
    /// What it does
    does: &'static str,
}

/// A line of `skmem demo --json`; with --fix a comparison, with --list or --list-fixes a list
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Demonstrated {
    Verdict(Box<Verdict>),
    None(NoVerdicts<'static>),
    Comparison(Box<Comparison>),
    Scenarios(Vec<workload::Scenario>),
    Fixes(Vec<Listed>),
}

/// The schema of its JSON.
pub(super) fn schema() -> Schema {
    schema_for!(Demonstrated)
}

fn list(json: bool) -> Result<()> {
    if json {
        let mut text = serde_json::to_string_pretty(workload::list())?;
        text.push('\n');
        return print(&text);
    }
    let style = style();
    let list = workload::list()
        .iter()
        .map(|case| (case.name, case.summary));
    print(&render::definitions(list, 23, &style))?;
    let text = "`skmem demo NAME --list-fixes` lists what can be tried against the excess in it.";
    print(&format!("\n{}\n", render::wrapped(text, style.width)))
}

fn list_fixes(scenario: &workload::Scenario, json: bool) -> Result<()> {
    let fixes = Fix::of(scenario);
    if json {
        let list: Vec<_> = fixes
            .iter()
            .map(|fix| Listed {
                fix: fix.name(),
                does: fix.summary(),
            })
            .collect();
        return print(&format!("{}\n", serde_json::to_string_pretty(&list)?));
    }
    if fixes.is_empty() {
        return print(&format!("no fix can be tried on {}\n", scenario.name));
    }
    let list = fixes.iter().map(|fix| (fix.name(), fix.summary()));
    print(&render::definitions(list, 17, &style()))
}
