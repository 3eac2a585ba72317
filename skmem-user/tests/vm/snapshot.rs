//! `skmem snapshot` on this kernel: each value beside `ss` and `SO_MEMINFO` of the same sockets,
//! the sum beside the kernel's count, and `--probe` beside both.
//!
//! The sockets are those of scenarios at rest, of all kinds whose memory is counted in its own way:
//! copied, pinned by `MSG_ZEROCOPY`, encrypted by the kernel, doubled by MPTCP, charged to a memory
//! cgroup.

use std::{
    fmt::Debug,
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use libtest_mimic::{Completion, Failed, Trial};
use serde_json::Value;
use skmem::{
    decode::{self, Reading},
    diag::{KernelReading, TcpState, netns, owners::Owners},
    workload::{Driver, DriverError, Options},
};

use crate::{
    Outcome,
    binary::parsed,
    case::{self, SKMEM},
    check::Check,
    leftovers::nothing_is_left,
    schema, truth,
};

mod account;
mod descriptors;
mod odd;
mod own;
mod probe;
mod rows;
mod window;

/// What is played: one of each kind.
const SCENARIOS: &[(&str, bool)] = &[
    ("article", false),
    ("article", true),
    ("small-writes-nodelay", false),
    ("autotuned", false),
    ("zerocopy-small", false),
    ("zerocopy-large", true),
    ("ktls", false),
    ("mptcp", false),
    ("memcg-limit", false),
    ("tcp-mem", false),
    ("listener-inherit", false),
    ("fin-full-queue", false),
];

/// Looks at a scenario that is at rest, until one finds all as it should be.
const LOOKS: usize = 5;

pub fn trials() -> Vec<Trial> {
    let played = SCENARIOS.iter().map(|&(scenario, ipv6)| {
        let suffix = if ipv6 { "-ipv6" } else { "" };
        let name = format!("snapshot::{scenario}{suffix}-is-what-ss-and-the-kernel-say");
        Trial::ignorable_test(name, move || compared(scenario, ipv6))
    });
    let others = [
        account::trials(),
        descriptors::trials(),
        odd::trials(),
        own::trials(),
        probe::trials(),
        rows::trials(),
        window::trials(),
    ];
    played.chain(others.into_iter().flatten()).collect()
}

/// A scenario at rest, and a runtime to talk to it.
struct Rest {
    runtime: tokio::runtime::Runtime,
    driver: Driver,
    /// Way into the namespace of its senders.
    namespace: PathBuf,
    netns: u64,
}

impl Rest {
    /// Plays it; None, with the reason, where this kernel cannot.
    fn of(scenario: &str, options: &Options) -> Result<Result<Self, String>, Failed> {
        nothing_is_left()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let played = runtime.block_on(async {
            let mut driver = case::spawn(scenario, options)?;
            let ready = driver.ready().await?;
            driver.go().await?;
            driver.settled().await?;
            Ok((driver, ready))
        });
        match played {
            Ok((driver, ready)) => {
                let ways = netns::of(&ready.pids, &Owners::among(ready.pids.clone()));
                let leads =
                    |path: &PathBuf| fs::metadata(path).is_ok_and(|meta| meta.ino() == ready.netns);
                let namespace = ways.into_iter().find(leads);
                Ok(Ok(Self {
                    runtime,
                    driver,
                    namespace: namespace.ok_or("no way into the senders' namespace")?,
                    netns: ready.netns,
                }))
            }
            Err(DriverError::Skip(why)) => Ok(Err(why)),
            Err(error) => Err(error.into()),
        }
    }

    fn truth(&mut self) -> Result<Vec<KernelReading>, Failed> {
        Ok(self.runtime.block_on(self.driver.truth())?)
    }

    /// `ss` of its senders' namespace.
    fn ss(&self, flags: &str) -> Result<Vec<Reading>, Failed> {
        let output = netns::inside(&self.namespace, || {
            Command::new("ss").arg(flags).stdin(Stdio::null()).output()
        })??;
        let read = decode::parse(&String::from_utf8_lossy(&output.stdout));
        if read.unread.is_empty() && !read.sockets.is_empty() {
            return Ok(read.sockets);
        }
        Err(format!("ss printed {output:?}, not read: {:?}", read.unread).into())
    }

    fn finish(self) -> Result<(), Failed> {
        self.runtime.block_on(self.driver.finish())?;
        Ok(())
    }
}

fn skmem(arguments: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new(SKMEM)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?)
}

