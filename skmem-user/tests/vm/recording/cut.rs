//! Recordings that are cut short: by SIGKILL, by a full disk.

use std::{
    ffi::CString,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use libtest_mimic::Failed;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::Value;

use super::{Ended, Room, about, record, report, size, stderr, text, wait_for};
use crate::{
    binary::{contract, ended, skmem},
    check::Check,
    sender,
};

/// SIGKILL in the middle of a bulk transfer.
pub(super) fn killed() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("killed")?;
    let file = room.file("run.skm");
    let mut child = Ended(record(&["-o", text(&file)], &format!("{}3600", sender::BULK))?.spawn()?);
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
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, options: &str) -> Result<Self, Failed> {
        let options = CString::new(options)?;
        mount("none", at, "tmpfs", MountFlags::empty(), Some(&*options))
            .map_err(|e| format!("cannot mount: {e}"))?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

pub(super) fn full_disk() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("full")?;
    // Large enough for two full blocks of a fast machine.
    let disk = Mounted::new(&room.0, "size=192k")?;
    let (file, elsewhere) = (room.file("run.skm"), Room::new("full-until")?);
    let until = elsewhere.file("full");
    let mut command = record(&["-o", text(&file)], &format!("{}3600", sender::BULK))?;
    let mut child = Ended(command.env(sender::UNTIL, &until).spawn()?);
    // The command ends once it was said that the disk is full, and not before.
    let said = child.0.stderr.take().ok_or("no stderr")?;
    let mut printed = String::new();
    for line in BufReader::new(said).lines() {
        let line = line?;
        if line.contains("No space left on device") {
            let running = child.0.try_wait()?;
            check.that(running.is_none(), || {
                format!("its command ended: {running:?}")
            });
            fs::write(&until, "")?;
        }
        printed += &line;
        printed.push('\n');
    }
    let status = child.0.wait()?;
    check.equal("exit status on a full disk", status.code(), Some(1));
    check.that(until.exists(), || printed.clone());
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
    let said = stderr(&skmem(&["report", text(&file)])?);
    check.that(said.contains("its last records are missing"), || said);
    drop(disk);
    check.done()
}
