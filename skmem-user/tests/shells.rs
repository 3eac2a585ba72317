//! Completions in real shells, and man pages under the lint of a real formatter, which `cargo xtask
//! test --host` fetches and names.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(feature = "outside-tests")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const SKMEM: &str = env!("CARGO_BIN_EXE_skmem");

/// Where Debian's programs were unpacked.
fn root() -> PathBuf {
    let root = std::env::var("SKMEM_TEST_SHELLS");
    root.expect("SKMEM_TEST_SHELLS, as `cargo xtask test --host` sets it")
        .into()
}

/// One of them, run by the loader that came with its C library: this machine's may be older.
fn unpacked(program: &str) -> Command {
    let root = root();
    let (loader, libraries) = match std::env::consts::ARCH {
        "aarch64" => ("lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
        _ => ("lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
    };
    let paths = ["lib", "usr/lib"].map(|dir| root.join(dir).join(libraries));
    let program = ["bin", "usr/bin"].map(|dir| root.join(dir).join(program));
    let program = program.into_iter().find(|path| path.exists());
    let mut command = Command::new(root.join(loader));
    command
        .arg("--library-path")
        .arg(std::env::join_paths(paths).unwrap())
        .arg(program.expect("the program is there"));
    command
}

/// What a shell's script prints, with skmem on its PATH.
fn says(shell: &str, options: &[&str], script: &str) -> String {
    let own = Path::new(SKMEM).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path)));
    let output = unpacked(shell)
        .args(options)
        .args(["-c", script])
        .env("PATH", path.unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shell}: {error}{text}");
    text
}

/// Each of `words` stands at the beginning of a line.
fn offers(text: &str, words: &[&str]) {
    for word in words {
        assert!(
            text.lines().any(|line| line.starts_with(word)),
            "no {word} in:\n{text}"
        );
    }
}

/// What the script registers is called as bash calls it.
#[test]
fn bash_offers_commands_names_and_what_runs_here() {
    let script = r#"
        source <(skmem completions bash)
        [[ $(complete -p skmem) =~ -F\ ([^ ]+) ]] && function=${BASH_REMATCH[1]}
        offer() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9 COMPREPLY=()
            "$function" skmem "${COMP_WORDS[COMP_CWORD]}" x
            printf '%s\n' "${COMPREPLY[@]}"
        }
        offer skmem snap; offer skmem causes tail-; offer skmem demo long-; offer skmem explain -p $$
    "#;
    let text = says("bash", &["--norc"], script);
    offers(
        &text,
        &["snapshot", "tail-append", "tail-refill", "long-path"],
    );
    assert!(
        text.lines().any(|line| line.parse::<u32>().is_ok()),
        "{text}"
    );
}

/// Without its line editor, which wants a terminal: `compdef` and `_describe` say what they were
/// given.
#[test]
fn zsh_offers_commands_and_names() {
    let script = r#"
        compdef() { function=$1 }
        _describe() { print -rl -- ${(P)${@[-1]}} }
        source <(skmem completions zsh)
        offer() { words=("$@") CURRENT=$#; $function }
        offer skmem snap; offer skmem causes tail-; offer skmem demo long-
    "#;
    let text = says("zsh", &["-f"], script);
    offers(
        &text,
        &["snapshot", "tail-append", "tail-refill", "long-path"],
    );
}

#[test]
fn fish_offers_commands_and_names() {
    let script = r#"
        skmem completions fish | source
        complete -C "skmem snap"; complete -C "skmem causes tail-"; complete -C "skmem demo long-"
    "#;
    let text = says("fish", &["--no-config"], script);
    offers(
        &text,
        &["snapshot", "tail-append", "tail-refill", "long-path"],
    );
}

#[test]
fn mandoc_finds_nothing_wrong_with_the_pages() {
    let dir = tempfile::tempdir().unwrap();
    let written = Command::new(SKMEM).arg("man").arg(dir.path()).status();
    assert!(written.unwrap().success());
    let mut pages = 0;
    for page in std::fs::read_dir(dir.path()).unwrap() {
        let output = unpacked("mandoc")
            .args(["-T", "lint"])
            .arg(page.unwrap().path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.is_empty(), "{text}");
        pages += 1;
    }
    assert!(pages > 15, "{pages} pages");
}
