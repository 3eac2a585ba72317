//! Files that are cut off, damaged, or made to do harm.

use super::*;
use crate::recording::{
    FORMAT, MAGIC,
    block::{self, Kind, LARGEST},
};

const START: usize = 16;

/// Records before byte `at`, by the file's own blocks.
fn blocks(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut at = START;
    let mut found = Vec::new();
    while at < bytes.len() {
        let word = |k: usize| u32::from_le_bytes(bytes[at + k..at + k + 4].try_into().unwrap());
        let length = block::HEADER + word(4) as usize;
        found.push((at, length));
        at += length;
    }
    assert_eq!(at, bytes.len());
    found
}

#[test]
fn a_file_cut_off_at_any_byte_opens_up_to_its_last_whole_block() {
    let bytes = recording(300);
    let blocks = blocks(&bytes);
    let first = blocks[0].0 + blocks[0].1;
    for cut in 0..bytes.len() {
        let result = read(&bytes[..cut]);
        if cut < START {
            assert!(matches!(result, Err(RecordingError::NoRecording)), "{cut}");
            continue;
        }
        if cut < first {
            let damaged = matches!(result, Err(RecordingError::Damaged(_)));
            assert!(damaged, "{cut}: {result:?}");
            continue;
        }
        let (records, damage, end) = result.unwrap();
        let whole = blocks.iter().any(|(at, _)| *at == cut);
        assert_eq!(damage.is_none(), whole, "{cut}");
        assert!(end.is_none(), "{cut}");
        if let Some(damage) = damage {
            let (at, _) = blocks.iter().rev().find(|(at, _)| *at < cut).unwrap();
            assert_eq!((damage.at, damage.records), (*at as u64, records));
            assert_eq!(damage.why, FormatError::Short);
        }
        // The first events block has 151 of them, up to the checkpoint.
        let events = blocks[1].0 + blocks[1].1;
        assert_eq!(records >= 151, cut >= events, "{cut}");
    }
    let (records, damage, end) = read(&bytes).unwrap();
    assert_eq!((records, damage), (300, None));
    assert!(end.is_some());
}

#[test]
fn any_flipped_bit_is_found_out() {
    let bytes = recording(40);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            match read(&bad) {
                // The four bytes after the format are for later versions.
                Ok((_, damage, _)) if (12..START).contains(&at) => assert_eq!(damage, None),
                // An older format has no such blocks of records.
                Ok((_, damage, _)) if at == 8 => {
                    assert_eq!(damage.unwrap().why, FormatError::Kind(5), "bit {bit}");
                }
                Ok((_, damage, end)) => {
                    assert!(damage.is_some() && end.is_none(), "byte {at} bit {bit}");
                    assert!(damage.unwrap().at <= at as u64);
                }
                Err(_) => assert!(at < blocks(&bytes)[1].0, "byte {at}"),
            }
        }
    }
}

#[test]
fn damage_says_where_and_after_how_many_events() {
    let mut bytes = recording(300);
    let (at, length) = blocks(&bytes)[3];
    bytes[at + length / 2] ^= 4;
    let (_, damage, _) = read(&bytes).unwrap();
    assert_eq!(
        damage.unwrap().to_string(),
        format!("stops at byte {at}: checksum wrong; 151 events before it")
    );
}

#[test]
fn other_files_are_no_recordings() {
    for other in [
        &b""[..],
        b"x",
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\0\0",
        &[0; 64],
    ] {
        assert!(matches!(read(other), Err(RecordingError::NoRecording)));
    }
    let mut future = recording(1);
    future[8..12].copy_from_slice(&(FORMAT + 1).to_le_bytes());
    let error = read(&future).unwrap_err();
    assert!(matches!(error, RecordingError::Future(n) if n == FORMAT + 1));
    assert!(error.to_string().contains("use a newer skmem"));
    future[8..12].copy_from_slice(&0u32.to_le_bytes());
    assert!(matches!(read(&future), Err(RecordingError::NoRecording)));
}

/// The start of a recording, and what is put behind it.
fn with(rest: &[u8]) -> Vec<u8> {
    let mut bytes = recording(0);
    bytes.truncate(blocks(&bytes)[1].0);
    bytes.extend_from_slice(rest);
    bytes
}

fn header(kind: u8, codec: u8, stored: u32, length: u32, payload: &[u8]) -> Vec<u8> {
    let mut block = vec![kind, codec, 0, 0];
    block.extend_from_slice(&stored.to_le_bytes());
    block.extend_from_slice(&length.to_le_bytes());
    let mut sum = crc32fast::Hasher::new();
    sum.update(&block);
    sum.update(payload);
    block.extend_from_slice(&sum.finalize().to_le_bytes());
    block.extend_from_slice(payload);
    block
}

fn flaw(rest: &[u8]) -> FormatError {
    let (_, damage, end) = read(&with(rest)).unwrap();
    assert!(end.is_none());
    damage.unwrap().why
}

