//! The article's account, and what holds of every account.

use skmem_common::cause::Cause;

use crate::explain::{VerdictContext, verdict::Instant};
use crate::testing::socket::{SETTING, Socket, article};

#[test]
fn the_article_is_explained_to_the_byte_on_new_and_old_kernels() {
    for overhead in [896, 1280] {
        let v = article(overhead).verdict();
        let overhead = i64::from(overhead);
        assert_eq!(v.so_sndbuf, Some(4096));
        assert_eq!(v.sndbuf, 8192);
        assert_eq!(v.send_q, 14_480);
        assert_eq!(v.payload, 14_480);
        assert_eq!(v.wmem_queued, 14_480 + overhead);
        assert_eq!(v.skb_overhead, overhead);
        assert_eq!(v.skbs, Some(1));
        assert_eq!(v.size_goal, 10 * 1448);
        assert_eq!(v.excess, 14_480 + overhead - 8192);
        assert_eq!(v.room(), -8192);
        let names: Vec<_> = v
            .causes
            .iter()
            .map(|c| (c.cause.name(), c.bytes, c.count))
            .collect();
        assert_eq!(
            names,
            [
                ("new-skb", overhead, 1),
                ("first-fill", 1024, 1),
                ("tail-append", 13_456, 14)
            ]
        );
        assert_eq!((v.unattributed, v.inferred, v.lost_events), (0, 0, 0));
        assert!(v.complete && v.over_limit);
        assert_eq!(v.instant, Instant::Worst);
        let ack = v.ledger.iter().find(|c| c.cause == Cause::Ack).unwrap();
        assert_eq!((ack.bytes, ack.count), (-28 * (1024 + overhead), 28));
    }
}

#[test]
fn the_worst_instant_outlives_the_queue_and_at_end_does_not() {
    let mut socket = article(896);
    socket.view.snd_wnd = 29_200;
    socket.transmit();
    socket.ack(14_480, 1);
    let worst = socket.verdict();
    assert_eq!((worst.send_q, worst.excess), (14_480, 7184));
    let at_end = VerdictContext {
        at_end: true,
        ..SETTING
    };
    let last = socket.verdict_in(&at_end);
    assert_eq!((last.send_q, last.wmem_queued, last.excess), (0, 0, -8192));
    assert_eq!(last.instant, Instant::Last);
    assert_eq!(last.worst_excess, 7184);
    assert!(last.at_ns > worst.at_ns);
}

#[test]
fn a_call_without_a_record_does_not_spoil_the_last_instant() {
    let mut socket = article(896);
    let last = socket.account.last;
    socket.view.snd_wnd = 29_200;
    socket.ack(1448, 0);
    // As if no record had been made of that acknowledgement.
    socket.account.last = last;
    let at_end = VerdictContext {
        at_end: true,
        ..SETTING
    };
    let v = socket.verdict_in(&at_end);
    assert_eq!((v.send_q, v.wmem_queued), (13_032, 13_928));
    assert!(!v.self_check.fields_match && v.complete);
}

#[test]
fn a_worst_instant_whose_fields_are_not_read_yet_takes_the_accounts_own() {
    let mut socket = article(896);
    socket.account.ledger.view_wanted = 1;
    socket.account.ledger.worst_view = skmem_common::record::View::default();
    let v = socket.verdict();
    assert_eq!((v.send_q, v.payload, v.mss), (14_480, 14_480, 1448));
    // Fields of another instant, on the other hand, are said to be that.
    socket.account.ledger.view_wanted = 0;
    let v = socket.verdict();
    assert!(!v.complete, "{:?}", v.incomplete_because);
}

#[test]
fn an_account_of_any_bytes_is_judged_without_a_panic() {
    for byte in [0x01, 0x55, 0x7f, 0x80, 0xff] {
        let mut account = skmem_common::account::Account::EMPTY;
        // SAFETY: Account and all it holds are integers: any bytes are a value.
        unsafe { std::ptr::write_bytes(&raw mut account, byte, 1) };
        for at_end in [false, true] {
            let setting = VerdictContext { at_end, ..SETTING };
            let v = crate::explain::Verdict::of(&account, &setting);
            assert!(!crate::render::text(&v, &crate::render::Style::PLAIN).is_empty());
            crate::render::json(&v).unwrap();
        }
    }
}

#[test]
fn syn_and_fin_are_sequence_numbers_not_payload() {
    let mut socket = article(896);
    socket.view.state = 4;
    socket.view.write_seq += 1;
    // Once with the FIN in the tail skb, once as skmem sees it before that.
    for fin in [1, 0] {
        socket.account.ledger.worst_view = socket.view;
        let v = socket.verdict();
        assert_eq!(
            (v.send_q, v.syn_fin, v.payload),
            (14_480 + fin, fin, 14_480)
        );
        socket.view.write_seq -= 1;
    }
}

#[test]
fn acknowledged_bytes_in_the_first_skb_are_payload_still() {
    let mut socket = article(896);
    socket.account.ledger.worst_view.snd_una += 448;
    socket.account.ledger.worst_view.untrimmed = 448;
    let v = socket.verdict();
    assert_eq!((v.send_q, v.payload, v.untrimmed), (14_032, 14_480, 448));
    assert_eq!((v.skb_overhead, v.skbs), (896, Some(1)));
}

#[test]
fn a_purged_queue_holds_no_payload_whatever_its_sequence_numbers_say() {
    use skmem_common::hook::Hook;
    let mut socket = article(896);
    socket.enter(Hook::Purge, 0, 0);
    socket.view.wmem_queued = 0;
    socket.view.state = 7;
    socket.leave(Hook::Purge);
    let at_end = VerdictContext {
        at_end: true,
        ..SETTING
    };
    let v = socket.verdict_in(&at_end);
    assert_eq!((v.payload, v.skb_overhead, v.send_q), (0, 0, 14_480));
}

#[test]
fn any_mixture_of_calls_closes() {
    let mut random = 12_345_u32;
    let mut next = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    for overhead in [832, 896, 1280] {
        let mut socket = Socket::autotuned(20_000, overhead);
        let mut in_flight: Vec<u32> = Vec::new();
        for _ in 0..500 {
            match next(5) {
                0 => {
                    let before = socket.view.snd_nxt;
                    socket.transmit();
                    in_flight.push(socket.view.snd_nxt - before);
                }
                1 => socket.limit(5000 + next(30_000).cast_signed()),
                2 if !in_flight.is_empty() => {
                    let bytes = in_flight.remove(0);
                    socket.ack(bytes, 0);
                }
                _ => {
                    socket.write(1 + next(9000));
                }
            }
            socket.verdict();
        }
    }
}
