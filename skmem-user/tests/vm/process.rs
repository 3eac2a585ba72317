//! A skmem that runs beside the test: what `/proc` says of it, and its end.

use std::{
    collections::HashMap,
    fs,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};

use crate::case::SKMEM;

/// How long anything may take; loading the programs takes 10 s where the kernel is emulated, and
/// others may load theirs.
const PATIENCE: Duration = Duration::from_mins(15);

/// A process that does not outlive the test.
pub struct Process(Option<Child>);

impl Process {
    /// `skmem` with these arguments.
    pub fn skmem(arguments: &[&str]) -> Result<Self, Failed> {
        Self::start(Command::new(SKMEM).args(arguments).stdin(Stdio::null()))
    }

    pub fn start(command: &mut Command) -> Result<Self, Failed> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self(Some(child)))
    }

    pub fn pid(&self) -> u32 {
        self.0.as_ref().map_or(0, Child::id)
    }

    /// Waits until it has attached all programs, and given up its rights.
    pub fn attached(&mut self) -> Result<(), Failed> {
        let pid = self.pid();
        let done = wait_for(|| {
            let status = status(pid);
            status.get("NoNewPrivs").is_some_and(|n| n == "1") || is_over(&status)
        });
        if done && !is_over(&status(pid)) {
            return Ok(());
        }
        let output = self.kill()?;
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("skmem did not come to trace: {said}").into())
    }

    pub fn signal(&self, signal: Signal) -> Result<(), Failed> {
        let pid = Pid::from_raw(self.pid().cast_signed()).ok_or("no process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Ends its stdin, and gives what it said to its end.
    pub fn output(mut self) -> Result<Output, Failed> {
        let child = self.0.take().ok_or("it has ended")?;
        Ok(child.wait_with_output()?)
    }

    /// Its end by SIGKILL, and what it said till then.
    pub fn kill(&mut self) -> Result<Output, Failed> {
        let mut child = self.0.take().ok_or("it has ended")?;
        child.kill()?;
        Ok(child.wait_with_output()?)
    }

    /// Its first child, once there is one.
    pub fn child(&self) -> Result<u32, Failed> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let mut first = None;
        wait_for(|| {
            let text = fs::read_to_string(&path).unwrap_or_default();
            first = text.split_whitespace().next().and_then(|n| n.parse().ok());
            first.is_some()
        });
        first.ok_or_else(|| "skmem has no child".into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether it came to that in time.
pub fn wait_for(mut there: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !there() {
        if started.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// `/proc/PID/status`, or that of one of its threads (`PID/task/TID`).
pub fn status(of: impl std::fmt::Display) -> HashMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{of}/status")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Whether a process has ended, also while nothing waits for it (a zombie).
pub fn is_over(status: &HashMap<String, String>) -> bool {
    status.get("State").is_none_or(|s| s.starts_with('Z'))
}
