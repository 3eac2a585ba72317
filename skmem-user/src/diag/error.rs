//! What can go wrong when asking the kernel. Each error names its cause as `source`, not in its own
//! text: print the chain (`{:#}` of `anyhow`).

use std::{io, path::PathBuf};

/// Result of a question to the kernel.
pub type Result<T> = std::result::Result<T, DiagError>;

/// A question that the kernel did not answer, or answered in a form not understood.
#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    /// A socket option, ioctl or name query failed.
    #[error("cannot read {what} of a socket")]
    Socket {
        /// The option or request, by its kernel name.
        what: &'static str,
        /// The system call's error.
        source: io::Error,
    },
    /// The kernel wrote fewer bytes than the oldest supported kernel does.
    #[error("{what}: the kernel returned {got} bytes, at least {need} were expected")]
    Short {
        /// The option, by its kernel name.
        what: &'static str,
        /// Bytes returned.
        got: usize,
        /// Bytes that every supported kernel returns.
        need: usize,
    },
    /// A file under `/proc` could not be read.
    #[error("cannot read {} (is /proc mounted?)", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system call's error.
        source: io::Error,
    },
    /// A file under `/proc` did not hold what this module knows.
    #[error("{what} is not in the known format: {text:?}")]
    Format {
        /// The file or line, by name.
        what: &'static str,
        /// The text in question, shortened.
        text: String,
    },
}

impl DiagError {
    /// The last system call's error, about `what`.
    pub(crate) fn last_os(what: &'static str) -> Self {
        Self::Socket {
            what,
            source: io::Error::last_os_error(),
        }
    }

    /// A format error with at most one line of the text in question.
    pub(crate) fn format(what: &'static str, text: &str) -> Self {
        Self::Format {
            what,
            text: text.lines().next().unwrap_or("").chars().take(80).collect(),
        }
    }

    /// True when this kernel does not know the option, or has no module that answers.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Socket { source, .. } if matches!(
            source.raw_os_error(),
            Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::ENOTTY | libc::ENOENT)
        ))
    }
}
