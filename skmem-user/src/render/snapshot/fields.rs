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
        Some(ss) if ss != field.name => format!("{}, `{ss}` in ss", field.name),
        _ => field.name.to_owned(),
    };
    hang(&mut out, "", 0, &head, Some(Role::Title), style);
    row(&mut out, "  is", LABEL, field.meaning, style);
    row(&mut out, "  kernel", LABEL, field.kernel, style);
    for (label, text) in [("  unit", field.unit), ("  moved by", field.moved_by)] {
        if !is_empty(text) {
            row(&mut out, label, LABEL, text, style);
        }
    }
    for trap in field.traps {
        row(&mut out, "  trap", LABEL, trap, style);
    }
    if !field.aliases.is_empty() {
        row(&mut out, "  also", LABEL, &field.aliases.join(", "), style);
    }
    out
}

/// Nothing to say.
fn is_empty(text: &str) -> bool {
    matches!(text, "" | "-")
}

/// Every entry in a line or two.
#[must_use]
pub fn fields(style: &Style) -> String {
    let mut out = String::new();
    for (at, (title, group)) in glossary::GROUPS.into_iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        out.push_str(&format!("{}\n", style.paint(Role::Title, title)));
        for field in group {
            let label = format!("{:<15} {:<21}", field.ss.unwrap_or("-"), field.name);
            let text = match field.unit {
                unit if is_empty(unit) || matches!(unit, "finding" | "TCP state") => {
                    field.meaning.to_owned()
                }
                unit => format!("{} ({unit})", field.meaning),
            };
            row(&mut out, &label, 38, &text, style);
        }
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
    for (title, group) in glossary::GROUPS {
        out.push_str(&format!("\n## {title}\n"));
        for field in group {
            let ss = field
                .ss
                .map_or(String::new(), |ss| format!(" (`{ss}` in ss)"));
            out.push_str(&format!("\n### {}{ss}\n\n", field.name));
            for (label, text) in [
                ("Is", field.meaning),
                ("Kernel", field.kernel),
                ("Unit", field.unit),
                ("Moved by", field.moved_by),
            ] {
                if !is_empty(text) {
                    out.push_str(&format!("- {label}: {text}\n"));
                }
            }
            for trap in field.traps {
                out.push_str(&format!("- Trap: {trap}\n"));
            }
        }
    }
    out
}
