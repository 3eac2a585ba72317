//! `skmem demo NAME --fix FIX,…`: the case again and again under one trace,
//! first without, then with each fix.

use std::collections::HashMap;

use anyhow::{Context as _, Result};

use super::{Options, failed, traced};
use crate::{
    cli::{
        Skip, Usage,
        live::{self, Detaching},
        print, style,
    },
    diag::{KernelReading, account_sources::version},
    explain::{
        Verdict,
        compare::{Comparison, Peak, Run},
        measured,
    },
    kernel::{system, tracer},
    model::record::Record,
    render,
    selection::Selection,
    trace::{self, Session},
    workload::{self, Driver, Scenario, fix::Choice, protocol::Ready},
};

/// A run that is ready to begin.
struct Runner {
    driver: Driver,
    ready: Ready,
    command: String,
}

pub(super) async fn play(
    options: &Options,
    scenario: &'static Scenario,
    verbose: bool,
) -> Result<Option<Detaching>> {
    let lines = options.length.lines();
    let several = options.fix.len() > 1;
    let mut shown = 0;
    let detaching = compare(options, scenario, &options.fix, verbose, |_, compared| {
        if options.json {
            return print(&format!("{}\n", render::comparison_json(compared)?));
        }
        if shown > 0 && lines.is_none() {
            print("\n")?;
        }
        shown += 1;
        print(&match lines {
            Some(_) if several => render::comparison_answer(compared, &style()),
            Some(lines) => render::comparison_brief(compared, &style(), lines),
            None => render::comparison(compared, &style()),
        })
    })
    .await?;
    if several && lines.is_some() && !options.json {
        let more = "--full prints the runs side by side; one --fix alone, too.";
        print(&format!("{}\n", render::wrapped(more, style().width)))?;
    }
    Ok(Some(detaching))
}

/// Prints the rows of this kernel for the table of measured figures. A case that this kernel cannot
/// run has none.
pub(super) async fn measure(
    options: &Options,
    only: &[String],
    verbose: bool,
) -> Result<Option<Detaching>> {
    let (major, minor) = version(&system::release());
    let kernel = format!("{major}.{minor}");
    for (case, fixes) in measured::cases() {
        if !only.is_empty() && !only.iter().any(|name| name == case) {
            continue;
        }
        let scenario = workload::find(case).map_err(Usage)?;
        let choices = fixes.iter().map(|fix| fix.parse());
        let choices: Vec<Choice> = choices
            .collect::<Result<_, _>>()
            .map_err(anyhow::Error::msg)?;
        let done = compare(options, scenario, &choices, verbose, |n, compared| {
            print(&measured::measured(&kernel, fixes[n], compared))
        });
        match done.await {
            Err(e) if e.is::<Skip>() => eprintln!("skmem: {case}: {e}"),
            done => done?.done().await,
        }
    }
    Ok(None)
}

/// Runs the case without a fix, then with each one, and hands on each comparison with the fix's
/// place among `fixes`. Then detaches.
async fn compare(
    options: &Options,
    scenario: &'static Scenario,
    fixes: &[Choice],
    verbose: bool,
    mut each: impl FnMut(usize, &Comparison) -> Result<()>,
) -> Result<Detaching> {
    let fixed = fixes.iter().map(|fix| {
        let fixed = fix.apply(scenario, &options.workload).map_err(Usage)?;
        Ok((*fix, fixed))
    });
    let fixed: Vec<(Choice, workload::Options)> = fixed.collect::<Result<_>>()?;
    // All before the trace begins, so that they have namespaces of different numbers.
    let without = Runner::start(scenario, &options.workload).await?;
    let mut with = Vec::new();
    for (_, options) in &fixed {
        with.push(Runner::start(scenario, options).await?);
    }
    let mut pids = Vec::new();
    for runner in with.iter().chain([&without]) {
        pids.push(runner.driver.pid());
        pids.extend(&runner.ready.pids);
    }
    let mut session = live::attach(&tracer::Options {
        follow: true,
        ring_bytes: options.ring,
        verbose,
        ..trace::options(&Selection::of_processes(pids))
    })
    .await?;
    let without = without.play(&mut session).await?;
    for (n, (with, (fix, fixed))) in with.into_iter().zip(&fixed).enumerate() {
        let with = with.play(&mut session).await?;
        let (name, does) = (fix.fix().name(), fix.does(fixed));
        let compared = Comparison::of(scenario.name, name, does, without.clone(), with);
        each(n, &compared)?;
    }
    Ok(live::detach(session))
}

impl Runner {
    async fn start(scenario: &Scenario, options: &workload::Options) -> Result<Self> {
        let this = std::env::current_exe().context("cannot find this program to start it again")?;
        let mut driver = Driver::spawn(&this, scenario.name, options).map_err(failed)?;
        let ready = driver.ready().await.map_err(failed)?;
        let mut command = format!("skmem demo {}", scenario.name);
        for word in options.to_args() {
            command.push(' ');
            command.push_str(&word.to_string_lossy());
        }
        Ok(Self {
            driver,
            ready,
            command,
        })
    }

    /// Runs the case until it is at rest, and to its end.
    async fn play(mut self, session: &mut Session) -> Result<Run> {
        self.driver.go().await.map_err(failed)?;
        let mut peaks: HashMap<u64, Peak> = HashMap::new();
        let mut note = |record: &Record| {
            if let Record::Event(event) = record {
                peaks.entry(event.socket).or_default().note(event);
            }
        };
        let step = async || session.step(|record, _| note(record)).await;
        let settled = traced(self.driver.settled(), step).await?;
        session.finish(|record, _| note(record));
        live::say(session);
        let ours = |v: &&Verdict| u64::from(v.socket.netns) == self.ready.netns;
        // What the case is about, where it has other sockets too.
        let subject = |v: &&Verdict| {
            let same = |t: &KernelReading| {
                let e = &t.endpoint;
                (e.sport, e.dport) == (v.socket.sport, v.socket.dport)
            };
            settled.truth.iter().any(same)
        };
        let all = session.verdicts(true, false);
        let of_case = || all.iter().filter(ours);
        let worst = of_case().find(subject).or_else(|| of_case().next());
        let worst = worst.context("the case made no socket that was seen to send")?;
        let ends = session.verdicts(true, true);
        let last = ends.iter().find(|v| v.socket.id == worst.socket.id);
        let last = last.context("a socket was forgotten between two readings")?;
        let segments = match &settled.truth[..] {
            [only] => only.tcp.and_then(|tcp| tcp.data_segs_out),
            _ => None,
        };
        let peak = peaks.get(&worst.socket.id).copied().unwrap_or_default();
        self.driver.finish().await.map_err(failed)?;
        Ok(Run::of(self.command, worst.clone(), last, peak, segments))
    }
}
