//! Runs the command: its output through pipes to the ports, its files as a tar archive, its orphans
//! reaped.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use skmem_vm_init::{Done, Job, OUT_DIR, OUT_PORT, SHELL_TTY, STDERR_PORT, STDOUT_PORT, Terminal};

use crate::ports;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the job with its output going to the ports.
pub(crate) fn run(job: &Job) -> Result<Done> {
    let mut stderr_port = ports::open(STDERR_PORT)?;
    let stdout_port = ports::open(STDOUT_PORT)?;
    // Pipes between the command and the ports, not the ports themselves: a port can be open once
    // only, so the `>/dev/stderr` of a script would fail with "busy".
    let spawned = command(job)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let message = format!("cannot run {} in the guest: {error}\n", job.argv[0]);
            stderr_port
                .write_all(message.as_bytes())
                .context("cannot write to the port of stderr")?;
            // What shells answer: 127 for a command that does not exist, 126 for one that cannot be
            // run.
            let status = if error.kind() == ErrorKind::NotFound {
                127
            } else {
                126
            };
            return Ok(Done {
                stderr_bytes: message.len() as u64,
                ..ended(WaitStatus::Exited(Pid::this(), status))
            });
        }
    };
    let stdout = relay(child.stdout.take().context("no stdout")?, stdout_port);
    let stderr = relay(child.stderr.take().context("no stderr")?, stderr_port);
    let status = wait_for(Pid::from_raw(child.id().cast_signed()))?;
    // What the command left behind would keep the pipes open, and the machine is about to go
    // anyway.
    kill_everything_else();

    let mut done = ended(status);
    done.stdout_bytes = join(stdout).context("cannot hand over the command's stdout")?;
    done.stderr_bytes = join(stderr).context("cannot hand over the command's stderr")?;
    if job.send_out {
        (done.out_bytes, done.out_error) = send_out()?;
    }
    Ok(done)
}

/// Runs the job as an interactive session on the virtio console.
pub(crate) fn run_on_terminal(job: &Job, terminal: &Terminal) -> Result<Done> {
    let tty = OpenOptions::new()
        .read(true)
        .write(true)
        .open(SHELL_TTY)
        .with_context(|| format!("cannot open {SHELL_TTY}"))?;
    let size = format!("rows {} cols {}", terminal.rows, terminal.columns);
    let resized = Command::new("/bin/busybox")
        .arg("stty")
        .args(size.split(' '))
        .stdin(tty.try_clone()?)
        .status();
    if !resized.is_ok_and(|status| status.success()) {
        eprintln!("skmem-vm-init: cannot set the terminal's size");
    }
    // busybox's setsid -c makes the console the session's controlling terminal, which job control
    // needs.
    let mut session = job.clone();
    session
        .argv
        .splice(0..0, ["setsid", "-c"].map(String::from));
    session.env.push(("TERM".into(), terminal.kind.clone()));
    let child = command(&session)
        .stdin(tty.try_clone()?)
        .stdout(tty.try_clone()?)
        .stderr(tty)
        .spawn()
        .context("cannot start the shell")?;
    let status = wait_for(Pid::from_raw(child.id().cast_signed()))?;
    kill_everything_else();
    Ok(ended(status))
}

fn command(job: &Job) -> Command {
    let mut command = Command::new(&job.argv[0]);
    command
        .args(&job.argv[1..])
        .env_clear()
        .envs([
            ("PATH", PATH),
            ("HOME", "/root"),
            ("USER", "root"),
            ("OUT", OUT_DIR),
        ])
        .envs(job.env.iter().map(|(name, value)| (name, value)))
        .current_dir("/root");
    if job.terminal.is_none() {
        command.process_group(0);
    }
    command
}

/// Copies until end of file, and says how much it was.
fn relay<R: Read + Send + 'static>(mut from: R, mut to: File) -> JoinHandle<io::Result<u64>> {
    thread::spawn(move || {
        // The driver takes at most 32 KiB a write.
        let mut buffer = vec![0; 32 << 10];
        let mut total = 0;
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(total),
                Ok(length) => {
                    to.write_all(&buffer[..length])?;
                    total += length as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    })
}

fn join(relay: JoinHandle<io::Result<u64>>) -> Result<u64> {
    match relay.join() {
        Ok(copied) => Ok(copied?),
        Err(_) => bail!("the copying thread panicked"),
    }
}

/// Waits for `main`, and reaps on the way whatever was orphaned to the first process.
fn wait_for(main: Pid) -> Result<WaitStatus> {
    loop {
        match waitpid(None, None) {
            Ok(status @ (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)))
                if pid == main =>
            {
                return Ok(status);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("cannot wait for the command"),
        }
    }
}

fn kill_everything_else() {
    // -1: every process but the caller and the kernel's own. An error means that there is none.
    _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while waitpid(None, None).is_ok_and(|status| status != WaitStatus::StillAlive) {}
}

fn ended(status: WaitStatus) -> Done {
    let (status, signal) = match status {
        WaitStatus::Exited(_, code) => (code as u8, None),
        WaitStatus::Signaled(_, signal, _) => (128 + signal as u8, Some(signal as i32)),
        other => unreachable!("wait_for returns ended processes only, not {other:?}"),
    };
    Done {
        status,
        signal,
        stdout_bytes: 0,
        stderr_bytes: 0,
        out_bytes: 0,
        out_error: None,
        kernel_warnings: Vec::new(),
    }
}

/// Sends the archive of [`OUT_DIR`]: its size, and what tar had to say.
fn send_out() -> Result<(u64, Option<String>)> {
    let port = ports::open(OUT_PORT)?;
    let mut tar = Command::new("/bin/busybox")
        .args(["tar", "-C", OUT_DIR, "-cf", "-", "."])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run tar")?;
    let mut complaints = String::new();
    let archive = relay(tar.stdout.take().context("no stdout")?, port);
    tar.stderr
        .take()
        .context("no stderr")?
        .read_to_string(&mut complaints)
        .context("cannot read tar's stderr")?;
    let sent = join(archive).context("cannot hand over $OUT")?;
    let status = tar.wait().context("cannot wait for tar")?;
    let error = (!status.success()).then(|| format!("tar: {status}: {}", complaints.trim()));
    Ok((sent, error))
}
