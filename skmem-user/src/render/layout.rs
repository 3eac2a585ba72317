//! Paragraphs and rows that keep to a width.

use super::style::{Role, Style};

/// Columns that a text wants beside its head; with fewer it goes below it.
const LEAST: usize = 24;
/// How far in it is then.
const INDENT: usize = 6;
/// A word up to this long does not stand alone in a last line.
const LONELY: usize = 12;

/// `text` broken into lines at spaces: the first after `first` columns, the
/// others after `rest`. A word that is too long has a line of its own.
pub(super) fn wrap(text: &str, first: usize, rest: usize, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut column = first;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !line.is_empty() && column + 1 + length > width {
            lines.push(std::mem::take(&mut line));
            column = rest;
        }
        if !line.is_empty() {
            line.push(' ');
            column += 1;
        }
        line.push_str(word);
        column += length;
    }
    if !line.is_empty() {
        lines.push(line);
    }
    keep_company(&mut lines, width.saturating_sub(rest));
    lines
}

/// `text` in lines of at most `width` columns, words whole; without a newline.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> String {
    wrap(text, 0, 0, width).join("\n")
}

/// A last line of one short word takes one from the line before.
fn keep_company(lines: &mut [String], room: usize) {
    let [.., before, last] = lines else {
        return;
    };
    if last.contains(' ') || last.chars().count() > LONELY {
        return;
    }
    if let Some((rest, word)) = before.rsplit_once(' ')
        && rest.contains(' ')
        && word.chars().count() + 1 + last.chars().count() <= room
    {
        *last = format!("{word} {last}");
        *before = rest.to_owned();
    }
}

/// A row: `label` in `column` columns, then `text`, its further lines under
/// its first.
pub(super) fn row(out: &mut String, label: &str, column: usize, text: &str, style: &Style) {
    hang(out, &format!("{label:<column$}"), column, text, None, style);
}

/// Writes `head`, which takes `column` columns, then `text` with its further
/// lines at that column.
pub(super) fn hang(
    out: &mut String,
    head: &str,
    column: usize,
    text: &str,
    role: Option<Role>,
    style: &Style,
) {
    out.push_str(head);
    let mut column = column;
    if column + LEAST > style.width && !text.is_empty() {
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
        column = INDENT;
        out.extend(std::iter::repeat_n(' ', column));
    }
    let mut lines = wrap(text, column, column, style.width).into_iter();
    let put = |out: &mut String, line: String| match role {
        Some(role) => out.push_str(&style.paint(role, line)),
        None => out.push_str(&line),
    };
    if let Some(line) = lines.next() {
        put(out, line);
    } else {
        out.truncate(out.trim_end_matches(' ').len());
    }
    for line in lines {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', column));
        put(out, line);
    }
    out.push('\n');
}

/// Columns of what a table's last column needs beside the others: a task and
/// both ends of a socket.
const LAST: usize = 40;

/// A table's line: `head` in `column` columns, and `rest`, which is not broken:
/// where it has no room beside them, it goes below.
pub(super) fn beside(out: &mut String, head: &str, column: usize, rest: &str, style: &Style) {
    out.push_str(head);
    if column + LAST > style.width {
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', INDENT));
    }
    out.push_str(rest);
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}

/// Names and what they are, in two columns.
#[must_use]
pub fn definitions<'a>(
    list: impl IntoIterator<Item = (&'a str, &'a str)>,
    column: usize,
    style: &Style,
) -> String {
    let mut out = String::new();
    for (name, text) in list {
        hang(
            &mut out,
            &format!("{name:<column$}"),
            column,
            text,
            None,
            style,
        );
    }
    out
}

/// An empty line and a section's title.
pub(super) fn title(out: &mut String, text: &str, style: &Style) {
    out.push('\n');
    for line in wrap(text, 0, 0, style.width) {
        out.push_str(&style.paint(Role::Title, line));
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_hang() {
        let style = Style {
            width: 32,
            ..Style::PLAIN
        };
        let mut out = String::new();
        row(
            &mut out,
            "  name",
            8,
            "some words that wrap at spaces",
            &style,
        );
        assert_eq!(out, "  name  some words that wrap\n        at spaces\n");
        out.clear();
        row(
            &mut out,
            "  name",
            9,
            "below where there is no room",
            &style,
        );
        assert_eq!(out, "  name\n      below where there is\n      no room\n");
        out.clear();
        row(&mut out, "  name", 8, "", &style);
        assert_eq!(out, "  name\n");
        assert_eq!(wrap("one two three", 0, 0, 8), ["one two", "three"]);
        assert_eq!(wrap("one two three 4", 0, 0, 13), ["one two", "three 4"]);
        assert_eq!(wrap("averyveryverylongword x", 0, 0, 10).len(), 2);
    }
}
