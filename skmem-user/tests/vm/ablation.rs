//! Hooks and fields left out, as on a kernel that lacks them: skmem runs, says what is lost, and
//! names the bytes from what is left, and says so.
//!
//! `cargo xtask test --vm --rounds N ablation::` leaves them out by kinds, and each of them in
//! turn; loading the programs takes many seconds where the kernel is emulated, so without that only
//! one hook is, and of what is essential only one field.

use std::env;

use libtest_mimic::{Failed, Trial};
use skmem::{
    kernel::{
        plan::{self, Need, Plan},
        tracer,
    },
    workload::Options,
};
use skmem_common::{account::Account, cause::Cause, hook::Hook, layout::FIELDS};

use crate::{
    bench::{Bench, failed},
    binary::{ended, skmem},
    case,
    check::Check,
    formulas, harm, sums, truth,
};

/// One socket that is blocked, one whose queue is split, refilled and sent again.
const SCENARIOS: [&str; 2] = ["blocking-writer", "acks-blackholed"];

/// Hooks of traces and of the receive side, which an account does without.
const ELSEWHERE: [Hook; 4] = [
    Hook::Sendmsg,
    Hook::ForcedSchedule,
    Hook::Accept,
    Hook::QueueRcv,
];

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test(
            "ablation::without-tcp_ack-its-bytes-are-inferred",
            without_ack,
        ),
        Trial::test(
            "ablation::without-what-tells-a-sockets-end-its-state-does",
            without_end,
        ),
        Trial::test("ablation::what-is-essential-is-named", essential),
    ];
    if env::var_os(harm::ROUNDS).is_some() {
        trials.extend([
            Trial::test(
                "ablation::without-all-that-books-bytes-are-inferred",
                without_exact,
            ),
            Trial::test("ablation::without-labels-bytes-are-exact", without_labels),
            Trial::test("ablation::without-optional-fields", || {
                without_fields(&optional_fields())
            }),
        ]);
        let optional = [hooks_of(Need::Exact), hooks_of(Need::Label)].concat();
        trials.extend(optional.into_iter().map(|hook| {
            Trial::test(format!("ablation::each::{}", hook.name()), move || {
                without_hooks(vec![hook]).and_then(|(check, _)| check.done())
            })
        }));
        trials.extend(optional_fields().into_iter().map(|field| {
            Trial::test(format!("ablation::each::field-{field}"), move || {
                without_fields(&[field])
            })
        }));
    }
    trials
}

fn optional_fields() -> Vec<&'static str> {
    let optional = FIELDS.iter().filter(|(.., cost)| !cost.is_empty());
    optional.map(|(name, ..)| *name).collect()
}

/// Hooks that so much depends on.
fn hooks_of(need: Need) -> Vec<Hook> {
    let all = Hook::ALL.iter().copied();
    all.filter(|hook| Plan::need(*hook) == Some(need) && !ELSEWHERE.contains(hook))
        .collect()
}

/// Plays the scenarios; their accounts at the end.
fn play(
    check: &mut Check,
    options: tracer::Options,
    scenarios: &[&str],
) -> Result<Vec<Box<Account>>, Failed> {
    let mut bench = Bench::start(options.clone()).map_err(failed)?;
    lost_is_told(check, &options, bench.tracer.notes());
    let mut all = Vec::new();
    for name in scenarios {
        let mut driver = bench
            .during(async { case::spawn(name, &Options::default()) })
            .map_err(failed)?;
        let ready = bench.during(driver.ready()).map_err(failed)?;
        for pid in &ready.pids {
            bench.tracer.add_pid(*pid).map_err(failed)?;
        }
        bench.during(driver.go()).map_err(failed)?;
        bench.during(driver.settled()).map_err(failed)?;
        bench.walk(&ready.pids).map_err(failed)?;
        let (truths, accounts) = case::reading(&mut bench, &mut driver, check).map_err(failed)?;
        check.that(!truths.is_empty(), || format!("{name}: no socket"));
        for truth in &truths {
            let Some(account) = truth::account_of(&accounts, truth, ready.netns) else {
                check.fails(format!("{name}: no account of {:?}", truth.endpoint));
                continue;
            };
            let (w, limit) = (account.ledger.now.w, account.ledger.now.sndbuf);
            check.equal(
                format_args!("{name}: w and sndbuf as traced and as the kernel reports"),
                (i64::from(w), i64::from(limit)),
                (truth.mem.wmem_queued.into(), truth.mem.sndbuf.into()),
            );
        }
        bench.during(driver.finish()).map_err(failed)?;
        let ended = case::closed(&mut bench, check);
        for account in &ended {
            sums::check(check, account);
            sums::replay(check, "at the end", &bench.collected.replay, account);
        }
        case::unnamed(&mut bench, check);
        bench.forget(&ended)?;
        all.extend(ended);
    }
    bench.every_record_is_accounted_for(check);
    Ok(all)
}

