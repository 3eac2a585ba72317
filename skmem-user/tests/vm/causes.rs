//! What a scenario is built to provoke is there, by the names of the catalog.

use std::collections::BTreeMap;

use skmem::explain::pages;
use skmem_common::{
    account::Account,
    cause::{Cause, LimitCause},
    record::{Event, OP_LIMIT},
};

use crate::{check::Check, formulas::page, verdict};

/// Causes that a kernel does not have: `(name, from this version on, why)`.
const SINCE: &[(&str, (u32, u32), &str)] = &[
    ("tail-merge", (6, 10), "tcp_grow_skb is not in this kernel"),
    ("forced", (5, 19), "tcp_wmem_schedule is not in this kernel"),
];

/// Causes that a case does not provoke where pages are larger than 4 KiB: `(case, name, why)`.
const SMALL_PAGES: &[(&str, &str, &str)] = &[
    (
        "article",
        "granted",
        "the page of the handshake covers all that is queued",
    ),
    (
        "zerocopy-small",
        "tail-append",
        "the page of one write is over the limit by itself",
    ),
    ("loopback", "probe-split", "no probe has to cut an skb"),
];

/// Sums over all sockets of a case.
#[derive(Debug, Default)]
pub struct Found {
    causes: BTreeMap<&'static str, (i64, u64)>,
}

impl Found {
    /// Of accounts at their end, and of the records that moved limits (an account keeps the last
    /// moves only).
    pub fn of(accounts: &[Box<Account>], limits: &[Event]) -> Self {
        let mut found = Self::default();
        for account in accounts {
            found.words(account);
            for cause in Cause::ALL {
                let total = account.ledger.now.total[*cause as usize];
                if total.count > 0 {
                    let sum = found.causes.entry(cause.name()).or_default();
                    *sum = (sum.0 + total.bytes, sum.1 + total.count);
                }
            }
        }
        let ops = limits
            .iter()
            .flat_map(|e| &e.ops[..usize::from(e.header.ops).min(e.ops.len())])
            .filter(|op| op.kind == OP_LIMIT);
        for op in ops {
            if let Some(cause) = LimitCause::from_u8(op.cause) {
                let sum = found.causes.entry(cause.name()).or_default();
                *sum = (i64::from(op.value), sum.1 + 1);
            }
        }
        found
    }

    /// What the verdict has names for beside the ledger: the steps from `SO_SNDBUF` to the limit,
    /// and the memory side.
    fn words(&mut self, account: &Account) {
        let verdict = verdict::of(account, false);
        for step in &verdict.limit_chain {
            let sum = self.causes.entry(step.cause.name()).or_default();
            *sum = (step.to, sum.1 + 1);
        }
        for (name, count) in verdict.memory.named() {
            self.causes.entry(name).or_default().1 += count;
        }
    }

    pub fn count(&self, name: &str) -> u64 {
        self.causes.get(name).map_or(0, |(_, count)| *count)
    }

    pub fn bytes(&self, name: &str) -> i64 {
        self.causes.get(name).map_or(0, |(bytes, _)| *bytes)
    }

    /// `name bytes ×count`, for people.
    pub fn line(&self) -> String {
        let words: Vec<String> = self
            .causes
            .iter()
            .map(|(name, (bytes, count))| format!("{name} {bytes} ×{count}"))
            .collect();
        words.join(", ")
    }

    /// Every cause that the scenario says it provokes was found.
    pub fn check(&self, check: &mut Check, case: &str, provokes: &[&str], kernel: (u32, u32)) {
        for name in provokes {
            let small = SMALL_PAGES.iter().find(|(c, n, _)| *c == case && n == name);
            if let Some((_, _, why)) = small.filter(|_| page() > 4096) {
                eprintln!("tests: {name}: pages are larger than 4 KiB, and {why}");
                continue;
            }
            if pages::find(name).is_err() {
                check.fails(format!("{name} is not a cause that skmem knows"));
                continue;
            }
            let newer = SINCE
                .iter()
                .find(|(n, since, _)| n == name && kernel < *since);
            match newer {
                Some((_, _, why)) => eprintln!("tests: {name}: {why}"),
                None => check.that(self.count(name) > 0, || {
                    format!("catalog: {name}, which this is said to provoke, was not seen")
                }),
            }
        }
    }
}
