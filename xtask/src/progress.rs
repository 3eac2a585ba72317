//! Saying what is being done, on stderr: a spinner on a terminal, plain lines elsewhere, nothing
//! for what is there already.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// One named piece of work that takes long enough to be announced.
pub(crate) struct Step {
    name: String,
    bar: ProgressBar,
    started: Instant,
}

impl Step {
    /// Announces the work; `hint` says what it is and how long it takes.
    pub(crate) fn start(name: impl Into<String>, hint: &str) -> Self {
        let name = name.into();
        let bar = ProgressBar::new_spinner();
        if bar.is_hidden() {
            eprintln!("{name}: {hint}");
        } else {
            let style = ProgressStyle::with_template("{spinner} {prefix}: {wide_msg} {elapsed}");
            bar.set_style(style.expect("the template is well-formed"));
            bar.set_prefix(name.clone());
            bar.set_message(hint.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self {
            name,
            bar,
            started: Instant::now(),
        }
    }

    /// Shows a line that the working program printed. Not in plain output: there it would be a
    /// flood.
    pub(crate) fn output(&self, line: &str) {
        if !line.is_empty() {
            self.bar.set_message(line.trim().to_owned());
        }
    }

    /// Clears the spinner while something else is printed.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// The work is done: one line that stays.
    pub(crate) fn done(self, result: &str) {
        self.bar.finish_and_clear();
        eprintln!(
            "{}: {result} ({:.1} s)",
            self.name,
            self.started.elapsed().as_secs_f64()
        );
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
