//! A trace that a command starts: how far attaching is, and what the trace has
//! to say, on stderr.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    kernel::tracer::Options,
    selection::Selection,
    trace::{Attaching, Older, Session, older},
};

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
    let started = Session::attach(options, |attaching| line.show(attaching)).await;
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

    fn show(&self, attaching: Attaching) {
        let Some(bar) = &self.0 else { return };
        let of = match attaching.all {
            0 => String::new(),
            all => format!(": {} of {all} programs", attaching.done),
        };
        bar.set_message(format!(
            "skmem: attaching{of}, {:.0} s; Ctrl-C ends it",
            attaching.took.as_secs_f64()
        ));
    }

    fn done(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
