//! Loading and attaching the programs, which takes seconds: in a thread of its
//! own, so that signals are answered meanwhile, and people see that it goes on.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::oneshot;

use crate::kernel::tracer::{Options, Tracer};

/// How often the line is drawn.
const REDRAW: Duration = Duration::from_millis(250);

/// What takes longer is told of where there is no terminal.
const LONG: Duration = Duration::from_secs(2);

/// Programs attached so far, and all there are.
type Count = Arc<[AtomicUsize; 2]>;

/// Loads and attaches; says on stderr how far that is.
///
/// # Errors
/// Where the kernel does not allow it.
pub(super) async fn attached(options: &Options) -> Result<Tracer> {
    let (to, from) = oneshot::channel();
    let count = Count::default();
    let (own, told) = (options.clone(), Arc::clone(&count));
    let thread = thread::Builder::new()
        .name("attach".into())
        .spawn(move || {
            let loaded = Tracer::load_telling(&own, &|done, all| {
                told[0].store(done, Relaxed);
                told[1].store(all, Relaxed);
            });
            // Nobody waits for it any more where skmem ends.
            let _ = to.send(loaded);
        })?;
    let mut line = Line::new();
    let mut look = tokio::time::interval(REDRAW);
    let mut from = std::pin::pin!(from);
    let loaded = loop {
        tokio::select! {
            loaded = &mut from => break loaded,
            _ = look.tick() => line.show(&count),
        }
    };
    line.done();
    // Its rights end with it: who drops those of skmem later drops them all.
    let ended = thread.join();
    let tracer = loaded.ok().filter(|_| ended.is_ok());
    let tracer = tracer.context("the thread that attaches the programs failed")??;
    if line.began.elapsed() > LONG {
        eprintln!(
            "skmem: {} programs attached in {:.1} s",
            tracer.attached().len(),
            line.began.elapsed().as_secs_f64()
        );
    }
    Ok(tracer)
}

/// Says that a signal came before anything was traced; the exit status.
pub fn gave_up() -> ExitCode {
    eprintln!("skmem: interrupted while the programs were being attached: nothing was traced");
    ExitCode::from(130)
}

/// The line on a terminal. Elsewhere there is none: an error is one line there.
struct Line {
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Line {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{wide_msg}");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self {
            bar: (!bar.is_hidden()).then_some(bar),
            began: Instant::now(),
        }
    }

    fn show(&mut self, count: &Count) {
        let (done, all) = (count[0].load(Relaxed), count[1].load(Relaxed));
        let took = self.began.elapsed();
        if let Some(bar) = &self.bar {
            let of = match all {
                0 => String::new(),
                all => format!(": {done} of {all} programs"),
            };
            bar.set_message(format!(
                "skmem: attaching{of}, {:.0} s; Ctrl-C ends it",
                took.as_secs_f64()
            ));
        }
    }

    fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
