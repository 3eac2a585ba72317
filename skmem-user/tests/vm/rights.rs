//! Few rights, and none in the end: what skmem needs to start, what it keeps, and what it hands on.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    process::{Command, Stdio},
};

use libtest_mimic::{Failed, Trial};
use rustix::{
    fs::Mode,
    process::{Signal, umask},
    thread::{
        CapabilitySet, CapabilitySets, Gid, Uid, configure_capability_in_ambient_set,
        set_capabilities, set_keep_capabilities, set_thread_gid, set_thread_groups, set_thread_uid,
    },
};
use serde_json::Value;

use crate::{
    binary::{contract, ended, objects, parsed, skmem},
    case::{self, SKMEM},
    check::Check,
    metrics::asked,
    process::{self, Process, is_over, status},
    recording::{Room, report, text},
    sender,
    serve::no_unattributed,
    serving::Client,
};

/// A user who is nobody in particular.
const SOMEBODY: u32 = 1234;
/// All sets of a thread's capabilities but the bounding one, which limits and gives nothing.
const SETS: [&str; 4] = ["CapInh", "CapPrm", "CapEff", "CapAmb"];

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("rights::two-capabilities-suffice-and-go", few),
        Trial::test("rights::serve-has-causes-with-two-capabilities", serve),
        Trial::test("rights::under-sudo-the-command-is-the-users", sudo),
        Trial::test("rights::doctor-names-what-refuses", refused),
    ]
}

/// What starting takes.
pub fn needed() -> CapabilitySet {
    let both = CapabilitySet::BPF | CapabilitySet::PERFMON;
    match case::kernel() < (5, 11) {
        // Maps are locked memory there.
        true => both | CapabilitySet::SYS_RESOURCE,
        false => both,
    }
}

/// What stays: before 5.19 bpf(2) wants it even to read a counter (Debian sets
/// kernel.unprivileged_bpf_disabled).
fn kept() -> CapabilitySet {
    match case::kernel() < (5, 19) {
        true => CapabilitySet::BPF,
        false => CapabilitySet::empty(),
    }
}

/// This program as a command that goes over its limit, and waits for its stdin's end.
fn watched(arguments: &[&str]) -> Result<Command, Failed> {
    let mut command = Command::new(SKMEM);
    command
        .args(arguments)
        .arg("--")
        .arg(std::env::current_exe()?)
        .env(sender::ROLE, sender::OVERFILL)
        .stdin(Stdio::piped());
    Ok(command)
}

/// Somebody with these capabilities, for a program that is about to be run.
pub fn becomes_somebody(with: CapabilitySet) -> io::Result<()> {
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    set_thread_gid(Gid::from_raw(SOMEBODY))?;
    set_thread_uid(Uid::from_raw(SOMEBODY))?;
    let sets = CapabilitySets {
        effective: with,
        permitted: with,
        inheritable: with,
    };
    set_capabilities(None, sets)?;
    for one in with.iter() {
        configure_capability_in_ambient_set(one, true)?;
    }
    // Whatever mode skmem gives its files is theirs.
    umask(Mode::empty());
    Ok(())
}

/// No thread of the process has more than that, nor may it gain any.
fn gave_up(check: &mut Check, pid: u32, all_but: CapabilitySet) -> Result<(), Failed> {
    let want = format!("{:016x}", all_but.bits());
    let none = "0".repeat(16);
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let tid = thread?.file_name().into_string().unwrap_or_default();
        let status = status(format_args!("{pid}/task/{tid}"));
        if is_over(&status) {
            continue;
        }
        let name = &status["Name"];
        for set in SETS {
            let want = match set {
                // It speaks HTTP, and has none at all.
                _ if name == "skmem-http" => &none,
                "CapPrm" | "CapEff" => &want,
                _ => &none,
            };
            check.equal(
                format_args!("{set} of thread {name} after attaching"),
                &status[set],
                want,
            );
        }
        check.equal(
            format_args!("NoNewPrivs of thread {name}"),
            status["NoNewPrivs"].as_str(),
            "1",
        );
    }
    Ok(())
}

