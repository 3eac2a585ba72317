//! Senders that are held up, as an application sees it: asleep in `send()` since before skmem, or turned away and
//! waiting in `poll()`. Compared with what their own calls returned, and with `poll()`.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::Command,
    thread::{self, JoinHandle},
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use skmem::{
    diag::MemInfo,
    explain::verdict::{SinceIs, Withheld},
    kernel::tracer::Options,
};
use socket2::SockRef;

use crate::{
    bench::{self, Bench},
    binary::{contract, ended, objects},
    case::SKMEM,
    check::Check,
    process::{status, wait_for},
    verdict,
};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("held::asleep-since-before", asleep_since_before),
        Trial::test("held::black-box-of-a-sleeper", black_box),
        Trial::test("held::in-poll", in_poll),
    ]
}

/// A connection whose receiver does not read yet.
struct Pair {
    sender: TcpStream,
    receiver: TcpStream,
    port: u16,
}

impl Pair {
    fn connect(sndbuf: usize) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let sender = TcpStream::connect(("127.0.0.1", port))?;
        SockRef::from(&sender).set_send_buffer_size(sndbuf)?;
        let (receiver, _) = listener.accept()?;
        Ok(Self {
            sender,
            receiver,
            port,
        })
    }

    /// Raises the limit over what is queued, but not so far that the kernel would wake a sender.
    fn raise_the_limit(&self) -> Result<(), Failed> {
        let queued = MemInfo::read(self.sender.as_fd())?.wmem_queued as usize;
        SockRef::from(&self.sender).set_send_buffer_size(queued * 5 / 8)?;
        let now = MemInfo::read(self.sender.as_fd())?;
        let (w, limit) = (now.wmem_queued, now.sndbuf);
        if w < limit && limit - w < w / 2 {
            return Ok(());
        }
        Err(format!("w {w} of {limit} is not what this trial is about").into())
    }
}

/// A thread asleep in `write()`, whose queue is below the limit, but not as far as wakes it.
struct Sleeper {
    pair: Pair,
    writer: JoinHandle<()>,
}

impl Sleeper {
    fn fall_asleep() -> Result<Self, Failed> {
        let pair = Pair::connect(4096)?;
        let mut sender = pair.sender.try_clone()?;
        let (tell, told) = std::sync::mpsc::channel();
        let writer = thread::spawn(move || {
            // SAFETY: gettid takes nothing.
            let _ = tell.send(unsafe { libc::gettid() });
            // Until the other end is closed.
            while sender.write_all(&[b'q'; 1024]).is_ok() {}
        });
        let tid = told.recv()?;
        let own = format!("{}/task/{tid}", std::process::id());
        let mut last = String::new();
        let asleep = wait_for(|| {
            thread::sleep(Duration::from_millis(200));
            let now = status(&own)
                .get("voluntary_ctxt_switches")
                .cloned()
                .unwrap_or_default();
            let still = status(&own)
                .get("State")
                .is_some_and(|s| s.starts_with('S'));
            still && std::mem::replace(&mut last, now.clone()) == now
        });
        if !asleep {
            return Err("the writer does not fall asleep".into());
        }
        let stack = fs::read_to_string(format!("/proc/{own}/stack"))?;
        if !stack.contains("sk_stream_wait_memory") {
            return Err(format!("the writer sleeps elsewhere: {stack}").into());
        }
        pair.raise_the_limit()?;
        Ok(Self { pair, writer })
    }

    fn wake_up(self) -> Result<(), Failed> {
        drop(self.pair);
        self.writer.join().map_err(|_| "the writer panicked".into())
    }
}

/// Without a filter it is found, waited for, and shown, though it is within its limit.
fn asleep_since_before() -> Result<(), Failed> {
    let mut check = Check::default();
    let sleeper = Sleeper::fall_asleep()?;
    let output = Command::new(SKMEM)
        .args(["explain", "--until-blocked", "--json"])
        .output()?;
    ended(&mut check, "skmem explain --until-blocked", &output, 0);
    let all = objects(&mut check, &output);
    let ours = all
        .iter()
        .find(|v| v["socket"]["dport"] == sleeper.pair.port);
    match ours {
        None => check.fails(format!("the sleeper's socket is not shown: {all:?}")),
        Some(v) => {
            contract(&mut check, v);
            let mem = MemInfo::read(sleeper.pair.sender.as_fd())?;
            let now = &v["blocked"]["now"];
            check.equal("over its limit", &v["over_limit"], &Value::from(false));
            check.equal("asleep", &now["asleep"], &Value::from(true));
            check.equal("since", &now["since_is"], &Value::from("at-least"));
            check.equal("withheld", &now["withheld"], &Value::from("wake-up"));
            check.equal("on", &v["blocked"]["on"], &Value::from("limit"));
            check.equal("w", &now["wmem_queued"], &Value::from(mem.wmem_queued));
            check.equal("sndbuf", &now["sndbuf"], &Value::from(mem.sndbuf));
            check.that(now["for_ns"].as_u64() >= Some(500_000_000), || {
                format!("held up for {}", now["for_ns"])
            });
        }
    }
    sleeper.wake_up()?;
    check.done()
}

