//! What stands before each line of a paste: quotes, comment signs, times, names of hosts and
//! containers.
//!
//! A line that can only begin a socket, or the header of `ss`, shows where `ss` itself begins; what
//! stands before it is taken off every line that begins alike.

use super::{
    clean::Line,
    vocabulary::{is_ss_text, is_whole},
};

/// A piece of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// Digits, of any number.
    Digits,
    /// Letters and digits, of any number.
    Letters,
    /// This character.
    Sign(char),
    /// White space, or none.
    Space,
}

/// How lines begin.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    pieces: Vec<Piece>,
    /// A tab parts it from the line (`cat -n`).
    tab: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for c in text.chars() {
            let piece = match c {
                c if c.is_whitespace() => Piece::Space,
                c if c.is_ascii_digit() => Piece::Digits,
                c if c.is_alphanumeric() || c == '_' => Piece::Letters,
                c => Piece::Sign(c),
            };
            match (pieces.last().copied(), piece) {
                (Some(Piece::Sign(_)), Piece::Sign(_)) => pieces.push(piece),
                (Some(last), piece) if last == piece => {}
                // web7f9c: letters and digits mixed.
                (Some(Piece::Letters | Piece::Digits), Piece::Letters | Piece::Digits) => {
                    pieces.pop();
                    pieces.push(Piece::Letters);
                }
                _ => pieces.push(piece),
            }
        }
        let tab = text.ends_with('\t');
        Self { pieces, tab }
    }

    /// Says more than that a line is indented.
    fn is_prefix(&self) -> bool {
        self.pieces.iter().any(|piece| *piece != Piece::Space)
    }

    /// A sign is in it: a quote, a bracket, a colon.
    fn is_marked(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Sign(_)))
    }

    /// The rest of a line that begins so. White space after the last sign is the line's own, but
    /// for one space.
    fn strip<'a>(&self, line: &'a str) -> Option<&'a str> {
        let mut rest = line;
        let body = match self.pieces.last() {
            Some(Piece::Space) => &self.pieces[..self.pieces.len() - 1],
            _ => &self.pieces[..],
        };
        for piece in body {
            rest = match piece {
                Piece::Space => rest.trim_start(),
                Piece::Digits => {
                    let end = rest.trim_start_matches(|c: char| c.is_ascii_digit());
                    (end.len() < rest.len()).then_some(end)?
                }
                Piece::Letters => {
                    let end = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
                    (end.len() < rest.len()).then_some(end)?
                }
                Piece::Sign(sign) => match rest.strip_prefix(*sign) {
                    Some(rest) => rest,
                    // Mailers write "> > " and ">>" for one another.
                    None => rest.trim_start().strip_prefix(*sign)?,
                },
            };
        }
        let gap = if self.tab { '\t' } else { ' ' };
        Some(rest.strip_prefix(gap).unwrap_or(rest))
    }
}

/// Takes off what stands before the lines. `own` says whether a line is one of ss as it stands;
/// `begins`, whether a text can only begin a socket, a header or its memory; `continues`, whether
/// it may be a line of ss at all.
pub(super) fn strip(
    lines: &mut [Line],
    own: impl Fn(&str) -> bool,
    begins: impl Fn(&str) -> bool,
    continues: impl Fn(&str) -> bool,
) {
    let mut shapes: Vec<(Shape, usize)> = Vec::new();
    let mut plain = 0;
    for line in lines.iter() {
        if own(&line.text) {
            plain += usize::from(begins(&line.text));
            continue;
        }
        if let Some(prefix) = before(&line.text, &begins) {
            let shape = Shape::of(prefix);
            let full = shapes.len() >= 8;
            match shapes.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, count)) => *count += 1,
                None if shape.is_prefix() && !full => shapes.push((shape, 1)),
                None => {}
            }
        }
    }
    // A number or a word may as well be the end of a line that was wrapped, unless most lines begin
    // so.
    shapes.retain(|(shape, count)| shape.tab || shape.is_marked() || *count > plain);
    shapes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if shapes.is_empty() {
        return;
    }
    for line in lines {
        let own = own(&line.text);
        let found = shapes.iter().find_map(|(shape, _)| {
            // Five pieces (time, host and program) do not repeat by chance.
            let sure = shape.pieces.len() >= 5;
            if own && !sure {
                return None;
            }
            let rest = shape.strip(&line.text)?;
            let plausible = rest.trim().is_empty() || begins(rest) || continues(rest);
            let quoted = shape
                .pieces
                .iter()
                .all(|piece| matches!(piece, Piece::Space | Piece::Sign(_)));
            (plausible || quoted || sure).then_some(rest)
        });
        if let Some(rest) = found {
            line.text = rest.to_owned();
        }
    }
}

