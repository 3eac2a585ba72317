//! Who is said to hold the sender up, in scenarios that have just that cause.

use std::collections::BTreeSet;

use skmem::explain::Verdict;
use skmem_common::account::Account;

use crate::{check::Check, sums, verdict};

/// The scenarios, and who holds the sender up in them at rest.
const EXPECTED: &[(&str, &str)] = &[
    // The receiver never reads, or has stopped.
    ("scenario::article", "receiver"),
    ("scenario::blocking-writer", "receiver"),
    ("scenario::one-large-write", "receiver"),
    ("scenario::autotuned", "receiver"),
    ("scenario::big-tcp", "receiver"),
    ("scenario::loss", "cwnd"),
    ("scenario::slow-link", "qdisc"),
    ("scenario::paced", "pacing"),
    ("paced::notsent-lowat", "notsent_lowat"),
    ("scenario::small-limit", "limit"),
    ("scenario::data-blackholed", "timeouts"),
];

/// A scenario of many sockets, one of which at least waits for memory.
const MEMORY: &str = "scenario::tcp-mem-fresh";

pub fn check(check: &mut Check, case: &str, accounts: &[Box<Account>]) {
    let expected = EXPECTED.iter().find(|(name, _)| *name == case);
    for account in accounts {
        let verdict = verdict::of(account, false);
        eprintln!("tests: {case}: blame {}", line(&verdict));
        // An MPTCP socket sends nothing itself: its subflows have these fields.
        check.equal(
            format!(
                "{}: what decides when bytes leave was read",
                sums::name(account)
            ),
            account.outputs.first.known(),
            !verdict.is_mptcp(),
        );
    }
    let blamed: BTreeSet<&str> = accounts
        .iter()
        .filter_map(|account| verdict::of(account, false).blame)
        .map(|blame| blame.holder.name())
        .collect();
    if case == MEMORY {
        check.that(blamed.contains("memory"), || {
            format!("nobody waits for memory: {blamed:?}")
        });
    }
    if let Some((_, holder)) = expected {
        check.equal("who holds the sender up", blamed, BTreeSet::from([*holder]));
    }
}

fn line(v: &Verdict) -> String {
    let blame = v.blame.as_ref().map_or("none".to_owned(), |b| {
        format!("{} ({}): {}", b.holder.name(), b.from.name(), b.sentence)
    });
    let held = v.hold_ups.iter();
    let held: Vec<_> = held
        .map(|h| format!("{} {}", h.holder.name(), h.count))
        .collect();
    format!(
        "{blame} hold-ups: {}; clocks {:?}",
        held.join(", "),
        v.clocks
    )
}
