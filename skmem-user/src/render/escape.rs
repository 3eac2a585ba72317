//! Strings from the kernel, made safe for a terminal.

use std::fmt::Write;

/// `text` with everything but letters, digits, ASCII signs and spaces
/// escaped: a process may call itself anything.
#[must_use]
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => safe.push_str("\\\\"),
            ' '..='~' => safe.push(c),
            _ if c.is_alphanumeric() => safe.push(c),
            // Not a control character, and what bytes without meaning became.
            char::REPLACEMENT_CHARACTER => safe.push('?'),
            _ => {
                let _ = write!(safe, "{}", c.escape_default());
            }
        }
    }
    safe
}

/// `text` of our own, lines and all, that holds such strings: an error names
/// files and processes. Only what acts on a terminal is escaped.
#[must_use]
pub fn sanitized(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && (c.is_control() || hides(c)) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Characters without width, and those that turn the direction of what follows.
fn hides(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{escaped, sanitized};

    #[test]
    fn an_error_keeps_its_lines_and_its_signs() {
        assert_eq!(sanitized("it holds:\n  a → b…"), "it holds:\n  a → b…");
        assert_eq!(
            sanitized("a\x1b[2J\r\u{9b}\u{202e}.skm"),
            "a\\u{1b}[2J\\r\\u{9b}\\u{202e}.skm"
        );
    }

    #[test]
    fn a_name_cannot_reach_the_terminal() {
        assert_eq!(escaped("nginx: worker/1"), "nginx: worker/1");
        assert_eq!(escaped("\x1b[2Jx\n\\"), "\\u{1b}[2Jx\\n\\\\");
        assert_eq!(escaped("a\u{202e}b\u{7f}"), "a\\u{202e}b\\u{7f}");
        assert_eq!(escaped("größe\u{fffd}"), "größe?");
    }
}
