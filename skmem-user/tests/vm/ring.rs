//! A ring that is too small: records are lost and counted, and the account is as exact as ever.

use std::path::Path;

use libtest_mimic::{Failed, Trial};
use skmem::{
    kernel::tracer,
    workload::{Driver, Options},
};

use crate::{
    bench::{Bench, failed},
    case::{self, SKMEM},
    check::Check,
    formulas, sums, truth, verdict,
};

pub fn trials() -> Vec<Trial> {
    vec![Trial::test(
        "ring::a-tiny-ring-loses-records-and-no-byte",
        tiny,
    )]
}

/// One page, for sixty busy connections of two processes.
fn tiny() -> Result<(), Failed> {
    let mut bench = Bench::start(tracer::Options {
        ring_bytes: 4096,
        ..Bench::options()
    })
    .map_err(failed)?;
    let mut check = Check::default();
    let options = Options {
        processes: Some(2),
        connections: Some(30),
        ..Options::default()
    };
    let mut driver = bench
        .during(async { Driver::spawn(Path::new(SKMEM), "storm", &options) })
        .map_err(failed)?;
    let ready = bench.during(driver.ready()).map_err(failed)?;
    for pid in &ready.pids {
        bench.tracer.add_pid(*pid).map_err(failed)?;
    }
    bench.during(driver.go()).map_err(failed)?;
    bench.during(driver.settled()).map_err(failed)?;
    let (truths, accounts) = case::reading(&mut bench, &mut driver, &mut check).map_err(failed)?;
    bench.every_record_is_accounted_for(&mut check);
    let lost = bench.totals().all_lost();
    check.that(lost > 0, || "a ring of one page lost nothing".into());
    check.equal("sockets", accounts.len(), 60);
    for truth in &truths {
        match truth::account_of(&accounts, truth, ready.netns) {
            Some(account) => {
                truth::check(&mut check, account, truth);
                formulas::written(&mut check, account, truth, false);
            }
            None => check.fails(format!("no account of {:?}", truth.endpoint)),
        }
    }
    let mut lossy = 0;
    for account in &accounts {
        sums::check(&mut check, account);
        formulas::every_socket(&mut check, account);
        let name = sums::name(account);
        let agrees = bench.tape.replay.agrees(account);
        if account.lost == 0 {
            check.equal(format_args!("{name}: replay agrees"), agrees, Some(true));
            continue;
        }
        lossy += 1;
        check.equal(
            format_args!("{name}: replay, of which records are missing"),
            agrees,
            None,
        );
        let verdict = verdict::of(account, true);
        check.equal(
            format_args!("{name}: the verdict is complete"),
            verdict.complete,
            false,
        );
        check.equal(
            format_args!("{name}: lost events in the verdict"),
            verdict.lost_events,
            u64::from(account.lost),
        );
        check.that(!verdict.incomplete_because.is_empty(), || {
            format!("{name}: incomplete, and the verdict does not say why")
        });
        check.that(
            verdict.self_check.ledger_closes && verdict.self_check.excess_closes,
            || {
                format!(
                    "{name}: the account does not close: {:?}",
                    verdict.self_check
                )
            },
        );
    }
    check.that(lossy > 0, || "no socket knows of a lost record".into());
    eprintln!(
        "tests: {lost} records lost, on {lossy} of {} sockets",
        accounts.len()
    );
    bench.during(driver.finish()).map_err(failed)?;
    for account in case::closed(&mut bench, &mut check) {
        sums::check(&mut check, &account);
        formulas::every_socket(&mut check, &account);
    }
    bench.every_record_is_accounted_for(&mut check);
    check.done()
}
