//! A part of a recording, where the account that it begins with has bookings that the next record
//! carries, too.

use std::sync::Arc;

use skmem_common::record::OP_BOOK;

use super::*;
use crate::{
    model::replay::Replay,
    recording::{
        Playback,
        choice::{Choice, Window, span},
    },
};

/// What all records and accounts come to.
fn played(mut recording: Recording<&[u8]>) -> Vec<SavedAccount> {
    let mut player = Playback::new(64);
    while let Some(item) = recording.next_item() {
        player.take(&item);
    }
    player.accounts()
}

#[test]
fn bookings_that_await_their_record_are_not_made_twice() {
    let socket = article(896);
    let has_book = |event: &Event| event.header.ops > 0 && event.ops[0].kind == OP_BOOK;
    let next = (3..socket.events.len())
        .find(|n| has_book(&socket.events[*n]))
        .unwrap();
    // The kernel's account after the first records, with the first booking of the next one.
    let mut replay = Replay::default();
    let records: Vec<Record> = socket.events.iter().map(|e| Record::Event(*e)).collect();
    records[..next].iter().for_each(|r| replay.apply(r));
    let id = socket.account.ident.id;
    let mut account = replay.socket(id).unwrap().account(id);
    account.ident = socket.account.ident;
    let op = socket.events[next].ops[0];
    let then = records[next - 1].time_ns();
    account.ledger.book(op.cause, op.tier, op.value, then);
    account.op_count = 1;
    account.ops[0] = op;
    let began = SavedAccount {
        account,
        stream_agrees: None,
        sleepers: Vec::new(),
    };
    let mut writer = Writer::new(Vec::new(), &meta()).unwrap();
    writer.accounts(Role::Checkpoint, then, &[began]).unwrap();
    records[next..]
        .iter()
        .for_each(|r| writer.record(r).unwrap());
    writer.flush().unwrap();
    let bytes = std::mem::take(writer.get_mut());
    let whole = played(Recording::new(&bytes[..]).unwrap());
    let window = Window {
        from: Some(then + 1),
        to: None,
    };
    let choice = Choice::of(
        Recording::new(&bytes[..]).unwrap(),
        |_, _| true,
        window,
        Vec::new(),
    );
    assert_eq!((choice.kept(), choice.of_all()), (1, 1));
    let part = played(Recording::new(&bytes[..]).unwrap().only(Arc::new(choice)));
    assert_eq!(part[0].account.ledger.now, whole[0].account.ledger.now);
    assert_eq!(part[0].account.event_no, whole[0].account.event_no);
}

#[test]
fn a_recording_spans_its_records_and_its_end() {
    let bytes = recording(1000);
    let mut whole = Recording::new(&bytes[..]).unwrap();
    assert_eq!(
        span(&mut whole),
        Some((1_000_000_000, 1_000_000_000 + 999_000))
    );
    let mut empty = Writer::new(Vec::new(), &meta()).unwrap();
    let bytes = std::mem::take(empty.get_mut());
    assert_eq!(span(&mut Recording::new(&bytes[..]).unwrap()), None);
}
