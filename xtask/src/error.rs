//! How a failure is reported: one line (what, why, what to do about it), and an exit code.

use std::{fmt, io, process::ExitCode};

use crate::process::DISK_FULL;

/// The command line asks for something that does not exist or makes no sense.
pub(crate) const USAGE: u8 = 2;
/// The VM failed, not the command in it: it did not boot, panicked, or was stopped at its time
/// limit.
pub(crate) const VM: u8 = 125;
/// Ctrl-C, as shells have it: 128 + SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;
/// The reader of the output closed it, as shells have it: 128 + SIGPIPE.
pub(crate) const OUTPUT_CLOSED: u8 = 141;

/// An error with an exit code of its own; all others are plain failures, code 1.
#[derive(Debug)]
pub(crate) struct Coded {
    code: u8,
    message: String,
}

impl fmt::Display for Coded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Coded {}

/// An error in what the user asked for.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Coded {
        code: USAGE,
        message: message.into(),
    }
    .into()
}

/// A failure of the VM itself.
pub(crate) fn vm(message: impl Into<String>) -> anyhow::Error {
    Coded {
        code: VM,
        message: message.into(),
    }
    .into()
}

/// The user stopped us.
pub(crate) fn interrupted() -> anyhow::Error {
    Coded {
        code: INTERRUPTED,
        message: "interrupted".into(),
    }
    .into()
}

/// The reader of our output has gone. As other programs of a pipeline do, we end silently.
pub(crate) fn output_closed() -> anyhow::Error {
    Coded {
        code: OUTPUT_CLOSED,
        message: String::new(),
    }
    .into()
}

/// Prints the failure, and says with which code to leave.
pub(crate) fn report(failure: &anyhow::Error) -> ExitCode {
    let code = failure
        .chain()
        .find_map(|cause| cause.downcast_ref::<Coded>())
        .map_or(1, |coded| coded.code);
    if code != OUTPUT_CLOSED {
        eprintln!("error: {}", one_line(failure));
    }
    ExitCode::from(code)
}

fn one_line(failure: &anyhow::Error) -> String {
    let mut line = format!("{failure:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    if is_disk_full(failure) {
        line.push_str(": make room there");
        if line.contains(".tools") || line.contains("target") {
            line.push_str(" (`.tools/` and `target/` hold nothing that cannot be made again)");
        }
    }
    line
}

fn is_disk_full(failure: &anyhow::Error) -> bool {
    failure.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
            || cause.to_string().contains(DISK_FULL)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_failure_is_one_line_whatever_its_causes_hold() {
        let failure = anyhow::anyhow!("first\n  second").context("outer");
        assert_eq!(one_line(&failure), "outer: first second");
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let failure = Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull))
            .context("cannot write x")
            .unwrap_err();
        assert!(
            one_line(&failure).contains("make room"),
            "{}",
            one_line(&failure)
        );
        assert!(is_disk_full(&anyhow::anyhow!(
            "dpkg-deb: error: No space left on device"
        )));
    }
}
