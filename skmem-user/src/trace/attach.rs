//! Loading and attaching the programs, which takes seconds: in a thread of its
//! own, so that the caller can answer signals and say how far it is meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use crate::kernel::tracer::{Options, Tracer};

/// How often the caller hears how far it is.
const LOOK: Duration = Duration::from_millis(250);

/// How far attaching is.
#[derive(Debug, Clone, Copy)]
pub struct Attaching {
    /// Programs attached so far.
    pub done: usize,
    /// All there are; 0: not known yet.
    pub all: usize,
    /// Time since it began.
    pub took: Duration,
}

/// Loads and attaches; `look` hears four times a second how far that is.
///
/// # Errors
/// Where the kernel does not allow it.
pub(super) async fn attached(options: &Options, mut look: impl FnMut(Attaching)) -> Result<Tracer> {
    let began = Instant::now();
    let (to, from) = oneshot::channel();
    let count = Arc::<[AtomicUsize; 2]>::default();
    let (own, counting) = (options.clone(), Arc::clone(&count));
    let thread = thread::Builder::new()
        .name("attach".into())
        .spawn(move || {
            let loaded = Tracer::load_telling(&own, &|done, all| {
                counting[0].store(done, Relaxed);
                counting[1].store(all, Relaxed);
            });
            // Nobody waits for it any more where skmem ends.
            let _ = to.send(loaded);
        })?;
    let mut tick = tokio::time::interval(LOOK);
    let mut from = std::pin::pin!(from);
    let loaded = loop {
        tokio::select! {
            loaded = &mut from => break loaded,
            _ = tick.tick() => look(Attaching {
                done: count[0].load(Relaxed),
                all: count[1].load(Relaxed),
                took: began.elapsed(),
            }),
        }
    };
    // Its rights end with it: who drops those of skmem later drops them all.
    let ended = thread.join();
    let tracer = loaded.ok().filter(|_| ended.is_ok());
    tracer
        .context("the thread that attaches the programs failed")?
        .map_err(Into::into)
}
