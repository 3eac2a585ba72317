//! JSON Schemas of what `--json` prints, made from the types that are printed.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::Snapshot;
use crate::decode::{
    Finding, Passed, Reading, Unread,
    several::{Since, Totals},
};

/// One socket of `skmem decode --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SocketJson {
    /// What was read
    #[serde(flatten)]
    pub socket: Reading,
    /// Application data in w, bytes
    pub payload: Option<i64>,
    /// w less payload, bytes
    pub skb_overhead: Option<i64>,
    /// Sent and not acknowledged, bytes
    pub in_flight: Option<i64>,
    /// What stands out, alarms first
    pub findings: Vec<Finding>,
    /// Line of the connection's other end, where that is in the input, too
    pub peer_line: Option<usize>,
    /// What changed since an earlier look at the same socket in the input
    pub since: Option<Since>,
}

/// What `skmem decode --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Decoded")]
pub struct DecodedJson {
    /// Version of this contract: 1
    pub schema: u32,
    /// TCP, MPTCP and UDP sockets, in their order
    pub sockets: Vec<SocketJson>,
    /// Sums over the sockets that are shown, of the last look at each where there are several
    pub totals: Totals,
    /// Sockets of other kinds, passed over
    pub others: usize,
    /// What could not be read
    pub unread: Vec<Unread>,
    /// Lines that are not part of a socket, or another program's
    pub passed: Vec<Passed>,
}

/// Of `skmem snapshot --json`.
#[must_use]
pub fn snapshot() -> Schema {
    schema_for!(Snapshot)
}

/// Of `skmem decode --json`.
#[must_use]
pub fn decode() -> Schema {
    schema_for!(DecodedJson)
}
