//! What could not be seen.

use crate::render::{
    Style,
    escape::escaped,
    layout::{hang, title},
};

/// The notes under their title; nothing where there are none.
#[must_use]
pub fn notes(notes: &[String], style: &Style) -> String {
    let mut out = String::new();
    if !notes.is_empty() {
        title(&mut out, "Not seen", style);
    }
    for note in notes {
        hang(&mut out, "  - ", 4, &escaped(note), None, style);
    }
    out
}
