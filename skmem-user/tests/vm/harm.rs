//! skmem never harms its host: whatever ends it or happens beside it, the traffic goes on as it
//! was, and nothing stays behind.
//!
//! `cargo xtask test --vm --rounds N harm::` attaches and detaches N times; loading the programs
//! takes many seconds where the kernel is emulated, so without that it is once.

use std::{
    ffi::CStr,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::TcpListener,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use rustix::{
    fs::OFlags,
    process::Signal,
    system::{delete_module, finit_module},
    thread::{LinkNameSpaceType, move_into_link_name_space},
    time::{ClockId, clock_gettime, clock_settime},
};
use serde_json::Value;
use skmem::workload::{Driver, Options, protocol::Ready};
use socket2::{Domain, Socket, Type};
use tokio::runtime::{Builder, Runtime};

use crate::{
    binary::{contract, ended, objects},
    case,
    check::Check,
    leftovers,
    process::{self, Process},
    sender,
    traffic::Traffic,
};

/// How often to attach and detach; set by `cargo xtask test --rounds`.
pub const ROUNDS: &str = "SKMEM_TEST_ROUNDS";
/// Moments at which a skmem that loads its programs is killed.
const LOADING: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(1500),
    Duration::from_secs(4),
];
const ONE_CPU: &str = "/sys/devices/system/cpu/cpu1/online";
const CGROUP: &str = "/sys/fs/cgroup/skmem-harm";
const CONGESTION: &str = "bbr";
const MODULE: &CStr = c"tcp_bbr";
/// Where the guest has it.
const MODULE_FILE: &str = "/usr/lib/modules/tcp_bbr.ko";
const HOUR: i64 = 3600;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("harm::attached-and-detached-under-load", rounds),
        Trial::test("harm::killed-starved-and-shaken", shaken),
        Trial::test(
            "harm::no-socket-is-left-of-a-case-whose-last-packets-are-lost",
            lossy,
        ),
    ]
}

/// All sockets are traced, and the traffic with them.
fn rounds() -> Result<(), Failed> {
    let mut check = Check::default();
    let before = leftovers::State::read();
    let rounds = std::env::var(ROUNDS).map_or(Ok(1), |n| n.parse())?;
    let traffic = Traffic::start()?;
    for after in LOADING {
        let mut one = Process::skmem(&["explain"])?;
        thread::sleep(after);
        one.kill()?;
    }
    for round in 0..rounds {
        if round > 0 && round % 20 == 0 {
            println!("harm: attached and detached {round} of {rounds} times");
        }
        let mut one = Process::skmem(&["explain", "--json"])?;
        one.attached()?;
        traffic.moves_on(20)?;
        // Killed while it traces, or asked to end.
        if round % 2 == 0 {
            one.kill()?;
            continue;
        }
        one.signal(Signal::INT)?;
        ended(&mut check, "skmem explain", &one.output()?, 0);
    }
    traffic.moves_on(20)?;
    traffic.end(&mut check);
    check.done()?;
    leftovers::check(&before)
}

/// Two at once; one is killed at its end, and with the other is done what a host may do to it.
fn shaken() -> Result<(), Failed> {
    let mut check = Check::default();
    let before = leftovers::State::read();
    let traffic = Traffic::start()?;
    let arguments = ["explain", "--records", "--all", "--json", "--ring", "32K"];
    let mut one = Process::skmem(&arguments)?;
    let mut other = Process::skmem(&["explain", "--all"])?;
    one.attached()?;
    other.attached()?;
    traffic.moves_on(20)?;
    other.signal(Signal::INT)?;
    thread::sleep(Duration::from_millis(30));
    other.kill()?;

    // The reader starves.
    one.signal(Signal::STOP)?;
    traffic.moves_on(300)?;
    one.signal(Signal::CONT)?;
    namespace_goes(&mut check)?;
    cgroup_goes(&mut check)?;
    module_goes(&mut check)?;
    cpu_goes(&traffic)?;
    clock_jumps(&traffic)?;
    // A connection all of whose records were read.
    traffic.moves_on(250)?;
    one.signal(Signal::INT)?;
    let output = one.output()?;
    traffic.end(&mut check);
    ended(&mut check, "skmem explain", &output, 0);
    let verdicts = objects(&mut check, &output);
    lossy_ones_say_so(&mut check, &verdicts);
    check.done()?;
    leftovers::check(&before)
}

/// Accounts are exact whatever came; a socket whose records were lost is said to be incomplete, and
/// why.
fn lossy_ones_say_so(check: &mut Check, verdicts: &[Value]) {
    let (mut lossy, mut complete) = (0, 0);
    for verdict in verdicts {
        contract(check, verdict);
        let id = &verdict["socket"]["id"];
        check.equal(
            format_args!("socket {id}: unattributed"),
            &verdict["unattributed"],
            &Value::from(0),
        );
        let because = verdict["incomplete_because"].to_string();
        if verdict["complete"] == true {
            complete += 1;
        }
        if verdict["lost_events"] != 0 {
            lossy += 1;
            check.that(because.contains("found the ring full"), || {
                format!("socket {id}: records are lost, and the verdict says: {because}")
            });
        }
    }
    eprintln!(
        "tests: {} sockets, {lossy} with lost records, {complete} complete",
        verdicts.len()
    );
    check.that(lossy > 0, || {
        "a reader that was stopped lost no record".into()
    });
    check.that(complete > 0, || {
        "no socket has all of its records: the reader never caught up".into()
    });
}

