//! What this machine allows: `skmem doctor`. Works for any user and on any
//! kernel; what cannot be found out is said to be so.

use std::{fs, path::Path};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    KernelError, Result,
    btf::{KernelBtf, VMLINUX},
    errors::CONFIDENTIALITY,
    plan::{Need, Plan, Set, cost},
    symbols::{self, Symbols},
    system,
    tracer::{Options, Tracer},
};
use crate::diag::cgroups::cgroup2;

/// How a finding bears on tracing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Good,
    /// Something is lost.
    Reduced,
    /// Nothing can be traced.
    Impossible,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// How it bears on tracing.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What follows from it, where it is not good.
    pub consequence: Option<String>,
    /// What can be done about it.
    pub remedy: Option<String>,
}

impl Finding {
    fn good(what: &str, found: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            state: State::Good,
            found: found.into(),
            consequence: None,
            remedy: None,
        }
    }

    fn bad(
        what: &str,
        state: State,
        found: impl Into<String>,
        consequence: impl Into<String>,
        remedy: Option<&str>,
    ) -> Self {
        Self {
            what: what.to_owned(),
            state,
            found: found.into(),
            consequence: Some(consequence.into()),
            remedy: remedy.map(str::to_owned),
        }
    }
}

/// What is looked at first where nothing can be traced.
pub const RIGHTS: &str = "rights";

/// A capability by its number in include/uapi/linux/capability.h.
const CAPABILITIES: [(&str, u32); 6] = [
    ("CAP_NET_ADMIN", 12),
    ("CAP_SYS_PTRACE", 19),
    ("CAP_SYS_ADMIN", 21),
    ("CAP_SYS_RESOURCE", 24),
    ("CAP_PERFMON", 38),
    ("CAP_BPF", 39),
];

/// Looks at everything; `load` also loads and attaches the programs, for a
/// moment, where the rights suffice.
#[must_use]
pub fn examine(load: bool) -> Vec<Finding> {
    let held = capabilities("CapEff:");
    let possible_rights = capabilities("CapBnd:");
    let release = system::release();
    let (major, minor) = version(&release);
    let mut findings = vec![
        kernel(&release, (major, minor)),
        lockdown(),
        rights(held, possible_rights, (major, minor)),
    ];
    findings.extend(types());
    findings.extend(settings((major, minor)));
    findings.push(cgroups());
    findings.push(others(held));
    // What is no more than a sign does not keep skmem from trying.
    let possible = findings
        .iter()
        .filter(|f| f.what != DIRECT_CALLS)
        .all(|f| f.state != State::Impossible);
    if load && possible {
        findings.retain(|f| f.what != DIRECT_CALLS);
        findings.push(attach());
    }
    findings
}

/// Looks at a kernel's types alone, in a file: which fields it has and which
/// functions could be hooked. Which of them it has out of line only that
/// kernel's symbols would say.
///
/// # Errors
/// Where the file cannot be read, or is not BTF.
pub fn examine_types(types: &Path) -> Result<Vec<Finding>> {
    match KernelBtf::from_file(types) {
        Ok(btf) => {
            let from = types.display().to_string();
            Ok(fields_and_hooks(&btf, &Symbols::default(), &from))
        }
        Err(error @ KernelError::NoField { .. }) => Ok(vec![Finding::bad(
            "BTF",
            State::Impossible,
            error.to_string(),
            "where that kernel keeps its fields is not known",
            None,
        )]),
        Err(error) => Err(error),
    }
}

/// The worst of them.
#[must_use]
pub fn overall(findings: &[Finding]) -> State {
    let states = findings.iter().map(|f| f.state);
    states.max().unwrap_or(State::Good)
}

/// Major and minor number; zeroes where the text is not a version.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-']).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn kernel(release: &str, version: (u32, u32)) -> Finding {
    if version >= (5, 10) {
        return Finding::good("kernel", release);
    }
    Finding::bad(
        "kernel",
        State::Impossible,
        release,
        "skmem knows kernels from 5.10 on (x86-64), or 6.4 (arm64)",
        Some("a newer kernel"),
    )
}

