//! `docs/unsafe.md` lists every file with unsafe code: a list that has gone stale fails here. With
//! `SKMEM_BLESS=1` the numbers are written anew; the reasons stay a person's work.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

/// The keyword, which must not stand in this file.
const WORD: &str = concat!("un", "safe");
/// Of a file that was not in the list yet.
const NO_REASON: &str = "TODO: say why";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Rust files of the workspace, by their paths in it.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut waiting: Vec<PathBuf> = ["skmem-common", "skmem-ebpf", "skmem-user", "xtask", "fuzz"]
        .iter()
        .map(|part| root.join(part))
        .collect();
    let mut found = Vec::new();
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if name != "target" {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let name = path.strip_prefix(&root).unwrap();
                found.push((name.to_str().unwrap().to_owned(), text));
            }
        }
    }
    found
}

/// How often the keyword stands in the code, comments apart.
fn count(text: &str) -> usize {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|code| code.split(|c| !part(c)))
        .filter(|word| *word == WORD)
        .count()
}

/// A line of the list: file, number, reason.
fn row(line: &str) -> Option<(String, usize, String)> {
    let mut cells = line
        .strip_prefix("| `")?
        .trim_end_matches(" |")
        .split(" | ");
    let file = cells.next()?.trim_end_matches('`').to_owned();
    let number = cells.next()?.parse().ok()?;
    Some((file, number, cells.next()?.to_owned()))
}

#[test]
fn the_list_is_complete() {
    let path = root().join(format!("docs/{WORD}.md"));
    let text = fs::read_to_string(&path).unwrap();
    let listed: BTreeMap<String, (usize, String)> = text
        .lines()
        .filter_map(row)
        .map(|(file, number, why)| (file, (number, why)))
        .collect();
    let found: BTreeMap<String, usize> = sources()
        .into_iter()
        .map(|(file, text)| (file, count(&text)))
        .filter(|(_, number)| *number > 0)
        .collect();
    assert!(found.len() > 20, "sources were not found: {found:?}");
    if env::var_os("SKMEM_BLESS").is_some() {
        let head: String = text
            .lines()
            .take_while(|line| row(line).is_none())
            .map(|line| format!("{line}\n"))
            .collect();
        let rows = found.iter().map(|(file, number)| {
            let why = listed.get(file).map_or(NO_REASON, |(_, why)| why);
            format!("| `{file}` | {number} | {why} |\n")
        });
        fs::write(&path, head + &rows.collect::<String>()).unwrap();
        return;
    }
    let numbers: BTreeMap<String, usize> = listed
        .iter()
        .map(|(file, (number, _))| (file.clone(), *number))
        .collect();
    let stale: Vec<String> = found
        .iter()
        .filter(|(file, number)| numbers.get(*file) != Some(number))
        .map(|(file, number)| format!("{file}: {number}, listed {:?}", numbers.get(file)))
        .chain(
            numbers
                .keys()
                .filter(|file| !found.contains_key(*file))
                .map(|file| format!("{file}: none any more")),
        )
        .collect();
    assert!(
        stale.is_empty(),
        "docs/{WORD}.md is stale (SKMEM_BLESS=1 cargo test -p skmem-user --test unsafe_list writes the \
         numbers): {stale:#?}"
    );
    for (file, (_, why)) in listed {
        assert!(why != NO_REASON && why.len() > 8, "{file}: no reason given");
    }
}

#[test]
fn words_are_counted_and_comments_are_not() {
    let text =
        format!("{WORD} {{ f() }} // {WORD}\n#[{WORD}(no_mangle)]\n{WORD}_op_in_{WORD}_fn\n");
    assert_eq!(count(&text), 2);
}