/// The black box is written for it, too.
fn black_box() -> Result<(), Failed> {
    let mut check = Check::default();
    let sleeper = Sleeper::fall_asleep()?;
    let room = tempfile::tempdir()?;
    let file = room.path().join("box.skm");
    let port = sleeper.pair.port.to_string();
    let output = Command::new(SKMEM)
        .args(["record", "--flight", "5s", "--when", "blocked>100ms"])
        .args(["--dport", &port, "-o"])
        .arg(&file)
        .output()?;
    ended(&mut check, "skmem record --flight --when", &output, 0);
    let output = Command::new(SKMEM)
        .args(["report", "--all", "--json"])
        .arg(&file)
        .output()?;
    ended(&mut check, "skmem report", &output, 0);
    let all = objects(&mut check, &output);
    check.equal("sockets in the black box", all.len(), 1);
    for v in &all {
        check.equal("asleep", &v["blocked"]["asleep"], &Value::from(1));
    }
    sleeper.wake_up()?;
    check.done()
}

/// `EAGAIN`s and short writes are those that the application got, and what is withheld is what `poll()` says.
fn in_poll() -> Result<(), Failed> {
    let mut check = Check::default();
    let mut bench = Bench::start(Options {
        pids: vec![std::process::id()],
        filter: skmem_common::filter::Filter {
            flags: skmem_common::filter::BY_PID,
            ..Default::default()
        },
        ..Options::default()
    })
    .map_err(bench::failed)?;
    let mut pair = Pair::connect(4096)?;
    pair.sender.set_nonblocking(true)?;
    let (mut refusals, mut short, mut taken) = (0, 0, 0);
    let payload = vec![b'p'; 300_000];
    let mut in_a_row = 0;
    while in_a_row < 3 {
        match pair.sender.write(&payload) {
            Ok(n) => {
                taken += n as i64;
                short += u64::from(n < payload.len());
                in_a_row = 0;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                refusals += 1;
                in_a_row += 1;
                // What is queued may go on to the receiver's queue.
                thread::sleep(Duration::from_millis(100));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let pids = [std::process::id()];
    let mut judged = |bench: &mut Bench| {
        bench.walk(&pids).map_err(bench::failed)?;
        let accounts = bench.accounts();
        let ours = accounts
            .iter()
            .find(|account| account.ident.dport == pair.port)
            .ok_or("the sender has no account")?;
        Ok::<_, Failed>(verdict::of(ours, true))
    };
    let v = judged(&mut bench)?;
    let blocked = v.blocked.ok_or("blocked: never")?;
    check.equal("EAGAINs", blocked.refusals, refusals);
    check.equal("short writes", blocked.short_writes, short);
    check.equal("bytes taken", v.taken, taken);
    let now = blocked.now.ok_or("not held up now")?;
    check.equal(
        "asleep, since",
        (now.asleep, now.since_is),
        (false, SinceIs::Exact),
    );
    check.equal("withheld", now.withheld, Some(Withheld::Send));
    check.equal("POLLOUT of a full queue", writable(&pair.sender)?, false);

    pair.raise_the_limit()?;
    let now = judged(&mut bench)?.blocked.and_then(|b| b.now);
    check.equal(
        "withheld below the limit",
        now.and_then(|now| now.withheld),
        Some(Withheld::WakeUp),
    );
    check.equal("POLLOUT below the limit", writable(&pair.sender)?, false);

    let mut left = taken as usize;
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        left -= pair.receiver.read(&mut buffer)?;
    }
    let empty = || MemInfo::read(pair.sender.as_fd()).is_ok_and(|m| m.wmem_queued == 0);
    check.that(wait_for(empty), || "the queue does not drain".into());
    check.equal("POLLOUT of an empty queue", writable(&pair.sender)?, true);
    let now = judged(&mut bench)?.blocked.and_then(|b| b.now);
    check.equal("held up with an empty queue", now, None);
    check.done()
}

/// What `poll()` says.
fn writable(socket: &TcpStream) -> io::Result<bool> {
    let mut fds = [PollFd::new(socket, PollFlags::OUT)];
    poll(&mut fds, Some(&Timespec::default()))?;
    Ok(fds[0].revents().contains(PollFlags::OUT))
}
