//! The black box.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use skmem::recording::{Item, Recording, Role};

use super::{Ended, Room, about, record, report, size, stderr, text, wait_for};
use crate::{
    binary::{contract, ended},
    check::Check,
    process::{Process, is_over, status},
    sender,
};

/// What the black box is asked to keep, in ns.
const SECOND: u64 = 1_000_000_000;
/// Most boxes that are taken, until one has segments enough.
const BOXES: usize = 3;

pub(super) fn condition() -> Result<(), Failed> {
    let room = Room::new("condition")?;
    let file = room.file("box.skm");
    let output = with_condition(&file)?.output()?;
    holds(&file, &output)
}

/// The condition and the command's end come at once, to a skmem that got no time before.
pub(super) fn condition_at_the_end() -> Result<(), Failed> {
    let room = Room::new("condition-at-the-end")?;
    let file = room.file("box.skm");
    let skmem_too = Process::start(&mut with_condition(&file)?)?;
    let command = skmem_too.child()?;
    skmem_too.signal(Signal::STOP)?;
    wait_for("the command's end", || is_over(&status(command)))?;
    skmem_too.signal(Signal::CONT)?;
    holds(&file, &skmem_too.output()?)
}

fn with_condition(file: &Path) -> Result<Command, Failed> {
    let arguments = ["-o", text(file), "--flight", "2s", "--when", "excess>1K"];
    record(&arguments, sender::OVERFILL)
}

/// The black box was written, and says why.
fn holds(file: &Path, output: &Output) -> Result<(), Failed> {
    let mut check = Check::default();
    ended(
        &mut check,
        "skmem record --flight --when",
        output,
        sender::CODE.into(),
    );
    check.that(stderr(output).contains("excess>1024 holds"), || {
        stderr(output)
    });
    let about = about(&mut check, file)?;
    check.equal(
        "trigger",
        &about["meta"]["trigger"],
        &Value::from("excess>1024"),
    );
    check.equal("damage", &about["damage"], &Value::Null);
    let verdicts = report(&mut check, file, &[])?;
    check.equal("sockets over their limit", verdicts.len(), 1);
    for verdict in &verdicts {
        contract(&mut check, verdict);
        check.that(verdict["worst_excess"].as_i64() > Some(1024), || {
            verdict.to_string()
        });
    }
    check.done()
}

pub(super) fn signal() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("signal")?;
    let mut n = 1;
    let (file, begins) = loop {
        let file = room.file(&format!("box-{n}.skm"));
        taken_by_signal(&mut check, &file)?;
        let begins = segments(&file)?;
        // A skmem that gets no time makes a segment so long that the last two are all that is kept.
        let long = matches!(*begins, [first, last] if last.saturating_sub(first) >= SECOND);
        if !long || n == BOXES {
            break (file, begins);
        }
        n += 1;
    };
    let about = about(&mut check, &file)?;
    check.equal(
        "trigger",
        &about["meta"]["trigger"],
        &Value::from("SIGUSR1"),
    );
    check.equal("damage", &about["damage"], &Value::Null);
    // The last second and a quarter, of four that were traced.
    let kept = about["records"].as_u64().unwrap_or(0);
    let made: u64 = about["end"]["hooks"].as_array().map_or(0, |hooks| {
        hooks.iter().filter_map(|h| h["produced"].as_u64()).sum()
    });
    check.that(kept > 100 && kept < made, || {
        format!("{kept} of {made} records kept")
    });
    // How much traffic there is in a second is the machine's affair, and how long a segment gets;
    // which are kept is not: no second one that began a second before the last.
    check.that(begins.len() > 2 && begins.is_sorted(), || {
        format!("segments that begin at {begins:?} ns")
    });
    let (second, last) = (begins.get(1), begins.last());
    let kept = second.zip(last).map_or(0, |(second, last)| last - second);
    check.that(kept < SECOND, || {
        format!("segments of {kept} ns and one kept")
    });
    let second = file.with_extension("2.skm");
    check.equal("a second file", second.exists(), false);
    let sockets = report(&mut check, &file, &["--all"])?;
    check.equal("sockets", sockets.len(), 1);
    check.done()
}

/// A black box of a bulk transfer.
fn taken_by_signal(check: &mut Check, file: &Path) -> Result<(), Failed> {
    let arguments = ["-o", text(file), "--flight", "1s"];
    let mut command = record(&arguments, &format!("{}3600", sender::BULK))?;
    // Nobody reads what it says.
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut child = Ended(child);
    let pid = Pid::from_child(&child.0);
    // The programs are attached when the command runs, a child of skmem's.
    wait_for("a command", || has_child(pid))?;
    thread::sleep(Duration::from_secs(4));
    kill_process(pid, Signal::USR1)?;
    wait_for("a black box", || size(file) > 0)?;
    kill_process(pid, Signal::INT)?;
    let mut status = None;
    wait_for("its end", || {
        status = child.0.try_wait().ok().flatten();
        status.is_some()
    })?;
    check.equal("exit status", status.and_then(|s| s.code()), Some(0));
    Ok(())
}

/// When each segment begins: with the accounts of all open sockets.
fn segments(file: &Path) -> Result<Vec<u64>, Failed> {
    let mut recording = Recording::open(file)?;
    let mut begins = Vec::new();
    while let Some(item) = recording.next_item() {
        match item {
            Item::Accounts(accounts) if accounts.role == Role::Checkpoint => {
                begins.push(accounts.now_ns);
            }
            _ => {}
        }
    }
    begins.dedup();
    Ok(begins)
}

fn has_child(pid: Pid) -> bool {
    let pid = pid.as_raw_pid();
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .is_ok_and(|c| !c.trim().is_empty())
}
