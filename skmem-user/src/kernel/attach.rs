//! Puts one program onto one function, and says why where that fails.

use aya::{
    Btf, Ebpf,
    programs::{Program, ProgramError},
};

use super::{
    KernelError, Result,
    errors::{causes, internal, lacks_direct_calls, locked_down, not_permitted},
    plan::{Attachment, Kind},
};

/// Loads and attaches a program.
///
/// # Errors
/// Where the kernel refuses either.
pub(super) fn attach(ebpf: &mut Ebpf, to: &Attachment, btf: &Btf) -> Result<()> {
    let program = ebpf
        .program_mut(to.program)
        .ok_or_else(|| internal(to.program))?;
    let done = match (to.kind, program) {
        (Kind::Fentry, Program::FEntry(p)) => {
            p.load(to.function, btf).and_then(|()| p.attach().map(drop))
        }
        (Kind::Fexit, Program::FExit(p)) => {
            p.load(to.function, btf).and_then(|()| p.attach().map(drop))
        }
        (Kind::Tracepoint, Program::BtfTracePoint(p)) => {
            p.load(to.function, btf).and_then(|()| p.attach().map(drop))
        }
        (Kind::Kprobe, Program::KProbe(p)) => {
            p.load().and_then(|()| p.attach(to.function, 0).map(drop))
        }
        _ => return Err(internal(to.program)),
    };
    done.map_err(|e| match e {
        ProgramError::LoadError {
            ref io_error,
            ref verifier_log,
        } => {
            if io_error.raw_os_error() == Some(libc::EPERM) {
                return not_permitted();
            }
            if let Some(reason) = locked_down() {
                return KernelError::Refused {
                    what: "cannot trace".into(),
                    reason,
                };
            }
            KernelError::NoHook {
                function: to.function.into(),
                reason: format!(
                    "the kernel refused program {}: {io_error}{}",
                    to.program,
                    last_words(&verifier_log.to_string())
                ),
            }
        }
        e if lacks_direct_calls(&e) => KernelError::NoDirectCalls,
        e => KernelError::NoHook {
            function: to.function.into(),
            reason: causes(&e).join(": "),
        },
    })
}

/// The error where an essential hook cannot be attached: nothing can be explained then.
pub(super) fn essential(error: KernelError) -> KernelError {
    match error {
        KernelError::NoHook { function, reason } => KernelError::NoHook {
            function,
            reason: format!("{reason}; skmem cannot do without it"),
        },
        other => other,
    }
}

/// The end of the verifier's log, where its complaint is.
fn last_words(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|l| !l.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(60);
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "; the verifier's last words:\n  {}",
        lines[from..].join("\n  ")
    )
}