fn json(arguments: &[&str]) -> Result<Value, Failed> {
    let output = skmem(arguments)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("skmem {arguments:?}: {}; {said}", output.status).into());
    }
    // What `skmem schema` prints is a schema itself.
    match arguments.first() {
        Some(command) if *command != "schema" => parsed(command, &output.stdout),
        _ => Ok(serde_json::from_slice(&output.stdout)?),
    }
}

fn rows(snapshot: &Value) -> &[Value] {
    snapshot["sockets"].as_array().map_or(&[], Vec::as_slice)
}

/// The kernel's word, which is the same before and after a look, and what the look gives: timers
/// move even what is at rest, now and then.
fn between<T: PartialEq + Debug, L>(
    truth: impl Fn() -> Result<T, Failed>,
    mut look: impl FnMut() -> Result<L, Failed>,
) -> Result<(T, L), Failed> {
    let mut moved = String::new();
    for _ in 0..LOOKS {
        let before = truth()?;
        let looked = look()?;
        let after = truth()?;
        if before == after {
            return Ok((after, looked));
        }
        moved = format!("{before:?}, then {after:?}");
    }
    Err(format!("it moved during each of {LOOKS} looks: {moved}").into())
}

/// One scenario: its sockets as `skmem snapshot`, `ss` and `SO_MEMINFO` say, and the account.
fn compared(scenario: &str, ipv6: bool) -> Outcome {
    let options = Options {
        ipv6,
        ..Options::default()
    };
    let mut rest = match Rest::of(scenario, &options)? {
        Ok(rest) => rest,
        Err(why) => return Ok(Completion::ignored_with(why)),
    };
    // Timers move even what is at rest, now and then: a wrong value is wrong each time.
    let mut check = Check::default();
    for _ in 0..LOOKS {
        check = Check::default();
        look(&mut check, scenario, &mut rest)?;
        if check.is_good() {
            break;
        }
    }
    closes(&mut check, scenario)?;
    rest.finish()?;
    check.done().map(|()| Completion::Completed)
}

/// Looks once in all ways.
fn look(check: &mut Check, scenario: &str, rest: &mut Rest) -> Result<(), Failed> {
    let before = rest.truth()?;
    let snapshot = json(&["snapshot", "--all-netns", "--json"])?;
    let theirs = rest.ss("-tmionepa")?;
    let after = rest.truth()?;
    check.that(truth::at_rest(&before, &after), || {
        format!("the scenario moved meanwhile: {before:?}, {after:?}")
    });
    schema::keeps(&snapshot, &described()?, "snapshot");
    let netns = Value::from(rest.netns);
    let ours: Vec<&Value> = rows(&snapshot)
        .iter()
        .filter(|row| row["netns"] == netns)
        .collect();
    for truth in &before {
        as_the_kernel_says(check, &ours, truth);
    }
    let (multi, plain): (Vec<&Value>, Vec<&Value>) =
        ours.iter().partition(|row| row["protocol"] == "mptcp");
    let compared = plain
        .iter()
        .map(|row| as_ss_says(check, row, &theirs))
        .sum::<usize>();
    check.that(compared >= 7 * before.len(), || {
        format!("only {compared} values of ss were compared: {theirs:?}")
    });
    if scenario == "mptcp" {
        multipath(check, &multi, &plain, &rest.ss("-Mmnepa")?)?;
    }
    if scenario == "ktls" {
        let tls = ours.iter().filter(|row| row["upper_layer"] == "tls");
        check.that(tls.count() > 0, || {
            format!("no socket with kernel TLS: {ours:?}")
        });
    }
    Ok(())
}

fn described() -> Result<Value, Failed> {
    json(&["schema", "snapshot"])
}

