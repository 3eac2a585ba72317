//! The hard case for a tracer: several processes, hundreds of connections each, all busy at once.
//!
//! Each process is this binary again, started inside the client's namespace. It gets the address to
//! connect to, one process after the other: where handshakes have to compete with thousands of
//! them, or with traffic, a late answer makes the kernel ask again, and in the end it resets some.
//! Then all begin; each writes a bounded amount on every connection in turn, and reports when all
//! of it is acknowledged.

use std::{
    io::{self, BufRead, BufReader, Write, stdin},
    net::SocketAddr,
    process::{Child, ChildStdout, Command as Process, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::retry_on_intr,
};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use super::{Scenario, Stage, raise_open_files, send, wait_until_acknowledged};
use crate::{
    diag::KernelReading,
    workload::{
        Params, SUBCOMMAND,
        net::Net,
        protocol::{Command, Done, Reason, Reply},
        reading_server,
        sender::{Sender, truths},
        settle::settle_empty,
        skip::Skip,
        sockets::{Setup, connect, set_sndbuf},
        stage::{call_ourselves_sender, die_with_parent},
    },
};

/// The name under which [`super::super::run`] becomes one of the processes.
pub(in crate::workload) const WORKER: &str = "storm-worker";

pub(super) const STORM: Scenario = Scenario {
    name: "storm",
    summary: "8 processes with 300 busy connections each",
    provokes: &["new-skb", "first-fill", "ack"],
    needs: &[],
    accepts: &[
        "sndbuf",
        "rcvbuf",
        "write-size",
        "bytes",
        "mtu",
        "nodelay",
        "connections",
        "processes",
    ],
    defaults: Params {
        sndbuf: None,
        write_size: 4096,
        bytes: Some(32 << 10),
        connections: 300,
        processes: 8,
        ..Params::BASE
    },
    play: storm,
};

/// What a process is to do.
#[derive(Serialize, Deserialize)]
struct Job {
    server: SocketAddr,
    connections: u32,
    sndbuf: Option<u32>,
    nodelay: bool,
    write_size: u32,
    /// Per connection.
    bytes: u64,
}

/// A process, seen from the scenario. Its stdin closes with ours, which ends it.
struct Worker {
    child: Child,
    replies: BufReader<ChildStdout>,
}

fn storm(stage: &Stage) -> Result<Done> {
    let params = &stage.params;
    let net = Net::veth(params)?;
    raise_open_files(u64::from(params.connections) * u64::from(params.processes) + 64)?;
    let mut workers = Vec::new();
    for _ in 0..params.processes {
        workers.push(net.client.run(Worker::start)?);
    }
    let pids = workers.iter().map(|worker| worker.child.id()).collect();
    stage.ready_with(&net.client, &[], pids)?;

    let listener = net.listen(Setup {
        rcvbuf: params.rcvbuf,
        ..Setup::PLAIN
    })?;
    let job = Job {
        server: listener.address,
        connections: params.connections,
        sndbuf: params.sndbuf,
        nodelay: params.nodelay,
        write_size: params.write_size,
        bytes: params.bytes.unwrap_or(0),
    };
    reading_server::spawn(listener)?;
    let job = serde_json::to_string(&job)?;
    for worker in &mut workers {
        worker.tell(&job)?;
        worker.truth()?;
    }
    for worker in &mut workers {
        worker.tell(Command::Go.as_str())?;
    }
    let truth = readings(&mut workers)?;
    stage.settled_with(&net.client, Reason::Done, truth, || {
        for worker in &mut workers {
            worker.tell(Command::KernelReading.as_str())?;
        }
        readings(&mut workers)
    })?;
    for worker in workers {
        worker.end()?;
    }
    stage.done(&net.client, &[])
}

fn readings(workers: &mut [Worker]) -> Result<Vec<KernelReading>> {
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.truth()?);
    }
    Ok(all)
}

