//! The account of receive memory (`--rx`): every byte of `sk_rmem_alloc` by cause, against what the
//! kernel reports of the same socket (`SO_MEMINFO`).

use std::{
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::id,
    slice, thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use skmem::{
    diag::{Counters, MemInfo, tcp_counters},
    kernel::{plan::Set, tracer::Options},
    workload::{self, DriverError},
};
use skmem_common::{
    account::Account,
    receive::Receiving,
    receive_cause::{RECEIVE_CAUSES, RcvbufCause, ReceiveCause},
};

use crate::{
    bench::{self, Bench},
    binary,
    case::{self, TRIES, kernel},
    check::Check,
    formulas::is_mptcp,
    leftovers::nothing_is_left,
    sums,
};

mod cases;
mod clocks;
mod entries;
mod mptcp;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("receive::every-byte-of-r-has-a-name", every_byte),
        Trial::ignorable_test(
            "receive::every-byte-of-an-mptcp-socket-has-a-name",
            mptcp::every_byte,
        ),
        Trial::test("receive::an-error-queue-is-named", error_queue),
        Trial::test("receive::a-slow-reader-is-named", slow_reader_demo),
        Trial::test(
            "receive::a-reader-that-copies-and-one-that-is-elsewhere",
            clocks::four_clocks,
        ),
    ]
}

/// A case under way.
struct Played<'a> {
    bench: &'a mut Bench,
    check: &'a mut Check,
    name: String,
    client: TcpStream,
    server: TcpStream,
    /// What the account of the server's end has seen so far.
    seen: Option<Receiving>,
    /// No name may be inferred.
    strict: bool,
    /// The ends are MPTCP sockets.
    mptcp: bool,
}

fn every_byte() -> Result<(), Failed> {
    let mut check = Check::default();
    let options = |set| Options {
        rx: true,
        pids: vec![id()],
        set,
        ..Bench::options()
    };
    let mut bench = Bench::start(options(Set::All))
        .and_then(|bench| bench.with_twin("entries too", &options(Set::Entries)))
        .map_err(bench::failed)?;
    for case in cases::CASES {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address)?;
            let client = TcpStream::connect(listener.local_addr()?)?;
            let (server, _) = listener.accept()?;
            let mut played = Played {
                bench: &mut bench,
                check: &mut check,
                name: format!("{} {address}", case.name),
                client,
                server,
                seen: None,
                strict: !case.inferred,
                mptcp: false,
            };
            let before = resting_counters()?;
            (case.play)(&mut played).map_err(|e| format!("{}: {e:#}", played.name))?;
            let Some(seen) = played.seen else {
                check.fails(format!("{}: nothing was looked at", case.name));
                continue;
            };
            eprintln!("tests: {}: {}", case.name, account_line(&seen));
            played.counted(&before)?;
            for cause in case.moves {
                check.that(seen.ledger.rcvbuf_moved(*cause).count != 0, || {
                    format!(
                        "{} {address}: no {cause}: {}",
                        case.name,
                        account_line(&seen)
                    )
                });
            }
            for cause in case.causes {
                check.that(seen.total(*cause).count != 0, || {
                    format!(
                        "{} {address}: no {cause}: {}",
                        case.name,
                        account_line(&seen)
                    )
                });
            }
        }
    }
    let left = bench.accounts();
    bench.forget(&left)?;
    cases(&mut bench, &mut check)?;
    check.done()
}

