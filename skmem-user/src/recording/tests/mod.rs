//! Recordings made by hand, there and back, and damaged in every way.

use std::io::Cursor;

use proptest::{collection::vec, prelude::*};
use skmem_common::{account::Account, hook::Hook, record::Event};

use super::{
    Accounts, Clock, Damage, FormatError, Item, Meta, Recording, RecordingError, Role, Writer,
    events,
};
use crate::{
    model::{
        end::{End, SavedAccount, Totals},
        record::Record,
    },
    testing::socket::{Socket, article},
};

mod accounts;
mod choice;
mod full;
mod hostile;
mod outcomes;

fn meta() -> Meta {
    Meta {
        skmem: "0.1.0".into(),
        host: "here".into(),
        kernel: "6.12.48-cloud-amd64".into(),
        max_sockets: 64,
        clock: Clock {
            monotonic_ns: 1_000_000_000,
            wall_ns: 1_800_000_000_000_000_000,
        },
        ..Meta::default()
    }
}

fn kept(socket: &Socket) -> SavedAccount {
    SavedAccount {
        account: Box::new(socket.account),
        stream_agrees: Some(true),
        sleepers: vec![(7, 1_000), (8, 2_000)],
    }
}

fn event(n: u32) -> Record {
    let mut event = Event {
        time_ns: 1_000_000_000 + u64::from(n) * 1000,
        socket: 17,
        event_no: n + 1,
        ..Event::default()
    };
    event.header.version = skmem_common::record::VERSION;
    event.header.len = skmem_common::record::SHORT_EVENT as u16;
    event.header.hook = Hook::Ack as u8;
    event.view.write_seq = n * 1448;
    Record::Event(event)
}

/// A recording of `n` events and one socket, with blocks of every kind.
fn recording(n: u32) -> Vec<u8> {
    let socket = kept(&article(896));
    let mut writer = Writer::new(Vec::new(), &meta()).unwrap();
    for k in 0..n {
        writer.record(&event(k)).unwrap();
        if k == n / 2 {
            writer
                .accounts(Role::Checkpoint, 5, std::slice::from_ref(&socket))
                .unwrap();
        }
    }
    writer
        .accounts(Role::Closed, 6, std::slice::from_ref(&socket))
        .unwrap();
    writer.end(&[socket], &Totals::default()).unwrap();
    std::mem::take(writer.get_mut())
}

/// Reads all of it: how many records, and what was wrong.
fn read(bytes: &[u8]) -> Result<(u64, Option<Damage>, Option<End>), RecordingError> {
    let mut recording = Recording::new(bytes)?;
    let mut n = 0;
    while let Some(item) = recording.next_item() {
        n += u64::from(matches!(item, Item::Record(_)));
    }
    assert_eq!(n, recording.read());
    Ok((n, recording.damage().cloned(), recording.end()))
}

#[test]
fn a_recording_holds_what_was_put_in() {
    let bytes = recording(40_000);
    let mut recording = Recording::new(Cursor::new(bytes)).unwrap();
    assert_eq!(recording.meta(), &meta());
    let records: Vec<Record> = recording.records().collect();
    assert_eq!(records, (0..40_000).map(event).collect::<Vec<_>>());
    assert_eq!(recording.damage(), None);
    let end = recording.end().unwrap();
    assert_eq!(end.totals.records, 40_000);
    assert_eq!((end.open.len(), end.closed.len()), (1, 1));
}

#[test]
fn accounts_only_counts_records() {
    let bytes = recording(20_000);
    let mut recording = Recording::new(&bytes[..]).unwrap();
    recording.accounts_only();
    let mut roles = Vec::new();
    while let Some(item) = recording.next_item() {
        match item {
            Item::Accounts(a) => roles.push(a.role),
            Item::Record(_) => panic!("a record"),
        }
    }
    assert_eq!(roles, [Role::Checkpoint, Role::Closed, Role::Final]);
    assert_eq!(recording.read(), 20_000);
    assert!(recording.end().is_some());
}

/// A record with what [`Recording::skim`] keeps of it.
fn surveyed(record: Record) -> Record {
    let Record::Event(event) = record else {
        return record;
    };
    let mut kept = Event {
        header: event.header,
        time_ns: event.time_ns,
        socket: event.socket,
        ops: event.ops,
        ..Event::default()
    };
    kept.header.cpu = 0;
    kept.view.wmem_queued = event.view.wmem_queued;
    kept.view.sndbuf = event.view.sndbuf;
    Record::Event(kept)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_records_there_and_back(records in vec(events::tests::record(), 0..80)) {
        let mut writer = Writer::new(Vec::new(), &meta()).unwrap();
        for (n, record) in records.iter().enumerate() {
            writer.record(record).unwrap();
            if n % 7 == 0 {
                writer.flush().unwrap();
            }
        }
        writer.flush().unwrap();
        let bytes = std::mem::take(writer.get_mut());
        prop_assert_eq!(bytes.len() as u64, writer.bytes());
        let mut recording = Recording::new(&bytes[..]).unwrap();
        prop_assert_eq!(&recording.records().collect::<Vec<_>>(), &records);
        prop_assert_eq!(recording.damage(), None);
        prop_assert!(recording.end().is_none());
        let mut skimmed = Recording::new(&bytes[..]).unwrap();
        skimmed.skim();
        prop_assert_eq!(
            skimmed.records().map(surveyed).collect::<Vec<_>>(),
            records.iter().copied().map(surveyed).collect::<Vec<_>>()
        );
        let mut counted = Recording::new(&bytes[..]).unwrap();
        counted.accounts_only();
        prop_assert!(counted.next_item().is_none());
        prop_assert_eq!(counted.read(), records.len() as u64);
    }
}
