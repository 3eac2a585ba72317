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

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_name_cannot_reach_the_terminal() {
        assert_eq!(escaped("nginx: worker/1"), "nginx: worker/1");
        assert_eq!(escaped("\x1b[2Jx\n\\"), "\\u{1b}[2Jx\\n\\\\");
        assert_eq!(escaped("a\u{202e}b\u{7f}"), "a\\u{202e}b\\u{7f}");
        assert_eq!(escaped("größe\u{fffd}"), "größe?");
    }
}
