//! The causes, each as a small stream of hooks: what the programs see, and
//! what the ledger then says. Tests here read as the definition of a cause.

#[expect(dead_code, reason = "the other tests use the rest of it")]
mod stream;

use skmem_common::{
    account::{FRAME_SPLICE, FRAME_ZEROCOPY, FRAMES, PROBING_NO, PROBING_UNKNOWN, PROBING_YES},
    cause::{Cause, LimitCause, Tier},
    hook::Hook,
    record::IDENT_MPTCP,
};
use stream::{O, Stream};

/// `TCP_ESTABLISHED` and `TCP_SYN_SENT` of the kernel's `tcp_states.h`.
const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;

#[test]
fn a_new_skb_and_its_first_fill() {
    let mut s = Stream::new(8192);
    s.enter(Hook::SendmsgLocked)
        .new_skb()
        .copy(1024)
        .leave(Hook::SendmsgLocked);
    s.has(&[(Cause::NewSkb, O), (Cause::FirstFill, 1024)]);
    let admission = s.account.ledger.now.admission;
    assert_eq!(
        (admission.w, admission.sndbuf, admission.count),
        (0, 8192, 1)
    );
}

#[test]
fn a_later_call_appends_to_the_tail_whatever_the_limit() {
    let mut s = Stream::new(4608);
    s.enter(Hook::SendmsgLocked)
        .new_skb()
        .copy(1024)
        .leave(Hook::SendmsgLocked);
    for _ in 0..9 {
        s.enter(Hook::SendmsgLocked)
            .copy(1024)
            .leave(Hook::SendmsgLocked);
    }
    s.has(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 1024),
        (Cause::TailAppend, 9216),
    ]);
    assert_eq!(s.account.ledger.worst_excess, O + 10240 - 4608);
    assert_eq!(
        s.account.ledger.now.admission.count, 1,
        "one test for ten writes"
    );
}

#[test]
fn what_a_split_left_is_refilled() {
    let mut s = Stream::new(8192);
    s.enter(Hook::SendmsgLocked)
        .new_skb()
        .copy(4096)
        .enter(Hook::WriteXmit);
    s.split().leave(Hook::WriteXmit).leave(Hook::SendmsgLocked);
    s.enter(Hook::SendmsgLocked)
        .copy(1024)
        .leave(Hook::SendmsgLocked);
    s.has(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 4096),
        (Cause::TsoSplit, O),
        (Cause::TailRefill, 1024),
    ]);
}

#[test]
fn merges_and_splits_of_one_transmission_are_told_apart() {
    let mut s = Stream::new(1 << 20);
    s.enter(Hook::SendmsgLocked)
        .new_skb()
        .copy(3000)
        .new_skb()
        .copy(3000);
    s.enter(Hook::WriteXmit)
        .split()
        .change(-2 * O)
        .leave(Hook::WriteXmit);
    s.leave(Hook::SendmsgLocked);
    s.has(&[
        (Cause::NewSkb, 2 * O),
        (Cause::FirstFill, 6000),
        (Cause::TsoSplit, O),
        (Cause::TailMerge, -2 * O),
    ]);
}

#[test]
fn an_ack_frees_and_a_sack_merges() {
    let mut s = Stream::new(1 << 20);
    s.enter(Hook::SendmsgLocked)
        .new_skb()
        .copy(2896)
        .new_skb()
        .copy(2896);
    s.leave(Hook::SendmsgLocked);
    s.enter(Hook::Ack).change(-O).leave(Hook::Ack);
    s.enter(Hook::Ack)
        .acked(2896)
        .change(-2896)
        .leave(Hook::Ack);
    s.has(&[
        (Cause::NewSkb, 2 * O),
        (Cause::FirstFill, 5792),
        (Cause::SackShift, -O),
        (Cause::Ack, -2896),
    ]);
}

