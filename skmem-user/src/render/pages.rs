//! The pages of `skmem causes`: a list, one page, and all of them as the
//! document `docs/causes.md`.

use super::{
    layout::{hang, row, title},
    style::{Role, Style},
};
use crate::explain::{
    pages::{Kind, Page},
    remedies::{Remedy, Words},
};

/// Columns of labels.
const LABEL: usize = 10;

/// A line a page, under the headings of their kinds. Ends with a newline.
#[must_use]
pub fn cause_list(pages: &[Page], style: &Style) -> String {
    let mut out = String::new();
    let widest = pages.iter().map(|p| p.name.len()).max().unwrap_or(0);
    for kind in Kind::ALL {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&style.paint(Role::Title, kind.heading()));
        out.push('\n');
        for page in pages.iter().filter(|p| p.kind == *kind) {
            let name = format!("{:<widest$}", page.name);
            let head = format!("  {}  ", style.paint(Role::Name, name));
            hang(&mut out, &head, widest + 4, page.words.brief, None, style);
        }
    }
    out.push_str("\n`skmem causes NAME` describes one in full.\n");
    out
}

/// One page. Ends with a newline.
#[must_use]
pub fn cause_page(page: &Page, style: &Style) -> String {
    let mut out = String::new();
    let words = &page.words;
    let head = format!("{}: {}", page.name, words.brief);
    hang(&mut out, "", 0, &head, Some(Role::Title), style);
    out.push('\n');
    hang(&mut out, "", 0, words.sentence, None, style);
    out.push('\n');
    for (label, text) in facts(page) {
        row(&mut out, label, LABEL, &text, style);
    }
    list(&mut out, "What can be done", words.remedies, true, style);
    list(&mut out, "What does not help", words.useless, false, style);
    out
}

fn list(out: &mut String, heading: &str, remedies: &[Remedy], price: bool, style: &Style) {
    if !remedies.is_empty() {
        title(out, heading, style);
    }
    for (n, remedy) in remedies.iter().enumerate() {
        let said = remedy.words();
        let head = format!("  {}. ", n + 1);
        hang(out, &head, head.len(), said.advice, None, style);
        hang(
            out,
            "     ",
            5,
            &aside(&said, price),
            Some(Role::Aside),
            style,
        );
    }
}

fn aside(said: &Words, price: bool) -> String {
    let price = if price {
        format!("Price: {}. ", said.price)
    } else {
        String::new()
    };
    format!("{price}Known: {}.", said.evidence)
}

/// The document. Ends with a newline.
#[must_use]
pub fn causes_markdown(pages: &[Page]) -> String {
    let mut out = String::from(
        "# What moves a TCP socket's send memory, cause by cause\n\n\
         Printed by `skmem causes --markdown`, from the words that verdicts are made of; do not \
         edit.\n\
         `skmem causes NAME` prints one page of it in a terminal. Sizes are bytes; O is the \
         truesize of an\nempty skb, which differs by kernel and build (1280 on Debian's 5.10 and \
         6.1, 896 on its 6.12 and 7.2).\n",
    );
    for kind in Kind::ALL {
        out.push_str(&format!(
            "\n## {}\n\n| name | is |\n|---|---|\n",
            kind.heading()
        ));
        let of_kind = || pages.iter().filter(|p| p.kind == *kind);
        for page in of_kind() {
            let name = page.name;
            out.push_str(&format!("| [`{name}`](#{name}) | {} |\n", page.words.brief));
        }
        for page in of_kind() {
            markdown_page(&mut out, page);
        }
    }
    measured(&mut out, pages);
    out
}

