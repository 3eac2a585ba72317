//! One scenario, from its start to the last of its sockets closed.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use libtest_mimic::{Completion, Trial};
use skmem::{
    diag::{Counters, KernelReading},
    explain::pages,
    kernel::system,
    workload::{self, Driver, DriverError, Options, Params, protocol::Ready},
};
use skmem_common::{
    account::Account,
    cause::Cause,
    hook::Hook,
    record::{Event, IDENT_CLOSED},
};

use crate::{
    Outcome,
    bench::{self, Bench},
    blame,
    causes::Found,
    check::Check,
    formulas, lean,
    report::{self, Row},
    sums, truth, verdict,
};

/// The program under test, on the PATH.
pub const SKMEM: &str = "skmem";
/// How long a scenario may take to its rest: it hangs after that, however slow the machine.
const DEADLINE: Duration = Duration::from_secs(3600);
/// How long sockets may take to close after their process has gone.
const CLOSING: Duration = Duration::from_secs(600);
/// Tries at a reading during which nothing moved.
pub const TRIES: usize = 200;

/// A scenario with options.
pub struct Case {
    name: String,
    scenario: &'static workload::Scenario,
    options: Options,
    /// What must be found.
    provokes: &'static [&'static str],
}

impl Case {
    /// Every scenario of the catalog, and the default one varied.
    pub fn all() -> Vec<Self> {
        let sending = workload::list().iter().filter(|s| !s.is_of_receiving());
        let plain = sending.map(|scenario| Self {
            name: format!("scenario::{}", scenario.name),
            scenario,
            options: Options::default(),
            provokes: scenario.provokes,
        });
        plain
            .chain(variations())
            .chain([clamped(), lowat()])
            .chain(multipath())
            .collect()
    }

