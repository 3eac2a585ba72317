//! The units that are shipped, under Debian's systemd: what `skmem serve` may do there, what it
//! counts, and that it comes back; that the black box is written.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    case::SKMEM,
    check::Check,
    metrics::{Metrics, asked},
    process::{status, wait_for},
    sender::{BULK, ROLE},
    serve::no_unattributed,
    serving::Client,
    standing::{STANDING, Stands},
};

const UNIT: &str = include_str!("../../../packaging/skmem-serve.service");
const NAME: &str = "skmem-serve.service";
const BLACK_BOX: &str = include_str!("../../../packaging/skmem-flight.service");
const BLACK_BOX_NAME: &str = "skmem-flight.service";
/// Where it runs the program from.
const PROGRAM: &str = "/usr/bin/skmem";
/// Where guests have it.
const BUILT: &str = "/usr/local/bin/skmem";
/// Where it listens.
const ADDRESS: &str = "127.0.0.1:9464";
const DOCS: &str = include_str!("../../../docs/fleet.md");

/// What it keeps once it has attached: bits of `CAP_DAC_READ_SEARCH`, `CAP_NET_ADMIN`,
/// `CAP_SYS_PTRACE` and `CAP_SYS_ADMIN`.
const KEPT: u64 = 1 << 2 | 1 << 12 | 1 << 19 | 1 << 21;

/// Whether systemd is the first process here.
pub fn are_there() -> bool {
    Path::new("/run/systemd/system").exists()
}

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("units::systemd-has-nothing-against-it", judged),
        Trial::test("units::serves-with-few-rights-and-comes-back", serves),
        Trial::test("units::writes-the-textfile-that-its-comment-names", writes),
        Trial::test("units::the-black-box-is-written-on-reload", black_box),
    ]
}

/// Runs a program to its end; what it printed.
pub fn succeeds(program: &str, arguments: &[&str]) -> Result<String, Failed> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(text.trim_end().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {arguments:?}: {}: {text}{said}", output.status).into())
}

/// Puts the units where the package puts them, and the program.
fn install() -> Result<(), Failed> {
    if !Path::new(PROGRAM).exists() {
        symlink(BUILT, PROGRAM)?;
    }
    fs::create_dir_all("/etc/systemd/system")?;
    for (name, unit) in [(NAME, UNIT), (BLACK_BOX_NAME, BLACK_BOX)] {
        fs::write(format!("/etc/systemd/system/{name}"), unit)?;
    }
    succeeds("systemctl", &["daemon-reload"]).map(drop)
}

/// A process in a service of its own, whose socket stands still; it ends with the trial.
struct Sender {
    runner: Child,
    file: PathBuf,
}

impl Sender {
    fn start(room: &Path, unit: &str) -> Result<Self, Failed> {
        let file = room.join("stands");
        let runner = Command::new("systemd-run")
            // Its stdin is ours: it ends when that does.
            .args(["--pipe", "--collect", "--quiet"])
            .arg(format!("--unit={unit}"))
            .arg(format!("--setenv={ROLE}={STANDING}{}", file.display()))
            .arg(std::env::current_exe()?)
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self { runner, file })
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        drop(self.runner.stdin.take());
        let _ = self.runner.wait();
    }
}

/// Its process.
fn main_pid() -> Result<u32, Failed> {
    let text = succeeds("systemctl", &["show", "-P", "MainPID", NAME])?;
    Ok(text.parse()?)
}

fn client() -> Client {
    Client {
        address: ADDRESS.to_owned(),
    }
}

/// Waits until it serves what is of now.
fn ready() -> bool {
    let request = "GET /readyz HTTP/1.0\r\n\r\n";
    wait_for(|| asked(&client(), request).is_ok_and(|answer| answer.status == 200))
}

/// What it said in the journal.
fn journal() -> String {
    journal_of(NAME)
}

fn journal_of(unit: &str) -> String {
    succeeds("journalctl", &["-u", unit, "--no-pager"]).unwrap_or_default()
}

fn judged() -> Result<(), Failed> {
    let mut check = Check::default();
    install()?;
    // Neither a package's man page nor `man` are here.
    let room = tempfile::tempdir()?;
    let file = room.path().join(NAME);
    fs::write(&file, UNIT.replace("man:skmem-serve(1)", ""))?;
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&file)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    check.that(output.status.success() && said.is_empty(), || {
        said.to_string()
    });
    // "→ Overall exposure level for skmem-serve.service: 3.0 OK :-)"
    let said = succeeds("systemd-analyze", &["security", "--no-pager", NAME])?;
    let last = said.lines().last().unwrap_or_default();
    let score = last
        .rsplit(": ")
        .next()
        .and_then(|rest| rest.split(' ').next());
    let score = score.unwrap_or_default();
    check.that(score.parse::<f32>().is_ok_and(|score| score < 4.0), || {
        said.clone()
    });
    check.that(DOCS.contains(&format!("gives it {score} ")), || {
        format!("docs/fleet.md does not say that it is {score}")
    });
    check.done()
}

