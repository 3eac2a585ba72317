//! Lines: which ones begin a socket, which go on with one, which are headings, and which are no
//! part of it.

use std::collections::HashSet;

use super::{
    Decoded, Passed, Reading, Unread,
    clean::{self, Line},
    command::{self, Command, CommandScope, Shown},
    details::Details,
    head::{self, Head, head, is_address, may_begin},
    join::{Joint, broken_at, joint},
    kind, other, parted, prefix,
    reading::Source,
    vocabulary::{counted, goes_on, is_flag, is_key, is_ss_text, is_whole},
    words::Words,
};

pub(super) fn parse(text: &str) -> Decoded {
    let mut lines = clean::lines(text);
    prefix::strip(&mut lines, is_own, begins, |text| {
        goes_on(&Words::new(text).collect::<Vec<_>>()) || command::command(text).is_some()
    });
    let mut lines = parted::parted(lines);
    if is_backwards(&lines) {
        lines.reverse();
    }
    let mut reader = Reader {
        cut: broken_at(&lines, addresses, |text| {
            text.starts_with([' ', '\t']) || is_own(text)
        }),
        widest: widest(&lines),
        run: 1,
        ..Reader::default()
    };
    for line in &lines {
        reader.line(line);
    }
    reader.finish();
    reader.displaced();
    kind::of_tables(&mut reader.decoded.sockets);
    windows(&mut reader.decoded.sockets);
    reader.decoded
}

/// The newest line first, as log viewers show them: the header is last, and memory first.
fn is_backwards(lines: &[Line]) -> bool {
    let mut printed = lines.iter().filter(|line| is_printed(&line.text));
    let (Some(first), Some(last)) = (printed.next(), printed.next_back()) else {
        return false;
    };
    let first: Vec<&str> = Words::new(&first.text).collect();
    let last: Vec<&str> = Words::new(&last.text).collect();
    has_memory(&first)
        && is_header(&last)
        && matches!(head(&first, &CommandScope::default()), Head::None)
}

/// A version that prints `snd_wnd` of one socket prints it of all whose window is not 0.
fn windows(sockets: &mut [Reading]) {
    let telling: HashSet<usize> = sockets
        .iter()
        .filter(|socket| socket.source == Source::Ss && socket.info.snd_wnd.is_some())
        .map(|socket| socket.run)
        .collect();
    for socket in sockets {
        let shows = socket.to_minrtt && socket.is_tcp() && socket.is_connection();
        if shows && !socket.damaged && telling.contains(&socket.run) {
            socket.info.snd_wnd.get_or_insert(0);
        }
    }
}

/// Columns and characters of the widest lines of sockets.
fn widest(lines: &[Line]) -> (usize, usize) {
    lines
        .iter()
        .filter(|line| is_printed(&line.text))
        .fold((0, 0), |(columns, characters), line| {
            (columns.max(line.columns), characters.max(line.characters))
        })
}

/// Whether a line is of a socket: a sentence beside it may be wider than any.
fn is_printed(text: &str) -> bool {
    let words: Vec<&str> = Words::new(text).collect();
    is_header(&words) || goes_on(&words) || begins(text)
}

/// Whether a line is one of ss as it stands, with nothing before it.
fn is_own(text: &str) -> bool {
    let words: Vec<&str> = Words::new(text).collect();
    let first = words.first().is_some_and(|word| {
        let key = word
            .split_once(':')
            .is_some_and(|(key, value)| is_key(key) && !value.is_empty());
        key || (is_flag(word) && goes_on(&words))
    });
    first
        || is_header(&words)
        || other::netstat(&words, false).is_some()
        || other::proc_net(&words, false).is_some()
        || other::foreign(&words).is_some()
        || !matches!(head(&words, &CommandScope::default()), Head::None)
        || may_begin(&words)
        || command::command(text).is_some()
}

/// Whether text can only be the beginning of a socket, a header, or a socket's memory.
fn begins(text: &str) -> bool {
    let words: Vec<&str> = Words::new(text).collect();
    let Some(first) = words.first() else {
        return false;
    };
    if first.starts_with("skmem:(")
        || first.starts_with("mem:(")
        || other::netstat(&words, false).is_some()
    {
        return true;
    }
    let header = is_header(&words) && matches!(*first, "State" | "Netid" | "Recv-Q" | "Proto");
    match head(&words, &CommandScope::default()) {
        Head::Socket {
            reading, addresses, ..
        } => addresses == 2 || (addresses == 1 && reading.state.is_some()),
        Head::Other => words.get(2).is_some_and(|word| counted(word).is_some()),
        Head::None => header,
    }
}

