//! What a recording comes to: with its end, without it, and where records were
//! lost.

use skmem_common::{
    cause::Cause,
    ledger::Balance,
    record::{Open, VERSION},
};

use super::*;
use crate::{
    explain::Source,
    model::replay::Replay,
    recording::{Outcome, outcome, playback},
    render,
};

const KERNEL: &str = "6.12.48-cloud-amd64";

/// The record that opens a socket's account.
fn opened(socket: &Socket) -> Record {
    let mut open = Open {
        time_ns: 1_000_000_000,
        ident: socket.account.ident,
        ..Open::default()
    };
    open.header.version = VERSION;
    open.header.len = size_of::<Open>() as u16;
    open.header.hook = Hook::Open as u8;
    open.view.sndbuf = 8192;
    open.view.userlocks = 1;
    open.view.write_seq = 1_000_000;
    open.view.snd_una = 1_000_000;
    Record::Open(open)
}

/// The article's socket, and all of its records.
fn story() -> (Socket, Vec<Record>) {
    let socket = article(896);
    let mut records = vec![opened(&socket)];
    records.extend(socket.events.iter().map(|e| Record::Event(*e)));
    (socket, records)
}

fn written(records: &[Record], after: impl FnOnce(&mut Writer<Vec<u8>>)) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &meta()).unwrap();
    records.iter().for_each(|r| writer.record(r).unwrap());
    writer.flush().unwrap();
    after(&mut writer);
    std::mem::take(writer.get_mut())
}

fn outcome_of(bytes: &[u8]) -> Outcome {
    outcome(|| Recording::new(bytes)).unwrap().0
}

/// The sums that both have, the kernel's account and replay.
fn sums(balance: &Balance) -> Vec<(i32, i32, i64, u64)> {
    let mut sums = vec![(
        balance.w,
        balance.sndbuf,
        i64::from(balance.admission.w),
        balance.admission.count,
    )];
    for cause in Cause::ALL {
        let (total, since) = (balance.total(*cause), balance.since(*cause));
        let since = since.map_or((0, 0), |s| (s.bytes, s.inferred));
        sums.push((since.0, since.1, total.bytes, total.count));
    }
    sums
}

fn assert_same_sums(a: &Account, b: &Account) {
    assert_eq!(sums(&a.ledger.now), sums(&b.ledger.now));
    assert_eq!(sums(a.ledger.at_worst()), sums(b.ledger.at_worst()));
    assert_eq!(a.ledger.worst_excess, b.ledger.worst_excess);
    assert_eq!(a.ident, b.ident);
}

#[test]
fn with_its_end_the_verdict_is_the_live_one_to_the_byte() {
    let (socket, records) = story();
    let kept = kept(&socket);
    let totals = Totals {
        now_ns: 77_000_000_000,
        skipped_runs: 3,
        wmem_max: Some(212_992),
        notsent_lowat: Some(u32::MAX),
        ..Totals::default()
    };
    let bytes = written(&records, |w| {
        w.accounts(Role::Closed, 1, std::slice::from_ref(&kept))
            .unwrap();
        w.end(std::slice::from_ref(&kept), &totals).unwrap();
    });
    let live = End {
        totals,
        open: vec![kept.clone()],
        closed: vec![kept],
    };
    let outcome = outcome_of(&bytes);
    assert_eq!((outcome.missing, outcome.omitted), (None, 0));
    for (all, at_end) in [(false, false), (true, true)] {
        let json = |end: &End, source| -> Vec<String> {
            let verdicts = end.verdicts(KERNEL, all, at_end, source);
            verdicts.iter().map(|v| render::json(v).unwrap()).collect()
        };
        let of_live = json(&live, Source::Kernel);
        assert_eq!(of_live.len(), 2);
        assert_eq!(json(&outcome.end, outcome.source()), of_live);
    }
}

#[test]
fn without_an_end_replay_tells_the_same_sums_and_says_that_it_did() {
    let (socket, records) = story();
    let outcome = outcome_of(&written(&records, |_| {}));
    assert_eq!(outcome.missing, Some(playback::NO_END));
    let [only] = &outcome.end.open[..] else {
        panic!("{:?}", outcome.end.open.len());
    };
    assert_same_sums(&only.account, &socket.account);
    assert_eq!(only.account.overhead, 896);
    assert_eq!(only.account.event_no, socket.account.event_no);
    let verdicts = outcome.end.verdicts(KERNEL, false, false, outcome.source());
    assert!(!verdicts[0].complete);
    assert!(verdicts[0].incomplete_because[0].contains("no end"));
    assert_eq!(verdicts[0].excess, 7184);
}

#[test]
fn a_closed_sockets_account_is_the_kernels_even_without_an_end() {
    let (socket, records) = story();
    let bytes = written(&records, |w| {
        w.accounts(Role::Closed, 1, &[kept(&socket)]).unwrap();
    });
    let outcome = outcome_of(&bytes);
    assert_eq!((outcome.end.open.len(), outcome.end.closed.len()), (0, 1));
    let verdicts = outcome.end.verdicts(KERNEL, false, false, outcome.source());
    assert!(verdicts[0].complete, "{:?}", verdicts[0].incomplete_because);
}

