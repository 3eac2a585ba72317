//! What is printed while recording.

use std::io::Read as _;

use libtest_mimic::Failed;

use super::{Ended, Room, record, text};
use crate::{check::Check, sender, terminal::terminal};

/// The line on a terminal.
pub(super) fn progress() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("progress")?;
    let file = room.file("run.skm");
    let (mut ours, theirs) = terminal(100, 24);
    let mut command = record(&["-o", text(&file)], &format!("{}3", sender::BULK))?;
    let child = command.env("TERM", "linux").stderr(theirs).spawn()?;
    // Its end of the terminal: while we have it too, ours has no end.
    drop(command);
    let mut child = Ended(child);
    let mut said = Vec::new();
    // A terminal ends with an error (EIO).
    let _ = ours.read_to_end(&mut said);
    let status = child.0.wait()?;
    check.equal("exit status", status.code(), Some(sender::CODE.into()));
    let said = String::from_utf8_lossy(&said);
    for word in [
        "recording: ",
        " events, ",
        " lost, 1 socket; Ctrl-C",
        "bytes an event",
    ] {
        check.that(said.contains(word), || format!("no {word:?} in {said:?}"));
    }
    eprintln!("tests: on a terminal: {said:?}");
    check.done()
}
