//! What `skmem snapshot` costs beside `ss`, at 1,000, 10,000 and 100,000 sockets, in the same run;
//! and `skmem top` at a look a second, as any user.
//!
//! `cargo bench --bench snapshot [-- N… --quick PROGRAM…]`, as root: the sockets are loopback pairs
//! in a network namespace of their own. The commands take turns, several times, with their output
//! thrown away; the table has each one's fastest run. Below it: those that look at the same things,
//! side by side.
//!
//! With `--quick` two runs of those that say who holds what, or would, and no `top`: in a VM whose
//! clock counts instructions (`cargo xtask vm --icount`) a run is as good as five. In a pid
//! namespace of its own skmem takes owners from `/proc`.
//!
//! PROGRAM is another build of skmem, whose commands take their turns, too. One that it does not
//! have is left out.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    process::{Resource, getrlimit, setrlimit},
    thread::{UnshareFlags, unshare_unsafe},
};

#[expect(clippy::unwrap_used, reason = "as in tests")]
#[path = "../tests/support/terminal.rs"]
mod terminal;

/// How long `top` is looked at.
const WATCHED: Duration = Duration::from_secs(20);
/// Its first looks read who holds what, and do not count.
const BEGINS: Duration = Duration::from_secs(3);
/// `nobody`.
const ANY_USER: u32 = 65_534;

/// Pairs on one listener: a client's ports are as many at most.
const PAIRS: usize = 20_000;
/// Runs of each command.
const RUNS: usize = 5;
/// What is compared. Each lists every TCP socket.
const COMMANDS: [(&str, &[&str]); 9] = [
    ("ss", &["-tam"]),
    ("ss", &["-tami"]),
    ("ss", &["-tamp"]),
    ("skmem", &["snapshot"]),
    ("skmem", &["snapshot", "--no-owners"]),
    ("skmem", &["snapshot", "--no-owners", "-n0"]),
    ("skmem", &["snapshot", "--json"]),
    ("skmem", &["snapshot", "--csv"]),
    ("unshare", &["-p", "-f", "skmem", "snapshot"]),
];
/// Those that `--quick` runs.
const QUICK: [usize; 5] = [0, 2, 3, 4, 8];

