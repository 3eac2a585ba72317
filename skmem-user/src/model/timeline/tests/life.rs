//! How long an skb's bytes stay queued.

use skmem_common::{cause::Cause, hook::Hook};

use crate::model::timeline::{Life, Mark, Track, life::End};
use crate::testing::story::{O, START, Story};

fn lives(story: &Story) -> Vec<Life> {
    let mut all = Vec::new();
    let mut track = Track::default();
    let mut take = |mark| {
        if let Mark::Life(life) = mark {
            all.push(life);
        }
    };
    for record in &story.records {
        track.feed(record, &mut take);
    }
    track.finish(story.now, &mut take);
    all
}

#[test]
fn a_life_ends_when_its_last_byte_is_acknowledged() {
    let mut s = Story::new(17, 8192);
    s.admit().written(Cause::FirstFill, 1000);
    // Two skbs in one call, one record.
    s.admit().written(Cause::FirstFill, 500);
    s.end(Hook::SendmsgLocked);
    let queued = s.now;
    s.written(Cause::TailAppend, 100).end(Hook::SendmsgLocked);
    s.ack(999, 0).ack(1, O + 1000);
    let first_ends = s.now;
    s.ack(599, 0);
    s.wait_us(50);
    let all = lives(&s);
    let [first, second] = all[..] else {
        panic!("{all:?}")
    };
    assert_eq!(
        first,
        Life {
            from_ns: queued,
            to_ns: first_ends,
            bytes: 1000,
            admitted: true,
            end: End::Acknowledged
        }
    );
    assert_eq!((second.bytes, second.end), (600, End::Open));
    assert_eq!(second.to_ns, s.now);
    assert!(first.from_ns > START);
}

#[test]
fn an_skb_that_was_not_used_has_no_life() {
    let mut s = Story::new(17, 8192);
    s.admit()
        .book(Cause::UnusedSkb, -O)
        .end(Hook::SendmsgLocked);
    s.admit()
        .written(Cause::FirstFill, 10)
        .end(Hook::SendmsgLocked);
    s.ack(10, O + 10);
    let all = lives(&s);
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].bytes, all[0].end), (10, End::Acknowledged));
}

#[test]
fn a_reset_ends_all_of_them() {
    let mut s = Story::new(17, 8192);
    s.admit()
        .written(Cause::FirstFill, 10)
        .end(Hook::SendmsgLocked);
    s.book(Cause::SkbOverhead, O).written(Cause::FirstFill, 20);
    s.end(Hook::SendmsgLocked);
    s.book(Cause::Reset, -2 * O - 30).end(Hook::Reset);
    let all = lives(&s);
    let ends: Vec<_> = all.iter().map(|l| (l.bytes, l.admitted, l.end)).collect();
    assert_eq!(ends, [(10, true, End::Purged), (20, false, End::Purged)]);
}
