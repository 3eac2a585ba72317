//! From records to a picture.

use proptest::prelude::*;
use skmem_common::{
    cause::{Cause, LimitCause},
    hook::Hook,
};

use crate::model::{
    replay::Replay,
    timeline::{Mark, Sample, Timeline, Track},
};
use crate::testing::story::{O, START, Story, article};

fn samples(story: &Story) -> Vec<Sample> {
    let mut all = Vec::new();
    let mut track = Track::default();
    for record in &story.records {
        track.feed(record, |mark| {
            if let Mark::Sample(s) = mark {
                all.push(s);
            }
        });
    }
    all
}

fn of(sample: &Sample, cause: Cause) -> i32 {
    sample.by_cause[cause as usize]
}

#[test]
fn the_stack_says_what_is_queued_now() {
    let story = article();
    let all = samples(&story);
    let worst = all.iter().max_by_key(|s| s.excess()).expect("samples");
    // 896 + 1,024 + 9,216 less 3,664 acknowledged, oldest first.
    assert_eq!(of(worst, Cause::NewSkb), 0);
    assert_eq!(of(worst, Cause::FirstFill), 0);
    assert_eq!(of(worst, Cause::TailAppend), 9_216 - (3_664 - 896 - 1_024));
    assert_eq!(of(worst, Cause::ProbeSplit), O);
    assert_eq!(of(worst, Cause::TailRefill), 5_120);
    assert_eq!(worst.wmem_queued, 13_488);
    assert_eq!(worst.send_q, 1_024 + 9_216 + 5_120 - 3_664);
}

#[test]
fn it_agrees_with_the_ledger_at_every_record() {
    let story = article();
    let (mut replay, mut track) = (Replay::default(), Track::default());
    for record in &story.records {
        replay.apply(record);
        let mut last = None;
        track.feed(record, |mark| {
            if let Mark::Sample(s) = mark {
                last = Some(s);
            }
        });
        let ledger = &replay.socket(17).expect("the socket").ledger;
        if let Some(last) = last {
            assert_eq!(last.wmem_queued, ledger.now.w);
            assert_eq!(last.sndbuf, ledger.now.sndbuf);
            assert_eq!(last.by_cause.iter().sum::<i32>(), ledger.now.w);
        }
    }
}

#[test]
fn a_peak_within_one_record_is_a_sample() {
    let mut s = Story::new(17, 8192);
    s.book(Cause::TailAppend, 20_000).book(Cause::Ack, -19_000);
    s.end(Hook::SendmsgLocked);
    let peak = samples(&s).iter().map(|s| s.wmem_queued).max();
    assert_eq!(peak, Some(20_000));
}

#[test]
fn after_a_gap_the_next_record_says_what_is_queued() {
    let mut s = Story::new(17, 8192);
    s.admit().end(Hook::SendmsgLocked);
    s.written(Cause::TailAppend, 4000).end(Hook::SendmsgLocked);
    s.lose_last();
    s.written(Cause::TailAppend, 100).end(Hook::SendmsgLocked);
    let all = samples(&s);
    let last = all.last().expect("samples");
    assert_eq!(last.wmem_queued, O + 4100);
    assert_eq!(of(last, Cause::Unattributed), 4000);
    let mut t = Timeline::new(START, s.now, 10, 100);
    s.records.iter().for_each(|r| t.feed(r));
    assert_eq!(t.gaps().map(|g| g.count).sum::<u64>(), 1);
}

#[test]
fn without_its_first_record_what_was_there_is_pre_existing() {
    let mut s = Story::new(17, 8192);
    s.admit().end(Hook::SendmsgLocked);
    s.written(Cause::TailAppend, 4000).end(Hook::SendmsgLocked);
    s.records.drain(..2);
    let all = samples(&s);
    let last = all.last().expect("samples");
    assert_eq!(of(last, Cause::PreExisting), O);
    assert_eq!(of(last, Cause::TailAppend), 4000);
}

#[test]
fn a_timeline_has_all_marks() {
    let story = article();
    let mut t = Timeline::new(START, story.now, 100, 1000);
    story.records.iter().for_each(|r| t.feed(r));
    t.finish();
    assert_eq!(t.admissions().map(|a| a.count).sum::<u64>(), 2);
    let (moves, count) = t.moves();
    assert_eq!((moves.len(), count), (1, 1));
    assert_eq!((moves[0].from, moves[0].to), (8192, 16_384));
    assert_eq!(moves[0].cause, LimitCause::SetByApplication);
    assert_eq!(t.slept(), (1, 400_010_000));
    let [sleep] = t.sleeps() else {
        panic!("{:?}", t.sleeps())
    };
    assert_eq!(sleep.reason.name(), "limit");
    assert_eq!(t.worst().map(Sample::excess), Some(13_488 - 8_192));
}

