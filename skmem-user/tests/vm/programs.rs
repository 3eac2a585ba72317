//! Programs from Debian that people run, held up as they are in the field: what skmem says of each,
//! beside `ss` and beside what an expert would say.
//!
//! All of them are at work at once, and watched twice: by a skmem that comes when they have been
//! held up for a while, and by one that was there before their first byte.

use std::{collections::HashMap, process::Command, sync::OnceLock};

use cast::{Part, Program, Waits};
use libtest_mimic::{Completion, Failed, Trial};
use rustix::process::Signal;
use serde_json::Value;
use skmem::{
    decode::{self, Reading},
    diag::{DiagSocket, Protocol, inet_diag},
};

use crate::{
    Outcome,
    binary::{contract, ended, objects, skmem},
    check::Check,
    process::{Process, wait_for},
};

mod cast;
pub mod ring;

/// Tries to find all of them at rest while skmem looks at them.
const TRIES: usize = 3;

/// When skmem comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// They have been held up for a while.
    Late,
    /// Before their first byte.
    Early,
}

pub fn trials() -> Vec<Trial> {
    let of = |when: When| {
        cast::ALL.iter().map(move |program| {
            let when_words = match when {
                When::Late => "late",
                When::Early => "from-birth",
            };
            let name = format!("programs::{}-{when_words}", program.name);
            Trial::ignorable_test(name, move || judged(program, when))
        })
    };
    of(When::Late).chain(of(When::Early)).collect()
}

/// What was seen of all of them.
struct Observed {
    /// By program; else why it does not run here.
    played: HashMap<&'static str, Result<u32, String>>,
    verdicts: Vec<Value>,
    /// Before and after skmem printed them.
    kernel: [Kernel; 2],
    /// What skmem said on stderr.
    text: String,
    /// What is wrong with all of them.
    wrong: Option<String>,
}

/// Plays all of them once for each way to look at them.
fn seen(when: When) -> Result<&'static Observed, Failed> {
    static LATE: OnceLock<Result<Observed, String>> = OnceLock::new();
    static EARLY: OnceLock<Result<Observed, String>> = OnceLock::new();
    let (kept, play): (_, fn() -> Result<Observed, Failed>) = match when {
        When::Late => (&LATE, late),
        When::Early => (&EARLY, early),
    };
    let words = |failed: Failed| failed.message().unwrap_or_default().to_owned();
    let seen = kept.get_or_init(|| play().map_err(words));
    seen.as_ref().map_err(Failed::from)
}

fn late() -> Result<Observed, Failed> {
    let stage = cast::start()?;
    let mut before = at_rest(&stage)?;
    for attempt in 1.. {
        let mut arguments = vec!["explain", "--json", "--duration", "1s"];
        let pids: Vec<String> = stage.pids().map(|pid| pid.to_string()).collect();
        let names = cast::ALL.iter().filter_map(|program| program.comm);
        let whom = names.chain(pids.iter().map(String::as_str));
        arguments.extend(whom.flat_map(|who| ["-p", who]));
        let mut check = Check::default();
        let output = skmem(&arguments)?;
        ended(&mut check, "skmem explain", &output, 0);
        let verdicts = objects(&mut check, &output);
        let after = Kernel::ask()?;
        if after.is_at(&before, &stage) || attempt == TRIES {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Ok(stage.seen(verdicts, [before, after], said, check));
        }
        before = at_rest(&stage)?;
    }
    Err("no try was made".into())
}

fn early() -> Result<Observed, Failed> {
    let mut check = Check::default();
    let room = tempfile::tempdir()?;
    let file = room.path().join("programs.skm");
    let mut recorder = Process::start(
        Command::new("skmem")
            .args(["record", "--verify", "-o"])
            .arg(&file),
    )?;
    recorder.attached()?;
    let stage = cast::start()?;
    let kernel = at_rest(&stage)?;
    recorder.signal(Signal::INT)?;
    let output = recorder.output()?;
    // Accounts that records tell otherwise make it fail.
    ended(&mut check, "skmem record", &output, 0);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    check.that(said.contains("accounts agree to the byte"), || {
        format!("--verify says nothing: {said}")
    });
    let after = Kernel::ask()?;
    let file = file.to_string_lossy();
    let output = skmem(&["report", "--all", "--at-end", "--json", &file])?;
    ended(&mut check, "skmem report", &output, 0);
    let verdicts = objects(&mut check, &output);
    Ok(stage.seen(verdicts, [kernel, after], said, check))
}

