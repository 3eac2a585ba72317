//! Connections that come and go as fast as they can, under the shipped program: its memory stays
//! what it is, slots of closed sockets come back, every byte of a complete account has a name, and
//! what is lost is counted.
//!
//! A short run here, of a fixed number of connections, however long they take; `cargo xtask soak`
//! sets a time instead, through [`TIME`].

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::{binary, case::SKMEM, check::Check, churn, sender};

mod serve;

/// The environment variable that says how many seconds each of them lasts.
const TIME: &str = "SKMEM_TEST_SOAK";
/// Connections where nothing says how long, after the warm-up: their sockets would fill the slots
/// five times.
const CONNECTIONS: u64 = 10_240;
const _: () = assert!(2 * CONNECTIONS == 5 * SLOTS as u64);
/// Slots, as many as skmem has by default: fewer than the sockets of the warm-up alone.
const SLOTS: u32 = 4096;
const _: () = assert!(2 * WARM_UP > SLOTS as u64);
/// Connections before its memory is looked at: by then `explain` has as many closed sockets as it
/// keeps.
const WARM_UP: u64 = 2500;
/// Kilobytes that it may grow all the same: what it keeps is trimmed by an eighth, and gaps between
/// it remain.
const SLACK: u64 = 2048;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("soak::aggregate", || soak("--aggregate")),
        Trial::test("soak::records", || soak("--records")),
        Trial::test("soak::serve", serve::soak),
        Trial::test("soak::slots-come-back-when-they-are-needed", bursts),
        Trial::test("soak::children-that-ended-make-room-for-others", children),
    ]
}

/// As many processes as the filter has room for come and go, and then one whose socket is to be
/// explained.
fn children() -> Result<(), Failed> {
    const SHELL: &str = r#"n=0; while [ $n -lt 4100 ]; do (:); n=$((n+1)); done; "$0"; exit $?"#;
    let mut check = Check::default();
    let output = Command::new(SKMEM)
        .args(["explain", "--json", "--", "sh", "-c", SHELL])
        .arg(env::current_exe()?)
        .env(sender::ROLE, sender::OVERFILL)
        .stdin(Stdio::null())
        .output()?;
    binary::ended(&mut check, "skmem explain", &output, sender::CODE.into());
    // Its other end, which does not read, may be explained as well.
    let verdicts = binary::objects(&mut check, &output);
    let over = verdicts.iter().filter(|v| v["over_limit"] == true).count();
    check.equal("sockets over their limit", over, 1);
    check.done()
}

/// More sockets within half a second than there are slots, but never as many at once.
fn bursts() -> Result<(), Failed> {
    let mut check = Check::default();
    let slots = 4 * churn::BURST;
    let output = Command::new(SKMEM)
        .args(["explain", "--aggregate", "--all", "--json"])
        .arg(format!("--max-sockets={slots}"))
        .arg("--")
        .arg(env::current_exe()?)
        .env(sender::ROLE, sender::BURSTS)
        .stdin(Stdio::null())
        .output()?;
    binary::ended(&mut check, "skmem explain", &output, sender::CODE.into());
    let sockets = binary::objects(&mut check, &output);
    // Both ends of each connection.
    let made = 2 * churn::BURSTS * churn::BURST;
    check.equal("sockets explained", sockets.len(), made);
    let said = String::from_utf8_lossy(&output.stderr);
    check.that(!said.contains("found no room"), || said.to_string());
    check.done()
}

/// What a run came to.
#[derive(Default)]
struct Run {
    /// Connections, each of two sockets.
    connections: u64,
    seconds: f64,
    /// Resident kilobytes, once a second: before and after the connections that are its warm-up.
    warming: Vec<u64>,
    resident: Vec<u64>,
    /// What else it said.
    said: Vec<String>,
    verdicts: Vec<Value>,
    ended: Option<i32>,
}

