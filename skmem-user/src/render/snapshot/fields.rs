//! The glossary.

use crate::{
    glossary::{self, Field},
    render::{
        Style,
        layout::{hang, row},
        style::Role,
    },
};

/// Columns of a label.
const LABEL: usize = 11;

/// One entry in full.
#[must_use]
pub fn field(field: &Field, style: &Style) -> String {
    let mut out = String::new();
    let head = match field.ss {
        Some(ss) => format!("{}, `{ss}` in ss", field.name),
        None => format!("{}, not printed by ss", field.name),
    };
    hang(&mut out, "", 0, &head, Some(Role::Title), style);
    row(&mut out, "  is", LABEL, field.meaning, style);
    row(&mut out, "  kernel", LABEL, field.kernel, style);
    row(&mut out, "  unit", LABEL, field.unit, style);
    row(&mut out, "  moved by", LABEL, field.moved_by, style);
    for trap in field.traps {
        row(&mut out, "  trap", LABEL, trap, style);
    }
    if !field.aliases.is_empty() {
        row(&mut out, "  also", LABEL, &field.aliases.join(", "), style);
    }
    out
}

/// Every entry in a line or two.
#[must_use]
pub fn fields(style: &Style) -> String {
    let mut out = String::new();
    for field in glossary::all() {
        let label = format!("{:<15} {:<15}", field.ss.unwrap_or("-"), field.name);
        let text = format!("{} ({})", field.meaning, field.unit);
        row(&mut out, &label, 32, &text, style);
    }
    out.push('\n');
    let more =
        "The first column is what ss prints. `skmem fields NAME` says more: `skmem fields w`.";
    hang(&mut out, "", 0, more, None, style);
    out
}

/// Every entry in full, as Markdown: `docs/fields.md`.
#[must_use]
pub fn fields_markdown() -> String {
    let mut out = String::from(
        "# The values that `ss -m` and skmem print\n\nPrinted by `skmem fields --markdown`; a test keeps this file so.\n",
    );
    for field in glossary::all() {
        let ss = field
            .ss
            .map_or(String::new(), |ss| format!(" (`{ss}` in ss)"));
        out.push_str(&format!("\n## {}{ss}\n\n", field.name));
        for (label, text) in [
            ("Is", field.meaning),
            ("Kernel", field.kernel),
            ("Unit", field.unit),
            ("Moved by", field.moved_by),
        ] {
            out.push_str(&format!("- {label}: {text}\n"));
        }
        for trap in field.traps {
            out.push_str(&format!("- Trap: {trap}\n"));
        }
    }
    out
}
