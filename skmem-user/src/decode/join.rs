//! Lines that mail programs, terminals and people broke: whether the end of one and the beginning of the next are
//! one word. A number that was cut must not be read as a shorter one.

use super::{
    clean::Line,
    head::is_address,
    vocabulary::{goes_on, is_rate, is_whole},
    words::Words,
};

/// How a line goes on with the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    /// With a new word.
    Space,
    /// In the middle of a word.
    Glue,
    /// Either; the number at the joint cannot be known.
    Doubt,
}

/// Columns of a line, with tabs.
pub(super) fn width(text: &str) -> usize {
    text.chars().fold(0, |column, c| match c {
        '\t' => column / 8 * 8 + 8,
        _ => column + 1,
    })
}

/// How `next` goes on with `text`. `hard`: the line before is as wide as any, as where a terminal broke it.
/// `addresses` says how many addresses a text holds as a head, while that is not whole (`in_head`).
pub(super) fn joint(
    text: &str,
    next: &str,
    hard: bool,
    addresses: impl Fn(&str) -> Option<usize>,
    in_head: bool,
) -> Joint {
    let spaced = text.ends_with(char::is_whitespace) || next.starts_with(char::is_whitespace);
    let next = next.trim_start();
    let (Some(last), Some(first)) = (
        text.split_whitespace().next_back(),
        next.split_whitespace().next(),
    ) else {
        return Joint::Space;
    };
    let begins = |word: &str| {
        ["skmem:(", "mem:(", "users:(", "timer:("]
            .iter()
            .any(|key| word.starts_with(key))
    };
    if let Some(quoted) = open(text).filter(|_| !begins(first)) {
        return if quoted && (spaced || !hard) {
            Joint::Space
        } else {
            Joint::Glue
        };
    }
    if spaced {
        return Joint::Space;
    }
    if in_head {
        let apart = addresses(&format!("{text} {next}"));
        let glued = addresses(&format!("{text}{next}"));
        if apart != glued {
            return if apart > glued {
                Joint::Space
            } else {
                Joint::Glue
            };
        }
    }
    let known = |word: &str| is_whole(word) || is_address(word);
    let joined = format!("{last}{first}");
    if known(first) {
        let part = !known(last) && known(&joined) && !is_rate(first);
        let rate = is_rate(first) && last.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        return if part || rate {
            Joint::Glue
        } else {
            Joint::Space
        };
    }
    if !known(&joined) {
        return Joint::Space;
    }
    let digits = first
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if digits && known(last) && !hard {
        Joint::Doubt
    } else {
        Joint::Glue
    }
}

/// Whether a bracket is open at the end of text, and there a quote.
fn open(text: &str) -> Option<bool> {
    let last = Words::new(text).last()?;
    let start = last.as_ptr() as usize - text.as_ptr() as usize;
    // An unclosed word ends at its first space: from the first of these on.
    let from = [
        "skmem:(", "mem:(", "users:((", "timer:(", "bbr:(", "dctcp:(",
    ]
    .iter()
    .filter_map(|key| text.rfind(key))
    .max()
    .unwrap_or(start);
    let (mut depth, mut quoted) = (0_usize, false);
    let tail = &text[from..];
    for (at, c) in tail.char_indices() {
        match c {
            '"' if quoted => {
                quoted = !tail[at + 1..].starts_with([',', ')']) && at + 1 < tail.len()
            }
            '"' if depth > 0 => quoted = true,
            _ if quoted => {}
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return None;
                }
            }
            _ => {}
        }
    }
    (depth > 0).then_some(quoted)
}

/// The column at which all lines of the text were cut off, as `cut -c` and `less -S` do: several lines end there,
/// and one of them in the middle of a word that nothing goes on with.
pub(super) fn broken_at(lines: &[Line]) -> Option<usize> {
    let widest = lines.iter().map(|line| width(&line.text)).max()?;
    let mut at_edge = 0;
    let mut broken = false;
    for (at, line) in lines.iter().enumerate() {
        let words: Vec<&str> = Words::new(&line.text).collect();
        let printed = goes_on(&words) || words.iter().any(|word| is_address(word));
        if width(&line.text) != widest || line.text.ends_with(char::is_whitespace) || !printed {
            continue;
        }
        at_edge += 1;
        let Some(last) = words.last() else { continue };
        let after = lines.get(at + 1).map_or("", |line| line.text.as_str());
        let goes_on_below = !after.is_empty() && !after.starts_with(char::is_whitespace) && {
            let first = after.split_whitespace().next().unwrap_or_default();
            !first.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
                && !matches!(first, "tcp" | "udp" | "mptcp")
        };
        let whole = is_whole(last)
            || is_address(last)
            || last.ends_with(')')
            || last.bytes().all(|b| b.is_ascii_digit());
        broken |= !whole && !goes_on_below;
    }
    (broken && at_edge >= 2 && widest >= 40).then_some(widest)
}