#[test]
fn fragments_are_named_after_who_asked() {
    for (around, cause) in [
        (Some(Hook::Retransmit), Cause::RetransmitFragment),
        (Some(Hook::Ack), Cause::SackSplit),
        (Some(Hook::WriteXmit), Cause::TsoSplit),
        (Some(Hook::LossProbe), Cause::ProbeSplit),
        (None, Cause::ProbeSplit),
    ] {
        let mut s = Stream::new(1 << 20);
        if let Some(around) = around {
            s.enter(around);
        }
        s.enter(Hook::Fragment).change(O).leave(Hook::Fragment);
        if let Some(around) = around {
            s.leave(around);
        }
        s.has(&[(cause, O)]);
    }
}

#[test]
fn zerocopy_charges_whole_pages() {
    let mut s = Stream::new(1 << 20);
    s.enter_with(Hook::SendmsgLocked, FRAME_ZEROCOPY).new_skb();
    // Two pages are charged before write_seq shows that they hold 5000 bytes.
    s.change(8192)
        .book_pending()
        .written(5000)
        .leave(Hook::SendmsgLocked);
    s.has(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 5000),
        (Cause::ZerocopyPageRounding, 3192),
    ]);
}

#[test]
fn spliced_pages_are_splice() {
    let mut s = Stream::new(1 << 20);
    s.enter_with(Hook::SendmsgLocked, FRAME_SPLICE)
        .new_skb()
        .copy(4096);
    s.leave(Hook::SendmsgLocked);
    s.has(&[(Cause::NewSkb, O), (Cause::Splice, 4096)]);
}

#[test]
fn the_first_and_the_last_skb() {
    let mut s = Stream::new(8192);
    s.seen.state = SYN_SENT;
    s.enter(Hook::Connect)
        .alloc()
        .change(O)
        .written(1)
        .leave(Hook::Connect);
    s.seen.state = ESTABLISHED;
    s.enter(Hook::Ack).acked(1).change(-O).leave(Hook::Ack);
    s.enter(Hook::SendFin)
        .change(O)
        .written(1)
        .leave(Hook::SendFin);
    s.enter(Hook::Purge).change(-O).leave(Hook::Purge);
    s.has(&[
        (Cause::Syn, O),
        (Cause::Ack, -O),
        (Cause::Fin, O),
        (Cause::Purge, -O),
    ]);
}

#[test]
fn a_connect_whose_end_was_not_seen_names_nothing_later() {
    let mut s = Stream::new(8192);
    s.seen.state = SYN_SENT;
    s.enter(Hook::Connect).alloc().alloc().change(O).written(1);
    s.book_pending();
    s.seen.state = ESTABLISHED;
    // Neither its exit nor the send's entry ran.
    s.copy(4096).book_pending();
    s.has(&[(Cause::SynData, O), (Cause::TailAppend, 4096)]);
    let total = s.account.ledger.now.total(Cause::TailAppend);
    assert_eq!(total.inferred, 4096);
}

#[test]
fn payload_that_memory_was_forced_for_is_told_apart() {
    let mut s = Stream::new(1 << 20);
    s.enter(Hook::SendmsgLocked).new_skb();
    s.copy(500).schedule(false);
    // tcp_wmem_schedule forces what is left of tcp_wmem[0].
    s.copy(3_200).schedule(true);
    s.copy(800);
    s.leave(Hook::SendmsgLocked);
    s.has(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 500 + 800),
        (Cause::Forced, 3_200),
    ]);
    // A refusal is the call's own: the next one does not start with it.
    s.enter(Hook::SendmsgLocked).schedule(false);
    s.leave(Hook::SendmsgLocked);
    s.enter(Hook::SendmsgLocked).copy(100);
    s.leave(Hook::SendmsgLocked);
    assert_eq!(s.account.ledger.now.total(Cause::Forced).bytes, 3_200);
}

