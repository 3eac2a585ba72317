//! What a verdict holds: the JSON contract, schema 1. `docs/json.md` says what
//! each field means; the two change together.

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::cause::Cause;

pub use super::named::{AnyCause, BlameFrom, CaState, Pacing};
use super::{chain::Step, named::by_name};

mod blocked;
mod limit;
mod memory;
mod output;
mod socket;

pub use blocked::{Blame, Blocked, Clocks, Held, HeldNow, Reasons, SinceIs, Withheld};
pub use limit::{ChainStep, Doubling, LimitChange};
pub use memory::{HookSet, Memory, Receive};
pub use output::{OutputState, Outputs, PeerWindow};
pub use socket::Socket;

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
    /// How many skbs `skb_overhead` is; None where it is not a whole number.
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
    /// The hooks that the account was kept by.
    pub hooks: HookSet,
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

/// The last time that a new skb passed the send path's one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Admission {
    /// ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// `sk_wmem_queued` before it joined.
    pub wmem_queued: i64,
    /// `sk_sndbuf` that it was tested against.
    pub sndbuf: i64,
    /// Admissions so far; 0: none, the fields are from when skmem first saw the socket.
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

/// One cause since skmem first saw the socket.
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
    pub evidence: String,
    /// The command that tries it; None where it was not tried.
    pub reproduce: Option<&'static str>,
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

    /// The most that the receive buffer held (`sk_rmem_alloc`, bytes) where its reader or its error
    /// queue holds the peer up; None where neither does.
    #[must_use]
    pub fn held_by_reader(&self) -> Option<i64> {
        let receive = self.receive.as_ref().filter(|r| r.holds_peer_up());
        receive.map(|r| r.fullest_rmem_alloc)
    }

    /// Bytes under `cause` since the admission.
    #[must_use]
    pub fn cause(&self, cause: Cause) -> i64 {
        let found = self.causes.iter().find(|c| c.cause == cause);
        found.map_or(0, |c| c.bytes)
    }

    /// Bytes under `cause` since skmem first saw the socket.
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

    /// Whether all queued bytes were there when skmem first saw the socket, and no call has touched
    /// them since: only the socket's fields are known then.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Whether a sender was held up when the account was read, and had been for at least `ns`.
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
