//! From aya's errors to one line each: what, why, what to do.

use std::io;

use super::{KernelError, rights, system};

/// The programs lack something that this build of skmem asks of them.
pub(super) fn internal(name: &str) -> KernelError {
    KernelError::Refused {
        what: format!("the compiled programs lack {name}"),
        reason: "this build of skmem is broken; build it again".into(),
    }
}

/// Too few rights; or enough, and something else refuses.
pub(super) fn not_permitted() -> KernelError {
    if rights::may_trace() {
        return KernelError::Forbidden { why: forbidders() };
    }
    KernelError::NotPermitted {
        lockdown: system::lockdown()
            .map(|mode| {
                format!("; kernel lockdown is in mode {mode}, which may forbid it even then")
            })
            .unwrap_or_default(),
    }
}

/// What is seen on this machine that may refuse what rights allow.
fn forbidders() -> String {
    let mut seen = Vec::new();
    if system::seccomp_filter() {
        seen.push(
            "a seccomp filter is on this process (containers and sandboxes set one: allow bpf(2) and perf_event_open(2))"
                .to_owned(),
        );
    }
    if system::in_user_namespace() {
        seen.push(
            "this is a user namespace of its own, in which rights are not the machine's (rootless container)"
                .to_owned(),
        );
    }
    if let Some(mode) = system::lockdown() {
        seen.push(format!("kernel lockdown is in mode {mode}"));
    }
    if let Some(modules) = system::security_modules() {
        seen.push(format!("these security modules may refuse: {modules}"));
    }
    if seen.is_empty() {
        "a sandbox, or a kernel without CONFIG_BPF_SYSCALL".into()
    } else {
        seen.join("; ")
    }
}

/// The kernel, or aya, refused something.
pub(super) fn refused(what: &str, error: &(dyn std::error::Error + 'static)) -> KernelError {
    let mut cause = Some(error);
    while let Some(c) = cause {
        let io = c.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.raw_os_error() == Some(libc::EPERM)) {
            return not_permitted();
        }
        cause = c.source();
    }
    KernelError::Refused {
        what: what.into(),
        reason: causes(error).join(": "),
    }
}

/// An error and what it stems from, each once.
pub(super) fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(s) = source {
        causes.push(s.to_string());
        source = s.source();
    }
    causes.dedup();
    causes
}
