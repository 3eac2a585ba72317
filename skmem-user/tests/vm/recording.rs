//! Recordings: the same answer as live, and what cuts them short: SIGKILL, a full disk, a new file, a black box.

use std::{
    ffi::CString,
    fs,
    io::Read as _,
    os::fd::FromRawFd as _,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use skmem::{collect::decode::Record, recording::Recording};

use crate::{
    binary::{contract, ended, objects, skmem},
    case::SKMEM,
    check::Check,
    sender,
};

/// How long anything may take here; loading the programs takes 10 s where the kernel is emulated.
const PATIENCE: Duration = Duration::from_secs(300);

pub fn trials() -> Vec<Trial> {
    let same = |name: &'static str, arguments: &'static [&'static str], lossy| {
        Trial::test(
            format!("recording::report-is-the-live-verdict::{name}"),
            move || same(name, arguments, lossy),
        )
    };
    vec![
        same("article", &["article"], false),
        same(
            "storm-that-loses-records",
            &["storm", "--connections", "20", "--ring", "4K"],
            true,
        ),
        Trial::test(
            "recording::command-is-recorded-and-its-status-told",
            command,
        ),
        Trial::test("recording::sigkill-loses-the-last-second-at-most", killed),
        Trial::test("recording::full-disk-ends-it-and-the-rest-opens", full_disk),
        Trial::test("recording::rotate-makes-parts-that-stand-alone", rotate),
        Trial::test("recording::flight-is-written-by-a-condition", condition),
        Trial::test("recording::flight-is-written-by-a-signal", signal),
        Trial::test("recording::progress-is-told-on-a-terminal", progress),
    ]
}

/// A directory that goes with the test.
pub struct Room(pub PathBuf);

impl Room {
    pub fn new(name: &str) -> Result<Self, Failed> {
        let path = std::env::temp_dir().join(format!("skmem-test-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that does not outlive the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("names of tests are plain")
}

/// `skmem record` with this program as its command, in a role.
fn record(arguments: &[&str], role: &str) -> Result<Command, Failed> {
    let mut command = Command::new(SKMEM);
    command
        .arg("record")
        .args(arguments)
        .arg("--")
        .arg(std::env::current_exe()?)
        .env(sender::ROLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// What `skmem report FILE` says with more arguments, as JSON.
pub fn report(check: &mut Check, file: &Path, arguments: &[&str]) -> Result<Vec<Value>, Failed> {
    let mut all = vec!["report", text(file), "--json"];
    all.extend(arguments);
    let output = skmem(&all)?;
    ended(check, &format!("skmem {}", all.join(" ")), &output, 0);
    Ok(objects(check, &output))
}

/// What a recording says of itself, which must be there.
fn about(check: &mut Check, file: &Path) -> Result<Value, Failed> {
    let about = report(check, file, &["--about"])?;
    Ok(about.into_iter().next().ok_or("nothing about it")?)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) -> Result<(), Failed> {
    let started = Instant::now();
    while !there() {
        if started.elapsed() > PATIENCE {
            return Err(format!("{what}: not after {PATIENCE:?}").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |m| m.len())
}

/// The same trace live and recorded: the same JSON, to the byte.
fn same(name: &str, arguments: &[&str], lossy: bool) -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new(name)?;
    let file = room.file("demo.skm");
    let mut all = vec!["demo"];
    all.extend(arguments);
    all.extend(["--all", "--json", "--record", text(&file)]);
    let live = skmem(&all)?;
    ended(&mut check, "skmem demo --record", &live, 0);
    let recorded = skmem(&["report", text(&file), "--all", "--json"])?;
    ended(&mut check, "skmem report", &recorded, 0);
    check.equal("stderr of report", stderr(&recorded), String::new());
    check.that(!live.stdout.is_empty(), || "no verdict".into());
    check.that(live.stdout == recorded.stdout, || {
        let lines = |o: &Output| String::from_utf8_lossy(&o.stdout).into_owned();
        format!(
            "live and recorded differ:\n{}\n{}",
            lines(&live),
            lines(&recorded)
        )
    });
    let lost: u64 = objects(&mut check, &live)
        .iter()
        .filter_map(|v| v["lost_events"].as_u64())
        .sum();
    check.equal("records were lost", lost > 0, lossy);
    let mode = fs::metadata(&file)?.permissions().mode() & 0o777;
    check.equal("mode of the file", format!("{mode:o}"), "600".to_owned());

    // Up to the last instant, replay gives the same sums.
    if !lossy {
        let last = report(&mut check, &file, &["--all", "--at-end"])?;
        for verdict in &last {
            let id = verdict["socket"]["id"].to_string();
            let replayed = report(&mut check, &file, &["--socket", &id, "--at", "-0s"])?;
            for key in [
                "wmem_queued",
                "sndbuf",
                "excess",
                "ledger",
                "worst_excess",
                "skb_truesize",
            ] {
                check.equal(
                    format_args!("socket {id}: {key} by replay"),
                    replayed.first().map(|v| &v[key]),
                    Some(&verdict[key]),
                );
            }
        }
    }
    check.done()
}

/// `skmem record -- CMD`.
fn command() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("command")?;
    let file = room.file("run.skm");
    let output = record(&["-o", text(&file)], sender::OVERFILL)?.output()?;
    ended(
        &mut check,
        "skmem record -- CMD",
        &output,
        sender::CODE.into(),
    );
    check.that(stderr(&output).contains(" 0 lost, "), || stderr(&output));
    let verdicts = report(&mut check, &file, &[])?;
    check.equal("sockets over their limit", verdicts.len(), 1);
    for verdict in &verdicts {
        contract(&mut check, verdict);
        check.equal("so_sndbuf", &verdict["so_sndbuf"], &Value::from(4096));
        check.equal("complete", &verdict["complete"], &Value::from(true));
    }
    let about = about(&mut check, &file)?;
    check.equal(
        "reason",
        &about["end"]["reason"],
        &Value::from("command-ended"),
    );
    check.equal("damage", &about["damage"], &Value::Null);
    let diff = skmem(&["diff", text(&file), text(&file), "--json"])?;
    ended(&mut check, "skmem diff", &diff, 0);
    for diff in objects(&mut check, &diff) {
        check.equal("change", &diff["change"]["peak_excess"], &Value::from(0));
        check.equal("outcome", &diff["outcome"], &Value::from("same"));
    }
    // What is there is not written over.
    let again = record(&["-o", text(&file)], sender::OVERFILL)?.output()?;
    ended(&mut check, "skmem record over a file", &again, 1);
    check.that(stderr(&again).contains("--force"), || stderr(&again));
    check.done()
}

/// SIGKILL in the middle of a bulk transfer.
fn killed() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("killed")?;
    let file = room.file("run.skm");
    let mut child = Ended(record(&["-o", text(&file)], &format!("{}120", sender::BULK))?.spawn()?);
    wait_for("a recording", || size(&file) > 16 << 10)?;
    // Blocks are a second old at most.
    thread::sleep(Duration::from_secs(2));
    child.0.kill()?;
    child.0.wait()?;
    let at_kill = size(&file);
    let verdicts = report(&mut check, &file, &["--all"])?;
    check.that(!verdicts.is_empty(), || "no socket".into());
    for verdict in &verdicts {
        contract(&mut check, verdict);
        check.equal("complete", &verdict["complete"], &Value::from(false));
        let because = verdict["incomplete_because"].to_string();
        check.that(because.contains("no end"), || because.clone());
    }
    let about = about(&mut check, &file)?;
    check.equal("end", &about["end"], &Value::Null);
    let records = about["records"].as_u64().unwrap_or(0);
    check.that(records > 1000, || {
        format!("{records} records in {at_kill} bytes")
    });
    let mut bytes = fs::read(&file)?;
    // It may have been hit within a write: the blocks before that one are whole.
    if let Some(damage) = about["damage"].as_str() {
        let (at, _) = damage
            .strip_prefix("stops at byte ")
            .and_then(|rest| rest.split_once(": the file ends within a block;"))
            .ok_or_else(|| damage.to_owned())?;
        bytes.truncate(at.parse()?);
    }
    let whole = bytes.len();
    // A part of a block more, as a SIGKILL within a write would leave it.
    bytes.extend_from_slice(&[2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 7, 7, 7, 7]);
    fs::write(&file, &bytes)?;
    let output = skmem(&["report", text(&file), "--all", "--json"])?;
    ended(&mut check, "skmem report of a cut file", &output, 0);
    let want =
        format!("stops at byte {whole}: the file ends within a block; {records} events before it");
    check.that(stderr(&output).contains(&want), || stderr(&output));
    check.done()
}

/// A disk of a few pages.
struct Mounted(CString);

impl Mounted {
    fn new(at: &Path, options: &str) -> Result<Self, Failed> {
        let at = CString::new(at.as_os_str().as_bytes())?;
        let options = CString::new(options)?;
        // SAFETY: all pointers are strings that outlive the call.
        let result = unsafe {
            libc::mount(
                c"none".as_ptr(),
                at.as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                options.as_ptr().cast(),
            )
        };
        if result != 0 {
            return Err(format!("cannot mount: {}", std::io::Error::last_os_error()).into());
        }
        Ok(Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // SAFETY: the path is a string that outlives the call.
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
    }
}

fn full_disk() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("full")?;
    // So small, and so long, that a slow machine fills it, too; large enough for two full blocks of a fast one.
    let disk = Mounted::new(&room.0, "size=192k")?;
    let file = room.file("run.skm");
    let output = record(&["-o", text(&file)], &format!("{}40", sender::BULK))?.output()?;
    ended(&mut check, "skmem record on a full disk", &output, 1);
    check.that(stderr(&output).contains("No space left on device"), || {
        stderr(&output)
    });
    let about = about(&mut check, &file)?;
    check.equal("damage", &about["damage"], &Value::Null);
    let records = about["records"].as_u64().unwrap_or(0);
    check.that(records > 1000, || format!("{records} records"));
    // The last records make room for the end.
    check.equal(
        "reason",
        &about["end"]["reason"],
        &Value::from("write-failed"),
    );
    let verdicts = report(&mut check, &file, &["--all"])?;
    check.that(!verdicts.is_empty(), || "no socket".into());
    let told = stderr(&skmem(&["report", text(&file)])?);
    check.that(told.contains("its last records are missing"), || told);
    drop(disk);
    check.done()
}

fn rotate() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("rotate")?;
    let first = room.file("run.skm");
    let role = format!("{}12", sender::BULK);
    let output = record(&["-o", text(&first), "--rotate", "64K"], &role)?.output()?;
    ended(
        &mut check,
        "skmem record --rotate",
        &output,
        sender::CODE.into(),
    );
    let mut records = 0;
    let mut last_no = 0;
    for n in 1.. {
        let part = match n {
            1 => first.clone(),
            _ => room.file(&format!("run.{n}.skm")),
        };
        if !part.exists() {
            check.that(n > 2, || format!("{} part; {}", n - 1, stderr(&output)));
            break;
        }
        let about = about(&mut check, &part)?;
        check.equal("damage", &about["damage"], &Value::Null);
        check.equal("part", &about["meta"]["part"], &Value::from(n));
        let of_part = about["records"].as_u64().unwrap_or(0);
        check.that(of_part > 0, || format!("part {n} is empty"));
        records += of_part;
        let sockets = report(&mut check, &part, &["--all"])?;
        check.equal("sockets", sockets.len(), 1);
        // Replay of this part alone gives the same sums as the kernel's account at its end.
        let last = report(&mut check, &part, &["--all", "--at-end"])?;
        // The account goes on from part to part; the last may have been begun when the sender had ended.
        let count = int(&last, "admission", "count");
        let is_last = part_is_last(&room, n);
        check.that(count > last_no || is_last && count == last_no, || {
            format!("part {n}: {count} admissions after {last_no}")
        });
        last_no = count;
        let id = sockets
            .first()
            .map_or(Value::Null, |v| v["socket"]["id"].clone())
            .to_string();
        let replayed = report(&mut check, &part, &["--socket", &id, "--at", "-0s"])?;
        let queued = |v: &[Value]| v.first().map(|v| v["ledger"].clone());
        if !sockets.is_empty() && is_last {
            check.equal(
                format_args!("part {n}: ledger by replay"),
                queued(&replayed),
                queued(&last),
            );
        }
    }
    let told = stderr(&output);
    let grouped = grouped(records);
    check.that(told.contains(&format!(" {grouped} events")), || {
        format!("{records} records in all parts; {told}")
    });
    check.done()
}

/// Between two parts, records of the last moments lie in the later one.
fn part_is_last(room: &Room, n: u32) -> bool {
    !room.file(&format!("run.{}.skm", n + 1)).exists()
}

fn int(verdicts: &[Value], object: &str, key: &str) -> u64 {
    let first = verdicts.first().and_then(|v| v[object][key].as_u64());
    first.unwrap_or(0)
}

fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn condition() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("condition")?;
    let file = room.file("box.skm");
    let arguments = ["-o", text(&file), "--flight", "2s", "--when", "excess>1K"];
    let output = record(&arguments, sender::OVERFILL)?.output()?;
    ended(
        &mut check,
        "skmem record --flight --when",
        &output,
        sender::CODE.into(),
    );
    check.that(stderr(&output).contains("excess>1024 holds"), || {
        stderr(&output)
    });
    let about = about(&mut check, &file)?;
    check.equal(
        "trigger",
        &about["meta"]["trigger"],
        &Value::from("excess>1024"),
    );
    check.equal("damage", &about["damage"], &Value::Null);
    let verdicts = report(&mut check, &file, &[])?;
    check.equal("sockets over their limit", verdicts.len(), 1);
    for verdict in &verdicts {
        contract(&mut check, verdict);
        check.that(verdict["worst_excess"].as_i64() > Some(1024), || {
            verdict.to_string()
        });
    }
    check.done()
}

fn signal() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("signal")?;
    let file = room.file("box.skm");
    let arguments = ["-o", text(&file), "--flight", "1s", "--duration", "8s"];
    let mut command = record(&arguments, &format!("{}60", sender::BULK))?;
    // Nobody reads what it says.
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut child = Ended(child);
    let pid = libc::pid_t::try_from(child.0.id())?;
    // The programs are attached when the command runs, a child of skmem's.
    wait_for("a command", || has_child(pid))?;
    thread::sleep(Duration::from_secs(4));
    // SAFETY: kill has no preconditions; the process is our child, and not waited for yet.
    unsafe { libc::kill(pid, libc::SIGUSR1) };
    wait_for("a black box", || size(&file) > 0)?;
    let status = child.0.wait()?;
    check.equal("exit status", status.code(), Some(0));
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
    // How much traffic there is in a second is the machine's affair; how many seconds are kept is not.
    let span = span(&file)?;
    check.that(span < Duration::from_secs(2), || {
        format!("records of {span:?} kept")
    });
    check.equal("a second file", room.file("box.2.skm").exists(), false);
    let sockets = report(&mut check, &file, &["--all"])?;
    check.equal("sockets", sockets.len(), 1);
    check.done()
}

/// From the first record of a file to its last; those that say who a socket is are as old as it.
fn span(file: &Path) -> Result<Duration, Failed> {
    let mut recording = Recording::open(file)?;
    let mut times = Vec::new();
    for record in recording.records() {
        if let Record::Event(event) = record {
            times.push(event.time_ns);
        }
    }
    let (first, last) = (times.iter().min(), times.iter().max());
    let (Some(first), Some(last)) = (first, last) else {
        return Err("no record".into());
    };
    Ok(Duration::from_nanos(last - first))
}

fn has_child(pid: libc::pid_t) -> bool {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .is_ok_and(|c| !c.trim().is_empty())
}

/// The line on a terminal.
fn progress() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("progress")?;
    let file = room.file("run.skm");
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize {
        ws_row: 24,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the numbers and the size outlive the call; the other pointers may be null.
    let result = unsafe {
        libc::openpty(
            &raw mut ours,
            &raw mut theirs,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &raw const size,
        )
    };
    if result != 0 {
        return Err(format!("no terminal: {}", std::io::Error::last_os_error()).into());
    }
    // SAFETY: openpty has made them, and nobody else closes them.
    let (mut ours, theirs) =
        unsafe { (fs::File::from_raw_fd(ours), fs::File::from_raw_fd(theirs)) };
    let mut command = record(&["-o", text(&file)], &format!("{}3", sender::BULK))?;
    let child = command.env("TERM", "linux").stderr(theirs).spawn()?;
    // Its end of the terminal: while we have it too, ours has no end.
    drop(command);
    let mut child = Ended(child);
    let mut said = Vec::new();
    // A terminal ends with an error (EIO).
    let _ = ours.read_to_end(&mut said);
    let status = child.0.wait()?;
    check.equal("exit status", status.code(), Some(sender::CODE.into()));
    let said = String::from_utf8_lossy(&said);
    for word in [
        "recording: ",
        " events, ",
        " lost, 1 socket; Ctrl-C",
        "bytes an event",
    ] {
        check.that(said.contains(word), || format!("no {word:?} in {said:?}"));
    }
    eprintln!("tests: on a terminal: {said:?}");
    check.done()
}