/// A case that has come to rest, without a tracer.
fn at_rest(name: &str, options: &Options) -> Result<(Runtime, Driver, Ready), Failed> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut driver = runtime.block_on(async { case::spawn(name, options) })?;
    let ready = runtime.block_on(driver.ready())?;
    runtime.block_on(driver.go())?;
    runtime.block_on(driver.settled())?;
    Ok((runtime, driver, ready))
}

/// Network namespaces with sockets and links in them end with the process that made them.
fn namespace_goes(check: &mut Check) -> Result<(), Failed> {
    let (_runtime, driver, ready) = at_rest("article", &Options::default())?;
    drop(driver);
    let gone = process::wait_for(|| process::is_over(&process::status(ready.pid)));
    check.that(gone, || "the namespace's process does not end".into());
    Ok(())
}

/// A case whose last packets are lost: `skmem demo` does not leave its sockets behind, which would
/// go on to send to a namespace that has ended.
fn lossy() -> Result<(), Failed> {
    let mut check = Check::default();
    let options = Options {
        connections: Some(20),
        ..Options::default()
    };
    let (runtime, driver, ready) = at_rest("many-sockets", &options)?;
    // What the server sends: it closes first, and resets.
    let server = other_netns(ready.pid, ready.netns)?;
    tc(&server, "qdisc add dev veth0 root netem loss 100%")?;
    let mended = thread::spawn(move || {
        thread::sleep(Duration::from_secs(2));
        tc(&server, "qdisc del dev veth0 root")
    });
    runtime.block_on(driver.finish())?;
    check.equal("sockets left that nobody holds", leftovers::orphans()?, 0);
    // The namespace was there for as long.
    if let Err(error) = mended.join().map_err(|_| "a thread panicked")? {
        check.fails(error.to_string());
    }
    check.done()
}

/// The network namespace that a case holds beside that one.
fn other_netns(pid: u32, netns: u64) -> Result<PathBuf, Failed> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = entry?.path();
        let name = fs::read_link(&path)?.to_string_lossy().into_owned();
        if name.starts_with("net:[") && name != format!("net:[{netns}]") {
            return Ok(path);
        }
    }
    Err("a case with one network namespace".into())
}

/// `tc` in a network namespace, which it does not keep.
fn tc(netns: &Path, words: &str) -> io::Result<()> {
    thread::scope(|scope| {
        let run = || {
            let netns = File::open(netns)?;
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))?;
            let output = Command::new("tc").args(words.split(' ')).output()?;
            match output.status.success() {
                true => Ok(()),
                false => Err(io::Error::other(format!(
                    "tc {words}: {}",
                    String::from_utf8_lossy(&output.stderr)
                ))),
            }
        };
        let thread = scope.spawn(run);
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("panicked")))
    })
}

/// A cgroup is removed while the sockets of its last process are still traced.
fn cgroup_goes(check: &mut Check) -> Result<(), Failed> {
    fs::create_dir(CGROUP)?;
    let done = (|| {
        let mut command = Command::new(std::env::current_exe()?);
        let mut sender =
            Process::start(command.env(sender::ROLE, format!("{}60", sender::TRICKLE)))?;
        fs::write(format!("{CGROUP}/cgroup.procs"), sender.pid().to_string())?;
        thread::sleep(Duration::from_secs(1));
        sender.kill().map(drop)
    })();
    let removed = process::wait_for(|| fs::remove_dir(CGROUP).is_ok());
    check.that(removed, || format!("{CGROUP} cannot be removed"));
    done
}

/// A congestion control's module goes as soon as the last socket that used it is closed: no program
/// holds it.
fn module_goes(check: &mut Check) -> Result<(), Failed> {
    let Ok(file) = File::open(MODULE_FILE) else {
        eprintln!("tests: no {MODULE_FILE}: no module is unloaded");
        return Ok(());
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    client.set_tcp_congestion(CONGESTION.as_bytes())?;
    client.connect(&listener.local_addr()?.into())?;
    let (mut server, _) = listener.accept()?;
    (&client).write_all(&[0; 64 << 10])?;
    server.read_exact(&mut [0; 64 << 10])?;
    drop((client, server));
    let flags = OFlags::NONBLOCK.bits();
    let gone = process::wait_for(|| delete_module(MODULE, flags.cast_signed()).is_ok());
    check.that(gone, || format!("{MODULE:?} cannot be unloaded"));
    if gone {
        finit_module(file, c"", 0)?;
    }
    Ok(())
}

/// The second CPU is taken away, with what the programs have counted there, and comes back.
fn cpu_goes(traffic: &Traffic) -> Result<(), Failed> {
    fs::write(ONE_CPU, "0")?;
    let moved = traffic.moves_on(20);
    fs::write(ONE_CPU, "1")?;
    moved?;
    traffic.moves_on(20)
}

/// The clock on the wall goes ahead by an hour, and back.
fn clock_jumps(traffic: &Traffic) -> Result<(), Failed> {
    shift(HOUR)?;
    let moved = traffic.moves_on(20);
    shift(-HOUR)?;
    moved
}

fn shift(seconds: i64) -> Result<(), Failed> {
    let mut now = clock_gettime(ClockId::Realtime);
    now.tv_sec += seconds;
    Ok(clock_settime(ClockId::Realtime, now)?)
}