#[test]
fn a_damaged_recording_says_so() {
    let (_, records) = story();
    let mut bytes = written(&records, |w| w.end(&[], &Totals::default()).unwrap());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let outcome = outcome_of(&bytes);
    assert_eq!(outcome.missing, Some(playback::DAMAGED));
    assert_eq!(outcome.end.open.len(), 1);
    // As a SIGKILL within the last write leaves it.
    bytes.truncate(last);
    let outcome = outcome_of(&bytes);
    assert_eq!(outcome.missing, Some(playback::NO_END));
    assert_eq!(outcome.end.open.len(), 1);
}

/// The account as it was after the first `n` of the socket's records and `pending`
/// operations of the next one.
fn account_after(records: &[Record], n: usize, pending: usize) -> Account {
    let mut replay = Replay::default();
    records[..n].iter().for_each(|r| replay.apply(r));
    let Record::Event(next) = records[n] else {
        panic!("no event");
    };
    let mut early = next;
    early.header.ops = pending as u8;
    early.header.flags |= skmem_common::record::FLAG_LOCKLESS;
    replay.apply(&Record::Event(early));
    let mut account = *replay.socket(17).unwrap().account(17);
    account.op_count = pending as u32;
    account
}

#[test]
fn lost_records_before_a_checkpoint_cost_nothing() {
    let (socket, records) = story();
    let at = records.len() * 2 / 3;
    for pending in [0, 1] {
        let mut account = account_after(&records, at, pending);
        account.lost = 3;
        // Three records are missing; the last two before the checkpoint lie behind it in the file.
        let lossy = [&records[..10], &records[13..at - 2]].concat();
        let mut writer = Writer::new(Vec::new(), &meta()).unwrap();
        lossy.iter().for_each(|r| writer.record(r).unwrap());
        let checkpoint = SavedAccount {
            account: Box::new(account),
            stream_agrees: None,
            sleepers: Vec::new(),
        };
        writer.accounts(Role::Checkpoint, 2, &[checkpoint]).unwrap();
        records[at - 2..]
            .iter()
            .for_each(|r| writer.record(r).unwrap());
        writer.flush().unwrap();
        let outcome = outcome_of(&std::mem::take(writer.get_mut()));
        let [only] = &outcome.end.open[..] else {
            panic!("one socket");
        };
        assert_same_sums(&only.account, &socket.account);
        assert_eq!(only.account.lost, 3);
    }
}

#[test]
fn a_checkpoint_is_passed_over_where_nothing_was_lost() {
    let (socket, records) = story();
    let at = records.len() / 2;
    let mut wrong = account_after(&records, at, 0);
    wrong.ledger.book(Cause::Fin as u8, 0, 1_000_000, 5);
    let mut replay = Replay::default();
    records[..at].iter().for_each(|r| replay.apply(r));
    replay.checkpoint(&wrong);
    records[at..].iter().for_each(|r| replay.apply(r));
    let account = replay.socket(17).unwrap().account(17);
    assert_same_sums(&account, &socket.account);
}

#[test]
fn a_part_goes_on_from_the_accounts_at_its_start() {
    let (socket, records) = story();
    let at = records.len() / 2;
    let account = account_after(&records, at, 0);
    let mut replay = Replay::default();
    replay.checkpoint(&account);
    records[at..].iter().for_each(|r| replay.apply(r));
    let rebuilt = replay.socket(17).unwrap().account(17);
    assert_same_sums(&rebuilt, &socket.account);
    assert_eq!(replay.socket(17).unwrap().missed, 0);
}

#[test]
fn lost_records_without_a_checkpoint_are_counted() {
    let (_, records) = story();
    let lossy = [&records[..10], &records[13..]].concat();
    let outcome = outcome_of(&written(&lossy, |_| {}));
    let verdicts = outcome.end.verdicts(KERNEL, true, false, outcome.source());
    assert_eq!(verdicts[0].lost_events, 3);
    let because = verdicts[0].incomplete_because.join("\n");
    assert!(because.contains("3 records of this socket"), "{because}");
    assert!(!because.contains("exact"), "{because}");
}

#[test]
fn a_recording_may_claim_any_number_of_sockets() {
    let mut writer = Writer::new(Vec::new(), &meta()).unwrap();
    for n in 0..5000 {
        let mut event = Event {
            socket: n,
            ..Event::default()
        };
        event.header.hook = Hook::Ack as u8;
        writer.record(&Record::Event(event)).unwrap();
    }
    writer.flush().unwrap();
    let outcome = outcome_of(&std::mem::take(writer.get_mut()));
    assert_eq!(outcome.end.open.len(), 64, "as many as max_sockets says");
    assert_eq!(outcome.omitted, 5000 - 64);
}
