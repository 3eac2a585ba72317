//! Never over the limit, older than skmem, incomplete, held up.

use skmem_common::{
    account::{Blocked, NOSPACE_AT_FIRST, NOSPACE_NOW, WAIT_LIMIT, WAIT_MEMORY},
    cause::Cause,
    record::IDENT_COOKIE,
};

use crate::explain::{
    VerdictContext, may_wait_unseen,
    verdict::{Instant, SinceIs, Withheld},
};
use crate::testing::socket::{SETTING, Socket, article};

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
    assert_eq!(v.ledger[0].cause.name(), "pre-existing");
    assert!(!v.complete);
    assert!(v.is_stuck());
    assert!(
        v.incomplete_because[0].contains("no call has touched"),
        "{v:?}"
    );
    // What comes after is named all the same.
    socket.ack(14_480, 1);
    while socket.write(1024) {}
    // As far over as when it was first seen, and that can be explained.
    let v = socket.verdict();
    assert_eq!(
        (v.excess, v.worst_excess, v.instant),
        (7184, 7184, Instant::Worst)
    );
    assert!(!v.is_stuck() && v.admission.count > 0);
    assert_eq!(v.cause(Cause::TailAppend), 13_456);
    let at_end = VerdictContext {
        at_end: true,
        ..SETTING
    };
    let v = socket.verdict_in(&at_end);
    assert!(!v.is_stuck());
    assert!(v.incomplete_because[0].contains("15,376 bytes"), "{v:?}");
}

/// An instant that can be explained wins over one that cannot, where it is more
/// than half as bad.
#[test]
fn a_lower_peak_that_can_be_explained() {
    let later = |before| {
        let mut socket = Socket::older(4096, 896, before, before.cast_unsigned() - 896);
        socket.ack(before.cast_unsigned() - 896, 1);
        while socket.write(1024) {}
        socket.verdict()
    };
    let v = later(20_000);
    assert_eq!((v.excess, v.worst_excess), (7184, 20_000 - 8192));
    assert!(v.admission.count > 0 && !v.is_stuck());
    let v = later(40_000);
    assert_eq!((v.excess, v.worst_excess), (40_000 - 8192, 40_000 - 8192));
    assert!(v.admission.count == 0 && !v.is_stuck());
    assert!(v.incomplete_because[0].contains("40,000 bytes"), "{v:?}");
}

#[test]
fn what_was_taken_is_of_the_whole_life() {
    let mut socket = article(896);
    let full = socket.verdict().taken;
    assert_eq!(full, 43 * 1024 - 880);
    socket.view.snd_wnd = 29_200;
    socket.transmit();
    socket.ack(14_480, 1);
    socket.write(500);
    assert_eq!(socket.verdict().taken, full + 500);
}

#[test]
fn a_sender_that_waits_in_poll() {
    let mut socket = article(896);
    let now = socket.verdict().blocked.unwrap().now.unwrap();
    assert!(!now.asleep);
    assert_eq!(
        (now.since_is, now.withheld),
        (SinceIs::Exact, Some(Withheld::Send))
    );
    assert_eq!(
        (now.wmem_queued, now.sndbuf, now.wakes_at),
        (15_376, 8192, 5461)
    );
    assert_eq!(
        now.for_ns,
        SETTING.now_ns - socket.account.blocked.refused_ns
    );
    // Below the limit, but not as far as wakes it.
    socket.view.snd_wnd = 29_200;
    socket.transmit_front(8000);
    socket.ack(8000, 1);
    assert_eq!(socket.view.wmem_queued, 7376);
    let now = socket.verdict().blocked.unwrap().now.unwrap();
    assert_eq!(now.withheld, Some(Withheld::WakeUp));
    // Woken: whether it writes is its own affair.
    socket.transmit();
    socket.ack(2000, 0);
    assert_eq!(socket.verdict().blocked.unwrap().now, None);
    assert_eq!(socket.verdict().blocked.unwrap().refusals, 1);
}

#[test]
fn one_that_was_never_refused_waits_in_poll() {
    let mut socket = Socket::older(4096, 896, 7376, 6480);
    socket.account.blocked.nospace = NOSPACE_NOW | NOSPACE_AT_FIRST;
    let v = socket.verdict();
    let now = v.blocked.unwrap().now.unwrap();
    assert_eq!(
        (now.since_is, now.withheld),
        (SinceIs::AtLeast, Some(Withheld::WakeUp))
    );
    assert!(v.held_up_for(1_000_000_000) && !v.over_limit);
    socket.account.blocked.nospace = NOSPACE_NOW;
    let v = socket.verdict();
    let now = v.blocked.unwrap().now.unwrap();
    assert_eq!(now.since_is, SinceIs::AtMost);
    assert!(!v.held_up_for(1_000_000_000));
}

