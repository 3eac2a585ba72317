//! `skmem snapshot --watch` on a terminal: what it writes there, and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs::File,
    io::Read as _,
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Command, Stdio},
    thread,
};

use rustix::{
    process::{Pid, Signal, kill_process},
    termios::tcgetattr,
};
use terminal::{size, terminal};

#[path = "support/terminal.rs"]
mod terminal;

fn watch(theirs: OwnedFd, more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_skmem"))
        .args(["snapshot", "--watch", "200ms", "--limit", "3"])
        .args(more)
        .stdin(Stdio::null())
        .stdout(theirs)
        .spawn()
        .unwrap()
}

/// What came until the program's end of the terminal was closed.
fn all(mut ours: File) -> String {
    until(&mut ours, String::new(), |_| false)
}

/// What came before and what comes until that is enough, or the program's end of the terminal is
/// closed.
fn until(ours: &mut File, before: String, enough: impl Fn(&str) -> bool) -> String {
    let (mut text, mut part) = (before.into_bytes(), [0; 4096]);
    // What ends within a character is not enough; the terminal's end is an error here (EIO).
    while !std::str::from_utf8(&text).is_ok_and(&enough)
        && let Ok(got) = ours.read(&mut part)
        && got > 0
    {
        text.extend_from_slice(&part[..got]);
    }
    String::from_utf8(text).unwrap()
}

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const CLEAR: &str = "\x1b[2J";
const FRAME: &str = "\x1b[?2026h\x1b[H";
const SHOW_CURSOR: &str = "\x1b[?25h";
const WRAP: &str = "\x1b[?7h";

#[test]
fn frames_are_drawn_over_each_other_and_never_cleared() {
    let (ours, theirs) = terminal(100, 12);
    let mut child = watch(theirs, &["--count", "3"]);
    let reader = thread::spawn(|| all(ours));
    assert!(child.wait().unwrap().success());
    let text = reader.join().unwrap();
    assert_eq!(text.matches(FRAME).count(), 3, "{text:?}");
    assert_eq!(text.matches(ENTER).count(), 1);
    // Once, on the other screen, before the first frame.
    assert_eq!(text.matches(CLEAR).count(), 1);
    let (before, frames) = text.split_once(FRAME).unwrap();
    assert!(before.contains(CLEAR));
    for frame in frames.split(FRAME) {
        let lines: Vec<&str> = frame.split("\r\n").collect();
        assert!(lines.len() <= 12, "{frame:?}");
        // Each line but the last erases what stood behind it, and the last all below.
        let (last, rest) = lines.split_last().unwrap();
        assert!(
            rest.iter().all(|line| line.ends_with("\x1b[K")),
            "{frame:?}"
        );
        assert!(last.contains("\x1b[K\x1b[J"), "{frame:?}");
    }
    let end = text.rfind(LEAVE).unwrap();
    assert!(text[..end].contains(SHOW_CURSOR) && text[..end].contains(WRAP));
    assert_eq!(&text[end..], LEAVE);
}

#[test]
fn a_resized_terminal_is_filled_and_ctrl_c_gives_it_back() {
    let (mut ours, theirs) = terminal(100, 30);
    let before = format!("{:?}", tcgetattr(ours.as_fd()).unwrap());
    let mut child = watch(theirs, &[]);
    let frames = |text: &str| text.matches(FRAME).count();
    let text = until(&mut ours, String::new(), |text| frames(text) > 1);
    size(&ours, 70, 8);
    // The next may have been begun before, and of the last not all may have come.
    let drawn = frames(&text);
    let text = until(&mut ours, text, |text| frames(text) > drawn + 2);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    // A program that waits for room on its terminal does not end.
    let reader = thread::spawn(move || {
        let text = until(&mut ours, text, |text| text.ends_with(LEAVE));
        (ours, text)
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (ours, text) = reader.join().unwrap();
    assert_eq!(format!("{:?}", tcgetattr(ours.as_fd()).unwrap()), before);
    let last = text.rsplit(FRAME).next().unwrap();
    assert!(last.split("\r\n").count() <= 8, "{last:?}");
    assert!(text.ends_with(LEAVE), "{text:?}");
}
