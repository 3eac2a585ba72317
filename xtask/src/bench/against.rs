//! `cargo xtask bench --against REV`: skmem as it was at a commit, in the same VM under the same
//! loads, and what each figure has come to since.

use std::{fmt::Write as _, fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::table::{Cost, Results, grouped};
use crate::{arch::Arch, guest, paths, process};

/// skmem of a commit.
pub(super) struct Before {
    /// The commit, as short as git prints it.
    pub(super) commit: String,
    /// Built for the guest.
    pub(super) skmem: PathBuf,
}

/// Modes that took the place of others: what a command did by default before is what it is held
/// against.
const INSTEAD: [(&str, &[&str]); 7] = [
    (
        "accounts, lean set",
        &["accounts, all hooks", "accounts without records"],
    ),
    (
        "accounts of both sides, lean set",
        &[
            "accounts of both sides, all hooks",
            "accounts of both sides without records",
        ],
    ),
    ("accounts, all hooks", &["accounts without records"]),
    (
        "accounts of both sides, all hooks",
        &["accounts of both sides without records"],
    ),
    (
        "records of each call, lean set",
        &["records of all hooks, replayed"],
    ),
    (
        "records of three hooks",
        &["records of three hooks, replayed"],
    ),
    ("records of all hooks", &["records of all hooks, replayed"]),
];

impl Before {
    /// Takes the source of `revision` out of git, and builds it: once for each commit.
    pub(super) fn build(arch: &'static Arch, revision: &str) -> Result<Self> {
        let whole = git(&["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{revision}^{{commit}}"))
            .output()
            .context("cannot run git")?;
        if !whole.status.success() {
            return Err(crate::error::usage(format!(
                "--against {revision}: git knows no such commit"
            )));
        }
        let whole = String::from_utf8_lossy(&whole.stdout).trim().to_owned();
        let commit: String = whole.chars().take(9).collect();
        let room = paths::root().join("target/bench/before");
        let source = room.join(&whole);
        if !source.exists() {
            fs::create_dir_all(&room)
                .with_context(|| format!("cannot create {}", room.display()))?;
            // Under its own name once all of it is there.
            let unpacked = tempfile::tempdir_in(&room).context("cannot make a directory")?;
            let archive = unpacked.path().join("source.tar");
            let tree = unpacked.path().join("tree");
            fs::create_dir(&tree).context("cannot make a directory")?;
            process::succeed(
                git(&["archive", "--format=tar", "-o"])
                    .arg(&archive)
                    .arg(&whole),
                None,
            )?;
            let mut tar = Command::new("tar");
            process::succeed(tar.arg("-xf").arg(&archive).arg("-C").arg(&tree), None)?;
            // Its build looks there for bpf-linker.
            symlink(paths::tools(), tree.join(".tools")).context("cannot make a link")?;
            fs::rename(&tree, &source)
                .with_context(|| format!("cannot create {}", source.display()))?;
        }
        // What commits have in common is built once.
        let skmem = guest::skmem_of(arch, &source, &room.join("target"))?;
        // The next commit's takes its place there.
        let kept = source.join("skmem-built");
        fs::copy(&skmem, &kept).with_context(|| format!("cannot write {}", kept.display()))?;
        Ok(Self {
            commit,
            skmem: kept,
        })
    }
}

fn git(args: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(paths::root()).args(args);
    git
}

/// A figure, before and now. `ratio` is now to before.
#[derive(Debug, Serialize)]
struct Pair {
    what: String,
    /// Which figure of that time; None: there was none.
    before_what: Option<String>,
    before: Option<f64>,
    now: f64,
    ratio: Option<f64>,
}

impl Pair {
    fn new(what: String, before: Option<(String, f64)>, now: f64) -> Self {
        let (before_what, before) = before.unzip();
        let ratio = before.filter(|b| *b > 0.0).map(|b| now / b);
        Self {
            what,
            before_what,
            before,
            now,
            ratio,
        }
    }
}

/// What a mode adds to a send, by load; what reading a record takes; what the verifier walks.
fn pairs(before: &Results, now: &Results) -> Vec<(String, Vec<Pair>)> {
    let mut tables: Vec<(String, Vec<Pair>)> = Vec::new();
    let same = |a: &Cost, b: &Cost| a.load == b.load && a.write_size == b.write_size;
    for cost in now.costs().filter(|cost| cost.added_ns != 0) {
        let title = format!(
            "{}, {} bytes: ns a send over nothing",
            cost.load, cost.write_size
        );
        let instead = INSTEAD.iter().find(|(name, _)| *name == cost.mode);
        let names = [cost.mode.as_str()].into_iter();
        let mut names = names.chain(
            instead
                .into_iter()
                .flat_map(|(_, names)| names.iter().copied()),
        );
        let then = names.find_map(|name| {
            before
                .costs()
                .find(|old| same(old, cost) && old.mode == name)
        });
        let then = then.map(|old| (old.mode.clone(), old.added_ns as f64));
        let pair = Pair::new(cost.mode.clone(), then, cost.added_ns as f64);
        match tables.last_mut().filter(|(last, _)| *last == title) {
            Some((_, pairs)) => pairs.push(pair),
            None => tables.push((title, vec![pair])),
        }
    }
    let steps = now.steps().map(|(step, ns)| {
        let then = before.steps().find(|(name, _)| *name == step);
        Pair::new(
            step.to_owned(),
            then.map(|(name, ns)| (name.to_owned(), ns)),
            ns,
        )
    });
    tables.push(("reading side: ns an event".to_owned(), steps.collect()));
    let walked = (before.walked(), now.walked());
    if let (before, Some((programs, walked))) = walked {
        let name = |programs: usize| format!("{programs} programs of all hooks");
        let then = before.map(|(programs, walked)| (name(programs), walked as f64));
        let pair = Pair::new(name(programs), then, walked as f64);
        tables.push(("verifier: instructions walked".to_owned(), vec![pair]));
    }
    tables.retain(|(_, pairs)| !pairs.is_empty());
    tables
}

/// All ratios as tables.
pub(super) fn markdown(commit: &str, before: &Results, now: &Results) -> Result<String> {
    let (Some(then), Some(kernel)) = (before.kernel(), now.kernel()) else {
        bail!("skmem bench did not say what it ran on");
    };
    if then != kernel {
        bail!("{commit} was measured on {then}, and what is here on {kernel}");
    }
    let mut text = format!("\n#### {kernel}: against {commit}\n");
    for (title, pairs) in pairs(before, now) {
        _ = write!(
            text,
            "\n**{title}**\n\n| | {commit} | now | now to before |\n|---|--:|--:|--:|\n"
        );
        for pair in pairs {
            let what = match &pair.before_what {
                Some(name) if *name != pair.what => format!("{}; before: {name}", pair.what),
                _ => pair.what,
            };
            let number = |n: f64| match n < 0.0 {
                true => format!("-{}", grouped(n.abs().round() as u64)),
                false => grouped(n.round() as u64),
            };
            let before = pair.before.map_or("–".to_owned(), number);
            let ratio = pair.ratio.map_or("–".to_owned(), |r| format!("{r:.2} ×"));
            _ = writeln!(
                text,
                "| {what} | {before} | {} | {ratio} |",
                number(pair.now)
            );
        }
    }
    Ok(text)
}

/// The same as JSON: an object a table, one a line.
pub(super) fn json(commit: &str, before: &Results, now: &Results) -> Result<String> {
    #[derive(Serialize)]
    struct Table<'a> {
        against: &'a str,
        kernel: Option<&'a str>,
        title: String,
        figures: Vec<Pair>,
    }
    let mut text = String::new();
    for (title, figures) in pairs(before, now) {
        let table = Table {
            against: commit,
            kernel: now.kernel(),
            title,
            figures,
        };
        text += &serde_json::to_string(&table)?;
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(lines: &[&str]) -> Results {
        let head = r#"{"kind":"machine","kernel":"6.12.1","cpus":1,"rounds":1,"sends":1000}"#;
        let mut text = format!("{head}\n");
        for line in lines {
            text += line;
            text.push('\n');
        }
        Results::read(text).unwrap()
    }

    fn cost(mode: &str, added: i64) -> String {
        format!(
            r#"{{"kind":"cost","load":"lockstep","write_size":1024,"mode":"{mode}","ns_per_send":1,"range_ns":[1,1],"added_ns":{added},"ratio":1.0,"bytes_per_s":1,"events_per_send":0.0,"lost":0,"reader_ns_per_send":0}}"#
        )
    }

    const STEP: &str = r#"{"kind":"event","step":"decode","ns_per_event":229.0}"#;

    #[test]
    fn modes_are_held_against_those_whose_place_they_took() {
        let nothing = cost("nothing attached", 0);
        let old = [
            nothing.as_str(),
            &cost("accounts without records", 5_000),
            STEP,
        ];
        let new = [
            nothing.as_str(),
            &cost("accounts, lean set", 2_500),
            &cost("a tripwire that no socket meets", 200),
            STEP,
            r#"{"kind":"verifier","program":"ack_exit","instructions":1000}"#,
        ];
        let (old, new) = (results(&old), results(&new));
        let text = markdown("abc", &old, &new).unwrap();
        for row in [
            "**lockstep, 1024 bytes: ns a send over nothing**",
            "| accounts, lean set; before: accounts without records | 5,000 | 2,500 | 0.50 × |",
            "| a tripwire that no socket meets | – | 200 | – |",
            "| decode | 229 | 229 | 1.00 × |",
            "| 1 programs of all hooks | – | 1,000 | – |",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
        assert!(!text.contains("nothing attached"), "{text}");
        let lines = json("abc", &old, &new).unwrap();
        assert_eq!(lines.lines().count(), 3);
        assert!(
            lines.contains(r#""before":5000.0,"now":2500.0,"ratio":0.5"#),
            "{lines}"
        );
    }

    #[test]
    fn other_kernels_are_not_compared() {
        let other = r#"{"kind":"machine","kernel":"7.2.1","cpus":1,"rounds":1,"sends":1000}"#;
        let other = Results::read(format!("{other}\n")).unwrap();
        assert!(markdown("abc", &other, &results(&[])).is_err());
    }
}
