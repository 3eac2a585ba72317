//! What a verdict holds: the JSON contract, schema 1. `docs/json.md` says what
//! each field means; the two change together.

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::{
    cause::{Cause, LimitCause},
    output::Holder,
};

pub use super::named::{AnyCause, BlameFrom, CaState, Pacing};
use super::{
    chain::Step,
    named::{Named as _, by_name},
    window::Window,
};
use crate::model::timeline::WaitReason;

/// Version of the JSON form.
pub const SCHEMA: u32 = 1;

/// [`Socket::protocol`] of an MPTCP socket.
pub(crate) const MPTCP: &str = "mptcp";

/// What is known of one socket at one instant, and what follows from it.
/// Integers are bytes or ns unless they are counts.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Verdict {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `uname -r`.
    pub kernel: String,
    /// Whose socket.
    pub socket: Socket,
    /// Which instant the fields below are of.
    pub instant: Instant,
    /// When that was, in ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// The same in ns since 1970-01-01 UTC; None where it is not known.
    pub at_wall_ns: Option<u64>,
    /// When the account was read, on both clocks: their difference turns every
    /// other time into one of the wall clock. None where it is not known.
    pub clock: Option<Clock>,
    /// Whether the socket was ever over its limit.
    pub over_limit: bool,
    /// The worst `wmem_queued - sndbuf` seen, in bytes; 0: never over.
    pub worst_excess: i64,
    /// What the application gave to `SO_SNDBUF`; None where it did not.
    pub so_sndbuf: Option<i64>,
    /// That value was not seen but follows from `sndbuf` and its lock.
    pub so_sndbuf_inferred: bool,
    /// How `so_sndbuf` became `sndbuf`; None without `so_sndbuf`.
    pub doubling: Option<Doubling>,
    /// The steps from `so_sndbuf` to `sndbuf`; empty without `so_sndbuf`.
    pub limit_chain: Vec<ChainStep>,
    /// `sk_sndbuf`: the kernel's limit.
    pub sndbuf: i64,
    /// `SOCK_SNDBUF_LOCK`: the application set the limit, the kernel does not
    /// tune it.
    pub limit_locked: bool,
    /// `sk_wmem_queued`: truesize of all queued skbs.
    pub wmem_queued: i64,
    /// `write_seq - snd_una`.
    pub send_q: i64,
    /// Payload that the queued skbs hold, `untrimmed` included.
    pub payload: i64,
    /// `wmem_queued - payload`: skbs, and whole pages of `MSG_ZEROCOPY`.
    pub skb_overhead: i64,
    /// Truesize of an empty skb of this socket; None where none was seen.
    pub skb_truesize: Option<i64>,
    /// How many skbs `skb_overhead` is; None where it is no whole number.
    pub skbs: Option<i64>,
    /// Acknowledged bytes that the first skb still holds.
    pub untrimmed: i64,
    /// Sequence numbers in `send_q` that are a SYN or a FIN, not payload.
    pub syn_fin: i64,
    /// Bytes written and not sent yet.
    pub unsent: i64,
    /// `sk_forward_alloc`: charged to the socket, not used yet.
    pub forward_alloc: i64,
    /// `sk_wmem_alloc`: truesize of what is in qdisc and NIC.
    pub wmem_alloc: i64,
    /// Most payload that the send path puts into one skb.
    pub size_goal: i64,
    /// `mss_cache`.
    pub mss: i64,
    /// `gso_segs`: segments in `size_goal`.
    pub gso_segs: i64,
    /// `wmem_queued - sndbuf`.
    pub excess: i64,
    /// The last skb that passed the test before this instant.
    pub admission: Admission,
    /// What changed `wmem_queued` since, by cause, earliest first.
    pub causes: Vec<CauseSum>,
    /// What changed it since skmem saw the socket, by cause.
    pub ledger: Vec<CauseTotal>,
    /// The most recent changes of `sndbuf`, oldest first.
    pub limit_moves: Vec<LimitChange>,
    /// Changes of `sndbuf` that are too old to be in that list.
    pub limit_moves_omitted: u64,
    /// Payload that the kernel took from the application since skmem saw the
    /// socket, until its account was read, whatever the instant.
    pub taken: i64,
    /// Nothing has moved the queue since skmem first saw the socket.
    pub stuck: bool,
    /// Bytes that were named from the fields, no hook having seen them;
    /// growth and frees both count as positive.
    pub inferred: i64,
    /// Bytes that nothing names.
    pub unattributed: i64,
    /// How often that happened.
    pub unattributed_count: u64,
    /// Program runs that the kernel skipped, of all sockets together.
    pub skipped_runs: u64,
    /// What was asked of `__sk_mem_schedule` for this socket.
    pub memory: Memory,
    /// The receive side; None unless it was traced and something arrived.
    pub receive: Option<Receive>,
    /// How the sender was held up; None where it never was.
    pub blocked: Option<Blocked>,
    /// Who held the sender up; None where nobody did, or nothing says who.
    pub blame: Option<Blame>,
    /// Sleeps and refusals by who held the sender up, as the fields said when
    /// they began; the most frequent first.
    pub hold_ups: Vec<Held>,
    /// The kernel's clocks; None where they were not read, or nothing was to be
    /// sent.
    pub clocks: Option<Clocks>,
    /// What decides when queued bytes leave, at the instants that matter.
    pub output: Outputs,
    /// The peer's window.
    pub peer_window: PeerWindow,
    /// Records of this socket that found the ring full.
    pub lost_events: u64,
    /// Nothing of the socket's history is missing.
    pub complete: bool,
    /// What is, where something is.
    pub incomplete_because: Vec<String>,
    /// Whether the account proves itself.
    pub self_check: SelfCheck,
    /// What the causes that matter are, the largest first; empty where the
    /// limit is kept.
    pub explanation: Vec<Why>,
    /// What can be done, most useful first.
    pub advice: Vec<Advice>,
    /// What is often said to help here and does not.
    pub not_helpful: Vec<Advice>,
}

