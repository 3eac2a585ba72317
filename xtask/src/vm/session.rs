//! One boot of a machine: job in, output out, and an end that is always found: the command's, the
//! guest's, the time limit's or the user's.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind, Read, Seek, Write},
    net::Shutdown,
    os::unix::{net::UnixStream, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use skmem_vm_init::{
    CONTROL_PORT, Done, Job, Message, OUT_PORT, STDERR_PORT, STDOUT_PORT, decode, encode,
};

use super::machine::{self, Machine};
use crate::process;

/// How often the user's Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(50);

/// Where the command's output goes.
pub(crate) struct Streams {
    /// The command's stdout.
    pub(crate) stdout: Box<dyn Write + Send>,
    /// The command's stderr.
    pub(crate) stderr: Box<dyn Write + Send>,
    /// The tar archive of its files.
    pub(crate) out: Option<File>,
}

/// How a boot ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The command ended, and all of its output has been written.
    Done(Done),
    /// The machine stopped by itself.
    Died { ready: bool },
    /// It was stopped at the time limit.
    TimedOut { ready: bool },
    /// It was stopped because the command had printed nothing for so long.
    Silent(Duration),
    /// Nobody reads the output any more.
    OutputClosed,
}

/// When a machine is stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// What all of it may take, boot included.
    pub(super) whole: Duration,
    /// How long the command may print nothing; None: for ever.
    pub(super) silence: Option<Duration>,
}

impl From<Duration> for Limits {
    fn from(whole: Duration) -> Self {
        Self {
            whole,
            silence: None,
        }
    }
}

/// What is known after a boot.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) ending: Ending,
    /// What the kernel printed.
    pub(super) console: Vec<u8>,
    /// What qemu printed.
    pub(super) emulator: String,
}

enum Event {
    Message(Message),
    /// The control port is closed: qemu has ended.
    Closed,
    /// Something on this side does not work any more.
    Failed(io::Error),
}

/// Boots the machine and runs the job on it, within `limits`. `booted` is given the release of
/// the kernel that runs.
pub(super) fn run(
    machine: &Machine,
    job: &Job,
    streams: Streams,
    limits: Limits,
    booted: impl FnMut(&str),
) -> Result<Report> {
    process::check_interrupted()?;
    let deadline = Instant::now() + limits.whole;
    let (console, console_end) = pair()?;
    let mut qemu = machine.command(machine::inheritable(&console_end)?);
    let mut ends = vec![console_end];
    let mut port = |name: &str| -> Result<UnixStream> {
        let (ours, theirs) = pair()?;
        machine::add_port(&mut qemu, name, machine::inheritable(&theirs)?);
        ends.push(theirs);
        Ok(ours)
    };
    let (control, stdout, stderr, out) = (
        port(CONTROL_PORT)?,
        port(STDOUT_PORT)?,
        port(STDERR_PORT)?,
        port(OUT_PORT)?,
    );

    if job.terminal.is_some() {
        machine::add_terminal(&mut qemu);
    } else {
        qemu.stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0);
    }
    let mut emulator = Emulator::start(&mut qemu, machine.arch.emulator)?;
    // qemu has its own copies now; with ours open, its end would not be seen.
    drop(ends);

    let (events, inbox) = mpsc::channel();
    let mut control_writer = control.try_clone().context("cannot duplicate a socket")?;
    watch_control(control, events.clone());
    let log = collect(console);
    let words = emulator.words();
    let pumps = [
        Pump::start(stdout, streams.stdout, events.clone()),
        Pump::start(stderr, streams.stderr, events.clone()),
        Pump::start(
            out,
            streams.out.map_or_else(
                || Box::new(io::sink()) as Box<dyn Write + Send>,
                |out| Box::new(out),
            ),
            events,
        ),
    ];
    // The socket keeps it until the guest has booted. An error means that qemu has ended, which is
    // seen below.
    _ = control_writer.write_all(encode(job).as_bytes());

    let ending = follow(&inbox, deadline, limits.silence, &pumps, booted);
    emulator.stop();
    // The control port's reader would wait for this copy of the socket.
    _ = control_writer.shutdown(Shutdown::Both);
    for pump in pumps {
        pump.finish();
    }
    let console = log.join().unwrap_or_default();
    let emulator = words
        .and_then(|words| words.join().ok())
        .map(|words| String::from_utf8_lossy(&words).into_owned());
    Ok(Report {
        ending: ending?,
        console,
        emulator: emulator.unwrap_or_default(),
    })
}

fn pair() -> Result<(UnixStream, UnixStream)> {
    UnixStream::pair().context("cannot create a socket")
}