/// `LOCKDOWN_BPF_READ_KERNEL` and `LOCKDOWN_KPROBES` belong to the mode
/// "confidentiality" (security/security.c, 5.10 to 7.3).
fn lockdown() -> Finding {
    match system::lockdown() {
        None => Finding::good("lockdown", "off"),
        Some(mode) if mode == CONFIDENTIALITY => Finding::bad(
            "lockdown",
            State::Impossible,
            mode,
            "the kernel lets no program read its memory",
            Some(
                "boot with lockdown=integrity or none (Secure Boot may force it), or try skmem in a VM",
            ),
        ),
        Some(mode) => Finding::good("lockdown", format!("{mode}, which allows tracing")),
    }
}

/// A set of capabilities of this process; all bits set where it cannot be read.
fn capabilities(set: &str) -> u64 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|l| l.strip_prefix(set))?;
            u64::from_str_radix(line.trim(), 16).ok()
        })
        .unwrap_or(u64::MAX)
}

fn holds(held: u64, name: &str) -> bool {
    let number = CAPABILITIES.iter().find(|(n, _)| *n == name);
    number.is_some_and(|(_, bit)| held & (1 << bit) != 0)
}

/// `bounding`: what this process, and what it runs, may hold at most: as root, too.
fn rights(held: u64, bounding: u64, version: (u32, u32)) -> Finding {
    let names: Vec<&str> = CAPABILITIES
        .iter()
        .filter(|(_, bit)| held & (1 << bit) != 0)
        .map(|(name, _)| *name)
        .collect();
    let found = if names.is_empty() {
        "none of those that matter here".to_owned()
    } else {
        names.join(", ")
    };
    let root = holds(held, "CAP_SYS_ADMIN");
    let mut missing = Vec::new();
    if !root {
        missing.extend(
            ["CAP_BPF", "CAP_PERFMON"]
                .into_iter()
                .filter(|c| !holds(held, c)),
        );
    }
    if version < (5, 11) && !holds(held, "CAP_SYS_RESOURCE") && !memlock_unlimited() {
        missing.push("CAP_SYS_RESOURCE (or unlimited locked memory)");
    }
    if missing.is_empty() {
        return Finding::good(RIGHTS, found);
    }
    let barred = CAPABILITIES
        .iter()
        .any(|(name, bit)| missing.contains(name) && bounding & (1 << bit) == 0);
    if barred {
        return Finding::bad(
            RIGHTS,
            State::Impossible,
            found,
            format!(
                "missing: {}; the bounding set of this process lacks them, so root has them no more than others (a \
                 container, or a service of systemd)",
                missing.join(", ")
            ),
            Some(
                "run it on the host; or give the container --cap-add BPF --cap-add PERFMON (before 5.11 also SYS_RESOURCE), \
                 the service CapabilityBoundingSet=; skmem snapshot and decode need none",
            ),
        );
    }
    Finding::bad(
        RIGHTS,
        State::Impossible,
        found,
        format!("missing: {}", missing.join(", ")),
        Some(
            "run as root, or once: setcap cap_bpf,cap_perfmon=ep skmem (before 5.11 also cap_sys_resource); skmem snapshot and decode need none",
        ),
    )
}

fn memlock_unlimited() -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock);
    limit.current.is_none()
}

/// BTF, the fields in it, and the functions that can be hooked.
fn types() -> Vec<Finding> {
    let btf = match KernelBtf::running() {
        Ok(btf) => btf,
        Err(error) => {
            return vec![Finding::bad(
                "BTF",
                State::Impossible,
                error.to_string(),
                "where the kernel keeps its fields is not known",
                Some("a kernel built with CONFIG_DEBUG_INFO_BTF=y (all big distributions' are)"),
            )];
        }
    };
    fields_and_hooks(&btf, &Symbols::running(), VMLINUX)
}

/// [`Finding::what`] of [`direct_calls`].
const DIRECT_CALLS: &str = "ftrace direct calls";

