//! Whatever order hooks come in, and whichever of them are skipped, the
//! account closes.

#[expect(dead_code, reason = "the other tests use the rest of it")]
mod stream;

use proptest::prelude::*;
use skmem_common::{account::Frame, hook::Hook};
use stream::Stream;

#[derive(Debug, Clone)]
enum Step {
    Enter(Hook, u8),
    Leave(Hook),
    Settle,
    Change(i16),
    Written(u16),
    Acked(u16),
    Limit(u16, bool),
    NewSkb,
    Split,
    Wait,
    Wake,
}

fn step() -> impl Strategy<Value = Step> {
    let hook = prop::sample::select(Hook::ALL[1..].to_vec());
    prop_oneof![
        (hook.clone(), 0u8..8).prop_map(|(h, f)| Step::Enter(h, f)),
        hook.prop_map(Step::Leave),
        Just(Step::Settle),
        any::<i16>().prop_map(Step::Change),
        any::<u16>().prop_map(Step::Written),
        any::<u16>().prop_map(Step::Acked),
        (any::<u16>(), any::<bool>()).prop_map(|(s, l)| Step::Limit(s, l)),
        Just(Step::NewSkb),
        Just(Step::Split),
        Just(Step::Wait),
        Just(Step::Wake),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_account_always_closes(w in 0..100_000, steps in prop::collection::vec(step(), 0..200)) {
        let mut s = Stream::older(8192, w);
        let mut asleep: Vec<Frame> = Vec::new();
        for step in steps {
            match step {
                Step::Enter(hook, flags) => { s.enter_with(hook, flags); }
                Step::Leave(hook) => { s.leave(hook); }
                Step::Settle => { s.book_pending(); }
                Step::Change(n) => { s.change(n.into()); }
                Step::Written(n) => { s.written(n.into()); }
                Step::Acked(n) => { s.acked(n.into()); }
                Step::Limit(n, locked) => { s.limit(n.into(), locked); }
                Step::NewSkb => { s.new_skb(); }
                Step::Split => { s.split(); }
                Step::Wait => asleep.push(s.wait_begin()),
                Step::Wake => if let Some(frame) = asleep.pop() { s.wait_end(frame); },
            }
        }
        s.book_pending();
        s.check();
        prop_assert!(s.account.depth as usize <= skmem_common::account::FRAMES);
    }
}
