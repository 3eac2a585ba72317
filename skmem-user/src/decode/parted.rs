//! Several sockets on one line: `echo $(ss -tm)` prints all of them so.

use super::{
    clean::Line,
    command::CommandScope,
    head::{self, Head, head, is_netid},
    words::Words,
};

/// Lines of which each begins one socket at most.
pub(super) fn parted(lines: Vec<Line>) -> Vec<Line> {
    let mut out = Vec::with_capacity(lines.len());
    for line in lines {
        let starts = starts(&line.text);
        if starts.is_empty() {
            out.push(line);
            continue;
        }
        let mut from = 0;
        for end in starts.into_iter().chain([line.text.len()]) {
            let text = line.text[from..end].to_owned();
            let characters = text.chars().count();
            out.push(Line {
                number: line.number,
                columns: characters,
                characters,
                text,
            });
            from = end;
        }
    }
    out
}

/// Where sockets begin in a line, but for its first word.
fn starts(line: &str) -> Vec<usize> {
    /// A head is no longer, words.
    const HEAD: usize = 12;
    let words: Vec<&str> = Words::new(line).collect();
    let place = |word: &str| word.as_ptr() as usize - line.as_ptr() as usize;
    let mut starts = Vec::new();
    let mut last = 0;
    for at in 1..words.len() {
        let named = words[at] == words[at].to_ascii_uppercase() && head::state(words[at]).is_some();
        // Netid stands before the state.
        let start = at - usize::from(is_netid(words[at - 1]));
        if !named || start <= last {
            continue;
        }
        let ahead = &words[at..words.len().min(at + HEAD)];
        let found = head(ahead, &CommandScope::default());
        if matches!(&found, Head::Socket { addresses: 2, reading, .. } if reading.recv_q.is_some())
        {
            last = start;
            starts.push(place(words[start]));
        }
    }
    starts
}