/// A row beside what the socket says when it is asked itself.
fn as_the_kernel_says(check: &mut Check, rows: &[&Value], truth: &KernelReading) {
    let Some(row) = rows
        .iter()
        .find(|row| row["cookie"] == truth.endpoint.cookie)
    else {
        return check.fails(format!("{:?} is not in the snapshot", truth.endpoint));
    };
    let name = format!("{}:{}", truth.endpoint.src, truth.endpoint.sport);
    for (field, value) in [
        ("rmem_alloc", truth.mem.rmem_alloc),
        ("rcvbuf", truth.mem.rcvbuf),
        ("wmem_alloc", truth.mem.wmem_alloc),
        ("sndbuf", truth.mem.sndbuf),
        ("forward_alloc", truth.mem.fwd_alloc),
        ("wmem_queued", truth.mem.wmem_queued),
        ("optmem", truth.mem.optmem),
        ("backlog", truth.mem.backlog),
    ] {
        check.equal(
            format_args!("{name}: {field}"),
            &row["memory"][field],
            &value.into(),
        );
    }
    let charged = truth.mem.wmem_queued + truth.mem.rmem_alloc + truth.mem.fwd_alloc;
    check.equal(
        format_args!("{name}: charged"),
        &row["charged"],
        &charged.into(),
    );
    check.equal(
        format_args!("{name}: send_q"),
        &row["send_q"],
        &truth.queues.outq.into(),
    );
    let parts = int(row, "payload") + int(row, "skb_overhead");
    check.equal(
        format_args!("{name}: payload + overhead, and w"),
        parts,
        truth.mem.wmem_queued.into(),
    );
    if row["protocol"] == "mptcp" {
        // sock_diag does not tell how much of it is on a subflow.
        return;
    }
    check.equal(
        format_args!("{name}: unsent"),
        &row["unsent"],
        &truth.queues.outq_nsd.into(),
    );
    let flight = truth.queues.outq - truth.queues.outq_nsd;
    check.equal(
        format_args!("{name}: in_flight"),
        &row["in_flight"],
        &flight.into(),
    );
}

fn int(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or(i64::MIN)
}

/// A row beside the same socket in `ss`, field by field; how many were compared.
fn as_ss_says(check: &mut Check, row: &Value, theirs: &[Reading]) -> usize {
    let (sport, dport) = (int(row, "sport"), int(row, "dport"));
    let ends = |text: &Option<String>, port: i64| {
        let port = if port == 0 {
            ":*".to_owned()
        } else {
            format!(":{port}")
        };
        text.as_ref().is_some_and(|text| text.ends_with(&port))
    };
    let found = theirs
        .iter()
        .find(|reading| ends(&reading.local, sport) && ends(&reading.remote, dport));
    let Some(reading) = found else {
        check.fails(format!("{sport} → {dport} is not in ss: {theirs:?}"));
        return 0;
    };
    let name = format!("{sport} → {dport}");
    let mut compared = 0;
    for (letter, field, value) in reading.memory.values() {
        check.equal(
            format_args!("{name}: {letter}"),
            &row["memory"][field],
            &value.into(),
        );
        compared += 1;
    }
    let mut same = |what: &str, ours: &Value, value: Option<i64>| {
        if let Some(value) = value {
            check.equal(format_args!("{name}: {what} of ss"), ours, &value.into());
            compared += 1;
        }
    };
    same("Send-Q", &row["send_q"], reading.send_q);
    same("Recv-Q", &row["recv_q"], reading.recv_q);
    same("ino", &row["inode"], reading.inode);
    if reading.state != Some(TcpState::Listen) {
        same("notsent", &row["unsent"], reading.info.unsent);
        same("mss", &row["flow"]["mss"], reading.info.mss);
        same("cwnd", &row["flow"]["cwnd"], reading.info.cwnd);
        same("unacked", &row["flow"]["unacked"], reading.info.unacked);
    }
    let holders = row["holders"].as_array().map_or(&[][..], Vec::as_slice);
    check.equal(
        format_args!("{name}: processes"),
        holders.len(),
        reading.users.len(),
    );
    for user in &reading.users {
        let held = |holder: &&Value| {
            (&holder["pid"], &holder["fd"]) == (&user.pid.into(), &user.fd.into())
        };
        let holder = holders.iter().find(held);
        check.that(
            holder.is_some_and(|holder| holder["comm"] == *user.comm),
            || format!("{name}: {user:?} is not in {holders:?}"),
        );
    }
    compared
}

