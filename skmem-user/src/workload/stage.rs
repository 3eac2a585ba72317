//! The child's side of the protocol, and the clock that ends a scenario which does not end.

use std::{
    io::{BufRead, stdin},
    process::{self, ExitCode},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::{
    Params, Scenario,
    net::Netns,
    protocol::{Command, Done, Ready, Reason, Reply, Settled},
    sender::{Sender, truths},
    skip::{SKIP_STATUS, Skip},
};
use crate::diag::{self, Counters};

/// How often the watchdog looks at the clock.
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// What a scenario plays on.
pub(crate) struct Stage {
    scenario: &'static Scenario,
    /// What the scenario runs with.
    pub params: Params,
    commands: Receiver<Command>,
    deadline: Arc<Mutex<Option<Instant>>>,
}

impl Stage {
    /// Starts listening to the tracer, and the clock.
    pub fn new(scenario: &'static Scenario, params: Params) -> Self {
        die_with_parent();
        call_ourselves_sender();
        let stage = Self {
            scenario,
            commands: listen(),
            deadline: Arc::new(Mutex::new(None)),
            params,
        };
        stage.watch();
        stage
    }

    /// Runs the scenario to its end and says how it ended.
    pub fn play(self) -> ExitCode {
        self.start_clock();
        match (self.scenario.play)(&self) {
            Ok(done) => {
                Reply::Done(done).print();
                ExitCode::SUCCESS
            }
            Err(error) => match Skip::reason(&error) {
                Some(why) => {
                    Reply::skip(why).print();
                    ExitCode::from(SKIP_STATUS)
                }
                None => {
                    Reply::error(format!("{}: {error:#}", self.scenario.name)).print();
                    ExitCode::FAILURE
                }
            },
        }
    }

    /// Says where the senders live (`netns`), which `connections` exist already, and waits for
    /// `go`.
    pub fn ready(&self, netns: &Netns, connections: &[Sender]) -> Result<()> {
        self.ready_with(netns, connections, vec![process::id()])
    }

    /// As [`Self::ready`], for senders in processes of their own.
    pub fn ready_with(&self, netns: &Netns, connections: &[Sender], pids: Vec<u32>) -> Result<()> {
        self.stop_clock();
        Reply::Ready(Ready {
            pid: process::id(),
            pids,
            netns: netns.inode(),
            connections: connections.iter().map(|s| s.endpoint.clone()).collect(),
        })
        .print();
        match self.next()? {
            Command::Go => {
                self.start_clock();
                Ok(())
            }
            other => bail!("the tracer said {:?} before go", other.as_str()),
        }
    }

    /// Reports rest, answers `truth` as often as asked, and returns on `finish`.
    pub fn settled(&self, netns: &Netns, reason: Reason, senders: &[Sender]) -> Result<()> {
        let truth = truths(senders)?;
        self.settled_with(netns, reason, truth, || truths(senders))
    }

    /// As [`Self::settled`], where the readings come from elsewhere.
    pub fn settled_with(
        &self,
        netns: &Netns,
        reason: Reason,
        truth: Vec<diag::KernelReading>,
        mut again: impl FnMut() -> Result<Vec<diag::KernelReading>>,
    ) -> Result<()> {
        self.stop_clock();
        Reply::Settled(Settled {
            reason,
            truth,
            counters: counters(netns)?,
        })
        .print();
        loop {
            match self.next()? {
                Command::KernelReading => Reply::KernelReading(again()?).print(),
                Command::Finish => {
                    self.start_clock();
                    return Ok(());
                }
                Command::Go => bail!("the tracer said go twice"),
            }
        }
    }

    /// The closing message: what is left of `senders`.
    pub fn done(&self, netns: &Netns, senders: &[Sender]) -> Result<Done> {
        self.done_with(netns, truths(senders)?)
    }

    /// As [`Self::done`], where the readings come from elsewhere.
    pub fn done_with(&self, netns: &Netns, truth: Vec<diag::KernelReading>) -> Result<Done> {
        // The network's end has a bound of its own.
        self.stop_clock();
        Ok(Done {
            truth,
            counters: counters(netns)?,
        })
    }

    fn next(&self) -> Result<Command> {
        self.commands.recv().context("the tracer is gone")
    }

    fn start_clock(&self) {
        *lock(&self.deadline) = Some(Instant::now() + self.params.deadline);
    }

    /// Between phases the tracer may take its time.
    fn stop_clock(&self) {
        *lock(&self.deadline) = None;
    }

    /// Ends the process when a phase outlasts the deadline, wherever it hangs.
    fn watch(&self) {
        let deadline = Arc::clone(&self.deadline);
        let name = self.scenario.name;
        let allowed = self.params.deadline;
        thread::spawn(move || {
            loop {
                thread::sleep(WATCH_EVERY);
                let held = lock(&deadline);
                if held.is_some_and(|at| Instant::now() >= at) {
                    Reply::error(format!(
                        "{name}: not at rest within {allowed:?}; allow more with --deadline"
                    ))
                    .print();
                    process::exit(1);
                }
            }
        });
    }
}

fn counters(netns: &Netns) -> Result<Counters> {
    netns.run(|| Ok(diag::tcp_counters()?))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A deadline is whole whatever happened to the thread that last held it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads stdin to its end in a thread of its own; its end ends the process.
fn listen() -> Receiver<Command> {
    let (tell, commands) = mpsc::channel();
    thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            match Command::parse(&line) {
                // Nobody listens once the scenario is over; the process is about to end then.
                Some(command) => drop(tell.send(command)),
                None => {
                    Reply::error(format!(
                        "unknown command {line:?}; known: go, truth, finish"
                    ))
                    .print();
                    process::exit(2);
                }
            }
        }
        process::exit(1);
    });
    commands
}

/// Names the calling thread `demo-sender`: it connects, and its `comm` is shown with the socket.
pub(crate) fn call_ourselves_sender() {
    // Without it, only the name shown is another.
    let _ = rustix::thread::set_name(c"demo-sender");
}

/// Asks for SIGKILL when the thread that started this process ends, for the case that something
/// else keeps our stdin open.
pub(crate) fn die_with_parent() {
    // Without it, stdin still says when the parent has ended.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}