#[test]
fn an_skb_was_tested_against_the_limit_before_its_own_allocation_cut_it() {
    let mut s = Stream::older(20_000, 12_000);
    s.enter(Hook::SendmsgLocked);
    // tcp_stream_alloc_skb asks for memory, which cuts the limit to half of the queue.
    s.limit(6_000, false).schedule(true);
    s.new_skb().copy(100).leave(Hook::SendmsgLocked);
    let admission = s.account.ledger.now.admission;
    assert_eq!((admission.w, admission.sndbuf), (12_000, 20_000));
    s.check();
    // Cut for payload, the next skb is tested against the new one.
    let mut s = Stream::older(20_000, 2_000);
    s.enter(Hook::SendmsgLocked)
        .limit(6_000, false)
        .schedule(true);
    s.copy(1_000).new_skb().copy(1);
    s.leave(Hook::SendmsgLocked);
    let admission = s.account.ledger.now.admission;
    assert_eq!((admission.w, admission.sndbuf), (3_000, 6_000));
    s.check();
}

#[test]
fn an_mtu_probe_is_named_by_whoever_sees_it_first() {
    let mut s = Stream::new(1 << 20);
    s.enter(Hook::SendmsgLocked).new_skb().copy(20_000);
    s.leave(Hook::SendmsgLocked);
    s.seen.probing = PROBING_NO;
    s.enter(Hook::WriteXmit);
    // tcp_mtu_probe: a new skb of 3,000 bytes, two small ones eaten; the next hook on the socket is
    // the allocation for a split.
    s.seen.probing = PROBING_YES;
    s.change(O + 3_000 - 2 * O - 2_000).split();
    s.seen.probing = PROBING_UNKNOWN;
    s.leave(Hook::WriteXmit);
    s.has(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 20_000),
        (Cause::MtuProbe, 1_000 - O),
        (Cause::TsoSplit, O),
    ]);
}

#[test]
fn an_mtu_probe_leaves_the_tail_the_remainder_of_a_split() {
    let mut s = Stream::new(1 << 20);
    s.enter(Hook::SendmsgLocked).new_skb().copy(20_000);
    s.leave(Hook::SendmsgLocked);
    s.enter(Hook::WriteXmit).split();
    s.leave(Hook::WriteXmit);
    s.seen.probing = PROBING_NO;
    s.enter(Hook::WriteXmit);
    s.probe_alloc();
    s.seen.probing = PROBING_YES;
    s.change(O);
    s.leave(Hook::WriteXmit);
    s.enter(Hook::SendmsgLocked).copy(1_421);
    s.leave(Hook::SendmsgLocked);
    s.has(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 20_000),
        (Cause::TsoSplit, O),
        (Cause::MtuProbe, O),
        (Cause::TailRefill, 1_421),
    ]);
}

#[test]
fn a_subflow_gets_the_limit_of_its_mptcp_socket() {
    let mut s = Stream::new(16_384);
    s.account.ident.flags |= IDENT_MPTCP;
    s.limit(65_536, true).book_pending();
    let ledger = &s.account.ledger;
    assert_eq!(ledger.moves[0].cause, LimitCause::MptcpSync as u8);
    s.check();
}

#[test]
fn a_split_and_a_merge_that_cancel_are_both_reports() {
    let mut s = Stream::older(1 << 20, 60_000);
    s.account.overhead = O as u32;
    s.enter(Hook::WriteXmit).split().change(-O);
    s.leave(Hook::WriteXmit);
    s.has(&[
        (Cause::PreExisting, 60_000),
        (Cause::TsoSplit, O),
        (Cause::TailMerge, -O),
    ]);
}

#[test]
fn what_was_written_and_acknowledged_unseen_is_reports() {
    let mut s = Stream::new(1 << 20);
    s.enter(Hook::SendmsgLocked).new_skb().copy(10);
    s.leave(Hook::SendmsgLocked);
    s.enter(Hook::Ack)
        .acked(10)
        .change(-O - 10)
        .leave(Hook::Ack);
    // Neither the send nor the ACK ran.
    s.written(4_096).acked(4_096).book_pending();
    let total = |c| s.account.ledger.now.total(c);
    assert_eq!(total(Cause::TailAppend).inferred, 4_096);
    assert_eq!(total(Cause::Ack).inferred, -4_096);
    s.check();
}

