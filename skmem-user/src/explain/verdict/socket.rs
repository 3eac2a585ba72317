//! Whose socket.

use schemars::JsonSchema;
use serde::Serialize;

/// Whose socket.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Socket {
    /// The kernel's socket cookie; None where the kernel does not tell it.
    pub cookie: Option<u64>,
    /// The cookie, or skmem's own number for the socket.
    pub id: u64,
    /// Process whose call on the socket skmem saw first.
    pub pid: u32,
    /// Its command name, as the kernel has it.
    pub comm: String,
    /// `inet` or `inet6`.
    pub family: &'static str,
    /// Local address.
    pub src: String,
    /// Local port.
    pub sport: u16,
    /// Remote address.
    pub dst: String,
    /// Remote port.
    pub dport: u16,
    /// `tcp`, or `mptcp`: what the application holds, above subflows that are TCP.
    pub protocol: &'static str,
    /// Of an MPTCP socket: the connection's token; None where it is not known.
    pub mptcp_token: Option<u32>,
    /// Of a subflow: `id` of its MPTCP socket, where that is traced.
    pub mptcp_socket: Option<u64>,
    /// Inode of the network namespace.
    pub netns: u32,
    /// Its name, where `ip netns` gave it one.
    pub netns_name: Option<String>,
    /// The cgroup in which the socket was made (or that of its process, where it
    /// is older than skmem): its path below the root of cgroup v2.
    pub cgroup: Option<String>,
    /// The container that this cgroup is of: its id, or its name.
    pub container: Option<String>,
    /// The systemd unit that it is of, where it is not a container.
    pub unit: Option<String>,
    /// The Kubernetes pod of that container, as the logs on this machine name it; None also where
    /// they do not, and in a recording.
    pub pod: Option<String>,
    /// Kubernetes' namespace of that pod.
    pub namespace: Option<String>,
    /// The container's name in that pod.
    pub container_name: Option<String>,
    /// The connection's state at the instant, as `ss` calls it.
    pub state: &'static str,
    /// When skmem first saw it, in ns of `CLOCK_MONOTONIC`.
    pub seen_ns: u64,
    /// The same in ns since 1970-01-01 UTC; None where it is not known.
    pub seen_wall_ns: Option<u64>,
    /// It was in use before.
    pub older: bool,
    /// The kernel has destroyed it.
    pub closed: bool,
}
