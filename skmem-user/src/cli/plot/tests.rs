//! `skmem plot` on a recording made by hand.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use skmem_common::hook::Hook;

use super::{Options, run};
use crate::{cli::recorded::tests::write, testing::story::article};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// Runs `skmem plot FILE WORDS…`.
pub(super) fn plot(file: &Path, words: &[&str]) -> anyhow::Result<()> {
    let line = ["plot", file.to_str().expect("a name")];
    let line = Line::try_parse_from(line.iter().chain(words))?;
    run(&line.options).map(drop)
}

/// A recording of the article's scenario.
pub(super) fn article_in(dir: &Path) -> PathBuf {
    let file = dir.join("a.skm");
    write(&file, "db-1", &[&article()]);
    file
}

#[test]
fn the_name_says_the_form() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = article_in(dir.path());
    for (name, start) in [
        ("a.svg", &b"<svg "[..]),
        ("a.HTML", b"<!DOCTYPE html>"),
        ("a.txt", "Send-Q is ".as_bytes()),
        #[cfg(feature = "png")]
        ("a.png", b"\x89PNG"),
    ] {
        let to = dir.path().join(name);
        plot(&file, &["-o", to.to_str().expect("a name")]).expect(name);
        let bytes = fs::read(&to).expect(name);
        assert!(bytes.starts_with(start), "{name}");
    }
    let error = plot(&file, &["-o", "x.pdf"]).expect_err("no such form");
    assert!(error.to_string().contains(".svg"), "{error}");
}

#[test]
fn a_part_of_it_is_drawn_closer() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = article_in(dir.path());
    let to = dir.path().join("a.svg");
    let words = ["--from", "700ms", "--to", "800ms", "-o"];
    let words = [&words[..], &[to.to_str().expect("a name")]].concat();
    plot(&file, &words).expect("a plot");
    let svg = fs::read_to_string(&to).expect("a file");
    // The end of the sleep and the limit's move, and not the rise before.
    assert!(
        svg.contains("8,192 → 16,384") && svg.contains(">720<"),
        "{svg}"
    );
    let error = plot(&file, &["--text", "--from", "3600s"]).expect_err("beyond");
    assert!(error.to_string().contains("is 877.4 ms long"), "{error}");
}

#[test]
fn a_sender_asleep_at_the_end_is_shown_asleep_until_then() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.skm");
    let mut story = article();
    story.end_with(Hook::WaitMemory, |e| e.kind = 1);
    // Nothing happens any more.
    story.wait_us(5_000_000);
    write(&file, "db-1", &[&story]);
    let to = dir.path().join("a.svg");
    plot(&file, &["-o", to.to_str().expect("a name")]).expect("a plot");
    let svg = fs::read_to_string(&to).expect("a file");
    assert!(
        svg.contains("2 sleeps for want of send memory, 5.4"),
        "{svg}"
    );
}