#[test]
fn the_syn_and_its_data_are_two_skbs() {
    let mut s = Stream::new(8192);
    s.seen.state = SYN_SENT;
    s.enter(Hook::Connect).alloc().change(O).written(1);
    s.alloc().change(O + 1_024).written(1_024);
    s.leave(Hook::Connect);
    s.has(&[(Cause::Syn, O), (Cause::SynData, O + 1_024)]);
}

#[test]
fn transitions_are_few() {
    let mut s = Stream::new(8192);
    let reports = |s: &mut Stream, hook| s.account.transition(hook, 0);
    s.enter(Hook::SendmsgLocked).new_skb().copy(7_000);
    s.leave(Hook::SendmsgLocked);
    assert!(!reports(&mut s, Hook::SendmsgLocked), "within the limit");
    s.enter(Hook::SendmsgLocked).copy(1_000);
    s.leave(Hook::SendmsgLocked);
    assert!(
        reports(&mut s, Hook::SendmsgLocked),
        "over it for the first time"
    );
    assert!(!reports(&mut s, Hook::SendmsgLocked), "that was reported");
    s.enter(Hook::SendmsgLocked).copy(500);
    s.leave(Hook::SendmsgLocked);
    assert!(!reports(&mut s, Hook::SendmsgLocked), "a little further");
    s.enter(Hook::SendmsgLocked).copy(1_000);
    s.leave(Hook::SendmsgLocked);
    assert!(reports(&mut s, Hook::SendmsgLocked), "twice as far");
    s.limit(4_608, true).book_pending();
    assert!(reports(&mut s, Hook::Ack), "the limit moved");
    assert!(!reports(&mut s, Hook::WaitMemory), "the end of a wait");
    assert!(s.account.transition(Hook::WaitMemory, 1), "asleep");
    assert!(!reports(&mut s, Hook::Purge));
    s.account.closing = 1;
    assert!(reports(&mut s, Hook::Purge), "closed");
}

#[test]
fn a_reset_is_no_ordinary_purge() {
    let mut s = Stream::older(8192, 5000);
    s.enter(Hook::Reset)
        .enter(Hook::Purge)
        .change(-5000)
        .leave(Hook::Purge);
    s.leave(Hook::Reset);
    s.has(&[(Cause::PreExisting, 5000), (Cause::Reset, -5000)]);
}

#[test]
fn a_sleeping_sender_takes_its_call_along() {
    let mut s = Stream::new(1 << 20);
    s.enter(Hook::SendmsgLocked).new_skb().copy(1000);
    let sleeping = s.wait_begin();
    // Another thread sends meanwhile, and an ACK comes in.
    s.enter(Hook::SendmsgLocked)
        .copy(500)
        .leave(Hook::SendmsgLocked);
    s.enter(Hook::Ack).acked(700).change(-700).leave(Hook::Ack);
    s.wait_end(sleeping);
    s.copy(200).leave(Hook::SendmsgLocked);
    s.has(&[
        (Cause::NewSkb, O),
        (Cause::FirstFill, 1000),
        (Cause::TailAppend, 700),
        (Cause::Ack, -700),
    ]);
    assert_eq!((s.account.stale, s.account.orphans), (0, 0));
}

#[test]
fn limits_move_by_direction_and_lock() {
    let mut s = Stream::older(87040, 20000);
    s.limit(174_080, false).book_pending();
    s.limit(10000, false).book_pending();
    s.limit(50000, true).book_pending();
    s.limit(8192, true).book_pending();
    let moves: Vec<_> = s.account.ledger.moves[..4]
        .iter()
        .map(|m| (m.from, m.to, LimitCause::from_u8(m.cause)))
        .collect();
    assert_eq!(
        moves,
        [
            (87_040, 174_080, Some(LimitCause::AutotunedUp)),
            (174_080, 10_000, Some(LimitCause::ShrunkByMemoryPressure)),
            (10_000, 50_000, Some(LimitCause::SetByApplication)),
            (50000, 8192, Some(LimitCause::LoweredBelowQueue)),
        ]
    );
    assert_eq!(s.account.ledger.worst_excess, 20000 - 8192);
}

