//! Never over the limit, older than skmem, incomplete, held up.

use skmem_common::{account::WAIT_MEMORY, record::IDENT_COOKIE};

use super::socket::{SETTING, Socket, article};
use crate::explain::{Setting, verdict::Instant};

#[test]
fn a_socket_that_never_went_over() {
    let mut socket = Socket::with_sndbuf(65_536, 896);
    socket.write(10_000);
    let v = socket.verdict();
    assert!(!v.over_limit && v.complete);
    assert_eq!((v.excess, v.worst_excess), (10_896 - 131_072, 0));
    assert_eq!(v.instant, Instant::Last);
    assert_eq!(v.advice, []);
    assert_eq!(v.blocked, None);
}

#[test]
fn a_socket_with_an_empty_queue() {
    let v = Socket::with_sndbuf(65_536, 896).verdict();
    assert_eq!((v.wmem_queued, v.excess), (0, -131_072));
    assert_eq!((v.skb_truesize, v.skbs), (None, None));
    assert_eq!((v.causes.len(), v.ledger.len()), (0, 0));
}

#[test]
fn a_socket_older_than_skmem() {
    let mut socket = Socket::older(4096, 896, 15_376, 14_480);
    let v = socket.verdict();
    assert_eq!((v.excess, v.room()), (7184, 7184));
    assert_eq!(v.admission.count, 0);
    assert_eq!(v.ledger[0].cause, "pre-existing");
    assert!(!v.complete);
    assert!(v.is_stuck());
    assert!(
        v.incomplete_because[0].contains("no call has touched"),
        "{v:?}"
    );
    // What comes after is named all the same.
    socket.ack(14_480, 1);
    while socket.write(1024) {}
    let v = socket.verdict();
    assert_eq!(v.excess, 7184);
    assert!(v.is_stuck());
    let at_end = Setting {
        at_end: true,
        ..SETTING
    };
    let v = socket.verdict_in(&at_end);
    assert!(!v.is_stuck());
    assert!(v.incomplete_because[0].contains("15,376 bytes"), "{v:?}");
}

#[test]
fn lost_records_leave_the_sums_and_are_said() {
    let mut socket = article(896);
    socket.account.lost = 3;
    socket.account.ops_lost = 1;
    let v = socket.verdict();
    assert_eq!(v.lost_events, 3);
    assert!(!v.complete);
    assert_eq!(v.incomplete_because.len(), 2);
    assert_eq!((v.excess, v.unattributed), (7184, 0));
}

#[test]
fn a_replay_that_differs_is_said() {
    let differs = Setting {
        stream_agrees: Some(false),
        ..SETTING
    };
    let v = crate::explain::Verdict::of(&article(896).account, &differs);
    assert!(!v.complete && !v.self_check.holds());
    assert!(v.incomplete_because[0].contains("please report"));
}

#[test]
fn an_account_that_does_not_close_is_said() {
    let mut account = article(896).account;
    account.ledger.now.total[5].bytes += 1;
    account.ledger.worst.total[5].bytes += 1;
    let v = crate::explain::Verdict::of(&account, &SETTING);
    assert!(v.self_check.excess_closes && !v.self_check.ledger_closes && !v.complete);
    assert!(v.incomplete_because[0].contains("does not close"));
}

#[test]
fn refusals_and_sleeps() {
    let mut socket = article(896);
    let b = socket.verdict().blocked.unwrap();
    assert_eq!((b.on, b.waits, b.refusals, b.asleep), ("limit", 0, 1, 0));
    assert_eq!((b.total_ns, b.since_ns), (0, None));
    let blocked = &mut socket.account.blocked;
    blocked.waits = 2;
    blocked.total_ns = 30_000;
    blocked.longest_ns = 20_000;
    blocked.asleep = 1;
    blocked.since_ns = 3_000_000_000;
    let b = socket.verdict().blocked.unwrap();
    assert_eq!((b.waits, b.asleep), (2, 1));
    assert_eq!(b.total_ns, 2_000_030_000);
    assert_eq!(b.longest_ns, 2_000_000_000);
    assert_eq!(b.since_ns, Some(3_000_000_000));
}

#[test]
fn the_sysctl_lowat_is_told_from_want_of_memory() {
    let mut socket = Socket::with_sndbuf(65_536, 896);
    socket.write(1000);
    socket.account.blocked.reasons[WAIT_MEMORY as usize] = 4;
    socket.account.blocked.refusals = 4;
    let b = socket.verdict().blocked.unwrap();
    assert_eq!((b.on, b.lowat_inferred), ("memory", false));
    let lowat = Setting {
        notsent_lowat_sysctl: Some(131_072),
        ..SETTING
    };
    let v = socket.verdict_in(&lowat);
    let b = v.blocked.unwrap();
    assert_eq!(
        (b.on, b.lowat_inferred, b.reasons.notsent_lowat),
        ("notsent_lowat", true, 4)
    );
    assert_eq!(v.advice[0].cause, "notsent_lowat");
    // With memory refused even once, it could be either.
    socket.account.scheduled.refused = 1;
    assert_eq!(socket.verdict_in(&lowat).blocked.unwrap().on, "memory");
}

#[test]
fn without_a_cookie_there_is_skmems_own_number() {
    let mut socket = article(896);
    socket.account.ident.flags &= !IDENT_COOKIE;
    let v = socket.verdict();
    assert_eq!((v.socket.cookie, v.socket.id), (None, 17));
}