fn serves() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = tempfile::tempdir()?;
    install()?;
    succeeds("systemctl", &["start", NAME])?;
    check.that(ready(), journal);
    let sender = Sender::start(room.path(), "demo-sender")?;
    let theirs = Metrics {
        prometheus: None,
        whose: "unit=\"demo-sender.service\"".to_owned(),
    };
    let mut last = String::new();
    let there = wait_for(|| theirs.agree(&client(), &sender.file, &mut last));
    check.that(there, || format!("{last}\n{}", journal()));

    let pid = main_pid()?;
    rights(&mut check, pid)?;

    // Killed under load, it is started again, and finds what there is.
    let load = format!("--setenv={ROLE}={BULK}600");
    let program = std::env::current_exe()?;
    let program = program.to_string_lossy();
    succeeds(
        "systemd-run",
        &["--unit=demo-load", "--collect", &load, &program],
    )?;
    kill_process(
        Pid::from_raw(pid.cast_signed()).ok_or("no process")?,
        Signal::KILL,
    )?;
    let mut again = 0;
    let there = wait_for(|| {
        again = main_pid().unwrap_or(0);
        again != 0 && again != pid
    });
    check.that(there && ready(), journal);
    let there = wait_for(|| {
        theirs.agree(&client(), &sender.file, &mut last)
            && theirs.ledger(&client()).contains_key("pre-existing")
    });
    check.that(there, || {
        format!("after the restart: {last}\n{}", journal())
    });
    let load = Metrics {
        prometheus: None,
        whose: "unit=\"demo-load.service\"".to_owned(),
    };
    let there = wait_for(|| load.payload(&client()) > 0);
    check.that(there, || "nothing is counted of the load".to_owned());
    let text = client().get("/metrics").body;
    no_unattributed(&mut check, &text);
    succeeds("systemctl", &["stop", "demo-load.service"])?;

    succeeds("systemctl", &["stop", NAME])?;
    let result = succeeds("systemctl", &["show", "-P", "Result", NAME])?;
    check.equal("how it ended", result.as_str(), "success");
    check.done()
}

/// What its process may do: as a user of its own, with what looking needs, and the thread that
/// talks to the network with nothing.
fn rights(check: &mut Check, pid: u32) -> Result<(), Failed> {
    let bits = |of: &str, name: &str| {
        let hex = status(of).get(name).cloned().unwrap_or_default();
        u64::from_str_radix(&hex, 16).unwrap_or(u64::MAX)
    };
    let of_all = status(pid);
    let field = |name: &str| of_all.get(name).cloned().unwrap_or_default();
    let users = field("Uid");
    let users: HashSet<&str> = users.split_whitespace().collect();
    check.that(users.len() == 1 && !users.contains("0"), || {
        format!("users {users:?}")
    });
    check.equal("NoNewPrivs", field("NoNewPrivs").as_str(), "1");
    check.equal("Seccomp", field("Seccomp").as_str(), "2");
    let mut servers = 0;
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = format!("{pid}/task/{}", entry?.file_name().display());
        let is_server = status(&thread)
            .get("Name")
            .is_some_and(|name| name == "skmem-http");
        servers += u32::from(is_server);
        let may = if is_server { 0 } else { KEPT };
        for set in ["CapPrm", "CapEff"] {
            check.equal(format!("{set} of {thread}"), bits(&thread, set), may);
        }
        check.equal(format!("CapAmb of {thread}"), bits(&thread, "CapAmb"), 0);
    }
    check.equal("threads that talk to the network", servers, 1);
    Ok(())
}

/// A drop-in such as `systemctl edit` makes.
fn writes() -> Result<(), Failed> {
    let mut check = Check::default();
    install()?;
    let file = "/run/skmem/skmem.prom";
    check.that(UNIT.contains(&format!("--textfile {file}")), || {
        "the unit's comment names another file".to_owned()
    });
    let drop_in = format!("/etc/systemd/system/{NAME}.d");
    fs::create_dir_all(&drop_in)?;
    let text = format!(
        "[Service]\nExecStart=\nExecStart={PROGRAM} serve --listen none --textfile {file} --interval 1s\n"
    );
    fs::write(format!("{drop_in}/override.conf"), text)?;
    succeeds("systemctl", &["daemon-reload"])?;
    succeeds("systemctl", &["start", NAME])?;
    let there =
        wait_for(|| fs::read_to_string(file).is_ok_and(|t| t.contains("\nskmem_tracing 1\n")));
    check.that(there, journal);
    succeeds("systemctl", &["stop", NAME])?;
    check.that(!Path::new(file).exists(), || {
        "it stays when the service has ended".to_owned()
    });
    fs::remove_dir_all(drop_in)?;
    check.done()
}

/// The recordings of the black box.
fn recordings() -> Vec<PathBuf> {
    let entries = fs::read_dir("/var/lib/skmem").into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "skm"))
        .collect()
}

/// As its comment says: started, it writes nothing; reloaded, it writes what it has, and goes on.
fn black_box() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = tempfile::tempdir()?;
    install()?;
    succeeds("systemctl", &["start", BLACK_BOX_NAME])?;
    let there = wait_for(|| journal_of(BLACK_BOX_NAME).contains("programs attached"));
    check.that(there, || journal_of(BLACK_BOX_NAME));
    let sender = Sender::start(room.path(), "demo-recorded")?;
    let there = wait_for(|| Stands::read(&sender.file).is_some());
    check.that(there, || "the sender does not stand".to_owned());
    check.equal("recordings before", recordings(), Vec::new());
    for written in 1..3 {
        succeeds("systemctl", &["reload", BLACK_BOX_NAME])?;
        let there = wait_for(|| recordings().len() == written);
        check.that(there, || {
            format!("{:?}: {}", recordings(), journal_of(BLACK_BOX_NAME))
        });
    }
    let cookie = Stands::read(&sender.file).map_or(0, |stands| stands.cookie);
    for file in recordings() {
        let said = succeeds(SKMEM, &["report", &file.to_string_lossy(), "--json"])?;
        check.that(said.contains(&format!(":{cookie},")), || {
            format!("{}: nothing of the socket {cookie}: {said}", file.display())
        });
    }
    succeeds("systemctl", &["stop", BLACK_BOX_NAME])?;
    let result = succeeds("systemctl", &["show", "-P", "Result", BLACK_BOX_NAME])?;
    check.equal("how it ended", result.as_str(), "success");
    check.done()
}