/// Which instant a verdict speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instant {
    /// The worst excess over the limit.
    Worst,
    /// The last call that was seen.
    Last,
}

/// The same instant on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Clock {
    /// ns of `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// ns of `CLOCK_REALTIME`, since 1970-01-01 UTC.
    pub wall_ns: u64,
}

/// Whose socket.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Socket {
    /// The kernel's socket cookie; None where the kernel does not tell it.
    pub cookie: Option<u64>,
    /// The cookie, or skmem's own number for the socket.
    pub id: u64,
    /// Process that used it first under skmem's eyes.
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
    /// The systemd unit that it is of, where it is no container.
    pub unit: Option<String>,
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

/// From `SO_SNDBUF` to `sk_sndbuf`: `max(2 * min(value, wmem_max), minimum)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Doubling {
    /// What was doubled: the value, or `net.core.wmem_max` where that is less.
    pub honoured: i64,
    /// It is `net.core.wmem_max`.
    pub clamped: bool,
    /// Set with `SO_SNDBUFFORCE`, which `wmem_max` does not clamp.
    pub forced: bool,
    /// What the kernel's minimum added after doubling.
    pub raised: i64,
}

/// A step from `SO_SNDBUF` to `sk_sndbuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ChainStep {
    /// Its name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: Step,
    /// Before.
    pub from: i64,
    /// After.
    pub to: i64,
}

/// The last time that a new skb passed the send path's one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Admission {
    /// ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// `sk_wmem_queued` before it joined.
    pub wmem_queued: i64,
    /// `sk_sndbuf` that it was tested against.
    pub sndbuf: i64,
    /// Admissions so far; 0: none, this is skmem's first sight.
    pub count: u64,
}

/// One cause since the admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct CauseSum {
    /// Its name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: Cause,
    /// Bytes of `wmem_queued`; frees are negative.
    pub bytes: i64,
    /// How many times.
    pub count: u64,
    /// When first, in ns of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
    /// The part of `bytes` that was inferred from the fields.
    pub inferred: i64,
}

