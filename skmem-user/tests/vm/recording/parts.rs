//! Recordings in several files.

use std::fs;

use libtest_mimic::Failed;
use serde_json::Value;

use super::{Room, about, record, report, stderr, text, wait_for};
use crate::{binary::ended, check::Check, process::Process, sender};

pub(super) fn rotate() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("rotate")?;
    let (first, until) = (room.file("run.skm"), room.file("until"));
    let role = format!("{}3600", sender::BULK);
    let mut command = record(&["-o", text(&first), "--rotate", "64K"], &role)?;
    let recorder = Process::start(command.env(sender::UNTIL, &until))?;
    // A whole part between the first and the last.
    wait_for("a third part", || room.file("run.3.skm").exists())?;
    fs::write(&until, "")?;
    let output = recorder.output()?;
    ended(
        &mut check,
        "skmem record --rotate",
        &output,
        sender::CODE.into(),
    );
    let mut records = 0;
    let mut last_no = 0;
    let mut run = Value::Null;
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
        if n == 1 {
            run = about["meta"]["run"].clone();
            check.that(run.as_str().is_some_and(|r| r.len() == 36), || {
                format!("{run} is not a UUID")
            });
        }
        check.equal("run", &about["meta"]["run"], &run);
        let of_part = about["records"].as_u64().unwrap_or(0);
        records += of_part;
        let sockets = report(&mut check, &part, &["--all"])?;
        // Replay of this part alone gives the same sums as the kernel's account at its end.
        let last = report(&mut check, &part, &["--all", "--at-end"])?;
        let count = int(&last, "admission", "count");
        let is_last = part_is_last(&room, n);
        // The last may have been begun when the sender had ended: all records of its socket may be
        // in the parts before.
        if is_last && of_part == 0 && (sockets.is_empty() || count == last_no) {
            continue;
        }
        check.that(of_part > 0, || format!("part {n} is empty"));
        check.equal("sockets", sockets.len(), 1);
        // The account goes on from part to part.
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
    let said = stderr(&output);
    let grouped = grouped(records);
    check.that(said.contains(&format!(" {grouped} events")), || {
        format!("{records} records in all parts; {said}")
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
