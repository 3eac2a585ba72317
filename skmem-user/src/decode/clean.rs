//! Lines as a program printed them: what mail, chat, terminals and log files put on top is taken
//! off.

use serde_json::Value;

use super::{
    join::width,
    vocabulary::{is_flag, is_key, is_ss_text},
};

/// A line, cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Line of the input, from 1.
    pub number: usize,
    /// Without colours and wrappers; white space is kept.
    pub text: String,
    /// Columns that it had, with what stood before it.
    pub columns: usize,
    /// The same with a tab as one: what programs that break lines count.
    pub characters: usize,
}

impl Line {
    pub(super) fn new(number: usize, text: String) -> Self {
        Self {
            number,
            text,
            columns: 0,
            characters: 0,
        }
    }
}

/// The lines of a text.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let text = text.trim_start_matches('\u{feff}');
    let unpacked = json(text);
    let text = unpacked.as_deref().unwrap_or(text);
    let mut lines = split(text);
    if is_quoted_printable(&lines) {
        lines = joined(lines, '=');
        for line in &mut lines {
            line.text = bytes_of(&line.text);
        }
    } else if lines
        .iter()
        .filter(|line| line.text.ends_with('\\'))
        .count()
        >= 2
    {
        lines = joined(lines, '\\');
    }
    visible(&mut lines);
    for line in &mut lines {
        if let Some(cells) = cells(&line.text).or_else(|| logged(&line.text)) {
            line.text = cells;
        }
        line.text = plain(&line.text);
        if let Some(row) = separated(&line.text) {
            line.text = row;
        }
    }
    without_border(&mut lines);
    for line in &mut lines {
        line.columns = width(&line.text);
        line.characters = line.text.chars().count();
    }
    unindent(&mut lines);
    lines
}

/// Without the right border of a pane (tmux, screen), where lines have one: the same sign in the
/// same column.
fn without_border(lines: &mut [Line]) {
    let border = |text: &str| {
        let text = text.trim_end();
        let sign = text
            .chars()
            .next_back()
            .filter(|c| matches!(c, '│' | '┃' | '║' | '|'))?;
        (!text.starts_with(sign)).then(|| (sign, text.chars().count()))
    };
    let filled: Vec<&Line> = lines
        .iter()
        .filter(|line| !line.text.trim().is_empty())
        .collect();
    let Some(found) = filled.iter().find_map(|line| border(&line.text)) else {
        return;
    };
    let alike = filled
        .iter()
        .filter(|line| border(&line.text) == Some(found))
        .count();
    if alike < 2 || alike * 2 <= filled.len() {
        return;
    }
    for line in lines {
        if border(&line.text) == Some(found) {
            let text = line.text.trim_end().trim_end_matches(found.0);
            line.text = text.trim_end().to_owned();
        }
    }
}

/// What `cat -A` and `cat -v` made visible: tabs, ends of lines, escapes.
fn visible(lines: &mut [Line]) {
    let filled = || lines.iter().filter(|line| !line.text.trim().is_empty());
    let ends = filled().filter(|line| line.text.ends_with('$')).count();
    let all = ends >= 2 && ends == filled().count();
    for line in lines {
        if all {
            line.text.pop();
            line.text = line.text.replace("^I", "\t");
        }
        if line.text.contains("^[") {
            line.text = line.text.replace("^[", "\u{1b}");
        }
    }
}

/// The beginning of a text: no tag and no word that ss prints is longer.
fn head_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(256)]
}

/// Without tags of HTML; `<->` and `<ip>` are not tags.
fn without_tags(text: &str) -> String {
    const TAGS: [&str; 16] = [
        "p", "pre", "br", "td", "th", "tr", "span", "div", "code", "b", "strong", "li", "font",
        "em", "i", "u",
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let inner = head_of(&rest[at + 1..])
            .split('>')
            .next()
            .unwrap_or_default();
        let name = inner
            .trim_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap_or_default();
        let tag =
            TAGS.contains(&name.to_ascii_lowercase().as_str()) && rest.len() > at + 1 + inner.len();
        if tag {
            out.push(' ');
            rest = &rest[at + inner.len() + 2..];
        } else {
            out.push('<');
            rest = &rest[at + 1..];
        }
    }
    out.push_str(rest);
    out
}

/// Without the spaces that all lines begin with.
fn unindent(lines: &mut [Line]) {
    let filled = lines.iter().filter(|line| !line.text.trim().is_empty());
    let common = filled
        .map(|line| line.text.len() - line.text.trim_start_matches(' ').len())
        .min()
        .unwrap_or(0);
    // Less is the indent of a detail that was pasted alone.
    if common < 2 {
        return;
    }
    for line in lines {
        line.text.drain(..common.min(line.text.len()));
    }
}