/// Cases of `skmem demo`, and what their receivers show.
const SCENARIOS: &[(&str, &[ReceiveCause])] = &[
    (
        "loss",
        &[ReceiveCause::OutOfOrder, ReceiveCause::OutOfOrderJoined],
    ),
    ("autotuned", &[ReceiveCause::Coalesced]),
    ("four-writers", &[ReceiveCause::InOrder, ReceiveCause::Read]),
    ("ktls", &[ReceiveCause::InOrder]),
    (
        "mptcp",
        &[
            ReceiveCause::InOrder,
            ReceiveCause::MptcpTaken,
            ReceiveCause::Read,
        ],
    ),
    ("rst-full-queue", &[ReceiveCause::ThrownAway]),
    (
        "slow-reader",
        &[ReceiveCause::Coalesced, ReceiveCause::Read],
    ),
    ("error-queue", &[ReceiveCause::ErrorQueued]),
    ("big-tcp", &[ReceiveCause::InOrder]),
    ("tcp-mem", &[ReceiveCause::InOrder]),
    ("memcg-limit", &[ReceiveCause::InOrder]),
    // Segments one by one, a path that is filled and drained, hundreds of connections at once.
    ("gso-off", &[ReceiveCause::InOrder]),
    ("long-path", &[ReceiveCause::Read]),
    (MANY, &[ReceiveCause::InOrder]),
];

const MANY: &str = "many-sockets";
/// How many of them: enough to fill the queues without taking long.
const CONNECTIONS: u32 = 300;

/// Plays all of them under the tracer that is there.
fn cases(bench: &mut Bench, check: &mut Check) -> Result<(), Failed> {
    for (name, causes) in SCENARIOS {
        match case(bench, check, name, causes) {
            // This kernel cannot play it.
            Ok(()) | Err(DriverError::Skip(_)) => {}
            Err(error) => check.fails(format!("{name}: {error}")),
        }
        let left = bench.accounts();
        bench.forget(&left)?;
    }
    Ok(())
}

fn case(
    bench: &mut Bench,
    check: &mut Check,
    name: &str,
    causes: &[ReceiveCause],
) -> Result<(), DriverError> {
    let options = workload::Options {
        connections: (name == MANY).then_some(CONNECTIONS),
        ..workload::Options::default()
    };
    let skipped = bench.tracer.skipped_runs();
    let skipped_by_both = bench.skipped_runs();
    let mut driver = bench.during(async { case::spawn(name, &options) })?;
    let ready = bench.during(driver.ready())?;
    for pid in ready.pids.iter().chain([&ready.pid]) {
        if let Err(error) = bench.add_pid(*pid) {
            check.fails(error.to_string());
        }
    }
    bench.during(driver.go())?;
    bench.during(driver.settled())?;
    bench
        .walk(&ready.pids)
        .map_err(|error| DriverError::Failed(format!("{error:#}")))?;
    let at_rest = bench.accounts();
    bench.during(driver.finish())?;
    // Until all of their records are read.
    let mut at_end = bench.accounts();
    for _ in 0..TRIES {
        if bench.collected.has_read(&at_end) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
        bench.drain();
        at_end = bench.accounts();
    }
    if bench.skipped_runs() == skipped_by_both {
        entries::compare(check, bench, name, &at_end);
    }
    let mut found = [0_u64; RECEIVE_CAUSES];
    for (when, accounts) in [("at rest", &at_rest), ("at the end", &at_end)] {
        for account in accounts.iter().filter(|a| a.ident.family != 0) {
            let r = &account.receiving;
            if r.ledger.started == 0 {
                continue;
            }
            let what = format!("{name}, {when}, port {}", account.ident.sport);
            let sum = r.ledger.sum();
            check.equal(
                format_args!("{what}: causes, and r as of the last hook"),
                sum,
                r.ledger.r.into(),
            );
            // A run that the kernel skipped (7.2 does under load) may have been the only one to see
            // an skb out of order.
            let all_ran = bench.tracer.skipped_runs() == skipped;
            check.that(
                !all_ran || r.total(ReceiveCause::Unattributed).count == 0,
                || format!("{what}: bytes without a name: {}", account_line(r)),
            );
            for cause in ReceiveCause::ALL {
                found[*cause as usize] += r.total(*cause).count;
            }
            if when == "at the end" {
                sums::replay(check, &what, &bench.collected.replay, account);
                eprintln!("tests: {what}: {}", account_line(r));
            }
        }
    }
    for cause in causes {
        check.that(found[*cause as usize] != 0, || {
            format!("{name}: no {cause}")
        });
    }
    Ok(())
}

