//! What is told while recording.

use std::{fs, io::Read as _, os::fd::FromRawFd as _};

use libtest_mimic::Failed;

use super::{Ended, Room, record, text};
use crate::{check::Check, sender};

/// The line on a terminal.
pub(super) fn progress() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("progress")?;
    let file = room.file("run.skm");
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize {
        ws_row: 24,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the numbers and the size outlive the call; the other pointers may be null.
    let result = unsafe {
        libc::openpty(
            &raw mut ours,
            &raw mut theirs,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &raw const size,
        )
    };
    if result != 0 {
        return Err(format!("no terminal: {}", std::io::Error::last_os_error()).into());
    }
    // SAFETY: openpty has made them, and nobody else closes them.
    let (mut ours, theirs) =
        unsafe { (fs::File::from_raw_fd(ours), fs::File::from_raw_fd(theirs)) };
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
