//! The account against itself: what must hold of every account at every instant.

use skmem::model::replay::Replay;
use skmem_common::{
    account::Account,
    cause::{CAUSES, Cause},
    ledger::Balance,
};

use crate::check::Check;

/// How a socket is called in messages.
pub fn name(account: &Account) -> String {
    let who = &account.ident;
    format!("socket {:#x} :{}→:{}", who.id, who.sport, who.dport)
}

/// Sums, identity, nothing unnamed.
pub fn check(check: &mut Check, account: &Account) {
    let ledger = &account.ledger;
    balance(check, &format!("{} now", name(account)), &ledger.now);
    balance(
        check,
        &format!("{} at its worst", name(account)),
        ledger.at_worst(),
    );
    let unnamed = ledger.now.total[Cause::Unattributed as usize];
    check.equal(
        format_args!("{}: bytes that nothing names, and how often", name(account)),
        (unnamed.bytes, unnamed.count),
        (0, 0),
    );
    let (worst, balance) = (ledger.worst_excess, ledger.at_worst());
    let older = ledger.now.total[Cause::PreExisting as usize].count != 0;
    let explained = match ledger.worst_ns {
        0 => 0,
        _ => excess(balance),
    };
    // Of an older socket, one that can be explained may be half as bad.
    let may_be_less = older && balance.admission.count != 0 && explained > worst / 2;
    check.that(
        worst == explained || (may_be_less && explained < worst),
        || {
            format!(
                "{}: the worst excess is {worst}, that at the worst balance {explained}",
                name(account)
            )
        },
    );
}

/// Σ total == w, and the excess is room + limit moves + Σ since.
fn balance(check: &mut Check, what: &str, at: &Balance) {
    let total: i64 = at.total.iter().map(|t| t.bytes).sum();
    check.equal(
        format_args!("{what}: sum of all causes, and w"),
        total,
        i64::from(at.w),
    );
    check.equal(
        format_args!(
            "{what}: unused room + limit moves + causes since the admission, and w - sndbuf"
        ),
        i64::from(at.admission.w) - i64::from(at.admission.sndbuf)
            + (i64::from(at.admission.sndbuf) - i64::from(at.sndbuf))
            + since(at),
        i64::from(excess(at)),
    );
}

fn excess(at: &Balance) -> i32 {
    at.w - at.sndbuf
}

fn since(at: &Balance) -> i64 {
    (0..CAUSES)
        .filter(|n| at.since_mask & (1 << n) != 0)
        .map(|n| i64::from(at.since[n].bytes))
        .sum()
}

/// The records tell the kernel's account to the byte, unless some were lost.
pub fn replay(check: &mut Check, when: &str, replay: &Replay, account: &Account) {
    if account.lost == 0 {
        let missed = replay.socket(account.ident.id).map(|s| s.missed);
        check.equal(
            format_args!(
                "{}: {when}, replay of all records agrees with the account ({} operations await a record, {} have none; \
                 {} records made, {missed:?} missed)",
                name(account),
                account.op_count,
                account.ops_lost,
                account.event_no,
            ),
            replay.agrees(account),
            Some(true),
        );
    }
}