/// The strings of a JSON document, a line each; of what a tool of automation returned, `stdout`.
fn json(text: &str) -> Option<String> {
    let document = text.trim();
    if !document.starts_with(['{', '[', '"']) || !is_ss_text(document) {
        return None;
    }
    let mut out = String::new();
    if let Ok(value) = serde_json::from_str(document) {
        strings(&value, &mut out);
        return is_ss_text(&out).then_some(out);
    }
    // A document a line: container logs. A number alone is the rest of a line that was wrapped.
    for line in document.lines() {
        match serde_json::from_str(line.trim()) {
            Ok(value @ (Value::Object(_) | Value::Array(_) | Value::String(_))) => {
                strings(&value, &mut out);
            }
            _ => out.push_str(line),
        }
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    is_ss_text(&out).then_some(out)
}

fn strings(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            if !text.ends_with('\n') {
                out.push('\n');
            }
        }
        Value::Array(values) => values.iter().for_each(|value| strings(value, out)),
        Value::Object(members) => {
            const OUTPUT: [&str; 10] = [
                "stdout",
                "log",
                "message",
                "MESSAGE",
                "msg",
                "output",
                "line",
                "textPayload",
                "@message",
                "_raw",
            ];
            let output = OUTPUT
                .iter()
                .find_map(|key| members.get(*key).filter(|value| value.is_string()));
            match output {
                Some(output) => strings(output, out),
                None => members.values().for_each(|value| strings(value, out)),
            }
        }
        _ => {}
    }
}

/// At line ends of every kind; where a line holds escaped ones (`\n`), at these, too.
fn split(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    // A list as Python prints it: each line is one of its strings.
    let list = text.trim();
    let list = list
        .strip_prefix("['")
        .and_then(|list| list.strip_suffix("']"));
    if let Some(list) = list.filter(|list| is_ss_text(list)) {
        let rows = list.split("', '").enumerate();
        return rows
            .map(|(at, row)| Line::new(at + 1, row.replace("\\t", "\t").replace("\\n", "")))
            .collect();
    }
    for (at, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        for part in line.split('\r') {
            let number = at + 1;
            if part.contains("\\n") && is_ss_text(part) {
                let part = part.replace("\\t", "\t").replace("\\\"", "\"");
                lines.extend(
                    part.split("\\n")
                        .map(|text| Line::new(number, text.to_owned())),
                );
                continue;
            }
            lines.push(Line::new(number, part.to_owned()));
        }
    }
    lines
}

fn is_quoted_printable(lines: &[Line]) -> bool {
    let soft = lines.iter().filter(|line| line.text.ends_with('=')).count();
    soft >= 2 || lines.iter().any(|line| line.text.contains("=3D"))
}

/// Lines that go on in the next, by a sign at their end: `=` in mail (RFC 2045), `\` in shells.
fn joined(lines: Vec<Line>, sign: char) -> Vec<Line> {
    let mut out: Vec<Line> = Vec::with_capacity(lines.len());
    let mut joins = false;
    for line in lines {
        let (text, soft) = match line.text.strip_suffix(sign) {
            Some(text) => (text.to_owned(), true),
            None => (line.text, false),
        };
        match out.last_mut().filter(|_| joins) {
            Some(last) => last.text.push_str(&text),
            None => out.push(Line::new(line.number, text)),
        }
        joins = soft;
    }
    out
}

/// Bytes of quoted-printable text: `=XX`.
fn bytes_of(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'=')
            .and_then(|code| std::str::from_utf8(code).ok())
            .filter(|code| code.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')))
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Without colours, invisible characters, marks of markup; with plain spaces and quotes.
fn plain(text: &str) -> String {
    let mut out = without_escapes(text);
    if out.contains('\\') {
        out = unescaped(&out);
    }
    if out.contains('&') {
        for (entity, text) in [
            ("&quot;", "\""),
            ("&#34;", "\""),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&nbsp;", " "),
            ("&#39;", "'"),
            ("&amp;", "&"),
        ] {
            out = out.replace(entity, text);
        }
    }
    if out.contains("</") || out.contains("<p") || out.contains("<br") {
        out = without_tags(&out);
    }
    let mut quoted = false;
    let mut clean = String::with_capacity(out.len());
    let mut rest = out.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{3000}' | '\u{2009}' | '\u{2002}'
            | '\u{2003}' => {
                clean.push(' ');
            }
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {}
            '\u{201c}'..='\u{201f}' | '"' => {
                quoted = !quoted;
                clean.push('"');
            }
            '`' if !quoted => {}
            '*' if !quoted && rest.peek() == Some(&'*') => {
                while rest.peek() == Some(&'*') {
                    rest.next();
                }
            }
            c => clean.push(c),
        }
    }
    let clean = without_remark(&clean);
    table(clean)
}

