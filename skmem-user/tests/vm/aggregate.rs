//! Accounts by the lean set of hooks without a record of each call, as agents keep them: the same
//! answer as by all hooks with all records, from the same run.

use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use skmem::{
    kernel::{plan::Set, tracer::Options},
    workload::{self, Driver},
};
use skmem_common::{account::Account, layout::Records};

use crate::{
    bench::{self, Bench},
    case::{self, TRIES},
    check::Check,
    truth, verdict,
};

/// What a tracer that makes all records knows, and one that makes few.
type Both = (Vec<Box<Account>>, Vec<Box<Account>>);

/// One socket that is blocked, one whose queue is split and refilled, one whose limit moves.
const SCENARIOS: [&str; 3] = ["article", "acks-blackholed", "sndbuf-lowered"];

/// Plays of a scenario until the kernel skipped no run of either tracer's programs.
const PLAYS: usize = 3;

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("aggregate::says-what-all-records-say", same)]
}

/// Two tracers at once.
fn same() -> Result<(), Failed> {
    let mut check = Check::default();
    let mut full = Bench::start(Bench::options()).map_err(bench::failed)?;
    let mut few = Bench::start(Options {
        records: Records::Transitions,
        set: Set::Lean,
        ..Bench::options()
    })
    .map_err(bench::failed)?;
    for name in SCENARIOS {
        let mut played = Check::default();
        for _ in 0..PLAYS {
            played = Check::default();
            let skipped = full.skipped_runs() + few.skipped_runs();
            play(&mut full, &mut few, &mut played, name)?;
            // What a skipped run would have seen is booked by the next call that one of the two
            // sees.
            if played.is_good() || full.skipped_runs() + few.skipped_runs() == skipped {
                break;
            }
        }
        check.also(played);
    }
    check.done()
}

/// Plays one and compares what both say of its sockets.
fn play(full: &mut Bench, few: &mut Bench, check: &mut Check, name: &str) -> Result<(), Failed> {
    let records = (full.seen(), few.seen());
    let mut driver = few.during(async { case::spawn(name, &workload::Options::default()) })?;
    let ready = few.during(driver.ready())?;
    for pid in &ready.pids {
        full.tracer.add_pid(*pid).map_err(bench::failed)?;
        few.tracer.add_pid(*pid).map_err(bench::failed)?;
    }
    few.during(driver.go())?;
    few.during(driver.settled())?;
    let (all, some) = at_rest(full, few, &mut driver)?;
    check.equal(format_args!("{name}: sockets"), all.len(), some.len());
    check.that(!all.is_empty(), || format!("{name}: no socket"));
    for account in &all {
        let ports = |a: &Account| (a.ident.sport, a.ident.dport, a.ident.netns);
        let Some(other) = some.iter().find(|a| ports(a) == ports(account)) else {
            check.fails(format!("{name}: no account of {:?}", ports(account)));
            continue;
        };
        for at_end in [false, true] {
            check.equal(
                format_args!(
                    "{name}: the verdict (at_end: {at_end}), all records and transitions only"
                ),
                bytes(account, at_end)?,
                bytes(other, at_end)?,
            );
        }
    }
    let records = (full.seen() - records.0, few.seen() - records.1);
    check.that(records.1 > 0 && records.1 * 4 < records.0, || {
        format!(
            "{name}: {} records, and {} of transitions",
            records.0, records.1
        )
    });
    few.during(driver.finish())?;
    full.drain();
    let closed = case::closed(few, check);
    few.forget(&closed)?;
    full.drain();
    let closed = full.accounts();
    full.forget(&closed)
}

/// The accounts of both tracers between two readings of the truth between which nothing moved, nor
/// the accounts themselves: a timer may move what rests, and the two are read one after the other.
fn at_rest(full: &mut Bench, few: &mut Bench, driver: &mut Driver) -> Result<Both, Failed> {
    let mut moved = String::new();
    for _ in 0..TRIES {
        let before = few.during(driver.truth())?;
        full.drain();
        few.drain();
        let both = (full.accounts(), few.accounts());
        let same = full.are_as_before(&both.0) && few.are_as_before(&both.1);
        let read = full.collected.has_read(&both.0);
        let after = few.during(driver.truth())?;
        if same && read && truth::at_rest(&before, &after) {
            return Ok(both);
        }
        moved = format!(
            "accounts as before: {same}; all records read: {read}; {before:?}, then {after:?}"
        );
        few.wait(Duration::from_millis(50));
    }
    Err(format!("it was never at rest during {TRIES} readings: {moved}").into())
}

/// The verdict without what differs between two tracers: times, and numbers of their own.
fn bytes(account: &Account, at_end: bool) -> Result<Value, Failed> {
    let mut value = verdict::json(&verdict::of(account, at_end))?;
    if let Some(socket) = value["socket"].as_object_mut() {
        socket.remove("id");
    }
    // What the lean set does not count.
    value["hooks"] = Value::Null;
    value["memory"]["granted"] = Value::Null;
    value["memory"]["granted_bytes"] = Value::Null;
    // It says for which part of the time, and the two read the kernel's clocks one after the other.
    if let Some(blame) = value["blame"].as_object_mut() {
        blame.remove("sentence");
    }
    strip(&mut value);
    Ok(value)
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|key, _| !key.ends_with("_ns"));
            object.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}
