//! The programs, and who holds them up.

use std::{
    any::Any,
    collections::HashMap,
    env, fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use skmem::diag::{Protocol, TcpState, inet_diag};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::ring;
use crate::{process::wait_for, sender};

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its peer reads no more.
    HeldUp,
    /// Its peer reads slowly: the queue is full again and again.
    Refills,
}

/// How a program waits for room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// It sleeps in `send()`.
    Asleep,
    /// It was turned away, and waits in `epoll_wait()`.
    Refused,
    /// It asks `select()` before each write, and is never turned away.
    Selects,
}

/// A program that sends.
pub struct Program {
    pub name: &'static str,
    /// The server's port.
    pub port: u16,
    pub protocol: &'static str,
    /// Its name for `skmem explain -p`; None: its pid is given.
    pub comm: Option<&'static str>,
    /// How it waits for room.
    pub waits: Waits,
    /// What is in its account from birth.
    pub cause: &'static str,
    pub part: Part,
    start: fn(&Self) -> Result<Started, Missing>,
}

const IPERF3: Program = Program {
    name: "iperf3",
    port: 7601,
    protocol: "tcp",
    comm: Some("iperf3"),
    waits: Waits::Selects,
    cause: "tail-append",
    part: Part::HeldUp,
    start: |program| iperf3(program, &[]),
};

/// All of them.
pub const ALL: &[Program] = &[
    IPERF3,
    Program {
        name: "iperf3-mptcp",
        port: 7602,
        protocol: "mptcp",
        cause: "mptcp-data",
        start: |program| iperf3(program, &["mptcpize", "run"]),
        ..IPERF3
    },
    Program {
        name: "nginx",
        port: 7603,
        comm: Some("nginx"),
        waits: Waits::Refused,
        cause: "splice",
        start: nginx,
        ..IPERF3
    },
    Program {
        name: "redis",
        port: 7604,
        comm: Some("redis-server"),
        waits: Waits::Refused,
        cause: "first-fill",
        start: redis,
        ..IPERF3
    },
    // One write is less than the kernel wakes it for.
    Program {
        name: "socat",
        port: 7605,
        comm: Some("socat"),
        start: |program| socat(program, &[], "sndbuf=4096", &["-b", "1024"]),
        ..IPERF3
    },
    Program {
        name: "socat-large-writes",
        port: 7606,
        comm: Some("socat"),
        waits: Waits::Asleep,
        cause: "first-fill",
        start: |program| socat(program, &[], "sndbuf=65536", &["-b", "1000000"]),
        ..IPERF3
    },
    Program {
        name: "socat-mptcp",
        port: 7607,
        protocol: "mptcp",
        comm: Some("socat"),
        waits: Waits::Asleep,
        cause: "mptcp-data",
        start: |program| {
            socat(
                program,
                &["mptcpize", "run"],
                "sndbuf=65536",
                &["-b", "1000000"],
            )
        },
        ..IPERF3
    },
    Program {
        name: "socat-slow-reader",
        port: 7608,
        comm: Some("socat"),
        part: Part::Refills,
        waits: Waits::Asleep,
        start: |program| socat(program, &[], "sndbuf=4096", &["-b", "100000"]),
        ..IPERF3
    },
    Program {
        name: "io_uring-zero-copy",
        port: 7609,
        comm: None,
        waits: Waits::Refused,
        cause: "zerocopy-page-rounding",
        start: zerocopy,
        ..IPERF3
    },
    Program {
        name: "io_uring-worker",
        port: 7610,
        comm: None,
        waits: Waits::Asleep,
        cause: "splice",
        start: worker,
        ..IPERF3
    },
];

/// What runs while this is kept.
struct Started {
    pid: u32,
    _kept: Vec<Box<dyn Any>>,
}

/// Why a program is not played.
enum Missing {
    /// This machine cannot.
    Here(String),
    Failed(Failed),
}

impl<E: Into<Failed>> From<E> for Missing {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// All of them at work.
pub struct Stage(Vec<(&'static Program, Result<Started, String>)>);

/// Starts them, one after the other.
pub fn start() -> Result<Stage, Failed> {
    let mut all = Vec::new();
    for program in ALL {
        let started = match (program.start)(program) {
            Ok(started) => Ok(started),
            Err(Missing::Here(why)) => Err(why),
            Err(Missing::Failed(failed)) => {
                let why = failed.message().unwrap_or_default();
                return Err(format!("{}: {why}", program.name).into());
            }
        };
        all.push((program, started));
    }
    Ok(Stage(all))
}

impl Stage {
    /// Those that come to rest.
    pub fn still(&self) -> impl Iterator<Item = &'static Program> {
        let played = self
            .0
            .iter()
            .filter(|(program, started)| program.part == Part::HeldUp && started.is_ok());
        played.map(|(program, _)| *program)
    }

    /// Pids of those that are not asked for by name.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        let unnamed = self.0.iter().filter(|(program, _)| program.comm.is_none());
        unnamed.filter_map(|(_, started)| started.as_ref().ok().map(|started| started.pid))
    }

    /// Ends them.
    pub fn played(self) -> HashMap<&'static str, Result<u32, String>> {
        let pid = |started: Result<Started, String>| started.map(|started| started.pid);
        let all = self.0.into_iter();
        all.map(|(program, started)| (program.name, pid(started)))
            .collect()
    }
}