    /// Causes whose pages give this case, as it is, as their example: `skmem demo` shows them at
    /// rest, or `at_end`.
    fn exemplifies(&self, at_end: bool) -> Vec<&'static str> {
        if self.name != format!("scenario::{}", self.scenario.name) {
            return Vec::new();
        }
        let command = format!("skmem demo {}", self.scenario.name);
        let options: &[&str] = if at_end {
            &[" --at-end", " --at-end --all"]
        } else {
            &["", " --all"]
        };
        let ours = |demo: &str| {
            let rest = demo.strip_prefix(&command);
            rest.is_some_and(|rest| options.contains(&rest))
        };
        let pages = pages::all().into_iter();
        pages
            .filter(|page| ours(page.words.demo))
            .map(|page| page.name)
            .collect()
    }

    pub fn trial(self) -> Trial {
        let name = self.name.clone();
        Trial::ignorable_test(name, move || bench::shared(|bench| self.run(bench)))
    }

    /// Plays it, and leaves the bench as it was.
    fn run(&self, bench: &mut Bench) -> Outcome {
        let started = Instant::now();
        let (seen, lost, skipped) = (
            bench.seen(),
            bench.totals().all_lost(),
            bench.tracer.skipped_runs(),
        );
        let mut row = Row {
            scenario: self.name.trim_start_matches("scenario::").to_owned(),
            ..Row::default()
        };
        let mut check = Check::default();
        let played = self.play(bench, &mut check, &mut row);
        row.seconds = started.elapsed().as_secs_f64();
        row.records = bench.seen() - seen;
        row.lost = bench.totals().all_lost() - lost;
        row.skipped_runs = bench.tracer.skipped_runs() - skipped;
        let left = bench.accounts();
        bench.forget(&left)?;
        let outcome = match played {
            Err(DriverError::Skip(why)) => {
                row.why = Some(why.clone());
                Ok(Completion::ignored_with(why))
            }
            Err(error) => {
                check.fails(format!("the scenario did not play: {error}"));
                check.done().map(|()| Completion::Completed)
            }
            Ok(()) => check.done().map(|()| Completion::Completed),
        };
        row.outcome = match &outcome {
            Ok(Completion::Completed) => "ok",
            Ok(_) => "skipped",
            Err(_) => "failed",
        };
        report::add(row);
        outcome
    }

    fn play(&self, bench: &mut Bench, check: &mut Check, row: &mut Row) -> Result<(), DriverError> {
        let mut driver = bench.during(async { spawn(self.scenario.name, &self.options) })?;
        let ready = bench.during(driver.ready())?;
        for pid in &ready.pids {
            if let Err(error) = bench.add_pid(*pid) {
                check.fails(error.to_string());
            }
        }
        let skipped = bench.skipped_runs();
        bench.during(driver.go())?;
        let settled = bench.during(driver.settled())?;
        // Where the last calls on a socket were runs that the kernel skipped, its account stands at
        // the call before them: a walk brings it up, as `skmem explain` does at its end.
        bench
            .walk(&ready.pids)
            .map_err(|error| DriverError::Failed(format!("{error:#}")))?;
        let (truths, accounts) = reading(bench, &mut driver, check)?;
        let twins = bench.twin_at_rest();
        unnamed(bench, check);
        for account in &accounts {
            sums::replay(check, "at rest", &bench.collected.replay, account);
        }
        let older = !ready.connections.is_empty();
        lean::check(check, "at rest", bench, &accounts, &twins, skipped, older);
        let rest = Rest {
            params: self
                .options
                .resolve(self.scenario)
                .map_err(|error| DriverError::Failed(error.to_string()))?,
            older,
            counters: settled.counters,
            limits: bench.collected.limits.clone(),
            truths,
            accounts,
        };
        self.at_rest(check, &ready, &rest);
        blame::check(check, &self.name, &rest.accounts);
        let shown = Found::of(&rest.accounts, &rest.limits);
        let name = self.scenario.name;
        shown.check(check, name, &self.exemplifies(false), kernel());
        bench.during(driver.finish())?;

        let accounts = closed(bench, check);
        for account in &accounts {
            sums::check(check, account);
            formulas::every_socket(check, account);
            sums::replay(check, "at the end", &bench.collected.replay, account);
            fill(row, account);
        }
        row.sockets = accounts.len();
        let twins = bench.twin_accounts();
        lean::check(
            check,
            "at the end",
            bench,
            &accounts,
            &twins,
            skipped,
            older,
        );
        let found = Found::of(&accounts, &bench.collected.limits);
        eprintln!("tests: {}: found {}", self.name, found.line());
        found.check(check, name, self.provokes, kernel());
        found.check(check, name, &self.exemplifies(true), kernel());
        formulas::of_the_end(check, self.scenario.name, &rest, &found);
        unnamed(bench, check);
        bench.every_record_is_accounted_for(check);
        Ok(())
    }

    fn at_rest(&self, check: &mut Check, ready: &Ready, rest: &Rest) {
        check.that(!rest.truths.is_empty(), || {
            "the scenario reports no socket".into()
        });
        for account in &rest.accounts {
            sums::check(check, account);
            formulas::every_socket(check, account);
        }
        for (n, truth) in rest.truths.iter().enumerate() {
            let Some(account) = truth::account_of(&rest.accounts, truth, ready.netns) else {
                check.fails(format!("no account of {:?}", truth.endpoint));
                continue;
            };
            truth::check(check, account, truth);
            if !rest.older {
                // The one scenario in which the server sends.
                let accepted = self.scenario.name == "listener-inherit";
                formulas::written(check, account, truth, accepted);
            }
            formulas::of_scenario(check, self.scenario.name, rest, account, truth);
            if account.ledger.worst_excess > 0 {
                verdict::check(check, account, truth);
            }
            if n < 2 {
                eprintln!("tests: {}: {}", self.name, describe(account, truth));
            }
        }
    }
}

/// Starts a scenario that has as much time as a slow machine takes.
pub fn spawn(name: &str, options: &Options) -> Result<Driver, DriverError> {
    let options = Options {
        deadline: Some(DEADLINE),
        ..options.clone()
    };
    Driver::spawn(Path::new(SKMEM), name, &options)
}

