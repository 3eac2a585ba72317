//! A ring that is too small: records are lost and counted, and the account is as exact as ever.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use skmem::{diag::Queues, kernel::tracer, workload::Options};
use skmem_common::ledger::Balance;

use crate::{
    bench::{Bench, failed},
    case,
    check::Check,
    formulas, process, sums, truth, verdict,
};

/// Writes that nobody reads a record of: far more than fit.
const STARVED: usize = 200;
/// Writes after that, each of them read.
const RECOVERED: usize = 5;
/// For what an acknowledgement sets off besides.
const PAUSE: Duration = Duration::from_millis(100);

pub fn trials() -> Vec<Trial> {
    vec![Trial::test(
        "ring::a-tiny-ring-loses-records-and-no-byte-and-recovers",
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
        .during(async { case::spawn("storm", &options) })
        .map_err(failed)?;
    let ready = bench.during(driver.ready()).map_err(failed)?;
    for pid in &ready.pids {
        bench.tracer.add_pid(*pid).map_err(failed)?;
    }
    bench.during(driver.go()).map_err(failed)?;
    // Nobody reads until the ring is full: a page of 16 KiB (arm64) may have room for as long as a
    // reader is quick. What is lost then is checked below.
    process::wait_for(|| bench.totals().all_lost() > 0);
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
        let agrees = bench.collected.replay.agrees(account);
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
    bench.forget(&bench.accounts())?;
    recovery(&mut bench, &mut check)?;
    check.done()
}

/// Nobody reads while a connection writes; then the reader is back: it knows how many records are
/// missing, and goes on from the kernel's account.
fn recovery(bench: &mut Bench, check: &mut Check) -> Result<(), Failed> {
    bench.tracer.add_pid(std::process::id()).map_err(failed)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let port = client.local_addr()?.port();
    let fd = client.as_fd().try_clone_to_owned()?;
    let mut room = [0; 1000];
    // Each is acknowledged before the next: after it is read, the client's queue is empty.
    let mut exchange = || -> Result<(), Failed> {
        client.write_all(&[b's'; 1000])?;
        Ok(server.read_exact(&mut room)?)
    };
    let account = |bench: &Bench| {
        let all = bench.accounts();
        let ours = all.into_iter().find(|a| a.ident.sport == port);
        ours.ok_or_else(|| Failed::from("no account of our connection"))
    };
    let rest = |bench: &mut Bench| -> Result<(), Failed> {
        let acknowledged = || Queues::read(fd.as_fd()).is_ok_and(|queues| queues.outq == 0);
        if !process::wait_for(acknowledged) {
            return Err("the last write is not acknowledged".into());
        }
        bench.wait(PAUSE);
        Ok(())
    };
    exchange()?;
    rest(bench)?;
    let before = account(bench)?;
    check.equal("lost before the reader stops", before.lost, 0);
    for _ in 0..STARVED {
        exchange()?;
    }
    rest(bench)?;
    exchange()?;
    rest(bench)?;
    let gap = account(bench)?;
    check.that(gap.lost > 0, || "the ring was never full".into());
    let id = gap.ident.id;
    let missed = bench.collected.replay.socket(id).map(|s| s.missed);
    check.equal(
        "records missing by their numbers, and lost by the account",
        missed,
        Some(u64::from(gap.lost)),
    );
    check.equal(
        "replay over a gap",
        bench.collected.replay.agrees(&gap),
        None,
    );
    let verdict = verdict::of(&gap, true);
    check.equal("the verdict is complete", verdict.complete, false);
    check.equal(
        "lost events in the verdict",
        verdict.lost_events,
        u64::from(gap.lost),
    );

    bench.collected.replay.checkpoint(&gap);
    for _ in 0..RECOVERED {
        exchange()?;
        rest(bench)?;
    }
    let after = account(bench)?;
    check.equal("lost after the reader is back", after.lost, gap.lost);
    check.that(after.event_no > gap.event_no, || {
        "no record after the gap".into()
    });
    sums::check(check, &after);
    let said = bench.collected.replay.socket(id).map(|s| &s.ledger.now);
    let bytes = |balance: &Balance| (balance.w, balance.total.map(|t| (t.bytes, t.count)));
    check.equal(
        "w and all causes, by replay from the kernel's account on, and as the kernel has them",
        said.map(bytes),
        Some(bytes(&after.ledger.now)),
    );
    bench.every_record_is_accounted_for(check);
    Ok(())
}