/// How many addresses a line has that begins a socket.
fn addresses(text: &str) -> Option<usize> {
    let words: Vec<&str> = Words::new(text).collect();
    match head(&words, &CommandScope::default()) {
        Head::Socket { addresses, .. } if addresses > 0 => Some(addresses),
        _ if begins(text) => Some(2),
        _ => None,
    }
}

/// A header of ss or netstat.
fn is_header(words: &[&str]) -> bool {
    let column = |name: &str| words.iter().position(|word| *word == name);
    let (Some(recv_q), Some(send_q)) = (column("Recv-Q"), column("Send-Q")) else {
        return words.starts_with(&["State", "Local"])
            || words.starts_with(&["Netid", "State", "Local"]);
    };
    let value = |at: usize| {
        words
            .get(at + 1)
            .is_some_and(|word| counted(word).is_some())
    };
    !value(recv_q) && !value(send_q)
}

/// A socket whose lines are being gathered.
#[derive(Default)]
struct Pending {
    line: usize,
    /// Its lines in one, joined as they were before they were wrapped.
    text: String,
    /// Where in `text` a line begins, and its number.
    marks: Vec<(usize, usize)>,
    /// Columns of its last line.
    width: usize,
    /// Characters of its last line.
    characters: usize,
    /// It has no head: only its details were pasted.
    headless: bool,
    has_memory: bool,
    /// A number that was left out since it may be cut.
    damaged: bool,
}

impl Pending {
    fn line_of(&self, offset: usize) -> usize {
        let after = self.marks.partition_point(|(start, _)| *start <= offset);
        let mark = after.checked_sub(1).map(|at| self.marks[at]);
        mark.map_or(self.line, |(_, line)| line)
    }

    /// Whether the addresses are still to come.
    fn in_head(&self, asked: &CommandScope) -> bool {
        /// A head is shorter, bytes.
        const MOST: usize = 1024;
        if self.text.len() > MOST {
            return false;
        }
        let words: Vec<&str> = Words::new(&self.text).collect();
        match head(&words, asked) {
            _ if self.headless => false,
            Head::Socket {
                addresses, used, ..
            } => addresses < 2 || used == words.len(),
            _ => true,
        }
    }
}

#[derive(Default)]
struct Reader {
    decoded: Decoded,
    pending: Option<Pending>,
    /// Details of a socket of another kind are passed over.
    skipping: bool,
    asked: CommandScope,
    /// The columns of /proc/net are those of UDP.
    proc_udp: bool,
    /// The columns are those of netstat.
    netstat: bool,
    run: usize,
    /// Where the run's sockets begin.
    run_start: usize,
    /// The run's connections.
    seen: HashSet<kind::Key>,
    /// The line before is the one before in the input, not a blank one.
    adjacent: bool,
    /// Columns at which all lines were cut off.
    cut: Option<usize>,
    /// Columns and characters of the widest lines.
    widest: (usize, usize),
}

impl Reader {
    fn line(&mut self, line: &Line) {
        let words: Vec<&str> = Words::new(&line.text).collect();
        let adjacent = std::mem::replace(&mut self.adjacent, !words.is_empty());
        if words.is_empty() {
            return;
        }
        if let Some(command) = command::command(&line.text) {
            if let Command::Sockets(asked) = command {
                self.finish();
                self.new_run();
                self.asked = asked;
                self.skipping = false;
                self.proc_udp = false;
                self.netstat = false;
            }
            self.adjacent = false;
            return;
        }
        if let Some(udp) = other::proc_header(&words) {
            self.finish();
            self.new_run();
            self.proc_udp = udp;
            return;
        }
        if is_header(&words) {
            self.finish();
            self.new_run();
            self.netstat = words.contains(&"Proto");
            return;
        }
        let whole =
            other::proc_net(&words, self.proc_udp).or_else(|| other::netstat(&words, self.netstat));
        if let Some(mut reading) = whole {
            self.finish();
            self.skipping = false;
            reading.line = line.number;
            self.push(reading);
            return;
        }
        if let Some(what) = other::foreign(&words) {
            self.finish();
            self.skipping = true;
            self.pass(line.number, what);
            return;
        }
        match head(&words, &self.asked) {
            Head::Socket {
                reading, addresses, ..
            } if addresses > 0 || self.is_plain(&words, &reading) => self.begin(line, false),
            Head::Other => self.other(),
            _ if self.netstat && words[0] == "unix" => self.other(),
            _ => self.go_on(line, &words, adjacent),
        }
    }

    /// A socket of another kind: its details are passed over.
    fn other(&mut self) {
        self.finish();
        self.skipping = true;
        self.decoded.others += 1;
    }

