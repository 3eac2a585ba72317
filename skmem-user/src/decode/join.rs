//! Lines that mail programs, terminals and people broke: whether the end of one and the beginning
//! of the next are one word. A number that was cut must not be read as a shorter one.

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

/// No bracket that ss prints is longer, and no head: what is looked at of a socket's text.
const TAIL: usize = 8192;

/// The end of a text.
fn tail(text: &str) -> &str {
    let from = text.floor_char_boundary(text.len().saturating_sub(TAIL));
    &text[from..]
}

/// Columns of a line, with tabs.
pub(super) fn width(text: &str) -> usize {
    text.chars().fold(0, |column, c| match c {
        '\t' => column / 8 * 8 + 8,
        _ => column + 1,
    })
}

/// How `next` goes on with `text`. `hard`: the line before is as wide as any, as where a terminal
/// broke it. `addresses` says how many addresses a text holds as a head, while that is not whole
/// (`in_head`).
pub(super) fn joint(
    text: &str,
    next: &str,
    hard: bool,
    addresses: impl Fn(&str) -> Option<usize>,
    in_head: bool,
) -> Joint {
    let text = tail(text);
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
    // A sentence that follows begins with a word or a number, too.
    let printed = next
        .split_whitespace()
        .nth(1)
        .is_none_or(|word| known(word) || is_rate(word) || word.contains(":("));
    if !known(&joined) || !printed {
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
    /// What begins such a bracket.
    const OPENED: [&str; 6] = [
        "skmem:(", "mem:(", "users:((", "timer:(", "bbr:(", "dctcp:(",
    ];
    // From the end: this is asked for each line of a socket.
    let from = text.rmatch_indices('(').find_map(|(at, _)| {
        let before = &text[..=at];
        let key = OPENED.iter().find(|key| before.ends_with(**key))?;
        Some(before.len() - key.len())
    })?;
    let (mut depth, mut quoted) = (0_usize, false);
    let tail = &text[from..];
    for (at, c) in tail.char_indices() {
        match c {
            '"' if quoted => {
                quoted = !tail[at + 1..].starts_with([',', ')']) && at + 1 < tail.len();
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

/// What ss prints more behind, always.
fn never_last(word: &str) -> bool {
    let key = word.split_once(':').map_or(word, |(key, _)| key);
    matches!(
        key,
        "ts" | "sack"
            | "ecn"
            | "ecnseen"
            | "wscale"
            | "ato"
            | "pmtu"
            | "rcvmss"
            | "lastsnd"
            | "lastrcv"
    )
}

/// The column at which all lines of the text were cut off, as `cut -c` and `less -S` do: several
/// lines end there, one of them where ss prints more, and none goes on in the next. `addresses`
/// says how many addresses a line has that begins a socket, `regular` whether it begins as ss
/// begins one.
pub(super) fn broken_at(
    lines: &[Line],
    addresses: impl Fn(&str) -> Option<usize>,
    regular: impl Fn(&str) -> bool,
) -> Option<usize> {
    let widest = lines.iter().map(|line| line.columns).max()?;
    let mut at_edge = 0;
    let mut broken = false;
    for (at, line) in lines.iter().enumerate() {
        if line.columns != widest {
            continue;
        }
        let heads = addresses(&line.text);
        if heads == Some(1) {
            at_edge += 1;
            broken = true;
            continue;
        }
        let words: Vec<&str> = Words::new(&line.text).collect();
        let printed = heads.is_some() || goes_on(&words);
        let Some(last) = words
            .last()
            .filter(|_| printed && !line.text.ends_with(char::is_whitespace))
        else {
            continue;
        };
        let after = lines.get(at + 1).map_or("", |line| line.text.trim_end());
        let ends =
            after.is_empty() || addresses(after).is_some() || (!goes_on(&words) && regular(after));
        if !ends {
            return None;
        }
        at_edge += 1;
        broken |= never_last(last)
            || !(is_whole(last)
                || is_address(last)
                || last.ends_with(')')
                || last.bytes().all(|byte| byte.is_ascii_digit()));
    }
    (broken && at_edge >= 2 && widest >= 40).then_some(widest)
}
