//! Moves of the limit, and what the application asked for.

use skmem_common::record::{IDENT_V_FORCED, IDENT_V_SEEN};

use crate::explain::VerdictContext;
use crate::testing::socket::{SETTING, Socket, article};

#[test]
fn a_limit_lowered_below_the_queue_is_an_excess_without_a_byte() {
    let mut socket = Socket::with_sndbuf(65_536, 896);
    socket.write(14_480);
    assert!(!socket.verdict().over_limit);
    socket.account.ident.so_sndbuf = 4096;
    socket.limit(8192);
    let v = socket.verdict();
    assert_eq!(v.excess, 14_480 + 896 - 8192);
    assert_eq!(v.limit_moved(), 131_072 - 8192);
    assert_eq!(v.so_sndbuf, Some(4096));
    let m = v.limit_moves[0];
    assert_eq!(
        (m.from, m.to, m.cause_name()),
        (131_072, 8192, "lowered-below-queue")
    );
    assert!(m.since_admission);
    assert!(
        v.advice[0].advice.contains("before the first write"),
        "{:?}",
        v.advice
    );
}

#[test]
fn memory_pressure_shrinks_a_limit_that_nobody_set() {
    let mut socket = Socket::autotuned(87_380, 896);
    for _ in 0..4 {
        socket.write(14_480);
    }
    socket.limit(30_752);
    let v = socket.verdict();
    assert_eq!(v.excess, 4 * (14_480 + 896) - 30_752);
    assert_eq!(v.limit_moves[0].cause_name(), "shrunk-by-memory-pressure");
    assert_eq!(v.advice[0].cause.name(), "shrunk-by-memory-pressure");
    assert_eq!((v.so_sndbuf, v.limit_locked), (None, false));
}

#[test]
fn an_autotuned_socket_has_no_so_sndbuf() {
    let mut socket = Socket::autotuned(16_384, 896);
    socket.write(10_000);
    socket.limit(46_080);
    while socket.write(10_000) {}
    let v = socket.verdict();
    assert_eq!((v.so_sndbuf, v.doubling), (None, None));
    assert!(v.excess > 0);
    let m = v.limit_moves[0];
    assert_eq!((m.cause_name(), m.since_admission), ("autotuned-up", false));
    assert!(
        v.advice
            .iter()
            .any(|a| a.advice.contains("sets no SO_SNDBUF, set it"))
    );
}

#[test]
fn an_unseen_so_sndbuf_is_half_the_locked_limit() {
    let mut socket = article(896);
    socket.account.ident.flags &= !IDENT_V_SEEN;
    let v = socket.verdict();
    assert_eq!((v.so_sndbuf, v.so_sndbuf_inferred), (Some(4096), true));
}

#[test]
fn a_value_set_after_the_worst_instant_is_not_that_instants() {
    let mut socket = article(896);
    socket.account.ident.so_sndbuf = 100_000;
    socket.limit(200_000);
    let v = socket.verdict();
    assert_eq!(
        (v.sndbuf, v.so_sndbuf, v.so_sndbuf_inferred),
        (8192, Some(4096), true)
    );
    let at_end = VerdictContext {
        at_end: true,
        ..SETTING
    };
    let v = socket.verdict_in(&at_end);
    assert_eq!(
        (v.sndbuf, v.so_sndbuf, v.so_sndbuf_inferred),
        (200_000, Some(100_000), false)
    );
}

