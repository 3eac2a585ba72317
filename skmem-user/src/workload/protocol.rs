//! The messages between the tracer and the scenario: one line each.
//!
//! Down (tracer to child) go bare words, `go`, `truth`, `finish`; up come JSON objects with one key
//! that names the message. Stdin closed means that the tracer is gone: the child ends at once.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::diag::{Counters, Endpoint, KernelReading};

/// What the tracer asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Begin: everything is attached.
    Go,
    /// Read the senders again.
    KernelReading,
    /// Close down and end.
    Finish,
}

impl Command {
    /// The line, without its end.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::KernelReading => "truth",
            Self::Finish => "finish",
        }
    }

    /// Reads a line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        [Self::Go, Self::KernelReading, Self::Finish]
            .into_iter()
            .find(|command| command.as_str() == line.trim())
    }
}

/// What the child answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// The network stands, nothing was sent yet (but see `connections`).
    Ready(Ready),
    /// The scenario is at rest.
    Settled(Settled),
    /// Answer to `truth`.
    #[serde(rename = "truth")]
    KernelReading(Vec<KernelReading>),
    /// The scenario is over; the child exits with 0.
    Done(Done),
    /// This kernel cannot run the scenario, and why; the child exits with 77.
    Skip(String),
    /// It went wrong: what, why, what to do; the child exits with 1 (2 for wrong usage).
    Error(String),
}

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The child.
    pub pid: u32,
    /// All processes that send: the child, or its workers.
    pub pids: Vec<u32>,
    /// Inode of the network namespace that the senders live in.
    pub netns: u64,
    /// Sockets that exist already; empty in all scenarios but those about sockets older than the
    /// tracer.
    pub connections: Vec<Endpoint>,
}

/// The scenario at rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// Which rest.
    pub reason: Reason,
    /// Each sending socket.
    pub truth: Vec<KernelReading>,
    /// TCP counters of the senders' namespace, which was empty at the start.
    pub counters: Counters,
}

/// Why nothing moves any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Senders sleep in (or were sent away by) a system call that found no room.
    Blocked,
    /// All that was to be sent has been handed to the kernel.
    Done,
}

/// The scenario after its closing phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Sending sockets that are still open: drained, or reset.
    pub truth: Vec<KernelReading>,
    /// TCP counters as in [`Settled`].
    pub counters: Counters,
}

impl Reply {
    /// An error whose text is made one line.
    pub fn error(text: impl AsRef<str>) -> Self {
        Self::Error(one_line(text.as_ref()))
    }

    /// A skip whose text is made one line.
    pub fn skip(text: impl AsRef<str>) -> Self {
        Self::Skip(one_line(text.as_ref()))
    }

    /// Writes the message to stdout. A tracer that no longer listens is noticed on stdin, not here.
    ///
    /// # Panics
    /// Never: plain structures with string keys serialise.
    pub fn print(&self) {
        let mut line = serde_json::to_vec(self).expect("plain structures with string keys");
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }

    /// Reads a line.
    ///
    /// # Errors
    /// Where it is not a message.
    pub fn parse(line: &str) -> serde_json::Result<Self> {
        serde_json::from_str(line)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words() {
        for command in [Command::Go, Command::KernelReading, Command::Finish] {
            assert_eq!(
                Command::parse(&format!("{}\n", command.as_str())),
                Some(command)
            );
        }
        assert_eq!(Command::parse("stop"), None);
        assert_eq!(Command::parse(""), None);
    }

    #[test]
    fn a_message_is_one_object_with_one_key() {
        let ready = Reply::Ready(Ready {
            pid: 7,
            pids: vec![7],
            netns: 4_026_531_840,
            connections: Vec::new(),
        });
        let line = serde_json::to_string(&ready).unwrap();
        assert_eq!(
            line,
            r#"{"ready":{"pid":7,"pids":[7],"netns":4026531840,"connections":[]}}"#
        );
        assert_eq!(Reply::parse(&line).unwrap(), ready);
        assert!(Reply::parse(r#"{"nonsense":1}"#).is_err());
    }

    #[test]
    fn an_error_is_one_line_whatever_its_cause_said() {
        let reply = Reply::error("cannot do it:\n  because\tof that");
        assert_eq!(
            serde_json::to_string(&reply).unwrap(),
            r#"{"error":"cannot do it: because of that"}"#
        );
    }
}
