//! The end of a network: what was closed in it is on its way out for a moment more.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Netns, set_sysctl};
use crate::diag::{Protocol, TcpState, inet_diag};

/// How long that may take; a retransmission on a machine that is short of CPU comes seconds later.
const LAST_ACKS: Duration = Duration::from_secs(20);
/// Pause between two looks.
const EVERY: Duration = Duration::from_millis(20);

/// Waits until the sockets of both ends are gone, but for listeners. While both ends are there, a
/// FIN that was lost is sent again, and answered. A namespace ends with its last socket that is not
/// in TIME-WAIT; then nobody answers, and the kernel would send to nobody for a quarter of an hour
/// (`tcp_orphan_retries`). What is left when the time is up is given up soon.
pub(super) fn wait(ends: [&Netns; 2]) {
    let began = Instant::now();
    while ends.into_iter().any(has_sockets) {
        if began.elapsed() > LAST_ACKS {
            for end in ends {
                // It would only have been tidier.
                let _ = set_sysctl(end, "ipv4/tcp_orphan_retries", "1");
            }
            return;
        }
        thread::sleep(EVERY);
    }
}

/// Whether a socket there waits for the other end. None where the kernel does not tell.
fn has_sockets(netns: &Netns) -> bool {
    let mut found = false;
    let looked = netns.run(|| {
        inet_diag::dump(Protocol::Tcp, inet_diag::IN_USE, |socket| {
            found |= !matches!(socket.state, TcpState::Listen | TcpState::TimeWait);
        })?;
        Ok(())
    });
    looked.is_ok() && found
}
