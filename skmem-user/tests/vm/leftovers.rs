//! What must not stay behind: programs, maps, links, namespaces, settings, and words of the kernel.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;
use skmem::diag::SockstatTcp;

use crate::check::Check;

/// How long programs may take to go, which the kernel frees behind a grace period, and sockets: the
/// last of their packets may be lost, but not for a quarter of an hour, as where nobody waits for
/// them.
const PATIENCE: Duration = Duration::from_secs(120);

/// The machine before the first trial.
pub struct State {
    tcp_mem: Option<String>,
    links: BTreeSet<String>,
    cgroups: BTreeSet<String>,
}

impl State {
    pub fn read() -> Self {
        Self {
            tcp_mem: fs::read_to_string("/proc/sys/net/ipv4/tcp_mem").ok(),
            links: names("/sys/class/net"),
            cgroups: names("/sys/fs/cgroup"),
        }
    }
}

pub fn check(before: &State) -> Result<(), Failed> {
    let mut check = Check::default();
    let started = Instant::now();
    let mut loaded = loaded();
    while !loaded.is_empty() && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(100));
        loaded = self::loaded();
    }
    check.equal(
        "BPF programs, maps and links still loaded",
        loaded,
        Vec::new(),
    );
    let after = State::read();
    check.equal("tcp_mem", after.tcp_mem, before.tcp_mem.clone());
    check.equal("network links", after.links, before.links.clone());
    check.equal("cgroups", after.cgroups, before.cgroups.clone());
    check.equal(
        "named network namespaces",
        names("/run/netns"),
        BTreeSet::new(),
    );
    check.equal(
        "processes in other network namespaces",
        foreign(),
        Vec::new(),
    );
    let complaints = complaints();
    check.that(complaints.is_empty(), || {
        format!("the kernel complained:\n    {}", complaints.join("\n    "))
    });
    check.done()
}

/// How many sockets are left that nobody holds, once those on their way out had some time: in a
/// namespace that has ended nobody else sees them.
pub fn orphans() -> Result<u64, Failed> {
    let started = Instant::now();
    loop {
        let orphans = SockstatTcp::read()?.orphan;
        if orphans == 0 || started.elapsed() > PATIENCE {
            return Ok(orphans);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Nobody's sockets of an earlier trial, in a namespace that has ended: memory that no look at
/// namespaces finds.
pub fn nothing_is_left() -> Result<(), Failed> {
    match orphans()? {
        0 => Ok(()),
        n => Err(format!("{n} sockets that nobody holds are left of earlier trials").into()),
    }
}

/// The machine of these tests has none but ours.
fn loaded() -> Vec<String> {
    let programs = aya::programs::loaded_programs().map(|program| match program {
        Ok(program) => format!(
            "program {} {}",
            program.id(),
            program.name_as_str().unwrap_or("(no name)")
        ),
        Err(error) => error.to_string(),
    });
    let maps = aya::maps::loaded_maps().map(|map| match map {
        Ok(map) => format!(
            "map {} {}",
            map.id(),
            map.name_as_str().unwrap_or("(no name)")
        ),
        Err(error) => error.to_string(),
    });
    let links = aya::programs::loaded_links().map(|link| match link {
        Ok(link) => format!("link {}", link.id()),
        Err(error) => error.to_string(),
    });
    programs.chain(maps).chain(links).collect()
}

fn names(directory: impl AsRef<Path>) -> BTreeSet<String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Processes, ours and kernel threads apart, whose network namespace is not ours.
fn foreign() -> Vec<String> {
    let ours = fs::read_link("/proc/self/ns/net").ok();
    names("/proc")
        .into_iter()
        .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        .filter_map(|pid| {
            let theirs = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            (Some(theirs) != ours).then(|| format!("{pid} {}", comm.trim()))
        })
        .collect()
}

/// The lines of the kernel's log that nobody wants to see. (A cgroup at its limit makes the kernel
/// print a call trace: that one is expected.)
fn complaints() -> Vec<String> {
    const WORDS: &[&str] = &[
        "WARNING:",
        "BUG:",
        "Oops",
        "general protection",
        "refcount_t",
    ];
    let log = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg");
    let Ok(mut log) = log else {
        return vec!["/dev/kmsg cannot be read".into()];
    };
    let mut log_lines: Vec<String> = Vec::new();
    // One record a read; EPIPE is a record that was overwritten.
    let mut record = [0; 8192];
    loop {
        match log.read(&mut record) {
            Ok(n) => {
                log_lines.push(String::from_utf8_lossy(&record[..n]).trim().to_owned());
            }
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => break,
        }
    }
    let bad = |line: &&String| WORDS.iter().any(|word| line.contains(word));
    let Some(first) = log_lines.iter().position(|line| bad(&line)) else {
        return Vec::new();
    };
    let count = log_lines.iter().filter(bad).count();
    // What led to the first of them, and its beginning.
    let mut story = log_lines[first.saturating_sub(6)..log_lines.len().min(first + 24)].to_vec();
    story.push(format!("({count} such lines in all)"));
    story
}
