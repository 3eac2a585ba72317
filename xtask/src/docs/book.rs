//! The site: the documents as they are in the checkout, with a list of chapters, made into pages by
//! mdBook.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    check::links,
    paths, process,
    progress::Step,
    setup::{MDBOOK, Setup},
};

/// The parts of the site, and the documents of each.
const PARTS: &[(&str, &[&str])] = &[
    (
        "Use",
        &[
            "docs/top.md",
            "docs/snapshot.md",
            "docs/fleet.md",
            "docs/decode.md",
            "docs/recording.md",
            "docs/plot.md",
            "docs/export.md",
        ],
    ),
    (
        "Look up",
        &[
            "docs/fields.md",
            "docs/causes.md",
            "docs/json.md",
            "docs/kernels.md",
        ],
    ),
    (
        "Judge",
        &[
            "docs/cost.md",
            "docs/compare.md",
            "docs/threat-model.md",
            concat!("docs/un", "safe.md"),
            "SECURITY.md",
        ],
    ),
    (
        "Develop",
        &[
            "ARCHITECTURE.md",
            "CONTRIBUTING.md",
            "findings/README.md",
            "CHANGELOG.md",
        ],
    ),
];

/// The first page.
const FIRST: &str = "README.md";

/// What pages look like. The documents say what they are; a number before each would say less.
const SETTINGS: &str = r#"
[book]
title = "skmem"
description = "Every byte of a TCP socket's memory has a name"
language = "en"
src = "src"

[build]
build-dir = "html"
create-missing = false

[output.html]
no-section-label = true

[output.html.fold]
enable = false

[output.html.print]
enable = false

[output.html.search]
heading-split-level = 3
"#;

/// Builds the site, checks its links, and says where its first page is.
pub(super) fn build(setup: &Setup) -> Result<PathBuf> {
    let mdbook = setup.program(&MDBOOK)?;
    links::check()?;
    let step = Step::start("docs", "building the site");
    let root = paths::root().join("target/docs");
    _ = fs::remove_dir_all(&root);
    let source = root.join("src");
    let put = |name: &str, text: &[u8]| {
        let to = source.join(name);
        let directory = to.parent().context("a file without a directory")?;
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&to, text))
            .with_context(|| format!("cannot write {}", to.display()))
    };
    for name in files()? {
        let from = paths::root().join(&name);
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        put(&name, &bytes)?;
    }
    put("SUMMARY.md", summary()?.as_bytes())?;
    fs::write(root.join("book.toml"), SETTINGS).context("cannot write book.toml")?;
    let mut command = Command::new(mdbook);
    command.arg("build").arg(&root);
    process::succeed(&mut command, Some(&step)).context("mdBook cannot build the site")?;
    let html = root.join("html");
    let count = verify(&html)?;
    step.done(&format!("built, {count} links in it hold"));
    Ok(html.join("index.html"))
}

/// The chapters.
fn chapters() -> impl Iterator<Item = &'static str> {
    let parts = PARTS.iter().flat_map(|(_, names)| names.iter().copied());
    std::iter::once(FIRST).chain(parts)
}

/// The chapters, and every file in the checkout that they link to or show.
fn files() -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for name in chapters() {
        let text = links::read(name)?;
        files.insert(name.to_owned());
        files.extend(links::targets(name, &text)?);
    }
    // A link to a directory is one to its README.md, as it is where the source is read.
    files.retain(|name| paths::root().join(name).is_file());
    Ok(files)
}

/// The list of chapters, under their own headings.
fn summary() -> Result<String> {
    let title = |name: &str| {
        let text = links::read(name)?;
        let first = text.lines().find_map(|line| line.strip_prefix("# "));
        let title = first.with_context(|| format!("{name} does not begin with a heading"))?;
        anyhow::Ok(title.to_owned())
    };
    let mut text = format!("# Summary\n\n[{}]({FIRST})\n", title(FIRST)?);
    for (part, names) in PARTS {
        text.push_str(&format!("\n# {part}\n\n"));
        for name in *names {
            text.push_str(&format!("- [{}]({name})\n", title(name)?));
        }
    }
    Ok(text)
}

