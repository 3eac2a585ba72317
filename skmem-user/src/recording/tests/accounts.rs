//! Accounts keep all that a verdict is made of.

use skmem_common::{
    cause::{Cause, LimitCause, Tier},
    ledger::Since,
    receive::CLOCK_READER_INSIDE,
    receive_cause::ReceiveCause,
    receive_ledger::End,
    record::OP_BOOK,
};

use super::*;
use crate::{
    explain::{Verdict, VerdictContext},
    render::{self, Style},
    testing::socket::SETTING,
};

fn back(kept: &SavedAccount) -> SavedAccount {
    let payload = Accounts::to_payload(Role::Final, 9, std::slice::from_ref(kept));
    let mut accounts = Accounts::from_payload(&payload).unwrap();
    assert_eq!((accounts.now_ns, accounts.accounts.len()), (9, 1));
    accounts.accounts.remove(0)
}

/// All of an account but what only the programs need.
fn visible(account: &Account) -> Account {
    let mut a = *account;
    a.version = 0;
    let empty = Account::EMPTY;
    (a.frames, a.depth, a.ops, a.parts) = (empty.frames, 0, empty.ops, empty.parts);
    (a.fresh, a.split, a.stale, a.orphans) = (0, 0, 0, 0);
    (
        a.queued_new,
        a.queued_tested,
        a.sndbuf_before_cut,
        a.mem_refused,
    ) = (0, 0, 0, 0);
    (a.allocated, a.last_tid, a.reported_excess, a.reported_moves) = (0, 0, 0, 0);
    (a.closing, a.opened_lockless, a.probing) = (0, 0, 0);
    (a.acked, a.refills, a.zerocopied) = (0, 0, 0);
    (a.around, a.rest, a.rest_written) = (0, 0, 0);
    let (ours, none) = (&mut a.receiving.ledger, &empty.receiving.ledger);
    (ours.ops, ours.op_count) = (none.ops, 0);
    (ours.psock, ours.deferred) = (0, 0);
    (a.receiving.in_flight, a.receiving.errors_before) = (0, 0);
    if a.ledger.at_peak != 0 || a.ledger.worst_ns == 0 {
        a.ledger.worst = empty.ledger.worst;
    }
    for balance in [&mut a.ledger.now, &mut a.ledger.worst] {
        for n in 0..balance.since.len() {
            if balance.since_mask & (1 << n) == 0 {
                balance.since[n] = Since::default();
            }
        }
    }
    a
}

fn assert_same(socket: &Socket) {
    let kept = kept(socket);
    let back = back(&kept);
    assert_eq!(visible(&back.account), visible(&kept.account));
    assert_eq!(back.stream_agrees, kept.stream_agrees);
    for at_end in [false, true] {
        let setting = VerdictContext { at_end, ..SETTING };
        let of = |a: &Account| render::json(&Verdict::of(a, &setting)).unwrap();
        assert_eq!(of(&back.account), of(&kept.account));
    }
}

#[test]
fn every_kind_of_account_there_and_back() {
    let mut busy = article(896);
    assert_same(&busy);
    // The worst is past, more limit moves than there is room for, everything else set.
    let a = &mut busy.account;
    for n in 0..19 {
        let to = 8192 - n * 10;
        a.ledger.limit(
            LimitCause::AutotunedDown,
            Tier::Inferred,
            to,
            9_000 + n as u64,
        );
    }
    for cause in Cause::ALL {
        a.ledger
            .book(*cause as u8, Tier::Inferred as u8, -3, 10_000);
    }
    a.blocked.waits = 7;
    a.blocked.reasons = [1, 2, 3];
    (a.blocked.total_ns, a.blocked.reason_ns) = (60, [10, 20, 30]);
    (a.blocked.since_reason, a.blocked.sysctl_lowat) = (2, 4096);
    a.blocked.asleep = 1;
    a.blocked.since_ns = 12_345;
    (a.lost, a.ops_lost, a.op_count, a.event_no, a.slot) = (3, 4, 2, u32::MAX, 5);
    a.scheduled.refused = u64::MAX;
    a.scheduled.granted_over_memcg = 7;
    (a.messages.count, a.messages.largest) = (3, 16_401);
    a.pages.observe(1, 0, 0, 12);
    a.receiving.window_moved(9);
    a.receiving.now.rcv_nxt = 100;
    a.receiving.arrived(11_000);
    a.receiving.taken(12_000);
    a.receiving.start(true, 12_000);
    a.receiving.now.rmem_alloc += 2_344;
    a.receiving.now.rcv_nxt += 1_448;
    a.receiving
        .ended(End::queued(false, 2_344, 1_448).on(false, true), 13_000);
    a.receiving.now.rcvbuf = 8_192;
    a.receiving.now.window = 0;
    a.receiving
        .ended(End::frees(ReceiveCause::ReadKtls), 14_000);
    a.receiving.errors_in = 4_608;
    a.receiving.errors_in_count = 2;
    a.receiving.errors_out = 2_304;
    a.receiving.errors_out_count = 1;
    a.receiving.waiting = 1;
    // A second reader is inside and copies.
    a.receiving.inside_kept = 1;
    assert!(a.receiving.reader_enters());
    a.receiving.reading_begins(15_000);
    a.receiving.clocks[CLOCK_READER_INSIDE] = 77;
    a.receiving.shut.at_ns = 14_000;
    a.receiving.shut.held = 100;
    a.receiving.shut.errors = 2_304;
    a.ident.comm = [0xff; 16];
    assert_same(&busy);
    assert_same(&Socket::autotuned(87_040, 1280));
    assert_same(&Socket::older(4096, 896, 30_000, 20_000));
}

