//! The part of a recording that a command looks at: some of its sockets, some of its time.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;

use super::{Usage, instant::RecordingInstant, sockets::SocketArgs, tell};
use crate::{
    recording::{
        Recording, RecordingError,
        choice::{self, Choice, Window},
    },
    render,
};

/// Which part of the time.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct WindowArgs {
    /// Begin here: since the recording's start (1.2s), before its end (-2s), on the wall clock in
    /// UTC (03:12:22.5, 2026-11-28T03:12:22), or an at_ns (@N)
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Which time"
    )]
    pub from: Option<RecordingInstant>,
    /// End here: a time as for --from
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Which time"
    )]
    pub to: Option<RecordingInstant>,
}

/// A recording, and what of it is wanted.
#[derive(Debug, Clone)]
pub struct Excerpt {
    path: PathBuf,
    choice: Option<Arc<Choice>>,
}

impl Excerpt {
    /// All of it.
    #[must_use]
    pub fn all(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            choice: None,
        }
    }

    /// What the options say; and says on stderr how many sockets that is.
    ///
    /// # Errors
    /// Where the file is not a recording, or holds nothing of what was asked for.
    pub fn of(path: &Path, which: &SocketArgs, window: WindowArgs) -> Result<Self> {
        if which.is_empty() && window.from.is_none() && window.to.is_none() {
            return Ok(Self::all(path));
        }
        let selection = which.of_recording()?;
        let all = Self::all(path);
        let window = all.window(window)?;
        let words = which.named();
        let chosen = all.part(|_, socket| selection.holds(socket), window, words)?;
        if let Some(choice) = &chosen.choice {
            let (kept, of) = (choice.kept(), choice.of_all());
            if kept == 0 {
                let name = path.display();
                bail!(
                    "no socket in {name} matches; it holds {of}: `skmem report {name} --sockets` lists them"
                );
            }
            if kept != of {
                tell(&format!("{kept} of {}", sockets(of)));
            }
        }
        Ok(chosen)
    }

    /// One socket of it, in the same time.
    ///
    /// # Errors
    /// Where the file cannot be read again.
    pub fn only(&self, id: u64) -> Result<Self> {
        let window = self.choice.as_ref().map(|choice| choice.window());
        let words = vec![("socket".to_owned(), id.to_string())];
        let all = Self::all(&self.path);
        all.part(|socket, _| socket == id, window.unwrap_or_default(), words)
    }

    fn part(
        &self,
        wanted: impl Fn(u64, &dyn crate::selection::Subject) -> bool,
        window: Window,
        words: Vec<(String, String)>,
    ) -> Result<Self> {
        let choice = Choice::of(self.opened()?, wanted, window, words);
        Ok(Self {
            path: self.path.clone(),
            choice: Some(Arc::new(choice)),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it.
    ///
    /// # Errors
    /// Where it is not a recording.
    pub fn open(&self) -> Result<Recording<BufReader<File>>, RecordingError> {
        let recording = Recording::open(&self.path)?;
        Ok(match &self.choice {
            Some(choice) => recording.only(Arc::clone(choice)),
            None => recording,
        })
    }

    fn opened(&self) -> Result<Recording<BufReader<File>>> {
        self.open()
            .with_context(|| format!("{}", self.path.display()))
    }

    /// The instants that `--from` and `--to` mean.
    fn window(&self, args: WindowArgs) -> Result<Window> {
        if args.from.is_none() && args.to.is_none() {
            return Ok(Window::default());
        }
        let mut recording = self.opened()?;
        let name = self.path.display();
        let span = choice::span(&mut recording).with_context(|| format!("{name} holds nothing"))?;
        let clock = recording.meta().clock;
        let ns = |at: Option<RecordingInstant>| at.map(|at| at.ns(span, &clock));
        let (from, to) = (ns(args.from), ns(args.to));
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            bail!(Usage(anyhow!(
                "--from is not before --to: nothing lies between them"
            )));
        }
        if from.is_some_and(|from| from > span.1) || to.is_some_and(|to| to < span.0) {
            bail!(Usage(nothing(span, |ns| clock.wall_ns(ns))));
        }
        Ok(Window {
            from: from.filter(|from| *from > span.0),
            to: to.filter(|to| *to < span.1),
        })
    }
}

fn sockets(n: u64) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} socket{s}")
}

/// Nothing lies in the time that was asked for.
pub fn nothing(span: (u64, u64), wall_ns: impl Fn(u64) -> u64) -> anyhow::Error {
    anyhow!(
        "nothing lies there: the recording is {} long, from {} to {}",
        render::time_span(span.1.saturating_sub(span.0)),
        render::utc(wall_ns(span.0)),
        render::utc(wall_ns(span.1))
    )
}
