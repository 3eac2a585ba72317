//! Running other programs so that Ctrl-C at any moment leaves none behind.
//!
//! A signal only sets a flag and ends the programs that run; the function that waits for them then
//! returns an error, and temporary files are removed as after any other error.

use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{error, progress::Step};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// We wait for the user's answer: there is nothing to clean up, and the wait itself does not notice
/// a signal.
static ASKING: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Vec<Arc<Mutex<Child>>>> = Mutex::new(Vec::new());

/// What every program says of a full disk.
pub(crate) const DISK_FULL: &str = "No space left on device";

/// How many of a failed program's last lines are shown.
const TAIL: usize = 15;

/// Installs the handler of SIGINT, SIGTERM and SIGHUP.
pub(crate) fn stop_on_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        // Asked twice: whatever still cleans up takes too long for the user.
        if INTERRUPTED.swap(true, Ordering::SeqCst) || ASKING.load(Ordering::SeqCst) {
            std::process::exit(error::INTERRUPTED.into());
        }
        for child in lock(&RUNNING).iter() {
            let mut child = lock(child);
            // Still ours only while it has not been waited for; afterwards the number may be
            // somebody else's.
            if let Ok(None) = child.try_wait() {
                _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
            }
        }
    })
    .context("cannot install a signal handler")
}

/// Fails once the user has asked us to stop.
pub(crate) fn check_interrupted() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        Err(error::interrupted())
    } else {
        Ok(())
    }
}

/// Asks the user, and returns the answer's line.
pub(crate) fn ask(question: &str) -> Result<String> {
    let mut answer = String::new();
    check_interrupted()?;
    ASKING.store(true, Ordering::SeqCst);
    eprint!("{question} ");
    let read = io::stdin().lock().read_line(&mut answer);
    ASKING.store(false, Ordering::SeqCst);
    read.context("cannot read the answer")?;
    check_interrupted()?;
    Ok(answer.trim().to_owned())
}

/// What a program printed, and how it ended.
pub(crate) struct Captured {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Captured {
    /// The last lines of what it printed, those of stderr after those of stdout.
    pub(crate) fn tail(&self) -> String {
        let lines: Vec<&str> = self.stdout.lines().chain(self.stderr.lines()).collect();
        lines[lines.len().saturating_sub(TAIL)..]
            .iter()
            .fold(String::new(), |mut text, line| {
                _ = writeln!(text, "  | {line}");
                text
            })
    }
}

/// Runs a program to its end without input, and keeps what it prints. The last line of its stderr
/// shows in `step`.
pub(crate) fn capture(command: &mut Command, step: Option<&Step>) -> Result<Captured> {
    capture_lines(command, |line| {
        if let Some(step) = step {
            step.output(line);
        }
    })
}

/// Runs a program to its end without input, keeps what it prints, and shows `watch` each line of
/// its stderr at once.
pub(crate) fn capture_lines(
    command: &mut Command,
    mut watch: impl FnMut(&str),
) -> Result<Captured> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = Registered::spawn(command)?;
    let stdout = lock(&child.0)
        .stdout
        .take()
        .context("no pipe from stdout")?;
    let stderr = lock(&child.0)
        .stderr
        .take()
        .context("no pipe from stderr")?;
    let (stdout, stderr) = thread::scope(|scope| {
        let stdout = scope.spawn(|| {
            let mut bytes = Vec::new();
            BufReader::new(stdout)
                .read_to_end(&mut bytes)
                .map(|_| String::from_utf8_lossy(&bytes).into_owned())
        });
        let mut all = String::new();
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .is_ok_and(|length| length > 0)
        {
            let text = String::from_utf8_lossy(&line);
            watch(text.trim_end());
            all.push_str(&text);
            line.clear();
        }
        (stdout.join(), all)
    });
    let status = child.wait()?;
    let stdout = match stdout {
        Ok(read) => read.with_context(|| format!("cannot read from {}", name(command)))?,
        Err(_) => bail!("the reader of {} panicked", name(command)),
    };
    Ok(Captured {
        status,
        stdout,
        stderr,
    })
}

/// Like [`capture`], and a failure of the program is one of ours: its last lines go to stderr.
pub(crate) fn succeed(command: &mut Command, step: Option<&Step>) -> Result<String> {
    let captured = capture(command, step)?;
    if captured.status.success() {
        return Ok(captured.stdout);
    }
    if captured.stderr.contains(DISK_FULL) {
        bail!("{} failed: {DISK_FULL}", shown(command));
    }
    match step {
        Some(step) => step.suspend(|| eprint!("{}", captured.tail())),
        None => eprint!("{}", captured.tail()),
    }
    bail!("{} failed ({}), see above", shown(command), captured.status)
}

/// Runs a program on our own terminal and waits for it.
pub(crate) fn foreground(command: &mut Command) -> Result<ExitStatus> {
    Registered::spawn(command)?.wait()
}

/// Runs a program and hands over its stdout while it runs; stdin is empty and stderr ours.
pub(crate) fn with_stdout(
    command: &mut Command,
    read: impl FnOnce(&mut dyn Read) -> Result<()>,
) -> Result<ExitStatus> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = Registered::spawn(command)?;
    let mut stdout = lock(&child.0)
        .stdout
        .take()
        .context("no pipe from stdout")?;
    let result = read(&mut stdout);
    let status = child.wait()?;
    result.map(|()| status)
}

/// The program's arguments, for a message.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![name(command)];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    format!("`{}`", words.join(" "))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// A child that the signal handler knows of, from its start to its end.
struct Registered(Arc<Mutex<Child>>);

impl Registered {
    fn spawn(command: &mut Command) -> Result<Self> {
        // Under the lock, so that no signal falls between the check, the start and the entry in the
        // list.
        let mut running = lock(&RUNNING);
        check_interrupted()?;
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {}", name(command)))?;
        let child = Arc::new(Mutex::new(child));
        running.push(Arc::clone(&child));
        Ok(Self(child))
    }

    /// Waits without keeping the lock, for the handler needs it.
    fn wait(&self) -> Result<ExitStatus> {
        let mut pause = Duration::from_micros(500);
        let status = loop {
            if let Some(status) = lock(&self.0)
                .try_wait()
                .context("cannot wait for a program")?
            {
                break status;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        check_interrupted()?;
        Ok(status)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&RUNNING).retain(|child| !Arc::ptr_eq(child, &self.0));
        let mut child = lock(&self.0);
        if let Ok(None) = child.try_wait() {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// A panic elsewhere does not make a list of children any less true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_and_the_status_are_kept_apart() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let captured = capture(&mut command, None).unwrap();
        assert_eq!(
            (
                captured.status.code(),
                captured.stdout.as_str(),
                captured.stderr.as_str()
            ),
            (Some(3), "out\n", "err\n")
        );
        assert_eq!(captured.tail(), "  | out\n  | err\n");
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let failure = succeed(&mut Command::new("no-such-program-here"), None).unwrap_err();
        assert!(
            format!("{failure:#}").starts_with("cannot run no-such-program-here: "),
            "{failure:#}"
        );
    }
}
