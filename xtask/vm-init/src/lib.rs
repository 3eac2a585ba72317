//! What the host (`cargo xtask vm`) and the guest's init say to each other, and the names both must
//! agree on.
//!
//! The two talk over one virtio-serial port, one JSON object a line: the host sends a [`Job`], the
//! guest answers [`Message::Ready`] when it is about to start the command and [`Message::Done`]
//! when it is over. The command's stdout and stderr and the tar archive of its files travel over
//! ports of their own, byte for byte.

use serde::{Deserialize, Serialize};

/// The port that carries [`Job`] and [`Message`].
pub const CONTROL_PORT: &str = "skmem.control";
/// The port that carries the command's stdout.
pub const STDOUT_PORT: &str = "skmem.stdout";
/// The port that carries the command's stderr.
pub const STDERR_PORT: &str = "skmem.stderr";
/// The port that carries a tar archive of what the command left in [`OUT_DIR`].
pub const OUT_PORT: &str = "skmem.out";
/// The terminal of an interactive shell: the virtio console, as the serial port is the kernel's
/// log.
pub const SHELL_TTY: &str = "/dev/hvc0";
/// The directory that the command knows as `$OUT`.
pub const OUT_DIR: &str = "/out";
/// What a line on the console begins with that says why the guest gives up before the job.
pub const GIVES_UP: &str = "skmem-vm-init gives up: ";
/// On the kernel's command line: systemd is to be the first process, see [`Job`].
pub const SYSTEMD: &str = "skmem.systemd";
/// A file in the image: the modules to load, one path a line, each after those it depends on.
pub const MODULES_FILE: &str = "/etc/skmem-modules";

/// What the guest is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The program and its arguments; never empty.
    pub argv: Vec<String>,
    /// Variables on top of the guest's own small environment.
    pub env: Vec<(String, String)>,
    /// Send [`OUT_DIR`] back when the command has ended.
    pub send_out: bool,
    /// Run the command on [`SHELL_TTY`] as an interactive session of this size.
    pub terminal: Option<Terminal>,
}

/// The host's terminal, for an interactive session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Height in characters.
    pub rows: u16,
    /// Width in characters.
    pub columns: u16,
    /// The value of `TERM`.
    pub kind: String,
}

/// What the guest sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "message")]
pub enum Message {
    /// Everything is mounted and loaded; the command starts now.
    Ready {
        /// The running kernel, as `uname -r` has it.
        release: String,
    },
    /// The command has ended and everything it wrote has been handed over.
    Done(Done),
}

/// How the command ended, and how much it sent: the host waits for this many bytes before it stops
/// the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The exit status; 128 + the signal's number where a signal ended the command, as shells have
    /// it.
    pub status: u8,
    /// The signal that ended the command.
    pub signal: Option<i32>,
    /// Bytes written to [`STDOUT_PORT`].
    pub stdout_bytes: u64,
    /// Bytes written to [`STDERR_PORT`].
    pub stderr_bytes: u64,
    /// Bytes written to [`OUT_PORT`].
    pub out_bytes: u64,
    /// Why the files in [`OUT_DIR`] are not, or not all, in the archive.
    pub out_error: Option<String>,
    /// What the kernel complained about while the command ran (`WARNING:`, `BUG:` and the like).
    pub kernel_warnings: Vec<String>,
}

/// One line on the control port: JSON and a line feed. JSON escapes line feeds, so a line is always
/// one object.
///
/// # Panics
/// Never: plain structs of strings and numbers serialise.
pub fn encode<T: Serialize>(value: &T) -> String {
    let mut line =
        serde_json::to_string(value).expect("plain structs of strings and numbers serialise");
    line.push('\n');
    line
}

/// Reads back what [`encode`] wrote.
///
/// # Errors
/// When the line is not such an object: host and guest are of different builds, or something else
/// wrote to the port.
pub fn decode<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str(line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_survives_the_trip_whatever_its_arguments_hold() {
        let job = Job {
            argv: vec!["sh".into(), "-c".into(), "echo 'a\nb' \"\u{e9}\"".into()],
            env: vec![("A".into(), "1=2".into())],
            send_out: true,
            terminal: None,
        };
        let line = encode(&job);
        assert_eq!(line.matches('\n').count(), 1, "one line: {line:?}");
        assert_eq!(decode::<Job>(&line).unwrap(), job);
    }

    #[test]
    fn messages_say_which_they_are() {
        let ready = Message::Ready {
            release: "6.12.0".into(),
        };
        assert_eq!(
            encode(&ready),
            "{\"message\":\"ready\",\"release\":\"6.12.0\"}\n"
        );
        let done = Message::Done(Done {
            status: 255,
            signal: None,
            stdout_bytes: u64::from(u32::MAX) + 1,
            stderr_bytes: 0,
            out_bytes: 0,
            out_error: None,
            kernel_warnings: vec!["WARNING: CPU: 0".into()],
        });
        assert_eq!(decode::<Message>(&encode(&done)).unwrap(), done);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        assert!(decode::<Message>("").is_err());
        assert!(decode::<Message>("{\"message\":\"other\"}").is_err());
        assert!(decode::<Message>("Kernel panic").is_err());
    }
}
