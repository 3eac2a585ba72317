//! What the programs count: records made and lost, and runs that the kernel
//! skipped.

use std::os::fd::{AsFd, AsRawFd};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_prog_info};
use skmem_common::hook::{HOOKS, Hook};

/// Mirror of the programs' per-CPU counters.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CpuCounters {
    /// Records made, by hook.
    pub produced: [u64; HOOKS],
    /// Records that found the ring full, by hook.
    pub lost: [u64; HOOKS],
    /// Bytes since the last wake-up.
    pub pending: u64,
    /// Sockets that matched but found no free slot.
    pub no_slot: u64,
    /// Older sockets within their limit that walks left out.
    pub left_out: u64,
}

// SAFETY: repr(C) and nothing but u64.
unsafe impl aya::Pod for CpuCounters {}

/// The counters of all CPUs together.
#[derive(Debug, Clone)]
pub struct Totals {
    /// Records made, by hook.
    pub produced: [u64; HOOKS],
    /// Records that found the ring full, by hook.
    pub lost: [u64; HOOKS],
    /// Sockets that matched but found no free slot.
    pub no_slot: u64,
    /// Sockets older than the trace that hold something within their limit, and
    /// were left out for that: the sum over all walks.
    pub left_out: u64,
}

impl Totals {
    /// Adds up.
    #[must_use]
    pub fn of(cpus: &[CpuCounters]) -> Self {
        let mut sum = Self {
            produced: [0; HOOKS],
            lost: [0; HOOKS],
            no_slot: 0,
            left_out: 0,
        };
        for cpu in cpus {
            for n in 0..HOOKS {
                sum.produced[n] += cpu.produced[n];
                sum.lost[n] += cpu.lost[n];
            }
            sum.no_slot += cpu.no_slot;
            sum.left_out += cpu.left_out;
        }
        sum
    }

    /// Records made, of all hooks.
    #[must_use]
    pub fn all_produced(&self) -> u64 {
        self.produced.iter().sum()
    }

    /// Records lost, of all hooks.
    #[must_use]
    pub fn all_lost(&self) -> u64 {
        self.lost.iter().sum()
    }

    /// Hooks with lost records.
    pub fn lossy(&self) -> impl Iterator<Item = (Hook, u64)> + '_ {
        Hook::ALL
            .iter()
            .map(|h| (*h, self.lost[*h as usize]))
            .filter(|(_, n)| *n > 0)
    }
}

/// What the kernel counts of a program.
#[derive(Debug, Clone, Copy, Default)]
pub struct Runs {
    /// Runs skipped because the same program was at work on that CPU
    /// (`recursion_misses` of `bpf_prog_info`, 5.12 on; 0 before).
    pub skipped: u64,
    /// Runs, while statistics are on.
    pub count: u64,
    /// Their time, in ns.
    pub time_ns: u64,
}

/// What the kernel has counted of `program`; zeroes where it does not say.
pub fn runs(program: impl AsFd) -> Runs {
    // SAFETY: both structs are plain numbers, for which 0 is a value.
    let (mut info, mut attr): (bpf_prog_info, bpf_attr) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    attr.info.bpf_fd = program.as_fd().as_raw_fd() as u32;
    attr.info.info_len = size_of::<bpf_prog_info>() as u32;
    attr.info.info = (&raw mut info).addr() as u64;
    // SAFETY: the kernel writes at most info_len bytes to `info`, which
    // outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_OBJ_GET_INFO_BY_FD as libc::c_long,
            &raw mut attr,
            size_of::<bpf_attr>(),
        )
    };
    if result != 0 {
        return Runs::default();
    }
    Runs {
        skipped: info.recursion_misses,
        count: info.run_cnt,
        time_ns: info.run_time_ns,
    }
}
