//! Senders that sleep in `send()` since before skmem came.

use std::{
    fs,
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::Command,
    thread::{self, JoinHandle},
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use skmem::diag::MemInfo;
use socket2::SockRef;

use crate::{
    binary::{contract, ended, objects},
    case::SKMEM,
    check::Check,
    process::{status, wait_for},
};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("held::asleep-since-before", asleep_since_before),
        Trial::test("held::black-box-of-a-sleeper", black_box),
    ]
}

/// A connection whose receiver does not read yet.
struct Pair {
    sender: TcpStream,
    /// It never reads.
    _receiver: TcpStream,
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
            _receiver: receiver,
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
        let (tell, said) = std::sync::mpsc::channel();
        let writer = thread::spawn(move || {
            let _ = tell.send(rustix::thread::gettid().as_raw_pid());
            // Until the other end is closed.
            while sender.write_all(&[b'q'; 1024]).is_ok() {}
        });
        let tid = said.recv()?;
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
