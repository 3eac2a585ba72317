//! What the kernel complains about while the command runs.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
};

use anyhow::{Context, Result};
use nix::{errno::Errno, fcntl::OFlag};

/// Messages that a healthy kernel never prints, whatever provoked them.
const COMPLAINTS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "Oops",
    "INFO: task",
    "INFO: rcu",
    "rcu: INFO:",
    "general protection fault",
    "UBSAN:",
    "refcount_t:",
    "possible recursive locking",
];

/// More than these say nothing new, and the control port is no place for a flood.
const MOST_LINES: usize = 20;

/// The kernel's log from one moment on.
pub(crate) struct Watch(File);

impl Watch {
    /// Starts after the last message printed so far.
    pub(crate) fn from_now() -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open("/dev/kmsg")
            .context("cannot open /dev/kmsg")?;
        file.seek(SeekFrom::End(0))
            .context("cannot find the end of /dev/kmsg")?;
        Ok(Self(file))
    }

    /// The complaints printed since then.
    pub(crate) fn warnings(mut self) -> Vec<String> {
        let mut found = Vec::new();
        // One read is one record; 8 KiB hold any (the kernel cuts records at about 1 KiB).
        let mut record = [0; 8192];
        while found.len() < MOST_LINES {
            match self.0.read(&mut record) {
                Ok(0) => break,
                Ok(length) => found.extend(complaint(&String::from_utf8_lossy(&record[..length]))),
                // Old records were overwritten before they were read: go on with the oldest that is
                // left.
                Err(error) if error.raw_os_error() == Some(Errno::EPIPE as i32) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // EAGAIN: that was the last one.
                Err(_) => break,
            }
        }
        found
    }
}

/// The text of a `/dev/kmsg` record (`priority,sequence,time,flags;text`, then lines of
/// properties), if it complains.
fn complaint(record: &str) -> Option<String> {
    let (prefix, rest) = record.split_once(';')?;
    let text = rest.lines().next()?;
    // The facility is what is left of the low three bits: 0 is the kernel's own, others come from
    // user space.
    let priority: u32 = prefix.split(',').next()?.parse().ok()?;
    (priority >> 3 == 0 && COMPLAINTS.iter().any(|pattern| text.contains(pattern)))
        .then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn a_kernel_warning_is_found_and_its_text_kept() {
        let record = "4,812,5123456,-;WARNING: CPU: 0 PID: 77 at net/core/stream.c:208 sk_stream_kill_queues\n SUBSYSTEM=net\n";
        assert_eq!(
            complaint(record).as_deref(),
            Some("WARNING: CPU: 0 PID: 77 at net/core/stream.c:208 sk_stream_kill_queues")
        );
    }

    #[test]
    fn ordinary_lines_and_user_space_lines_are_not_complaints() {
        assert_eq!(complaint("6,1,2,-;veth0: link becomes ready\n"), None);
        assert_eq!(
            complaint("12,1,2,-;WARNING: a program wrote this to /dev/kmsg\n"),
            None
        );
        assert_eq!(complaint("garbage"), None);
    }
}
