//! The tracer's side of the protocol.

use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command as Process},
};

use super::{
    Options, SUBCOMMAND,
    protocol::{Command, Done, Ready, Reply, Settled},
};
use crate::diag::KernelReading;

/// A scenario under way in a child process. Dropping it kills the child, and with it everything
/// that the scenario made.
#[derive(Debug)]
pub struct Driver {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    pid: u32,
}

/// How a scenario can fail to go on.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// This kernel cannot run it, and why: exit with 77.
    #[error("skipped: {0}")]
    Skip(String),
    /// The scenario failed and says why.
    #[error("{0}")]
    Failed(String),
    /// The child could not be started or spoken to.
    #[error("cannot {what} the scenario's process")]
    Io {
        /// The attempt.
        what: &'static str,
        /// The system call's error.
        source: io::Error,
    },
    /// The child ended without a word.
    #[error("the scenario's process ended unexpectedly ({0})")]
    Ended(ExitStatus),
    /// The child said something else than was due.
    #[error("the scenario's process said {line:?} where {expected} was due")]
    Unexpected {
        /// The message that was due.
        expected: &'static str,
        /// The line, shortened.
        line: String,
    },
}

type Result<T> = std::result::Result<T, DriverError>;

/// The cause of an [`DriverError::Io`].
fn io(what: &'static str) -> impl Fn(io::Error) -> DriverError {
    move |source| DriverError::Io { what, source }
}

impl Driver {
    /// Starts `program workload NAME …`; `program` is usually `std::env::current_exe()`.
    ///
    /// The child is in a process group of its own: Ctrl-C reaches the caller only, who then still
    /// has the sockets to look at, or drops the driver. The child asks to be killed when the
    /// *thread* that called this ends (`PR_SET_PDEATHSIG`), so call it from one that lives as
    /// long as the scenario.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn spawn(program: &Path, name: &str, options: &Options) -> Result<Self> {
        let mut child = Process::new(program)
            .arg(SUBCOMMAND)
            .arg(name)
            .args(options.to_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(io("start"))?;
        let missing = || io("start")(io::ErrorKind::BrokenPipe.into());
        Ok(Self {
            stdin: child.stdin.take().ok_or_else(missing)?,
            stdout: BufReader::new(child.stdout.take().ok_or_else(missing)?).lines(),
            pid: child.id().ok_or_else(missing)?,
            child,
        })
    }

    /// The child's pid. Workers of a scenario with several processes are in [`Ready::pids`].
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the network stands. Attach now, then call [`Self::go`].
    ///
    /// # Errors
    /// Where the child has ended, or answers what it should not.
    pub async fn ready(&mut self) -> Result<Ready> {
        match self.reply().await? {
            Reply::Ready(ready) => Ok(ready),
            other => Err(unexpected("ready", &other)),
        }
    }

    /// Lets the scenario begin.
    ///
    /// # Errors
    /// Where the child has ended, or answers what it should not.
    pub async fn go(&mut self) -> Result<()> {
        self.tell(Command::Go).await
    }

    /// Waits until the scenario is at rest.
    ///
    /// # Errors
    /// Where the child has ended, or answers what it should not.
    pub async fn settled(&mut self) -> Result<Settled> {
        match self.reply().await? {
            Reply::Settled(settled) => Ok(settled),
            other => Err(unexpected("settled", &other)),
        }
    }

    /// Reads the senders again; only between [`Self::settled`] and [`Self::finish`].
    ///
    /// # Errors
    /// Where the child has ended, or answers what it should not.
    pub async fn truth(&mut self) -> Result<Vec<KernelReading>> {
        self.tell(Command::KernelReading).await?;
        match self.reply().await? {
            Reply::KernelReading(truth) => Ok(truth),
            other => Err(unexpected("truth", &other)),
        }
    }

    /// Lets the scenario close down, and waits for its end.
    ///
    /// # Errors
    /// Where the child has ended, or answers what it should not.
    pub async fn finish(mut self) -> Result<Done> {
        self.tell(Command::Finish).await?;
        let done = match self.reply().await? {
            Reply::Done(done) => done,
            other => return Err(unexpected("done", &other)),
        };
        let status = self.child.wait().await.map_err(io("wait for"))?;
        if status.success() {
            Ok(done)
        } else {
            Err(DriverError::Ended(status))
        }
    }

    async fn tell(&mut self, command: Command) -> Result<()> {
        let line = format!("{}\n", command.as_str());
        match self.stdin.write_all(line.as_bytes()).await {
            Ok(()) => Ok(()),
            // Why it is gone, the child's last line says; it is read next.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(io("speak to")(error)),
        }
    }

    /// The next message; a skip or an error ends the conversation.
    async fn reply(&mut self) -> Result<Reply> {
        let Some(line) = self.stdout.next_line().await.map_err(io("listen to"))? else {
            let status = self.child.wait().await.map_err(io("wait for"))?;
            return Err(DriverError::Ended(status));
        };
        let reply = Reply::parse(&line).map_err(|_| DriverError::Unexpected {
            expected: "a message",
            line: shorten(&line),
        })?;
        match reply {
            Reply::Skip(why) => Err(DriverError::Skip(why)),
            Reply::Error(why) => Err(DriverError::Failed(why)),
            other => Ok(other),
        }
    }
}

fn unexpected(expected: &'static str, reply: &Reply) -> DriverError {
    DriverError::Unexpected {
        expected,
        line: shorten(&format!("{reply:?}")),
    }
}

fn shorten(line: &str) -> String {
    line.chars().take(200).collect()
}
