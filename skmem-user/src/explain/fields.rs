//! From the fields to what they mean: which instant they are of, how much of
//! the queue is payload, what the application asked for.

use skmem_common::{
    account::Account,
    cause::{Cause, LimitCause},
    ledger::{Balance, LimitMove, MOVES},
    record::{IDENT_V_FORCED, IDENT_V_SEEN, Ident, View},
};

use super::{
    VerdictContext, chain,
    verdict::{ChainStep, Doubling, Instant},
};

/// States of the kernel's `tcp_states.h` in which a SYN or a FIN may be
/// outstanding.
const TCP_SYN_SENT: u8 = 2;
const TCP_SYN_RECV: u8 = 3;
const TCP_FIN_WAIT1: u8 = 4;
const TCP_LAST_ACK: u8 = 9;
const TCP_CLOSING: u8 = 11;

/// `INT_MAX / 2`: the kernel doubles no more than that
/// (`sock_setsockopt`, `__sock_set_sndbuf`).
const MOST_DOUBLED: i64 = (i32::MAX / 2) as i64;

/// `SOCK_SNDBUF_LOCK` of `sk_userlocks`.
const SNDBUF_LOCK: u8 = 1;

/// An account and its fields at one instant.
pub(super) struct AccountAt<'a> {
    pub instant: Instant,
    pub ns: u64,
    /// Limit moves after this are later than the instant.
    pub until_ns: u64,
    pub balance: &'a Balance,
    pub view: View,
    /// `write_seq` and `snd_una` are those of the instant.
    pub sequence_exact: bool,
    /// The view was read with `balance`, not before or after other changes.
    pub fields_match: bool,
}

impl<'a> AccountAt<'a> {
    pub fn choose(account: &'a Account, at_end: bool) -> Self {
        let ledger = &account.ledger;
        if ledger.worst_ns == 0 || at_end {
            let view = current(account);
            return Self {
                instant: Instant::Last,
                ns: account.last_ns,
                until_ns: u64::MAX,
                balance: &ledger.now,
                view,
                sequence_exact: true,
                fields_match: matches(&view, &ledger.now),
            };
        }
        let balance = ledger.at_worst();
        // The account was read between the hook that booked a new worst
        // excess and the one that notes the fields: the worst is now.
        let unread = ledger.view_wanted != 0 && ledger.at_peak != 0;
        let view = if unread {
            current(account)
        } else {
            ledger.worst_view
        };
        let fields_match = matches(&view, balance);
        Self {
            instant: Instant::Worst,
            ns: ledger.worst_ns,
            until_ns: ledger.worst_ns,
            balance,
            view,
            sequence_exact: unread || fields_match,
            fields_match,
        }
    }

    pub fn locked(&self) -> bool {
        self.view.userlocks & SNDBUF_LOCK != 0
    }
}

/// The fields as last recorded. Calls that changed nothing they report make no
/// record, but the account has followed the sequence numbers all the same.
fn current(account: &Account) -> View {
    let mut view = account.last;
    view.write_seq = account.write_seq;
    view.snd_una = account.snd_una;
    if view.snd_nxt.wrapping_sub(view.snd_una).cast_signed() < 0 {
        view.snd_nxt = view.snd_una;
    }
    view
}

fn matches(view: &View, balance: &Balance) -> bool {
    view.wmem_queued == balance.w && view.sndbuf == balance.sndbuf
}

/// What the queue's memory consists of.
pub(super) struct Queue {
    pub send_q: i64,
    pub syn_fin: i64,
    pub payload: i64,
    pub overhead: i64,
    pub truesize: Option<i64>,
    pub skbs: Option<i64>,
}

