//! Verdict and advice from a socket's account: pure functions, no clock, no
//! I/O, no kernel. The same code explains live sockets, a recording, and a
//! test's hand-written account.
//!
//! * [`verdict`]: what a verdict holds, which is the JSON contract
//! * [`texts`]: the words for each cause, their one source
//! * [`pages`]: every name with its words, for `skmem causes`
//! * [`compare`]: a case without and with a fix
//! * [`diff`]: two recordings
//! * [`pair`]: both ends of a connection
//! * [`window`]: what a receive buffer holds, and why the window is what it is
//! * [`remedies`]: the words for each piece of advice, their one source
//! * [`measured`]: the figures behind the advice
//!
//! Where does a new cause go? `skmem-common`'s `cause.rs`; the compiler then
//! points at [`texts`].

use skmem_common::account::Account;

mod advice;
mod assemble;
mod blame;
mod blocked;
pub mod chain;
mod checks;
pub mod compare;
pub mod diff;
mod ends;
mod fields;
pub mod measured;
mod memory;
mod named;
pub mod numbers;
pub mod pages;
pub mod pair;
pub mod receive;
pub mod remedies;
mod subject;
#[cfg(test)]
pub(crate) mod tests;
pub mod texts;
pub mod verdict;
pub mod window;

pub(crate) use advice::{MINIMUM, growth};
#[doc(hidden)]
pub use assemble::address;
pub(crate) use assemble::state_name;
pub(crate) use blame::{Subflow, blame_subflows};
pub(crate) use blocked::{held_up_since, may_wait_unseen};
pub use verdict::Verdict;

/// What the account itself does not hold.
#[derive(Clone, Copy, Debug)]
pub struct VerdictContext<'a> {
    /// `uname -r`.
    pub kernel: &'a str,
    /// `CLOCK_MONOTONIC` when the account was read, in ns.
    pub now_ns: u64,
    /// `CLOCK_REALTIME` then, in ns since 1970-01-01 UTC; 0: not known.
    pub wall_ns: u64,
    /// Speak of the last instant instead of the worst.
    pub at_end: bool,
    /// Program runs that the kernel skipped (`recursion_misses`).
    pub skipped_runs: u64,
    /// `net.core.wmem_max`, in bytes.
    pub wmem_max: Option<u32>,
    /// `net.ipv4.tcp_notsent_lowat` of the socket's network namespace, in
    /// bytes.
    pub notsent_lowat_sysctl: Option<u32>,
    /// Replay of the records gives the kernel's account; None: not compared,
    /// or records were lost.
    pub stream_agrees: Option<bool>,
    /// Where the account comes from.
    pub source: Source<'a>,
}

/// Where an account comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// The programs in the kernel kept it: it is exact.
    Kernel,
    /// Replayed from records.
    Records {
        /// What of the socket's history is missing for that, in a sentence.
        missing: Option<&'a str>,
    },
}

impl VerdictContext<'_> {
    /// The wall clock at an instant of `CLOCK_MONOTONIC`, in ns since
    /// 1970-01-01 UTC; None where it is not known.
    fn wall_at(&self, ns: u64) -> Option<u64> {
        let then = self.wall_ns.wrapping_add(ns).wrapping_sub(self.now_ns);
        (self.wall_ns != 0).then_some(then)
    }
}

impl Verdict {
    /// Judges `account`.
    #[must_use]
    pub fn of(account: &Account, setting: &VerdictContext<'_>) -> Self {
        assemble::verdict(account, setting)
    }
}
