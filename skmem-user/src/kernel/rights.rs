//! The rights of this process, and giving them up. What is kept, and for what, is in
//! `docs/threat-model.md`.
//!
//! Capabilities belong to threads: a thread gives them up before it starts others.

use std::io;

pub use rustix::thread::CapabilitySet as Rights;
use rustix::thread::{
    CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
};

/// What this thread may do.
///
/// # Errors
/// Where the kernel does not say.
pub fn held() -> io::Result<Rights> {
    Ok(capabilities(None)?.effective)
}

/// Whether this thread has the rights to load tracing programs.
#[must_use]
pub fn may_trace() -> bool {
    held().is_ok_and(|held| {
        held.contains(Rights::BPF | Rights::PERFMON) || held.contains(Rights::SYS_ADMIN)
    })
}

/// Gives up all rights but these, for good: no program that is run from here on has more either.
///
/// # Errors
/// Where the kernel refuses.
pub fn keep_only(keep: Rights) -> io::Result<()> {
    let held = capabilities(None)?;
    clear_ambient_capability_set()?;
    let keep = held.permitted & keep;
    let sets = CapabilitySets {
        effective: keep,
        permitted: keep,
        inheritable: Rights::empty(),
    };
    set_capabilities(None, sets)?;
    // Last: who sees NoNewPrivs in /proc/PID/status knows that the others are gone.
    Ok(set_no_new_privs(true)?)
}

/// Does something without these rights, and takes them again.
///
/// # Errors
/// Where the kernel refuses.
pub fn without<T>(rights: Rights, work: impl FnOnce() -> T) -> io::Result<T> {
    let held = capabilities(None)?;
    let fewer = CapabilitySets {
        effective: held.effective - rights,
        ..held
    };
    set_capabilities(None, fewer)?;
    let done = work();
    set_capabilities(None, held)?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_up_is_gone_and_belongs_to_a_thread() {
        let before = held().unwrap();
        let inside = std::thread::spawn(|| {
            let seen = without(Rights::all(), || held().unwrap()).unwrap();
            keep_only(Rights::KILL).unwrap();
            (seen, held().unwrap(), rustix::thread::no_new_privs())
        });
        let (seen, after, no_new) = inside.join().unwrap();
        assert_eq!(seen, Rights::empty());
        assert_eq!(after, before & Rights::KILL);
        assert_eq!(no_new, Ok(true));
        assert_eq!(held().unwrap(), before, "other threads keep theirs");
    }
}
