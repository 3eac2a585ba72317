//! What the kernel itself reports about a socket and about TCP's memory, without any eBPF.
//!
//! Two uses: the tracer's own readings at the edges (`sockstat`, `tcp_mem`), and the *truth* that
//! demonstrations and tests hold against the traced account. Nothing here is inferred: each value
//! is one that a kernel function wrote, and its doc comment names that function.

pub mod account_sources;
pub mod cgroups;
mod empty_skb;
mod endpoint;
mod error;
pub mod inet_diag;
mod inet_diag_msg;
mod kernel_reading;
mod meminfo;
mod mptcp_info;
pub mod netns;
mod netstat;
pub mod owners;
pub mod path;
pub mod pods;
mod queues;
pub mod sleepers;
mod sockopt;
mod sockstat;
mod sysctl;
mod tcp_info;

pub use empty_skb::empty_skb;
pub use endpoint::{Endpoint, Family};
pub use error::{DiagError, Result};
pub use inet_diag_msg::{DiagSocket, Protocol, Timer, UpperLayer};
pub use kernel_reading::{KernelReading, monotonic_ns};
pub use meminfo::MemInfo;
pub use mptcp_info::MptcpInfo;
pub use netstat::{Counters, read as tcp_counters};
pub use queues::Queues;
pub use sockopt::{get_bytes, get_int, so_sndbuf, socket_cookie};
pub use sockstat::SockstatTcp;
pub use sysctl::{TcpMem, TcpWmem, notsent_lowat, tcp_mem, tcp_wmem, wmem_max};
pub use tcp_info::{TcpInfo, TcpState};