/// A line for each thing that is left out and costs something: what, and the cost.
fn lost_is_told(check: &mut Check, options: &tracer::Options, notes: &[String]) {
    let hooks = options.without.iter();
    let hooks = hooks.map(|hook| (hook.name().to_owned(), plan::cost(*hook)));
    let fields = FIELDS
        .iter()
        .filter(|(name, ..)| options.without_fields.iter().any(|f| f == name))
        .filter(|(.., cost)| *cost != "nothing")
        .map(|(_, ty, path, cost)| (format!("{ty}.{path}"), *cost));
    for (what, cost) in hooks.chain(fields) {
        let said = notes.iter().any(|n| n.contains(&what) && n.contains(cost));
        check.that(said, || format!("no word of {what}: {cost}"));
    }
}

/// The scenarios without these.
fn without_hooks(hooks: Vec<Hook>) -> Result<(Check, Vec<Box<Account>>), Failed> {
    let mut check = Check::default();
    let options = tracer::Options {
        without: hooks,
        ..Bench::options()
    };
    let accounts = play(&mut check, options, &SCENARIOS)?;
    Ok((check, accounts))
}

/// Bytes of a cause, and those inferred, of all these sockets.
fn of(accounts: &[Box<Account>], cause: Cause) -> (i64, i64) {
    let all = accounts
        .iter()
        .map(|a| a.ledger.now.total[cause as usize])
        .map(|total| (total.bytes, total.inferred));
    all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn without_ack() -> Result<(), Failed> {
    let mut check = Check::default();
    let options = tracer::Options {
        without: vec![Hook::Ack],
        ..Bench::options()
    };
    let accounts = play(&mut check, options, &SCENARIOS[..1])?;
    check.equal("sockets", accounts.len(), 1);
    for account in &accounts {
        formulas::every_socket(&mut check, account);
    }
    let freed = of(&accounts, Cause::Ack);
    check.that(freed.0 < 0, || {
        "nothing was freed by acknowledgements".into()
    });
    check.equal(
        "bytes freed by acknowledgements, and those inferred",
        freed.1,
        freed.0,
    );
    check.done()
}

/// As where the runs of both are skipped, which is once in a million sockets.
fn without_end() -> Result<(), Failed> {
    let mut check = Check::default();
    let options = tracer::Options {
        without: vec![Hook::Destroy, Hook::Purge],
        ..Bench::options()
    };
    let accounts = play(&mut check, options, &SCENARIOS[..1])?;
    check.equal("sockets", accounts.len(), 1);
    check.done()
}

/// The send path, allocations and memory granted are all that is hooked.
fn without_exact() -> Result<(), Failed> {
    let (mut check, accounts) = without_hooks(hooks_of(Need::Exact))?;
    let freed = of(&accounts, Cause::Ack);
    check.that(freed.0 < 0, || {
        "nothing was freed by acknowledgements".into()
    });
    check.equal(
        "bytes freed by acknowledgements, and those inferred",
        freed.1,
        freed.0,
    );
    check.done()
}

fn without_labels() -> Result<(), Failed> {
    let (mut check, accounts) = without_hooks(hooks_of(Need::Label))?;
    let freed = of(&accounts, Cause::Ack);
    check.that(freed.0 < 0 && freed.1 == 0, || {
        format!("freed by acknowledgements, and inferred: {freed:?}")
    });
    check.done()
}

fn without_fields(fields: &[&str]) -> Result<(), Failed> {
    let mut check = Check::default();
    let options = tracer::Options {
        without_fields: fields.iter().map(|f| (*f).to_owned()).collect(),
        ..Bench::options()
    };
    play(&mut check, options, &SCENARIOS)?;
    check.done()
}

/// Nothing is loaded then.
fn essential() -> Result<(), Failed> {
    let mut check = Check::default();
    let all = env::var_os(harm::ROUNDS).is_some();
    let fields = FIELDS.iter().filter(|(.., cost)| cost.is_empty());
    let fields = fields
        .take(if all { usize::MAX } else { 1 })
        .map(|(name, ty, path, _)| {
            let what = format!("{ty}.{path}");
            ("--without-field", (*name).to_owned(), what)
        });
    let hooks = hooks_of(Need::Essential).into_iter();
    let hooks = hooks.map(|h| ("--without-hook", h.name().to_owned(), h.name().to_owned()));
    for (option, name, what) in hooks.chain(fields) {
        let command = format!("skmem explain {option} {name}");
        let output = skmem(&["explain", option, &name])?;
        ended(&mut check, &command, &output, 1);
        let said = String::from_utf8_lossy(&output.stderr);
        check.that(said.lines().count() == 1 && said.contains(&what), || {
            format!("{command}: not one line that names {what}: {said}")
        });
    }
    check.done()
}