/// What the kernel says of all sockets.
struct Kernel {
    /// `ss -tnm`
    tcp: Vec<Reading>,
    /// `ss -Mnm`
    mptcp: Vec<Reading>,
    /// What `ss` does not print of MPTCP sockets: their Send-Q.
    dumped: Vec<DiagSocket>,
}

impl Kernel {
    fn ask() -> Result<Self, Failed> {
        let ss = |flags| -> Result<Vec<Reading>, Failed> {
            let output = Command::new("ss").arg(flags).output()?;
            Ok(decode::parse(&String::from_utf8_lossy(&output.stdout)).sockets)
        };
        let mut dumped = Vec::new();
        let mut mptcp = Vec::new();
        if inet_diag::mptcp_is_known() {
            inet_diag::dump(Protocol::Mptcp, inet_diag::EVERY_STATE, |socket| {
                dumped.push(socket.clone());
            })?;
            mptcp = ss("-Mnm")?;
        }
        Ok(Self {
            tcp: ss("-tnm")?,
            mptcp,
            dumped,
        })
    }

    /// The connection that the program sends on: of several the one that holds most.
    fn of(&self, program: &Program) -> Option<&Reading> {
        let all = match program.protocol {
            "mptcp" => &self.mptcp,
            _ => &self.tcp,
        };
        let port = format!(":{}", program.port);
        let ends = |end: &Option<String>| end.as_ref().is_some_and(|end| end.ends_with(&port));
        all.iter()
            .filter(|reading| ends(&reading.local) || ends(&reading.remote))
            .max_by_key(|reading| reading.memory.wmem_queued)
    }

    /// w, S and Send-Q of that connection.
    fn numbers(&self, program: &Program) -> Option<[i64; 3]> {
        let reading = self.of(program)?;
        let send_q = match program.protocol {
            "mptcp" => {
                let ends =
                    |socket: &&DiagSocket| [socket.sport, socket.dport].contains(&program.port);
                let all = self.dumped.iter().filter(ends);
                all.filter_map(|socket| socket.mptcp)
                    .map(|mptcp| mptcp.send_q)
                    .max()?
                    .into()
            }
            _ => reading.send_q?,
        };
        Some([reading.memory.wmem_queued?, reading.memory.sndbuf?, send_q])
    }

    /// Whether all that are to stand still do.
    fn is_at(&self, before: &Self, stage: &cast::Stage) -> bool {
        stage.still().all(|program| {
            let now = self.numbers(program);
            now == before.numbers(program) && now.is_some_and(|[w, _, send_q]| w > 0 && send_q > 0)
        })
    }
}

/// Waits until all that are held up for good stand still.
fn at_rest(stage: &cast::Stage) -> Result<Kernel, Failed> {
    let mut last = Kernel::ask()?;
    let mut same = 0;
    let rests = wait_for(|| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let Ok(now) = Kernel::ask() else { return false };
        same = if now.is_at(&last, stage) { same + 1 } else { 0 };
        last = now;
        same == 5
    });
    if rests {
        return Ok(last);
    }
    let of = |program: &Program| format!("{} {:?}", program.name, last.numbers(program));
    let all: Vec<String> = stage.still().map(of).collect();
    Err(format!("not all come to rest: {}", all.join(", ")).into())
}

impl cast::Stage {
    fn seen(
        self,
        verdicts: Vec<Value>,
        kernel: [Kernel; 2],
        text: String,
        check: Check,
    ) -> Observed {
        Observed {
            text,
            played: self.played(),
            verdicts,
            kernel,
            wrong: check
                .done()
                .err()
                .and_then(|failed| failed.message().map(str::to_owned)),
        }
    }
}

