//! The machine around the sockets: release, clock, rights, limits.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    process::{Resource, Rlimit, setrlimit},
    time::{ClockId, clock_getres},
};

pub use crate::diag::monotonic_ns;

/// `uname -r`.
#[must_use]
pub fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".into(), |s| s.trim().to_string())
}

/// `CLOCK_REALTIME`, in ns since 1970-01-01 UTC.
#[must_use]
pub fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX))
}

/// How long a jiffy is, in ns: the resolution of the coarse clocks
/// (`KTIME_LOW_RES`, which is `TICK_NSEC`).
#[must_use]
pub fn tick_ns() -> u32 {
    u32::try_from(clock_getres(ClockId::MonotonicCoarse).tv_nsec).unwrap_or(0)
}

/// What kernel lockdown forbids, in a few words; None where it is off.
#[must_use]
pub fn lockdown() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let mode = text.split('[').nth(1)?.split(']').next()?.to_string();
    (mode != "none").then_some(mode)
}

/// Whether a seccomp filter is on this process (`SECCOMP_MODE_FILTER`).
#[must_use]
pub fn seccomp_filter() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == "2")
}

/// Whether this is not the machine's first user namespace, whose ids are all mapped to themselves.
#[must_use]
pub fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let words: Vec<&str> = map.split_whitespace().collect();
    !words.is_empty() && words != ["0", "0", "4294967295"]
}

/// The security modules that may refuse programs, as `/sys/kernel/security/lsm` names them; None
/// where there are none.
#[must_use]
pub fn security_modules() -> Option<String> {
    let list = fs::read_to_string("/sys/kernel/security/lsm").ok()?;
    let others = [
        "capability",
        "lockdown",
        "yama",
        "landlock",
        "ima",
        "evm",
        "integrity",
    ];
    let names: Vec<&str> = list
        .trim()
        .split(',')
        .filter(|name| !name.is_empty() && !others.contains(name))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Lifts the limit on locked memory: kernels before 5.11 charge maps to it.
pub fn lift_memlock() {
    let all = Rlimit {
        current: None,
        maximum: None,
    };
    // Later kernels ignore the limit, so that a refusal does no harm.
    let _ = setrlimit(Resource::Memlock, all);
}

/// Makes the kernel count and time the runs of all eBPF programs, until the
/// result is dropped (5.8 on). It costs every run two readings of a clock.
///
/// # Errors
/// Where the kernel refuses.
pub fn time_programs() -> std::io::Result<std::os::fd::OwnedFd> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|e| e.io_error)
}
