//! `--watch`: again and again. On a terminal in place, without flicker; elsewhere one after the
//! other.

use std::{
    io::{IsTerminal as _, Write as _, stdout},
    time::Duration,
};

use anyhow::Result;

use super::{Arranged, Options, how, structured, summary, table, wide};
use crate::{
    cli::{interrupted, print},
    explain::numbers::grouped,
    render::snapshot::{headline, notes, size},
};

/// Lines of a frame besides the sockets: two above the table, its head, what it leaves out, and the
/// hint.
const AROUND: usize = 5;

/// Looks every `time` until Ctrl-C, or as often as was asked for.
pub(super) async fn run(
    options: &Options,
    time: Duration,
    mut look: impl FnMut() -> Result<Arranged>,
) -> Result<()> {
    let text = !options.json && !options.csv;
    let screen = (text && stdout().is_terminal())
        .then(Screen::enter)
        .transpose()?;
    let mut ticks = tokio::time::interval(time);
    // A look that takes longer than the interval does not make the next ones hurry.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(interrupted()?);
    let mut left = options.count.unwrap_or(u64::MAX);
    let mut first = true;
    while left > 0 {
        tokio::select! {
            () = &mut stop => break,
            _ = ticks.tick() => {}
        }
        let seen = look()?;
        match &screen {
            Some(screen) => screen.draw(&seen, options)?,
            None if text => print(&frame(&seen, options, usize::MAX, first))?,
            None => structured(seen, options, first)?,
        }
        first = false;
        left -= 1;
    }
    Ok(())
}

/// One look as text.
fn frame(look: &Arranged, options: &Options, most: usize, first: bool) -> String {
    let style = wide();
    let captured = &look.captured;
    let mut text = headline(&summary(look), &style);
    if let Some(turnover) = look.turnover {
        text.push_str(&format!(
            "\n{} sockets came, {} went with {}",
            grouped(turnover.come as i64),
            grouped(turnover.gone as i64),
            size(turnover.gone_bytes)
        ));
    } else {
        text.push_str("\nfirst look: changes are shown from the next one on");
    }
    text.push('\n');
    let show = how(look, options, most.min(super::FEW));
    text.push_str(&table(look, options, &show, &style));
    if first {
        text.push_str(&notes(&captured.notes, &style));
    }
    text.push('\n');
    text
}

/// The terminal's other screen, without cursor and line wrap; all is put back at the end.
struct Screen;

impl Screen {
    fn enter() -> Result<Self> {
        let mut out = stdout().lock();
        out.write_all(b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J")?;
        out.flush()?;
        Ok(Self)
    }

    /// Draws over what is there, line by line, so that nothing blinks; terminals that can show the
    /// frame at once (mode 2026).
    fn draw(&self, look: &Arranged, options: &Options) -> Result<()> {
        let height =
            rustix::termios::tcgetwinsize(stdout()).map_or(24, |size| usize::from(size.ws_row));
        let height = height.max(AROUND + 1);
        let each = if look.groups.is_some() { 1 } else { 2 };
        let text = frame(look, options, ((height - AROUND) / each).max(1), false);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.truncate(height - 1);
        let hint = "Ctrl-C ends; `skmem fields` explains the columns";
        let frame = format!(
            "\x1b[?2026h\x1b[H{}\x1b[K\n{hint}\x1b[K\x1b[J\x1b[?2026l",
            lines.join("\x1b[K\n")
        );
        let mut out = stdout().lock();
        out.write_all(frame.as_bytes())?;
        out.flush()?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = stdout().lock();
        let _ = out.write_all(b"\x1b[?2026l\x1b[?7h\x1b[?25h\x1b[?1049l");
        let _ = out.flush();
    }
}