impl Worker {
    /// Called inside the client's namespace, which the process inherits.
    fn start() -> Result<Self> {
        let mut child = Process::new("/proc/self/exe")
            .arg(SUBCOMMAND)
            .arg(WORKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a sending process")?;
        let replies = child
            .stdout
            .take()
            .context("a sending process without stdout")?;
        Ok(Self {
            child,
            replies: BufReader::new(replies),
        })
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self
            .child
            .stdin
            .as_mut()
            .context("a sending process without stdin")?;
        writeln!(stdin, "{line}").map_err(|error| {
            // It has ended, and what it said last is why.
            let why = self.truth().err();
            why.unwrap_or_else(|| {
                anyhow::Error::new(error).context("cannot speak to a sending process")
            })
        })
    }

    fn truth(&mut self) -> Result<Vec<KernelReading>> {
        let mut line = String::new();
        self.replies
            .read_line(&mut line)
            .context("cannot listen to a sending process")?;
        match Reply::parse(&line) {
            Ok(Reply::KernelReading(truth)) => Ok(truth),
            Ok(Reply::Error(why)) => bail!("a sending process: {why}"),
            Ok(Reply::Skip(why)) => Err(Skip::error(why)),
            _ => bail!("a sending process ended unexpectedly"),
        }
    }

    fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self
            .child
            .wait()
            .context("cannot wait for a sending process")?;
        if !status.success() {
            bail!("a sending process ended with {status}");
        }
        Ok(())
    }
}

/// The life of a sending process.
pub(in crate::workload) fn worker() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = format!("{error:#}");
            if has_timed_out(&error) {
                Reply::skip(format!(
                    "{message}: this machine had too little time for all the connections"
                ))
            } else {
                Reply::error(message)
            }
            .print();
            ExitCode::FAILURE
        }
    }
}

/// The kernel gave a connection up because its peer, on the same machine, did not answer in time.
fn has_timed_out(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut)
}

fn work() -> Result<()> {
    die_with_parent();
    call_ourselves_sender();
    let mut lines = stdin().lock().lines().map_while(Result::ok);
    // The scenario ended before it began.
    let Some(line) = lines.next() else {
        return Ok(());
    };
    let job: Job = serde_json::from_str(&line).context("not a job")?;
    let mut senders = Vec::new();
    for _ in 0..job.connections {
        let socket = Socket::new(Domain::for_address(job.server), Type::STREAM, None)
            .context("cannot open a TCP socket")?;
        if let Some(bytes) = job.sndbuf {
            set_sndbuf(&socket, bytes)?;
        }
        if job.nodelay {
            socket
                .set_tcp_nodelay(true)
                .context("cannot set TCP_NODELAY")?;
        }
        connect(&socket, job.server)?;
        senders.push(Sender::new(socket)?);
    }
    Reply::KernelReading(truths(&senders)?).print();
    if lines.next().as_deref().and_then(Command::parse) != Some(Command::Go) {
        return Ok(());
    }
    write_in_turn(&senders, &job)?;
    wait_until_acknowledged(&senders)?;
    settle_empty(&senders, &mut [])?;
    Reply::KernelReading(truths(&senders)?).print();
    for line in lines {
        if Command::parse(&line) == Some(Command::KernelReading) {
            Reply::KernelReading(truths(&senders)?).print();
        }
    }
    Ok(())
}

/// One write on each connection that has room, again and again.
fn write_in_turn(senders: &[Sender], job: &Job) -> Result<()> {
    let mut write = send(job.write_size as usize, libc::MSG_DONTWAIT);
    let mut left: Vec<(&Sender, u64)> = senders.iter().map(|sender| (sender, 0)).collect();
    let mut polled: Vec<PollFd<'_>> = senders
        .iter()
        .map(|sender| PollFd::new(&*sender.socket, PollFlags::OUT))
        .collect();
    while !polled.is_empty() {
        retry_on_intr(|| poll(&mut polled, None)).context("cannot poll the connections")?;
        for ((sender, written), poll) in left.iter_mut().zip(&polled) {
            if poll.revents().is_empty() {
                continue;
            }
            match write(&sender.socket) {
                Ok(n) => *written += n as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("cannot write to the socket"),
            }
        }
        let mut has_more = left.iter().map(|(_, written)| *written < job.bytes);
        polled.retain(|_| has_more.next().unwrap_or(false));
        left.retain(|(_, written)| *written < job.bytes);
    }
    Ok(())
}
