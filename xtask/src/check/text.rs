//! Comments and documents: comments as wide as code may be, and plain words.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{paths, process};

/// Width of code and of comments: `max_width` of rustfmt.toml.
const WIDTH: usize = 100;

/// Words and phrases that readers had to decode, each with what to write in its place.
const HABITS: &[(&str, &str)] = &[
    ("told", "reported, shown, distinguished"),
    ("whoever", "the process that, the user who"),
    ("likewise", "what is meant, once more"),
    ("first sight", "when skmem first saw the socket"),
    ("so many", "the number, or N"),
];

/// This file names them.
const THIS: &str = "xtask/src/check/text.rs";

/// Bails where a comment is too wide or a line has one of the [`HABITS`].
pub(super) fn check() -> Result<()> {
    let mut wide = Vec::new();
    let mut odd = Vec::new();
    for name in listed(&["*.rs", "*.md"])? {
        // A file that is deleted and not committed yet is listed, too.
        let Ok(text) = fs::read_to_string(paths::root().join(&name)) else {
            continue;
        };
        let is_code = Path::new(&name).extension().is_some_and(|e| e == "rs");
        for (at, line) in text.lines().enumerate() {
            let place = format!("{name}:{}", at + 1);
            let habits = HABITS.iter().filter(|(habit, _)| has(line, habit));
            if name != THIS {
                odd.extend(habits.map(|(habit, better)| format!("{place}: {habit:?} ({better})")));
            }
            if is_code && is_wide(line) {
                wide.push(place);
            }
        }
    }
    if !wide.is_empty() {
        bail!(
            "comments of more than {WIDTH} characters: {}",
            wide.join(", ")
        );
    }
    if !odd.is_empty() {
        bail!("words to replace by plainer ones:\n  {}", odd.join("\n  "));
    }
    Ok(())
}

/// Files that git knows, by patterns of their names; all of them where there are none.
pub(super) fn listed(patterns: &[&str]) -> Result<Vec<String>> {
    let listed = process::succeed(
        Command::new("git")
            .args(["ls-files", "-z", "--"])
            .args(patterns)
            .current_dir(paths::root()),
        None,
    )?;
    let names = listed.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

/// Whether a line is a comment that is wider than code may be, which stable rustfmt leaves as it
/// is. A line without a space to part it at, and a line that ends in code, may be.
fn is_wide(line: &str) -> bool {
    let comment = line.trim_start().starts_with("//");
    let words = line.trim_start().trim_start_matches(['/', '!']).trim();
    comment && words.contains(' ') && line.chars().count() > WIDTH
}

/// Whether a line has a phrase, as whole words and in either case.
fn has(line: &str, phrase: &str) -> bool {
    let line = line.to_lowercase();
    let ends_word = |next: Option<char>| !next.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(phrase).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + phrase.len()..]);
        ends_word(before.chars().next_back()) && ends_word(after.chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_as_whole_words() {
        assert!(has("/// Likewise.", "likewise"));
        assert!(has("as was told", "told"));
        assert!(has("(at first sight)", "first sight"));
        for other in ["retold", "told_all", "untold", "at first"] {
            assert!(!has(other, "told") && !has(other, "first sight"), "{other}");
        }
    }

    #[test]
    fn code_and_links_may_be_wide() {
        let long = "x".repeat(WIDTH);
        assert!(!is_wide(&long));
        assert!(!is_wide(&format!("/// {long}")));
        assert!(is_wide(&format!("/// a {long}")));
    }
}
