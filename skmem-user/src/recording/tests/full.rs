//! Recordings on a disk that gets full.

use std::io::{self, Write};

use super::*;
use crate::{model::end::WRITE_FAILED, recording::storage::Storage};

/// A disk of a given number of pages, with one file.
#[derive(Debug)]
struct Disk {
    file: Vec<u8>,
    room: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.room - self.file.len());
        if n == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Storage for Disk {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.cut(length)
    }
}

/// Writes until the disk is full, a block every `flush` records, and now and
/// then a socket that closes; then ends. Gives what was said of the end, how
/// many sockets closed before, and the file.
fn filled(room: usize, flush: u32) -> (io::Result<()>, usize, Vec<u8>) {
    let socket = kept(&article(896));
    let file = Vec::new();
    let mut writer = Writer::new(Disk { file, room }, &meta()).unwrap();
    let mut closed = 0;
    let full = (0..u32::MAX).find_map(|n| {
        let mut wrote = writer.record(&event(n));
        if n % flush == 0 {
            wrote = wrote.and_then(|()| writer.flush());
        }
        if n % 1024 == 1023 {
            let one = std::slice::from_ref(&socket);
            wrote = wrote.and_then(|()| writer.accounts(Role::Closed, 6, one));
            closed += usize::from(wrote.is_ok());
        }
        wrote.err()
    });
    assert_eq!(
        full.map(|e| e.kind()),
        Some(io::ErrorKind::StorageFull),
        "{room}"
    );
    let asked = Totals {
        reason: "asked".into(),
        ..Totals::default()
    };
    let ended = writer.end(&[socket], &asked);
    (ended, closed, std::mem::take(&mut writer.get_mut().file))
}

#[test]
fn the_last_records_give_way_to_the_end() {
    let mut gave_way = 0;
    for room in (8 << 10..48 << 10).step_by(509) {
        for flush in [7, 100, 5000] {
            let (ended, closed, file) = filled(room, flush);
            let (records, damage, end) = read(&file).unwrap();
            assert_eq!(damage, None, "{room} {flush}");
            let end = end.unwrap_or_else(|| panic!("{room} {flush}: {ended:?}"));
            assert_eq!(end.totals.reason, WRITE_FAILED);
            let said = Recording::new(&file[..]).map(|mut r| {
                r.accounts_only();
                while r.next_item().is_some() {}
                r.shortcoming()
            });
            let said = said.unwrap().unwrap_or_default();
            assert!(said.contains("its last records are missing"), "{said}");
            assert_eq!(end.totals.records, records);
            assert_eq!(
                (end.open.len(), end.closed.len()),
                (1, closed),
                "{room} {flush}"
            );
            gave_way += usize::from(ended.is_err());
        }
    }
    assert!(gave_way > 20, "{gave_way}");
}

#[test]
fn an_end_that_finds_no_room_takes_no_account_along() {
    // Only accounts lie before it, which may not be lost.
    let socket = kept(&article(896));
    let file = Vec::new();
    let mut writer = Writer::new(
        Disk {
            file,
            room: 16 << 10,
        },
        &meta(),
    )
    .unwrap();
    let one = std::slice::from_ref(&socket);
    let mut closed = 0;
    while writer.accounts(Role::Closed, 6, one).is_ok() {
        closed += 1;
    }
    let ended = writer.end(&vec![socket; 200], &Totals::default());
    assert_eq!(ended.map_err(|e| e.kind()), Err(io::ErrorKind::StorageFull));
    let mut recording = Recording::new(&writer.get_mut().file[..]).unwrap();
    assert_eq!(recording.records().count(), 0);
    assert_eq!(recording.damage(), None);
    assert!(recording.end().is_none());
    assert_eq!(recording.closed().count, closed);
}

#[test]
fn no_room_for_the_beginning() {
    let file = Vec::new();
    let writer = Writer::new(Disk { file, room: 100 }, &meta());
    assert_eq!(writer.unwrap_err().kind(), io::ErrorKind::StorageFull);
}
