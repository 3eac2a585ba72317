//! One look at all TCP sockets of the machine, without eBPF: who holds how much memory, in what
//! state, and whether the sum agrees with the kernel's own count.
//!
//! [`capture`] asks the kernel; all else is pure: [`row`] is one socket, [`account`] the sum,
//! [`order`], [`multipath`], [`group`] and [`delta`] arrange rows. [`Snapshot`] is what `--json`
//! prints, and `docs/snapshot.md` explains.

pub mod account;
pub mod capture;
pub mod delta;
pub mod findings;
pub mod group;
mod holders;
mod locks;
pub mod multipath;
pub mod order;
mod path;
pub mod probe;
mod reading;
mod record;
pub mod row;
pub mod schema;
mod subject;
mod unlisted;

pub use account::Account;
pub use row::Row;
use schemars::JsonSchema;
use serde::Serialize;

/// Version of the JSON contract.
pub const SCHEMA: u32 = 1;

/// All that one look found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Snapshot {
    /// Version of this contract: 1
    pub schema: u32,
    /// `uname -r`
    pub kernel: String,
    /// When the sockets were listed, ns since 1970
    pub realtime_ns: u64,
    /// How long listing them took, ns
    pub took_ns: u64,
    /// The whole machine's account, filters notwithstanding
    pub account: Account,
    /// Sockets that match, in the order asked for; absent with `--by`
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sockets: Option<Vec<Row>>,
    /// Groups of the sockets that match, with `--by`
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub groups: Option<Vec<group::Group>>,
    /// What a short trace found in the worst send and receive queues, with `--probe`
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probe: Option<probe::Probe>,
    /// What could not be seen, and why
    pub notes: Vec<String>,
}