/// The verdict on the socket of a demonstration whose `receive` fits.
fn verdict_of(check: &mut Check, name: &str, fits: fn(&Value) -> bool) -> Result<Value, Failed> {
    let output = binary::skmem(&["demo", name, "--all", "--json"])?;
    binary::ended(check, &format!("skmem demo {name}"), &output, 0);
    let objects = binary::objects(check, &output);
    for v in &objects {
        let account = &v["receive"]["account"];
        if account.is_null() {
            continue;
        }
        check.equal(
            format_args!("{name}: closes"),
            &account["closes"],
            &true.into(),
        );
        check.equal(
            format_args!("{name}: unattributed"),
            &account["unattributed_count"],
            &0.into(),
        );
        binary::contract(check, v);
    }
    let found = objects.into_iter().find(|v| fits(&v["receive"]));
    found.ok_or_else(|| format!("{name}: no such socket").into())
}

fn error_queue() -> Result<(), Failed> {
    let mut check = Check::default();
    let v = verdict_of(&mut check, "error-queue", |r| {
        r["account"]["causes"]
            .as_array()
            .is_some_and(|causes| causes.iter().any(|c| c["cause"] == "error-queued"))
    })?;
    let r = &v["receive"];
    check.equal("Recv-Q", &r["recv_q"], &Value::from(0));
    let account = &r["account"];
    check.equal(
        "the error queue, and r",
        &account["error_queue"],
        &r["rmem_alloc"],
    );
    // Either nothing is promised any more, or what was promised before is dropped when it comes.
    let shut = r["window"] == 0 && account["window_shut"]["held_by"] == "error-queue";
    let dropped = account["causes"]
        .as_array()
        .is_some_and(|causes| causes.iter().any(|c| c["cause"] == "receive-prune"));
    check.that(shut || dropped, || format!("nothing is held up: {r}"));
    check.that(r["slow"] == Value::Bool(false), || {
        format!("the reader is blamed: {r}")
    });
    check.equal(
        "what is incomplete",
        &v["incomplete_because"],
        &Value::Array(vec![]),
    );
    // r is the error queue, to the byte.
    let queued: i64 = r["account"]["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|c| c["cause"] == "error-queued" || c["cause"] == "error-taken")
        .filter_map(|c| c["bytes"].as_i64())
        .sum();
    check.equal("r", r["rmem_alloc"].as_i64(), Some(queued));
    eprintln!("tests: error-queue: {r}");
    check.done()
}

fn slow_reader_demo() -> Result<(), Failed> {
    let mut check = Check::default();
    let v = verdict_of(&mut check, "slow-reader", |r| {
        r["reads"].as_u64().is_some_and(|reads| reads > 32)
    })?;
    let r = &v["receive"];
    check.equal("window", &r["window"], &Value::from(0));
    check.that(r["slow"] == Value::Bool(true), || format!("not slow: {r}"));
    check.that(r["account"]["window_zero_ns"].as_u64() > Some(0), || {
        format!("{r}")
    });
    check.that(
        r["account"]["data_waits_ns"].as_u64() > Some(100_000_000),
        || format!("{r}"),
    );
    // It sleeps between its reads: not known on 5.10.
    let inside = r["account"]["reader_inside_ns"].as_u64();
    let data = r["account"]["data_waits_ns"].as_u64();
    check.that(
        inside.map_or(kernel() < (5, 12), |n| data > Some(n * 4)),
        || format!("{r}"),
    );
    eprintln!("tests: slow-reader: {r}");
    check.done()
}

/// The account in a line.
fn account_line(r: &Receiving) -> String {
    let causes = ReceiveCause::ALL.iter().filter_map(|cause| {
        let t = r.total(*cause);
        (t.count != 0).then(|| {
            let inferred = match t.inferred {
                0 => String::new(),
                n => format!(" ({n} inferred)"),
            };
            format!("{cause} {}×{}{inferred}", t.bytes, t.count)
        })
    });
    let moves = RcvbufCause::ALL.iter().filter_map(|cause| {
        let m = r.ledger.rcvbuf_moved(*cause);
        (m.count != 0).then(|| format!("{cause} {}×{}", m.bytes, m.count))
    });
    let list: Vec<_> = causes.chain(moves).collect();
    format!(
        "r {} = {}; unequal {}; clocks {:?}; zero window {} ns; {:?}",
        r.now.rmem_alloc,
        list.join(", "),
        r.ledger.unequal,
        r.clocks,
        r.shut_ns,
        r.shut
    )
}

/// What the kernel counts of these: skbs merged, put out of order, collapsed; and whether a cause
/// counts the same. On 5.10 and 6.1 one run at the exit of `tcp_collapse_one` sees what several
/// calls did: some of them seem to be inlined.
const COUNTED: [(&str, ReceiveCause, bool); 3] = [
    ("TCPRcvCoalesce", ReceiveCause::Coalesced, true),
    ("TCPOFOQueue", ReceiveCause::OutOfOrder, true),
    ("TCPRcvCollapsed", ReceiveCause::Collapse, false),
];

/// The kernel's counters, which are of the whole namespace, once sockets of earlier cases move them
/// no more.
fn resting_counters() -> Result<Counters, Failed> {
    nothing_is_left()?;
    let counted = |of: &Counters| COUNTED.map(|(name, ..)| of.get(name).copied());
    let mut before = tcp_counters()?;
    let mut moved = String::new();
    for _ in 0..TRIES {
        thread::sleep(Duration::from_millis(50));
        let after = tcp_counters()?;
        if counted(&before) == counted(&after) {
            return Ok(after);
        }
        moved = format!("{:?}, then {:?}", counted(&before), counted(&after));
        before = after;
    }
    Err(format!("the kernel's counters moved during {TRIES} readings: {moved}").into())
}

impl Played<'_> {
    /// Compares counts of causes at both ends with the kernel's counters. Segments may still arrive
    /// (a probe of the window, or what a read made room for), so both are read until they agree.
    fn counted(&mut self, before: &Counters) -> Result<(), Failed> {
        let ports = (
            self.client.local_addr()?.port(),
            self.server.local_addr()?.port(),
        );
        let mut differs = Vec::new();
        for _ in 0..TRIES {
            self.bench.drain();
            let accounts = self.bench.accounts();
            let after = tcp_counters()?;
            let ends: Vec<_> = accounts
                .iter()
                .filter(|a| {
                    let (s, d) = (a.ident.sport, a.ident.dport);
                    (s, d) == ports || (d, s) == ports
                })
                .collect();
            differs.clear();
            for (name, cause, exact) in COUNTED {
                let of = |counters: &Counters| counters.get(name).copied().unwrap_or(0);
                let ours: u64 = ends.iter().map(|a| a.receiving.total(cause).count).sum();
                let (ours, kernels) = (i64::try_from(ours)?, of(&after) - of(before));
                let agree = match exact {
                    true => ours == kernels,
                    false => ours <= kernels && (ours == 0) == (kernels == 0),
                };
                if !agree {
                    differs.push(format!("{}: {cause} × {ours}, {name} {kernels}", self.name));
                }
            }
            if differs.is_empty() || self.bench.tracer.skipped_runs() != 0 {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        for difference in differs {
            self.check.fails(difference);
        }
        Ok(())
    }

    /// A walk, for what no hook has seen yet, and a comparison.
    fn walk(&mut self, what: &str) -> anyhow::Result<()> {
        // The work that a sockmap leaves to the kernel is done when nothing moves any more.
        let mut last = -1;
        for _ in 0..TRIES {
            let r = MemInfo::read(self.server.as_fd())?.rmem_alloc;
            if r == last {
                break;
            }
            last = r;
            thread::sleep(Duration::from_millis(50));
        }
        self.bench.walk(&[id()])?;
        // There a walk has no lock: what no hook has seen is named by the next one.
        if kernel() < (6, 0) {
            return Ok(());
        }
        self.look(what, false)
    }

    /// Compares the account of one end with what the kernel says of it now.
    fn look(&mut self, what: &str, client: bool) -> anyhow::Result<()> {
        let end = if client { &self.client } else { &self.server };
        let (local, peer) = (end.local_addr()?.port(), end.peer_addr()?.port());
        let name = format!("{}, {what}", self.name);
        let mut last = None;
        // A reading counts if nothing moved meanwhile.
        for _ in 0..TRIES {
            thread::sleep(Duration::from_millis(20));
            let before = MemInfo::read(end.as_fd())?;
            self.bench.drain();
            let found = self.bench.accounts().into_iter().find(|a| {
                (a.ident.sport, a.ident.dport) == (local, peer) && is_mptcp(a) == self.mptcp
            });
            let after = MemInfo::read(end.as_fd())?;
            let rests = (before.rmem_alloc, before.rcvbuf) == (after.rmem_alloc, after.rcvbuf);
            let Some(account) = found.filter(|_| rests) else {
                continue;
            };
            let sum: i64 = ReceiveCause::ALL
                .iter()
                .map(|c| account.receiving.total(*c).bytes)
                .sum();
            // A segment may arrive between the two readings of the kernel and its last hook, and
            // after the last record was read.
            let read = self.bench.collected.has_read(slice::from_ref(&account));
            if read && sum == i64::from(after.rmem_alloc) {
                self.compare(&name, &account, after);
                if self.bench.skipped_runs() == 0 {
                    entries::compare(self.check, self.bench, &name, slice::from_ref(&account));
                }
                self.seen = Some(account.receiving);
                return Ok(());
            }
            last = Some((account, after));
        }
        match last {
            Some((account, truth)) => self.compare(&name, &account, truth),
            None => self.check.fails(format!("{name}: no account at rest")),
        }
        Ok(())
    }

    fn compare(&mut self, name: &str, account: &Account, truth: MemInfo) {
        let r = &account.receiving;
        let skipped = self.bench.tracer.skipped_runs();
        let check = &mut *self.check;
        let sum: i64 = ReceiveCause::ALL.iter().map(|c| r.total(*c).bytes).sum();
        let story = || account_line(r);
        sums::replay(check, name, &self.bench.collected.replay, account);
        check.that(sum == i64::from(truth.rmem_alloc), || {
            format!(
                "{name}: the causes add up to {sum}, SO_MEMINFO says {}: {}",
                truth.rmem_alloc,
                story()
            )
        });
        check.that(r.total(ReceiveCause::Unattributed).count == 0, || {
            format!("{name}: bytes without a name: {}", story())
        });
        check.equal(
            format_args!("{name}: sk_rcvbuf, as moved"),
            i64::from(r.ledger.first_rcvbuf)
                + RcvbufCause::ALL
                    .iter()
                    .map(|c| r.ledger.rcvbuf_moved(*c).bytes)
                    .sum::<i64>(),
            truth.rcvbuf.into(),
        );
        // What a run that the kernel skipped would have seen is named by the fields.
        if skipped != 0 {
            return;
        }
        check.that(r.ledger.unequal == 0, || {
            format!("{name}: skbs of another size than r grew by: {}", story())
        });
        let inferred: i64 = r.ledger.total.iter().map(|t| t.inferred.abs()).sum();
        if self.strict {
            check.equal(format_args!("{name}: inferred"), inferred, 0);
        }
    }
}