    /// Whether a head without addresses is one, and not a sentence with "closed" in it.
    fn is_plain(&self, words: &[&str], reading: &Reading) -> bool {
        let state = words
            .iter()
            .take(2)
            .any(|word| *word == word.to_ascii_uppercase() && word.len() > 3);
        reading.netid.is_some() || (reading.state.is_some() && state) || self.asked.state.is_some()
    }

    /// A line that is not a head.
    fn go_on(&mut self, line: &Line, words: &[&str], adjacent: bool) {
        let indented = line.text.starts_with([' ', '\t']);
        let memory = has_memory(words);
        if may_begin(words) {
            return self.begin(line, false);
        }
        if self.skipping && (indented || goes_on(words)) {
            return;
        }
        let condensed = words.len() > 1
            && head::is_queue(words[0])
            && words[0].len().max(words[1].len()) > 0
            && (words[0].contains('=') || counted(words[1]).is_some());
        if condensed {
            return self.begin(line, true);
        }
        let second = memory
            && self
                .pending
                .as_ref()
                .is_some_and(|pending| pending.has_memory);
        if let Some(pending) = self.pending.as_ref().filter(|_| !second) {
            let hard = pending.width == self.widest.0 || pending.characters == self.widest.1;
            let joint = joint(
                &pending.text,
                &line.text,
                hard,
                |text| {
                    let words: Vec<&str> = Words::new(text).collect();
                    match head(&words, &self.asked) {
                        Head::Socket { addresses, .. } => Some(addresses),
                        _ => None,
                    }
                },
                pending.in_head(&self.asked),
            );
            // What begins another socket is not a detail of this one, even where it cannot be
            // read.
            if !pending.in_head(&self.asked) && is_stray_head(words) {
                return self.lost(line);
            }
            let tail = adjacent && joint != Joint::Space;
            let addresses = pending.in_head(&self.asked) && adjacent && is_address(words[0]);
            if tail || addresses || goes_on(words) || (indented && looks_printed(words)) {
                return self.append(line, joint, memory);
            }
        }
        if memory || (self.pending.is_none() && words.len() > 1 && goes_on(words)) {
            return self.begin(line, true);
        }
        if is_lost(&line.text, words) {
            self.lost(line);
        } else {
            self.pass(line.number, "no output of ss");
        }
    }

    /// A line of ss that could not be read. What follows is not the last socket's.
    fn lost(&mut self, line: &Line) {
        self.finish();
        let why = "a socket, or details of one";
        self.decoded
            .unread
            .push(Unread::new(line.number, &line.text, why));
    }

    fn begin(&mut self, line: &Line, headless: bool) {
        self.finish();
        self.skipping = false;
        let mut pending = Pending {
            line: line.number,
            headless,
            ..Pending::default()
        };
        self.put(&mut pending, line, Joint::Space);
        self.pending = Some(pending);
    }

    fn append(&mut self, line: &Line, joint: Joint, memory: bool) {
        if let Some(mut pending) = self.pending.take() {
            pending.has_memory |= memory;
            self.put(&mut pending, line, joint);
            self.pending = Some(pending);
        }
    }

    /// Adds a line's text.
    fn put(&mut self, pending: &mut Pending, line: &Line, joint: Joint) {
        let mut text = line.text.as_str();
        match joint {
            Joint::Space => pending.text.push(' '),
            Joint::Glue => {
                pending.text.truncate(pending.text.trim_end().len());
                text = text.trim_start();
            }
            Joint::Doubt => {
                let end = pending
                    .text
                    .rfind(char::is_whitespace)
                    .map_or(0, |at| at + 1);
                let number = pending.text.split_off(end);
                self.decoded.unread.push(Unread::new(
                    line.number,
                    &number,
                    "a number that does not go on in the next line",
                ));
                pending.damaged = true;
                text = text.trim_start();
                text = text.find(char::is_whitespace).map_or("", |at| &text[at..]);
            }
        }
        pending.has_memory |= has_memory(&Words::new(text).collect::<Vec<_>>());
        pending.marks.push((pending.text.len(), line.number));
        pending.width = line.columns;
        pending.characters = line.characters;
        if self.cut == Some(pending.width) && !text.ends_with([' ', '\t', ')']) {
            let end = text.rfind(char::is_whitespace).map_or(0, |at| at + 1);
            self.decoded.unread.push(Unread::new(
                line.number,
                &text[end..],
                "a whole word: lines are cut here",
            ));
            pending.damaged = true;
            text = &text[..end];
        }
        pending.text.push_str(text);
    }

