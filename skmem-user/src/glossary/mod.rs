//! The words for what `ss -m` and skmem print: one source for `skmem fields`, `skmem decode`, the legend of
//! `skmem snapshot` and `docs/fields.md`.
//!
//! Statements about the kernel hold for 5.10 to 7.3 (`sk_get_meminfo`, `tcp_diag_get_info`,
//! `sockstat_seq_show`); where versions differ the entry says so.

mod memory;
mod queues;
mod system;

/// One value that is printed somewhere, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// skmem's name, in code, JSON and CSV.
    pub name: &'static str,
    /// What `ss` prints before the number, if it prints it.
    pub ss: Option<&'static str>,
    /// Other words under which people look for it.
    pub aliases: &'static [&'static str],
    /// The kernel's field or formula, and the function that reports it.
    pub kernel: &'static str,
    /// Bytes, packets, pages, ….
    pub unit: &'static str,
    /// The same in a word or three; empty where `ss` prints no letter for it.
    pub brief: &'static str,
    /// What it is, in a clause that stands after "is".
    pub meaning: &'static str,
    /// Who makes it go up and down.
    pub moved_by: &'static str,
    /// What people get wrong about it.
    pub traps: &'static [&'static str],
}

/// Every entry, in the order in which `ss` prints its letters, then the rest.
pub fn all() -> impl Iterator<Item = &'static Field> {
    [memory::FIELDS, queues::FIELDS, system::FIELDS]
        .into_iter()
        .flatten()
}

/// The entry for a letter, a name or an alias. Letters are looked for as they are written, names in any
/// case, with `-` for `_`.
#[must_use]
pub fn find(word: &str) -> Option<&'static Field> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(word.trim().trim_end_matches(':'));
    all()
        .find(|field| field.ss == Some(word))
        .or_else(|| {
            all().find(|field| {
                plain(field.name) == wanted || field.ss.is_some_and(|ss| plain(ss) == wanted)
            })
        })
        .or_else(|| all().find(|field| field.aliases.iter().any(|a| plain(a) == wanted)))
}

/// What a value is, in a clause, by skmem's name for it; empty for a name that has no entry.
#[must_use]
pub fn meaning(name: &str) -> &'static str {
    all()
        .find(|field| field.name == name)
        .map_or("", |field| field.meaning)
}

/// What a value is, in a word or three.
#[must_use]
pub fn brief(name: &str) -> &'static str {
    all()
        .find(|field| field.name == name)
        .map_or("", |field| field.brief)
}

/// Names that begin like `word` or hold it, for a reader who mistyped.
#[must_use]
pub fn near(word: &str) -> Vec<&'static str> {
    let word = word.to_lowercase().replace('-', "_");
    all()
        .filter(|field| {
            let names = std::iter::once(field.name).chain(field.aliases.iter().copied());
            let mut names = names.map(str::to_lowercase);
            !word.is_empty() && names.any(|name| name.contains(&word) || word.contains(&name))
        })
        .map(|field| field.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_letter_that_ss_prints_in_skmem_is_explained() {
        for letter in ["r", "rb", "t", "tb", "f", "w", "o", "bl", "d"] {
            let field = find(letter).unwrap();
            assert_eq!(field.ss, Some(letter));
            assert!(!field.traps.is_empty(), "{letter}");
            assert!(!field.brief.is_empty(), "{letter}");
        }
    }

    #[test]
    fn names_letters_and_aliases_lead_to_one_entry_each() {
        let mut names = HashSet::new();
        for field in all() {
            assert!(names.insert(field.name), "{} twice", field.name);
            assert_eq!(find(field.name), Some(field), "{}", field.name);
            if let Some(ss) = field.ss {
                assert_eq!(find(ss), Some(field), "{ss}");
            }
            for text in [field.kernel, field.unit, field.meaning, field.moved_by] {
                assert!(!text.is_empty(), "{}", field.name);
            }
        }
        assert_eq!(find("sk_wmem_queued"), find("w"));
        assert_eq!(find("Send-Q").map(|f| f.name), Some("send_q"));
        assert_eq!(find("SEND_Q").map(|f| f.name), Some("send_q"));
        assert_eq!(find("notsent:").map(|f| f.name), Some("unsent"));
        assert_eq!(find("nonsense"), None);
    }

    #[test]
    fn a_mistyped_name_gets_a_hint() {
        assert!(near("wmem").contains(&"wmem_queued"));
        assert!(near("").is_empty());
    }

    #[test]
    fn meanings_are_clauses() {
        for field in all() {
            let first = field.meaning.chars().next().unwrap();
            assert!(!field.meaning.ends_with('.'), "{}", field.name);
            assert!(first.is_lowercase() || first == '`', "{}", field.name);
        }
        assert_eq!(meaning("none"), "");
    }
}
