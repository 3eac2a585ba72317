//! A trace that a command starts and ends: how far attaching is, what the trace has
//! to say, and that detaching takes its time, on stderr.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::{
    kernel::tracer::Options,
    selection::Selection,
    trace::{Attaching, Older, Session, older},
};

/// When a terminal says first what goes on, and how often from then on.
const SOON: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(250);

/// Where there is no terminal, one line says what took longer.
const LONG: Duration = Duration::from_secs(2);

/// Attaches and starts to trace the selected sockets, those included that are older than the
/// trace; says what this kernel lacks, and what could not be done.
///
/// # Errors
/// Where the kernel does not allow it.
pub async fn start(selection: &Selection, options: &Options) -> Result<Session> {
    let mut session = attach(options).await?;
    adopt(&mut session, older(selection));
    Ok(session)
}

/// The same without older sockets: for commands that choose those themselves, see [`adopt`].
///
/// # Errors
/// Where the kernel does not allow it.
pub async fn attach(options: &Options) -> Result<Session> {
    let session = attach_quietly(options).await?;
    for note in session.tracer().notes() {
        eprintln!("skmem: {note}");
    }
    Ok(session)
}

/// Like `attach`, but does not warn about missing hooks: for `bench`, which
/// leaves hooks out on purpose.
///
/// # Errors
/// As for [`attach`].
pub async fn attach_quietly(options: &Options) -> Result<Session> {
    let line = Line::new();
    let began = Instant::now();
    let started = Session::attach(options, |attaching| line.attaching(attaching)).await;
    line.done();
    let session = started?;
    let tracer = session.tracer();
    if began.elapsed() > LONG {
        eprintln!(
            "skmem: {} programs attached in {:.1} s",
            tracer.attached().len(),
            began.elapsed().as_secs_f64()
        );
    }
    if options.verbose {
        for a in tracer.attached() {
            let walked = tracer.verified_instructions(a.program).unwrap_or(0);
            eprintln!(
                "skmem: {} on {} ({:?}), {walked} instructions verified",
                a.program, a.function, a.kind
            );
        }
    }
    Ok(session)
}

/// [`Session::adopt`], and says what it could not do.
pub fn adopt(session: &mut Session, older: Older) {
    session.adopt(older);
    say(session);
}

/// Prints what a session has to say since this was last called.
pub fn say(session: &mut Session) {
    for note in session.take_notes() {
        eprintln!("skmem: {note}");
    }
}

/// A trace that ends: its programs are being detached. Where nobody waits for that, the end of the
/// runtime does.
#[must_use]
pub struct Detaching {
    programs: usize,
    began: Instant,
    detached: JoinHandle<()>,
}

/// Begins to detach the programs. 6.1 and 6.12 take seconds: they wait for each function by itself
/// until no task runs its trampoline (`unregister_ftrace_direct`, `synchronize_rcu_tasks`).
/// What was seen is better printed before, or meanwhile.
pub fn detach(session: Session) -> Detaching {
    Detaching {
        programs: session.tracer().attached().len(),
        began: Instant::now(),
        detached: tokio::task::spawn_blocking(move || drop(session)),
    }
}

impl Detaching {
    /// Waits until they are; a terminal shows for how long.
    pub async fn done(mut self) {
        let line = Line::new();
        let mut tick = tokio::time::interval_at((self.began + SOON).into(), TICK);
        loop {
            tokio::select! {
                // What panicked has said so.
                _ = &mut self.detached => break,
                _ = tick.tick() => line.show(&format!(
                    "skmem: detaching {} programs, {:.0} s: the kernel waits until no task runs them",
                    self.programs,
                    self.began.elapsed().as_secs_f64()
                )),
            }
        }
        line.done();
    }
}

/// Says that a signal came before anything was traced; the exit status.
pub fn gave_up() -> ExitCode {
    eprintln!("skmem: interrupted while the programs were being attached: nothing was traced");
    ExitCode::from(130)
}

/// The line on a terminal. Elsewhere there is none: an error is one line there.
struct Line(Option<ProgressBar>);

impl Line {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{wide_msg}");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self((!bar.is_hidden()).then_some(bar))
    }

    fn attaching(&self, attaching: Attaching) {
        let of = match attaching.all {
            0 => String::new(),
            all => format!(": {} of {all} programs", attaching.done),
        };
        self.show(&format!(
            "skmem: attaching{of}, {:.0} s; Ctrl-C ends it",
            attaching.took.as_secs_f64()
        ));
    }

    fn show(&self, text: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(text.to_owned());
        }
    }

    fn done(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
