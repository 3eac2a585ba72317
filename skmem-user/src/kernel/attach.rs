//! Puts one program onto one function, and says why where that fails.

use std::any::Any;

use aya::{
    Btf, Ebpf,
    programs::{Program, ProgramError},
};

use super::{
    KernelError, Result,
    errors::{causes, internal, lacks_direct_calls, locked_down, not_permitted},
    plan::{Attachment, Kind},
};

/// Keeps a program attached.
pub(super) type Link = Box<dyn Any + Send>;

/// Loads and attaches a program, for as long as `ebpf` lives.
///
/// # Errors
/// Where the kernel refuses either.
pub(super) fn attach(ebpf: &mut Ebpf, to: &Attachment, btf: &Btf) -> Result<()> {
    load(ebpf, to, btf)?;
    let done = match program(ebpf, to)? {
        Program::FEntry(p) => p.attach().map(drop),
        Program::FExit(p) => p.attach().map(drop),
        Program::BtfTracePoint(p) => p.attach().map(drop),
        Program::KProbe(p) => p.attach(to.function, 0).map(drop),
        _ => return Err(internal(to.program)),
    };
    done.map_err(|e| why(to, e))
}

/// Attaches a program that is loaded, for as long as the link lives: a trampoline's.
///
/// # Errors
/// Where the kernel refuses.
pub(super) fn link(ebpf: &mut Ebpf, to: &Attachment) -> Result<Link> {
    let link: std::result::Result<Link, ProgramError> = match program(ebpf, to)? {
        Program::FEntry(p) => p
            .attach()
            .and_then(|id| p.take_link(id))
            .map(|link| Box::new(link) as Link),
        Program::FExit(p) => p
            .attach()
            .and_then(|id| p.take_link(id))
            .map(|link| Box::new(link) as Link),
        _ => return Err(internal(to.program)),
    };
    link.map_err(|e| why(to, e))
}

fn program<'a>(ebpf: &'a mut Ebpf, to: &Attachment) -> Result<&'a mut Program> {
    ebpf.program_mut(to.program)
        .ok_or_else(|| internal(to.program))
}

/// Loads a program.
///
/// # Errors
/// Where the kernel refuses.
pub(super) fn load(ebpf: &mut Ebpf, to: &Attachment, btf: &Btf) -> Result<()> {
    let done = match (to.kind, program(ebpf, to)?) {
        (Kind::Fentry, Program::FEntry(p)) => p.load(to.function, btf),
        (Kind::Fexit, Program::FExit(p)) => p.load(to.function, btf),
        (Kind::Tracepoint, Program::BtfTracePoint(p)) => p.load(to.function, btf),
        (Kind::Kprobe, Program::KProbe(p)) => p.load(),
        _ => return Err(internal(to.program)),
    };
    done.map_err(|e| why(to, e))
}

/// Takes a program out of the kernel; it can be loaded again.
///
/// # Errors
/// Where it is not loaded.
pub(super) fn unload(ebpf: &mut Ebpf, to: &Attachment) -> Result<()> {
    let done = match program(ebpf, to)? {
        Program::FEntry(p) => p.unload(),
        Program::FExit(p) => p.unload(),
        _ => return Err(internal(to.program)),
    };
    done.map_err(|e| why(to, e))
}

/// Why a program is not on its function.
fn why(to: &Attachment, error: ProgramError) -> KernelError {
    match error {
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
    }
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
