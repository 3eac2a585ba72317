//! Everything the kernel says about one of our own sockets, in one reading.

use std::os::fd::AsFd;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::{Endpoint, MemInfo, Queues, Result, TcpInfo, mptcp_info::bytes_acked, so_sndbuf};

/// One reading of one socket. Exact for a socket at rest; while it is busy the parts are moments
/// apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelReading {
    /// `CLOCK_MONOTONIC` just before the first question, ns: the clock of `bpf_ktime_get_ns`.
    pub clock_monotonic_ns: u64,
    /// Which socket.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// `SO_MEMINFO`.
    pub mem: MemInfo,
    /// `SO_SNDBUF` read back, bytes: equal to `mem.sndbuf`, by another path.
    pub so_sndbuf: i32,
    /// `SIOCOUTQ` and `SIOCOUTQNSD`.
    #[serde(flatten)]
    pub queues: Queues,
    /// `TCP_INFO`; absent for an MPTCP socket on a kernel that does not answer it there.
    pub tcp: Option<TcpInfo>,
    /// `mptcpi_bytes_acked` of `MPTCP_INFO`, bytes; absent for a TCP socket, and before 6.5.
    pub mptcp_acked: Option<u64>,
}

impl KernelReading {
    /// Asks `socket`, which is (or was, before a reset) `endpoint`.
    ///
    /// # Errors
    /// Where the kernel refuses, or answers otherwise than it should.
    pub fn read(socket: &impl AsFd, endpoint: &Endpoint) -> Result<Self> {
        let fd = socket.as_fd();
        let clock_monotonic_ns = monotonic_ns();
        // The lockless ones first: TCP_INFO's lock_sock/release_sock works off the backlog.
        let mem = MemInfo::read(fd)?;
        let queues = Queues::read(fd)?;
        let so_sndbuf = so_sndbuf(fd)?;
        let tcp = match TcpInfo::read(fd) {
            Ok(info) => Some(info),
            Err(error) if error.is_unsupported() => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            clock_monotonic_ns,
            endpoint: endpoint.clone(),
            mem,
            so_sndbuf,
            queues,
            tcp,
            mptcp_acked: bytes_acked(fd),
        })
    }
}

/// `CLOCK_MONOTONIC`, the clock of all records, in ns.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
