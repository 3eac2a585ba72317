//! When is a scenario at rest?
//!
//! At rest means: every writer is done or asleep inside its system call (`sk_stream_wait_memory`),
//! and the send memory of every socket reads the same for long enough that the timers which may
//! still move it have had their turn. Time alone proves nothing where a hypervisor lets a CPU wait:
//! its softirqs and timers are late by as much, so every CPU has to run before a reading that is to
//! count; and a CPU that stood still makes TCP wait longer (the retransmission timeout goes by what
//! round trips took), so the first zero-window probe, which moves what the window has left, is
//! waited for by itself. Later probes and retransmissions come at doubled distances and may
//! still move a few bytes; a reading is dated so that it can be compared with what was traced up to
//! then.

use std::{
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{protocol::Reason, sender::Sender, writer::Writer};
use crate::diag::{MemInfo, Queues, TcpInfo};

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
    let mut resting = false;
    loop {
        let began = Instant::now();
        if resting {
            run_on_every_cpu();
        }
        let mut blocked = false;
        resting = true;
        for writer in writers.iter_mut() {
            writer.check()?;
            blocked |= !writer.is_finished();
            resting &= writer.is_finished() || writer.is_asleep();
        }
        let now = senders.iter().map(sample).collect::<Result<Vec<_>>>()?;
        resting &= now.iter().all(|(_, queues)| fits(queues)) && !senders.iter().any(awaits_probe);
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
        // With thousands of sockets the reading itself takes long: leave them at least half of the
        // time.
        thread::sleep(EVERY.max(began.elapsed()));
    }
}

/// What must stand still. Neither question takes the socket lock, so asking moves nothing.
fn sample(sender: &Sender) -> Result<(MemInfo, Queues)> {
    let fd = sender.socket.as_fd();
    Ok((MemInfo::read(fd)?, Queues::read(fd)?))
}

/// Whether its first zero-window probe is still to come. (An MPTCP socket does not tell.)
fn awaits_probe(sender: &Sender) -> bool {
    TcpInfo::read(sender.socket.as_fd()).is_ok_and(|info| info.awaits_probe())
}

/// Moves this thread to each CPU that it may use, one after the other: interrupts that wait there
/// come first.
fn run_on_every_cpu() {
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)) {
        let mut one = CpuSet::new();
        one.set(cpu);
        // A CPU that went away refuses, and has nothing left to do.
        let _ = sched_setaffinity(None, &one);
    }
    // It was in force before.
    let _ = sched_setaffinity(None, &allowed);
}