/// One cause since first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct CauseTotal {
    /// Its name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: Cause,
    /// Bytes of `wmem_queued`; frees are negative.
    pub bytes: i64,
    /// How many times.
    pub count: u64,
    /// The part of `bytes` that was inferred from the fields.
    pub inferred: i64,
}

/// One change of `sk_sndbuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct LimitChange {
    /// ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Before.
    pub from: i64,
    /// After.
    pub to: i64,
    /// Its cause's name; `unknown`: one of a newer skmem.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: Option<LimitCause>,
    /// It happened between the admission and the instant.
    pub since_admission: bool,
}

/// How the sender was held up, until skmem read the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Blocked {
    /// What held it up most often: `limit`, `memory` or `notsent_lowat`.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub on: WaitReason,
    /// Sleeps that have ended.
    pub waits: u64,
    /// Threads asleep now.
    pub asleep: u64,
    /// Times that a non-blocking sender got `EAGAIN`.
    pub refusals: u64,
    /// Times that it got a short write: part of its data was taken.
    pub short_writes: u64,
    /// Time slept, the present sleep included, in ns.
    pub total_ns: u64,
    /// The longest sleep, likewise, in ns.
    pub longest_ns: u64,
    /// Start of the present sleep; None where nobody sleeps.
    pub since_ns: Option<u64>,
    /// How long the present sleep has lasted, in ns; 0 where nobody sleeps.
    pub asleep_ns: u64,
    /// The sender is held up now; None: it is not, or nothing shows it.
    pub now: Option<HeldNow>,
    /// Times by reason.
    pub reasons: Reasons,
    /// `notsent_lowat` was told from `memory` by the sysctl and by the lack of
    /// refusals.
    pub lowat_inferred: bool,
}

/// A sender that is held up now: asleep in `send()`, or turned away and waiting
/// in `poll()` for `POLLOUT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct HeldNow {
    /// It sleeps in `send()`; else it waits for `POLLOUT`.
    pub asleep: bool,
    /// Since when, in ns of `CLOCK_MONOTONIC`.
    pub since_ns: u64,
    /// How sure that is.
    pub since_is: SinceIs,
    /// How long that is, in ns.
    pub for_ns: u64,
    /// What the kernel withholds from it.
    pub withheld: Option<Withheld>,
    /// `sk_wmem_queued` now.
    pub wmem_queued: i64,
    /// `sk_sndbuf` now.
    pub sndbuf: i64,
    /// The most `wmem_queued` with which the kernel wakes it and reports
    /// `POLLOUT`: about two thirds of `sndbuf`.
    pub wakes_at: i64,
}

/// How sure the start of a wait is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinceIs {
    /// It was seen.
    Exact,
    /// It waited already when skmem first saw the socket.
    AtLeast,
    /// It began to wait some time after this, its last write.
    AtMost,
}

/// What the kernel withholds from a sender that is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Withheld {
    /// `send()` would not take a byte.
    Send,
    /// `send()` would take bytes (`wmem_queued` is below `sndbuf`), but a sleeping
    /// sender is not woken, and `poll()` does not report `POLLOUT`.
    WakeUp,
}

/// Sleeps and refusals by who held the sender up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Held {
    /// A [`skmem_common::output::Holder`]'s name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub holder: Holder,
    /// How often.
    pub count: u64,
}

/// Who held the sender up.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Blame {
    /// A [`skmem_common::output::Holder`]'s name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub holder: Holder,
    /// What it follows from: `now` (the fields at the end, which will not
    /// change by themselves soon), `clocks` (half of the time or more),
    /// `hold-ups` (most of them), `worst` or `last` (the fields at that
    /// instant), `window` (the peer's window alone).
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub from: BlameFrom,
    /// In words.
    pub sentence: String,
}

