//! What a scenario is built to provoke is there, by the names of the catalog.

use std::collections::BTreeMap;

use skmem_common::{
    account::Account,
    cause::{Cause, LimitCause},
    record::{Event, OP_LIMIT},
};

use crate::check::Check;

/// Names in the catalog that the ledger does not have yet. A name that the ledger has is checked, and must leave this
/// table.
const NOT_YET: &[(&str, &str)] = &[
    (
        "doubled",
        "the verdict's `doubling` has it; no move is booked",
    ),
    (
        "raised-to-minimum",
        "the verdict's `doubling.raised` has it; no move is booked",
    ),
    (
        "inherited-from-listener",
        "a limit from birth: no move is booked",
    ),
];

/// Causes that a kernel does not have: `(name, from this version on, why)`.
const SINCE: &[(&str, (u32, u32), &str)] =
    &[("tail-merge", (6, 10), "tcp_grow_skb is not in this kernel")];

/// Sums over all sockets of a case.
#[derive(Debug, Default)]
pub struct Found {
    causes: BTreeMap<&'static str, (i64, u64)>,
    refused: u64,
}

impl Found {
    /// Of accounts at their end, and of the records that moved limits (an account keeps the last moves only).
    pub fn of(accounts: &[Box<Account>], limits: &[Event]) -> Self {
        let mut found = Self::default();
        for account in accounts {
            found.refused += account.scheduled.refused;
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

    pub fn count(&self, name: &str) -> u64 {
        self.causes.get(name).map_or(0, |(_, count)| *count)
    }

    pub fn bytes(&self, name: &str) -> i64 {
        self.causes.get(name).map_or(0, |(bytes, _)| *bytes)
    }

    /// `name bytes ×count`, for people.
    pub fn line(&self) -> String {
        let mut words: Vec<String> = self
            .causes
            .iter()
            .map(|(name, (bytes, count))| format!("{name} {bytes} ×{count}"))
            .collect();
        if self.refused > 0 {
            words.push(format!("refused ×{}", self.refused));
        }
        words.join(", ")
    }

    /// Every cause that the scenario says it provokes was found.
    pub fn check(&self, check: &mut Check, provokes: &[&str], kernel: (u32, u32)) {
        for name in provokes {
            let booked = Cause::from_name(name).is_some() || LimitCause::from_name(name).is_some();
            let excused = NOT_YET.iter().find(|(not_yet, _)| not_yet == name);
            let newer = SINCE
                .iter()
                .find(|(n, since, _)| n == name && kernel < *since);
            match (booked, excused, newer) {
                (true, Some(_), _) => check.fails(format!(
                    "{name} is a cause now: take it out of NOT_YET, and check it"
                )),
                (true, None, None) => check.that(self.count(name) > 0, || {
                    format!("catalog: {name}, which this is said to provoke, was not seen")
                }),
                (true, None, Some((_, _, why))) => eprintln!("tests: {name}: {why}"),
                (false, Some((_, why)), _) => eprintln!("tests: {name} is NOT YET a cause: {why}"),
                (false, None, _) if *name == "refused" => check.that(self.refused > 0, || {
                    "no refusal of __sk_mem_schedule was seen".into()
                }),
                (false, None, _) => check.fails(format!("{name} is no cause that skmem knows")),
            }
        }
    }
}
