//! The kernel's log on the guest's first serial port: what of it to show when the guest fails.

use std::fs;

use skmem_vm_init::GIVES_UP;

use crate::paths;

const TAIL: usize = 40;

/// Did the kernel say that it gave up?
pub(super) fn has_panic(log: &[u8]) -> bool {
    String::from_utf8_lossy(log).contains("Kernel panic - not syncing")
}

/// Why our first process in the guest could not go on, if it said so.
pub(super) fn why_given_up(log: &[u8]) -> Option<String> {
    let found = |line: String| Some(line.split_once(GIVES_UP)?.1.to_owned());
    lines(log).into_iter().find_map(found)
}

/// Prints the last lines.
pub(super) fn show_tail(log: &[u8]) {
    let lines = lines(log);
    if lines.is_empty() {
        return;
    }
    let skipped = lines.len().saturating_sub(TAIL);
    eprintln!(
        "vm: the end of the guest's console ({} of {} lines):",
        lines.len() - skipped,
        lines.len()
    );
    for line in &lines[skipped..] {
        eprintln!("  | {line}");
    }
}

/// Keeps the whole log of a guest that failed; says where it is.
pub(super) fn save(log: &[u8], release: &str) -> String {
    let file = paths::tools().join(format!("console-{release}.log"));
    match fs::write(&file, log) {
        Ok(()) => format!("the whole console is in {}", paths::shown(&file)),
        Err(error) => format!(
            "its console cannot be saved to {}: {error}",
            paths::shown(&file)
        ),
    }
}

/// The log's lines without what only a terminal understands.
fn lines(log: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(log);
    let lines = text
        .lines()
        .map(plain)
        .filter(|line| !line.trim().is_empty());
    lines.collect()
}

fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            // A control sequence: `ESC [`, parameters, and a letter at its end; other sequences are
            // two characters.
            if characters.next() == Some('[') {
                for end in characters.by_ref() {
                    if end.is_ascii_alphabetic() {
                        break;
                    }
                }
            }
        } else if !character.is_control() || character == '\t' {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_and_empty_lines_go() {
        let log = b"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\r\n\r\n[    0.1] ok\r\n";
        assert_eq!(lines(log), ["SeaBIOS", "[    0.1] ok"]);
    }

    #[test]
    fn the_first_process_says_why_it_gives_up() {
        let log = b"[ 1.0] ok\r\nskmem-vm-init gives up: no port\r\n";
        assert_eq!(why_given_up(log).as_deref(), Some("no port"));
        assert_eq!(why_given_up(b"[ 1.0] ok\r\n"), None);
    }

    #[test]
    fn a_panic_is_what_the_kernel_calls_one() {
        assert!(has_panic(
            b"[ 1.0] Kernel panic - not syncing: sysrq triggered crash\r\n"
        ));
        assert!(!has_panic(b"[ 1.0] a panic of a program\r\n"));
    }
}
