//! Splitting a line of `ss` into words: at spaces, but not inside `(…)` or `"…"`, since a command name may
//! hold spaces and brackets.

/// Longest line in which brackets are followed, bytes.
const LONGEST: usize = 64 << 10;

/// The words of a line, borrowed from it.
pub(super) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.trim_start();
        if text.is_empty() {
            return None;
        }
        let end =
            closed(text).unwrap_or_else(|| text.find(char::is_whitespace).unwrap_or(text.len()));
        let (word, rest) = text.split_at(end);
        self.rest = rest;
        Some(word)
    }
}

/// Where the word that `text` begins with ends; `None` if a bracket or a quote is never closed.
fn closed(text: &str) -> Option<usize> {
    // Each word looks ahead to the line's end: not worth it where no line of ss is so long.
    if text.len() > LONGEST {
        return None;
    }
    let (mut depth, mut quoted) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            // ss does not escape quotes in a name; one that ends a name is followed by a comma.
            '"' if quoted => quoted = !text[at + 1..].starts_with([',', ')']),
            '"' if depth > 0 => quoted = true,
            _ if quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if c.is_whitespace() && depth == 0 => return Some(at),
            _ => {}
        }
    }
    (depth == 0 && !quoted).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&str> {
        Words::new(line).collect()
    }

    #[test]
    fn names_with_spaces_and_brackets_stay_whole() {
        assert_eq!(
            words(" users:((\"tokio (w) 1\",pid=1,fd=2),(\"b\",pid=3,fd=4)) ino:5"),
            [
                "users:((\"tokio (w) 1\",pid=1,fd=2),(\"b\",pid=3,fd=4))",
                "ino:5"
            ]
        );
        assert_eq!(
            words("inet-sockopt: ( recverr)"),
            ["inet-sockopt:", "( recverr)"]
        );
        assert_eq!(
            words("users:((\"a\"b\",pid=1,fd=2)) x"),
            ["users:((\"a\"b\",pid=1,fd=2))", "x"]
        );
    }

    #[test]
    fn what_is_never_closed_ends_at_a_space() {
        assert_eq!(words("skmem:(r0,rb1 cubic"), ["skmem:(r0,rb1", "cubic"]);
        assert_eq!(words("((\"a b"), ["((\"a", "b"]);
        assert_eq!(words("  "), [""; 0]);
        assert_eq!(words(") a"), [")", "a"]);
    }
}
