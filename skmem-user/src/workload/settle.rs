//! When is a scenario at rest?
//!
//! At rest means: every writer is done or asleep inside its system call (`sk_stream_wait_memory`), and
//! the send memory of every socket reads the same for long enough that the timers which may still move it
//! have had their turn: TCP's first zero-window probe or loss probe comes after at least 200 ms
//! (`TCP_RTO_MIN`). Time alone proves nothing where a hypervisor lets a CPU wait: its softirqs and timers are
//! late by as much, so every CPU has to run between two readings that are to count. Later probes and retransmissions come at doubled distances and may still move a few
//! bytes; a reading is dated so that it can be compared with what was traced up to then.

use std::{
    mem,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{proto::Reason, sender::Sender, writer::Writer};
use crate::diag::{MemInfo, Queues};

/// How long nothing may move.
const HOLD: Duration = Duration::from_millis(450);
/// Pause between two readings.
const EVERY: Duration = Duration::from_millis(20);

/// Waits until `writers` and `senders` are at rest. The watchdog bounds the wait.
pub(crate) fn settle(senders: &[Sender], writers: &mut [Writer]) -> Result<Reason> {
    settle_when(senders, writers, |_| true)
}

/// As [`settle`], for a scenario whose rest is an empty queue: everything sent and acknowledged.
pub(crate) fn settle_empty(senders: &[Sender], writers: &mut [Writer]) -> Result<Reason> {
    settle_when(senders, writers, |queues| queues.outq == 0)
}

fn settle_when(
    senders: &[Sender],
    writers: &mut [Writer],
    fits: impl Fn(&Queues) -> bool,
) -> Result<Reason> {
    let mut last = None;
    let mut since = Instant::now();
    loop {
        let began = Instant::now();
        let mut blocked = false;
        let mut resting = true;
        for writer in writers.iter_mut() {
            writer.check()?;
            blocked |= !writer.is_finished();
            resting &= writer.is_finished() || writer.is_asleep();
        }
        let now = senders.iter().map(sample).collect::<Result<Vec<_>>>()?;
        resting &= now.iter().all(|(_, queues)| fits(queues));
        if !resting || last.as_ref() != Some(&now) {
            since = Instant::now();
            last = Some(now);
        } else if since.elapsed() >= HOLD {
            return Ok(if blocked {
                Reason::Blocked
            } else {
                Reason::Done
            });
        }
        if resting {
            run_on_every_cpu();
        }
        // With thousands of sockets the reading itself takes long: leave them at least half of the time.
        thread::sleep(EVERY.max(began.elapsed()));
    }
}

/// What must stand still. Neither question takes the socket lock, so asking moves nothing.
fn sample(sender: &Sender) -> Result<(MemInfo, Queues)> {
    let fd = sender.socket.as_fd();
    Ok((MemInfo::read(fd)?, Queues::read(fd)?))
}

/// Moves this thread to each CPU that it may use, one after the other: interrupts that wait there come first.
fn run_on_every_cpu() {
    // SAFETY: a set of CPUs is plain numbers; all zero is the empty set.
    let mut allowed: libc::cpu_set_t = unsafe { mem::zeroed() };
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: `allowed` is a live set of that size.
    if unsafe { libc::sched_getaffinity(0, size, &raw mut allowed) } != 0 {
        return;
    }
    for cpu in 0..libc::CPU_SETSIZE as usize {
        // SAFETY: `cpu` lies within the set.
        if !unsafe { libc::CPU_ISSET(cpu, &allowed) } {
            continue;
        }
        // SAFETY: as for `allowed`.
        let mut one: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: as above. A CPU that went away refuses, and has nothing left to do.
        unsafe {
            libc::CPU_SET(cpu, &mut one);
            libc::sched_setaffinity(0, size, &raw const one);
        }
    }
    // SAFETY: `allowed` is a live set of that size, and was in force before.
    unsafe { libc::sched_setaffinity(0, size, &raw const allowed) };
}