fn few() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("rights")?;
    chown(&room.0, Some(SOMEBODY), Some(SOMEBODY))?;
    let file = room.file("run.skm");
    let mut command = watched(&["record", "-o", text(&file)])?;
    let needed = needed();
    // SAFETY: between fork and exec it makes system calls, and no allocation.
    unsafe { command.pre_exec(move || becomes_somebody(needed)) };
    let mut skmem_too = Process::start(&mut command)?;
    skmem_too.attached()?;
    // The thread that writes has started, too.
    process::wait_for(|| threads(skmem_too.pid()) > 1);
    gave_up(&mut check, skmem_too.pid(), kept())?;
    let ours = status(skmem_too.pid());
    check.equal("Uid", ours["Uid"].split('\t').next(), Some("1234"));
    // The command has what it would have had without skmem.
    let theirs = status(skmem_too.child()?);
    check.equal(
        "CapEff of CMD",
        &theirs["CapEff"],
        &format!("{:016x}", needed.bits()),
    );
    check.equal("NoNewPrivs of CMD", theirs["NoNewPrivs"].as_str(), "0");
    let output = skmem_too.output()?;
    ended(&mut check, "skmem record", &output, sender::CODE.into());

    let about = fs::metadata(&file)?;
    let mode = about.permissions().mode() & 0o7777;
    check.equal("mode of the recording", format!("{mode:o}"), "600".into());
    check.equal("its owner", about.uid(), SOMEBODY);
    let verdicts = report(&mut check, &file, &["--all"])?;
    check.that(!verdicts.is_empty(), || "no socket".into());
    for verdict in &verdicts {
        contract(&mut check, verdict);
        check.equal("complete", &verdict["complete"], &Value::from(true));
        check.equal("unattributed", &verdict["unattributed"], &Value::from(0));
        no_address(&mut check, "a verdict", verdict);
    }
    let events = skmem(&["export", text(&file), "--format", "json"])?;
    ended(&mut check, "skmem export", &events, 0);
    let events = objects(&mut check, &events);
    check.that(events.len() > 10, || format!("{} events", events.len()));
    for event in &events {
        no_address(&mut check, "an event", event);
    }
    check.done()
}

/// Without the rights that other namespaces and others' processes take, it has causes all the same,
/// and keeps none.
fn serve() -> Result<(), Failed> {
    let mut check = Check::default();
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let address = free.to_string();
    let mut command = Command::new(SKMEM);
    command.args(["serve", "--interval", "500ms", "--listen", &address]);
    let needed = needed();
    // SAFETY: between fork and exec it makes system calls, and no allocation.
    unsafe { command.pre_exec(move || becomes_somebody(needed)) };
    let mut serve = Process::start(command.stdin(Stdio::null()))?;
    serve.attached()?;
    let client = Client { address };
    let metrics =
        || asked(&client, "GET /metrics HTTP/1.0\r\n\r\n").map_or(String::new(), |a| a.body);
    let traces = process::wait_for(|| metrics().contains("\nskmem_tracing 1"));
    check.that(traces, metrics);
    gave_up(&mut check, serve.pid(), kept())?;
    // Its own answers are sent, and counted by cause.
    let counts = process::wait_for(|| metrics().contains("cause=\"first-fill\""));
    check.that(counts, metrics);
    no_unattributed(&mut check, &metrics());
    serve.signal(Signal::TERM)?;
    let output = serve.output()?;
    ended(&mut check, "skmem serve", &output, 0);
    check.done()
}

fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Kernel memory lies in the upper half of the address space, and its offsets from the top are
/// large.
fn no_address(check: &mut Check, what: &str, value: &Value) {
    match value {
        Value::Object(object) => object.values().for_each(|v| no_address(check, what, v)),
        Value::Array(list) => list.iter().for_each(|v| no_address(check, what, v)),
        Value::Number(number) => {
            let high = number.as_u64().is_some_and(|n| n >= 0xffff_0000_0000_0000);
            let low = number.as_i64().is_some_and(|n| n < -0x1_0000_0000);
            check.that(!high && !low, || {
                format!("{what} has a number like a kernel address: {number}")
            });
        }
        Value::String(text) => {
            let address = text.to_ascii_lowercase().split("ffff").skip(1).any(|rest| {
                rest.len() >= 12 && rest.bytes().take(12).all(|b| b.is_ascii_hexdigit())
            });
            check.that(!address, || {
                format!("{what} has text like a kernel address: {text}")
            });
        }
        _ => {}
    }
}