    /// Makes a socket of what was gathered.
    fn finish(&mut self) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let words: Vec<&str> = Words::new(&pending.text).collect();
        let (mut reading, used, addresses) = match head(&words, &self.asked) {
            _ if pending.headless => (Reading::default(), 0, 0),
            Head::Socket {
                reading,
                used,
                addresses,
            } => (*reading, used, addresses),
            Head::Other => {
                self.decoded.others += 1;
                return;
            }
            Head::None => {
                self.decoded.unread.push(Unread::new(
                    pending.line,
                    &pending.text,
                    "a socket, or details of one",
                ));
                return;
            }
        };
        reading.line = pending.line;
        reading.damaged = pending.damaged;
        let place =
            |word: &str| (word.as_ptr() as usize).saturating_sub(pending.text.as_ptr() as usize);
        // After one address another follows; without this, a word that only looks like one is
        // lost.
        if let Some(word) = words.get(used).filter(|word| {
            addresses == 1
                && word.contains([':', '.'])
                && !is_whole(word)
                && !goes_on(&[*word])
                && !word.contains('(')
        }) {
            let line = pending.line_of(place(word));
            self.decoded
                .unread
                .push(Unread::new(line, word, "the peer's address"));
            reading.damaged = true;
        }
        let mut details = Details::new(reading);
        details.read(&words[used..], |at, why| {
            let word = words[used + at];
            self.decoded
                .unread
                .push(Unread::new(pending.line_of(place(word)), word, why));
        });
        let mut reading = details.finish();
        if reading.netid.is_none()
            && let Some(Shown::Known(kind)) = self.asked.kind
        {
            reading.kind = Some(kind);
        }
        if reading.state.is_none() && !pending.headless {
            reading.state = self.asked.state;
        }
        self.push(reading);
    }

    /// Memory without a head above it, and heads without memory: the lines have lost their order.
    fn displaced(&mut self) {
        let sockets = &self.decoded.sockets;
        let headless = |socket: &&Reading| {
            socket.local.is_none() && socket.state.is_none() && !socket.is_bare()
        };
        let bare = sockets
            .iter()
            .any(|socket| socket.local.is_some() && socket.is_bare());
        let lost: Vec<usize> = sockets
            .iter()
            .filter(headless)
            .map(|socket| socket.line)
            .collect();
        if bare {
            self.decoded.unread.extend(lost.into_iter().map(|line| {
                Unread::new(
                    line,
                    "skmem:(…)",
                    "the line with its state and addresses above it",
                )
            }));
        }
    }

    fn push(&mut self, mut reading: Reading) {
        reading.kind = kind::of(&reading);
        if let Some(key) = kind::key(&reading)
            && !self.seen.insert(key.clone())
        {
            // The same connection again: another look at it.
            self.new_run();
            self.seen.insert(key);
        }
        reading.run = self.run;
        self.decoded.sockets.push(reading);
    }

    fn new_run(&mut self) {
        if self.decoded.sockets.len() > self.run_start {
            self.run += 1;
            self.run_start = self.decoded.sockets.len();
            self.seen.clear();
        }
    }

    fn pass(&mut self, line: usize, what: &'static str) {
        match self.decoded.passed.last_mut() {
            Some(last) if last.what == what && last.line + last.lines >= line => {
                last.lines = line + 1 - last.line;
            }
            _ => self.decoded.passed.push(Passed {
                line,
                lines: 1,
                what,
            }),
        }
    }
}

fn has_memory(words: &[&str]) -> bool {
    words.iter().any(|word| {
        let word = word
            .trim_start_matches(|c: char| c.is_ascii_punctuation())
            .to_ascii_lowercase();
        word.starts_with("skmem:") || word.starts_with("mem:(")
    })
}

/// Whether an indented line is details of a socket rather than a sentence: a key, a bracket, an
/// address, flags only.
fn looks_printed(words: &[&str]) -> bool {
    words.iter().any(|word| word.contains([':', '(', ')', '=']))
        || words.iter().all(|word| is_flag(word))
}

/// Two addresses: the beginning of a socket.
fn is_stray_head(words: &[&str]) -> bool {
    let addresses = words
        .iter()
        .filter(|word| is_address(word) && kind::ip(word).is_some());
    addresses.take(2).count() == 2
}

/// Whether a line that could not be placed holds something of a socket.
fn is_lost(text: &str, words: &[&str]) -> bool {
    let stated = words.windows(2).any(|pair| {
        pair[0] == pair[0].to_ascii_uppercase()
            && head::state(pair[0]).is_some()
            && counted(pair[1]).is_some()
    });
    let listed = words.first().is_some_and(|word| {
        is_ss_text(word)
            && word.contains([',', ';', '|'])
            && word.contains(|c: char| c.is_ascii_digit())
    });
    stated || listed || text.contains("skmem:(") || goes_on(words) || is_stray_head(words)
}
