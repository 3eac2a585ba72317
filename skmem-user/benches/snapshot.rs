//! What `skmem snapshot` costs beside `ss`, at 1,000, 10,000 and 100,000 sockets, in the same run.
//!
//! `cargo bench --bench snapshot [-- N…]`, as root: the sockets are loopback pairs in a network
//! namespace of their own. The commands take turns, several times, with their output thrown away;
//! the table has each one's fastest run. Below it: those that look at the same things, side by
//! side.

use std::{
    io::{Read as _, Write as _},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    process::{Resource, getrlimit, setrlimit},
    thread::{UnshareFlags, unshare_unsafe},
};

/// Pairs on one listener: a client's ports are as many at most.
const PAIRS: usize = 20_000;
/// Runs of each command.
const RUNS: usize = 5;
/// What is compared. Each lists every TCP socket.
const COMMANDS: [(&str, &[&str]); 8] = [
    ("ss", &["-tam"]),
    ("ss", &["-tami"]),
    ("ss", &["-tamp"]),
    ("skmem", &["snapshot"]),
    ("skmem", &["snapshot", "--no-owners"]),
    ("skmem", &["snapshot", "--no-owners", "-n0"]),
    ("skmem", &["snapshot", "--json"]),
    ("skmem", &["snapshot", "--csv"]),
];

/// Which of them do the same work: ours, theirs, and what that is.
const SIDE_BY_SIDE: [(usize, usize, &str); 4] = [
    (4, 0, "memory of all sockets"),
    (
        5,
        1,
        "the same with unsent and in flight, each socket printed",
    ),
    (3, 2, "memory and owners of all sockets"),
    (3, 0, "not the same: ss looks for no owners"),
];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    if let [_, hold, first, count] = &words[..]
        && hold == "hold"
    {
        return holder(first.parse()?, count.parse()?);
    }
    let mut sizes: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000];
    }
    // SAFETY: the calling thread leaves its network namespace and shares nothing else with it.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
        .context("cannot make a network namespace: run as root")?;
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    ensure!(
        up.is_ok_and(|status| status.success()),
        "cannot set lo up: is `ip` there?"
    );
    let mut sockets = Sockets::default();
    println!(
        "{:>8}  {:<32} {:>9} {:>9} {:>9}",
        "sockets", "command", "time", "CPU", "memory"
    );
    for size in sizes {
        sockets.grow(size)?;
        let mut best: [Option<Cost>; COMMANDS.len()] = [None; COMMANDS.len()];
        for _ in 0..RUNS {
            for (best, (program, arguments)) in best.iter_mut().zip(COMMANDS) {
                let cost = run(program, arguments)?;
                if best.is_none_or(|best| cost.time < best.time) {
                    *best = Some(cost);
                }
            }
        }
        for (cost, (program, arguments)) in best.iter().zip(COMMANDS) {
            let Some(cost) = cost else { continue };
            println!(
                "{size:>8}  {:<32} {:>6.1} ms {:>6.1} ms {:>6.1} MB",
                format!("{program} {}", arguments.join(" ")),
                cost.time.as_secs_f64() * 1e3,
                cost.cpu.as_secs_f64() * 1e3,
                cost.peak_bytes as f64 / 1e6
            );
        }
        for (ours, theirs, what) in SIDE_BY_SIDE {
            let (Some(ours), Some(theirs)) = (best[ours], best[theirs]) else {
                continue;
            };
            println!(
                "{size:>8}  skmem : ss = {:.2} in time, {:.2} in CPU time ({what})",
                ours.time.as_secs_f64() / theirs.time.as_secs_f64(),
                ours.cpu.as_secs_f64() / theirs.cpu.as_secs_f64()
            );
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    cpu: Duration,
    peak_bytes: u64,
}

/// Runs a command once.
fn run(program: &str, arguments: &[&str]) -> Result<Cost> {
    let path = match program {
        "skmem" => env!("CARGO_BIN_EXE_skmem"),
        other => other,
    };
    let begun = Instant::now();
    let child = Command::new(path)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let pid = i32::try_from(child.id())?;
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both point to room for what is written; the child is ours and waited for here only.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    let time = begun.elapsed();
    ensure!(
        waited == pid && status == 0,
        "{program} {arguments:?} failed"
    );
    // SAFETY: zeroes are a valid rusage, and wait4 has written one.
    let usage = unsafe { usage.assume_init() };
    let spent =
        |t: libc::timeval| Duration::from_micros(t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64);
    Ok(Cost {
        time,
        cpu: spent(usage.ru_utime) + spent(usage.ru_stime),
        peak_bytes: usage.ru_maxrss as u64 * 1024,
    })
}

/// Processes that hold connected pairs, each as many as it may have descriptors.
#[derive(Default)]
struct Sockets {
    holders: Vec<Child>,
    pairs: usize,
}

impl Sockets {
    fn grow(&mut self, sockets: usize) -> Result<()> {
        let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        // Some descriptors are no pairs' ends.
        let most = usize::try_from(limit)?.saturating_sub(100) / 2;
        ensure!(most > 0, "too few descriptors: see `ulimit -Hn`");
        while self.pairs * 2 < sockets {
            let count = (sockets / 2 - self.pairs).min(most).min(PAIRS);
            let first = self.holders.len();
            let mut child = Command::new(std::env::current_exe()?)
                .args(["hold", &first.to_string(), &count.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let mut ready = [0; 1];
            let out = child.stdout.as_mut().context("no pipe")?;
            out.read_exact(&mut ready)
                .context("a process that holds sockets failed")?;
            self.holders.push(child);
            self.pairs += count;
        }
        Ok(())
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            // Its standard input ends, and it with it.
            drop(holder.stdin.take());
            let _ = holder.wait();
        }
    }
}

/// Opens `count` pairs, on a listener of its own, says so, and holds them until its input ends.
/// Every tenth holds data that is not read.
fn holder(first: usize, count: usize) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let address: SocketAddr = ([127, 1, (first / 200) as u8, (first % 200) as u8 + 1], 5000).into();
    let listener = TcpListener::bind(address)?;
    let mut pairs = Vec::with_capacity(count);
    for at in 0..count {
        let client = TcpStream::connect(address).with_context(|| format!("at pair {at}"))?;
        let (server, _) = listener.accept()?;
        if at.is_multiple_of(10) {
            (&client).write_all(&[7; 3000])?;
        }
        pairs.push((client, server));
    }
    std::io::stdout().write_all(b".")?;
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(pairs);
    Ok(())
}
