//! Down-sampling keeps extremes.

use proptest::prelude::*;

use crate::model::timeline::{
    Sample,
    thin::{Curve, Thin, column},
};

fn sample(time_ns: u64, values: (i32, i32, u32, i32, i32)) -> Sample {
    let (wmem_queued, sndbuf, send_q, forward_alloc, wmem_alloc) = values;
    let mut sample = Sample {
        time_ns,
        wmem_queued,
        sndbuf,
        send_q,
        forward_alloc,
        wmem_alloc,
        ..Sample::default()
    };
    sample.by_cause[5] = wmem_queued;
    sample
}

#[test]
fn few_samples_are_all_kept() {
    let mut thin = Thin::new(0, 100, 4, 10);
    for n in 0..10 {
        thin.add(sample(n * 10, (n as i32, 8192, 0, 0, 0)));
    }
    assert_eq!(thin.samples().len(), 10);
    assert!(!thin.is_thinned());
    thin.add(sample(100, (3, 8192, 0, 0, 0)));
    assert!(thin.is_thinned());
    assert_eq!(thin.arrived(), 11);
}

#[test]
fn columns_cover_all_instants_and_nothing_else() {
    assert_eq!(column(5, 10, 20, 4), 0);
    assert_eq!(column(10, 10, 20, 4), 0);
    assert_eq!(column(20, 10, 20, 4), 3);
    assert_eq!(column(99, 10, 20, 4), 3);
    assert_eq!(column(u64::MAX, 0, u64::MAX, 4000), 3999);
    assert_eq!(column(7, 7, 7, 4), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_extreme_is_lost(
        values in prop::collection::vec(
            (0u64..1_000, (0i32..9_000, 1i32..9_000, 0u32..9_000, 0i32..900, 0i32..900)), 1..400),
        columns in 1usize..20,
        most in 0usize..50,
    ) {
        let mut values = values;
        values.sort_by_key(|(at, _)| *at);
        let all: Vec<Sample> = values.into_iter().map(|(at, v)| sample(at, v)).collect();
        let mut thin = Thin::new(0, 1_000, columns, most);
        all.iter().for_each(|s| thin.add(*s));
        let kept = thin.samples();
        prop_assert!(kept.len() <= most.max(columns * 14));
        prop_assert_eq!(kept.first(), all.first());
        prop_assert_eq!(kept.last(), all.last());
        prop_assert!(kept.is_sorted_by_key(|s| s.time_ns));
        // In every column, and so over all, each curve reaches as high and as
        // low as before.
        for n in 0..columns {
            let of = |list: &[Sample], curve: Curve| {
                let there = |s: &&Sample| column(s.time_ns, 0, 1_000, columns) == n;
                let values = list.iter().filter(there).map(|s| curve.of(s));
                (values.clone().min(), values.max())
            };
            for curve in Curve::ALL {
                prop_assert_eq!(of(&kept, curve), of(&all, curve), "{:?} in column {}", curve, n);
            }
        }
    }
}