fn soak(mode: &str) -> Result<(), Failed> {
    let mut check = Check::default();
    let run = run(mode)?;
    let sum = |key: &str| -> i64 {
        let values = run.verdicts.iter().map(|v| v[key].as_i64().unwrap_or(0));
        values.map(i64::abs).sum()
    };
    let count = |is: fn(&Value) -> bool| run.verdicts.iter().filter(|v| is(v)).count();
    let complete = count(|v| v["complete"] == true);
    let open = count(|v| v["socket"]["closed"] != true);
    // Three programs see the end of a socket that was reset before it was closed. Where the kernel
    // skipped the runs of all three, which PREEMPT_LAZY does once in some ten thousand, its
    // account stays open; it says that runs were skipped, and holds nothing.
    let excused =
        count(|v| v["socket"]["closed"] != true && v["skipped_runs"] != 0 && v["wmem_queued"] == 0);
    let unnamed = count(|v| v["complete"] == true && v["unattributed"] != 0);
    let silent = count(|v| v["lost_events"] != 0 && v["complete"] == true);
    let third = run.resident.len().div_ceil(3).max(1);
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or(0);
    let early = most(&run.resident[..third.min(run.resident.len())]);
    let late = most(&run.resident[run.resident.len().saturating_sub(third)..]);
    println!(
        "soak: explain {mode}, {} slots
soak:   connections     {:>9} in {:.0} s ({:.0} a second), each of two sockets
soak:   resident        {:>9} KiB when the first came, {early} KiB warm, {late} KiB at the end
soak:   open at the end {open:>9}, the last runs of {excused} of them skipped
soak:   explained       {:>9} sockets, {complete} of them complete
soak:   unattributed    {:>9} bytes, in {unnamed} complete ones
soak:   lost records    {:>9}",
        SLOTS,
        run.connections,
        run.seconds,
        run.connections as f64 / run.seconds.max(1.0),
        run.warming.first().copied().unwrap_or(0),
        run.verdicts.len(),
        sum("unattributed"),
        sum("lost_events"),
    );
    check.equal("how it ended", run.ended, Some(i32::from(sender::CODE)));
    check.that(
        !run.said.iter().any(|line| line.contains("found no room")),
        || format!("the table was full: {}", run.said.join("\n")),
    );
    check.equal(
        "sockets that are not closed when all are, and whose last runs were not skipped",
        open - excused,
        0,
    );
    check.that(excused * 10_000 <= 2 * run.connections as usize, || {
        format!("the ends of {excused} sockets were skipped")
    });
    check.that(complete > 0, || "no account is complete".into());
    check.equal(
        "complete accounts with bytes that nothing names",
        unnamed,
        0,
    );
    check.equal(
        "accounts that lost records and call themselves complete",
        silent,
        0,
    );
    check.that(early > 0 && late <= early + early / 20 + SLACK, || {
        format!("skmem's memory grows: {:?} KiB", run.resident)
    });
    if !check.is_good() {
        println!("soak:   skmem said: {}", run.said.join("\nsoak:     "));
        for v in run
            .verdicts
            .iter()
            .filter(|v| v["socket"]["closed"] != true)
        {
            println!("soak:   open: {v}");
        }
    }
    check.done()
}

/// Runs `skmem explain -- churn`, and looks at its memory meanwhile.
fn run(mode: &str) -> Result<Run, Failed> {
    let long = match env::var(TIME) {
        Ok(seconds) => format!("{seconds}s"),
        Err(_) => CONNECTIONS.to_string(),
    };
    let program = env::current_exe()?;
    let mut child = Command::new(SKMEM)
        .args(["explain", mode, "--all", "--json"])
        .arg(format!("--max-sockets={SLOTS}"))
        .arg("--")
        .arg(program)
        .env(sender::ROLE, format!("{}{WARM_UP},{long}", sender::CHURN))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (mut stdout, stderr) = (
        child.stdout.take().ok_or("no stdout")?,
        child.stderr.take().ok_or("no stderr")?,
    );
    let printed = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let (tell, said) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let mut run = Run::default();
    let mut warm: Option<Instant> = None;
    let mut done = false;
    loop {
        match said.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                let number = |rest: &str| rest.trim().parse().unwrap_or(0);
                if let Some(n) = line.strip_prefix(churn::WARM) {
                    run.connections = number(n);
                    warm = Some(Instant::now());
                } else if let Some(n) = line.strip_prefix(churn::DONE) {
                    run.connections = number(n) - run.connections;
                    run.seconds = warm.map_or(0.0, |warm| warm.elapsed().as_secs_f64());
                    done = true;
                } else {
                    run.said.push(line);
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) if !done => {
                let kilobytes = resident(child.id());
                match warm {
                    None => run.warming.extend(kilobytes),
                    Some(_) => run.resident.extend(kilobytes),
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    run.ended = child.wait()?.code();
    let text = printed.join().map_err(|_| "its reader panicked")??;
    for line in text.lines() {
        run.verdicts.push(serde_json::from_str(line)?);
    }
    Ok(run)
}

/// `VmRSS` of a process, in KiB.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