/// Whether programs can be attached to functions, as far as the BTF's names show. arm64
/// kernels before 6.4 have the one function and not the other, and so have later
/// ones with kCFI. The BTF of 5.10 on x86-64 names neither.
fn direct_calls(btf: &KernelBtf, symbols: &Symbols) -> Finding {
    let has = |name| symbols.surely_has(name) || btf.parameters(name).is_some();
    if has(symbols::DIRECT_CALLS) {
        return Finding::good(DIRECT_CALLS, "register_ftrace_direct is there");
    }
    if !has(symbols::FTRACE) {
        return Finding::good(
            DIRECT_CALLS,
            "not known: no function of ftrace is named; attaching will tell",
        );
    }
    Finding::bad(
        DIRECT_CALLS,
        State::Impossible,
        "register_ftrace_function is there, register_ftrace_direct is not",
        "nothing can be attached to functions (fentry, fexit); snapshot, decode, report, diff, plot and export work",
        Some("on arm64 kernel 6.4 or newer, built without kCFI"),
    )
}

/// What the types say; `from` is where they are from.
fn fields_and_hooks(btf: &KernelBtf, symbols: &Symbols, from: &str) -> Vec<Finding> {
    let mut findings = vec![Finding::good("BTF", from), direct_calls(btf, symbols)];
    for field in btf.missing() {
        findings.push(Finding::bad(
            &format!("field {}", field.field),
            State::Reduced,
            "not in this kernel",
            field.cost,
            None,
        ));
    }
    let plan = match Plan::new(btf, symbols, &[], Set::All) {
        Ok(plan) => plan,
        Err(error) => {
            findings.push(Finding::bad(
                "hooks",
                State::Impossible,
                error.to_string(),
                "nothing can be traced",
                None,
            ));
            return findings;
        }
    };
    for attachment in &plan.attachments {
        let found = format!("{} ({:?})", attachment.function, attachment.kind);
        let what = format!("hook {}", attachment.hook.name());
        match findings.iter_mut().find(|f| f.what == what) {
            Some(other) => {
                other.found.push_str(", ");
                other.found.push_str(&found);
            }
            None => findings.push(Finding::good(&what, found)),
        }
    }
    for hook in &plan.missing {
        let what = format!("hook {}", hook.name());
        // Where the kernel lacks the thing itself, nothing is lost.
        findings.push(if Plan::is_expected_missing(*hook) {
            Finding::good(&what, "not in this kernel, which does without it")
        } else {
            let state = match Plan::need(*hook) {
                Some(Need::Essential) => State::Impossible,
                _ => State::Reduced,
            };
            Finding::bad(&what, state, "not in this kernel", cost(*hook), None)
        });
    }
    findings
}

/// A sysctl, where it can be read.
fn sysctl(name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    Some(text.trim().to_owned())
}

fn settings(version: (u32, u32)) -> Vec<Finding> {
    let unknown = || "not to be read".to_owned();
    let jit = sysctl("net/core/bpf_jit_enable");
    let paranoid = sysctl("kernel/perf_event_paranoid");
    let unprivileged = sysctl("kernel/unprivileged_bpf_disabled");
    let mut findings = vec![
        if jit.as_deref() == Some("0") {
            Finding::bad(
                "net.core.bpf_jit_enable",
                State::Reduced,
                "0",
                "programs are interpreted: fentry and fexit cannot be attached",
                Some("sysctl -w net.core.bpf_jit_enable=1"),
            )
        } else {
            Finding::good("net.core.bpf_jit_enable", jit.unwrap_or_else(unknown))
        },
        Finding::good(
            "kernel.unprivileged_bpf_disabled",
            format!(
                "{}; skmem is not unprivileged",
                unprivileged.unwrap_or_else(unknown)
            ),
        ),
    ];
    // The one kprobe: sock_setsockopt, whose trampoline old kernels refuse.
    let paranoid = paranoid.unwrap_or_else(unknown);
    let found = if version < (5, 20) {
        format!(
            "{paranoid}; above 2 the kprobe on sock_setsockopt needs CAP_SYS_ADMIN, else SO_SNDBUF is inferred"
        )
    } else {
        format!("{paranoid}; no kprobe is used")
    };
    findings.push(Finding::good("kernel.perf_event_paranoid", found));
    findings.push(Finding::good(
        "tracefs",
        if Path::new("/sys/kernel/tracing/events").exists() {
            "mounted; not needed"
        } else {
            "not mounted; not needed"
        },
    ));
    findings
}