/// The stories of bytes that nothing names, so far.
pub fn unnamed(bench: &mut Bench, check: &mut Check) {
    for story in bench.collected.suspects.drain(..) {
        check.fails(format!("events around bytes that nothing names:\n{story}"));
    }
}

/// A scenario at rest.
pub struct Rest {
    pub params: Params,
    /// Its sockets are older than their accounts.
    pub older: bool,
    pub counters: Counters,
    /// Records that moved limits.
    pub limits: Vec<Event>,
    pub truths: Vec<KernelReading>,
    pub accounts: Vec<Box<Account>>,
}

/// The default scenario and its variations: what the issue calls the A list.
fn variations() -> Vec<Case> {
    let article = workload::find("article").expect("the default scenario");
    let options = [
        (
            "write-size-100",
            Options {
                write_size: Some(100),
                ..Options::default()
            },
        ),
        (
            "write-size-65536",
            Options {
                write_size: Some(65_536),
                ..Options::default()
            },
        ),
        (
            "sndbuf-65536",
            Options {
                sndbuf: Some(65_536),
                ..Options::default()
            },
        ),
        (
            "ipv6",
            Options {
                ipv6: true,
                ..Options::default()
            },
        ),
    ];
    options
        .into_iter()
        .map(|(name, options)| Case {
            name: format!("article::{name}"),
            scenario: article,
            options,
            // Whether a probe finds the tail unsent depends on the writer's pace; large writes fill
            // an skb at once.
            provokes: match name {
                "write-size-65536" => &["new-skb", "first-fill"],
                _ => &["new-skb", "first-fill", "tail-append"],
            },
        })
        .collect()
}

/// More than any kernel's `wmem_max` of the matrix.
fn clamped() -> Case {
    Case {
        name: "blocking-writer::sndbuf-8388608".into(),
        scenario: workload::find("blocking-writer").expect("an everyday sender"),
        options: Options {
            sndbuf: Some(8 << 20),
            ..Options::default()
        },
        provokes: &["clamped-to-wmem_max", "doubled", "new-skb"],
    }
}

/// An MPTCP socket over IPv6 that is written to in large pieces, with a limit that is set and with
/// one that follows the subflow's.
fn multipath() -> Vec<Case> {
    let large = Options {
        write_size: Some(65_536),
        ipv6: true,
        ..Options::default()
    };
    let scenario = workload::find("mptcp").expect("the scenario of MPTCP");
    vec![
        Case {
            name: "mptcp::large-writes-ipv6".into(),
            scenario,
            options: Options {
                sndbuf: Some(65_536),
                ..large.clone()
            },
            provokes: &["mptcp-data", "mptcp-frag-header", "doubled"],
        },
        Case {
            name: "mptcp::no-sndbuf-ipv6".into(),
            scenario,
            options: Options {
                no_sndbuf: true,
                ..large
            },
            provokes: &["mptcp-data", "mptcp-from-subflows"],
        },
    ]
}

/// A reader that reads, and a sender that pacing slows down: it waits for unsent bytes to leave.
fn lowat() -> Case {
    Case {
        name: "paced::notsent-lowat".into(),
        scenario: workload::find("paced").expect("a paced sender"),
        options: Options {
            notsent_lowat: Some(1),
            ..Options::default()
        },
        provokes: &["new-skb", "first-fill", "ack"],
    }
}