impl Queue {
    pub fn of(account: &Account, at: &AccountAt<'_>) -> Self {
        let w = i64::from(at.balance.w);
        let send_q = i64::from(at.view.send_q());
        let held = send_q + i64::from(at.view.untrimmed);
        let one = i64::from(account.overhead);
        let rounding = at.balance.total(Cause::ZerocopyPageRounding).bytes;
        let whole = |payload: i64| one != 0 && rounding == 0 && (w - payload) % one == 0;
        let mut syn_fin = sequence_only(&at.view);
        if whole(held) && !whole(held - syn_fin) {
            // In a closing state, but the FIN is not queued yet.
            syn_fin = 0;
        }
        // An emptied queue keeps its sequence numbers (tcp_write_queue_purge).
        let payload = if w == 0 { 0 } else { held - syn_fin };
        let overhead = w - payload;
        Self {
            send_q,
            syn_fin: if w == 0 { 0 } else { syn_fin },
            payload,
            overhead,
            truesize: (one != 0).then_some(one),
            skbs: (overhead >= 0 && whole(payload)).then(|| overhead / one),
        }
    }
}

/// Sequence numbers outstanding that stand for no byte.
fn sequence_only(view: &View) -> i64 {
    match view.state {
        // Crossed SYNs; a passive socket's SYN is not counted in it.
        TCP_SYN_RECV => i64::from(view.send_q() == 1),
        TCP_SYN_SENT | TCP_FIN_WAIT1 | TCP_LAST_ACK | TCP_CLOSING => i64::from(view.send_q() > 0),
        _ => 0,
    }
}

/// What the application gave to `SO_SNDBUF`.
pub(super) struct RequestedSndbuf {
    pub value: i64,
    pub inferred: bool,
    pub doubling: Doubling,
    pub chain: Vec<ChainStep>,
}

impl RequestedSndbuf {
    pub fn of(account: &Account, at: &AccountAt<'_>, setting: &VerdictContext<'_>) -> Option<Self> {
        let sndbuf = i64::from(at.balance.sndbuf);
        let ident = &account.ident;
        let seen = ident.flags & IDENT_V_SEEN != 0 && !set_later(account, at);
        if !seen && !at.locked() {
            return None;
        }
        let (value, doubling, flags) = if seen {
            let value = i64::from(ident.so_sndbuf);
            (value, doubling(ident, sndbuf, setting.wmem_max), 0)
        } else {
            let half = Doubling {
                honoured: sndbuf / 2,
                clamped: false,
                forced: false,
                raised: 0,
            };
            (sndbuf / 2, half, ident.flags)
        };
        Some(Self {
            value,
            inferred: !seen,
            doubling,
            chain: chain::chain(value, &doubling, sndbuf, flags),
        })
    }
}

/// Whether the limit was set again after the instant: the value that was seen
/// is then a later one.
fn set_later(account: &Account, at: &AccountAt<'_>) -> bool {
    let set = |m: &LimitMove| {
        matches!(
            LimitCause::from_u8(m.cause),
            Some(LimitCause::SetByApplication | LimitCause::LoweredBelowQueue)
        )
    };
    moves(account).any(|m| m.at_ns > at.until_ns && set(&m))
}

/// `sock_setsockopt`: `max(2 * min(value, wmem_max), SOCK_MIN_SNDBUF)`.
fn doubling(ident: &Ident, sndbuf: i64, wmem_max: Option<u32>) -> Doubling {
    let forced = ident.flags & IDENT_V_FORCED != 0;
    let asked = if forced {
        i64::from(ident.so_sndbuf.max(0))
    } else {
        // SO_SNDBUF compares as unsigned: a negative value is a huge one.
        i64::from(ident.so_sndbuf.cast_unsigned())
    };
    let max = match wmem_max {
        _ if forced => i64::MAX,
        Some(max) => i64::from(max),
        // Not known; but a limit below twice the value was clamped.
        None => sndbuf / 2,
    };
    let honoured = asked.min(max).min(MOST_DOUBLED);
    Doubling {
        honoured,
        // By wmem_max, not by what can be doubled.
        clamped: max < asked && max < MOST_DOUBLED,
        forced,
        raised: (sndbuf - 2 * honoured).max(0),
    }
}

/// The limit moves that are kept, oldest first.
pub(super) fn moves(account: &Account) -> impl Iterator<Item = LimitMove> + '_ {
    let ledger = &account.ledger;
    let count = ledger.move_count as usize;
    (count.saturating_sub(MOVES)..count).map(|n| ledger.moves[n % MOVES])
}
