//! Sleeps and refusals.

use skmem_common::hook::Hook;

use crate::model::timeline::{Mark, Track};
use crate::testing::story::Story;

#[test]
fn a_sleep_has_a_start_and_an_end_a_refusal_only_an_end() {
    let mut s = Story::new(17, 8192);
    s.sleep_us(300);
    s.end_with(Hook::WaitMemory, |e| {
        e.tid = 9;
        e.arg = 2;
        e.ret = -11;
    });
    s.end_with(Hook::WaitMemory, |e| {
        e.kind = 1;
        e.arg = 1;
    });
    s.wait_us(70);
    let mut track = Track::default();
    let mut said = Vec::new();
    let mut take = |mark| match mark {
        Mark::Sleep(s) => said.push((s.reason.name(), s.to_ns - s.from_ns, s.open)),
        Mark::Refusal(r) => said.push((r.reason.name(), 0, false)),
        _ => {}
    };
    s.records.iter().for_each(|r| track.feed(r, &mut take));
    track.finish(s.now, &mut take);
    assert_eq!(
        said,
        [
            ("limit", 310_000, false),
            ("notsent_lowat", 0, false),
            ("memory", 70_000, true)
        ]
    );
}
