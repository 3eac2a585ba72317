//! Help texts that fit the terminal.
//!
//! The text after a command's options is written by hand: paragraphs, and
//! blocks of indented lines with a command or a word at the left and what it
//! does at the right. Clap would break each of these lines by itself; here they
//! are laid out again for the width at hand.

use clap::Command;

/// Widest help: longer lines are hard to read.
pub const WIDEST: usize = 100;

/// Columns that what is explained may take beside its explanation.
const HEAD: usize = 46;

/// Columns that an explanation wants; with fewer it goes below.
const LEAST: usize = 24;

/// The command and its subcommands with help for a terminal of `width` columns.
#[must_use]
pub fn fit(command: Command, width: usize) -> Command {
    let width = width.min(WIDEST);
    let after = command.get_after_help().map(ToString::to_string);
    let command = match after {
        Some(text) => command.after_help(laid_out(&text, width)),
        None => command,
    };
    command
        .term_width(width)
        .mut_subcommands(|command| fit(command, width))
}

/// `text` in lines of at most `width` columns.
fn laid_out(text: &str, width: usize) -> String {
    let mut out = Vec::new();
    for block in &blocks(text) {
        match block {
            Block::Empty => out.push(String::new()),
            Block::Paragraph(text) => out.extend(lines(text, 0, width)),
            Block::Rows(rows) => table(&mut out, rows, width),
        }
    }
    out.join("\n")
}

/// The parts of a text.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim();
        match (blocks.last_mut(), indent) {
            _ if words.is_empty() => blocks.push(Block::Empty),
            (Some(Block::Paragraph(text)), 0) if !text.ends_with(':') => {
                text.push(' ');
                text.push_str(words);
            }
            (_, 0) => blocks.push(Block::Paragraph(words.to_owned())),
            // The rest of an explanation.
            (Some(Block::Rows(rows)), 8..) if !rows.is_empty() => {
                if let Some((_, said)) = rows.last_mut() {
                    said.push(' ');
                    said.push_str(words);
                }
            }
            (last, _) => {
                let (head, said) = words.split_once("  ").unwrap_or((words, ""));
                let row = (head.to_owned(), said.trim().to_owned());
                match last {
                    Some(Block::Rows(rows)) => rows.push(row),
                    _ => blocks.push(Block::Rows(vec![row])),
                }
            }
        }
    }
    blocks
}

/// A part of the text below a command's options.
pub(super) enum Block {
    /// An empty line.
    Empty,
    /// Words, without line breaks.
    Paragraph(String),
    /// What is explained, and its explanation.
    Rows(Vec<(String, String)>),
}

fn table(out: &mut Vec<String>, rows: &[(String, String)], width: usize) {
    let length = |text: &str| text.chars().count();
    let heads = rows.iter().filter(|(_, said)| !said.is_empty());
    let heads = heads.map(|(head, _)| length(head)).filter(|n| *n <= HEAD);
    let column = heads.max().unwrap_or(0) + 4;
    let beside = column + LEAST <= width;
    for (head, said) in rows {
        if said.is_empty() || !beside || length(head) + 4 > column {
            out.extend(command(head, width));
            out.extend(lines(said, 6, width));
            continue;
        }
        let mut first = format!("  {head:<0$}", column - 2);
        let mut rest = lines(said, column, width).into_iter();
        first.push_str(rest.next().unwrap_or_default().trim_start());
        out.push(first);
        out.extend(rest);
    }
}

/// Lines of words, each after `indent` blanks.
fn lines(text: &str, indent: usize, width: usize) -> Vec<String> {
    let lines = crate::render::wrapped(text, width.saturating_sub(indent));
    let lines = lines.lines().filter(|line| !line.is_empty());
    lines.map(|line| format!("{:indent$}{line}", "")).collect()
}

/// A command to copy: where it is too long, a backslash ends a line, between
/// words that no quotes hold together.
fn command(text: &str, width: usize) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '\'';
        match words.last_mut() {
            Some(word) if quoted || c != ' ' => word.push(c),
            _ => words.push(String::new()),
        }
    }
    let mut lines = vec!["  ".to_owned()];
    for word in words {
        let Some(line) = lines.last_mut() else {
            continue;
        };
        let empty = line.trim().is_empty();
        // Two more for the backslash.
        if !empty && line.chars().count() + 1 + word.chars().count() + 2 > width {
            line.push_str(" \\");
            lines.push(format!("      {word}"));
            continue;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// The command itself, and all below it.
    fn all(command: Command) -> Vec<Command> {
        let below: Vec<_> = command.get_subcommands().cloned().collect();
        std::iter::once(command).chain(below).collect()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [60, 80, 100, 200] {
            for mut command in all(fit(Cli::command(), width)) {
                for text in [
                    command.render_help().to_string(),
                    command.render_long_help().to_string(),
                ] {
                    for line in text.lines() {
                        let long = line.chars().count() > width.min(WIDEST);
                        // What quotes hold together is one word.
                        let one = line.trim_start().matches('\'').count() == 2
                            && line.trim_start().starts_with('\'');
                        assert!(!long || one, "{width}: {}: {line}", command.get_name());
                    }
                }
            }
        }
    }

    #[test]
    fn texts_are_laid_out_again() {
        let text = "A long line that goes on here,\nand ends.\n\nExamples:\n  skmem x -p 1      one\n  \
            skmem a-long-command --with --many --options --and 'quoted words'   two\n                    and more\n\n\
            Exit status: 0.";
        assert_eq!(
            laid_out(text, 60),
            "A long line that goes on here, and ends.\n\nExamples:\n  skmem x -p 1  one\n  \
             skmem a-long-command --with --many --options --and \\\n      'quoted words'\n      \
             two and more\n\nExit status: 0."
        );
        assert!(laid_out(text, 30).contains("\n  skmem x -p 1\n      one\n"));
    }
}