fn cgroups() -> Finding {
    if let Some(cgroup2) = cgroup2() {
        return Finding::good("cgroup v2", cgroup2.at.display().to_string());
    }
    Finding::bad(
        "cgroup v2",
        State::Reduced,
        "not mounted",
        "--cgroup cannot be used; everything else can",
        Some("mount -t cgroup2 none /sys/fs/cgroup"),
    )
}

/// What concerns other users' processes and namespaces.
fn others(held: u64) -> Finding {
    let mut lost = Vec::new();
    if !holds(held, "CAP_SYS_ADMIN") {
        lost.push("sockets older than the trace are found in this network namespace only");
    }
    if !holds(held, "CAP_SYS_PTRACE") {
        lost.push("processes of other users are not named");
    }
    if lost.is_empty() {
        return Finding::good("other users' processes", "can be looked at");
    }
    Finding::bad(
        "other users' processes",
        State::Reduced,
        "cannot all be looked at",
        lost.join("; "),
        Some("CAP_SYS_ADMIN and CAP_SYS_PTRACE, or root"),
    )
}

/// Loads and attaches everything, and takes it out again.
fn attach() -> Finding {
    let started = std::time::Instant::now();
    match Tracer::load(&Options::default()) {
        Ok(tracer) => {
            let found = format!(
                "{} programs loaded and attached in {:.1} s, and taken out again",
                tracer.attached().len(),
                started.elapsed().as_secs_f64()
            );
            match tracer.notes() {
                [] => Finding::good("attaching", found),
                notes => Finding::bad("attaching", State::Reduced, found, notes.join("; "), None),
            }
        }
        Err(error) => Finding::bad(
            "attaching",
            State::Impossible,
            "refused",
            error.to_string(),
            match error {
                KernelError::Forbidden { .. } => Some(
                    "run it outside of the container or sandbox, as the machine's root, or allow bpf(2) and \
                     perf_event_open(2) there; skmem snapshot and decode need neither",
                ),
                _ => None,
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_by_capability_and_kernel() {
        let bit = |name: &str| {
            CAPABILITIES
                .iter()
                .find(|(n, _)| *n == name)
                .map_or(0, |(_, b)| 1u64 << b)
        };
        let both = bit("CAP_BPF") | bit("CAP_PERFMON");
        assert_eq!(rights(both, u64::MAX, (6, 1)).state, State::Good);
        assert_eq!(
            rights(bit("CAP_SYS_ADMIN"), u64::MAX, (6, 1)).state,
            State::Good
        );
        let one = rights(bit("CAP_BPF"), u64::MAX, (6, 1));
        assert_eq!(one.state, State::Impossible);
        assert!(one.consequence.unwrap().contains("CAP_PERFMON"));
        assert_eq!(rights(0, u64::MAX, (6, 1)).state, State::Impossible);
        let barred = rights(0, !both, (6, 1)).consequence.unwrap();
        assert!(barred.contains("bounding set"), "{barred}");
    }

    #[test]
    fn old_kernels_and_the_worst_of_all() {
        assert_eq!(
            kernel("4.19.0-1-amd64", version("4.19.0-1-amd64")).state,
            State::Impossible
        );
        assert_eq!(version("7.2.12+deb13"), (7, 2));
        assert_eq!(version("nonsense"), (0, 0));
        let good = Finding::good("a", "b");
        assert_eq!(overall(&[]), State::Good);
        assert_eq!(overall(&[good.clone(), others(0)]), State::Reduced);
        assert_eq!(
            overall(&[others(0), kernel("3.10", (3, 10)), good]),
            State::Impossible
        );
    }

    #[test]
    fn it_works_wherever_this_test_runs() {
        let findings = examine(false);
        assert!(findings.iter().any(|f| f.what == "kernel"));
        for f in findings {
            assert_eq!(f.state == State::Good, f.consequence.is_none(), "{f:?}");
        }
    }
}