/// `<------ what is meant`: a reader's remark. ss itself prints `<--` and `<->`, alone.
fn without_remark(text: &str) -> &str {
    let mut from = 0;
    while let Some(at) = text[from..].find("<--").map(|at| at + from) {
        let dashes = text[at + 1..].len() - text[at + 1..].trim_start_matches('-').len();
        let rest = &text[at + 1 + dashes..];
        let remark = match dashes {
            2 => head_of(rest).split_whitespace().next().is_some_and(|word| {
                let name = word.split_once(':').map_or(word, |(name, _)| name);
                !is_flag(word) && !is_key(name)
            }),
            _ => true,
        };
        if remark {
            return text[..at].trim_end();
        }
        from = at + 3;
    }
    text
}

/// `| a | b |`: a row of a table.
fn table(text: &str) -> String {
    let inner = text.trim();
    if inner.len() > 2 && inner.starts_with('|') && inner.ends_with('|') {
        return inner.replace('|', " ");
    }
    text.to_owned()
}

/// The cells of a line of CSV or of a list in YAML, all of them quoted: `"a","b""c"`, `- "a
/// \"b\""`.
fn cells(text: &str) -> Option<String> {
    let inner = text.trim().trim_end_matches(',');
    let inner = inner.strip_prefix("- ").unwrap_or(inner).trim_start();
    let inner = inner.strip_prefix('"')?.strip_suffix('"')?;
    let (mut out, mut quoted) = (String::with_capacity(inner.len()), true);
    let mut rest = inner.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.peek() == Some(&'"') => out.extend(rest.next()),
            '\\' if rest.peek() == Some(&'t') => {
                rest.next();
                out.push('\t');
            }
            '"' if quoted && rest.peek() == Some(&'"') => out.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' | ';' | '\t' | ' ' | '|' if !quoted => out.push(' '),
            // Something stands between the cells: no such line.
            _ if !quoted => return None,
            c => out.push(c),
        }
    }
    quoted.then_some(out)
}

/// The message of a line of key=value pairs (logfmt): `level=info msg="…"`.
fn logged(text: &str) -> Option<String> {
    let (_, quoted) = ["msg=\"", "message=\"", "log=\""]
        .iter()
        .find_map(|key| text.split_once(key))?;
    let quoted = format!("\"{quoted}");
    let mut values = serde_json::Deserializer::from_str(&quoted).into_iter::<String>();
    values.next()?.ok()
}

/// A row whose columns something other than spaces parts: `ESTAB;0;0;…`, `ESTAB|0|0|…`,
/// `ESTAB,0,0,…`. Inside brackets the commas are those of ss; so they are in a line that begins or
/// ends inside one.
fn separated(text: &str) -> Option<String> {
    /// A row has more separators.
    const FEW: usize = 3;
    let mut depth = 0_usize;
    let mut outside = Vec::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        outside.push((c, depth == 0));
    }
    if depth > 0 {
        return None;
    }
    let count = |is: &dyn Fn(char) -> bool| {
        let found = outside.iter().filter(|(c, outside)| *outside && is(*c));
        found.count()
    };
    let spaces = count(&char::is_whitespace);
    // `1,234,567`: thousands.
    let sign = [';', '|', '│', ','].into_iter().find(|sign| {
        let found = count(&|c| c == *sign);
        found >= FEW && (*sign != ',' || found > spaces)
    })?;
    let part = |(c, outside)| if outside && c == sign { ' ' } else { c };
    Some(outside.into_iter().map(part).collect())
}

/// Without the backslashes that Markdown puts before signs; `\x2d` of a cgroup's name stays.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let sign = |c: &char| "\\`*_{}[]()<>#+-.!|~:".contains(*c);
        match rest.peek() {
            Some(next) if c == '\\' && sign(next) => out.extend(rest.next()),
            _ => out.push(c),
        }
    }
    out
}

/// Without ECMA-48 control sequences and other control characters.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                Some('[') => while rest.next().is_some_and(|c| !matches!(c, '@'..='~')) {},
                Some(']') => while rest.next().is_some_and(|c| !matches!(c, '\u{7}' | '\\')) {},
                Some('(' | ')') => {
                    rest.next();
                }
                _ => {}
            },
            '\t' => out.push('\t'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
