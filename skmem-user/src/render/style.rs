//! How text looks: colour and width.

use std::fmt::Display;

use anstyle::{Ansi256Color, AnsiColor, Style as Ansi};

/// A blue that is read on a dark background and on a light one, which cyan is not.
const BLUE: Ansi256Color = Ansi256Color(31);

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to use the terminal's colours.
    pub colour: bool,
    /// Columns to keep to.
    pub width: usize,
    /// What event lines count their time from, in ns of `CLOCK_MONOTONIC`:
    /// the time of the first event.
    pub zero_ns: u64,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// The answer, or a section's title.
    Title,
    /// Something that must not be overlooked.
    Alarm,
    /// A cause.
    Name,
    /// A remark.
    Aside,
}

impl Style {
    /// No colour, 100 columns.
    pub const PLAIN: Self = Self {
        colour: false,
        width: 100,
        zero_ns: 0,
    };

    /// `text` in the colours of `role`, where colours are wanted.
    pub(super) fn paint(&self, role: Role, text: impl Display) -> String {
        if !self.colour {
            return text.to_string();
        }
        let [begin, end] = Self::around(role);
        format!("{begin}{text}{end}")
    }

    /// What begins and ends the colours of `role`.
    pub(super) fn around(role: Role) -> [String; 2] {
        let ansi = match role {
            Role::Title => Ansi::new().bold(),
            Role::Alarm => AnsiColor::Red.on_default().bold(),
            Role::Name => BLUE.on_default(),
            Role::Aside => Ansi::new().dimmed(),
        };
        [format!("{ansi}"), format!("{ansi:#}")]
    }
}

impl Default for Style {
    fn default() -> Self {
        Self::PLAIN
    }
}
