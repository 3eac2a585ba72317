//! Recordings made by hand.

use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{Excerpt, Recorded};
use crate::{
    model::{
        end::{SavedAccount, Totals},
        record::Record,
        replay::Replay,
        survey,
    },
    recording::{Clock, Meta, Role, Writer},
    testing::story::Story,
};

/// 2026-11-23 23:59:59 UTC: a second before midnight, when all stories begin.
pub(crate) const WALL: u64 = 1_795_478_399_000_000_000;

/// Writes what a `skmem record` on `host` would have written of these stories.
/// Each recording begins at an instant of its own.
pub(crate) fn write(path: &Path, host: &str, stories: &[&Story]) {
    let first = stories.first().map_or(0, |s| survey::id(&s.records[0]));
    let clock = Clock {
        monotonic_ns: crate::testing::story::START,
        // Ids may have all of their 64 bits.
        wall_ns: WALL + (first % (1 << 32)) * 1_000,
    };
    let meta = Meta {
        host: host.to_owned(),
        kernel: "6.12.48-cloud-amd64".to_owned(),
        clock,
        ..Meta::default()
    };
    let mut writer = Writer::new(File::create(path).expect("a file"), &meta).expect("written");
    let mut replay = Replay::default();
    let mut records: Vec<_> = stories.iter().flat_map(|s| &s.records).collect();
    records.sort_by_key(|r| r.time_ns());
    for record in records {
        replay.apply(record);
        writer.record(record).expect("written");
    }
    let now_ns = stories.iter().map(|s| s.now).max().unwrap_or_default();
    let mut kept: Vec<SavedAccount> = replay
        .sockets()
        .map(|(id, socket)| SavedAccount {
            account: socket.account(id),
            stream_agrees: Some(true),
            sleepers: socket.sleepers(),
        })
        .collect();
    kept.sort_by_key(|k| k.account.ident.id);
    let totals = Totals {
        now_ns,
        wmem_max: Some(212_992),
        ..Totals::default()
    };
    writer.end(&kept, &totals).expect("written");
}

/// Writes one file for each of `cuts` through a story's records, as `--rotate`
/// does, or where they overlap as `--flight` does: each begins and ends with the
/// socket's account. Without a `run`, as before there was one.
pub(crate) fn write_parts(
    dir: &Path,
    run: &str,
    flight_ns: u64,
    story: &Story,
    cuts: &[Range<usize>],
) -> Vec<PathBuf> {
    let account = |until: usize| {
        let mut replay = Replay::default();
        story.records[..until].iter().for_each(|r| replay.apply(r));
        let list = replay.sockets().map(|(id, socket)| SavedAccount {
            account: socket.account(id),
            stream_agrees: Some(true),
            sleepers: match run {
                "" => Vec::new(),
                _ => socket.sleepers(),
            },
        });
        let now_ns = story.records[..until].last().map_or(0, Record::time_ns);
        (list.collect::<Vec<_>>(), now_ns)
    };
    let part = |(n, cut): (usize, &Range<usize>)| {
        let meta = Meta {
            host: "db-2".to_owned(),
            clock: Clock {
                monotonic_ns: crate::testing::story::START,
                wall_ns: WALL + run.len() as u64 * 1_000,
            },
            run: run.to_owned(),
            part: match run {
                "" if flight_ns != 0 => 1,
                _ => n as u32 + 1,
            },
            flight_ns,
            ..Meta::default()
        };
        let path = dir.join(format!("part{n}-{flight_ns}{run}.skm"));
        let mut writer = Writer::new(File::create(&path).expect("a file"), &meta).expect("written");
        let (opening, now_ns) = account(cut.start);
        writer
            .accounts(Role::Checkpoint, now_ns, &opening)
            .expect("written");
        for record in &story.records[cut.clone()] {
            writer.record(record).expect("written");
        }
        let (last, now_ns) = account(cut.end);
        let totals = Totals {
            now_ns: now_ns + 1_000,
            ..Totals::default()
        };
        writer.end(&last, &totals).expect("written");
        path
    };
    cuts.iter().enumerate().map(part).collect()
}

#[test]
fn sockets_are_chosen_by_number_port_or_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.skm");
    let (mut a, mut b) = (Story::new(17, 8192), Story::new(18, 8192));
    a.written(skmem_common::cause::Cause::TailAppend, 9_000)
        .end(skmem_common::hook::Hook::SendmsgLocked);
    b.end(skmem_common::hook::Hook::Ack);
    write(&file, "h", &[&a, &b]);
    let recorded = Recorded::read(Excerpt::all(&file)).expect("a recording");
    assert_eq!(recorded.choose(None).expect("the worst"), 17);
    assert_eq!(recorded.choose(Some("18")).expect("by number"), 18);
    assert_eq!(recorded.choose(Some("0x12")).expect("by number"), 18);
    let error = recorded.choose(Some(":5001")).expect_err("two of them");
    assert!(error.to_string().contains("2 sockets match"), "{error}");
    let error = recorded.choose(Some("10.0.0.9:1")).expect_err("none");
    assert!(
        error.to_string().contains("10.0.0.1:40000>10.0.0.2:5001"),
        "{error}"
    );
    for one in ["10.0.0.1:40000", "10.0.0.1:40000>10.0.0.2:5001", ":40000"] {
        let only = dir.path().join("b.skm");
        write(&only, "h", &[&a]);
        let recorded = Recorded::read(Excerpt::all(&only)).expect("a recording");
        assert_eq!(recorded.choose(Some(one)).expect(one), 17);
    }
}

#[test]
fn what_is_no_recording_is_said_in_a_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.skm");
    let error = |path: &Path| {
        format!(
            "{:#}",
            Recorded::read(Excerpt::all(path)).err().expect("an error")
        )
    };
    assert!(error(&file).contains("a.skm"), "{}", error(&file));
    std::fs::write(&file, b"hello").expect("written");
    assert!(
        error(&file).contains("not an skmem recording"),
        "{}",
        error(&file)
    );
    write(&file, "h", &[]);
    assert!(error(&file).contains("holds no event"), "{}", error(&file));
}
