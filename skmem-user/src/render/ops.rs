//! A record's ledger operations and numbers, decoded: what lines and JSON
//! share.

use schemars::JsonSchema;
use skmem_common::{
    cause::{Cause, LimitCause, Tier},
    hook::Hook,
    record::{
        Event, FLAG_ENTRY, FLAG_LOCKLESS, FLAG_STEP, FLAG_TASK, OP_ADMIT, OP_BOOK, OP_LIMIT, OPS,
        Op,
    },
};

use super::put::Put;

/// One operation, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub(super) enum Decoded {
    /// `bytes` of `wmem_queued` booked.
    Book {
        /// Name of the cause
        cause: &'static str,
        /// Bytes of `wmem_queued`; frees are negative
        bytes: i32,
        /// `observed` or `inferred`
        tier: &'static str,
    },
    /// An skb was admitted, tested against `sndbuf`.
    Admit {
        /// `sk_sndbuf`, bytes
        sndbuf: i32,
    },
    /// The limit moved to `sndbuf`.
    Limit {
        /// Name of the cause
        cause: &'static str,
        /// `sk_sndbuf`, bytes
        sndbuf: i32,
        /// `observed` or `inferred`
        tier: &'static str,
    },
    /// Of a newer skmem.
    Unknown {
        /// Which kind of call; see docs/json.md
        kind: u8,
        /// Name of the cause
        cause: u8,
        /// Its value
        value: i32,
    },
}

impl Put for Decoded {
    fn put(&self, out: &mut Vec<u8>) {
        let mut begin = |op: &str| {
            out.extend_from_slice(b"{\"op\":\"");
            out.extend_from_slice(op.as_bytes());
            out.push(b'"');
        };
        match self {
            Self::Book { cause, bytes, tier } => {
                begin("book");
                member(out, "cause", cause);
                member(out, "bytes", bytes);
                member(out, "tier", tier);
            }
            Self::Admit { sndbuf } => {
                begin("admit");
                member(out, "sndbuf", sndbuf);
            }
            Self::Limit {
                cause,
                sndbuf,
                tier,
            } => {
                begin("limit");
                member(out, "cause", cause);
                member(out, "sndbuf", sndbuf);
                member(out, "tier", tier);
            }
            Self::Unknown { kind, cause, value } => {
                begin("unknown");
                member(out, "kind", kind);
                member(out, "cause", cause);
                member(out, "value", value);
            }
        }
        out.push(b'}');
    }
}

fn member(out: &mut Vec<u8>, name: &str, value: &impl Put) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    value.put(out);
}

/// The operations of `event`, as many as its header says it has.
pub(super) fn decoded(event: &Event) -> impl Iterator<Item = Decoded> + '_ {
    let used = usize::from(event.header.ops).min(OPS);
    event.ops[..used].iter().map(decode)
}

fn decode(op: &Op) -> Decoded {
    let tier = if op.tier == Tier::Inferred as u8 {
        "inferred"
    } else {
        "observed"
    };
    let unknown = Decoded::Unknown {
        kind: op.kind,
        cause: op.cause,
        value: op.value,
    };
    match op.kind {
        OP_BOOK => Cause::from_u8(op.cause).map_or(unknown, |cause| Decoded::Book {
            cause: cause.name(),
            bytes: op.value,
            tier,
        }),
        OP_ADMIT => Decoded::Admit { sndbuf: op.value },
        OP_LIMIT => LimitCause::from_u8(op.cause).map_or(unknown, |cause| Decoded::Limit {
            cause: cause.name(),
            sndbuf: op.value,
            tier,
        }),
        _ => unknown,
    }
}

/// The hook's name; `unknown` for one of a newer skmem.
pub(super) fn hook_name(hook: u8) -> &'static str {
    Hook::from_u8(hook).map_or("unknown", Hook::name)
}

/// The names of the header's flags.
pub(super) fn flags(flags: u8) -> impl Iterator<Item = &'static str> {
    let names = [
        (FLAG_TASK, "task"),
        (FLAG_ENTRY, "entry"),
        (FLAG_STEP, "step"),
        (FLAG_LOCKLESS, "lockless"),
    ];
    let set = names.into_iter().filter(move |(bit, _)| flags & bit != 0);
    set.map(|(_, name)| name)
}

/// What held a sender up, as `sk_stream_wait_memory`'s records say it.
pub(super) fn wait_reason(arg: i32) -> &'static str {
    match arg {
        0 => "limit",
        1 => "memory",
        2 => "notsent_lowat",
        _ => "unknown",
    }
}