/// A process that is ended with this.
struct Running(Child);

impl Running {
    fn start(words: &[&str]) -> Result<Self, Missing> {
        let (first, rest) = words.split_first().ok_or("no command")?;
        if let Some(absent) = words
            .iter()
            .find(|word| PACKED.contains(word) && !is_there(word))
        {
            return Err(Missing::Here(format!("no {absent} in this guest")));
        }
        Self::spawn(Command::new(first).args(rest))
    }

    fn spawn(command: &mut Command) -> Result<Self, Missing> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(quiet.stderr(Stdio::null()).spawn()?))
    }

    fn signal(&self, signal: Signal) -> Result<(), Failed> {
        let pid = Pid::from_raw(self.0.id().cast_signed()).ok_or("no process")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// nginx, which ends its workers where it is asked to end.
struct Master(Running);

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.0.signal(Signal::TERM);
        let _ = self.0.0.wait();
    }
}

/// What `xtask` puts into the guest.
const PACKED: &[&str] = &["iperf3", "mptcpize", "nginx", "redis-server", "socat"];

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).exists())
}

/// Whether the kernel speaks the program's protocol.
fn speaks(program: &Program) -> Result<(), Missing> {
    if program.protocol == "mptcp" && !inet_diag::mptcp_is_known() {
        return Err(Missing::Here("this kernel has no MPTCP".into()));
    }
    Ok(())
}

/// Waits until such a TCP socket is there.
fn until(what: &str, is: impl Fn(&skmem::diag::DiagSocket) -> bool) -> Result<(), Failed> {
    let there = wait_for(|| {
        let mut found = false;
        let dumped = inet_diag::dump(Protocol::Tcp, inet_diag::EVERY_STATE, |socket| {
            found |= is(socket);
        });
        dumped.is_ok() && found
    });
    there
        .then_some(())
        .ok_or_else(|| format!("no {what}").into())
}

fn until_listens(port: u16) -> Result<(), Failed> {
    until("listener", |socket| {
        socket.state == TcpState::Listen && socket.sport == port
    })
}

/// A server that is stopped while its client sends to it.
fn iperf3(program: &Program, with: &[&str]) -> Result<Started, Missing> {
    speaks(program)?;
    let port = program.port.to_string();
    let command = |rest: &[&'static str]| {
        let words = with.iter().copied().chain(["iperf3", "-p", &port]);
        Running::start(&words.chain(rest.iter().copied()).collect::<Vec<_>>())
    };
    let server = command(&["-s"])?;
    until_listens(program.port)?;
    let client = command(&["-c", "127.0.0.1", "-t", "3600"])?;
    until("data that was sent", |socket| {
        let acked = socket.tcp.as_ref().and_then(|tcp| tcp.bytes_acked);
        socket.dport == program.port && acked > Some(1 << 20)
    })?;
    server.signal(Signal::STOP)?;
    Ok(Started {
        pid: client.0.id(),
        _kept: vec![Box::new(client), Box::new(server)],
    })
}

/// A large file that is asked for and not read.
fn nginx(program: &Program) -> Result<Started, Missing> {
    let room = TempDir::new()?;
    let at = |name: &str| room.path().join(name);
    fs::File::create(at("large"))?.set_len(64 << 20)?;
    let directory = room.path().display();
    fs::write(
        at("nginx.conf"),
        format!(
            "user root; worker_processes 1; pid {directory}/pid; error_log /dev/null;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; sendfile on; send_timeout 1h; root {directory};\n\
             client_body_temp_path {directory}/1; proxy_temp_path {directory}/2; fastcgi_temp_path {directory}/3;\n\
             uwsgi_temp_path {directory}/4; scgi_temp_path {directory}/5;\n\
             server {{ listen 127.0.0.1:{}; }} }}\n",
            program.port
        ),
    )?;
    let configured = at("nginx.conf");
    let configured = configured.to_string_lossy();
    let words = [
        "nginx",
        "-e",
        "/dev/null",
        "-c",
        &configured,
        "-g",
        "daemon off;",
    ];
    let master = Master(Running::start(&words)?);
    until_listens(program.port)?;
    let mut reader = TcpStream::connect(("127.0.0.1", program.port))?;
    reader.write_all(b"GET /large HTTP/1.0\r\n\r\n")?;
    let pid = master.0.0.id();
    let mut worker = None;
    wait_for(|| {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let first = children.unwrap_or_default();
        worker = first
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok());
        worker.is_some()
    });
    Ok(Started {
        pid: worker.ok_or("no worker")?,
        _kept: vec![Box::new(master), Box::new(reader), Box::new(room)],
    })
}

