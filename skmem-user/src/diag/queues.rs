//! The two queue lengths that TCP answers by ioctl.

use std::os::fd::{AsRawFd, BorrowedFd};

use serde::{Deserialize, Serialize};

use super::{DiagError, Result};

/// `SIOCOUTQNSD` (linux/sockios.h): bytes not sent yet.
const SIOCOUTQNSD: libc::Ioctl = 0x894B;

/// Bytes in the send queue, in sequence space (`tcp_ioctl`; the kernel takes no lock for them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queues {
    /// `SIOCOUTQ`: `write_seq - snd_una`, the Send-Q of `ss`. A SYN or FIN counts one; 0 while
    /// connecting.
    pub outq: i32,
    /// `SIOCOUTQNSD`: `write_seq - snd_nxt`, the part never sent.
    pub outq_nsd: i32,
}

impl Queues {
    /// Asks a socket that is not listening (`tcp_ioctl` refuses listeners with EINVAL).
    ///
    /// # Errors
    /// Where the kernel refuses, or answers otherwise than it should.
    pub fn read(fd: BorrowedFd<'_>) -> Result<Self> {
        Ok(Self {
            outq: ioctl_int(fd, libc::TIOCOUTQ, "SIOCOUTQ")?,
            outq_nsd: ioctl_int(fd, SIOCOUTQNSD, "SIOCOUTQNSD")?,
        })
    }
}

/// An ioctl that writes one int. `SIOCOUTQ` shares `TIOCOUTQ`'s number.
fn ioctl_int(fd: BorrowedFd<'_>, request: libc::Ioctl, what: &'static str) -> Result<i32> {
    let mut value: libc::c_int = 0;
    // SAFETY: both requests write one int to the pointer, which is live.
    let rc = unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut value) };
    if rc != 0 {
        return Err(DiagError::last_os(what));
    }
    Ok(value)
}
