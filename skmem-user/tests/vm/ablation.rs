//! A hook left out: what it would have seen is named from the fields, and said to be so.

use std::path::Path;

use libtest_mimic::{Failed, Trial};
use skmem::{
    kernel::tracer,
    workload::{Driver, Options},
};
use skmem_common::{cause::Cause, hook::Hook};

use crate::{
    bench::{Bench, failed},
    case::{self, SKMEM},
    check::Check,
    formulas, sums,
};

pub fn trials() -> Vec<Trial> {
    vec![Trial::test(
        "ablation::without-tcp_ack-its-bytes-are-inferred",
        without_ack,
    )]
}

fn without_ack() -> Result<(), Failed> {
    let mut bench = Bench::start(tracer::Options {
        without: vec![Hook::Ack],
        ..Bench::options()
    })
    .map_err(failed)?;
    let mut check = Check::default();
    let mut driver = bench
        .during(async { Driver::spawn(Path::new(SKMEM), "blocking-writer", &Options::default()) })
        .map_err(failed)?;
    let ready = bench.during(driver.ready()).map_err(failed)?;
    for pid in &ready.pids {
        bench.tracer.add_pid(*pid).map_err(failed)?;
    }
    bench.during(driver.go()).map_err(failed)?;
    bench.during(driver.settled()).map_err(failed)?;
    bench.during(driver.finish()).map_err(failed)?;
    let accounts = case::closed(&mut bench, &mut check);
    check.equal("sockets", accounts.len(), 1);
    for account in &accounts {
        sums::check(&mut check, account);
        formulas::every_socket(&mut check, account);
        sums::replay(&mut check, "at the end", &bench.tape.replay, account);
        let name = sums::name(account);
        let freed = account.ledger.now.total[Cause::Ack as usize];
        eprintln!("tests: {name}: freed by acknowledgements without tcp_ack: {freed:?}");
        check.that(freed.bytes < 0, || {
            format!("{name}: nothing was freed by acknowledgements")
        });
        check.equal(
            format_args!("{name}: bytes freed by acknowledgements, and those inferred"),
            freed.inferred,
            freed.bytes,
        );
    }
    case::unnamed(&mut bench, &mut check);
    bench.every_record_is_accounted_for(&mut check);
    check.done()
}
