//! The running kernel: what it has, what is attached to it, what it keeps.
//! Nothing outside of this module knows aya.
//!
//! * [`btf`]: field offsets, function signatures, what to attach to
//! * [`symbols`]: which kernel functions exist out of line
//! * [`plan`]: which programs go onto which functions of this kernel
//! * [`tracer`]: load, attach, enable; detach on drop. `attach` does one program, `existing` finds
//!   older sockets, `errors` has the words, `programs` the programs' bytes
//! * [`facts`]: what a walk over all sockets reads, without any tracing
//! * [`descriptors`]: who holds which socket, by a walk over all descriptors
//! * [`table`]: the sockets' accounts, as the programs keep them
//! * [`ring`]: the records, as bytes
//! * [`counters`]: records made, lost, runs skipped
//! * [`rights`]: what this process may do, and giving that up
//! * [`doctor`]: what this machine allows, for `skmem doctor`
//! * [`system`]: release, clock, capabilities, limits

mod attach;
pub mod btf;
pub mod counters;
pub mod descriptors;
pub mod doctor;
mod errors;
mod existing;
pub mod facts;
mod mapped;
pub mod plan;
mod programs;
pub mod rights;
pub mod ring;
pub mod symbols;
pub mod system;
pub mod table;
pub mod tracer;
mod tripwire;

/// What can go wrong between skmem and the kernel. Each message says what
/// failed, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The kernel has no type information.
    #[error("cannot read {path}: {cause}{hint}")]
    NoBtf {
        /// The file.
        path: String,
        /// The cause.
        cause: std::io::Error,
        /// Empty, or what the running kernel lacks.
        hint: &'static str,
    },
    /// The type information cannot be understood.
    #[error("cannot parse {path}: {reason}; is it this kernel's BTF?")]
    BadBtf {
        /// The file.
        path: String,
        /// The cause.
        reason: String,
    },
    /// A field without which nothing works is missing.
    #[error(
        "this kernel has no {field}: skmem does not know this kernel; please report it with `uname -r`"
    )]
    NoField {
        /// `struct.field`.
        field: String,
    },
    /// A function cannot be hooked.
    #[error("cannot hook {function}: {reason}")]
    NoHook {
        /// The function, or the candidates for it.
        function: String,
        /// The cause.
        reason: String,
    },
    /// The kernel attaches no program to the entry or exit of a function, whichever
    /// it is: `ENOTSUPP` (524) from `register_fentry` (kernel/bpf/trampoline.c).
    #[error(
        "this kernel has no ftrace direct calls, so that nothing can be attached to its functions (fentry, fexit): on \
         arm64 it takes kernel 6.4 or newer, built without kCFI; snapshot, decode, report, diff, plot and export work here, too"
    )]
    NoDirectCalls,
    /// The kernel refused a system call of bpf(2).
    #[error("{what}: {reason}")]
    Refused {
        /// What was tried.
        what: String,
        /// The cause and the way out.
        reason: String,
    },
    /// The rights are there, and something else refuses.
    #[error(
        "the kernel refuses tracing programs, though the rights are there (root, or CAP_BPF and CAP_PERFMON): {why}"
    )]
    Forbidden {
        /// What is seen that may refuse.
        why: String,
    },
    /// Too few rights.
    #[error(
        "not permitted to load tracing programs: run as root, or with CAP_BPF and CAP_PERFMON (before 5.11 also CAP_SYS_RESOURCE){lockdown}"
    )]
    NotPermitted {
        /// Empty, or what lockdown adds.
        lockdown: String,
    },
}

/// Result with a [`KernelError`].
pub type Result<T> = std::result::Result<T, KernelError>;