#[test]
fn the_time_in_which_there_was_data_is_one_clock_as_in_older_recordings() {
    let mut socket = article(896);
    let r = &mut socket.account.receiving;
    r.start(false, 0);
    r.clocks = [1, 2, 30, 12];
    (r.clock, r.inside, r.inside_kept) = (CLOCK_READER_INSIDE as u32, 1, 1);
    let written = |socket: &Socket| {
        String::from_utf8(Accounts::to_payload(Role::Final, 9, &[kept(socket)])).unwrap()
    };
    let text = written(&socket);
    for part in ["\"clocks\":[1,2,42,12]", "\"clock\":2,", "\"inside\":1,"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_same(&socket);
    // Records do not tell when a reader comes in, so neither does what goes on from here by them.
    let mut replay = crate::model::replay::Replay::default();
    replay.checkpoint(&socket.account);
    let id = socket.account.ident.id;
    let replayed = replay.socket(id).unwrap().account(id).receiving;
    assert_eq!(
        (replayed.clocks, replayed.clock, replayed.inside_kept),
        ([1, 2, 42, 0], 2, 0)
    );
    // Of before, and of 5.10.
    socket.account.receiving.inside_kept = 0;
    let text = written(&socket);
    assert!(text.contains("\"clocks\":[1,2,42,0]"), "{text}");
    assert!(!text.contains("\"inside\""), "{text}");
    let r = back(&kept(&socket)).account.receiving;
    assert_eq!((r.clocks, r.inside_kept), ([1, 2, 42, 0], 0));
}

#[test]
fn accounts_that_cannot_be_are_flaws() {
    let payload = Accounts::to_payload(Role::Final, 9, &[kept(&article(896))]);
    let text = String::from_utf8(payload).unwrap();
    for (from, to) in [
        ("\"tail-append\":[", "\"no-such-cause\":["),
        ("\"move_count\":0", "\"move_count\":5"),
        ("\"worst_ns\":", "\"worst_n\":"),
        ("\"w\":", "\"w\":99999999999,\"w2\":"),
        ("\"role\":\"final\"", "\"role\":\"x\""),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let bad = text.replacen(from, to, 1);
        assert!(Accounts::from_payload(bad.as_bytes()).is_err(), "{to}");
    }
    // Sums that would overflow with the next booking.
    let total = text.find("\"total\":{").unwrap() + "\"total\":{".len();
    let bad = format!(
        "{}\"fin\":[{},0,1],{}",
        &text[..total],
        i64::MAX,
        &text[total..]
    );
    assert!(Accounts::from_payload(bad.as_bytes()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whatever a file claims, there is a verdict, in words and as JSON.
    #[test]
    fn any_numbers_can_be_told_of(
        numbers in vec(prop_oneof![any::<u32>(), Just(0), Just(u32::MAX), Just(1 << 31)], 64),
        times in vec(prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)], 24),
        sums in vec(-(1i64 << 56)..=1 << 56, 24),
    ) {
        let mut kept = kept(&article(896));
        let a = &mut *kept.account;
        let mut n = numbers.iter().copied().cycle();
        let mut next = || n.next().unwrap();
        let mut t = times.iter().copied().cycle();
        let mut time = || t.next().unwrap();
        for view in [&mut a.last, &mut a.ledger.worst_view] {
            view.wmem_queued = next().cast_signed();
            view.sndbuf = next().cast_signed();
            view.forward_alloc = next().cast_signed();
            view.write_seq = next();
            view.snd_una = next();
            view.snd_nxt = next();
            view.snd_wnd = next();
            view.mss = next();
            view.untrimmed = next();
            view.gso_segs = next() as u16;
            view.state = next() as u8;
            view.userlocks = next() as u8;
        }
        for balance in [&mut a.ledger.now, &mut a.ledger.worst] {
            balance.w = next().cast_signed();
            balance.sndbuf = next().cast_signed();
            balance.admission.at_ns = time();
            balance.admission.w = next().cast_signed();
            balance.admission.sndbuf = next().cast_signed();
            balance.since_mask = next();
            for (k, since) in balance.since.iter_mut().enumerate() {
                since.bytes = next().cast_signed();
                since.inferred = next().cast_signed();
                since.count = next();
                since.first_ns = time();
                balance.total[k].bytes = sums[k % sums.len()];
                balance.total[k].inferred = sums[(k + 5) % sums.len()];
                balance.total[k].count = sums[(k + 9) % sums.len()].unsigned_abs();
            }
        }
        a.ledger.worst_ns = time();
        a.ledger.worst_excess = next().cast_signed();
        a.ledger.at_peak = next() & 1;
        a.ledger.view_wanted = next() & 1;
        a.ledger.move_count = next();
        for m in &mut a.ledger.moves {
            (m.at_ns, m.from, m.to) = (time(), next().cast_signed(), next().cast_signed());
            m.cause = (next() % 5) as u8;
        }
        a.ident.flags = next();
        a.ident.so_sndbuf = next().cast_signed();
        a.ident.seen_ns = time();
        a.last_ns = time();
        a.blocked.waits = time();
        a.blocked.refusals = time();
        a.blocked.total_ns = time();
        a.blocked.longest_ns = time();
        a.blocked.since_ns = time();
        a.blocked.short_writes = time();
        a.blocked.refused_ns = time();
        a.blocked.wrote_ns = time();
        a.blocked.older = next();
        a.blocked.nospace = next();
        a.blocked.asleep = next();
        a.blocked.reasons = [next(), next(), next()];
        a.blocked.reason_ns = [time(), time(), time()];
        a.blocked.since_reason = next();
        a.blocked.sysctl_lowat = next();
        a.scheduled.refused = time();
        (a.overhead, a.write_seq, a.snd_una) = (next(), next(), next());
        (a.lost, a.ops_lost) = (next(), next());
        let kept = back(&kept);
        for at_end in [false, true] {
            let setting = VerdictContext { at_end, now_ns: time(), ..SETTING };
            let verdict = Verdict::of(&kept.account, &setting);
            prop_assert!(!render::text(&verdict, &Style::PLAIN).is_empty());
            prop_assert!(!render::json(&verdict).unwrap().is_empty());
            prop_assert!(!render::listing(&[render::Listed::of(&verdict)], &Style::PLAIN).is_empty());
            prop_assert!(!render::overview(&[verdict], &Style::PLAIN).is_empty());
        }
    }
}

#[test]
fn an_operation_more_than_the_largest_sum_does_not_overflow() {
    let mut kept = kept(&article(896));
    kept.account.ledger.now.total[Cause::Ack as usize].bytes = 1 << 56;
    let mut replay = crate::model::replay::Replay::default();
    kept.account.lost = 1;
    replay.checkpoint(&back(&kept).account);
    let mut event = Event {
        socket: kept.account.ident.id,
        event_no: kept.account.event_no + 1,
        ..Event::default()
    };
    event.header.ops = 1;
    event.ops[0].kind = OP_BOOK;
    event.ops[0].cause = Cause::Ack as u8;
    event.ops[0].value = i32::MAX;
    replay.apply(&Record::Event(event));
    let total = replay.socket(event.socket).unwrap().ledger.now.total[Cause::Ack as usize];
    assert_eq!(total.bytes, (1 << 56) + i64::from(i32::MAX));
}
