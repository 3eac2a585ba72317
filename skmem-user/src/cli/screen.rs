//! What text is written to: a terminal, with its width and its colours, or a
//! pipe.

use std::{env, io::IsTerminal as _};

use clap::Args;
use rustix::{
    fd::AsFd,
    termios::{Winsize, tcgetwinsize},
};

use crate::render::{Style, sanitized, wrapped};

/// Columns that text keeps to: fewer leave no room for numbers, more are hard
/// to read.
const COLUMNS: std::ops::RangeInclusive<usize> = 40..=200;

/// Columns and lines of a terminal that does not know its own size.
const UNKNOWN: (usize, usize) = (80, 24);

/// How to write to stdout: as wide as the terminal, in colours unless
/// `NO_COLOR` or `TERM=dumb` forbids them; plain, in 100 columns or `COLUMNS`,
/// where it is not a terminal.
#[must_use]
pub fn style() -> Style {
    let terminal = std::io::stdout().is_terminal();
    let unset = |name: &str| env::var_os(name).is_none_or(|v| v.is_empty());
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    Style {
        colour: terminal && unset("NO_COLOR") && !dumb,
        width: columns(&std::io::stdout(), Style::PLAIN.width),
        ..Style::PLAIN
    }
}

/// How much text is printed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Length {
    /// Print everything (the default where stdout is not a terminal)
    #[arg(long, conflicts_with = "json")]
    full: bool,
    /// Print one screen: what matters most (the default on a terminal)
    #[arg(long, conflicts_with_all = ["full", "json"])]
    brief: bool,
}

impl Length {
    /// Lines of one screen; None: everything.
    #[must_use]
    pub fn lines(self) -> Option<usize> {
        match (self.full, self.brief) {
            (true, _) => None,
            (false, true) => Some(lines().unwrap_or(UNKNOWN.1 - 1)),
            (false, false) => lines(),
        }
    }
}

/// Columns of a frame that is printed: those of the terminal, or of `COLUMNS`, or 100.
#[must_use]
pub fn columns_of_frame() -> usize {
    let out = std::io::stdout();
    let terminal = out.is_terminal().then(|| size(&out)).flatten();
    terminal
        .map(|size| usize::from(size.ws_col))
        .or_else(|| number("COLUMNS"))
        .unwrap_or(Style::PLAIN.width)
}

/// Lines of the terminal that stdout is, without the one for the prompt; None
/// where stdout is not a terminal.
#[must_use]
pub fn lines() -> Option<usize> {
    let out = std::io::stdout();
    out.is_terminal().then(|| {
        let lines = size(&out).map(|size| usize::from(size.ws_row));
        let lines = lines.or_else(|| number("LINES")).unwrap_or(UNKNOWN.1);
        lines.saturating_sub(1)
    })
}

/// Writes to stderr what names files or processes, which may be called
/// anything; on a terminal, no word is broken.
pub fn tell(text: &str) {
    eprintln!("{}", fitted(&format!("skmem: {}", sanitized(text))));
}

/// `text` as stderr shows it: where that is a terminal, lines that are too long
/// are broken between words.
#[must_use]
pub fn fitted(text: &str) -> String {
    let err = std::io::stderr();
    if !err.is_terminal() {
        return text.to_owned();
    }
    broken(text, columns(&err, Style::PLAIN.width))
}

fn broken(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.chars().count() <= width {
            lines.push(line.to_owned());
            continue;
        }
        // Lists are indented.
        let indent = line.len() - line.trim_start().len();
        let parts = wrapped(line, width.saturating_sub(indent));
        lines.extend(parts.lines().map(|part| format!("{:indent$}{part}", "")));
    }
    lines.join("\n")
}

/// Columns of what text goes to; `pipe` where that is not a terminal, and
/// `COLUMNS` is not set.
fn columns(to: &(impl AsFd + std::io::IsTerminal), pipe: usize) -> usize {
    let terminal = to.is_terminal();
    let size = terminal.then(|| size(to)).flatten();
    size.map(|size| usize::from(size.ws_col))
        .or_else(|| number("COLUMNS"))
        .unwrap_or(if terminal { UNKNOWN.0 } else { pipe })
        .clamp(*COLUMNS.start(), *COLUMNS.end())
}

fn size(to: &impl AsFd) -> Option<Winsize> {
    tcgetwinsize(to)
        .ok()
        .filter(|size| size.ws_col != 0 && size.ws_row != 0)
}

fn number(name: &str) -> Option<usize> {
    env::var(name).ok()?.parse().ok().filter(|n| *n != 0)
}

#[cfg(test)]
mod tests {
    use super::broken;

    #[test]
    fn messages_break_between_words_and_lists_stay() {
        let text = "skmem: no such socket here; it holds:\n  17           a>b  x (pid 1)";
        assert_eq!(broken(text, 80), text);
        assert_eq!(
            broken(text, 30),
            "skmem: no such socket here;\nit holds:\n  17           a>b  x (pid 1)"
        );
        assert_eq!(broken("  a list with words", 12), "  a list\n  with words");
    }
}
