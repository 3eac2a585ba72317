//! Links between documents: each leads to a file that git knows, and to a heading in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::text;
use crate::paths;

/// The text of a document in the checkout.
pub(crate) fn read(name: &str) -> Result<String> {
    fs::read_to_string(paths::root().join(name)).with_context(|| format!("cannot read {name}"))
}

/// Bails where a document has a link that leads nowhere.
pub(crate) fn check() -> Result<()> {
    let listed: BTreeSet<String> = text::listed(&[])?.into_iter().collect();
    let documents = listed.iter().filter(|name| is_document(name));
    let mut texts = BTreeMap::new();
    for name in documents {
        // A file that is deleted and not committed yet is listed, too.
        if let Ok(text) = read(name) {
            texts.insert(name.clone(), text);
        }
    }
    let broken = broken(&texts, |name| {
        let directory = format!("{name}/");
        listed.contains(name) || listed.iter().any(|listed| listed.starts_with(&directory))
    })?;
    if !broken.is_empty() {
        bail!("links that lead nowhere:\n  {}", broken.join("\n  "));
    }
    Ok(())
}

/// The links of the documents that lead to no file, or to no heading of one.
fn broken(texts: &BTreeMap<String, String>, exists: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for (name, text) in texts {
        for link in links(text) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = resolved(name, path)?;
            let has_anchor = || match texts.get(&target) {
                Some(text) => anchors(text).contains(anchor),
                None => false,
            };
            if !exists(&target) || !(anchor.is_empty() || has_anchor()) {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    Ok(broken)
}

/// The files that a document links to or shows, by their names in the checkout.
pub(crate) fn targets(name: &str, text: &str) -> Result<BTreeSet<String>> {
    let links = links(text);
    let paths = links
        .iter()
        .map(|link| link.split('#').next().unwrap_or_default());
    paths.map(|path| resolved(name, path)).collect()
}

/// A path without `.` and `..`.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

fn is_document(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e == "md")
}

/// What a link in `document` leads to.
fn resolved(document: &str, path: &str) -> Result<String> {
    if path.is_empty() {
        return Ok(document.to_owned());
    }
    let joined = normal(&Path::new(document).with_file_name(path));
    let name = joined.to_str().context("a path is not UTF-8")?;
    Ok(name.to_owned())
}

fn parsed(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

/// Links and pictures within the checkout.
fn links(text: &str) -> Vec<String> {
    let links = parsed(text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url),
        _ => None,
    });
    links
        .filter(|link| !link.contains(':'))
        .map(pulldown_cmark::CowStr::into_string)
        .collect()
}

/// The anchors of headings, as GitHub and mdBook name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in parsed(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let base = anchor(&heading.take().unwrap_or_default());
                let mut name = base.clone();
                let mut count = 1;
                while !anchors.insert(name) {
                    name = format!("{base}-{count}");
                    count += 1;
                }
            }
            _ => {}
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter_map(|character| match character {
            ' ' => Some('-'),
            '-' | '_' => Some(character),
            character if character.is_alphanumeric() => Some(character),
            _ => None,
        });
    kept.collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_this_checkout_hold_together() {
        check().expect("all links lead somewhere");
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        let texts = [
            (
                "README.md",
                "[a](docs/a.md#two-words) ![p](docs/p.svg) [w](http://x/)",
            ),
            (
                "docs/a.md",
                "# Two `words`\n[up](../README.md) [none](b.md)",
            ),
            (
                "docs/c.md",
                "[no heading](a.md#three) [here](#none)\n\n    [code](none)",
            ),
        ];
        let texts = texts.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let texts = BTreeMap::from(texts);
        let exists = |name: &str| texts.contains_key(name) || name == "docs/p.svg";
        assert_eq!(
            broken(&texts, exists).expect("the names are good"),
            [
                "docs/a.md: b.md",
                "docs/c.md: a.md#three",
                "docs/c.md: #none"
            ]
        );
    }

    #[test]
    fn anchors_are_those_of_headings() {
        let text = "# `a_b`: what, and why\n## Twice\n## Twice\n";
        let anchors = anchors(text);
        let expected = ["a_b-what-and-why", "twice", "twice-1"];
        assert_eq!(
            anchors.iter().map(String::as_str).collect::<Vec<_>>(),
            expected
        );
    }
}
