//! Splitting a line of `ss` into words: at spaces, but not inside `(…)` or `"…"`, since a command
//! name may hold spaces and brackets.

/// Brackets that are never closed, after which a line's brackets mean nothing: each costs a look at
/// the whole rest of the line.
const UNCLOSED: u32 = 8;

/// The words of a line, borrowed from it.
pub(super) struct Words<'a> {
    rest: &'a str,
    unclosed: u32,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self {
            rest: line,
            unclosed: 0,
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.trim_start();
        if text.is_empty() {
            return None;
        }
        let whole = match self.unclosed {
            UNCLOSED.. => None,
            _ => closed(text),
        };
        let end = whole.unwrap_or_else(|| {
            self.unclosed += 1;
            text.find(char::is_whitespace).unwrap_or(text.len())
        });
        let (word, rest) = text.split_at(end);
        self.rest = rest;
        Some(word)
    }
}

/// Where the word that `text` begins with ends; `None` if a bracket or a quote is never closed.
fn closed(text: &str) -> Option<usize> {
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
    fn a_line_of_nothing_but_brackets_takes_no_time() {
        let line = "( ".repeat(500_000);
        assert_eq!(Words::new(&line).count(), 500_000);
    }

    #[test]
    fn what_is_never_closed_ends_at_a_space() {
        assert_eq!(words("skmem:(r0,rb1 cubic"), ["skmem:(r0,rb1", "cubic"]);
        assert_eq!(words("((\"a b"), ["((\"a", "b"]);
        assert_eq!(words("  "), [""; 0]);
        assert_eq!(words(") a"), [")", "a"]);
    }
}