/// One program: the numbers are those of the kernel, the words those of an expert.
fn judged(program: &Program, when: When) -> Outcome {
    let seen = seen(when)?;
    if let Some(wrong) = &seen.wrong {
        return Err(wrong.into());
    }
    let pid = match seen.played.get(program.name) {
        Some(Ok(pid)) => *pid,
        Some(Err(why)) => return Ok(Completion::ignored_with(why.clone())),
        None => return Err("it was not played".into()),
    };
    let mut check = Check::default();
    let ours = seen.verdicts.iter().filter(|v| {
        let socket = &v["socket"];
        let port = Value::from(program.port);
        socket["protocol"] == program.protocol
            && (socket["sport"] == port || socket["dport"] == port)
    });
    let Some(v) = ours.max_by_key(|v| v["wmem_queued"].as_i64()) else {
        let all: Vec<String> = seen
            .verdicts
            .iter()
            .map(|v| v["socket"].to_string())
            .collect();
        return Err(format!("skmem shows no socket of it, but {all:#?}").into());
    };
    eprintln!("tests: {} {}", program.name, summary(v));
    contract(&mut check, v);
    if program.part == Part::HeldUp {
        let looked = [
            v["wmem_queued"].as_i64(),
            v["sndbuf"].as_i64(),
            v["send_q"].as_i64(),
        ];
        // A probe that the peer takes moves it once more, now and then.
        let kernel = seen.kernel.each_ref().map(|kernel| kernel.numbers(program));
        let is_it = |numbers: &Option<[i64; 3]>| numbers.map(|n| n.map(Some)) == Some(looked);
        check.that(kernel.iter().any(is_it), || {
            format!("w, sndbuf and Send-Q {looked:?}, and before and after by ss {kernel:?}")
        });
        check.equal("pid", &v["socket"]["pid"], &pid.into());
    }
    check.equal("unattributed", &v["unattributed"], &Value::from(0));
    check.that(!seen.text.contains("cannot"), || seen.text.clone());
    expert(&mut check, program, when, v);
    check.done().map(|()| Completion::Completed)
}

/// What is said of it.
fn expert(check: &mut Check, program: &Program, when: When, v: &Value) {
    let holder = &v["blame"]["holder"];
    let blocked = &v["blocked"];
    let count = |key: &str| blocked[key].as_u64().unwrap_or(0);
    if program.part == Part::Refills {
        // It moves, though it looks the same each time.
        check.equal("stuck", &v["stuck"], &false.into());
        // The limit is smaller than what a reader takes at once: now and then both windows have
        // room.
        check.that(holder == "receiver" || holder == "limit", || {
            format!("it is held up by {holder}")
        });
        check.that(
            v["causes"].as_array().is_some_and(|all| !all.is_empty()),
            || format!("no cause is named: {}", v["incomplete_because"]),
        );
        check.that(
            count("waits") + count("refusals") + count("short_writes") > 0,
            || format!("no wait was seen: {blocked}"),
        );
        return;
    }
    check.equal("who holds it up", holder, &"receiver".into());
    let from = &v["blame"]["from"];
    check.equal("by what that is known", from, &"now".into());
    let now = &blocked["now"];
    let asleep = program.waits == Waits::Asleep;
    check.equal("asleep in send()", &now["asleep"], &asleep.into());
    let turned_away = count("refusals") + count("short_writes") > 0;
    let (since, named): (&[&str], _) = match when {
        When::Late => (&["at-least"], "pre-existing"),
        // Whether it was turned away before it came to wait for good is a matter of luck, and so is
        // whether a walk met it in select() before the last one did: then it is known that
        // it began after its last write.
        When::Early if program.waits == Waits::Selects => {
            (&["exact", "at-least", "at-most"], program.cause)
        }
        When::Early => (&["exact"], program.cause),
    };
    let said = now["since_is"].as_str().unwrap_or_default();
    check.that(since.contains(&said), || {
        format!("since {said}, not {since:?}")
    });
    let ledger = v["ledger"].as_array().into_iter().flatten();
    let causes: Vec<&str> = ledger.filter_map(|part| part["cause"].as_str()).collect();
    check.that(causes.contains(&named), || {
        format!("no {named} among {causes:?}")
    });
    if when == When::Early {
        check.equal("older than skmem", &v["socket"]["older"], &false.into());
        // Bytes are inferred where the kernel skipped the run that would have seen them, which
        // PREEMPT_LAZY does.
        let skipped = v["skipped_runs"].as_u64() > Some(0);
        check.that(skipped || v["inferred"] == 0, || {
            format!("inferred {}, and no run was skipped", v["inferred"])
        });
        let held = match program.waits {
            Waits::Asleep => count("asleep") > 0,
            Waits::Refused => turned_away,
            Waits::Selects => now["for_ns"].as_u64() > Some(0),
        };
        check.that(held, || format!("nothing held it up: {blocked}"));
    }
}

/// For those who read a log.
fn summary(v: &Value) -> String {
    let mut parts: Vec<String> = Vec::new();
    for key in [
        "wmem_queued",
        "sndbuf",
        "send_q",
        "blame",
        "blocked",
        "incomplete_because",
        "inferred",
        "skipped_runs",
        "ledger",
        "hold_ups",
    ] {
        parts.push(format!("{key} {}", v[key]));
    }
    parts.join("; ")
}