/// `sudo skmem explain -- CMD`.
fn sudo() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = Room::new("sudo")?;
    chown(&room.0, Some(SOMEBODY), None)?;
    let full = room.file("full");
    let mut command = watched(&["explain", "--json"])?;
    command
        .env(sender::FULL, &full)
        .env("SUDO_UID", SOMEBODY.to_string())
        .env("SUDO_GID", "4321")
        .env("SUDO_USER", "somebody");
    let mut skmem_too = Process::start(&mut command)?;
    skmem_too.attached()?;
    gave_up(&mut check, skmem_too.pid(), kept() | CapabilitySet::KILL)?;
    let child = skmem_too.child()?;
    let theirs = status(child);
    let all_four = |id: &str| [id; 4].join("\t");
    check.equal("Uid of CMD", &theirs["Uid"], &all_four("1234"));
    check.equal("Gid of CMD", &theirs["Gid"], &all_four("4321"));
    check.equal("groups of CMD", theirs["Groups"].trim(), "4321");
    check.equal("CapEff of CMD", &theirs["CapEff"], &"0".repeat(16));
    check.equal("NoNewPrivs of CMD", theirs["NoNewPrivs"].as_str(), "0");
    // CMD goes over its limit; then skmem ends it, though it is another user's.
    check.that(process::wait_for(|| full.exists()), || {
        "CMD does not go over its limit".into()
    });
    skmem_too.signal(Signal::TERM)?;
    let gone = process::wait_for(|| is_over(&status(child)));
    check.that(gone, || "CMD outlives skmem".into());
    let output = skmem_too.output()?;
    ended(&mut check, "skmem explain", &output, 0);
    let verdicts = objects(&mut check, &output);
    let over = verdicts.iter().filter(|v| v["over_limit"] == true);
    check.equal("sockets over their limit", over.count(), 1);
    for verdict in &verdicts {
        contract(&mut check, verdict);
        check.equal("unattributed", &verdict["unattributed"], &Value::from(0));
    }
    check.done()
}

/// `skmem doctor --json` of root, to whom something is done first; the state, and what is said of
/// `what`.
fn doctor(
    check: &mut Check,
    what: &str,
    before: fn() -> io::Result<()>,
) -> Result<(String, String), Failed> {
    let mut command = Command::new(SKMEM);
    command.args(["doctor", "--json"]);
    // SAFETY: between fork and exec it makes system calls, and no allocation.
    unsafe { command.pre_exec(before) };
    let output = command.output()?;
    ended(check, "skmem doctor", &output, 4);
    let answer = parsed("doctor", &output.stdout)?;
    let findings = answer["findings"].as_array().cloned().unwrap_or_default();
    let found = findings.iter().find(|finding| finding["what"] == what);
    let said = |name: &str| {
        found
            .and_then(|finding| finding[name].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    check.equal(
        format_args!("state of {what}"),
        said("state").as_str(),
        "impossible",
    );
    Ok((said("consequence"), said("remedy")))
}

/// Whatever calls bpf(2) from here on gets EPERM.
fn no_bpf() -> io::Result<()> {
    const NUMBER: u32 = std::mem::offset_of!(libc::seccomp_data, nr) as u32;
    const BPF: u32 = libc::SYS_bpf as u32;
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, NUMBER),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, BPF),
        step(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned(),
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program is valid for the time of the call, which copies it.
    let done = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    (done == 0)
        .then_some(())
        .ok_or_else(io::Error::last_os_error)
}

/// Root of a container that was started without the capabilities.
fn barred() -> io::Result<()> {
    use rustix::thread::remove_capability_from_bounding_set as remove;
    for one in [
        CapabilitySet::BPF,
        CapabilitySet::PERFMON,
        CapabilitySet::SYS_ADMIN,
    ] {
        remove(one)?;
    }
    Ok(())
}

/// Root of a user namespace, with all rights there.
fn namespaced() -> io::Result<()> {
    // SAFETY: the child has one thread, and shares nothing that the call takes apart.
    let done = unsafe { libc::unshare(libc::CLONE_NEWUSER) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    rustix::io::write(
        rustix::fs::open(
            c"/proc/self/uid_map",
            rustix::fs::OFlags::WRONLY,
            Mode::empty(),
        )?,
        b"0 0 1",
    )?;
    Ok(())
}

fn refused() -> Result<(), Failed> {
    type Before = fn() -> io::Result<()>;
    let mut check = Check::default();
    let cases: [(&str, Before, &str, &str); 3] = [
        ("attaching", no_bpf, "a seccomp filter", "allow bpf(2)"),
        (
            "rights",
            barred,
            "CAP_BPF, CAP_PERFMON; the bounding set",
            "--cap-add BPF",
        ),
        (
            "attaching",
            namespaced,
            "a user namespace",
            "the machine's root",
        ),
    ];
    for (what, before, consequence, remedy) in cases {
        let (found, to_do) = doctor(&mut check, what, before)?;
        check.that(found.contains(consequence), || {
            format!("{consequence:?}: {found}")
        });
        check.that(to_do.contains(remedy), || {
            format!("{consequence:?}, remedy: {to_do}")
        });
    }
    check.done()
}