/// Which of them do the same work: ours, theirs, and what that is.
const SIDE_BY_SIDE: [(usize, usize, &str); 5] = [
    (4, 0, "memory of all sockets"),
    (
        5,
        1,
        "the same with unsent and in flight, each socket printed",
    ),
    (3, 2, "memory and owners of all sockets"),
    (3, 0, "not the same: ss looks for no owners"),
    (8, 0, "the same, with owners from /proc"),
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
    let quick = words.iter().any(|word| word == "--quick");
    // cargo bench adds --bench.
    let others = words[1..].iter().filter(|word| {
        let number = word.parse::<usize>().is_ok();
        !number && !word.starts_with("--")
    });
    let builds: Vec<&str> = [built()]
        .into_iter()
        .chain(others.map(String::as_str))
        .collect();
    let runs = if quick { 2 } else { RUNS };
    let is_run = |at: &usize| !quick || QUICK.contains(at);
    // ss runs once.
    let is_of = |build: usize, at: usize| build == 0 || COMMANDS[at].0 != "ss";
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
        let mut best: Vec<[Option<Cost>; COMMANDS.len()]> = vec![Default::default(); builds.len()];
        for _ in 0..runs {
            for at in (0..COMMANDS.len()).filter(is_run) {
                for (build, skmem) in builds.iter().enumerate() {
                    if !is_of(build, at) {
                        continue;
                    }
                    let best = &mut best[build][at];
                    match run(&words_of(at, skmem)) {
                        Ok(cost) if best.is_none_or(|best| cost.time < best.time) => {
                            *best = Some(cost);
                        }
                        Ok(_) => {}
                        Err(error) if build > 0 => eprintln!("{error:#}"),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        for at in 0..COMMANDS.len() {
            for (build, best) in best.iter().enumerate() {
                let Some(cost) = best[at] else { continue };
                let skmem = if build == 0 { "skmem" } else { builds[build] };
                println!(
                    "{size:>8}  {:<32} {:>6.1} ms {:>6.1} ms {:>6.1} MB",
                    words_of(at, skmem).join(" "),
                    cost.time.as_secs_f64() * 1e3,
                    cost.cpu.as_secs_f64() * 1e3,
                    cost.peak_bytes as f64 / 1e6
                );
            }
        }
        for (ours, theirs, what) in SIDE_BY_SIDE {
            let (Some(ours), Some(theirs)) = (best[0][ours], best[0][theirs]) else {
                continue;
            };
            println!(
                "{size:>8}  skmem : ss = {:.2} in time, {:.2} in CPU time ({what})",
                ours.time.as_secs_f64() / theirs.time.as_secs_f64(),
                ours.cpu.as_secs_f64() / theirs.cpu.as_secs_f64()
            );
        }
        if !quick {
            let (user, kernel) = top()?;
            println!(
                "{size:>8}  skmem top, a look a second, as any user: {:.1} % of a CPU ({user:.1} in user mode, {kernel:.1} in the kernel)",
                user + kernel
            );
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// What `skmem top` takes on a terminal, in percent of a CPU: in user mode, in the kernel.
fn top() -> Result<(f64, f64)> {
    let (mut ours, theirs) = terminal::terminal(160, 50);
    let mut command = Command::new(built());
    command
        .args(["top", "--no-causes"])
        .env("TERM", "xterm-256color")
        .uid(ANY_USER)
        .gid(ANY_USER)
        .stdin(theirs.try_clone()?)
        .stderr(theirs.try_clone()?)
        .stdout(theirs);
    let mut child = command.spawn().context("cannot run skmem top")?;
    // Its ends of the terminal, which are ours, too.
    drop(command);
    // It would wait for room.
    let screen = thread::spawn(move || -> std::io::Result<u64> {
        std::io::copy(&mut ours, &mut std::io::sink())
    });
    thread::sleep(BEGINS);
    let before = ticks(child.id())?;
    let begun = Instant::now();
    thread::sleep(WATCHED);
    let after = ticks(child.id())?;
    let seconds = begun.elapsed().as_secs_f64();
    child.kill()?;
    child.wait()?;
    let _ = screen.join();
    let a_second = rustix::param::clock_ticks_per_second() as f64;
    let percent = |ticks: u64| ticks as f64 / a_second / seconds * 100.0;
    Ok((percent(after.0 - before.0), percent(after.1 - before.1)))
}

/// `utime` and `stime` of `/proc/PID/stat`.
fn ticks(pid: u32) -> Result<(u64, u64)> {
    let mut stat = String::new();
    File::open(format!("/proc/{pid}/stat"))
        .context("skmem top has ended")?
        .read_to_string(&mut stat)?;
    // The command's name may hold spaces.
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().context("cut")?.parse()?) };
    Ok((next()?, next()?))
}

/// The skmem that was built with this program; in a VM the one on the PATH.
fn built() -> &'static str {
    let path = env!("CARGO_BIN_EXE_skmem");
    if Path::new(path).exists() {
        path
    } else {
        "skmem"
    }
}

#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    cpu: Duration,
    peak_bytes: u64,
}

/// A command's words, with this skmem.
fn words_of(at: usize, skmem: &str) -> Vec<&str> {
    let (program, arguments) = COMMANDS[at];
    let words = [program].into_iter().chain(arguments.iter().copied());
    words
        .map(|word| if word == "skmem" { skmem } else { word })
        .collect()
}

/// Runs a command once.
fn run(words: &[&str]) -> Result<Cost> {
    let begun = Instant::now();
    let child = Command::new(words[0])
        .args(&words[1..])
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", words[0]))?;
    let pid = i32::try_from(child.id())?;
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both point to room for what is written; the child is ours and waited for here only.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    let time = begun.elapsed();
    ensure!(waited == pid && status == 0, "`{}` failed", words.join(" "));
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
