//! Man pages: from Markdown, and the parts of one that clap does not write.
//!
//! Characters beyond ASCII are written as the escapes that both groff and
//! mandoc know, so that a page is readable in every locale.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::layout::wrapped;

/// Columns of a line of a page's source.
const WIDTH: usize = 76;

/// What every page says of itself.
#[derive(Debug, Clone)]
pub struct Edition {
    /// Program and version.
    pub source: String,
    /// Its day, ISO 8601.
    pub day: String,
}

/// A page's beginning.
#[must_use]
pub fn title(name: &str, section: u8, edition: &Edition) -> String {
    let name = escaped(&name.to_uppercase());
    let Edition { source, day } = edition;
    format!(".TH \"{name}\" \"{section}\" \"{day}\" \"{source}\" \"skmem\"\n")
}

/// A section's heading.
#[must_use]
pub fn section(heading: &str) -> String {
    format!(".SH \"{}\"\n", quoted(&heading.to_uppercase()))
}

/// A paragraph of plain text, in which `` ` `` stands around what is typed.
#[must_use]
pub fn paragraph(text: &str) -> String {
    format!(".PP\n{}\n", prose(text))
}

/// What is explained, and its explanation, which may be empty.
#[must_use]
pub fn item(head: &str, text: &str) -> String {
    let text = match text {
        "" => String::new(),
        text => format!("{}\n", prose(text)),
    };
    format!(".TP\n\\fB{}\\fR\n{text}", escaped(head))
}

/// A whole page from Markdown: its title becomes what the page is about, its
/// headings sections.
#[must_use]
pub fn page(name: &str, number: u8, edition: &Edition, markdown: &str) -> String {
    let mut page = Page::default();
    let parser = Parser::new_ext(markdown, Options::ENABLE_TABLES);
    for event in parser {
        page.event(event);
    }
    let about = page.about.trim_end_matches('.');
    let begins = match page.out.starts_with(".SH") {
        true => "",
        false => ".SH \"DESCRIPTION\"\n",
    };
    title(name, number, edition)
        + &tidy(&format!(
            ".SH \"NAME\"\n{} \\- {about}\n{begins}{}",
            escaped(name),
            page.out
        ))
}

/// The same text as formatters like it (`mandoc -T lint`): no paragraph macro
/// right below a heading, lines of at most `WIDTH` columns, the definition of
/// an apostrophe that `clap_mangen` begins each section with left out.
#[must_use]
pub fn tidy(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut as_is = false;
    for line in text.lines() {
        let headed = lines
            .last()
            .is_some_and(|last| last.starts_with(".SH ") || last.starts_with(".SS "));
        if matches!(line, ".PP" | ".sp" | ".br") && headed
            || line.starts_with(".ie \\n(.g .ds Aq")
            || line.starts_with(".el .ds Aq")
        {
            continue;
        }
        if line == ".br" && lines.last().is_some_and(|last| last == ".br") {
            continue;
        }
        let line = typed(&line.replace("\\*(Aq", "\\(aq")).replace('…', "...");
        match line.as_str() {
            ".nf" => as_is = true,
            ".fi" => as_is = false,
            _ => {}
        }
        if as_is || line.starts_with('.') {
            lines.push(line);
        } else {
            let parts = wrapped(&line, WIDTH);
            lines.extend(parts.lines().map(line_of));
        }
    }
    lines.join("\n") + "\n"
}

#[derive(Default)]
struct Page {
    out: String,
    /// What the title says.
    about: String,
    /// The text that is being collected.
    text: String,
    heading: Option<HeadingLevel>,
    code: bool,
    /// Of each list around: the next number; None: bullets.
    lists: Vec<Option<u64>>,
    /// The first paragraph of a list's item is part of its head.
    item: bool,
    heads: Vec<String>,
    cells: Vec<String>,
    in_head: bool,
}