/// The kernel's own clocks (`chrono_stat` of `struct tcp_sock`), from skmem's
/// first sight of the socket on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Clocks {
    /// Time with data to send or to be acknowledged, in ns.
    pub busy_ns: u64,
    /// Of it, time that the peer's window limited, in ns.
    pub rwnd_limited_ns: u64,
    /// Of it, time that the send buffer limited, in ns.
    pub sndbuf_limited_ns: u64,
}

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
    /// `sk_max_pacing_rate` likewise.
    pub max_pacing_rate: Option<u64>,
    /// Until pacing lets the next segment go, in ns.
    pub pacing_wait_ns: u64,
    /// `TSQ_THROTTLED`.
    pub tsq_throttled: bool,
    /// `sk_wmem_alloc` less its bias of 1.
    pub wmem_alloc: i64,
}

/// `sk_forward_alloc`'s side: memory that the socket was granted, which is no
/// byte of `wmem_queued` by itself. Counts since skmem saw the socket, up to
/// when the account was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Memory {
    /// Calls of `__sk_mem_schedule(SK_MEM_SEND)` that were granted.
    pub granted: u64,
    /// What they added to `sk_forward_alloc`.
    pub granted_bytes: u64,
    /// Of those, granted over `tcp_mem[2]` (the suppress branch).
    pub granted_over_tcp_mem: u64,
    /// Of those, granted though the memory cgroup had refused.
    pub granted_over_memcg: u64,
    /// Calls that were refused (`sock_exceed_buf_limit`).
    pub refused: u64,
    /// Of those, over `tcp_mem[2]`; the others by the memory cgroup or as more
    /// than the socket's share under pressure.
    pub refused_over_tcp_mem: u64,
    /// Messages of a layer above TCP that were charged before they are in
    /// `wmem_queued` (`sk_msg_alloc`: kTLS records, sockmap).
    pub messages: u64,
    /// The largest of them.
    pub largest_message: u64,
}

/// The receive side of the socket (`--rx`), when the account was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Receive {
    /// `rcv_nxt - copied_seq`: received and not read.
    pub recv_q: i64,
    /// `sk_rmem_alloc`, truesize: unread data, skbs read in part, out-of-order
    /// data, the error queue; `r` in `ss -m`.
    pub rmem_alloc: i64,
    /// `sk_rcvbuf`: its limit; `rb`.
    pub rcvbuf: i64,
    /// `sk_backlog.len`: truesize of packets that wait for the socket's owner;
    /// `bl`.
    pub backlog: i64,
    /// What is left of the window offered to the peer.
    pub window: i64,
    /// Times that it fell to 0.
    pub zero_windows: u64,
    /// The largest `rmem_alloc`.
    pub fullest_rmem_alloc: i64,
    /// `sk_rcvbuf` then.
    pub fullest_rcvbuf: i64,
    /// Recv-Q then.
    pub fullest_recv_q: i64,
    /// When that was, in ns of `CLOCK_MONOTONIC`.
    pub fullest_ns: u64,
    /// Segments that arrived (`tcp_queue_rcv`).
    pub segments: u64,
    /// Times that the application took data (`tcp_rcv_space_adjust`).
    pub reads: u64,
    /// Since the last one, in ns; None where there was none.
    pub since_read_ns: Option<u64>,
    /// How long what is unread has waited without any read, in ns; 0 where
    /// nothing waits.
    pub unread_ns: u64,
    /// The longest such time, the present one included, in ns.
    pub longest_unread_ns: u64,
    /// `__sk_mem_schedule(SK_MEM_RECV)`: calls granted.
    pub granted: u64,
    /// What they added to `sk_forward_alloc`.
    pub granted_bytes: u64,
    /// Calls refused: what arrived was dropped.
    pub refused: u64,
    /// The peer is held up by this reader: what arrived has waited long, or
    /// the window has been shut.
    pub slow: bool,
    /// Where the limit of the receive buffer went at the end of the trace; None
    /// where it was not read: of a recording, of a closed socket, of one that has
    /// no cookie (5.10).
    pub buffer: Option<Window>,
}