#[test]
fn sequence_numbers_of_an_empty_queue_are_no_send_q() {
    let mut s = Story::new(17, 8192);
    // connect() has chosen write_seq, and not set snd_una yet.
    s.view.snd_una = 0;
    s.end(Hook::Connect);
    assert_eq!(
        samples(&s).last().map(|s| (s.send_q, s.in_flight)),
        Some((0, 0))
    );
}

#[test]
fn a_socket_within_its_limit_shows_where_most_was_queued() {
    let mut s = Story::new(17, 10_000);
    s.book(Cause::TailAppend, 500).end(Hook::SendmsgLocked);
    s.limit(LimitCause::AutotunedUp, 90_000).end(Hook::Ack);
    s.book(Cause::TailAppend, 20_000).end(Hook::SendmsgLocked);
    let mut t = Timeline::new(START, s.now, 10, 100);
    s.records.iter().for_each(|r| t.feed(r));
    assert_eq!(t.worst().map(|w| w.wmem_queued), Some(20_500));
}

#[test]
fn a_window_starts_with_what_was_before_it() {
    let story = article();
    let from = START + 200_000_000;
    let mut t = Timeline::new(from, story.now, 100, 1000);
    story.records.iter().for_each(|r| t.feed(r));
    t.finish();
    let all = t.samples();
    assert_eq!(all[0].time_ns, from);
    assert!(all[0].wmem_queued > 0);
    assert_eq!(t.admissions().map(|a| a.count).sum::<u64>(), 1);
}

#[test]
fn many_limit_moves_and_sleeps_take_bounded_memory() {
    let mut s = Story::new(17, 8192);
    for n in 0..6_000 {
        s.limit(LimitCause::AutotunedUp, 8192 + n)
            .end(Hook::Ack)
            .sleep_us(5)
            .wait_us(5);
    }
    let mut t = Timeline::new(START, s.now, 50, 10);
    s.records.iter().for_each(|r| t.feed(r));
    t.finish();
    assert!(t.moves().0.len() <= 1_050);
    assert_eq!(t.moves().1, 6_000);
    assert!(t.sleeps().len() <= 200, "{}", t.sleeps().len());
    assert_eq!(t.slept().0, 6_000);
    assert_eq!(t.sleeps().iter().map(|s| s.sleeps).sum::<u64>(), 6_000);
    // 14 samples a column at most, and the one before.
    assert!(t.samples().len() <= 50 * 14 + 1);
}

#[derive(Debug, Clone)]
enum Step {
    Book(usize, i32),
    Limit(i32),
    Admit,
    End,
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..Cause::ALL.len(), -50_000i32..50_000).prop_map(|(c, n)| Step::Book(c, n)),
        1 => (0i32..100_000).prop_map(Step::Limit),
        1 => Just(Step::Admit),
        3 => Just(Step::End),
        1 => Just(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Whatever is booked and whichever records are lost, every sample's stack
    /// is exactly as high as its `wmem_queued`, and that is what the record
    /// says.
    #[test]
    fn the_stack_is_as_high_as_the_queue(steps in prop::collection::vec(step(), 0..200)) {
        let mut s = Story::new(17, 8192);
        let mut in_record = 0;
        for step in steps {
            match step {
                Step::Book(c, n) => { s.book(Cause::ALL[c], n); in_record += 1; }
                Step::Limit(n) => { s.limit(LimitCause::AutotunedUp, n); in_record += 1; }
                Step::Admit => { s.admit(); in_record += 2; }
                Step::End => { s.end(Hook::Ack); in_record = 0; }
                Step::Lose => { s.end(Hook::Ack).lose_last(); in_record = 0; }
            }
            if in_record > 5 {
                s.end(Hook::Ack);
                in_record = 0;
            }
        }
        let mut track = Track::default();
        for record in &s.records {
            let mut last = None;
            track.feed(record, |mark| if let Mark::Sample(sample) = mark {
                assert_eq!(
                    sample.by_cause.iter().map(|n| i64::from(*n)).sum::<i64>(),
                    i64::from(sample.wmem_queued)
                );
                last = Some(sample);
            });
            if let (Some(last), crate::model::record::Record::Event(e)) = (last, record) {
                prop_assert_eq!(last.wmem_queued, e.view.wmem_queued);
                prop_assert_eq!(last.sndbuf, e.view.sndbuf);
            }
        }
    }
}