/// Waits for the end, whatever it is.
fn follow(
    inbox: &Receiver<Event>,
    deadline: Instant,
    silence: Option<Duration>,
    pumps: &[Pump; 3],
    mut booted: impl FnMut(&str),
) -> Result<Ending> {
    let mut ready = false;
    let mut last = (0, Instant::now());
    let done = loop {
        process::check_interrupted()?;
        let printed = pumps.iter().map(Pump::written).sum::<u64>();
        if printed != last.0 {
            last = (printed, Instant::now());
        }
        if let Some(silence) = silence.filter(|silence| last.1.elapsed() >= *silence) {
            return Ok(Ending::Silent(silence));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Ending::TimedOut { ready });
        }
        match inbox.recv_timeout(left.min(TICK)) {
            Ok(Event::Message(Message::Ready { release })) => {
                ready = true;
                booted(&release);
            }
            Ok(Event::Message(Message::Done(done))) => break done,
            Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => {
                return Ok(Ending::Died { ready });
            }
            Ok(Event::Failed(error)) => return output_failed(error),
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    // What the guest has sent may still be on its way through qemu and us, and the reader of our
    // output may take any time.
    let sent = [done.stdout_bytes, done.stderr_bytes, done.out_bytes];
    while !pumps
        .iter()
        .zip(sent)
        .all(|(pump, sent)| pump.written() >= sent)
    {
        process::check_interrupted()?;
        match inbox.recv_timeout(Duration::from_millis(1)) {
            Ok(Event::Failed(error)) => return output_failed(error),
            // Without qemu nothing more can come; what it sent before is in the sockets and is
            // pumped to its end.
            Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected)
                if pumps.iter().all(Pump::is_finished) =>
            {
                return Ok(Ending::Died { ready });
            }
            _ => {}
        }
    }
    Ok(Ending::Done(done))
}

fn output_failed(error: io::Error) -> Result<Ending> {
    if error.kind() == ErrorKind::BrokenPipe {
        return Ok(Ending::OutputClosed);
    }
    Err(error).context("cannot write the command's output")
}

fn watch_control(control: UnixStream, events: Sender<Event>) {
    thread::spawn(move || {
        for line in BufReader::new(control).lines() {
            let Ok(line) = line else { break };
            let event = match decode(&line) {
                Ok(message) => Event::Message(message),
                Err(error) => Event::Failed(io::Error::new(
                    ErrorKind::InvalidData,
                    format!("the guest's {line:?}: {error}"),
                )),
            };
            if events.send(event).is_err() {
                return;
            }
        }
        // The receiver may be gone: then nobody wants to know.
        _ = events.send(Event::Closed);
    });
}

/// Reads to the end in the background.
fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A reset socket is an end like another: what came before it counts.
        _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// Copies one port to where its bytes belong, as they come.
struct Pump {
    written: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Pump {
    fn start(mut from: UnixStream, mut to: Box<dyn Write + Send>, events: Sender<Event>) -> Self {
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            loop {
                match from.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(length) => {
                        // Flushed each time: what the command prints is to be seen when it prints
                        // it.
                        if let Err(error) =
                            to.write_all(&buffer[..length]).and_then(|()| to.flush())
                        {
                            _ = events.send(Event::Failed(error));
                            return;
                        }
                        count.fetch_add(length as u64, Ordering::Release);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        });
        Self { written, thread }
    }

    fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the last bytes, a while: a reader that takes nothing any more must not keep us.
    fn finish(self) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while !self.thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// qemu, ended whenever this value goes.
struct Emulator(Child);

impl Emulator {
    fn start(qemu: &mut Command, name: &str) -> Result<Self> {
        let child = qemu
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        Ok(Self(child))
    }

    fn words(&mut self) -> Option<JoinHandle<Vec<u8>>> {
        self.0.stderr.take().map(collect)
    }

    /// Nothing in it is worth saving, so it is not asked.
    fn stop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A nameless file on the file system of `directory`: a run that is broken off leaves nothing
/// behind.
pub(super) fn spool(directory: &Path) -> Result<File> {
    tempfile::tempfile_in(directory)
        .with_context(|| format!("cannot write to {}", directory.display()))
}

/// Unpacks the archive of the guest's files.
pub(super) fn unpack(mut archive: File, directory: &Path) -> Result<()> {
    archive
        .rewind()
        .context("cannot read the archive of $OUT")?;
    let length = archive
        .metadata()
        .context("cannot read the archive of $OUT")?
        .len();
    if length == 0 {
        bail!("the guest sent no archive of $OUT");
    }
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    tar::Archive::new(archive)
        .unpack(directory)
        .with_context(|| format!("cannot unpack $OUT into {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_prints_nothing_is_stopped() {
        let (events, inbox) = mpsc::channel();
        let mut ends = Vec::new();
        let pumps = [(); 3].map(|()| {
            let (ours, theirs) = pair().unwrap();
            ends.push(theirs);
            Pump::start(ours, Box::new(io::sink()), events.clone())
        });
        let began = Instant::now();
        let (later, silence) = (Duration::from_secs(20), Duration::from_millis(300));
        // What it prints counts from then on.
        let mut stderr = ends[1].try_clone().unwrap();
        let speaker = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            stderr.write_all(b"x").unwrap();
        });
        let ending = follow(&inbox, began + later, Some(silence), &pumps, |_| {});
        assert!(matches!(ending.unwrap(), Ending::Silent(after) if after == silence));
        assert!(began.elapsed() >= Duration::from_millis(500) && began.elapsed() < later);
        speaker.join().unwrap();
    }
}
