//! Any records, there and back.

use proptest::{collection::vec, prelude::*};
use skmem_common::{
    hook::Hook,
    record::{Event, FLAG_LOCKLESS, SHORT_EVENT},
};

use super::{Decoder, Encoder, ROWS, flat};
use crate::{
    model::record::Record,
    recording::events::{
        MOST,
        tests::{header, record, steady},
    },
};

fn back(payload: Vec<u8>) -> Vec<Record> {
    let mut decoder = Decoder::new(payload).unwrap();
    std::iter::from_fn(|| decoder.next().unwrap().copied()).collect()
}

fn payload(records: &[Record]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    records.iter().for_each(|r| encoder.push(r));
    encoder.take()
}

/// Reads all that can be read.
fn read(payload: Vec<u8>) -> u64 {
    let Ok(mut decoder) = Decoder::new(payload) else {
        return 0;
    };
    let mut n = 0;
    while let Ok(Some(_)) = decoder.next() {
        n += 1;
    }
    n
}

proptest! {
    #[test]
    fn there_and_back(records in vec(record(), 0..60), again in 1..5usize) {
        let records = records.repeat(again);
        let mut encoder = Encoder::default();
        for _ in 0..2 {
            // A second block starts afresh.
            records.iter().for_each(|r| encoder.push(r));
            prop_assert_eq!(encoder.records() as usize, records.len());
            prop_assert_eq!(&back(encoder.take()), &records);
        }
    }

    #[test]
    fn what_is_not_compressed_is_the_same(records in vec(record(), 0..60)) {
        let flat = flat(&payload(&records)).unwrap();
        prop_assert_eq!(&back(flat), &records);
    }

    #[test]
    fn no_bytes_are_too_bad(bytes in vec(any::<u8>(), 0..400)) {
        read(bytes);
    }

    #[test]
    fn bad_payloads_are_errors_or_other_records(
        records in vec(record(), 1..20),
        again in 1..20usize,
        flips in vec((any::<prop::sample::Index>(), 0..8u32), 1..4),
        is_flat: bool,
    ) {
        let mut payload = payload(&records.repeat(again));
        if is_flat {
            payload = flat(&payload).unwrap();
        }
        for (at, bit) in flips {
            let at = at.index(payload.len());
            payload[at] ^= 1 << bit;
        }
        prop_assert!(read(payload) <= MOST);
    }
}

fn event() -> Event {
    Event {
        header: header(Hook::SendmsgLocked, SHORT_EVENT, 0, 0),
        ..Event::default()
    }
}

#[test]
fn steady_traffic_takes_few_bytes() {
    let records = steady(1000);
    let payload = payload(&records);
    // Of a time of 13 bits, and of two numbers that are nearly always the same.
    assert!(payload.len() < 2000, "{} bytes", payload.len());
    assert_eq!(back(payload), records);
}

#[test]
fn rows_without_a_number_are_written_each_time() {
    let mut records = Vec::new();
    for _ in 0..2 {
        for n in 0..ROWS as i32 + 200 {
            let mut event = event();
            event.arg = n * n;
            records.push(Record::Event(event));
        }
    }
    assert_eq!(back(payload(&records)), records);
}

#[test]
fn times_may_go_back() {
    let records = [7, 3, u64::MAX, 0, 1 << 63, 5].map(|time_ns| {
        let event = Event { time_ns, ..event() };
        Record::Event(event)
    });
    assert_eq!(back(payload(&records)), records);
}

#[test]
fn a_lockless_record_does_not_count() {
    let mut event = event();
    (event.header.flags, event.event_no) = (FLAG_LOCKLESS, 7);
    let records = [Record::Event(event); 3];
    assert_eq!(back(payload(&records)), records);
}

#[test]
fn what_contradicts_itself_is_told() {
    let why = |payload: &[u8]| {
        let mut decoder = match Decoder::new(payload.to_vec()) {
            Ok(decoder) => decoder,
            Err(why) => return why.to_string(),
        };
        loop {
            match decoder.next() {
                Ok(Some(_)) => {}
                Ok(None) => return String::new(),
                Err(why) => return why.to_string(),
            }
        }
    };
    let payload = flat(&payload(&steady(2))).unwrap();
    assert_eq!(why(&payload), "");
    for length in 0..payload.len() {
        assert!(!why(&payload[..length]).is_empty(), "{length}");
    }
    // A record, no change of the socket, no times, sockets and rows; the columns.
    assert!(why(&[1, 0, 0, 0, 0, 1, 35]).contains("too short"));
    assert!(why(&[1, 0, 0, 0, 0, 0]).contains("without its columns"));
    assert!(why(&[0xff, 0xff, 0xff, 0xff, 0x0f]).contains("more records"));
    assert!(why(&[1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]).contains("are cut"));
    // A row in full, whose first word is that of tcp_ack.
    let mut columns = vec![1, 0, 2, 0, 2, 0, 0, 0, 0, 38, 35, 1];
    columns.resize(11 + 32, 0);
    columns.extend([1, 0, 0, 7, 0]);
    columns[9] = columns.len() as u8 - 10;
    assert!(why(&columns).contains("a socket that has no number"));
    // More than any block has, decompressed.
    let most = [1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(why(&most).contains("more than a block may have"));
}
