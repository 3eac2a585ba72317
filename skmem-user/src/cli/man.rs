//! `skmem man`: the man pages, from the definitions of the command line and
//! from the documents that skmem prints.

use std::{env, fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use super::{
    Cli,
    help::{Block, blocks},
};
use crate::{
    explain::pages,
    kernel::system::wall_ns,
    render::{
        causes_markdown,
        man::{self, Edition},
        snapshot::fields_markdown,
        utc,
    },
};

/// The format of recordings.
const RECORDING: &str = include_str!("../../../docs/recording.md");

/// Write the man pages into a directory
#[derive(Debug, Args)]
#[command(after_help = "\
Writes skmem.1, a page for each command, skmem-causes.7, skmem-fields.7 and skmem-recording.5, and
replaces those that are there.

Examples:
  skmem man /usr/local/share/man/man1
  skmem man . && man -l skmem-explain.1

Exit status: 0, 1 for a failure, 2 for wrong usage.")]
pub struct Options {
    /// Where to; made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs it.
///
/// # Errors
/// Where a page cannot be written.
pub fn run(options: &Options) -> Result<ExitCode> {
    let dir = &options.dir;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (name, text) in all()? {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// File names and texts.
fn all() -> Result<Vec<(String, String)>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let shown = root.get_subcommands().filter(|sub| !sub.is_hide_set());
    let shown: Vec<Command> = shown.cloned().collect();
    let names = shown.iter().map(|sub| format!("skmem-{}", sub.get_name()));
    let mut others: Vec<String> = names.map(|name| format!("{name}(1)")).collect();
    others.extend(["skmem-causes(7)", "skmem-fields(7)", "skmem-recording(5)"].map(Into::into));
    let mut pages = vec![("skmem.1".to_owned(), command(&root, &others)?)];
    for sub in &shown {
        let page = command(sub, &["skmem(1)".to_owned()])?;
        pages.push((format!("skmem-{}.1", sub.get_name()), page));
    }
    let documents = [
        ("skmem-causes", 7, causes_markdown(&pages::all())),
        ("skmem-fields", 7, fields_markdown()),
        ("skmem-recording", 5, RECORDING.to_owned()),
    ];
    pages.extend(documents.map(|(name, number, text)| {
        let text = man::page(name, number, &edition(), &text);
        (format!("{name}.{number}"), text)
    }));
    Ok(pages)
}

/// This version, on the day that `SOURCE_DATE_EPOCH` names (as packagers set
/// it), or today.
fn edition() -> Edition {
    let seconds = env::var("SOURCE_DATE_EPOCH").ok();
    let seconds = seconds.and_then(|text| text.parse::<u64>().ok());
    let ns = seconds.map_or_else(wall_ns, |s| s.saturating_mul(1_000_000_000));
    let day = utc(ns);
    Edition {
        source: format!("skmem {}", env!("CARGO_PKG_VERSION")),
        day: day.split(' ').next().unwrap_or_default().to_owned(),
    }
}

/// The page of a command.
fn command(command: &Command, others: &[String]) -> Result<String> {
    let after = command.get_after_help().map(ToString::to_string);
    let after = blocks(&after.unwrap_or_default());
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut head = Vec::new();
    let mut tail = Vec::new();
    let page = Man::new(command.clone().after_help(""));
    page.render_name_section(&mut head)?;
    page.render_synopsis_section(&mut head)?;
    page.render_description_section(&mut head)?;
    page.render_options_section(&mut tail)?;
    if command.get_subcommands().any(|sub| !sub.is_hide_set()) {
        page.render_subcommands_section(&mut tail)?;
    }
    let (about, rest) = sections(&after);
    let see = man::section("See also") + &others.join(",\n") + "\n";
    let parts = [
        String::from_utf8(head)?,
        about,
        String::from_utf8(tail)?,
        rest,
        see,
    ];
    Ok(man::title(name, 1, &edition()) + &man::tidy(&parts.concat()))
}

/// What a help text says below the options: what belongs to the description,
/// and the sections after the options.
fn sections(after: &[Block]) -> (String, String) {
    let (mut about, mut rest) = (String::new(), String::new());
    let mut to_rest = false;
    for block in after {
        match block {
            Block::Empty => {}
            Block::Paragraph(text) => match text.split_once(':') {
                Some((heading, "")) => {
                    to_rest = true;
                    rest.push_str(&man::section(heading));
                }
                Some(("Exit status", text)) => {
                    to_rest = true;
                    rest.push_str(&man::section("Exit status"));
                    rest.push_str(&man::paragraph(text.trim()).replacen(".PP\n", "", 1));
                }
                _ => {
                    let out = if to_rest { &mut rest } else { &mut about };
                    out.push_str(&man::paragraph(text));
                }
            },
            Block::Rows(rows) => {
                let out = if to_rest { &mut rest } else { &mut about };
                for (head, said) in rows {
                    out.push_str(&man::item(head, said));
                }
            }
        }
    }
    (about, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_with_its_examples() {
        let pages = all().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in [
            "skmem.1",
            "skmem-explain.1",
            "skmem-causes.7",
            "skmem-recording.5",
        ] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        assert!(!names.contains(&"skmem-workload.1"));
        for (name, text) in &pages {
            if name.ends_with(".1") {
                for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"] {
                    assert!(text.contains(heading), "{name}: {heading}\n{text}");
                }
            }
        }
    }
}