#[test]
fn hostile_lengths_take_no_memory() {
    let huge = u32::MAX;
    assert_eq!(
        flaw(&header(2, 0, huge, 1, b"")),
        FormatError::Length(huge.into())
    );
    assert_eq!(
        flaw(&header(2, 1, 1, huge, b"x")),
        FormatError::Length(huge.into())
    );
    // As much as may be, and nothing behind it.
    let most = LARGEST as u32;
    assert_eq!(flaw(&header(2, 0, most, most, b"")), FormatError::Short);
    // JSON of more than a block of it may have.
    assert_eq!(
        flaw(&header(3, 1, 1, most, b"x")),
        FormatError::Length(most.into())
    );
}

#[test]
fn blocks_that_contradict_themselves() {
    assert_eq!(flaw(&header(9, 0, 1, 1, b"x")), FormatError::Kind(9));
    assert_eq!(flaw(&header(2, 7, 1, 1, b"x")), FormatError::Codec(7));
    assert_eq!(flaw(&header(2, 0, 1, 2, b"x")), FormatError::Decompress);
    assert_eq!(
        flaw(&header(2, 1, 4, 9, b"\xff\xff\xff\xff")),
        FormatError::Decompress
    );
    let content = |kind, payload: &[u8]| {
        let n = payload.len() as u32;
        flaw(&header(kind, 0, n, n, payload))
    };
    assert!(matches!(content(1, b"{}"), FormatError::Content(_)));
    assert!(matches!(content(3, b"{}"), FormatError::Json(..)));
    assert!(matches!(content(4, b"[1"), FormatError::Json(..)));
    assert!(matches!(content(2, b""), FormatError::Content(_)));
    // A gigabyte of records; a gigabyte of columns; a column of a gigabyte; numbers without an end.
    for payload in [
        &b"\xff\xff\xff\xff\x0f\x25"[..],
        b"\x01\xff\xff\xff\xff\x0f",
        b"\x01\x25\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        &[0xff; 40],
    ] {
        assert!(
            matches!(content(2, payload), FormatError::Content(_)),
            "{payload:?}"
        );
    }
}

#[test]
fn nothing_of_a_file_reaches_the_terminal_untamed() {
    let meta = Meta {
        host: "\x1b[2J\u{202e}".into(),
        command: vec!["\u{7f}".into(), "größe/1 --x=y".into()],
        filters: vec![("pid".into(), "\x07".into())],
        notes: vec!["\n".into()],
        trigger: Some("\x1b".into()),
        ..meta()
    };
    let mut writer = Writer::new(Vec::new(), &meta).unwrap();
    let totals = Totals {
        reason: "\x1b".into(),
        ..Totals::default()
    };
    writer.end(&[], &totals).unwrap();
    let bytes = std::mem::take(writer.get_mut());
    let mut recording = Recording::new(&bytes[..]).unwrap();
    assert!(recording.next_item().is_none());
    let read = recording.meta();
    assert_eq!(read.host, "?[2J?");
    assert_eq!(read.command, ["?", "größe/1 --x=y"]);
    assert_eq!(read.filters[0].1, "?");
    assert_eq!((&*read.notes[0], read.trigger.as_deref()), ("?", Some("?")));
    assert_eq!(recording.end().unwrap().totals.reason, "?");
    let json = b"{\"role\":\"\x1b\",\"now_ns\":1,\"accounts\":[]}";
    let n = json.len() as u32;
    let why = flaw(&header(3, 0, n, n, json)).to_string();
    assert!(!why.contains('\x1b'), "{why:?}");
}

#[test]
fn nothing_may_follow_the_end() {
    let mut bytes = recording(3);
    let more = block::sealed(Kind::Events, &[0]);
    bytes.extend_from_slice(&more);
    let (records, damage, end) = read(&bytes).unwrap();
    assert_eq!(records, 3);
    assert!(end.is_some(), "what was whole stays");
    assert_eq!(
        damage.unwrap().why,
        FormatError::Content("something follows the end")
    );
}

#[test]
fn the_first_block_must_say_what_it_is_of() {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    assert!(matches!(read(&bytes), Err(RecordingError::Damaged(_))));
    bytes.extend_from_slice(&block::sealed(Kind::End, b"{}"));
    assert!(matches!(read(&bytes), Err(RecordingError::Damaged(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damage_of_any_kind_is_told(
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        tail in vec(any::<u8>(), 0..40),
    ) {
        let good = recording(200);
        let mut bytes = good.clone();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
            bytes.extend_from_slice(&tail);
        }
        match read(&bytes) {
            Ok((records, damage, end)) => {
                prop_assert!(records <= 200);
                prop_assert!(end.is_none() || damage.is_some() || records == 200);
            }
            Err(e) => prop_assert!(!e.to_string().is_empty()),
        }
    }

    #[test]
    fn blocks_with_true_checksums_and_any_content(
        kind in 0..7u8, codec in 0..3u8, length in 0..5000u32, payload in vec(any::<u8>(), 0..300),
    ) {
        let n = payload.len() as u32;
        let length = if codec == 0 { n } else { length };
        let (_, damage, _) = read(&with(&header(kind, codec, n, length, &payload))).unwrap();
        prop_assert!(damage.is_some());
    }
}
