//! `skmem serve`: its counters beside `SO_MEMINFO`, what senders wrote, and its own verdict, to the
//! byte; on one kernel as Prometheus has them, through its query language.
//!
//! Two senders are in cgroups that are called like containers: one whose socket stands still, full;
//! one whose socket has ended.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use libtest_mimic::{Failed, Trial};
use rustix::process::Signal;

use crate::{
    binary::parsed,
    case::SKMEM,
    check::Check,
    metrics::{Metrics, Prometheus},
    process::wait_for,
    sender::ROLE,
    serving::{Answer, Client, Serving},
    standing::{ENDED, STANDING, Stands},
};

mod dashboard;
mod flight;
mod reasons;
mod receive;
mod tripwire;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("serve::counts-to-the-byte", counts),
        Trial::test("serve::blocked-by-reason", reasons::reasons),
        Trial::test("serve::receive-side-of-one-port", receive::of_one),
        Trial::test("serve::black-box", flight::black_box),
        Trial::test("serve::black-box-excess", flight::excess),
        Trial::test("serve::tripwire", tripwire::tripwire),
    ];
    if Prometheus::is_here() {
        let name = "serve::dashboard-and-rules-have-data";
        trials.push(Trial::test(name, dashboard::has_data));
    }
    trials
}

/// A sender in a cgroup of its own.
struct Sender {
    child: Child,
    file: PathBuf,
    cgroup: PathBuf,
}

impl Sender {
    fn start(room: &Path, name: &str, id: &str) -> Result<Self, Failed> {
        let cgroup = PathBuf::from(format!("/sys/fs/cgroup/docker-{id}.scope"));
        fs::create_dir_all(&cgroup)?;
        let file = room.join(name);
        // The shell goes into the cgroup, and becomes the sender: its sockets are made there.
        let script = "echo $$ > \"$1/cgroup.procs\" && exec \"$2\"";
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&cgroup)
            .arg(env::current_exe()?)
            .env(ROLE, format!("{STANDING}{}", file.display()))
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self {
            child,
            file,
            cgroup,
        })
    }

    fn stands(&self) -> Option<Stands> {
        Stands::read(&self.file)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its process may still be on its way out of it.
        wait_for(|| fs::remove_dir(&self.cgroup).is_ok() || !self.cgroup.exists());
    }
}

/// The answer to a request that may not be answered in time on a slow machine: it is asked again.
pub fn answered(serving: &Client, path: &str, headers: &str) -> Answer {
    let mut answer = serving.get_with(path, headers);
    wait_for(|| {
        if answer.status == 503 {
            answer = serving.get_with(path, headers);
        }
        answer.status != 503
    });
    answer
}

/// No series of unattributed bytes has counted any.
pub fn no_unattributed(check: &mut Check, text: &str) {
    let theirs = |line: &&str| line.contains("unattributed\"") && !line.ends_with(" 0");
    let bytes: Vec<_> = text.lines().filter(theirs).collect();
    check.that(bytes.is_empty(), || bytes.join("\n"));
}

fn counts() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = tempfile::tempdir()?;
    let serving = Serving::start(SKMEM, &["--interval", "500ms"]);
    let address = serving.address.clone();
    let without = serving
        .said
        .iter()
        .any(|line| line.contains("without causes"));
    check.that(!without, || format!("{:?}", serving.said));
    let judge = Prometheus::is_here()
        .then(|| Prometheus::start(room.path(), &address))
        .transpose()?;
    let full = Sender::start(room.path(), "full", &"ab".repeat(32))?;
    let _ended = Sender::start(room.path(), "ended", &"cd".repeat(32))?;
    let metrics = |id: &str| Metrics {
        prometheus: judge.as_ref(),
        whose: format!("container=\"{}\"", id.repeat(6)),
    };
    let (of_full, of_ended) = (metrics("ab"), metrics("cd"));

    // Until what Prometheus holds is what stands in the kernel.
    let mut last = String::new();
    let agrees = |serving: &Client, last: &mut String| of_full.agree(serving, &full.file, last);
    let there = wait_for(|| agrees(&serving, &mut last));
    check.that(there, || format!("the full socket never agrees: {last}"));

    // The verdict of the same account, by cause, and the gauge; the reader's kernel may take more
    // once in a while.
    let mut last_verdict = String::new();
    let there = wait_for(|| {
        let Some(stands) = full.stands() else {
            return false;
        };
        let Stands { w, cookie, .. } = stands;
        let answer = answered(
            &serving,
            &format!("/explain/{cookie}?format=json&at=end"),
            "",
        );
        check.equal("status of /explain", answer.status, 200);
        check.that(answer.head.contains("application/json"), || {
            answer.head.clone()
        });
        let verdict = parsed("explain", &answer.body).unwrap_or_default();
        let ledger = verdict["ledger"].as_array().into_iter().flatten();
        let ledger: BTreeMap<String, i64> = ledger
            .filter_map(|one| Some((one["cause"].as_str()?.to_owned(), one["bytes"].as_i64()?)))
            .filter(|(_, bytes)| *bytes != 0)
            .collect();
        let counted = of_full.ledger(&serving);
        let gauge = of_full.of(&serving, "skmem_wmem_queued_bytes", "container");
        let gauge: u64 = gauge.values().sum();
        last_verdict = format!("w {w}, as a gauge {gauge}; {counted:?}; the verdict: {ledger:?}");
        let same = counted == ledger && gauge == w;
        same && full.stands() == Some(stands)
    });
    check.that(there, || {
        format!("counters, gauge and verdict never agree: {last_verdict}")
    });
    let refused = of_full.of(&serving, "skmem_sender_refused_total", "container");
    check.that(refused.values().sum::<u64>() > 0, || {
        "no refusal was counted".to_owned()
    });

    // What has ended is counted, and stays.
    let over = |serving: &Client| {
        of_ended.payload(serving) == ENDED && of_ended.ledger(serving).values().sum::<i64>() == 0
    };
    let there = wait_for(|| over(&serving));
    check.that(there, || {
        format!(
            "what has ended: {} written, {:?}",
            of_ended.payload(&serving),
            of_ended.ledger(&serving)
        )
    });
    no_unattributed(&mut check, &serving.get("/metrics").body);
    eprintln!("tests: serve: {last}");

    // Killed and started again: what it finds is counted as pre-existing.
    if judge.is_some() {
        drop(serving);
        let serving = Serving::start_at(SKMEM, &address, &["--interval", "500ms"]);
        let again = |last: &mut String| {
            agrees(&serving, last) && of_full.ledger(&serving).contains_key("pre-existing")
        };
        let there = wait_for(|| again(&mut last));
        check.that(there, || format!("after the restart: {last}"));
        let (status, said) = serving.ended(Signal::TERM);
        check.that(status.success(), || format!("{status}: {said}"));
    }
    check.done()
}