/// Follows every link of every page within the site; the number of links.
fn verify(html: &Path) -> Result<usize> {
    let mut pages = BTreeMap::new();
    collect(html, &mut pages)?;
    let mut count = 0;
    let mut broken = Vec::new();
    for (page, text) in &pages {
        let shown = page.strip_prefix(html).unwrap_or(page).display();
        let links = attributes(text, "href").chain(attributes(text, "src"));
        for link in links.filter(|link| !link.contains(':') && !link.is_empty()) {
            let link = link.replace("&amp;", "&");
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                path => links::normal(&page.with_file_name(path)),
            };
            count += 1;
            let known = pages.get(&target);
            let has_anchor = || {
                let ids = known.map(|text| attributes(text, "id").any(|id| id == anchor));
                anchor.is_empty() || ids == Some(true)
            };
            if !target.exists() || !has_anchor() {
                broken.push(format!("{shown}: {link}"));
            }
        }
    }
    ensure!(pages.len() > PARTS.len(), "mdBook wrote no pages");
    if !broken.is_empty() {
        bail!(
            "links of the site that lead nowhere:\n  {}",
            broken.join("\n  ")
        );
    }
    Ok(count)
}

fn collect(directory: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let listed = fs::read_dir(directory);
    for entry in listed.with_context(|| format!("cannot list {}", directory.display()))? {
        let path = entry.context("cannot list the site")?.path();
        // The page for addresses that do not exist has links that hold wherever that is.
        let is_page = path.extension().is_some_and(|e| e == "html") && !path.ends_with("404.html");
        if path.is_dir() {
            collect(&path, pages)?;
        } else if is_page {
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            pages.insert(path, text);
        }
    }
    Ok(())
}

/// The values of an attribute, as mdBook writes them: in double quotes.
fn attributes<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let begin = format!(" {name}=\"");
    let places: Vec<usize> = text.match_indices(&begin).map(|(at, _)| at).collect();
    let length = begin.len();
    places
        .into_iter()
        .filter_map(move |at| text[at + length..].split('"').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_a_chapter() {
        let chapters: Vec<&str> = chapters().collect();
        let listed = fs::read_dir(paths::root().join("docs")).expect("docs/ is there");
        for entry in listed {
            let name = entry.expect("docs/ can be listed").file_name();
            let name = format!("docs/{}", name.to_string_lossy());
            let is_document = Path::new(&name).extension().is_some_and(|e| e == "md");
            assert!(!is_document || chapters.contains(&name.as_str()), "{name}");
        }
        let summary = summary().expect("each document has a heading");
        assert!(summary.contains("](docs/causes.md)"), "{summary}");
    }

    #[test]
    fn attributes_are_found() {
        let text = r##"<a href="#a" class="x">1</a><h2 id="a"><img src="b.svg">"##;
        assert_eq!(attributes(text, "href").collect::<Vec<_>>(), ["#a"]);
        assert_eq!(attributes(text, "id").collect::<Vec<_>>(), ["a"]);
        assert_eq!(attributes(text, "src").collect::<Vec<_>>(), ["b.svg"]);
    }

    #[test]
    fn links_of_the_site_are_followed() {
        let site = tempfile::tempdir().expect("a directory");
        let page = |name: &str, text: &str| {
            fs::write(site.path().join(name), text).expect("it can be written");
        };
        for name in ["b.html", "c.html", "d.html", "e.html"] {
            page(name, "<h1 id=\"top\">");
        }
        page(
            "a.html",
            "<a href=\"b.html#top\"> <a href=\"#here\"> <p id=\"here\">",
        );
        assert_eq!(verify(site.path()).expect("all links hold"), 2);
        page("a.html", "<a href=\"b.html#none\">");
        assert!(verify(site.path()).is_err());
        page("a.html", "<a href=\"none.html\">");
        assert!(verify(site.path()).is_err());
    }
}
