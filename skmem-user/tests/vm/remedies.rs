//! What skmem says helps, and what it says does not: each tried as a user would, `skmem demo NAME
//! --fix FIX`.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use skmem::explain::pages;

use crate::{
    binary::{contract, ended, objects, parsed},
    case::{SKMEM, kernel},
    check::Check,
    formulas::page,
    leftovers,
};

/// What trying it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// The socket goes less far over its limit, or its queue is smaller where the limit is another
    /// one.
    Helps,
    /// The same, to one part in ten.
    Useless,
    /// It goes further, or its queue is longer.
    Longer,
    /// Each skb holds more payload.
    FullerSkbs,
    /// It goes less far over its limit, which is another one.
    NearerToLimit,
}

use Claim::{FullerSkbs, Helps, Longer, NearerToLimit, Useless};

/// What the pages say of each case and fix, on every kernel.
const CLAIMS: &[(&str, &[(&str, Claim)])] = &[
    (
        "article",
        &[
            ("reader", Helps),
            ("gso-max-segs", Helps),
            ("eor", Helps),
            ("gso-off", Useless),
            ("notsent-lowat", Useless),
            ("smaller-sndbuf", Useless),
            ("no-sndbuf", Longer),
            ("sndbuf", Longer),
        ],
    ),
    (
        "one-large-write",
        &[("gso-max-segs", Helps), ("rcvbuf", Helps)],
    ),
    ("big-tcp", &[("gso-max-size", Helps)]),
    ("blocking-writer", &[("notsent-lowat", Helps)]),
    ("autotuned", &[("sndbuf", Helps), ("tcp-wmem", Helps)]),
    ("small-writes-nodelay", &[("larger-writes", FullerSkbs)]),
    (
        "zerocopy-small",
        &[("copy", Helps), ("larger-writes=65536", Helps)],
    ),
    ("sndbuf-lowered", &[("smaller-sndbuf=4096", Helps)]),
    ("tcp-mem", &[("sndbuf=200000", NearerToLimit)]),
    ("acks-blackholed", &[("eor", Helps)]),
];

/// What they say where pages are larger than 4 KiB: one small write with `MSG_ZEROCOPY` is over the
/// limit by itself there, so that nothing else is queued, and a cure lets more in. A verdict does
/// not advise it there.
const LARGE_PAGES: (&str, Claim) = ("zerocopy-small", FullerSkbs);

/// The first kernel with BIG TCP.
const BIG_TCP: (u32, u32) = (5, 19);

/// Where autotuning decides: how far it takes a limit depends on who runs when, and on one CPU
/// writer and reader take turns.
const AUTOTUNED: &[&str] = &["autotuned", "tcp-mem"];

/// What such a limit must let in, in bytes: three skbs of 64 KiB. Of a smaller one memory pressure
/// takes no more than an appended skb goes beyond any.
const FAR: i64 = 3 << 16;

pub fn trials() -> Vec<Trial> {
    let here = CLAIMS
        .iter()
        .filter(|(case, _)| *case != "big-tcp" || kernel() >= BIG_TCP);
    let of_case = here.map(|(case, claims)| {
        Trial::test(format!("remedies::of-{case}"), || {
            tried(Command::new(SKMEM), case, claims)
        })
    });
    let on_one_cpu = CLAIMS
        .iter()
        .filter(|(case, _)| AUTOTUNED.contains(case))
        .map(|(case, claims)| {
            Trial::test(format!("remedies::of-{case}-on-one-cpu"), || {
                let mut taskset = Command::new("taskset");
                taskset.args(["1", SKMEM]);
                tried(taskset, case, claims)
            })
        });
    let all = Trial::test("remedies::no-page-names-another", no_other);
    of_case.chain(on_one_cpu).chain([all]).collect()
}

/// Every command that a page gives is one of those.
fn no_other() -> Result<(), Failed> {
    let mut check = Check::default();
    let tried: BTreeSet<String> = CLAIMS
        .iter()
        .flat_map(|(case, claims)| {
            let command = move |fix: &str| format!("skmem demo {case} --fix {fix}");
            claims.iter().map(move |(fix, _)| command(fix))
        })
        .collect();
    for page in pages::all() {
        for remedy in page.words.remedies.iter().chain(page.words.useless) {
            let command = remedy.words().reproduce;
            check.that(
                !command.contains("--fix") || tried.contains(command),
                || format!("{}: {command} is not tried", page.name),
            );
        }
    }
    check.done()
}

fn tried(mut skmem: Command, case: &str, claims: &[(&str, Claim)]) -> Result<(), Failed> {
    let mut check = Check::default();
    let fixes: Vec<&str> = claims.iter().map(|(fix, _)| *fix).collect();
    let output = skmem
        .args(["demo", case, "--json", "--fix", &fixes.join(",")])
        .args(["--timeout", "3600s", "--deadline", "3600s"])
        .stdin(Stdio::null())
        .output()?;
    ended(&mut check, "skmem demo --fix", &output, 0);
    let compared = objects(&mut check, &output);
    check.equal("fixes on stdout", compared.len(), claims.len());
    for compared in &compared {
        parsed("demo", compared.to_string())?;
    }
    for ((fix, claim), compared) in claims.iter().zip(&compared) {
        let name = fix.split('=').next().map(Value::from);
        check.equal("fix", Some(&compared["fix"]), name.as_ref());
        for run in ["without", "with"] {
            let verdict = &compared[run]["verdict"];
            contract(&mut check, verdict);
            check.equal(
                format_args!("{fix}: unattributed {run} it"),
                &verdict["unattributed"],
                &Value::from(0),
            );
        }
        let queued = compared["without"]["peak_wmem_queued"].as_i64();
        check.that(!AUTOTUNED.contains(&case) || queued >= Some(FAR), || {
            format!("{fix}: the limit without it let in {queued:?} bytes, not {FAR}")
        });
        let claim = match LARGE_PAGES {
            (large, claim) if large == case && page() > 4096 => claim,
            _ => *claim,
        };
        if case == LARGE_PAGES.0 {
            let advice = &compared["without"]["verdict"]["advice"];
            let copy = Value::from("skmem demo zerocopy-small --fix copy");
            let mut advised = advice.as_array().into_iter().flatten();
            check.equal(
                "copying is advised",
                advised.any(|advice| advice["reproduce"] == copy),
                claim == Helps,
            );
        }
        check.that(holds(claim, compared), || {
            let shown = |key: &str| {
                let of = |run: &str| compared[run][key].to_string();
                format!("{key} {} → {}", of("without"), of("with"))
            };
            let keys = [
                "peak_excess",
                "peak_wmem_queued",
                "sndbuf",
                "taken",
                "skbs_made",
            ];
            let numbers = keys.map(shown).join(", ");
            format!("{fix}: not {claim:?}: {}: {numbers}", compared["outcome"])
        });
    }
    check.equal("sockets left that nobody holds", leftovers::orphans()?, 0);
    check.done()
}

fn holds(claim: Claim, compared: &Value) -> bool {
    let outcome = compared["outcome"].as_str().unwrap_or_default();
    match claim {
        Helps => matches!(outcome, "within-limit" | "less"),
        Useless => outcome == "same",
        Longer => outcome == "more",
        FullerSkbs => {
            let number = |run: &str, key: &str| compared[run][key].as_i64().unwrap_or(0);
            let taken = |run| number(run, "taken");
            let made = |run| number(run, "skbs_made");
            // taken / made, without fractions.
            taken("with") * made("without") > taken("without") * made("with")
        }
        NearerToLimit => compared["change"]["peak_excess"]
            .as_i64()
            .is_some_and(|change| change < 0),
    }
}
