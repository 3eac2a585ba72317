//! Terminals of tests' own.

use std::{
    fs::File,
    os::fd::{FromRawFd as _, OwnedFd},
};

use rustix::termios::{Winsize, tcsetwinsize};

/// A terminal: our end, and that of the program.
pub fn terminal(columns: u16, rows: u16) -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: both point to an int; name, settings and size may be null.
    let opened = unsafe {
        libc::openpty(
            &raw mut ours,
            &raw mut theirs,
            std::ptr::null_mut(),
            std::ptr::null(),
            std::ptr::null(),
        )
    };
    assert_eq!(opened, 0);
    // SAFETY: openpty gave both just now, and nobody else owns them.
    let (ours, theirs) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    size(&ours, columns, rows);
    (ours, theirs)
}

/// Gives it another size.
pub fn size(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).unwrap();
}