/// A subscriber that does not read what is published.
fn redis(program: &Program) -> Result<Started, Missing> {
    let room = TempDir::new()?;
    let (port, directory) = (program.port.to_string(), room.path().to_string_lossy());
    let mut words = vec![
        "redis-server",
        "--port",
        &port,
        "--dir",
        &directory,
        "--save",
        "",
    ];
    words.extend(["--client-output-buffer-limit", "pubsub 0 0 0"]);
    let server = Running::start(&words)?;
    until_listens(program.port)?;
    let mut subscriber = TcpStream::connect(("127.0.0.1", program.port))?;
    subscriber.write_all(b"SUBSCRIBE c\r\n")?;
    let mut answer = [0; 256];
    let _ = subscriber.read(&mut answer)?;
    let mut publisher = TcpStream::connect(("127.0.0.1", program.port))?;
    let message = vec![b'm'; 1 << 20];
    // More than both sockets hold.
    for _ in 0..12 {
        publisher.write_all(b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1048576\r\n")?;
        publisher.write_all(&message)?;
        publisher.write_all(b"\r\n")?;
        let _ = publisher.read(&mut answer)?;
    }
    Ok(Started {
        pid: server.0.id(),
        _kept: vec![Box::new(server), Box::new(subscriber), Box::new(room)],
    })
}

/// Zeros to a peer that does not read, or reads slowly.
fn socat(
    program: &Program,
    with: &[&str],
    option: &str,
    more: &[&str],
) -> Result<Started, Missing> {
    speaks(program)?;
    let peer = Peer::listen(program)?;
    let to = format!("TCP:127.0.0.1:{},{option}", program.port);
    let words = with.iter().chain(&["socat", "-u"]).chain(more).copied();
    let sender = Running::start(&words.chain(["/dev/zero", &to]).collect::<Vec<_>>())?;
    Ok(Started {
        pid: sender.0.id(),
        _kept: peer.meets(program, sender)?,
    })
}

fn zerocopy(program: &Program) -> Result<Started, Missing> {
    if !ring::has_zerocopy() {
        return Err(Missing::Here("this kernel has no IORING_OP_SEND_ZC".into()));
    }
    in_role(program, ring::ZEROCOPY)
}

fn worker(program: &Program) -> Result<Started, Missing> {
    let started = in_role(program, ring::WORKER)?;
    let tasks = PathBuf::from(format!("/proc/{}/task", started.pid));
    if wait_for(|| has_worker(&tasks) || has_kernel_worker()) && has_worker(&tasks) {
        return Ok(started);
    }
    Err(Missing::Here(
        "this kernel's io_uring has kernel threads for workers".into(),
    ))
}

fn has_worker(tasks: &Path) -> bool {
    let tasks = fs::read_dir(tasks).into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.into_iter().any(|name| name.starts_with("iou-wrk"))
}

fn has_kernel_worker() -> bool {
    let tasks = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names
        .into_iter()
        .any(|name| name.starts_with("io_wqe_worker"))
}

/// This program as a sender.
fn in_role(program: &Program, role: &str) -> Result<Started, Missing> {
    let peer = Peer::listen(program)?;
    let role = format!("{role}{}", program.port);
    let sender = Running::spawn(Command::new(env::current_exe()?).env(sender::ROLE, role))?;
    Ok(Started {
        pid: sender.0.id(),
        _kept: peer.meets(program, sender)?,
    })
}

/// Who is sent to.
struct Peer(Socket);

impl Peer {
    fn listen(program: &Program) -> Result<Self, Failed> {
        let protocol = (program.protocol == "mptcp").then_some(socket2::Protocol::MPTCP);
        let listener = Socket::new(Domain::IPV4, Type::STREAM, protocol)?;
        listener.set_reuse_address(true)?;
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], program.port)).into())?;
        listener.listen(4)?;
        Ok(Self(listener))
    }

    fn meets(self, program: &Program, sender: Running) -> Result<Vec<Box<dyn Any>>, Failed> {
        let (receiver, _) = TcpListener::from(self.0).accept()?;
        let receiver: Box<dyn Any> = match program.part {
            Part::HeldUp => Box::new(receiver),
            Part::Refills => Box::new(SlowReader::start(receiver)),
        };
        Ok(vec![Box::new(sender), receiver])
    }
}

/// Reads a little now and then.
struct SlowReader(Arc<AtomicBool>);

impl SlowReader {
    fn start(mut from: TcpStream) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        thread::spawn(move || {
            let mut taken = [0; 4096];
            while !ends.load(SeqCst) && from.read(&mut taken).is_ok_and(|n| n > 0) {
                thread::sleep(Duration::from_millis(5));
            }
        });
        Self(over)
    }
}

impl Drop for SlowReader {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