#[test]
fn without_its_call_a_change_is_named_from_the_fields() {
    // Payload and an skb, an ACK, a FIN: no hook saw who did it.
    let mut s = Stream::new(1 << 20);
    s.account.overhead = O as u32;
    s.change(O + 1448).written(1448).book_pending();
    s.acked(1448).change(-1448).book_pending();
    s.change(O).written(1).book_pending();
    s.has(&[
        (Cause::SkbOverhead, O),
        (Cause::TailAppend, 0),
        (Cause::FirstFill, 1448),
        (Cause::Ack, -1448),
        (Cause::Fin, O),
    ]);
    let now = &s.account.ledger.now;
    assert!(
        now.total.iter().all(|t| t.bytes == t.inferred),
        "all inferred"
    );
}

#[test]
fn what_nothing_explains_is_said_to_be_so() {
    let mut s = Stream::new(1 << 20);
    s.change(77).book_pending();
    s.has(&[(Cause::Unattributed, 77)]);
}

#[test]
fn an_end_without_a_start_names_its_bytes_as_inferred() {
    let mut s = Stream::older(8192, 3000);
    s.acked(1000).change(-1000).leave(Hook::Ack);
    s.has(&[(Cause::PreExisting, 3000), (Cause::Ack, -1000)]);
    assert_eq!(s.account.ledger.now.total(Cause::Ack).inferred, -1000);
    assert_eq!(s.account.orphans, 1);
}

#[test]
fn an_end_without_a_start_was_called_from_the_call_that_is_open() {
    let mut s = Stream::new(1 << 20);
    s.enter(Hook::Retransmit)
        .change(O)
        .leave(Hook::Fragment)
        .leave(Hook::Retransmit);
    s.has(&[(Cause::RetransmitFragment, O)]);
    assert_eq!((s.account.orphans, s.account.stale), (1, 0));
}

#[test]
fn an_end_without_a_start_finds_room_among_open_calls() {
    let mut s = Stream::new(1 << 20);
    for _ in 0..FRAMES {
        s.enter(Hook::Retransmit);
    }
    s.change(O).leave(Hook::Fragment);
    s.has(&[(Cause::RetransmitFragment, O)]);
    assert_eq!((s.account.orphans, s.account.stale), (1, 1));
    assert_eq!(s.account.depth as usize, FRAMES - 1);
}

#[test]
fn a_start_without_an_end_is_dropped_when_it_cannot_be_open() {
    let mut s = Stream::new(8192);
    s.enter(Hook::Ack);
    s.enter(Hook::SendmsgLocked)
        .new_skb()
        .copy(10)
        .leave(Hook::SendmsgLocked);
    assert_eq!((s.account.depth, s.account.stale), (0, 1));
    s.has(&[(Cause::NewSkb, O), (Cause::FirstFill, 10)]);
}

#[test]
fn the_worst_instant_is_kept_whole() {
    let mut s = Stream::new(4608);
    s.enter(Hook::SendmsgLocked)
        .new_skb()
        .copy(9000)
        .leave(Hook::SendmsgLocked);
    s.enter(Hook::Ack)
        .acked(9000)
        .change(-9000 - O)
        .leave(Hook::Ack);
    s.enter(Hook::SendmsgLocked)
        .new_skb()
        .copy(100)
        .leave(Hook::SendmsgLocked);
    let worst = s.account.ledger.at_worst();
    assert_eq!(worst.w, O + 9000);
    assert_eq!(worst.since(Cause::FirstFill).map(|c| c.bytes), Some(9000));
    assert_eq!(worst.since(Cause::Ack), None);
    s.check();
}

#[test]
fn names_are_unique_and_round_trip() {
    for cause in Cause::ALL {
        assert_eq!(Cause::from_name(cause.name()), Some(*cause));
        assert_eq!(Cause::from_u8(*cause as u8), Some(*cause));
    }
    assert_eq!(Cause::from_u8(200), None);
    assert_eq!(Tier::Observed as u8, 0);
}