impl Page {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.code => {
                for line in text.lines() {
                    self.out.push_str(&line_of(&escaped(line)));
                    self.out.push('\n');
                }
            }
            Event::Text(text) => self.text.push_str(&escaped(&text)),
            Event::Code(text) => {
                let text = escaped(&text);
                self.text.push_str(&match self.heading {
                    Some(_) => text,
                    None => format!("\\fB{text}\\fR"),
                });
            }
            Event::SoftBreak | Event::HardBreak => self.text.push(' '),
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => self.heading = Some(*level),
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => {
                self.flush();
                self.code = true;
                self.out.push_str(".PP\n.nf\n.RS 4\n");
            }
            Tag::List(first) => {
                self.flush();
                self.lists.push(*first);
                if self.lists.len() > 1 {
                    self.out.push_str(".RS 4\n");
                }
            }
            Tag::Item => {
                let head = match self.lists.last_mut() {
                    Some(Some(n)) => {
                        *n += 1;
                        format!(".IP \"{}.\" 4\n", *n - 1)
                    }
                    _ => ".IP \\(bu 2\n".to_owned(),
                };
                self.out.push_str(&head);
                self.item = true;
            }
            Tag::TableHead => self.in_head = true,
            Tag::Emphasis if self.heading.is_none() => self.text.push_str("\\fI"),
            Tag::Strong if self.heading.is_none() => self.text.push_str("\\fB"),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let text = std::mem::take(&mut self.text);
                match level {
                    HeadingLevel::H1 => self.about = text,
                    HeadingLevel::H2 => self.out.push_str(&section(&text)),
                    _ => self
                        .out
                        .push_str(&format!(".SS \"{}\"\n", text.replace('"', "\\(dq"))),
                }
                self.heading = None;
            }
            TagEnd::CodeBlock => {
                self.code = false;
                self.out.push_str(".RE\n.fi\n");
            }
            TagEnd::Paragraph | TagEnd::Item => self.flush(),
            TagEnd::List(_) => {
                self.lists.pop();
                if !self.lists.is_empty() {
                    self.out.push_str(".RE\n");
                }
            }
            TagEnd::TableCell => {
                let text = std::mem::take(&mut self.text);
                match self.in_head {
                    true => self.heads.push(text),
                    false => self.cells.push(text),
                }
            }
            TagEnd::TableHead => self.in_head = false,
            TagEnd::TableRow => self.row(),
            TagEnd::Table => self.heads.clear(),
            TagEnd::Emphasis | TagEnd::Strong if self.heading.is_none() => {
                self.text.push_str("\\fR");
            }
            _ => {}
        }
    }

    /// A row of a table: what its first cell names, and the others.
    fn row(&mut self) {
        let cells = std::mem::take(&mut self.cells);
        let [first, rest @ ..] = &cells[..] else {
            return;
        };
        let text = match rest {
            [only] => only.clone(),
            _ => {
                let heads = self.heads.iter().skip(1);
                let said = heads.zip(rest).filter(|(_, cell)| !cell.is_empty());
                let said = said.map(|(head, cell)| format!("{head}: {cell}"));
                said.collect::<Vec<_>>().join("; ")
            }
        };
        self.out
            .push_str(&format!(".TP\n{}\n{}\n", line_of(first), line_of(&text)));
    }

    /// Ends a paragraph.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if !std::mem::take(&mut self.item) {
            self.out.push_str(match self.lists.len() {
                0 => ".PP\n",
                _ => ".IP\n",
            });
        }
        self.out.push_str(&line_of(text));
        self.out.push('\n');
    }
}

/// What stands in `` ` `` in a text that clap writes, in bold.
fn typed(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return line.to_owned();
    }
    let parts = parts.iter().enumerate();
    let parts = parts.map(|(n, part)| match n % 2 {
        0 => (*part).to_owned(),
        _ => format!("\\fB{part}\\fR"),
    });
    parts.collect()
}

/// Plain text, in which `` ` `` stands around what is typed.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for (n, part) in text.split('`').enumerate() {
        let part = escaped(part);
        match n % 2 {
            0 => out.push_str(&part),
            _ => out.push_str(&format!("\\fB{part}\\fR")),
        }
    }
    line_of(&out)
}

/// A line of text is not a request, whatever it begins with; one sentence a line.
fn line_of(text: &str) -> String {
    let text = text.trim_end();
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    text.replace('"', "\\(dq")
}

/// As roff has it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '→' => out.push_str("\\(->"),
            '×' => out.push_str("\\(mu"),
            '–' => out.push_str("\\(en"),
            '±' => out.push_str("\\(+-"),
            '≤' => out.push_str("\\(<="),
            '≥' => out.push_str("\\(>="),
            'µ' => out.push_str("\\(mc"),
            '²' => out.push_str("\\(S2"),
            '³' => out.push_str("\\(S3"),
            '−' => out.push_str("\\(mi"),
            '…' => out.push_str("..."),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_a_page() {
        let text = page(
            "skmem-x",
            7,
            &Edition {
                source: "skmem 1".into(),
                day: "2026-01-02".into(),
            },
            "# What it is\n\nA `word`\nand *one*.\n\n## First part\n\n- a\n- b: -1 → 2\n\n1. one\n\n\
             | n | is |\n|---|---|\n| `w` | .x |\n\n    code 'x'\n",
        );
        assert_eq!(
            text,
            ".TH \"SKMEM\\-X\" \"7\" \"2026-01-02\" \"skmem 1\" \"skmem\"\n.SH \"NAME\"\nskmem\\-x \\- What it is\n\
             .SH \"DESCRIPTION\"\nA \\fBword\\fR and \\fIone\\fR.\n.SH \"FIRST PART\"\n\
             .IP \\(bu 2\na\n.IP \\(bu 2\nb: \\-1 \\(-> 2\n.IP \"1.\" 4\none\n.TP\n\\fBw\\fR\n\\&.x\n\
             .PP\n.nf\n.RS 4\ncode \\(aqx\\(aq\n.RE\n.fi\n"
        );
    }

    #[test]
    fn what_is_typed_is_bold() {
        assert_eq!(paragraph("see `ss -m`."), ".PP\nsee \\fBss \\-m\\fR.\n");
        assert_eq!(item("--all", ""), ".TP\n\\fB\\-\\-all\\fR\n");
    }
}