/// Each piece of advice once, with how it is known.
fn measured(out: &mut String, pages: &[Page]) {
    out.push_str(
        "\n## How the advice is known\n\nTried in a VM (two CPUs under TCG) on Debian's kernels: the \
         numbers are of one run each. `skmem demo … --fix …` tries it again, and so do the tests, \
         on each kernel.\n\n| advice | known |\n|---|---|\n",
    );
    let mut seen: Vec<Remedy> = Vec::new();
    let of = |p: &Page| [p.words.remedies, p.words.useless].concat();
    for remedy in pages.iter().flat_map(of) {
        if seen.contains(&remedy) {
            continue;
        }
        seen.push(remedy);
        let said = remedy.words();
        // As much of it as distinguishes it from the others.
        let mut first = said.advice;
        for end in [": ", ". ", " ("] {
            first = first.split(end).next().unwrap_or_default();
        }
        let first = first.trim_end_matches('.');
        out.push_str(&format!("| {first} | {} |\n", said.evidence));
    }
}

fn markdown_page(out: &mut String, page: &Page) {
    let words = &page.words;
    out.push_str(&format!("\n### {}\n\n{}\n\n", page.name, words.sentence));
    for (label, text) in facts(page) {
        out.push_str(&format!("- **{label}**: {text}\n"));
    }
    markdown_list(out, "What can be done", words.remedies, true);
    markdown_list(out, "What does not help", words.useless, false);
}

fn markdown_list(out: &mut String, heading: &str, remedies: &[Remedy], price: bool) {
    if !remedies.is_empty() {
        out.push_str(&format!("\n{heading}:\n\n"));
    }
    for (n, remedy) in remedies.iter().enumerate() {
        let said = remedy.words();
        out.push_str(&format!("{}. {}", n + 1, said.advice));
        if price {
            out.push_str(&format!(" Price: {}.", said.price));
        }
        match said.reproduce {
            "" if !said.evidence.is_tried() => out.push_str(" Not tried.\n"),
            "" => out.push('\n'),
            command => out.push_str(&format!(" Tried: `{command}`.\n")),
        }
    }
}

/// The rows of a page.
fn facts(page: &Page) -> Vec<(&'static str, String)> {
    let words = &page.words;
    let over = match page.kind {
        Kind::Memory => "limits",
        _ => "over",
    };
    let mut facts = vec![
        ("kernel", format!("{}; {}", words.function, words.versions)),
        ("effect", words.effect.to_owned()),
        (over, words.over.to_owned()),
        ("seen by", words.seen.to_owned()),
    ];
    let example = match words.demo {
        "" => "no case of `skmem demo` is sure to bring it about".to_owned(),
        command => format!("`{command}`"),
    };
    facts.push(("example", example));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::pages::{all, find};

    #[test]
    fn the_document_is_what_the_command_prints() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/causes.md");
        let printed = causes_markdown(&all());
        let document = std::fs::read_to_string(path).unwrap();
        assert!(
            document == printed,
            "docs/causes.md is old: skmem causes --markdown > docs/causes.md"
        );
    }

    #[test]
    fn a_page_says_all_and_keeps_to_its_width() {
        for page in all() {
            for width in [60, 80, 100] {
                let narrow = Style {
                    width,
                    ..Style::PLAIN
                };
                for line in cause_page(&page, &narrow).lines() {
                    assert!(line.chars().count() <= width, "{width}: {line}");
                    assert_eq!(line.trim_end(), line);
                }
            }
        }
        let text = cause_page(&find("tail-append").unwrap(), &Style::PLAIN);
        println!("{text}");
        for said in [
            "kernel ",
            "effect ",
            "over ",
            "seen by ",
            "`skmem demo article`",
            "Price:",
        ] {
            assert!(text.contains(said), "{said}");
        }
    }

    #[test]
    fn the_list_has_a_line_for_each() {
        let pages = all();
        let text = cause_list(&pages, &Style::PLAIN);
        println!("{text}");
        for page in &pages {
            let line = format!("  {} ", page.name);
            assert!(text.lines().any(|l| l.starts_with(&line)), "{}", page.name);
        }
        assert!(text.lines().all(|l| l.chars().count() <= 100));
    }
}
