//! Threads that sleep in a send call, and on which socket: for sleeps that began before anything
//! was traced.
//!
//! `/proc/PID/task/TID/syscall` has the number and the arguments of the system call that a thread
//! sleeps in, the descriptor among them. A send call sleeps interruptibly in
//! `sk_stream_wait_memory` (or, before the connection is there, in `sk_stream_wait_connect`); its
//! other waits, for the socket's lock or a page, are not interruptible. Where `/proc/PID/task/TID/
//! stack` can be read, it says which.
//!
//! A worker of `io_uring` (`iou-wrk-…`, a thread of the process that has the ring) is in no system
//! call. That it sleeps in a send its stack says, and where it may be on one socket only, on which.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
};

use super::owners::Owners;

/// A thread asleep in a send call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sleeper {
    /// The thread, as `/proc` numbers it.
    pub tid: u32,
    /// Inode of the socket that it sends on, the low half.
    pub inode: u32,
    /// `/proc/PID/task/TID`.
    task: PathBuf,
    /// What its `syscall` said; None: a worker of `io_uring`, which is in none.
    call: Option<String>,
}

impl Sleeper {
    /// Whether it still sleeps in that call; true where `/proc` may not be read any more.
    #[must_use]
    pub fn still_sleeps(&self) -> bool {
        let still = match &self.call {
            Some(call) => fs::read_to_string(self.task.join("syscall")).map(|now| now == *call),
            None => fs::read_to_string(self.task.join("stack")).map(|now| now.contains(WAITS)),
        };
        still.unwrap_or_else(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// Where all of them sleep.
const WAITS: &str = "sk_stream_wait_memory";

/// The threads that sleep in a send call on one of these sockets.
#[must_use]
pub fn on(inodes: &HashSet<u32>) -> Vec<Sleeper> {
    if inodes.is_empty() {
        return Vec::new();
    }
    let owners = Owners::read().unwrap_or_default();
    let mut held: HashMap<u32, HashSet<u32>> = HashMap::new();
    for inode in inodes {
        for holder in owners.of(*inode) {
            held.entry(holder.pid).or_default().insert(*inode);
        }
    }
    held.iter()
        .flat_map(|(pid, held)| of_process(*pid, held))
        .collect()
}

/// The threads of a process that sleep on one of these sockets, which it holds.
fn of_process(pid: u32, held: &HashSet<u32>) -> Vec<Sleeper> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let tasks: Vec<DirEntry> = tasks.flatten().collect();
    let in_calls = tasks.iter().filter_map(asleep);
    let mut found: Vec<Sleeper> = in_calls
        .filter(|sleeper| held.contains(&sleeper.inode))
        .collect();
    // A worker's stack does not name the socket.
    let left = held
        .iter()
        .filter(|inode| found.iter().all(|sleeper| sleeper.inode != **inode));
    if let [inode] = left.copied().collect::<Vec<_>>()[..] {
        found.extend(tasks.iter().filter_map(|task| worker_asleep(task, inode)));
    }
    found
}

fn asleep(task: &DirEntry) -> Option<Sleeper> {
    let tid = task.file_name().to_str()?.parse().ok()?;
    let task = task.path();
    let call = fs::read_to_string(task.join("syscall")).ok()?;
    let fd = sends_on(&call)?;
    if !is_interruptible(&task) || !waits_for_memory(&task) {
        return None;
    }
    let link = fs::read_link(task.join(format!("fd/{fd}"))).ok()?;
    let inode: u64 = link
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()?;
    Some(Sleeper {
        tid,
        // sock_diag reports the low half.
        inode: inode as u32,
        task,
        call: Some(call),
    })
}

/// A worker of `io_uring` (`io_wq_worker`) that sleeps in a send.
fn worker_asleep(task: &DirEntry, inode: u32) -> Option<Sleeper> {
    let tid = task.file_name().to_str()?.parse().ok()?;
    let task = task.path();
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let stack = fs::read_to_string(task.join("stack")).ok()?;
    (name.starts_with("iou-wrk-") && stack.contains(WAITS)).then_some(Sleeper {
        tid,
        inode,
        task,
        call: None,
    })
}

/// The descriptor that a send call sends on: `syscall` is `NUMBER 0xARG0 0xARG1 …`, or a word where
/// the thread is in none.
fn sends_on(syscall: &str) -> Option<i32> {
    let mut words = syscall.split_whitespace();
    let number: libc::c_long = words.next()?.parse().ok()?;
    let mut argument = |n| {
        let text: &str = words.nth(n)?;
        let value = u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
        Some(value as i32)
    };
    match number {
        libc::SYS_write
        | libc::SYS_writev
        | libc::SYS_pwritev2
        | libc::SYS_sendto
        | libc::SYS_sendmsg
        | libc::SYS_sendmmsg
        // sendfile(out_fd, in_fd, …)
        | libc::SYS_sendfile => argument(0),
        // splice(fd_in, off_in, fd_out, …)
        libc::SYS_splice => argument(2),
        _ => None,
    }
}

/// State `S` in `stat`: `TID (COMM) S …`; COMM may hold anything.
fn is_interruptible(task: &Path) -> bool {
    let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    after.starts_with('S')
}

/// Whether the stack says that it waits for send memory; where it cannot be read, that it does.
fn waits_for_memory(task: &Path) -> bool {
    match fs::read_to_string(task.join("stack")) {
        Ok(stack) if !stack.trim().is_empty() => stack.contains(WAITS),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd as _,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn calls_that_send() {
        let write = format!(
            "{} 0x7 0x7ffd 0x400 0x0 0x0 0x0 0x7f 0x7e\n",
            libc::SYS_write
        );
        assert_eq!(sends_on(&write), Some(7));
        let splice = format!("{} 0x3 0x0 0x9 0x0 0x0 0x0 0x7f 0x7e\n", libc::SYS_splice);
        assert_eq!(sends_on(&splice), Some(9));
        let read = format!("{} 0x7 0x0 0x0 0x0 0x0 0x0 0x7f 0x7e\n", libc::SYS_read);
        for other in ["running\n", "-1 0x7f 0x7e\n", "", &read] {
            assert_eq!(sends_on(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_thread_that_sleeps_in_write_is_found_and_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (receiver, _) = listener.accept().unwrap();
        let fd = format!("/proc/self/fd/{}", sender.as_raw_fd());
        let link = fs::read_link(fd).unwrap();
        let link = link.to_str().unwrap().to_owned();
        let inode: u64 = link["socket:[".len()..link.len() - 1].parse().unwrap();
        let inodes = HashSet::from([inode as u32]);
        let writer = std::thread::spawn(move || {
            let data = vec![0; 1 << 20];
            while (&sender).write_all(&data).is_ok() {}
        });
        let started = Instant::now();
        let found = loop {
            let found = on(&inodes);
            if !found.is_empty() || started.elapsed() > Duration::from_secs(60) {
                break found;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(found.len(), 1);
        assert!(found[0].still_sleeps());
        drop((receiver, listener));
        writer.join().unwrap();
        assert!(!found[0].still_sleeps());
    }
}
