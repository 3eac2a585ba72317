//! CPU time. Under `qemu -icount`, a count of instructions.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Of the calling thread, its time in the kernel included, in ns.
pub fn this_thread() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Of another process and all of its threads, in ns; 0 where the kernel does
/// not say.
pub fn of_process(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    let cpu = |dir: fs::DirEntry| {
        let text = fs::read_to_string(dir.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    threads.flatten().filter_map(cpu).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time() {
        let before = this_thread();
        let mut n = 1_u64;
        for k in 0..100_000 {
            n = std::hint::black_box(n.wrapping_mul(k | 1));
        }
        assert!(this_thread() > before);
    }
}