#[test]
fn two_walks_that_find_it_waiting_say_since_when_at_least() {
    let mut socket = Socket::older(4096, 896, 7376, 6480);
    let at = |socket: &Socket| {
        let now = socket.verdict().blocked.unwrap().now.unwrap();
        (now.since_is, now.for_ns)
    };
    let walk = SETTING.now_ns - 2_000_000_000;
    socket.account.blocked.walked(1, walk);
    assert_eq!(at(&socket).0, SinceIs::AtMost);
    assert!(may_wait_unseen(&socket.account));
    socket.account.blocked.walked(1, walk + 500_000_000);
    assert_eq!(at(&socket), (SinceIs::AtLeast, 2_000_000_000));
    assert!(socket.verdict().held_up_for(1_000_000_000));
    assert!(!may_wait_unseen(&socket.account));
    let text = crate::render::text(&socket.verdict(), &crate::render::Style::PLAIN);
    assert!(
        text.contains("waits for POLLOUT for at least 2.000 s; send()"),
        "{text}"
    );
    // Woken since.
    socket.account.blocked.walked(0, SETTING.now_ns);
    assert_eq!(socket.account.blocked, Blocked::default());
}

#[test]
fn a_sleeper_older_than_the_trace() {
    let mut socket = Socket::older(4096, 896, 7376, 6480);
    let blocked = &mut socket.account.blocked;
    (blocked.asleep, blocked.older, blocked.since_ns) = (1, 1, 2_000_000_000);
    blocked.reasons = [1, 0, 0];
    let v = socket.verdict();
    let b = v.blocked.unwrap();
    let now = b.now.unwrap();
    assert!(now.asleep && v.held_up_for(3_000_000_000) && !v.over_limit);
    assert_eq!(
        (now.since_is, now.withheld),
        (SinceIs::AtLeast, Some(Withheld::WakeUp))
    );
    assert_eq!((b.on.name(), b.asleep_ns), ("limit", 3_000_000_000));
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
    let differs = VerdictContext {
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
    assert_eq!(
        (b.on.name(), b.waits, b.refusals, b.asleep),
        ("limit", 0, 1, 0)
    );
    assert_eq!((b.total_ns, b.since_ns), (0, None));
    let blocked = &mut socket.account.blocked;
    blocked.slept(WAIT_MEMORY, 10_000);
    blocked.slept(WAIT_LIMIT, 20_000);
    blocked.asleep = 1;
    blocked.since_ns = 3_000_000_000;
    let b = socket.verdict().blocked.unwrap();
    assert_eq!((b.waits, b.asleep), (2, 1));
    assert_eq!(b.total_ns, 2_000_030_000);
    assert_eq!(b.longest_ns, 2_000_000_000);
    assert_eq!(b.since_ns, Some(3_000_000_000));
    let by = b.reasons_ns.unwrap();
    let by = (by.limit, by.memory, by.notsent_lowat);
    assert_eq!(by, (2_000_020_000, 10_000, 0));
    // A recording of before it was kept.
    socket.account.blocked.reason_ns = [0; 3];
    assert_eq!(socket.verdict().blocked.unwrap().reasons_ns, None);
}

#[test]
fn the_sysctl_lowat_is_told_from_want_of_memory() {
    let mut socket = Socket::with_sndbuf(65_536, 896);
    socket.write(1000);
    socket.account.blocked.reasons[WAIT_MEMORY as usize] = 4;
    socket.account.blocked.refusals = 4;
    let b = socket.verdict().blocked.unwrap();
    assert_eq!((b.on.name(), b.lowat_inferred), ("memory", false));
    let lowat = VerdictContext {
        notsent_lowat_sysctl: Some(131_072),
        ..SETTING
    };
    let v = socket.verdict_in(&lowat);
    let b = v.blocked.unwrap();
    assert_eq!(
        (b.on.name(), b.lowat_inferred, b.reasons.notsent_lowat),
        ("notsent_lowat", true, 4)
    );
    assert_eq!(v.advice[0].cause.name(), "notsent_lowat");
    // With memory refused even once, it could be either.
    socket.account.scheduled.refused = 1;
    assert_eq!(
        socket.verdict_in(&lowat).blocked.unwrap().on.name(),
        "memory"
    );
}

#[test]
fn without_a_cookie_there_is_skmems_own_number() {
    let mut socket = article(896);
    socket.account.ident.flags &= !IDENT_COOKIE;
    let v = socket.verdict();
    assert_eq!((v.socket.cookie, v.socket.id), (None, 17));
}
