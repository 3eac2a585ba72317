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

/// Not one of user space's numbers, and given to it all the same: the kernel
/// cannot do this on this architecture, or was not built for it
/// (include/linux/errno.h).
const ENOTSUPP: i32 = 524;

/// Whether the kernel said that it attaches nothing to functions.
pub(super) fn lacks_direct_calls(error: &(dyn std::error::Error + 'static)) -> bool {
    stems_from(error, ENOTSUPP)
}

/// Whether the error, or what it stems from, has this number.
fn stems_from(error: &(dyn std::error::Error + 'static), number: i32) -> bool {
    let mut cause = Some(error);
    while let Some(c) = cause {
        let io = c.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.raw_os_error() == Some(number)) {
            return true;
        }
        cause = c.source();
    }
    false
}

/// The kernel, or aya, refused something.
pub(super) fn refused(what: &str, error: &(dyn std::error::Error + 'static)) -> KernelError {
    if stems_from(error, libc::EPERM) {
        return not_permitted();
    }
    KernelError::Refused {
        what: what.into(),
        reason: locked_down().unwrap_or_else(|| causes(error).join(": ")),
    }
}

/// In lockdown mode "confidentiality" no program gets the helpers that read the kernel's memory
/// (`bpf_tracing_func_proto`, 5.10 to 7.3): the verifier's words say less than that.
pub(super) fn locked_down() -> Option<String> {
    let mode = system::lockdown().filter(|mode| mode == CONFIDENTIALITY)?;
    Some(format!(
        "kernel lockdown is in mode {mode}, in which no program may read the kernel's memory; boot with \
         lockdown=integrity or none (Secure Boot may force it)"
    ))
}

/// The mode of kernel lockdown that forbids tracing.
pub(super) const CONFIDENTIALITY: &str = "confidentiality";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("`bpf_raw_tracepoint_open` failed")]
    struct Call(#[source] io::Error);

    #[test]
    fn what_the_kernel_answered_is_found_beneath_what_failed() {
        let answered = |number| Call(io::Error::from_raw_os_error(number));
        assert!(lacks_direct_calls(&answered(524)));
        assert!(!lacks_direct_calls(&answered(libc::EOPNOTSUPP)));
        assert!(matches!(
            refused("x", &answered(libc::EPERM)),
            KernelError::NotPermitted { .. } | KernelError::Forbidden { .. }
        ));
    }
}
