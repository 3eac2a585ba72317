//! Recordings: the same answer as live, and what cuts them short: SIGKILL, a full disk, a new file,
//! a black box.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::{
    binary::{contract, ended, objects, skmem},
    case::SKMEM,
    check::Check,
    process, sender,
};

mod cut;
mod flight;
mod parts;
mod terminal;

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
            "recording::command-is-recorded-and-its-status-returned",
            command,
        ),
        Trial::test(
            "recording::sigkill-loses-the-last-second-at-most",
            cut::killed,
        ),
        Trial::test(
            "recording::full-disk-ends-it-and-the-rest-opens",
            cut::full_disk,
        ),
        Trial::test(
            "recording::rotate-makes-parts-that-stand-alone",
            parts::rotate,
        ),
        Trial::test(
            "recording::flight-is-written-by-a-condition",
            flight::condition,
        ),
        Trial::test(
            "recording::flight-is-written-by-a-condition-at-the-end",
            flight::condition_at_the_end,
        ),
        Trial::test("recording::flight-is-written-by-a-signal", flight::signal),
        Trial::test(
            "recording::progress-is-shown-on-a-terminal",
            terminal::progress,
        ),
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
        .args(["record", "--verify"])
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
pub fn about(check: &mut Check, file: &Path) -> Result<Value, Failed> {
    let about = report(check, file, &["--about"])?;
    Ok(about.into_iter().next().ok_or("nothing about it")?)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn wait_for(what: &str, there: impl FnMut() -> bool) -> Result<(), Failed> {
    match process::wait_for(there) {
        true => Ok(()),
        false => Err(format!("{what}: not in time").into()),
    }
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