/// Sleeps, refusals and short writes by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Reasons {
    /// `wmem_queued` had reached `sndbuf`.
    pub limit: u64,
    /// Under the limit, but memory was refused.
    pub memory: u64,
    /// Under the limit, but unsent bytes had reached `TCP_NOTSENT_LOWAT`.
    pub notsent_lowat: u64,
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

/// Whether the account proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct SelfCheck {
    /// `excess` is unused room, limit moves and causes, to the byte.
    pub excess_closes: bool,
    /// `ledger` sums to `wmem_queued`, to the byte.
    pub ledger_closes: bool,
    /// The other fields were read at the same instant as `wmem_queued`.
    pub fields_match: bool,
    /// Replay of the records gives the kernel's account; None: not compared.
    pub stream_agrees: Option<bool>,
    /// All memory charged to the socket, `wmem_queued + rmem_alloc +
    /// forward_alloc`, was a whole number of pages whenever it was looked at;
    /// None: never looked at, or it does not apply (`MSG_ZEROCOPY`, kTLS,
    /// MPTCP charge otherwise).
    pub pages_close: Option<bool>,
}

/// What a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Why {
    /// Its name.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: AnyCause,
    /// What happens in the kernel.
    pub sentence: &'static str,
    /// The kernel function that does it.
    pub function: &'static str,
    /// On which kernels.
    pub versions: &'static str,
}

/// What can be done, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Advice {
    /// The cause that justifies it.
    #[serde(serialize_with = "by_name")]
    #[schemars(with = "String")]
    pub cause: AnyCause,
    /// What to do.
    pub advice: String,
    /// What that costs.
    pub price: String,
    /// How it is known.
    pub evidence: &'static str,
    /// The command that tries it; None where it was not tried.
    pub reproduce: Option<&'static str>,
}

impl LimitChange {
    /// The name of its cause; `unknown`: one of a newer skmem.
    #[must_use]
    pub fn cause_name(&self) -> &'static str {
        self.cause.name()
    }
}

impl Verdict {
    /// Its receive side was traced, and nothing was sent.
    #[must_use]
    pub fn only_receives(&self) -> bool {
        self.receive.is_some()
            && !self.over_limit
            && self.blocked.is_none()
            && (self.taken, self.wmem_queued) == (0, 0)
    }

    /// Bytes under `cause` since the admission.
    #[must_use]
    pub fn cause(&self, cause: Cause) -> i64 {
        let found = self.causes.iter().find(|c| c.cause == cause);
        found.map_or(0, |c| c.bytes)
    }

    /// Bytes under `cause` since first sight.
    #[must_use]
    pub fn cause_total(&self, cause: Cause) -> i64 {
        let found = self.ledger.iter().find(|c| c.cause == cause);
        found.map_or(0, |c| c.bytes)
    }

    /// Whether `step` led to the limit.
    #[must_use]
    pub fn took(&self, step: Step) -> bool {
        self.limit_chain.iter().any(|s| s.cause == step)
    }

    /// Whether all that is queued was there at first sight and no call has
    /// touched it in all the time since: nothing but the socket's fields is
    /// known then.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Whether a sender has been held up for at least so long, in ns, until the
    /// account was read.
    #[must_use]
    pub fn held_up_for(&self, ns: u64) -> bool {
        let now = self.blocked.and_then(|b| b.now);
        now.is_some_and(|n| n.since_is != SinceIs::AtMost && n.for_ns >= ns)
    }

    /// How far the limit's moves since the admission pushed the excess up.
    #[must_use]
    pub fn limit_moved(&self) -> i64 {
        self.admission.sndbuf - self.sndbuf
    }

    /// It is an MPTCP socket: what is queued are data fragments, not skbs.
    #[must_use]
    pub fn is_mptcp(&self) -> bool {
        self.socket.protocol == MPTCP
    }

    /// Room that was left at the admission, as a part of the excess: negative.
    #[must_use]
    pub fn room(&self) -> i64 {
        self.admission.wmem_queued - self.admission.sndbuf
    }
}
