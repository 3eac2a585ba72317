//! Another tracer in the place of skmem, for comparison: `--beside
//! NAME=COMMAND`. It must print a line `ready` once it is attached, and then a
//! line for each event; it ends on SIGINT.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    process::{Child, Command, Stdio},
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    process::{Pid, Signal, kill_process},
};

use super::clock;

/// How often its output is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How long it may take to attach, or to write what it has seen.
const PATIENCE: Duration = Duration::from_secs(300);

/// A command to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherTracer {
    /// In the table.
    pub name: String,
    command: Vec<String>,
}

impl FromStr for OtherTracer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text
            .split_once('=')
            .ok_or("give a name and a command: NAME=COMMAND")?;
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if name.is_empty() || command.is_empty() {
            return Err("give a name and a command: NAME=COMMAND".into());
        }
        Ok(Self {
            name: name.to_owned(),
            command,
        })
    }
}

/// It, while it runs.
pub struct Running {
    child: Child,
    out: Output,
    name: String,
}

/// What it has come to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OtherSeen {
    /// Lines printed.
    pub lines: u64,
    /// Events that it says it has lost.
    pub lost: u64,
    /// Its CPU time, in ns.
    pub cpu_ns: u64,
}

impl OtherTracer {
    /// Starts it; it is ready after [`Running::settle`].
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn start(&self) -> Result<Running> {
        let out = memfd_create("output", MemfdFlags::CLOEXEC).context("cannot make a file")?;
        let out = File::from(out);
        let child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot run {:?}", self.command[0]))?;
        Ok(Running {
            child,
            out: Output::new(out),
            name: self.name.clone(),
        })
    }
}

impl Running {
    /// Waits until it has attached and prints no more.
    ///
    /// # Errors
    /// Where it ends, or does not come to rest.
    pub async fn settle(&mut self) -> Result<()> {
        let begin = Instant::now();
        let mut length = None;
        loop {
            tokio::time::sleep(LOOK).await;
            self.out.read()?;
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}): {}", self.name, self.out.last_words());
            }
            if self.out.ready && length == Some(self.out.length) {
                return Ok(());
            }
            length = Some(self.out.length);
            if begin.elapsed() > PATIENCE {
                bail!(
                    "{} does not say that it is ready: {}",
                    self.name,
                    self.out.last_words()
                );
            }
        }
    }

    /// What it has come to by now.
    ///
    /// # Errors
    /// Where its output cannot be read.
    pub fn seen(&mut self) -> Result<OtherSeen> {
        self.out.read()?;
        Ok(OtherSeen {
            lines: self.out.lines,
            lost: self.out.lost,
            cpu_ns: clock::of_process(self.child.id()),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::INT);
        }
        let _ = self.child.wait();
    }
}

/// What it prints, read as it grows.
struct Output {
    file: File,
    length: u64,
    /// The line that is not complete yet.
    line: Vec<u8>,
    lines: u64,
    lost: u64,
    ready: bool,
}

impl Output {
    fn new(file: File) -> Self {
        Self {
            file,
            length: 0,
            line: Vec::new(),
            lines: 0,
            lost: 0,
            ready: false,
        }
    }

    fn read(&mut self) -> Result<()> {
        let mut some = vec![0; 1 << 16];
        loop {
            let n = self.file.read_at(&mut some, self.length)?;
            if n == 0 {
                return Ok(());
            }
            self.length += n as u64;
            for byte in &some[..n] {
                match byte {
                    b'\n' => self.end_of_line(),
                    byte => self.line.push(*byte),
                }
            }
        }
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line == "ready" {
            self.ready = true;
        } else if let Some(lost) = lost(&line) {
            self.lost += lost;
        } else if self.ready {
            self.lines += 1;
        }
    }

    /// The end of what it printed, for a message.
    fn last_words(&self) -> String {
        let from = self.length.saturating_sub(400);
        let mut words = vec![0; 400];
        let n = self.file.read_at(&mut words, from).unwrap_or(0);
        let words = String::from_utf8_lossy(&words[..n]).trim().to_owned();
        if words.is_empty() {
            "it said nothing".to_owned()
        } else {
            words
        }
    }
}

/// `Lost 12 events`, as bpftrace says it.
fn lost(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("Lost ")?;
    rest.strip_suffix(" events")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_after_ready_are_events() {
        let other = OtherTracer {
            name: "other".into(),
            command: [
                "sh",
                "-c",
                "echo Attaching; echo ready; echo a; echo Lost 12 events; echo b; exec sleep 60",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        let mut running = other.start().expect("sh");
        running.settle().await.expect("ready");
        let seen = running.seen().expect("its output");
        assert_eq!((seen.lines, seen.lost), (2, 12));
    }

    #[tokio::test]
    async fn one_that_fails_is_quoted() {
        let other: OtherTracer = "x=ls /no/such/file".parse().expect("a command");
        let mut running = other.start().expect("ls");
        let error = running.settle().await.expect_err("it ended");
        assert!(error.to_string().contains("/no/such/file"), "{error}");
    }

    #[test]
    fn a_name_and_a_command() {
        for wrong in ["", "x", "x=", "=x", "x= "] {
            assert!(wrong.parse::<OtherTracer>().is_err(), "{wrong:?}");
        }
    }
}