/// MPTCP sockets are listed as `ss -M` lists them, each with its subflow beneath it; a user without
/// rights sees the same; and what stands in the default text is the socket that holds the memory.
fn multipath(
    check: &mut Check,
    multi: &[&Value],
    plain: &[&Value],
    theirs: &[Reading],
) -> Result<(), Failed> {
    let sender = multi
        .iter()
        .max_by_key(|row| int(&row["memory"], "wmem_queued"));
    let Some(sender) = sender else {
        check.fails("no MPTCP socket is listed".to_owned());
        return Ok(());
    };
    check.that(int(&sender["memory"], "wmem_queued") > 0, || {
        format!("the MPTCP sender holds nothing: {sender}")
    });
    let remote = format!(":{}", int(sender, "dport"));
    let local = format!(":{}", int(sender, "sport"));
    let ends = |text: &Option<String>, end: &str| text.as_ref().is_some_and(|t| t.ends_with(end));
    let same = theirs
        .iter()
        .find(|reading| ends(&reading.local, &local) && ends(&reading.remote, &remote));
    match same {
        None => check.fails(format!("{local} is not in ss -M: {theirs:?}")),
        Some(reading) => {
            for (letter, field, value) in reading.memory.values() {
                check.equal(
                    format_args!("MPTCP {local}: {letter}"),
                    &sender["memory"][field],
                    &value.into(),
                );
            }
        }
    }
    let parts = int(sender, "payload") + int(sender, "skb_overhead");
    check.equal(
        "MPTCP: payload + headers, and w",
        parts,
        int(&sender["memory"], "wmem_queued"),
    );
    let beneath: Vec<_> = plain
        .iter()
        .filter(|row| row["mptcp_socket"] == sender["cookie"])
        .collect();
    check.equal("subflows of the MPTCP sender", beneath.len(), 1);
    for row in beneath {
        check.equal(
            "token of the subflow",
            &row["mptcp_token"],
            &sender["mptcp_token"],
        );
    }
    for row in plain.iter().filter(|row| row["state"] == "LISTEN") {
        check.that(row["mptcp_token"].is_null(), || {
            format!("a listener has a token: {row}")
        });
    }
    let text = skmem(&["snapshot", "--all-netns"])?;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let mut rows = text.lines().skip_while(|line| !line.contains("charged"));
    let first = rows.nth(1).unwrap_or_default();
    check.that(
        first.starts_with("MPTCP ") && first.contains("token ") && !first.contains("subflow"),
        || format!("the MPTCP sender is not the first row:\n{text}"),
    );
    check.that(
        text.lines()
            .any(|line| line.starts_with("└ ") && line.contains("MPTCP subflow")),
        || format!("no subflow beneath it:\n{text}"),
    );
    let listener = |line: &&str| line.contains("LISTEN") && line.contains("MPTCP subflow");
    check.equal(
        "listeners called subflows",
        text.lines().find(listener),
        None,
    );
    Ok(())
}

/// The account closes, and says of which kind its sockets are where that widens the bound.
fn closes(check: &mut Check, what: &str) -> Result<Value, Failed> {
    let account = checked(check, what)?;
    check.equal(
        format_args!("{what}: outcome"),
        &account["outcome"],
        &"closes".into(),
    );
    Ok(account)
}

/// `--check` has nothing to say against the account.
fn checked(check: &mut Check, what: &str) -> Result<Value, Failed> {
    let output = skmem(&["snapshot", "--check", "--json"])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    check.equal(
        format_args!("{what}: status of --check, {said}"),
        output.status.code(),
        Some(0),
    );
    let checked = parsed("snapshot", &said)?;
    let account = &checked["account"];
    check.equal(
        format_args!("{what}: namespaces"),
        &account["namespaces"]["visited"],
        &account["namespaces"]["found"],
    );
    eprintln!(
        "{what}: {} after {} looks: difference {}, bound {}, uncharged {}, notes {}, {}, memcg {}",
        account["outcome"],
        account["attempts"],
        account["difference_bytes"],
        account["bound_bytes"],
        account["uncharged_bytes"],
        checked["notes"],
        account["seen"],
        account["memcg_sock"]
    );
    Ok(checked["account"].clone())
}

/// The program as a user without rights.
fn as_nobody(arguments: &[&str]) -> Result<Output, Failed> {
    const NOBODY: u32 = 65_534;
    Ok(Command::new(SKMEM)
        .args(arguments)
        .uid(NOBODY)
        .gid(NOBODY)
        .stdin(Stdio::null())
        .output()?)
}
