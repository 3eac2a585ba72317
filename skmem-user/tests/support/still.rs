//! When nothing moves any more between a sender and its peer.

use std::{
    net::TcpStream,
    os::fd::AsFd as _,
    thread,
    time::{Duration, Instant},
};

use rustix::io::ioctl_fionread;
use skmem::diag::{MemInfo, Queues, TcpInfo};

/// Longer than it takes on a starved machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits until the window's first probe has come, before which nothing is sure to stand still, and
/// both ends are the same twice.
pub fn stand_still(client: &TcpStream, server: &TcpStream) {
    let started = Instant::now();
    let mut last = None;
    loop {
        thread::sleep(Duration::from_millis(200));
        let waits = TcpInfo::read(client.as_fd()).unwrap().awaits_probe();
        let now = (
            MemInfo::read(client.as_fd()).unwrap(),
            MemInfo::read(server.as_fd()).unwrap(),
            Queues::read(client.as_fd()).unwrap(),
            ioctl_fionread(server).unwrap(),
        );
        if !waits && last == Some(now) {
            return;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "it does not stand still (awaits a probe: {waits}): {last:?}, then {now:?}"
        );
        last = Some(now);
    }
}