/// What stands before a socket on this line, if anything does.
fn before<'a>(line: &'a str, begins: &impl Fn(&str) -> bool) -> Option<&'a str> {
    /// A prefix is no longer, words.
    const MOST: usize = 16;
    let mut starts = 0;
    let mut space = true;
    for (at, c) in line.char_indices() {
        let start = if space {
            !c.is_whitespace()
        } else {
            // `>ESTAB`, `+tcp`, `#ESTAB`
            let before = line[..at].chars().next_back();
            c.is_alphanumeric()
                && before.is_some_and(|before| {
                    // `incident.txt:12:ESTAB`; the digits behind a colon are a port.
                    let named = before == ':' && c.is_ascii_uppercase();
                    named
                        || (before.is_ascii_punctuation()
                            && !matches!(before, '.' | ':' | '(' | '"'))
                })
        };
        space = c.is_whitespace();
        if !start {
            continue;
        }
        starts += 1;
        if starts > MOST {
            return None;
        }
        if at > 0 && begins(&line[at..]) {
            // A state that is written oddly is not a prefix, nor is the end of another line of ss.
            return Some(&line[..at]).filter(|prefix| {
                !is_ss_text(prefix)
                    && !prefix
                        .split_whitespace()
                        .any(|word| is_whole(word) || word.contains(":("))
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> Vec<String> {
        let mut lines: Vec<Line> = text.lines().map(|text| Line::new(1, text.into())).collect();
        let begins = |text: &str| text.starts_with("ESTAB 0");
        strip(&mut lines, begins, begins, |text| {
            text.trim_start().starts_with("ts ")
        });
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn what_all_lines_begin_with_is_taken_off() {
        for (head, detail) in [
            ("> ESTAB 0", "> \t ts sack"),
            (">>> ESTAB 0", "> >> \t ts sack"),
            ("+ESTAB 0", "+\t ts sack"),
            ("   12\tESTAB 0", "   13\t\t ts sack"),
            (
                "[2022/9/23 15:43:47] ESTAB 0",
                "[2022/9/23 15:43:48] \t ts sack",
            ),
            ("[pod/web-7f9c/app] ESTAB 0", "[pod/web-8a/app] \t ts sack"),
            ("web-1  | ESTAB 0", "web-1  | \t ts sack"),
            ("Nov 28 00:50:00 h ESTAB 0", "Nov 28 00:50:01 h \t ts sack"),
        ] {
            let lines = stripped(&format!("{head}\n{detail}\n"));
            assert_eq!(lines[0], "ESTAB 0", "{head}");
            assert_eq!(lines[1].trim(), "ts sack", "{detail}");
            assert!(
                lines[1].starts_with(['\t', ' ']),
                "{detail:?} {:?}",
                lines[1]
            );
        }
        assert_eq!(stripped("ESTAB 0\n ts sack"), ["ESTAB 0", " ts sack"]);
        assert_eq!(stripped("12: ESTAB 0\nmss:1 ts"), ["ESTAB 0", "mss:1 ts"]);
    }
}
