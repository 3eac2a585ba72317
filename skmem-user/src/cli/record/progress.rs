//! What `record` prints while it records, and after that.

use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    model::end::Totals,
    trace::{Session, recording_session::RecordingSession},
};

/// How often the line is drawn.
const REDRAW: Duration = Duration::from_millis(250);

/// The line on a terminal.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// `shown`: where it can be.
    pub fn new(shown: bool) -> Self {
        let style = ProgressStyle::with_template("{wide_msg}");
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        // Hidden: no terminal, or one that cannot redraw a line.
        let bar = (shown && !bar.is_hidden()).then_some(bar);
        Self {
            bar,
            started: Instant::now(),
            drawn: None,
        }
    }

    /// Whether stderr is a terminal that can show it.
    pub fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// Draws the line.
    pub fn show(&mut self, session: &Session, tape: &RecordingSession) {
        let Some(bar) = &self.bar else { return };
        if self.drawn.is_some_and(|at| at.elapsed() < REDRAW) {
            return;
        }
        self.drawn = Some(Instant::now());
        let lost = session.totals().map_or(0, |t| t.all_lost());
        bar.set_message(format!(
            "recording: {:.1} s, {} events, {}, {} lost, {}; Ctrl-C ends it",
            self.started.elapsed().as_secs_f64(),
            HumanCount(session.seen()),
            DecimalBytes(tape.bytes()),
            HumanCount(lost),
            sockets(session.sockets() as u64),
        ));
    }

    /// Takes the line away.
    pub fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// What a recording has come to.
    pub fn tell(&self, name: &str, totals: &Totals, events: u64, bytes: u64) {
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let each = match events {
            0 => String::new(),
            n => format!(" ({:.1} bytes an event)", bytes as f64 / n as f64),
        };
        eprintln!(
            "skmem: {}: {:.1} s, {} events, {}{each}, {} lost, {}",
            name,
            self.started.elapsed().as_secs_f64(),
            HumanCount(events),
            DecimalBytes(bytes),
            HumanCount(totals.lost()),
            sockets(totals.sockets),
        );
        for hook in totals.hooks.iter().filter(|h| h.lost > 0) {
            eprintln!(
                "skmem: {} records of {} lost: the ring was full (--ring makes it larger); \
                 the accounts are exact all the same",
                HumanCount(hook.lost),
                hook.hook
            );
        }
        if totals.no_slot > 0 {
            eprintln!(
                "skmem: {} sockets found no room in the table; give --max-sockets a larger number",
                HumanCount(totals.no_slot)
            );
        }
    }
}

fn sockets(n: u64) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} socket{s}", HumanCount(n))
}
