//! What decides when queued bytes leave.

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::output::Holder;

use super::{CaState, Pacing, by_name};

/// What decides when queued bytes leave, at the instants that matter; None
/// where it was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Outputs {
    /// At the worst excess.
    pub worst: Option<OutputState>,
    /// When the sender was last held up.
    pub held: Option<OutputState>,
    /// At the end.
    pub last: Option<OutputState>,
}

/// What `tcp_write_xmit` looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct OutputState {
    /// When it was read, in ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// What stopped unsent bytes; `nobody`: nothing that the fields show.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub stopped_by: Holder,
    /// `write_seq - snd_nxt`.
    pub unsent: i64,
    /// `snd_nxt - snd_una`.
    pub in_flight: i64,
    /// `snd_wnd`.
    pub snd_wnd: i64,
    /// `mss_cache`.
    pub mss: i64,
    /// `snd_cwnd`, in segments.
    pub cwnd: i64,
    /// `snd_ssthresh`, in segments; None: none yet.
    pub ssthresh: Option<i64>,
    /// `tcp_packets_in_flight`, in segments.
    pub packets_in_flight: i64,
    /// `lost_out`, in segments.
    pub lost_out: i64,
    /// `retrans_out`, in segments.
    pub retrans_out: i64,
    /// `total_retrans`: segments sent again, in all.
    pub total_retrans: i64,
    /// `srtt_us`, in ns.
    pub srtt_ns: u64,
    /// Since the last ACK came, in ns.
    pub since_ack_ns: u64,
    /// Since data was last sent or sent again, in ns.
    pub since_sent_ns: u64,
    /// `icsk_rto`, in ns.
    pub rto_ns: u64,
    /// `icsk_retransmits`: timeouts in a row.
    pub retransmits: i64,
    /// `icsk_backoff`.
    pub backoff: i64,
    /// `icsk_probes_out`: window probes without an answer.
    pub probes_out: i64,
    /// `icsk_ca_state`: `open`, `disorder`, `cwr`, `recovery` or `loss`.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub ca_state: CaState,
    /// Who paces: `none`, `tcp` or `fq`.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub pacing: Pacing,
    /// `sk_pacing_rate`, in bytes a second; None: no rate.
    pub pacing_rate: Option<u64>,
    /// `sk_max_pacing_rate`, in bytes a second; None: no limit.
    pub max_pacing_rate: Option<u64>,
    /// Until pacing lets the next segment go, in ns.
    pub pacing_wait_ns: u64,
    /// `TSQ_THROTTLED`.
    pub tsq_throttled: bool,
    /// `sk_wmem_alloc` less its bias of 1.
    pub wmem_alloc: i64,
}

/// The peer's window: how much more it lets us send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct PeerWindow {
    /// `snd_wnd` at the instant.
    pub bytes: i64,
    /// What was in flight of it: `snd_nxt - snd_una`.
    pub in_flight: i64,
    /// `snd_wnd` at the last call that made a record.
    pub last_bytes: i64,
    /// What was in flight of it then.
    pub last_in_flight: i64,
    /// The last one had no room for one more segment, and bytes waited.
    pub closed: bool,
}
