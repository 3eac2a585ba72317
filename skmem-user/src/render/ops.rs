//! A record's ledger operations and numbers, decoded: what lines and JSON
//! share.

use schemars::JsonSchema;
use skmem_common::{
    cause::{Cause, LimitCause, Tier},
    hook::{HOOKS, Hook},
    receive_cause::{RcvbufCause, ReceiveCause},
    record::{
        Event, FLAG_ENTRY, FLAG_LOCKLESS, FLAG_STEP, FLAG_TASK, OP_ADMIT, OP_BOOK, OP_LIMIT, OPS,
        Op, Receive,
    },
};

use super::{
    line_buffer::LineBuffer,
    put::{Put, Word},
};

/// One operation, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(tag = "op", rename_all = "kebab-case")]
pub(super) enum Decoded {
    /// `bytes` booked: of `wmem_queued`; in a `receive` line of `rmem_alloc`.
    Book {
        /// Name of the cause
        cause: &'static str,
        /// Bytes; frees are negative
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
    /// The limit of the receive buffer moved to `rcvbuf`.
    Rcvbuf {
        /// Name of the cause
        cause: &'static str,
        /// `sk_rcvbuf`, bytes
        rcvbuf: i32,
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
    fn put(&self, out: &mut LineBuffer) {
        match self {
            Self::Book { cause, bytes, tier } => {
                out.literal(br#"{"op":"book","cause":"#);
                Word(cause).put(out);
                out.literal(br#","bytes":"#);
                bytes.put(out);
                out.literal(br#","tier":"#);
                Word(tier).put(out);
            }
            Self::Admit { sndbuf } => {
                out.literal(br#"{"op":"admit","sndbuf":"#);
                sndbuf.put(out);
            }
            Self::Limit {
                cause,
                sndbuf,
                tier,
            } => {
                out.literal(br#"{"op":"limit","cause":"#);
                Word(cause).put(out);
                out.literal(br#","sndbuf":"#);
                sndbuf.put(out);
                out.literal(br#","tier":"#);
                Word(tier).put(out);
            }
            Self::Rcvbuf { cause, rcvbuf } => {
                out.literal(br#"{"op":"rcvbuf","cause":"#);
                Word(cause).put(out);
                out.literal(br#","rcvbuf":"#);
                rcvbuf.put(out);
            }
            Self::Unknown { kind, cause, value } => {
                out.literal(br#"{"op":"unknown","kind":"#);
                kind.put(out);
                out.literal(br#","cause":"#);
                cause.put(out);
                out.literal(br#","value":"#);
                value.put(out);
            }
        }
        out.literal(b"}");
    }
}

/// The operations of `event`, as many as its header says it has.
pub(super) fn decoded(event: &Event) -> impl Iterator<Item = Decoded> + '_ {
    let used = usize::from(event.header.ops).min(OPS);
    event.ops[..used].iter().map(decode)
}

/// The same of a change of the receive side.
pub(super) fn received(record: &Receive) -> impl Iterator<Item = Decoded> + '_ {
    let used = usize::from(record.header.ops).min(record.ops.len());
    record.ops[..used].iter().map(decode_received)
}

fn decode_received(op: &Op) -> Decoded {
    match op.kind {
        OP_BOOK => ReceiveCause::from_u8(op.cause).map_or(unknown(op), |cause| Decoded::Book {
            cause: cause.name(),
            bytes: op.value,
            tier: tier(op),
        }),
        OP_LIMIT => RcvbufCause::from_u8(op.cause).map_or(unknown(op), |cause| Decoded::Rcvbuf {
            cause: cause.name(),
            rcvbuf: op.value,
        }),
        _ => unknown(op),
    }
}

fn unknown(op: &Op) -> Decoded {
    Decoded::Unknown {
        kind: op.kind,
        cause: op.cause,
        value: op.value,
    }
}

fn tier(op: &Op) -> &'static str {
    if op.tier == Tier::Inferred as u8 {
        "inferred"
    } else {
        "observed"
    }
}

#[inline]
fn decode(op: &Op) -> Decoded {
    let tier = tier(op);
    let unknown = unknown(op);
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
    const NAMES: [&str; HOOKS] = {
        let mut names = ["unknown"; HOOKS];
        let mut n = 0;
        while n < Hook::ALL.len() {
            names[Hook::ALL[n] as usize] = Hook::ALL[n].name();
            n += 1;
        }
        names
    };
    NAMES.get(usize::from(hook)).unwrap_or(&"unknown")
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