/// Two readings of the truth between which nothing moved, and the accounts between them, of which
/// all records are read and none that is younger: a timer's call may make one that moves nothing.
pub fn reading(
    bench: &mut Bench,
    driver: &mut Driver,
    check: &mut Check,
) -> Result<(Vec<KernelReading>, Vec<Box<Account>>), DriverError> {
    for _ in 0..TRIES {
        let before = bench.during(driver.truth())?;
        bench.drain();
        let accounts = bench.accounts();
        bench.keep_twin();
        let same = bench.are_as_before(&accounts);
        if same && bench.collected.has_read(&accounts) && bench.has_read_twin() {
            // A sender that is refused memory tries again five to ten times a second, and queues
            // nothing: its records stay in the ring for as long as the kernel is asked.
            let after = bench.without_reading(driver.truth())?;
            if truth::at_rest(&before, &after) {
                return Ok((after, accounts));
            }
        }
        bench.wait(Duration::from_millis(50));
    }
    check.fails(format!(
        "the scenario was never at rest during {TRIES} readings"
    ));
    let truths = bench.during(driver.truth())?;
    Ok((truths, bench.accounts()))
}

/// All accounts once their sockets are closed, which the queues' end is part of. Without a hook on
/// that nobody sees it: who reads the accounts then infers it of those whose sockets are destroyed.
pub fn closed(bench: &mut Bench, check: &mut Check) -> Vec<Box<Account>> {
    let started = Instant::now();
    let mut attached = bench.tracer.attached().iter();
    let purge_is_seen = attached.any(|attachment| attachment.hook == Hook::Purge);
    let open = |a: &Account| a.ident.flags & IDENT_CLOSED == 0 && (purge_is_seen || a.closing == 0);
    loop {
        bench.wait(Duration::from_millis(30));
        let accounts = bench.accounts();
        if accounts.iter().any(|a| open(a)) && started.elapsed() < CLOSING {
            continue;
        }
        bench.drain();
        for account in &accounts {
            let name = sums::name(account);
            check.that(!open(account), || {
                format!(
                    "{name}: not closed {CLOSING:?} after its process ended\n{}",
                    bench.collected.story(account.ident.id)
                )
            });
            if purge_is_seen {
                check.equal(
                    format_args!("{name}: w at the end"),
                    account.ledger.now.w,
                    0,
                );
            }
        }
        return accounts;
    }
}

/// Adds a socket to the table's line.
fn fill(row: &mut Row, account: &Account) {
    let ledger = &account.ledger;
    let unnamed = ledger.now.total[Cause::Unattributed as usize].bytes.abs();
    row.unattributed += unnamed;
    row.inferred += ledger
        .now
        .total
        .iter()
        .map(|t| t.inferred.abs())
        .sum::<i64>();
    let inferred = Cause::ALL
        .iter()
        .filter(|c| ledger.now.total[**c as usize].inferred != 0);
    row.inferred_causes.extend(inferred.map(|c| c.name()));
    let excess = i64::from(ledger.worst_excess);
    if excess > row.excess {
        row.excess = excess;
        let worst = ledger.at_worst();
        let bit = 1 << Cause::Unattributed as u32;
        let unnamed = if worst.since_mask & bit == 0 {
            0
        } else {
            worst.since[Cause::Unattributed as usize].bytes
        };
        row.explained = excess - i64::from(unnamed);
    }
}

/// The numbers of a socket at rest, for people.
fn describe(account: &Account, truth: &KernelReading) -> String {
    let view = &account.last;
    let now = &account.ledger.now;
    let since: Vec<String> = Cause::ALL
        .iter()
        .filter(|c| now.since_mask & (1 << **c as u32) != 0)
        .map(|c| {
            let s = now.since[*c as usize];
            format!("{} {} ×{}", c.name(), s.bytes, s.count)
        })
        .collect();
    format!(
        "w {} S {} Send-Q {} unsent {} f {} O {} G {} mss {} worst {}; admitted at w {} S {} ×{}, since: {}",
        now.w,
        now.sndbuf,
        truth.queues.outq,
        truth.queues.outq_nsd,
        view.forward_alloc,
        account.overhead,
        view.size_goal(),
        view.mss,
        account.ledger.worst_excess,
        now.admission.w,
        now.admission.sndbuf,
        now.admission.count,
        since.join(", ")
    )
}

/// Major and minor number of the running kernel.
pub fn kernel() -> (u32, u32) {
    let release = system::release();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