#[test]
fn clamped_raised_and_forced_values_are_told_apart() {
    // (asked, forced, limit, honoured, clamped, raised)
    let cases = [
        (4096, false, 8192, 4096, false, 0),
        (1000, false, 4608, 1000, false, 2608),
        (0, false, 4608, 0, false, 4608),
        (1_000_000, false, 425_984, 212_992, true, 0),
        (-1, false, 425_984, 212_992, true, 0),
        (1_000_000, true, 2_000_000, 1_000_000, false, 0),
        (-1, true, 4608, 0, false, 4608),
        // INT_MAX / 2, whatever wmem_max is.
        (
            i32::MAX,
            true,
            i32::MAX - 1,
            i64::from(i32::MAX / 2),
            false,
            0,
        ),
    ];
    for (asked, forced, limit, honoured, clamped, raised) in cases {
        let mut socket = Socket::with_sndbuf(limit / 2, 896);
        socket.account.ident.so_sndbuf = asked;
        if forced {
            socket.account.ident.flags |= IDENT_V_FORCED;
        }
        let v = socket.verdict();
        assert_eq!(v.so_sndbuf, Some(i64::from(asked)));
        let d = v.doubling.unwrap();
        assert_eq!(
            (d.honoured, d.clamped, d.raised, d.forced),
            (honoured, clamped, raised, forced),
            "{asked}"
        );
        let mut at = i64::from(asked);
        for step in &v.limit_chain {
            assert_eq!(step.from, at, "{asked}");
            at = step.to;
        }
        assert_eq!(at, i64::from(limit), "{asked}");
        let names: Vec<_> = v.limit_chain.iter().map(|s| s.cause.name()).collect();
        let clamp = names.contains(&"clamped-to-wmem_max");
        let other = honoured != i64::from(asked);
        assert_eq!(clamp, other && !forced, "{asked}");
        assert_eq!(
            names.contains(&"clamped-to-range"),
            other && forced,
            "{asked}"
        );
        assert_eq!(names.contains(&"raised-to-minimum"), raised > 0, "{asked}");
        assert!(names.contains(&"doubled"));
    }
}

#[test]
fn without_wmem_max_a_clamp_is_told_from_the_limit() {
    let mut socket = Socket::with_sndbuf(212_992, 896);
    socket.account.ident.so_sndbuf = 1_000_000;
    let unknown = VerdictContext {
        wmem_max: None,
        ..SETTING
    };
    let d = socket.verdict_in(&unknown).doubling.unwrap();
    assert_eq!((d.honoured, d.clamped, d.raised), (212_992, true, 0));
    socket = Socket::with_sndbuf(2304, 896);
    socket.account.ident.so_sndbuf = 1000;
    let d = socket.verdict_in(&unknown).doubling.unwrap();
    assert_eq!((d.honoured, d.clamped, d.raised), (1000, false, 2608));
}

#[test]
fn more_moves_than_are_kept_are_counted_and_the_account_closes() {
    let mut socket = Socket::autotuned(20_000, 896);
    socket.write(14_480);
    for n in 1..=10 {
        socket.limit(20_000 - 1000 * n);
    }
    let v = socket.verdict();
    assert_eq!((v.limit_moves.len(), v.limit_moves_omitted), (8, 2));
    assert_eq!(v.limit_moved(), 10_000);
    assert!(v.limit_moves.iter().all(|m| !m.since_admission));
}

#[test]
fn a_limit_taken_over_from_another_socket_says_so() {
    use skmem_common::record::{IDENT_INHERITED, IDENT_MPTCP};
    for (flag, name) in [
        (IDENT_INHERITED, "inherited-from-listener"),
        (IDENT_MPTCP, "mptcp-sync"),
    ] {
        let mut socket = article(896);
        socket.account.ident.flags &= !IDENT_V_SEEN;
        socket.account.ident.flags |= flag;
        let v = socket.verdict();
        let steps: Vec<_> = v
            .limit_chain
            .iter()
            .map(|s| (s.cause.name(), s.from, s.to))
            .collect();
        assert_eq!(steps, [("doubled", 4096, 8192), (name, 8192, 8192)]);
        assert!(v.so_sndbuf_inferred);
    }
}

#[test]
fn a_limit_that_no_rule_makes_is_not_explained_away() {
    let mut socket = Socket::with_sndbuf(4096, 896);
    socket.account.ident.so_sndbuf = 40_000;
    let v = socket.verdict();
    let steps: Vec<_> = v
        .limit_chain
        .iter()
        .map(|s| (s.cause.name(), s.to))
        .collect();
    assert_eq!(steps, [("doubled", 80_000), ("set-otherwise", 8192)]);
}
